//! From sources to batches.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, SectionKind};
use plugin::{
    Emit, Emitter, Handover, InputContext, Level, Log, Metrics, RunInput, Shard, StopHandle,
};
use record::msgpack::write;
use record::{Batch, Budget, Time};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::lines::{self, TAG};
use crate::section::section;
use crate::{Path, RECORDS, parsers};

/// Far longer than anything here takes.
const GENEROUS: Duration = Duration::from_secs(60);

/// Counts what arrives and answers for it.
#[derive(Default)]
struct Road {
    records: Cell<usize>,
    arrived: Notify,
}

impl Emit for Road {
    fn emit(&self, batch: Batch) {
        self.records.set(self.records.get() + batch.records().len());
        batch.freeze().1.settle_all();
        self.arrived.notify_one();
    }
}

impl Road {
    /// Waits for so many records, and forgets them.
    async fn holds(&self, records: usize) -> usize {
        while self.records.get() < records {
            let next = tokio::time::timeout(GENEROUS, self.arrived.notified());
            next.await.expect("records come");
        }
        self.records.take()
    }
}

/// A thread as a shard has it.
fn shard() -> (Runtime, LocalSet) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    (runtime, LocalSet::new())
}

fn build(name: &str, options: &[(&str, &str)]) -> Box<dyn RunInput> {
    let plugin = inputs::ALL.iter().find(|plugin| plugin.name == name);
    let plugin = plugin.expect("an input");
    let mut diagnostics = Diagnostics::new();
    let section = section(SectionKind::Input, options);
    let build = (plugin.configure)(&section, &mut diagnostics);
    let build = build.unwrap_or_else(|| panic!("{diagnostics}"));
    let context = InputContext {
        name: "input.0".into(),
        tag: "kube.*".to_owned(),
        tag_is_configured: true,
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        parsers: Arc::new(parsers::definitions()),
        budget: Budget::new(0),
        flush: std::time::Duration::from_secs(1),
        config_dir: ".".into(),
        shard: Shard::ONLY,
    };
    build(context, Handover::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// So many lines lie in the file that is followed: enough that opening it does not count.
const LINES: usize = 20_000;

/// `tail`: a file from its head to its end, split into lines. Each run is a start of its own.
pub fn tail() -> Path {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.log");
    std::fs::write(&file, lines::text(lines::docker, LINES)).expect("written");
    let (runtime, local) = shard();
    Path::new(LINES, move || {
        let options = [
            ("Path", file.to_str().expect("text")),
            ("Read_from_Head", "On"),
        ];
        let _ = &folder;
        runtime.block_on(local.run_until(async {
            let road = Rc::new(Road::default());
            let (stop, stopped) = StopHandle::new();
            let input = build("tail", &options);
            let running = input.run(Emitter::new(road.clone()), stopped);
            let ended = tokio::task::spawn_local(running);
            let records = road.holds(LINES).await;
            stop.request();
            ended.await.expect("no panic");
            records
        }))
    })
}

/// `forward`: one frame of 500 packed entries, as Fluent Bit and Fluentd send them.
pub fn forward_packed() -> Path {
    let batch = lines::records();
    let mut entries = Vec::new();
    for record in batch.records() {
        write::event_v1(&batch, record, &mut entries);
    }
    let mut frame = Vec::new();
    write::array_header(2, &mut frame);
    write::str(TAG.as_bytes(), &mut frame);
    write::bin(&entries, &mut frame);
    forward(frame)
}

/// `forward`: 500 frames of one record, as Docker's log driver sends them.
pub fn forward_single() -> Path {
    let mut frames = Vec::new();
    for index in 0..RECORDS {
        write::array_header(4, &mut frames);
        write::str(TAG.as_bytes(), &mut frames);
        write::time(Time::new(1_795_352_700, index as u32), &mut frames);
        write::map_header(4, &mut frames);
        let id = "3f2a".repeat(16);
        let fields = [
            ("container_id", id.as_str()),
            ("container_name", "/shop-nginx-1"),
            ("source", "stdout"),
            ("log", &lines::nginx(index)),
        ];
        for (key, value) in fields {
            write::str(key.as_bytes(), &mut frames);
            write::str(value.as_bytes(), &mut frames);
        }
        write::map_header(0, &mut frames);
    }
    forward(frames)
}

/// A running `forward` with one sender.
struct Running {
    runtime: Runtime,
    local: LocalSet,
    road: Rc<Road>,
    sender: UnixStream,
    // Gone last.
    _stop: StopHandle,
    _folder: TempDir,
}

fn forward(frames: Vec<u8>) -> Path {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("forward.sock");
    let (runtime, local) = shard();
    let road = Rc::new(Road::default());
    let (stop, stopped) = StopHandle::new();
    let sender = runtime.block_on(local.run_until(async {
        let input = build("forward", &[("unix_path", socket.to_str().expect("text"))]);
        tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
        UnixStream::connect(&socket).await.expect("it listens")
    }));
    let mut running = Running {
        runtime,
        local,
        road,
        sender,
        _stop: stop,
        _folder: folder,
    };
    Path::new(RECORDS, move || running.send(&frames))
}

impl Running {
    fn send(&mut self, frames: &[u8]) -> usize {
        let (sender, road) = (&mut self.sender, &self.road);
        self.runtime.block_on(self.local.run_until(async {
            sender.write_all(frames).await.expect("it reads");
            road.holds(RECORDS).await
        }))
    }
}
