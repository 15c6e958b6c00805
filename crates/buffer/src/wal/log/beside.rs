//! Damaged parts of segments are put beside them: nobody may need them, but nobody knows.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::segment::bytes_of;
use crate::fs::Fs;

/// Where the damaged part of a segment is.
pub struct Beside {
    /// In this file; nowhere else if the disk does not take it.
    pub kept_in: Option<PathBuf>,
    /// It was found before, and told of.
    pub is_known: bool,
}

/// Puts the part `bytes` of the file `segment` beside it.
pub fn put_beside(fs: &dyn Fs, segment: &Path, bytes: &Range<u64>) -> Beside {
    let path = segment.with_extension(format!("{:x}.damaged", bytes.start));
    let is_known = fs.open(&path).is_ok();
    let is_kept = is_known || copy(fs, segment, bytes, &path).is_ok();
    Beside {
        kept_in: is_kept.then_some(path),
        is_known,
    }
}

fn copy(fs: &dyn Fs, segment: &Path, bytes: &Range<u64>, to: &Path) -> io::Result<()> {
    let bytes = bytes_of(&*fs.open(segment)?, bytes)?;
    let written = write_file(fs, &bytes, to);
    if written.is_err() {
        // What is there of it must not be taken for all of it.
        let _ = fs.remove(to);
    }
    written
}

/// Makes a file that survives a loss of power.
pub fn write_file(fs: &dyn Fs, bytes: &[u8], to: &Path) -> io::Result<()> {
    let mut file = fs.create(to)?;
    file.append(bytes)?;
    file.sync()?;
    match to.parent() {
        Some(folder) => fs.sync_dir(folder),
        None => Ok(()),
    }
}
