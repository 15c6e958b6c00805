//! How far each output is, and which chunks were taken: a file beside the segments that only grows, and is written anew
//! when it has grown enough. The one before it stays, in case the newest cannot be read.
//!
//! Everything in it only ever grows, so what two generations say can simply be added up, and what is lost of it leads
//! to a repetition, never to a loss.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::fs::{File, Fs};

use super::format::{BadHeader, ChunkId, Frame, Header, Kind};
use super::progress::Progress;
use super::scan;
use super::segment::content_of;
use super::{NewerVersion, OpenError, Settings};

/// The file is written anew when it is this long and twice as long as it was then.
const COMPACT_AT: u64 = 1 << 20;
/// The name under which the log itself notes which numbers are on no disk any more.
const RELEASED: &str = "";

/// The chunks that were taken last. Shared with those who ask.
#[derive(Debug, Default)]
pub struct Chunks {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    limit: usize,
    kept: HashSet<ChunkId>,
    /// In the order in which they came.
    order: VecDeque<ChunkId>,
    /// Taken, but not yet safe.
    pending: HashSet<ChunkId>,
}

/// What is known of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkState {
    /// It never came, or too long ago.
    New,
    /// It is on its way to the disk: it may be neither acknowledged nor taken once more.
    Pending,
    /// It is safe: it may be acknowledged, and must not be taken once more.
    Kept,
}

impl Chunks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `chunk`.
    pub fn state(&self, chunk: &ChunkId) -> ChunkState {
        let known = self.lock();
        if known.kept.contains(chunk) {
            ChunkState::Kept
        } else if known.pending.contains(chunk) {
            ChunkState::Pending
        } else {
            ChunkState::New
        }
    }

    /// Whether no chunk is known.
    pub fn is_empty(&self) -> bool {
        let known = self.lock();
        known.kept.is_empty() && known.pending.is_empty()
    }

    pub(super) fn begin(&self, chunks: &[ChunkId]) {
        if !chunks.is_empty() {
            self.lock().pending.extend(chunks);
        }
    }

    /// Notes that `chunks` are safe.
    pub(super) fn keep(&self, chunks: &[ChunkId]) {
        if chunks.is_empty() {
            return;
        }
        let mut known = self.lock();
        for chunk in chunks {
            known.pending.remove(chunk);
            if known.kept.insert(*chunk) {
                known.order.push_back(*chunk);
            }
        }
        while known.order.len() > known.limit {
            if let Some(oldest) = known.order.pop_front() {
                known.kept.remove(&oldest);
            }
        }
    }

    fn all(&self) -> Vec<ChunkId> {
        self.lock().order.iter().copied().collect()
    }
}

/// See the module's documentation.
pub struct Cursors {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    new_uuid: fn() -> [u8; 16],
    generation: u64,
    /// The newest file, unless it cannot be relied on.
    file: Option<Open>,
    progress: BTreeMap<Arc<str>, Progress>,
    pub chunks: Arc<Chunks>,
}

struct Open {
    file: Box<dyn File>,
    uuid: [u8; 16],
    len: u64,
    /// The length after it was written anew.
    fresh: u64,
    is_synced: bool,
}

impl Cursors {
    /// Reads what is in `folder`. Damage is passed over: what it held is delivered again.
    ///
    /// # Errors
    /// When the folder or a file cannot be read, or a newer version has written one.
    pub fn open(fs: &Arc<dyn Fs>, settings: &Settings) -> Result<Cursors, OpenError> {
        let chunks = Chunks::default();
        chunks.lock().limit = settings.chunks_max;
        let mut cursors = Cursors {
            fs: Arc::clone(fs),
            folder: settings.folder.clone(),
            new_uuid: settings.new_uuid,
            generation: 0,
            file: None,
            progress: BTreeMap::new(),
            chunks: Arc::new(chunks),
        };
        let no_folder = |error| OpenError::Folder {
            folder: settings.folder.clone(),
            error,
        };
        for generation in generations(&**fs, &settings.folder).map_err(no_folder)? {
            let path = path(&settings.folder, generation);
            cursors.generation = generation;
            let bytes = match content_of(&**fs, &path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(OpenError::Unreadable { path, error }),
                Ok(bytes) => bytes,
            };
            match Header::read(&bytes, Kind::Cursors) {
                Err(BadHeader::Newer(version)) => return Err(NewerVersion { path, version }.into()),
                Err(BadHeader::Short | BadHeader::Damaged) => {}
                Ok(header) => cursors.apply(&bytes, &header),
            }
        }
        Ok(cursors)
    }

    fn apply(&mut self, bytes: &[u8], header: &Header) {
        let mut entries = Vec::new();
        scan::scan(bytes, &header.uuid, |found| {
            entries.extend(Frame::read(&found.head, found.payload));
        });
        for entry in entries {
            self.chunks.keep(&entry.chunks);
            if let (Some(name), Some(progress)) =
                (entry.routes.first(), Progress::read(&entry.body))
            {
                self.progress
                    .entry(Arc::clone(name))
                    .or_default()
                    .merge(&progress);
            }
        }
    }

    /// How far the output `name` is, if it was ever heard of.
    pub fn progress(&self, name: &str) -> Option<&Progress> {
        self.progress.get(name)
    }

    /// The numbers that nothing is stored for any more.
    pub fn released(&self) -> Progress {
        self.progress.get(RELEASED).cloned().unwrap_or_default()
    }

    /// No number below was ever given to a record that may still come.
    pub fn top(&self) -> u64 {
        self.progress.values().map(Progress::top).max().unwrap_or(0)
    }

    /// Notes how far an output is.
    ///
    /// # Errors
    /// When that is not in the file; it is known all the same, and written with the next call.
    pub fn advance(&mut self, name: &Arc<str>, progress: Progress) -> io::Result<()> {
        let known = self.progress.entry(Arc::clone(name)).or_default();
        if *known == progress && self.file.is_some() {
            return Ok(());
        }
        *known = progress;
        let mut body = Vec::new();
        known.write(&mut body);
        self.append(&Frame {
            routes: vec![Arc::clone(name)],
            body,
            ..Frame::default()
        })
    }

    /// Notes that the numbers of a segment are on no disk any more, and the chunks that were completed in it.
    ///
    /// # Errors
    /// As for [`Cursors::advance`].
    pub fn release(&mut self, range: std::ops::Range<u64>, chunks: &[ChunkId]) -> io::Result<()> {
        let name: Arc<str> = Arc::from(RELEASED);
        let released = self.progress.entry(Arc::clone(&name)).or_default();
        released.add(range);
        let mut body = Vec::new();
        released.write(&mut body);
        self.append(&Frame {
            routes: vec![name],
            chunks: chunks.to_vec(),
            body,
            ..Frame::default()
        })
    }

    /// Notes chunks that were taken and stand in no segment.
    ///
    /// # Errors
    /// As for [`Cursors::advance`].
    pub fn remember(&mut self, chunks: &[ChunkId]) -> io::Result<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        self.chunks.keep(chunks);
        self.append(&Frame {
            chunks: chunks.to_vec(),
            ..Frame::default()
        })
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// When that is not certain.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.file else {
            return self.renew();
        };
        if open.is_synced {
            return Ok(());
        }
        let result = open.file.sync();
        if result.is_ok() {
            open.is_synced = true;
            return result;
        }
        // What this file holds cannot be known any more.
        self.file = None;
        self.renew()
    }

    fn append(&mut self, entry: &Frame) -> io::Result<()> {
        let Some(open) = &mut self.file else {
            return self.renew();
        };
        let mut bytes = Vec::new();
        entry.write(&open.uuid, &mut bytes);
        if let Err(error) = open.file.append(&bytes) {
            self.file = None;
            return Err(error);
        }
        open.is_synced = false;
        open.len += bytes.len() as u64;
        if open.len > COMPACT_AT.max(2 * open.fresh) {
            return self.renew();
        }
        Ok(())
    }

    /// Writes everything into a new file, and removes those before the last one.
    fn renew(&mut self) -> io::Result<()> {
        let uuid = (self.new_uuid)();
        let header = Header {
            kind: Kind::Cursors,
            uuid,
            origin: [0; 16],
            first: self.generation + 1,
            created: super::now(),
        };
        let mut bytes = header.write().to_vec();
        for chunks in self.chunks.all().chunks(1024) {
            let entry = Frame {
                chunks: chunks.to_vec(),
                ..Frame::default()
            };
            entry.write(&uuid, &mut bytes);
        }
        for (name, progress) in &self.progress {
            let mut body = Vec::new();
            progress.write(&mut body);
            let entry = Frame {
                routes: vec![Arc::clone(name)],
                body,
                ..Frame::default()
            };
            entry.write(&uuid, &mut bytes);
        }
        let (beside, path) = (
            self.folder.join("cursors.new"),
            path(&self.folder, self.generation + 1),
        );
        let _ = self.fs.remove(&beside);
        let mut file = self.fs.create(&beside)?;
        file.append(&bytes)?;
        file.sync()?;
        self.fs.rename(&beside, &path)?;
        self.fs.sync_dir(&self.folder)?;
        self.generation += 1;
        let len = bytes.len() as u64;
        self.file = Some(Open {
            file,
            uuid,
            len,
            fresh: len,
            is_synced: true,
        });
        for old in generations(&*self.fs, &self.folder)? {
            if old + 1 < self.generation {
                // One that stays says nothing wrong, and is tried again next time.
                let _ = self.fs.remove(&self::path(&self.folder, old));
            }
        }
        Ok(())
    }
}

fn path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("cursors.{generation:016x}"))
}

fn generations(fs: &dyn Fs, folder: &Path) -> io::Result<Vec<u64>> {
    let names = fs.list(folder)?;
    let mut found: Vec<u64> = names
        .iter()
        .filter_map(|name| u64::from_str_radix(name.strip_prefix("cursors.")?, 16).ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}
