//! Who this router is, to services that keep track of what they were sent: an id as old as its state, and an epoch that
//! grows with each start.
//!
//! Both stand in the file `writer` of the state directory: `1 ID EPOCH`, with the version of the form in front.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use plugin::{Log, Writer, WriterSource};

const FILE: &str = "writer";
/// Held while the file is read and replaced: of two routers that start at the same time one comes after the other.
const LOCK: &str = "writer.lock";
const VERSION: &str = "1";

/// Who the router is whose state is in the first of `places` that can be written. The file is read and written when
/// somebody asks; a router that is not asked has none. What goes wrong is told to `log`: the router is nobody then.
pub fn source(places: Vec<PathBuf>, log: Log) -> WriterSource {
    WriterSource::new(move || {
        let mut refused = Vec::new();
        for place in &places {
            match of(place) {
                Ok(writer) => return Some(writer),
                Err(error) => refused.push(format!("{}: {error}", place.join(FILE).display())),
            }
            if place.join(FILE).exists() {
                // It is known who this router is, but not to whom: anywhere else it would be somebody new.
                break;
            }
        }
        let why = match refused.is_empty() {
            true => "there is no state directory".to_owned(),
            false => refused.join(", "),
        };
        log.warn(format_args!(
            "nothing says who this router is ({why}): a lake does not recognise what is sent again after a crash"
        ));
        None
    })
}

/// The same for all pipelines of this process: one that a reload has replaced still delivers what it holds.
fn of(directory: &Path) -> io::Result<Writer> {
    static KNOWN: Mutex<Option<HashMap<PathBuf, Writer>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(writer) = known.get(directory) {
        return Ok(*writer);
    }
    let writer = start(directory)?;
    known.insert(directory.to_owned(), writer);
    Ok(writer)
}

/// Begins a new epoch.
fn start(directory: &Path) -> io::Result<Writer> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let _lock = lock(directory)?;
    let path = directory.join(FILE);
    let before = match fs::read_to_string(&path) {
        Ok(text) => Some(parse(&text).ok_or_else(|| {
            let message = format!("'{}' is not a version, an id and an epoch", text.trim());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    let writer = match before {
        // A clock that was set back does not make this start an earlier one.
        Some(before) => Writer {
            epoch: now.max(before.epoch + 1),
            ..before
        },
        None => Writer {
            id: random()?,
            epoch: now,
        },
    };
    store(&path, directory, writer)?;
    Ok(writer)
}

/// Waits until nobody else has the file; the lock goes with what is returned.
fn lock(directory: &Path) -> io::Result<File> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK))?;
    lock.lock()?;
    Ok(lock)
}

fn parse(text: &str) -> Option<Writer> {
    let mut words = text.split_whitespace();
    let version = words.next()?;
    let id = u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes();
    let epoch = words.next()?.parse().ok()?;
    (version == VERSION && words.next().is_none()).then_some(Writer { id, epoch })
}

fn store(path: &Path, directory: &Path, writer: Writer) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    let id = u128::from_be_bytes(writer.id);
    writeln!(file, "{VERSION} {id:032x} {}", writer.epoch)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

fn random() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_stays_and_the_epoch_grows() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let one = start(&state).expect("a first start");
        let two = start(&state).expect("a second");
        assert!(one.id == two.id && one.epoch < two.epoch);
        // The clock was an hundred years ahead then.
        let ahead = Writer {
            epoch: 5_000_000_000_000_000_000,
            ..one
        };
        store(&state.join(FILE), &state, ahead).expect("stored");
        let three = start(&state).expect("a third");
        assert_eq!(three.epoch, ahead.epoch + 1);
        let other = start(&folder.path().join("other")).expect("another router");
        assert_ne!(one.id, other.id);
        assert_eq!(of(&state).ok(), of(&state).ok(), "one epoch per process");
    }

    #[test]
    fn routers_that_start_together_are_one_writer_in_different_epochs() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let writers: Vec<Writer> = std::thread::scope(|scope| {
            let routers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| start(&state).expect("started")))
                .collect();
            let ended = routers.into_iter().map(|router| router.join());
            ended.map(|writer| writer.expect("no panic")).collect()
        });
        assert!(writers.iter().all(|writer| writer.id == writers[0].id));
        let epochs: std::collections::HashSet<u64> =
            writers.iter().map(|writer| writer.epoch).collect();
        assert_eq!(epochs.len(), writers.len());
    }

    #[test]
    fn a_router_that_cannot_read_who_it_is_is_nobody_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = ["one", "other"].map(|name| folder.path().join(name));
        fs::create_dir_all(&places[0]).expect("made");
        fs::write(places[0].join(FILE), "2 00 5").expect("written");
        let log = Log::new("engine", plugin::Level::Off);
        assert!(source(places.to_vec(), log).writer("out").is_none());
        assert!(!places[1].exists());
    }

    #[test]
    fn a_file_that_is_none_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        for text in ["", "1", "1 zz 5", "2 00 5", "1 00 5 6"] {
            fs::write(&path, text).expect("written");
            let error = start(folder.path()).expect_err(text).to_string();
            assert!(error.contains("is not a version"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("there"), text);
        }
    }
}
