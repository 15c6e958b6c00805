//! Where the post's configurations read and listen. They are used **unchanged** where their own paths may be: as root, on
//! a machine that does not use them otherwise. Elsewhere the paths, and nothing else, are replaced.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::data;

const SOCKET: &str = "/var/run/fluent.sock";
const CONTAINERS: &str = "/var/log/containers";
const DB: &str = "/var/log/flb_kube.db";

/// Held while a test uses the real paths: there is one of each on a machine.
static REAL_SOCKET: Mutex<()> = Mutex::new(());
static REAL_CONTAINERS: Mutex<()> = Mutex::new(());

/// The post's ECS side: a configuration, and the socket that it names.
pub struct Ecs {
    pub configuration: PathBuf,
    pub socket: PathBuf,
    real: Option<MutexGuard<'static, ()>>,
}

impl Ecs {
    /// Lays the post's ECS configuration into `folder`.
    pub fn place(folder: &Path) -> Ecs {
        let real = REAL_SOCKET.try_lock().ok().filter(|_| may_listen(SOCKET));
        let socket = if real.is_some() {
            PathBuf::from(SOCKET)
        } else {
            folder.join("fluent.sock")
        };
        let configuration = seed(folder, "ecs-fluent-bit.conf", &[(SOCKET, &socket)]);
        Ecs {
            configuration,
            socket,
            real,
        }
    }
}

impl Drop for Ecs {
    fn drop(&mut self) {
        if self.real.is_some() {
            // The router has removed it, if it ended well.
            let _ = fs::remove_file(SOCKET);
        }
    }
}

/// The post's EKS side: a configuration, and the folder of container logs that it reads.
pub struct Eks {
    pub configuration: PathBuf,
    pub containers: PathBuf,
    real: Option<MutexGuard<'static, ()>>,
}

impl Eks {
    /// Lays the post's EKS configuration into `folder`, and makes the folder that it reads.
    pub fn place(folder: &Path) -> Eks {
        let free =
            |_: &MutexGuard<()>| !Path::new(DB).exists() && fs::create_dir(CONTAINERS).is_ok();
        let real = REAL_CONTAINERS.try_lock().ok().filter(free);
        let (containers, db) = match &real {
            Some(_) => (PathBuf::from(CONTAINERS), PathBuf::from(DB)),
            None => (folder.join("containers"), folder.join("flb_kube.db")),
        };
        fs::create_dir_all(&containers).expect("the folder of container logs can be made");
        // By which a router shows that it has begun to read: see `Router::tailing`.
        fs::write(containers.join("empty.log"), "").expect("an empty log file");
        let configuration = seed(
            folder,
            "eks-fluent-bit.conf",
            &[(CONTAINERS, &containers), (DB, &db)],
        );
        Eks {
            configuration,
            containers,
            real,
        }
    }
}

impl Drop for Eks {
    fn drop(&mut self) {
        if self.real.is_some() {
            let _ = fs::remove_dir_all(CONTAINERS);
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let _ = fs::remove_file(format!("{DB}{suffix}"));
            }
        }
    }
}

fn may_listen(path: &str) -> bool {
    if Path::new(path).exists() || UnixListener::bind(path).is_err() {
        return false;
    }
    fs::remove_file(path).is_ok()
}

/// Copies one of the post's configurations, with the parsers beside it, replacing only the given paths.
fn seed(folder: &Path, name: &str, paths: &[(&str, &PathBuf)]) -> PathBuf {
    let mut text = fs::read_to_string(data("seed").join(name)).expect("the post's configuration");
    for (from, to) in paths {
        assert!(text.contains(from), "{name} names {from}");
        text = text.replace(from, &to.to_string_lossy());
    }
    fs::copy(data("seed/parsers.conf"), folder.join("parsers.conf")).expect("the post's parsers");
    let configuration = folder.join(name);
    fs::write(&configuration, text).expect("a configuration can be written");
    configuration
}
