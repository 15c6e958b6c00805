//! Stops on a disk that fails to sync.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;
use buffer::fs::File;

/// The machine's disk below a folder, where so many syncs fail.
struct Failing {
    root: PathBuf,
    syncs: Arc<AtomicUsize>,
}

struct FailingFile(Box<dyn File>, Arc<AtomicUsize>);

impl Failing {
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn file(&self, file: io::Result<Box<dyn File>>) -> io::Result<Box<dyn File>> {
        Ok(Box::new(FailingFile(file?, Arc::clone(&self.syncs))))
    }
}

impl Fs for Failing {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Disk.create_dir(&self.place(path))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(Disk.create(&self.place(path)))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.file(Disk.open(&self.place(path)))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(&self.place(from), &self.place(to))
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(&self.place(path))
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        Disk.list(&self.place(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Disk.sync_dir(&self.place(path))
    }
}

impl File for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&mut self) -> io::Result<()> {
        let left = |left: usize| left.checked_sub(1);
        let failed = (self.1).fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        match failed {
            Ok(_) => Err(io::Error::from_raw_os_error(5)),
            Err(_) => self.0.sync(),
        }
    }
}

fn new_uuid() -> [u8; 16] {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&GIVEN.fetch_add(1, Ordering::SeqCst).to_be_bytes());
    uuid
}

/// A stop within `grace` after which so many syncs fail, of storage that holds one batch of ten records for an output that
/// is behind. Returns whether the log is safe, and what was not if it is not.
async fn stop(
    durability: Durability,
    failing: usize,
    grace: Option<Duration>,
) -> Result<(), wal::Failure> {
    let folder = tempfile::tempdir().expect("a folder");
    let syncs = Arc::new(AtomicUsize::new(0));
    let disk = SimulatedDisk {
        fs: Arc::new(Failing {
            root: folder.path().to_owned(),
            syncs: Arc::clone(&syncs),
        }),
        new_uuid,
        segment_bytes: 1 << 20,
    };
    let settings = StorageSettings {
        state: StateDirectory::simulated(disk),
        durability,
        ..settings(folder.path())
    };
    let mut rig = Rig::with(settings, &["only"], None);
    let open = rig.storage.opened().expect("open");
    open.writer.fall_behind(0);
    let batch = rig.batch(10);
    if durability == Durability::Durable {
        syncs.store(failing, Ordering::SeqCst);
    }
    rig.storage.route(batch, &[0], STORED);
    if durability == Durability::Process {
        let ledger = Arc::clone(&rig.ledger);
        until("the system has it", || ledger.is_settled()).await;
        syncs.store(failing, Ordering::SeqCst);
    }
    rig.storage.stop();
    let deadline = grace.map(|grace| Instant::now() + grace);
    rig.storage.close(deadline).await;
    match open.writer.failure() {
        None => {
            assert!(rig.ledger.is_settled());
            Ok(())
        }
        Some(failure) => Err(failure),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_disk_that_recovers_within_the_grace() {
    let run = async {
        for durability in [Durability::Process, Durability::Durable] {
            let within = Some(Duration::from_secs(4));
            assert_eq!(stop(durability, 10, within).await, Ok(()), "{durability:?}");
            assert_eq!(stop(durability, 1000, None).await, Ok(()), "without end");
        }
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_says_what_is_not_safe_when_the_grace_is_over() {
    let run = async {
        let within = Some(Duration::from_secs(4));
        let began = Instant::now();
        let failure = stop(Durability::Process, 1000, within)
            .await
            .expect_err("it fails");
        assert_eq!((failure.unsynced, failure.unsettled), (10, 0));
        assert!(began.elapsed() <= Duration::from_millis(4_100));
        let failure = stop(Durability::Durable, 1000, within)
            .await
            .expect_err("it fails");
        assert_eq!((failure.unsynced, failure.unsettled), (0, 10));
    };
    LocalSet::new().run_until(run).await;
}
