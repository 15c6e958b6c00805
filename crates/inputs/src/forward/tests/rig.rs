//! A forward input on a unix socket.

use std::ops::Deref;
use std::path::PathBuf;
use std::rc::Rc;

use plugin::Handover;
use tempfile::TempDir;
use tokio::net::UnixStream;

use super::super::Forward;
use crate::test_road::{self, Running};
pub use crate::test_road::{Road, context, on_shard, options, soon};

/// A running input.
pub struct Rig {
    pub path: PathBuf,
    pub folder: Rc<TempDir>,
    running: Running,
}

impl Deref for Rig {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Rig {
    /// With these options besides the socket, and no limit.
    pub fn start(pairs: &[(&str, &str)]) -> Rig {
        Rig::build(pairs, None, 0)
    }

    /// With a configured tag or a limit of memory.
    pub fn build(pairs: &[(&str, &str)], tag: Option<&str>, memory: usize) -> Rig {
        let folder = Rc::new(tempfile::tempdir().expect("a folder"));
        Rig::resume(pairs, (tag, memory), folder, Handover::default())
    }

    /// The next instance, which goes on with what this one gives up.
    pub async fn successor(&self, pairs: &[(&str, &str)]) -> Rig {
        let handover = self.give_up().await;
        Rig::resume(pairs, (None, 0), Rc::clone(&self.folder), handover)
    }

    fn resume(
        pairs: &[(&str, &str)],
        limits: (Option<&str>, usize),
        folder: Rc<TempDir>,
        handover: Handover,
    ) -> Rig {
        let path = folder.path().join("forward.sock");
        let mut all = vec![("unix_path", path.to_str().expect("text"))];
        all.extend(pairs);
        let (running, ()) = Running::start(&all, limits, handover, |_: &Forward| ());
        Rig {
            path,
            folder,
            running,
        }
    }

    /// A sender.
    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.expect("it listens")
    }

    /// Waits for the end of an instance that has a successor.
    pub async fn ended(self) {
        self.running.ended().await;
    }

    /// Waits for the end after a stop.
    pub async fn end(self) -> (Handover, Rc<TempDir>) {
        (self.running.end().await, self.folder)
    }
}

/// Why an instance does not start.
pub fn build_error(pairs: &[(&str, &str)]) -> String {
    test_road::build_error::<Forward>(pairs)
}
