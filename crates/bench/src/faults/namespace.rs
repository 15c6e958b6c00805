//! Network and mount namespaces, where root permits them.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

/// A process that keeps a namespace.
struct Keeper(Child);

impl Keeper {
    /// Has `unshare` run a script that ends by sleeping; it says that it is ready by making a file.
    fn start(
        option: &str,
        script: &str,
        place: &Path,
        ready: impl Fn(u32) -> bool,
    ) -> Result<Keeper, String> {
        let child = Command::new("unshare")
            .args([option, "sh", "-c", script])
            .arg(place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|error| format!("unshare: {error}"))?;
        let end = Instant::now() + START_MAX;
        while !ready(child.id()) {
            if Instant::now() > end || !matches!(child.try_wait(), Ok(None)) {
                let _ = child.kill();
                let _ = child.wait();
                return Err("needs root".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        Ok(Keeper(child))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace with nothing but a loopback.
pub struct NetworkNamespace {
    keeper: Keeper,
}

impl NetworkNamespace {
    /// A new one, or why there can be none.
    pub fn new() -> Result<NetworkNamespace, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ready = folder.path().join("ready");
        let script = "ip link set lo up && touch \"$0\" && exec sleep 3600";
        let keeper = Keeper::start("-n", script, &ready, |_| ready.exists())?;
        Ok(NetworkNamespace { keeper })
    }

    /// What starts a program in it.
    pub fn enter(&self) -> Vec<String> {
        vec![
            "nsenter".to_owned(),
            format!("--net=/proc/{}/ns/net", self.keeper.0.id()),
        ]
    }

    /// A listener on its loopback, for this process, which stays outside.
    pub fn listen(&self) -> Result<TcpListener, String> {
        let path = format!("/proc/{}/ns/net", self.keeper.0.id());
        // A thread's namespace is its own: the listener stays in the one that it was made in.
        let thread = std::thread::spawn(move || {
            let namespace = File::open(path)?;
            // SAFETY: it takes numbers only, and the descriptor is open.
            match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
                0 => TcpListener::bind("127.0.0.1:0"),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
        match thread.join() {
            Ok(listener) => listener.map_err(|error| error.to_string()),
            Err(_) => Err("the listener's thread has panicked".to_owned()),
        }
    }

    /// Sets its loopback up or down: down, nothing leaves and nothing is told.
    pub fn set_up(&self, up: bool) -> Result<(), String> {
        let enter = self.enter();
        let status = Command::new(&enter[0])
            .args(&enter[1..])
            .args(["ip", "link", "set", "lo", if up { "up" } else { "down" }])
            .status()
            .map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("ip link: {status}")),
        }
    }
}

/// A small file system in a mount namespace of its own; what is in it is seen through `/proc`.
pub struct SmallDisk {
    keeper: Keeper,
    mount: PathBuf,
    size: usize,
}

impl SmallDisk {
    /// One of so many bytes at `mount`, or why there can be none.
    pub fn new(mount: &Path, size: usize) -> Result<SmallDisk, String> {
        std::fs::create_dir_all(mount).map_err(|error| error.to_string())?;
        let script = format!(
            "mount -t tmpfs -o size={size} none \"$0\" && touch \"$0/.ready\" && exec sleep 3600"
        );
        let keeper = Keeper::start("-m", &script, mount, |id| {
            seen(id, mount).join(".ready").exists()
        })?;
        Ok(SmallDisk {
            keeper,
            mount: mount.to_owned(),
            size,
        })
    }

    /// What starts a program that sees it, in `folder`.
    pub fn enter(&self, folder: &Path) -> Vec<String> {
        vec![
            "nsenter".to_owned(),
            format!("--mount=/proc/{}/ns/mnt", self.keeper.0.id()),
            format!("--wd={}", folder.display()),
        ]
    }

    /// The file system as this process sees it.
    pub fn root(&self) -> PathBuf {
        seen(self.keeper.0.id(), &self.mount)
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        let file = self.root().join("filling");
        let mut size = self.size;
        while size >= 4096 {
            // What does not fit leaves its beginning behind, which is what is wanted.
            if std::fs::write(&file, vec![0; size]).is_ok() {
                return;
            }
            size -= 4096;
        }
    }

    /// Gives the room back.
    pub fn make_room(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.root().join("filling"))
    }
}

fn seen(id: u32, mount: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{id}/root{}", mount.display()))
}

/// A memory control group of its own, where root permits one.
pub struct MemoryGroup {
    folder: PathBuf,
}

impl MemoryGroup {
    /// One that may take so many bytes.
    pub fn new(limit: u64) -> Result<MemoryGroup, String> {
        let name = format!("flumen-faults-{:08x}", fastrand::u32(..));
        for (root, file) in [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ] {
            let folder = Path::new(root).join(&name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = MemoryGroup { folder };
            if std::fs::write(group.folder.join(file), limit.to_string()).is_ok() {
                return Ok(group);
            }
        }
        Err("needs root and a memory control group".to_owned())
    }

    /// What starts a program in it.
    pub fn enter(&self) -> Vec<String> {
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
            self.folder.display()
        );
        vec!["sh".to_owned(), "-c".to_owned(), script]
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let end = Instant::now() + START_MAX;
        // It can be removed once its last process is gone.
        while std::fs::remove_dir(&self.folder).is_err() && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }
}
