//! A simulated file system: what was not synced can be lost, torn and reordered when the power goes, the disk can be full,
//! and every call can fail as it does on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buffer::fs::{File, Fs};

use crate::dice::Dice;
use crate::world::World;

mod content;

use content::Content;

const EIO: i32 = 5;
/// Nobody is there to hear of it any more.
const ESRCH: i32 = 3;
const ENOSPC: i32 = 28;

/// What goes wrong, as probabilities per call.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFaults {
    /// Appending fails after a part was written.
    pub append: f64,
    /// Opening or reading a file fails.
    pub read: f64,
    /// Syncing a file fails; what was to be synced is forgotten, as Linux does.
    pub sync: f64,
    /// Making, renaming, removing, listing or syncing names fails.
    pub names: f64,
}

/// The disk of a machine. It outlives processes; what they opened does not.
pub struct SimDisk(Mutex<State>);

struct State {
    files: Vec<Content>,
    /// What processes see.
    names: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    /// What is there after a loss of power.
    durable_names: BTreeMap<PathBuf, usize>,
    durable_folders: BTreeSet<PathBuf>,
    /// What was done to names since their folder was synced.
    unsynced: Vec<NameChange>,
    /// Counts the processes: what belonged to an earlier one does nothing.
    process: u32,
    dice: Dice,
    faults: DiskFaults,
    is_full: bool,
    /// Syncs succeed and do nothing: a fault of the simulation itself, for its own tests.
    syncs_nothing: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Folder(PathBuf),
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl NameChange {
    fn folder(&self) -> Option<&Path> {
        match self {
            NameChange::Folder(path) | NameChange::Create(path, _) | NameChange::Remove(path) => {
                path.parent()
            }
            NameChange::Rename(_, to, _) => to.parent(),
        }
    }
}

impl SimDisk {
    /// An empty disk with a root folder.
    pub fn new(seed: u64) -> Arc<SimDisk> {
        let root = BTreeSet::from([PathBuf::from("/")]);
        Arc::new(SimDisk(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            folders: root.clone(),
            durable_names: BTreeMap::new(),
            durable_folders: root,
            unsynced: Vec::new(),
            process: 0,
            dice: Dice::new(seed),
            faults: DiskFaults::default(),
            is_full: false,
            syncs_nothing: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file system as the present process sees it, until it ends.
    pub fn mount(self: &Arc<SimDisk>) -> Arc<dyn Fs> {
        Arc::new(Mount {
            disk: Arc::clone(self),
            process: self.lock().process,
        })
    }

    /// Lets calls fail from now on.
    pub fn set_faults(&self, faults: DiskFaults) {
        self.lock().faults = faults;
    }

    /// Fills the disk up, or makes room.
    pub fn set_full(&self, is_full: bool) {
        self.lock().is_full = is_full;
    }

    /// Lets syncs do nothing.
    pub fn sync_nothing(&self) {
        self.lock().syncs_nothing = true;
    }

    /// The process is gone; what the system has of its files stays. What could not be synced may vanish from memory: returns
    /// that.
    pub fn kill(&self) -> Vec<u8> {
        let mut gone = Vec::new();
        let State {
            files,
            process,
            dice,
            ..
        } = &mut *self.lock();
        *process += 1;
        for file in files {
            if dice.chance(0.5) {
                file.evict(&mut gone);
            }
        }
        gone
    }

    /// Whether `is_meant` says so of what stands in a file.
    pub fn any_file(&self, is_meant: impl Fn(&[u8]) -> bool) -> bool {
        let state = self.lock();
        let mut files = state.names.values().map(|file| &state.files[*file]);
        files.any(|file| is_meant(file.bytes()))
    }

    /// The power goes: of what was not synced any part may be left.
    pub fn lose_power(&self) {
        let state = &mut *self.lock();
        state.process += 1;
        for change in state.surviving() {
            state.apply_durably(change);
        }
        state.names = state.durable_names.clone();
        state.folders = state.durable_folders.clone();
        let folders = &state.folders;
        let is_there = |path: &PathBuf| path.parent().is_none_or(|parent| folders.contains(parent));
        state.names.retain(|path, _| is_there(path));
        state.durable_names = state.names.clone();
        let State { files, dice, .. } = state;
        for file in files {
            file.lose_power(dice);
        }
    }

    /// Whether no file was ever made.
    pub fn is_unused(&self) -> bool {
        self.lock().files.is_empty()
    }

    /// The files there are and their lengths, for traces.
    pub fn describe(&self) -> String {
        let state = self.lock();
        let files = state.names.iter().map(|(path, file)| {
            let length = state.files[*file].bytes().len();
            format!("{} {length}", path.display())
        });
        files.collect::<Vec<_>>().join(", ")
    }
}

/// Whether `bytes` stand in `content`.
pub fn contains(content: &[u8], bytes: &[u8]) -> bool {
    content.windows(bytes.len()).any(|window| window == bytes)
}

impl State {
    /// The changes of names that are on the disk when the power goes: all up to some one, as a journal keeps them, or any.
    fn surviving(&mut self) -> Vec<NameChange> {
        let mut changes = std::mem::take(&mut self.unsynced);
        if changes.is_empty() {
            return changes;
        }
        if self.dice.chance(0.5) {
            changes.truncate(self.dice.count(0..changes.len() + 1));
        } else {
            changes.retain(|_| self.dice.chance(0.5));
        }
        changes
    }

    fn apply_durably(&mut self, change: NameChange) {
        match change {
            NameChange::Folder(path) => {
                self.durable_folders.insert(path);
            }
            NameChange::Create(path, file) => {
                self.durable_names.insert(path, file);
            }
            NameChange::Rename(from, to, file) => {
                if self.durable_names.get(&from) == Some(&file) {
                    self.durable_names.remove(&from);
                }
                self.durable_names.insert(to, file);
            }
            NameChange::Remove(path) => {
                self.durable_names.remove(&path);
            }
        }
    }

    /// Fails sometimes, and always for a process that is gone or dies with this very call.
    fn enter(&mut self, process: u32, rate: f64, call: &str, path: &Path) -> io::Result<()> {
        if process != self.process || !World::step_of_disk(call, path) {
            return Err(io::Error::from_raw_os_error(ESRCH));
        }
        if self.dice.chance(rate) {
            World::say_of_disk(|| format!("disk: {call} {} fails", path.display()));
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        self.unsynced.push(change);
    }
}

struct Mount {
    disk: Arc<SimDisk>,
    process: u32,
}

struct Handle {
    disk: Arc<SimDisk>,
    process: u32,
    path: PathBuf,
    file: usize,
}

impl Mount {
    fn handle(&self, path: &Path, file: usize) -> Box<dyn File> {
        Box::new(Handle {
            disk: Arc::clone(&self.disk),
            process: self.process,
            path: path.to_owned(),
            file,
        })
    }

    fn enter(&self, call: &str, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.lock();
        let rate = state.faults.names;
        state.enter(self.process, rate, call, path)?;
        Ok(state)
    }
}

impl Fs for Mount {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter("create_dir", path)?;
        let mut missing: Vec<&Path> = path
            .ancestors()
            .take_while(|above| !state.folders.contains(*above))
            .collect();
        missing.reverse();
        for folder in missing {
            state.folders.insert(folder.to_owned());
            state.change(NameChange::Folder(folder.to_owned()));
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.enter("create", path)?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        if !path
            .parent()
            .is_some_and(|parent| state.folders.contains(parent))
        {
            return Err(ErrorKind::NotFound.into());
        }
        if state.is_full {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), file);
        state.change(NameChange::Create(path.to_owned(), file));
        Ok(self.handle(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.disk.lock();
        let rate = state.faults.read;
        state.enter(self.process, rate, "open", path)?;
        match state.names.get(path) {
            Some(&file) => Ok(self.handle(path, file)),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.enter("rename", from)?;
        let file = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.change(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter("remove", path)?;
        state.names.remove(path).ok_or(ErrorKind::NotFound)?;
        state.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.enter("list", path)?;
        let inside = state
            .names
            .keys()
            .chain(&state.folders)
            .filter(|name| name.parent() == Some(path));
        let names = inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_owned()));
        Ok(names.collect())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter("sync_dir", path)?;
        if state.syncs_nothing {
            return Ok(());
        }
        let all = std::mem::take(&mut state.unsynced);
        let (own, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|change| change.folder() == Some(path));
        state.unsynced = others;
        own.into_iter()
            .for_each(|change| state.apply_durably(change));
        Ok(())
    }
}

impl Handle {
    fn enter(&self, rate: fn(&DiskFaults) -> f64, call: &str) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.disk.lock();
        let rate = rate(&state.faults);
        state.enter(self.process, rate, call, &self.path)?;
        Ok(state)
    }
}

impl File for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (entered, error) = match self.enter(|faults| faults.append, "append") {
            Ok(state) if !state.is_full => (Some(state), None),
            Ok(state) => (Some(state), Some(io::Error::from_raw_os_error(ENOSPC))),
            Err(error) => (None, Some(error)),
        };
        let mut state = entered.unwrap_or_else(|| self.disk.lock());
        let State {
            files,
            dice,
            process,
            ..
        } = &mut *state;
        // Of a write that fails any prefix may be there, also of the write during which the process dies.
        let written = match &error {
            None => bytes.len(),
            Some(_) if *process == self.process => dice.count(0..bytes.len() + 1),
            Some(_) => 0,
        };
        files[self.file].append(&bytes[..written]);
        error.map_or(Ok(()), Err)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.enter(|faults| faults.read, "read")?;
        let bytes = state.files[self.file].bytes();
        let rest = usize::try_from(offset).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.enter(|_| 0.0, "len")?;
        Ok(state.files[self.file].bytes().len() as u64)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.enter(|faults| faults.names, "truncate")?;
        state.files[self.file].truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let result = self.enter(|faults| faults.sync, "sync");
        match result {
            Ok(state) if state.syncs_nothing => Ok(()),
            Ok(mut state) => {
                state.files[self.file].sync();
                Ok(())
            }
            Err(error) => {
                // The death of the process is no failure of the disk: the system keeps what it has.
                let mut state = self.disk.lock();
                if error.raw_os_error() == Some(EIO) && state.process == self.process {
                    state.files[self.file].forget_unsynced();
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
