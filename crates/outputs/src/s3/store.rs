//! `store_dir`: one folder per bucket, in it one per run of an output, in it the files of objects that are not uploaded.
//!
//! A run holds a lock on its folder. Folders without a holder are what earlier runs left; whoever finds them first
//! uploads what is in them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::frames;
use super::key::random_text;
use super::object::Description;

const LOCK: &str = "lock";
const BUFFER: &str = "buffer";
const DONE: &str = "done";
/// Attempts to make a folder that nobody else takes away.
const ATTEMPTS: usize = 5;
/// As many digits as the largest number has.
const INDEX_DIGITS: usize = 20;

/// The folder of a bucket.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Where `$INDEX` is kept.
    index: PathBuf,
    run: Mutex<Option<Arc<Run>>>,
    next: AtomicU64,
}

/// A folder with its lock, which is given up when this is dropped. A folder without objects is then removed.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    _lock: File,
}

/// Where the files of one object are.
#[derive(Clone, Debug)]
pub struct Place {
    run: Arc<Run>,
    number: u64,
}

/// An object that an earlier run left.
#[derive(Debug)]
pub struct Leftover {
    /// Its files.
    pub place: Place,
    /// The tag of its records, if it can be read.
    pub tag: Vec<u8>,
}

/// What earlier runs left.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Objects that are not uploaded, oldest first.
    pub left: Vec<Leftover>,
    /// Objects that are uploaded, of which it is still known what they held.
    pub done: Vec<Place>,
}

impl Store {
    /// The store of `bucket` in `folder`; `instance` is the name of the output. Touches nothing yet.
    pub fn new(folder: &Path, bucket: &str, instance: &str) -> Store {
        let root = folder.join(file_name(bucket));
        Store {
            index: root.join("index").join(file_name(instance)),
            root,
            run: Mutex::new(None),
            next: AtomicU64::new(0),
        }
    }

    /// A place for a new object.
    pub fn place(&self) -> io::Result<Place> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let run = match &*run {
            Some(run) => Arc::clone(run),
            None => Arc::clone(run.insert(Arc::new(Run::create(&self.root)?))),
        };
        Ok(Place {
            run,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Takes over what earlier runs left. Runs that are going on keep theirs.
    pub fn adopt(&self) -> io::Result<Adopted> {
        let mut adopted = Adopted::default();
        for folder in self.runs()? {
            if let Some(run) = Run::take(folder)? {
                run_leftovers(&Arc::new(run), &mut adopted)?;
            }
        }
        Ok(adopted)
    }

    /// The folders of all runs, oldest first.
    fn runs(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders: Vec<PathBuf> = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.join(LOCK).is_file())
                .collect(),
        };
        folders.sort();
        Ok(folders)
    }

    /// All files that say what objects hold, the one that was written last first.
    pub fn claiming(&self) -> io::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for folder in self.runs()? {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let path = entry.path();
                if path
                    .extension()
                    .is_some_and(|end| end == BUFFER || end == DONE)
                    && let Ok(written) = entry.metadata().and_then(|data| data.modified())
                {
                    all.push((written, path));
                }
            }
        }
        all.sort();
        Ok(all.into_iter().rev().map(|(_, path)| path).collect())
    }

    /// The next value of `$INDEX`, from 0. It is on the disk before it is used, so it is never used again.
    pub fn next_index(&self) -> io::Result<u64> {
        if let Some(folder) = self.index.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.index)?;
        file.lock()?;
        let mut text = [0; INDEX_DIGITS];
        let read = file.read_at(&mut text, 0)?;
        let index = match std::str::from_utf8(&text[..read]).unwrap_or("?") {
            "" => 0,
            digits => digits.trim().parse::<u64>().map_err(|_| {
                let why = format!("{} does not hold a number", self.index.display());
                io::Error::new(io::ErrorKind::InvalidData, why)
            })?,
        };
        let next = format!("{:0width$}", index + 1, width = INDEX_DIGITS);
        file.write_all_at(next.as_bytes(), 0)?;
        file.sync_data()?;
        Ok(index)
    }
}

impl Run {
    fn create(root: &Path) -> io::Result<Run> {
        let mut last = io::ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            // Sorts by time; colons are none, for tools that stumble over them.
            let now = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.6f");
            let folder = root.join(format!("{now}-{}", random_text()));
            std::fs::create_dir_all(&folder)?;
            sync_folders(root)?;
            match Run::take(folder) {
                Ok(Some(run)) => return Ok(run),
                // Somebody who looks for leftovers was faster.
                Ok(None) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// `None`: somebody else holds it.
    fn take(folder: PathBuf) -> io::Result<Option<Run>> {
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Run {
                folder,
                _lock: lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Makes the entries of folders durable that may be new: those of the runs, the bucket and `store_dir`.
fn sync_folders(root: &Path) -> io::Result<()> {
    const NEW: usize = 3;
    for folder in root.ancestors().take(NEW) {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Drop for Run {
    fn drop(&mut self) {
        let is_empty = std::fs::read_dir(&self.folder)
            .is_ok_and(|entries| entries.flatten().all(|entry| entry.file_name() == LOCK));
        if is_empty {
            let _ = std::fs::remove_file(self.folder.join(LOCK));
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

fn run_leftovers(run: &Arc<Run>, adopted: &mut Adopted) -> io::Result<()> {
    let mut numbers = Vec::new();
    let (mut done, mut others) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&run.folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.split('.').next()?.parse().ok());
        match (number, path.extension().and_then(|end| end.to_str())) {
            (Some(number), Some(BUFFER)) => numbers.push(number),
            (Some(number), Some(DONE)) => done.push(number),
            (Some(number), Some("upload" | "body")) => others.push((number, path)),
            // It did not become whole.
            (Some(_), Some("next")) => std::fs::remove_file(path)?,
            _ => {}
        }
    }
    done.sort_unstable();
    let of = |number| Place {
        run: Arc::clone(run),
        number,
    };
    let uploaded = done.into_iter().filter(|number| !numbers.contains(number));
    adopted.done.extend(uploaded.map(of));
    for (number, path) in others {
        // Without its buffer file an object is done: that one is removed first.
        if !numbers.contains(&number) {
            std::fs::remove_file(path)?;
        }
    }
    numbers.sort_unstable();
    let left = numbers.into_iter().map(|number| {
        let place = of(number);
        let tag = frames::description(&place.buffer())
            .ok()
            .flatten()
            .and_then(|text| serde_json::from_slice::<Description>(&text).ok())
            .map(|description| description.tag)
            .unwrap_or_default();
        Leftover { place, tag }
    });
    adopted.left.extend(left);
    Ok(())
}

impl Place {
    /// The records.
    pub fn buffer(&self) -> PathBuf {
        self.file(BUFFER)
    }

    /// How far the upload has come.
    pub fn progress(&self) -> PathBuf {
        self.file("upload")
    }

    /// The object, encoded.
    pub fn body(&self) -> PathBuf {
        self.file("body")
    }

    /// What the object held, once it is uploaded.
    pub fn done(&self) -> PathBuf {
        self.file(DONE)
    }

    /// A copy of a buffer file that was damaged.
    pub fn damaged(&self) -> PathBuf {
        self.file("damaged")
    }

    fn file(&self, end: &str) -> PathBuf {
        self.run.folder.join(format!("{:08}.{end}", self.number))
    }

    /// Removes the files of an object that is uploaded, the records first.
    pub fn remove(&self) -> io::Result<()> {
        for path in [self.buffer(), self.body(), self.progress()] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name for a file or folder that cannot lead elsewhere.
fn file_name(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => character,
            _ => '_',
        })
        .collect();
    match name.as_str() {
        "" | "." | ".." => format!("_{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::frames::{Content, Extent};

    #[test]
    fn a_run_keeps_its_objects_and_leaves_them_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path(), "bucket", "s3.0");
        let places: Vec<Place> = (0..3).map(|_| store.place().expect("a place")).collect();
        for place in &places {
            let content = Content {
                claims: &[],
                data: b"x",
            };
            frames::append(&place.buffer(), Extent::default(), Some(b"{}"), content)
                .expect("written");
        }
        places[1].remove().expect("removed");
        std::fs::write(places[1].body(), b"left").expect("written");
        let other = Store::new(folder.path(), "bucket", "s3.1");
        assert!(
            other.adopt().expect("readable").left.is_empty(),
            "the run is going on"
        );
        let buffers = [places[0].buffer(), places[2].buffer()];
        drop((store, places));
        let Adopted { left, .. } = other.adopt().expect("readable");
        let found: Vec<PathBuf> = left.iter().map(|left| left.place.buffer()).collect();
        assert_eq!(found, buffers);
        assert!(!buffers[0].with_file_name("00000001.body").exists());
        for left in &left {
            left.place.remove().expect("removed");
        }
        drop(left);
        assert!(
            !buffers[0].parent().expect("a folder").exists(),
            "an empty run is removed"
        );
    }

    #[test]
    fn the_index_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        for expected in 0..3 {
            let store = Store::new(folder.path(), "bucket", "a/../b");
            assert_eq!(store.next_index().expect("a number"), expected);
        }
        let store = Store::new(folder.path(), "bucket", "other");
        assert_eq!(store.next_index().expect("a number"), 0);
        std::fs::write(folder.path().join("bucket/index/other"), "x").expect("written");
        assert!(store.next_index().is_err());
    }
}
