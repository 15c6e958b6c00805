//! The running pipeline as the monitor sees it: instances come and go with reloads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::Counter;

use crate::StorageGauges;
use crate::{Alarms, Pipeline};

/// A pipeline whose instances may be others at any time. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    pipeline: Arc<Mutex<Pipeline>>,
    /// What is wrong with it now.
    pub alarms: Alarms,
    /// How many times the configuration was reloaded.
    pub reloads: Counter,
    /// What waits in memory and on the disk.
    pub storage: StorageGauges,
}

impl Watched {
    /// Watches the instances of `pipeline`.
    pub fn new(pipeline: Pipeline) -> Watched {
        let watched = Watched::default();
        watched.replace(pipeline);
        watched
    }

    /// The counters of the present instances.
    pub fn pipeline(&self) -> Pipeline {
        self.lock().clone()
    }

    /// These are the present instances now.
    pub fn replace(&self, pipeline: Pipeline) {
        *self.lock() = pipeline;
    }

    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
