//! Data streams, as Kinesis has them: shards that keep every record in order until it expires.
//!
//! ```text
//!  DIR/data-streams/NAME/stream.json        what the stream is
//!  DIR/data-streams/NAME/SHARD/N.records    a segment: a frame for what each put call brought, N its first record
//! ```
//!
//! What is acknowledged is in a file. In memory are the settings and a few words per segment; no record is.

mod definition;
mod hash_range;
mod read;
mod records;
mod segments;
mod shard;
mod stream;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::task::AbortHandle;
use uuid::Uuid;

pub use definition::{Definition, Mode};
pub use read::{Batch, Cursor};
pub use records::RecordGroup;
pub use shard::{PutError, Shard};
pub use stream::{DataStream, Places};

use crate::durability::SyncMode;
use crate::limits;
use crate::log::Logger;

/// What a folder's name begins with while it is being made or removed.
const UNFINISHED: &str = ".unfinished-";
const REJECTED: &str = ".rejected";

type Map = RwLock<BTreeMap<String, Arc<DataStream>>>;

/// All data streams of a lake, with a task that gives back what expires.
pub struct DataStreams {
    root: PathBuf,
    streams: Arc<Map>,
    sync: SyncMode,
    /// Held while a stream is created or deleted: one at a time.
    changing: tokio::sync::Mutex<()>,
    logger: Logger,
    upkeep: AbortHandle,
}

impl Drop for DataStreams {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

/// Why a stream could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one of that name.
    #[error("the stream exists")]
    Exists,
    /// There are `present` shards already.
    #[error(
        "there are {present} shards, and no more than {} can be",
        limits::SHARDS
    )]
    TooManyShards {
        /// The shards of all streams now.
        present: usize,
    },
    /// It could not be stored.
    #[error("the stream cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl DataStreams {
    /// The streams stored in `root`, whose records are kept as `sync` says. Those that cannot be read are set aside and told of in the log. The caller makes sure
    /// that no other lake uses the folder. Needs a runtime.
    pub fn open(root: PathBuf, logger: Logger, sync: SyncMode) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let mut streams = BTreeMap::new();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(UNFINISHED) {
                // What an interrupted creation or deletion left. If it cannot go now, then next time.
                let _ = fs::remove_dir_all(entry.path());
            } else if !name.starts_with('.') && entry.file_type()?.is_dir() {
                match DataStream::load(entry.path(), &logger, sync) {
                    Ok(stream) => drop(streams.insert(stream.name.clone(), Arc::new(stream))),
                    Err(error) => reject(&root, &entry.path(), &error, &logger),
                }
            }
        }
        let streams = Arc::new(RwLock::new(streams));
        let upkeep = tokio::spawn(keep_up(Arc::clone(&streams), logger.clone())).abort_handle();
        Ok(Self {
            root,
            streams,
            sync,
            changing: tokio::sync::Mutex::default(),
            logger,
            upkeep,
        })
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<Arc<DataStream>> {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.get(name).map(Arc::clone)
    }

    /// The streams after `after`, by name, and whether there are more than `limit`.
    pub fn page(&self, after: Option<&str>, limit: usize) -> (Vec<Arc<DataStream>>, bool) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let mut streams = streams
            .iter()
            .filter(|(name, _)| after.is_none_or(|after| name.as_str() > after))
            .map(|(_, stream)| Arc::clone(stream));
        let page = streams.by_ref().take(limit).collect();
        (page, streams.next().is_some())
    }

    /// The shards of all streams together.
    pub fn shard_count(&self) -> usize {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        streams.values().map(|stream| stream.shards().len()).sum()
    }

    /// Creates a stream.
    pub async fn create(&self, definition: Definition) -> Result<(), CreateError> {
        let _alone = self.changing.lock().await;
        if self.find(&definition.name).is_some() {
            return Err(CreateError::Exists);
        }
        let present = self.shard_count();
        if present + definition.shards as usize > limits::SHARDS {
            return Err(CreateError::TooManyShards { present });
        }
        let unfinished = self.root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        let folder = self.root.join(folder_name(&definition.name));
        fs::create_dir(&unfinished)?;
        definition.store(&unfinished)?;
        fs::rename(&unfinished, &folder)?;
        File::open(&self.root)?.sync_all()?;
        let stream = Arc::new(DataStream::load(folder, &self.logger, self.sync)?);
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.insert(definition.name, stream);
        Ok(())
    }

    /// Deletes a stream with all its records. `false` if there is none.
    pub async fn delete(&self, name: &str) -> io::Result<bool> {
        let _alone = self.changing.lock().await;
        let Some(stream) = self.find(name) else {
            return Ok(false);
        };
        stream.end();
        // Renaming it away deletes it in one step, whatever becomes of the rest.
        let doomed = self.root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        fs::rename(self.root.join(folder_name(name)), &doomed)?;
        File::open(&self.root)?.sync_all()?;
        self.streams
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        tokio::task::spawn_blocking(move || fs::remove_dir_all(doomed)).await??;
        Ok(true)
    }

    /// Takes no more records: the lake is going down.
    pub fn stop(&self) {
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.values() {
            stream.end();
            if let Err(error) = stream.store_delivered() {
                let name = &stream.name;
                let logger = &self.logger;
                logger.warn(format_args!(
                    "{name}: what was delivered is not stored and read at the next start: {error}"
                ));
            }
        }
    }
}

/// Gives expired records back to the disk, again and again.
async fn keep_up(streams: Arc<Map>, logger: Logger) {
    loop {
        tokio::time::sleep(limits::SHARD_UPKEEP).await;
        let all: Vec<_> = streams
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .map(Arc::clone)
            .collect();
        for stream in all {
            let kept = Arc::clone(&stream);
            let looked = tokio::task::spawn_blocking(move || {
                kept.store_delivered()?;
                kept.expire(Timestamp::now())
            });
            let outcome = looked.await.map_err(io::Error::other).and_then(|one| one);
            if let Err(error) = outcome {
                let name = &stream.name;
                logger.warn(format_args!(
                    "{name}: what was delivered cannot be stored, or expired records not be removed, yet: {error}"
                ));
            }
        }
    }
}

/// Sets a stream aside that cannot be read.
fn reject(root: &Path, folder: &Path, error: &io::Error, logger: &Logger) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = root.join(REJECTED);
    let place = aside.join(format!("{name}-{}", Uuid::new_v4()));
    let moved = fs::create_dir_all(&aside).and_then(|()| fs::rename(folder, &place));
    let kept = if moved.is_ok() { &place } else { folder };
    logger.error(format_args!(
        "the data stream in {} cannot be read and is not served: {error}; it is kept in {}",
        folder.display(),
        kept.display()
    ));
}

/// A stream's folder: its name, but that names may begin with a dot, or be `.` or `..`, and folders may not.
fn folder_name(name: &str) -> String {
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name.to_owned(),
    }
}
