//! A forward input on a unix socket.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use plugin::{BuildError, Emitter, Ended, Handover, Input, Metrics, StopHandle};
use record::Budget;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::super::Forward;
pub use crate::test_road::{Road, context, on_shard, options, soon};

/// A running input.
pub struct Rig {
    pub road: Rc<Road>,
    pub metrics: Metrics,
    pub budget: Arc<Budget>,
    pub path: PathBuf,
    pub folder: Rc<TempDir>,
    stop: StopHandle,
    ended: JoinHandle<Ended>,
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
        self.stop.request_for_successor();
        let handover = soon(self.stop.handed_over()).await;
        Rig::resume(pairs, (None, 0), Rc::clone(&self.folder), handover)
    }

    fn resume(
        pairs: &[(&str, &str)],
        (tag, memory): (Option<&str>, usize),
        folder: Rc<TempDir>,
        handover: Handover,
    ) -> Rig {
        let path = folder.path().join("forward.sock");
        let budget = Budget::new(memory);
        let context = context(tag, &budget);
        let metrics = context.metrics.clone();
        let mut all = vec![("unix_path", path.to_str().expect("text"))];
        all.extend(pairs);
        let input = Forward::build(options(&all), context, handover).expect("it starts");
        let road = Rc::new(Road::default());
        let (stop, stopped) = StopHandle::new();
        let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
        Rig {
            road,
            metrics,
            budget,
            path,
            folder,
            stop,
            ended,
        }
    }

    /// A sender.
    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.expect("it listens")
    }

    /// The value of a counter.
    pub fn counter(&self, name: &str, reason: Option<&str>) -> u64 {
        let all = self.metrics.all();
        let metric = all
            .iter()
            .find(|metric| metric.name == name && metric.reason == reason);
        metric.expect("a registered counter").number.get()
    }

    /// Requests the stop.
    pub fn stop(&self) {
        self.stop.request();
    }

    /// Waits for the end of an instance that has a successor.
    pub async fn ended(self) {
        soon(self.ended).await.expect("no panic");
    }

    /// Waits for the end after a stop.
    pub async fn end(self) -> (Handover, Rc<TempDir>) {
        self.stop.request();
        soon(self.ended).await.expect("no panic");
        let handover = self.stop.take_handover();
        (handover.expect("it gives its socket up"), self.folder)
    }
}

/// Why an instance does not start.
pub fn build_error(pairs: &[(&str, &str)]) -> String {
    let built = Forward::build(
        options(pairs),
        context(None, &Budget::new(0)),
        Handover::default(),
    );
    let BuildError(message) = built.err().expect("it does not start");
    message
}
