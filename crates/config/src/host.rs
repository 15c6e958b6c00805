//! The small door through which a configuration reaches files and the environment.

mod memory;
mod system;

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

pub use memory::MemoryHost;
pub use system::SystemHost;

/// What tells one file from another, whatever it is called: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// The device.
    pub device: u64,
    /// The number of the file on the device.
    pub inode: u64,
}

/// Files, globs and environment variables. [`SystemHost`] is the real thing, [`MemoryHost`] serves tests.
///
/// Relative paths are relative to the current directory.
pub trait Host {
    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn BufRead>>;

    /// Which file a path leads to, links followed.
    ///
    /// # Errors
    ///
    /// What the system says; `NotFound` when there is no such file.
    fn identity(&self, path: &Path) -> io::Result<FileIdentity>;

    /// The folder that a file really is in, links followed.
    ///
    /// # Errors
    ///
    /// What the system says; `NotFound` when there is no such file.
    fn real_folder(&self, path: &Path) -> io::Result<PathBuf>;

    /// The paths that a pattern with `*`, `?` and `[…]` matches, in no particular order. A pattern that cannot be understood
    /// matches nothing.
    fn glob(&self, pattern: &Path) -> Vec<PathBuf>;

    /// An environment variable. `HOSTNAME` is there even when the environment lacks it. What is not UTF-8 or empty counts as
    /// not set.
    fn variable(&self, name: &str) -> Option<String>;
}
