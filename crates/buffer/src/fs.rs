//! The door to files: everything in this crate that must survive goes through [`Fs`], so that a simulated file system
//! can stand below it and tear writes, lose syncs, fill up and fail.
//!
//! What callers may rely on is what a POSIX file system gives, and no more:
//!
//! | after | what is certain |
//! |---|---|
//! | [`File::append`] | other processes see the bytes; they survive the end of this process, not a loss of power |
//! | an error of [`File::append`] | any prefix of the bytes may be in the file, also none |
//! | [`File::sync`] | the content and the length of the file survive a loss of power; its name only after [`Fs::sync_dir`] |
//! | an error of [`File::sync`] | nothing: what was not synced before may be gone, and syncing again proves nothing |
//! | [`Fs::create`], [`Fs::rename`], [`Fs::remove`] | seen by all; survives a loss of power after [`Fs::sync_dir`] |

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A file system, or what stands for one. Calls block: they are made from helper threads only.
pub trait Fs: Send + Sync {
    /// Makes a folder, and those above it, that may exist already.
    ///
    /// # Errors
    /// When there is none after.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file for appending, readable by its owner alone.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when there is one, and whatever else prevents it.
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Opens an existing file, for reading and appending.
    ///
    /// # Errors
    /// When there is none or it may not be read and written.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Gives a file another name in the same folder, replacing what has that name, in one step.
    ///
    /// # Errors
    /// When it could not; then nothing changed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Open handles go on reading it.
    ///
    /// # Errors
    /// When it is still there.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of what is in a folder, in no order; nothing of a folder that does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Makes the names in a folder survive a loss of power.
    ///
    /// # Errors
    /// When that is not certain.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send {
    /// Writes `bytes` at the end.
    ///
    /// # Errors
    /// When not all of them are there; see the module about what may be.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads from `offset` until `into` is full or the file ends; says how many bytes that were.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// The length of the file in bytes.
    ///
    /// # Errors
    /// When it is not known.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// When that is not known.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// When it is still longer.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Makes content and length survive a loss of power (`fdatasync`).
    ///
    /// # Errors
    /// When that is not certain.
    fn sync(&mut self) -> io::Result<()>;
}

/// All bytes of a file from `offset` on.
///
/// # Errors
/// When they cannot be read.
pub fn read_to_end(file: &dyn File, offset: u64) -> io::Result<Vec<u8>> {
    let length = file.len()?.saturating_sub(offset);
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| ErrorKind::FileTooLarge)?];
    let read = file.read_at(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Puts `bytes` in place of the file `path`, in one step that survives a loss of power: a file beside it is written,
/// synced and renamed.
///
/// # Errors
/// When that is not certain; then the old content or the new one is there.
pub fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs.remove(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs.create(&beside)?;
    file.append(bytes)?;
    file.sync()?;
    fs.rename(&beside, path)?;
    match path.parent() {
        Some(folder) => fs.sync_dir(folder),
        None => Ok(()),
    }
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

struct DiskFile(std::fs::File);

impl Fs for Disk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // A name that is no text is none of ours.
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        names.filter_map(io::Result::transpose).collect()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }
}

impl File for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.0.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_keeps_the_promises_that_can_be_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let mut file = Disk.create(&one).expect("new");
        assert_eq!(
            Disk.create(&one).err().map(|error| error.kind()),
            Some(ErrorKind::AlreadyExists)
        );
        file.append(b"0123456789").expect("room");
        file.truncate(8).expect("possible");
        file.append(b"x").expect("room");
        file.sync().expect("possible");
        let mut bytes = [0; 16];
        assert_eq!(file.read_at(5, &mut bytes).expect("readable"), 4);
        assert_eq!(&bytes[..4], b"567x");
        replace(&Disk, &two, b"new").expect("possible");
        replace(&Disk, &one, b"newer").expect("possible");
        let read = Disk.open(&one).expect("there");
        assert_eq!(read_to_end(&*read, 0).expect("readable"), b"newer");
        let mut names = Disk.list(folder.path()).expect("a folder");
        names.sort();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(
            Disk.list(&folder.path().join("none")).expect("nothing"),
            Vec::<String>::new()
        );
        Disk.remove(&two).expect("there");
        Disk.sync_dir(folder.path()).expect("possible");
    }
}
