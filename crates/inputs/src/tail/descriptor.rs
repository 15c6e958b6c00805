//! The descriptor of a followed file. It is what keeps a renamed or deleted file readable, so it is held as long as possible;
//! when the process may not open so many files, those that their names lead to can do without it for a while.

use std::cell::{Cell, OnceCell};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::identity::FileId;

/// How many descriptors the instances of this process hold together.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// Counts uses, to tell which was the last.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// How many descriptors the process lets itself open, if it may.
const RAISED_TO: u64 = 65_536;

/// A file that was just opened.
pub struct Opened {
    /// The descriptor.
    pub file: File,
    /// What the system says about it.
    pub metadata: Metadata,
}

impl Opened {
    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// When it cannot be opened, or is no regular file.
    pub fn new(path: &Path) -> io::Result<Opened> {
        // Not waiting for a writer, should somebody have put a pipe in its place.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        Opened::of(File::options().read(true).custom_flags(flags).open(path)?)
    }

    /// A file that is open already.
    ///
    /// # Errors
    /// When it is no regular file.
    pub fn of(file: File) -> io::Result<Opened> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Opened { file, metadata })
    }

    /// Its device and inode.
    pub fn id(&self) -> FileId {
        FileId::of(&self.metadata)
    }
}

/// A descriptor that can be given up and opened again.
pub struct Descriptor {
    id: FileId,
    file: OnceCell<File>,
    used: Cell<u64>,
}

impl Descriptor {
    /// Takes an open file.
    pub fn new(file: File, id: FileId) -> Descriptor {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Descriptor {
            id,
            file: OnceCell::from(file),
            used: Cell::new(CLOCK.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The open file; it is opened at `path` if it was given up.
    ///
    /// # Errors
    /// When `path` leads to another file, or none.
    pub fn get(&self, path: &Path) -> io::Result<&File> {
        self.used.set(CLOCK.fetch_add(1, Ordering::Relaxed));
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let opened = Opened::new(path)?;
        if opened.id() != self.id {
            let message = "its descriptor was given up, and another file stands at its path";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        OPEN.fetch_add(1, Ordering::Relaxed);
        Ok(self.file.get_or_init(|| opened.file))
    }

    /// The open file, unless it was given up.
    pub fn held(&self) -> Option<&File> {
        self.file.get()
    }

    /// What the system says about the file, without opening it.
    ///
    /// # Errors
    /// When it is given up and `path` leads to another file, or none.
    pub fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        if let Some(file) = self.file.get() {
            return file.metadata();
        }
        let metadata = std::fs::metadata(path)?;
        match FileId::of(&metadata) == self.id {
            true => Ok(metadata),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// When it was used last, in relation to others.
    pub fn used(&self) -> u64 {
        self.used.get()
    }

    /// Closes it until it is needed again.
    pub fn give_up(&mut self) {
        if self.file.take().is_some() {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes the open file out, if it was not given up.
    pub fn take(&mut self) -> Option<File> {
        let file = self.file.take();
        if file.is_some() {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
        file
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.give_up();
    }
}

/// How many descriptors of all instances are more than there should be. Others need some too: sockets, the database.
pub fn excess(limit: usize) -> usize {
    OPEN.load(Ordering::Relaxed).saturating_sub(limit)
}

/// How many descriptors all instances together should hold. What the process may open is raised before to what it may be
/// raised to: the usual soft limit of 1024 is meant for programs that know no more.
pub fn limit() -> usize {
    match raise(getrlimit(Resource::Nofile)).current {
        None => usize::MAX,
        Some(allowed) => share(usize::try_from(allowed).unwrap_or(usize::MAX)),
    }
}

fn raise(limits: Rlimit) -> Rlimit {
    let most = limits.maximum.map_or(RAISED_TO, |most| most.min(RAISED_TO));
    if limits.current.is_none_or(|current| current >= most) {
        return limits;
    }
    let raised = Rlimit {
        current: Some(most),
        ..limits
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limits,
    }
}

fn share(allowed: usize) -> usize {
    match allowed {
        0..=256 => (allowed / 2).max(4),
        _ => allowed - allowed / 4,
    }
}

/// Whether an error says that no more files can be opened.
pub fn is_short(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_limit_is_raised_as_far_as_it_may_be() {
        let raised = raise(getrlimit(Resource::Nofile));
        let most = raised.maximum.map_or(RAISED_TO, |most| most.min(RAISED_TO));
        assert!(raised.current.is_none_or(|current| current >= most));
        assert_eq!(getrlimit(Resource::Nofile).current, raised.current);
    }

    #[test]
    fn others_keep_a_share() {
        assert_eq!((share(64), share(1024), share(3)), (32, 768, 4));
    }

    #[test]
    fn a_descriptor_comes_back_for_the_same_file_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        std::fs::write(&path, "one").expect("room");
        let opened = Opened::new(&path).expect("it exists");
        let id = opened.id();
        let mut descriptor = Descriptor::new(opened.file, id);
        descriptor.give_up();
        assert!(descriptor.held().is_none());
        assert_eq!(descriptor.metadata(&path).expect("it exists").len(), 3);
        assert!(descriptor.get(&path).is_ok() && descriptor.held().is_some());
        descriptor.give_up();
        std::fs::rename(&path, directory.path().join("b")).expect("room");
        std::fs::write(&path, "other").expect("room");
        let error = descriptor.get(&path).expect_err("another file");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(descriptor.metadata(&path).is_err());
    }
}
