//! The running pipeline as the monitor sees it: instances come and go with reloads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::Counter;

use crate::sum::sum;
use crate::{Alarms, Pipeline, StorageGauges};

/// A pipeline whose instances may be others at any time: of one shard, or of the first one with those of the others behind
/// it. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    pipeline: Arc<Mutex<Pipeline>>,
    others: Arc<Mutex<Vec<Watched>>>,
    /// What is wrong with this shard now.
    pub alarms: Alarms,
    /// How many times the configuration was reloaded.
    pub reloads: Counter,
    /// What waits in memory and on the disk of this shard.
    pub storage: StorageGauges,
}

impl Watched {
    /// Watches the instances of `pipeline`.
    pub fn new(pipeline: Pipeline) -> Watched {
        let watched = Watched::default();
        watched.replace(pipeline);
        watched
    }

    /// The pipelines of other shards count here too.
    pub fn add(&self, other: Watched) {
        self.others().push(other);
    }

    /// The counters of the present instances. Of those that several shards have there are the sums, as of now.
    pub fn pipeline(&self) -> Pipeline {
        let mut all = self.lock().clone();
        let others = self.others();
        if !others.is_empty() {
            let others: Vec<Pipeline> = others.iter().map(Watched::pipeline).collect();
            all = sum(&[&[all], &others[..]].concat());
        }
        all
    }

    /// The words of all checks that fail.
    pub fn failing(&self) -> Vec<String> {
        let mut failing = self.alarms.all();
        for words in self.others().iter().flat_map(Watched::failing) {
            // What is wrong everywhere is said once.
            if !failing.contains(&words) {
                failing.push(words);
            }
        }
        failing
    }

    /// What waits in memory and on the disks of all shards.
    pub fn all_storage(&self) -> StorageGauges {
        let others = self.others();
        if others.is_empty() {
            return self.storage.clone();
        }
        let all: Vec<StorageGauges> = others
            .iter()
            .map(Watched::all_storage)
            .chain([self.storage.clone()])
            .collect();
        StorageGauges::sum(&all)
    }

    /// These are the present instances now.
    pub fn replace(&self, pipeline: Pipeline) {
        *self.lock() = pipeline;
    }

    fn others(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Pipeline> {
        self.pipeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
