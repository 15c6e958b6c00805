//! Room on the disk that puts leave alone: what is buffered needs some to become objects, and only that makes room again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{StatVfs, statvfs};

/// A twentieth of the file system, but not more than this.
const MOST: u64 = 256 * 1024 * 1024;
/// How long what was found counts.
const FRESH: Duration = Duration::from_millis(200);

/// Watches the file system of the lake's folder.
pub struct DiskRoom {
    folder: PathBuf,
    /// Whether there was room, and when that was.
    found: Mutex<Option<(bool, Instant)>>,
}

impl DiskRoom {
    /// The room in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            found: Mutex::new(None),
        }
    }

    /// Whether there is room for puts. What cannot be asked has room: writing will tell.
    pub fn is_left(&self) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *found {
            Some((is_left, at)) if now.duration_since(at) < FRESH => is_left,
            _ => {
                let is_left = statvfs(&self.folder).map_or(true, |disk| is_left(&disk));
                *found = Some((is_left, now));
                is_left
            }
        }
    }
}

fn is_left(disk: &StatVfs) -> bool {
    let whole = disk.f_blocks.saturating_mul(disk.f_frsize);
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    free >= (whole / 20).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_is_kept_and_not_more_than_enough() {
        let gib = 1024 * 1024 * 1024;
        let mut disk = statvfs("/").unwrap();
        (disk.f_frsize, disk.f_blocks, disk.f_bavail) = (1, 100, 5);
        assert!(is_left(&disk));
        disk.f_bavail = 4;
        assert!(!is_left(&disk));
        (disk.f_blocks, disk.f_bavail) = (1000 * gib, gib / 4);
        assert!(is_left(&disk));
        disk.f_bavail -= 1;
        assert!(!is_left(&disk));
        assert!(DiskRoom::new(Path::new("/nowhere/at/all")).is_left());
    }
}
