//! A disk for the tests of the log.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::fs::{File, Fs};

/// A file system in memory that can be full, and can fail to sync and to read.
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: HashMap<PathBuf, Content>,
    failing_truncates: bool,
    /// How many bytes may still be written; no limit if none.
    room: Option<usize>,
    failing_syncs: usize,
    failing_reads: usize,
    /// How many reads succeed before they fail.
    good_reads: usize,
    /// How many bytes were read so far.
    bytes_read: usize,
}

type Content = Arc<Mutex<Bytes>>;

#[derive(Default)]
struct Bytes {
    /// What processes see.
    seen: Vec<u8>,
    /// How much of it is on the disk; what a failed sync left out never gets there.
    synced: usize,
    /// A sync failed and took something for written that is not.
    is_broken: bool,
}

struct MemoryFile {
    fs: Memory,
    content: Content,
}

impl Memory {
    pub fn set_room(&self, room: Option<usize>) {
        self.0.lock().unwrap().room = room;
    }

    pub fn fail_syncs(&self, count: usize) {
        self.0.lock().unwrap().failing_syncs = count;
    }

    /// How many bytes were read so far.
    pub fn bytes_read(&self) -> usize {
        self.0.lock().unwrap().bytes_read
    }

    /// So many reads fail from now on.
    pub fn fail_reads(&self, count: usize) {
        let mut state = self.0.lock().unwrap();
        (state.failing_reads, state.good_reads) = (count, 0);
    }

    /// After so many, every read fails.
    pub fn fail_reads_after(&self, count: usize) {
        let mut state = self.0.lock().unwrap();
        (state.failing_reads, state.good_reads) = (usize::MAX, count);
    }

    /// Whether files can be cut.
    pub fn fail_truncates(&self, fail: bool) {
        self.0.lock().unwrap().failing_truncates = fail;
    }

    /// What was not synced is gone.
    pub fn lose_power(&self) {
        let state = self.0.lock().unwrap();
        for content in state.files.values() {
            let mut content = content.lock().unwrap();
            let synced = content.synced;
            content.seen.truncate(synced);
        }
    }

    /// Of what was not synced the end is there, and before that there is room without content.
    pub fn lose_power_out_of_order(&self) {
        let state = self.0.lock().unwrap();
        for content in state.files.values() {
            let mut content = content.lock().unwrap();
            let (synced, len) = (content.synced, content.seen.len());
            content.seen[synced..synced + (len - synced) / 2].fill(0);
            content.synced = len;
        }
    }

    pub fn names(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let names = state
            .files
            .keys()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    pub fn content(&self, name: &str) -> Vec<u8> {
        let state = self.0.lock().unwrap();
        state.files[Path::new("/log").join(name).as_path()]
            .lock()
            .unwrap()
            .seen
            .clone()
    }

    pub fn put(&self, name: &str, content: &[u8]) {
        let path = Path::new("/log").join(name);
        let content = Bytes {
            seen: content.to_vec(),
            synced: content.len(),
            is_broken: false,
        };
        let content = Arc::new(Mutex::new(content));
        self.0.lock().unwrap().files.insert(path, content);
    }
}

impl Fs for Memory {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.0.lock().unwrap();
        if state.files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let content = Content::default();
        state.files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(MemoryFile {
            fs: self.clone(),
            content,
        }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let state = self.0.lock().unwrap();
        let content = state.files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(MemoryFile {
            fs: self.clone(),
            content: Arc::clone(content),
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let content = state.files.remove(from).ok_or(ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), content);
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.0.lock().unwrap().files.remove(path);
        removed.map(drop).ok_or(ErrorKind::NotFound.into())
    }
    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.names())
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.fs.0.lock().unwrap();
        let fitting = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if let Some(room) = &mut state.room {
            *room -= fitting;
        }
        self.content
            .lock()
            .unwrap()
            .seen
            .extend_from_slice(&bytes[..fitting]);
        match fitting == bytes.len() {
            true => Ok(()),
            false => Err(ErrorKind::StorageFull.into()),
        }
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.fs.0.lock().unwrap();
        if state.good_reads > 0 {
            state.good_reads -= 1;
        } else if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return Err(io::Error::from_raw_os_error(5));
        }
        drop(state);
        let content = self.content.lock().unwrap();
        let rest = content.seen.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        drop(content);
        self.fs.0.lock().unwrap().bytes_read += count;
        Ok(count)
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().seen.len() as u64)
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.fs.0.lock().unwrap().failing_truncates {
            return Err(io::Error::from_raw_os_error(5));
        }
        let mut content = self.content.lock().unwrap();
        content.seen.truncate(length as usize);
        content.synced = content.synced.min(length as usize);
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.fs.0.lock().unwrap();
        match state.failing_syncs.checked_sub(1) {
            Some(left) => {
                state.failing_syncs = left;
                self.content.lock().unwrap().is_broken = true;
                Err(io::Error::from_raw_os_error(5))
            }
            None => {
                let mut content = self.content.lock().unwrap();
                if !content.is_broken {
                    content.synced = content.seen.len();
                }
                Ok(())
            }
        }
    }
}
