//! Log groups: the log streams they have, the events they keep, and how these are found again.
//!
//! ```text
//!  DIR/logs/ID/group.json     what the group is
//!  DIR/logs/ID/streams.log    its log streams, a frame for each that was created or deleted
//!  DIR/logs/ID/N.events       a segment: a frame for each put call, of whatever stream
//!  DIR/logs/ID/N.index        what a full segment holds: an entry per frame
//!  DIR/logs/ID/quarantine/    what was damaged
//! ```
//!
//! What is acknowledged is on disk. In memory are the settings, the names of streams, a few words per segment and the
//! index of the segment that takes events; no event is.

mod definition;
mod events;
pub mod filter_pattern;
mod group;
mod index;
mod meters;
mod page;
mod position;
mod read;
mod recovery;
mod segment;
mod stream_log;
mod streams;
mod upkeep;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use uuid::Uuid;

pub use definition::Definition;
pub use events::{Events, take};
pub use group::{Group, GroupError};
pub use meters::LogMeters;
pub use page::{Direction, Event};
pub use position::Position;
pub use read::{Page, Query};
pub use streams::{LogStream, Streams};

use crate::durability::SyncMode;
use crate::limits;
use crate::log::Logger;

const REJECTED: &str = ".rejected";
/// What a folder's name begins with while it is being made or removed.
const UNFINISHED: &str = ".unfinished-";

/// All log groups of a lake, with a task that gives back what expires.
pub struct LogGroups {
    shared: Arc<Shared>,
    upkeep: AbortHandle,
}

struct Shared {
    root: PathBuf,
    logger: Logger,
    meters: Arc<LogMeters>,
    sync: SyncMode,
    groups: RwLock<BTreeMap<String, Arc<Group>>>,
    wake: Notify,
    /// Held while a group is created or deleted: one at a time.
    changing: tokio::sync::Mutex<Life>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Stopped,
}

/// Why a group could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one of that name.
    #[error("The specified log group already exists")]
    Exists,
    /// There are as many as there may be.
    #[error("Resource limit exceeded.")]
    TooMany,
    /// The lake is going down.
    #[error("The lake is going down.")]
    Stopped,
    /// It could not be stored.
    #[error("The log group cannot be stored: {0}")]
    Io(#[from] io::Error),
}

/// The time, in ms.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl LogGroups {
    /// The groups stored in `root`, whose events are kept as `sync` says. Those that cannot be read are set aside and told of in the log. Has to be called
    /// inside a runtime, by whoever owns the data folder.
    pub fn open(root: PathBuf, logger: Logger, sync: SyncMode) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let shared = Arc::new(Shared {
            root,
            logger,
            meters: Arc::default(),
            sync,
            groups: RwLock::default(),
            wake: Notify::new(),
            changing: tokio::sync::Mutex::new(Life::Running),
        });
        shared.take_up_all()?;
        let upkeep = tokio::spawn(Arc::clone(&shared).look_after()).abort_handle();
        Ok(Self { shared, upkeep })
    }

    /// The numbers of all groups together.
    pub fn meters(&self) -> &LogMeters {
        &self.shared.meters
    }

    /// The group of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Group>> {
        self.shared.find(name)
    }

    /// Groups whose names come after `after`, by name, as many as `take` says it takes.
    pub fn after(&self, after: Option<&str>, mut take: impl FnMut(&Arc<Group>) -> bool) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.shared.read(|groups| {
            for (_, group) in groups.range::<str, _>((from, Bound::Unbounded)) {
                if !take(group) {
                    break;
                }
            }
        });
    }

    /// Creates a group. Goes on to its end even if the one who waits goes away.
    pub async fn create(&self, definition: Definition) -> Result<(), CreateError> {
        let shared = Arc::clone(&self.shared);
        let created = tokio::spawn(async move { shared.create(definition).await });
        created.await.map_err(io::Error::other)?
    }

    /// Deletes a group with all that is in it. `false` if there is none. Goes on to its end, too.
    pub async fn delete(&self, name: &str) -> io::Result<bool> {
        let shared = Arc::clone(&self.shared);
        let name = name.to_owned();
        let deleted = tokio::spawn(async move { shared.delete(&name).await });
        deleted.await?
    }

    /// Gives back the room of expired events now, without waiting for the next look.
    pub fn look_after_soon(&self) {
        self.shared.wake.notify_one();
    }

    /// Takes no more changes. What was appended is put on disk.
    pub async fn stop(&self) {
        *self.shared.changing.lock().await = Life::Stopped;
        self.upkeep.abort();
        for group in self.shared.all() {
            group.stop().await;
        }
    }
}

impl Drop for LogGroups {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&BTreeMap<String, Arc<Group>>) -> T) -> T {
        look(&self.groups.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, name: &str) -> Option<Arc<Group>> {
        self.read(|groups| groups.get(name).cloned())
    }

    async fn create(self: Arc<Self>, definition: Definition) -> Result<(), CreateError> {
        let life = self.changing.lock().await;
        if *life == Life::Stopped {
            return Err(CreateError::Stopped);
        }
        if self.find(&definition.name).is_some() {
            return Err(CreateError::Exists);
        }
        if self.read(BTreeMap::len) >= limits::LOG_GROUPS {
            return Err(CreateError::TooMany);
        }
        let shared = Arc::clone(&self);
        let group = tokio::task::spawn_blocking(move || shared.store(&definition));
        let group = group.await.map_err(io::Error::other)??;
        self.insert(group);
        Ok(())
    }

    async fn delete(self: Arc<Self>, name: &str) -> io::Result<bool> {
        let _alone = self.changing.lock().await;
        let Some(group) = self.find(name) else {
            return Ok(false);
        };
        // Renaming it away deletes it in one step, whatever becomes of the rest.
        let doomed = self.root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        fs::rename(&group.folder, &doomed)?;
        group.delete();
        self.groups
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let root = self.root.clone();
        let removed = tokio::task::spawn_blocking(move || {
            File::open(root)?.sync_all()?;
            fs::remove_dir_all(doomed)
        });
        removed.await?.map(|()| true)
    }

    fn all(&self) -> Vec<Arc<Group>> {
        self.read(|groups| groups.values().cloned().collect())
    }

    fn insert(&self, group: Group) {
        self.groups
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group.name.clone(), Arc::new(group));
    }

    /// Stores a new group.
    fn store(&self, definition: &Definition) -> io::Result<Group> {
        let id = Uuid::new_v4();
        let unfinished = self.root.join(format!("{UNFINISHED}{id}"));
        let folder = self.root.join(id.to_string());
        fs::create_dir(&unfinished)?;
        definition.store(&unfinished)?;
        fs::rename(&unfinished, &folder)?;
        File::open(&self.root)?.sync_all()?;
        self.take_up(&folder)
    }

    fn take_up_all(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) {
                // What an interrupted creation or deletion left. If it cannot go now, then next time.
                let _ = fs::remove_dir_all(entry.path());
            } else if !name.starts_with('.') && entry.file_type()?.is_dir() {
                match self.take_up(&entry.path()) {
                    Ok(group) if self.find(&group.name).is_some() => {
                        let message = format!("there is another group named {}", group.name);
                        self.reject(&entry.path(), &io::Error::other(message));
                    }
                    Ok(group) => self.insert(group),
                    Err(error) => self.reject(&entry.path(), &error),
                }
            }
        }
        Ok(())
    }

    fn take_up(&self, folder: &Path) -> io::Result<Group> {
        recovery::open(
            folder,
            self.logger.clone(),
            Arc::clone(&self.meters),
            self.sync,
        )
    }

    /// Sets a group aside that cannot be taken up.
    fn reject(&self, folder: &Path, error: &io::Error) {
        let aside = self.root.join(REJECTED);
        let kept = aside.join(folder.file_name().unwrap_or_default());
        let moved = fs::create_dir_all(&aside).and_then(|()| fs::rename(folder, &kept));
        let kept = if moved.is_ok() { &kept } else { folder };
        self.logger.error(format_args!(
            "the log group in {} cannot be read and is not served: {error}; it is kept in {}",
            folder.display(),
            kept.display()
        ));
    }

    async fn look_after(self: Arc<Self>) {
        loop {
            // Not waking up early is what the time-out is for.
            let _ = tokio::time::timeout(limits::LOG_UPKEEP, self.wake.notified()).await;
            for group in self.all() {
                let looked = tokio::task::spawn_blocking(move || group.look_after(now()));
                let _ = looked.await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
