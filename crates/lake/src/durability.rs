//! When something is acknowledged: group commit.
//!
//! Put calls append to a file one after another and then wait until a sync covers them. One sync covers all that were
//! appended before it began, however many connections they came from.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncMode {
    /// It is on disk: it outlives a loss of power.
    #[default]
    Full,
    /// The system has it: it outlives the process, however that ends, and not a loss of power.
    Normal,
}

impl SyncMode {
    /// Puts what was written to `file` on disk, if that is promised.
    pub(crate) fn file(self, file: &File) -> io::Result<()> {
        match self {
            SyncMode::Full => file.sync_data(),
            SyncMode::Normal => Ok(()),
        }
    }

    /// Puts the names in `folder` on disk, if that is promised.
    pub(crate) fn folder(self, folder: &Path) -> io::Result<()> {
        match self {
            SyncMode::Full => File::open(folder)?.sync_all(),
            SyncMode::Normal => Ok(()),
        }
    }
}

/// An error that all who wait for one sync are told.
pub(crate) type SyncError = Arc<io::Error>;

/// All that one sync covers, and how it went.
#[derive(Debug, Default)]
pub(crate) struct Round(OnceLock<Result<(), SyncError>>);

impl Round {
    /// A round that is over.
    pub fn done() -> Arc<Self> {
        let round = Self::default();
        round.finish(Ok(()));
        Arc::new(round)
    }

    /// Says how it went. Each round is finished once.
    pub fn finish(&self, outcome: Result<(), SyncError>) {
        let _ = self.0.set(outcome);
    }

    fn outcome(&self) -> Option<Result<(), SyncError>> {
        self.0.get().cloned()
    }
}

/// Lets one sync at a time be under way.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit(Arc<tokio::sync::Mutex<()>>);

impl GroupCommit {
    /// Waits until `round` is finished. `sync` finishes the round that is being collected when it runs, on a thread where it
    /// may block; it goes on to its end even if the one who waits goes away.
    pub async fn wait(
        &self,
        round: &Round,
        sync: impl Fn() + Clone + Send + 'static,
    ) -> Result<(), SyncError> {
        loop {
            if let Some(outcome) = round.outcome() {
                return outcome;
            }
            let alone = Arc::clone(&self.0).lock_owned().await;
            if round.outcome().is_none() {
                let sync = sync.clone();
                let synced = tokio::task::spawn_blocking(move || {
                    sync();
                    drop(alone);
                });
                synced
                    .await
                    .map_err(|error| Arc::new(io::Error::other(error)))?;
            }
        }
    }
}
