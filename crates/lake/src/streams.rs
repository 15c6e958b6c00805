//! Delivery streams: what they are, what they keep, and how it becomes objects.

mod batch;
mod buffer;
mod compression;
mod configuration;
mod definition;
mod delivery;
mod destination;
mod prefix;
mod stream;
mod timestamp_pattern;
mod violations;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::task::AbortHandle;
use uuid::Uuid;

pub use batch::RecordBatch;
pub use buffer::frame;
pub use buffer::frame_file;
pub use configuration::{S3Configuration, Shape};
pub use definition::Definition;
pub use delivery::{Delivery, DeliveryError};
pub use destination::Destination;
pub use stream::{AppendError, Stream};
pub use violations::{Refusal, Violations};

use crate::durability::SyncMode;
use crate::limits;

/// The version of every stream's destination: they cannot be changed.
pub const VERSION_ID: &str = "1";

const LOCK_FILE: &str = ".lock";
const REJECTED: &str = ".rejected";
/// What a folder's name begins with while it is being made or removed.
const UNFINISHED: &str = ".unfinished-";

/// All delivery streams of a lake, each with a task that delivers what it is given.
pub struct Streams {
    root: PathBuf,
    delivery: Delivery,
    streams: RwLock<BTreeMap<String, Running>>,
    sync: SyncMode,
    /// Held while a stream is created or deleted: one at a time.
    changing: tokio::sync::Mutex<()>,
    /// Says that this process owns the buffers. Released when the process ends, however it does.
    _lock: File,
}

struct Running {
    stream: Arc<Stream>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a stream could not be created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one of that name.
    #[error("the delivery stream exists")]
    Exists,
    /// There are as many as there may be.
    #[error(
        "there are {} delivery streams, which is the limit",
        limits::DELIVERY_STREAMS
    )]
    TooMany,
    /// It could not be stored.
    #[error("the delivery stream cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl Streams {
    /// The streams stored in `root`, whose records are kept as `sync` says. Those that cannot be read are set aside and told
    /// of in the log. Fails if another lake uses the folder.
    pub fn open(root: PathBuf, delivery: Delivery, sync: SyncMode) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let lock = File::create(root.join(LOCK_FILE))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another lake is running on {}", root.display());
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let streams = Self {
            root,
            delivery,
            sync,
            streams: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            _lock: lock,
        };
        streams.take_up_all()?;
        Ok(streams)
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<Arc<Stream>> {
        self.read()
            .get(name)
            .map(|running| Arc::clone(&running.stream))
    }

    /// All streams, by name.
    pub fn all(&self) -> Vec<(String, Arc<Stream>)> {
        self.read()
            .iter()
            .map(|(name, running)| (name.clone(), Arc::clone(&running.stream)))
            .collect()
    }

    /// The names of streams after `after`, and whether there are more than `limit`.
    pub fn names(&self, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
        let streams = self.read();
        let mut names = streams
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after));
        let page: Vec<String> = names.by_ref().take(limit).cloned().collect();
        (page, names.next().is_some())
    }

    /// Creates a stream, and its bucket if that is missing.
    pub async fn create(
        &self,
        definition: Definition,
        destination: Destination,
    ) -> Result<(), CreateError> {
        let _alone = self.changing.lock().await;
        if self.find(&definition.name).is_some() {
            return Err(CreateError::Exists);
        }
        if self.read().len() >= limits::DELIVERY_STREAMS {
            return Err(CreateError::TooMany);
        }
        self.delivery.objects.create_bucket(&destination.bucket)?;
        let folder = self.root.join(folder_name(&definition.name));
        let unfinished = self.root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        fs::create_dir(&unfinished)?;
        definition.store(&unfinished)?;
        fs::rename(&unfinished, &folder)?;
        File::open(&self.root)?.sync_all()?;
        let (stream, _) = Stream::open(folder, definition, destination, self.sync)?;
        self.start(stream);
        Ok(())
    }

    /// Deletes a stream with all that it has not delivered. `false` if there is none.
    pub async fn delete(&self, name: &str) -> io::Result<bool> {
        let _alone = self.changing.lock().await;
        let Some(stream) = self.find(name) else {
            return Ok(false);
        };
        stream.delete();
        // An object that is being written is finished first.
        let _idle = stream.delivering.lock().await;
        // Renaming it away deletes it in one step, whatever becomes of the rest.
        let doomed = self.root.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        fs::rename(self.root.join(folder_name(name)), &doomed)?;
        File::open(&self.root)?.sync_all()?;
        self.streams
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(doomed));
        removed.await?.map(|()| true)
    }

    /// Delivers everything that every stream has buffered now. All streams are tried; the first error is given with its
    /// stream's name.
    pub async fn flush(&self) -> Result<(), (String, DeliveryError)> {
        let mut outcome = Ok(());
        for (name, stream) in self.all() {
            let flushed = self.delivery.flush(&stream).await;
            outcome = outcome.and(flushed.map_err(|error| (name, error)));
        }
        outcome
    }

    /// Stops delivering. An object that is being written is finished; what is buffered stays for the next time.
    pub async fn stop(&self) {
        for (_, stream) in self.all() {
            stream.stop();
            let _idle = stream.delivering.lock().await;
        }
    }

    fn take_up_all(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.starts_with(UNFINISHED) {
                // What an interrupted creation or deletion left. If it cannot go now, then next time.
                let _ = fs::remove_dir_all(entry.path());
            } else if !name.starts_with('.') && entry.file_type()?.is_dir() {
                self.take_up(&entry.path());
            }
        }
        Ok(())
    }

    fn take_up(&self, folder: &Path) {
        match load(folder, self.sync) {
            Ok((stream, notes)) => {
                let name = &stream.name;
                notes
                    .iter()
                    .for_each(|note| self.delivery.logger.warn(format_args!("{name}: {note}")));
                self.start(stream);
            }
            Err(error) => self.reject(folder, &error),
        }
    }

    /// Sets a stream aside that cannot be taken up, with whatever it has buffered.
    fn reject(&self, folder: &Path, error: &io::Error) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let aside = self
            .root
            .join(REJECTED)
            .join(format!("{name}-{}", Uuid::new_v4()));
        let moved =
            fs::create_dir_all(self.root.join(REJECTED)).and_then(|()| fs::rename(folder, &aside));
        let kept = if moved.is_ok() { &aside } else { folder };
        self.delivery.logger.error(format_args!(
            "the delivery stream in {} cannot be read and is not served: {error}; it is kept in {}",
            folder.display(),
            kept.display()
        ));
    }

    fn start(&self, stream: Stream) {
        let name = stream.name.clone();
        let stream = Arc::new(stream);
        let task = tokio::spawn(self.delivery.clone().run(Arc::clone(&stream))).abort_handle();
        self.streams
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Running { stream, task });
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Running>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(folder: &Path, sync: SyncMode) -> io::Result<(Stream, Vec<String>)> {
    let definition = Definition::load(folder)?;
    let destination =
        Destination::parse(&definition.name, definition.shape, &definition.destination)
            .map_err(|refusal| io::Error::other(refusal.to_string()))?;
    let (stream, recovered) = Stream::open(folder.to_owned(), definition, destination, sync)?;
    Ok((stream, recovered.notes))
}

/// A stream's folder: its name, but that names may begin with a dot, or be `.` or `..`, and folders may not.
fn folder_name(name: &str) -> String {
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stream_is_named_into_another_place() {
        for (name, folder) in [
            ("ecs-stream", "ecs-stream"),
            (".", "%2E"),
            ("..", "%2E."),
            (".lock", "%2Elock"),
            ("a..", "a.."),
        ] {
            assert_eq!(folder_name(name), folder);
        }
    }
}
