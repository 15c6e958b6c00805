//! Where the router keeps what must survive: one folder for each configuration, for one router at a time.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buffer::fs::Fs;
use record::Origin;

/// A router that hands over to this one has so long to let go of the folder.
const PATIENCE: Duration = Duration::from_secs(5);
/// One that hands nothing over may just be ending; otherwise it is a second one, which should hear that soon.
const PATIENCE_AT_START: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How the folders of further shards are called, before their numbers.
const OF_SHARD: &str = "shard-";

/// What tells the configuration of this file from others: its name, and a hash of where it is.
pub fn state_name(file: Option<&Path>) -> String {
    let Some(file) = file else {
        return "command-line".to_owned();
    };
    let place = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let place = std::fs::canonicalize(&place).unwrap_or(place);
    let hash = Origin::of(&[b"configuration", place.as_os_str().as_bytes()]);
    let [a, b, c, d, ..] = hash.to_bytes();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    format!("{name}-{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// Places for the state of the configuration `name`, the best first: what the configuration says and nothing else, or
/// what the service manager says, the system's place, the user's place.
pub fn candidates(
    configured: Option<&Path>,
    name: &str,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Vec<PathBuf> {
    if let Some(path) = configured {
        return vec![path.to_owned()];
    }
    // systemd may name several, separated by colons; the first is ours.
    let managed = variable("STATE_DIRECTORY").map(|list| {
        let list = list.to_string_lossy().into_owned();
        PathBuf::from(list.split(':').next().unwrap_or_default())
    });
    let home = variable("HOME").map(|home| home.join(".local/state"));
    let user = variable("XDG_STATE_HOME").or(home);
    let system = Some(Path::new("/var/lib/flumen").join(name));
    let user = user.map(|folder| folder.join("flumen").join(name));
    [managed, system, user]
        .into_iter()
        .flatten()
        .filter(|path| path.is_absolute())
        .collect()
}

/// A disk of a simulation: the log stands on it at `/wal`, and works on the shard's own thread and clock.
#[derive(Clone)]
pub struct SimulatedDisk {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// Gives the numbers that nobody gave before.
    pub new_uuid: fn() -> [u8; 16],
    /// The length at which a new segment is begun.
    pub segment_bytes: u64,
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

/// The folder of a router, which all its shards share.
#[derive(Debug)]
pub struct StateRoot {
    candidates: Vec<PathBuf>,
    taken: Mutex<Option<Arc<Directory>>>,
}

/// The folder of a router's shard, taken when something must be kept first. That of the first one is the router's; the
/// others' are below it.
#[derive(Debug)]
pub struct StateDirectory {
    root: Arc<StateRoot>,
    shard: usize,
    simulated: Option<SimulatedDisk>,
}

impl StateRoot {
    /// The first of `candidates` that can be written; nothing is made yet.
    pub fn new(candidates: Vec<PathBuf>) -> Arc<StateRoot> {
        Arc::new(StateRoot {
            candidates,
            taken: Mutex::default(),
        })
    }

    /// The part of a shard.
    pub fn of_shard(self: &Arc<StateRoot>, shard: usize) -> Rc<StateDirectory> {
        Rc::new(StateDirectory {
            root: Arc::clone(self),
            shard,
            simulated: None,
        })
    }

    /// The numbers of shards that have, or had, a folder here, other than the first one's.
    pub fn shards(&self) -> BTreeSet<usize> {
        let entries = self.candidates.iter().map(std::fs::read_dir);
        let entries = entries.flatten().flatten().flatten();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().ok();
        entries
            .filter_map(|entry| name(entry)?.strip_prefix(OF_SHARD)?.parse().ok())
            .collect()
    }

    fn get(&self, patience: Duration) -> Result<Arc<Directory>, DirectoryError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = &*taken {
            return Ok(Arc::clone(taken));
        }
        let directory = Arc::new(Directory::take(&self.candidates, patience)?);
        *taken = Some(Arc::clone(&directory));
        Ok(directory)
    }
}

impl StateDirectory {
    /// That of a router with one shard, in the first of `candidates` that can be written.
    pub fn new(candidates: Vec<PathBuf>) -> Rc<StateDirectory> {
        StateRoot::new(candidates).of_shard(0)
    }

    /// The root of a simulated disk: nothing touches the machine's.
    pub fn simulated(disk: SimulatedDisk) -> Rc<StateDirectory> {
        let root = Directory {
            path: PathBuf::from("/"),
            _lock: None,
        };
        Rc::new(StateDirectory {
            root: Arc::new(StateRoot {
                candidates: Vec::new(),
                taken: Mutex::new(Some(Arc::new(root))),
            }),
            shard: 0,
            simulated: Some(disk),
        })
    }

    /// The disk that it is on, if that is a simulated one.
    pub fn disk(&self) -> Option<&SimulatedDisk> {
        self.simulated.as_ref()
    }

    /// The folder of this shard.
    ///
    /// # Errors
    /// When there is none, or another router uses it.
    pub fn get(&self) -> Result<Arc<Directory>, DirectoryError> {
        let root = self.of_router()?;
        match self.shard {
            0 => Ok(root),
            shard => Directory::below(root, shard).map(Arc::new),
        }
    }

    /// The folder of the router.
    ///
    /// # Errors
    /// As for [`StateDirectory::get`].
    pub fn of_router(&self) -> Result<Arc<Directory>, DirectoryError> {
        self.root.get(PATIENCE)
    }

    /// The same for a router that takes nothing over from another one: it waits less for it.
    ///
    /// # Errors
    /// As for [`StateDirectory::get`].
    pub fn claim_at_start(&self) -> Result<(), DirectoryError> {
        self.root.get(PATIENCE_AT_START).map(drop)
    }

    /// The places where the router's is or would be, the best first.
    pub fn candidates(&self) -> &[PathBuf] {
        &self.root.candidates
    }

    /// The places where this shard's is or would be, the best first.
    pub fn places(&self) -> impl Iterator<Item = PathBuf> {
        let candidates = self.root.candidates.iter();
        candidates.map(|root| of_shard(root, self.shard))
    }
}

/// The folder of a shard whose router has `root`.
fn of_shard(root: &Path, shard: usize) -> PathBuf {
    match shard {
        0 => root.to_owned(),
        shard => root.join(format!("{OF_SHARD}{shard}")),
    }
}

/// A folder that this router alone uses, until it is dropped.
#[derive(Debug)]
pub struct Directory {
    /// The folder.
    pub path: PathBuf,
    /// Its lock goes with it.
    _lock: Option<Lock>,
}

/// What keeps other routers out.
#[derive(Debug)]
enum Lock {
    Own(#[expect(dead_code, reason = "held")] File),
    /// That of the folder above.
    Above(#[expect(dead_code, reason = "held")] Arc<Directory>),
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another router uses it.
    #[error(
        "{} is used by another router: stop it, or give each its own 'storage.path'",
        .0.display()
    )]
    Used(PathBuf),
    /// None of the places can be written.
    #[error("nothing can be kept: {}; set 'storage.path' to a folder that can be written", .0.join(", "))]
    Unwritable(Vec<String>),
}

impl Directory {
    /// The folder of a shard below its router's.
    fn below(root: Arc<Directory>, shard: usize) -> Result<Directory, DirectoryError> {
        let path = of_shard(&root.path, shard);
        let mut builder = std::fs::DirBuilder::new();
        if let Err(error) = builder.recursive(true).mode(0o700).create(&path) {
            let why = format!("{}: {error}", path.display());
            return Err(DirectoryError::Unwritable(vec![why]));
        }
        Ok(Directory {
            path,
            _lock: Some(Lock::Above(root)),
        })
    }

    /// Takes the first of `candidates` that can be written. Another router has `patience` to let go of it.
    ///
    /// # Errors
    /// When there is none, or another router uses it.
    pub fn take(candidates: &[PathBuf], patience: Duration) -> Result<Directory, DirectoryError> {
        let mut refused = Vec::new();
        for path in candidates {
            match lock(path, patience) {
                Ok(Some(lock)) => {
                    return Ok(Directory {
                        path: path.clone(),
                        _lock: Some(Lock::Own(lock)),
                    });
                }
                Ok(None) => return Err(DirectoryError::Used(path.clone())),
                Err(error) => refused.push(format!("{}: {error}", path.display())),
            }
        }
        Err(DirectoryError::Unwritable(refused))
    }
}

/// The folder's lock; `None` when somebody else holds it and does not let go.
fn lock(path: &Path, patience: Duration) -> io::Result<Option<File>> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join("flumen.lock"))?;
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if waited < patience => {
                std::thread::sleep(LOOK_EVERY);
                waited += LOOK_EVERY;
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_in_their_order() {
        let none = |_: &str| None;
        let configured = Path::new("/data/state");
        assert_eq!(candidates(Some(configured), "n", none), [configured]);
        assert_eq!(
            candidates(None, "n", none),
            [Path::new("/var/lib/flumen/n")]
        );
        let all = |name: &str| match name {
            "STATE_DIRECTORY" => Some("/var/lib/service:/var/lib/other".into()),
            "HOME" => Some("/home/me".into()),
            _ => None,
        };
        let expected = [
            "/var/lib/service",
            "/var/lib/flumen/n",
            "/home/me/.local/state/flumen/n",
        ];
        assert_eq!(candidates(None, "n", all), expected.map(PathBuf::from));
    }

    #[test]
    fn each_configuration_has_its_own_name() {
        let one = state_name(Some(Path::new("/etc/flumen/nodes.conf")));
        assert!(one.starts_with("nodes-") && one.len() == 14, "{one}");
        assert_ne!(one, state_name(Some(Path::new("/srv/flumen/nodes.conf"))));
        assert_eq!(state_name(None), "command-line");
    }

    #[test]
    fn shards_have_their_folders_below_their_routers() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = StateRoot::new(vec![folder.path().to_owned()]);
        assert!(root.shards().is_empty());
        let paths =
            [0, 1, 12].map(|shard| root.of_shard(shard).get().expect("a folder").path.clone());
        assert_eq!(paths[0], folder.path());
        assert_eq!(paths[2], folder.path().join("shard-12"));
        assert_eq!(root.shards(), BTreeSet::from([1, 12]));
        let other = StateRoot::new(vec![folder.path().to_owned()]).of_shard(1);
        assert!(matches!(
            other.claim_at_start(),
            Err(DirectoryError::Used(_))
        ));
    }

    #[test]
    fn one_router_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        let places = [file.join("below"), folder.path().join("state")];
        let taken = Directory::take(&places, Duration::ZERO).expect("the second can be written");
        assert_eq!(taken.path, places[1]);
        assert!(matches!(
            Directory::take(&places, Duration::ZERO),
            Err(DirectoryError::Used(path)) if path == places[1]
        ));
        drop(taken);
        Directory::take(&places, Duration::ZERO).expect("free again");
        assert!(matches!(
            Directory::take(&places[..1], Duration::ZERO),
            Err(DirectoryError::Unwritable(_))
        ));
    }
}
