//! One router at a time: whoever keeps positions of the same files in the same database claims both.
//!
//! Two routers would deliver every line twice, and each would overwrite what the other has noted. The claim is a lock on one
//! byte of the file `DB-lock`, the byte standing for the patterns: routers that follow other files may share a database, as
//! instances of one router may.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use record::Origin;

use super::siblings;

/// A router that is just ending has so long to let go.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Files and database are this router's until all of its claims on them are dropped.
#[derive(Debug)]
pub struct Claim {
    /// Its lock goes with it.
    _file: File,
}

/// What is claimed: a database, and a byte for the patterns.
type Key = (PathBuf, i64);

/// The claims of this process.
static CLAIMS: Mutex<Option<HashMap<Key, Weak<Claim>>>> = Mutex::new(None);

/// Claims the files of `patterns` in `database`. `Ok(None)`: the file system has no such locks, or nothing can be written
/// there; the database will tell.
///
/// # Errors
/// When another process has claimed them, and does not let go.
pub fn take(database: &Path, patterns: &[String]) -> Result<Option<Arc<Claim>>, String> {
    let path = beside(database);
    let key = (path, byte(patterns));
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let claims = claims.get_or_insert_default();
    claims.retain(|_, claim| claim.strong_count() > 0);
    if let Some(claim) = claims.get(&key).and_then(Weak::upgrade) {
        return Ok(Some(claim));
    }
    let Ok(file) = open(&key.0) else {
        return Ok(None);
    };
    let mut waited = Duration::ZERO;
    while let Err(error) = lock(&file, key.1) {
        if error.kind() != io::ErrorKind::WouldBlock {
            return Ok(None);
        }
        if waited >= PATIENCE {
            return Err(format!(
                "another router notes positions of the same files in the database {}: stop it, or give each its own 'db'",
                database.display()
            ));
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
    let claim = Arc::new(Claim { _file: file });
    claims.insert(key, Arc::downgrade(&claim));
    Ok(Some(claim))
}

/// The file whose bytes are locked. It stays: removing it would let two have a file of that name each.
fn beside(database: &Path) -> PathBuf {
    let mut name = whole(database).into_os_string();
    name.push("-lock");
    PathBuf::from(name)
}

/// The path of the database from the root on: the same before it is made and afterwards.
fn whole(database: &Path) -> PathBuf {
    let there = std::fs::canonicalize(database);
    there.unwrap_or_else(|_| {
        let folder = std::fs::canonicalize(siblings::directory(database));
        match (folder, database.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => database.to_owned(),
        }
    })
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).open(path)
}

/// The byte that stands for `patterns`.
fn byte(patterns: &[String]) -> i64 {
    let parts: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
    let hash = Origin::of(&parts).to_bytes();
    let [a, b, c, d, e, f, ..] = hash;
    i64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// Locks a byte, as long as `file` is open; `WouldBlock`: somebody else has it.
fn lock(file: &File, byte: i64) -> io::Result<()> {
    let request = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open, and the request is one that lives until the call is over.
    let outcome = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const request) };
    match outcome {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EACCES) => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_made_meanwhile_is_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).expect("a link");
        let database = folder.path().join("link/tail.db");
        let before = beside(&database);
        std::fs::write(&database, "").expect("written");
        assert_eq!(beside(&database), before);
    }

    #[test]
    fn the_same_files_in_the_same_database_are_one_routers() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("tail.db");
        std::fs::write(&database, "").expect("written");
        let (logs, others) = (["/a/*.log".to_owned()], ["/b/*.log".to_owned()]);
        let one = take(&database, &logs).expect("free").expect("a lock");
        let again = take(&database, &logs).expect("its own").expect("a lock");
        // Another process has a description of its own.
        let theirs = open(&beside(&database)).expect("a file");
        lock(&theirs, byte(&others)).expect("other files are free");
        drop(one);
        let error = lock(&theirs, byte(&logs)).expect_err("still claimed");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let why = take(&database, &others).expect_err("claimed by them");
        assert!(
            why.contains("tail.db") && why.contains("another router"),
            "{why}"
        );
        drop(again);
        lock(&theirs, byte(&logs)).expect("free");
        let nowhere = folder.path().join("no/where.db");
        assert!(take(&nowhere, &logs).expect("no reason to stop").is_none());
    }
}
