//! What tests of inputs stand on: a road that keeps what it gets until the test answers, and inputs that run onto one.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
use plugin::{
    BuildError, Emit, Emitter, Ended, Handover, Input, InputContext, Level, Log, Metrics, Parser,
    Parsers, StopHandle,
};
use record::json::write::Writer;
use record::{Batch, Budget, Receipt, Time};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet};

/// Far more than anything here takes: a test that waits for it has failed.
const GENEROUS: Duration = Duration::from_secs(60);

/// Runs a test on one thread, as a shard does.
pub fn on_shard<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test)
}

/// Fails when `event` does not happen.
pub async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(GENEROUS, event)
        .await
        .expect("it never happened")
}

/// Options as a configuration gives them.
pub fn options<O: Options>(pairs: &[(&str, &str)]) -> O {
    let position = || Position::file(Path::new("test.conf"));
    let mut section = Section::new(SectionKind::Input, "INPUT", position());
    for (key, value) in pairs {
        section
            .entries
            .push(Entry::plain(key, position(), *value, position()));
    }
    O::read(&section, &mut Diagnostics::default()).expect("readable options")
}

struct NoParsers;

impl Parsers for NoParsers {
    fn make(&self, _: &str) -> Option<Box<dyn Parser>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What an instance is built with; `tag` if one is configured.
pub fn context(tag: Option<&str>, budget: &Arc<Budget>) -> InputContext {
    InputContext {
        name: "dummy.0".into(),
        tag: tag.unwrap_or("dummy.0").to_owned(),
        tag_is_configured: tag.is_some(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        parsers: Arc::new(NoParsers),
        budget: Arc::clone(budget),
        flush: std::time::Duration::from_secs(1),
        config_dir: PathBuf::new(),
        shard: plugin::Shard::ONLY,
    }
}

/// An input that runs.
pub struct Running {
    pub road: Rc<Road>,
    pub metrics: Metrics,
    pub budget: Arc<Budget>,
    pub stop: StopHandle,
    pub ended: JoinHandle<Ended>,
}

impl Running {
    /// Starts one with a configured tag, a limit of memory (0: none) and what another one gave up. Returns besides what
    /// `look` sees of it before it runs.
    pub fn start<I: Input, T>(
        pairs: &[(&str, &str)],
        (tag, memory): (Option<&str>, usize),
        handover: Handover,
        look: impl FnOnce(&I) -> T,
    ) -> (Running, T) {
        let budget = Budget::new(memory);
        let context = context(tag, &budget);
        let metrics = context.metrics.clone();
        let input = I::build(options(pairs), context, handover).expect("it starts");
        let seen = look(&input);
        let road = Rc::new(Road::default());
        let (stop, stopped) = StopHandle::new();
        let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
        let running = Running {
            road,
            metrics,
            budget,
            stop,
            ended,
        };
        (running, seen)
    }

    /// The value of a counter.
    pub fn counter(&self, name: &str, reason: Option<&str>) -> u64 {
        let all = self.metrics.all();
        let metric = all
            .iter()
            .find(|metric| metric.name == name && metric.reason == reason);
        metric.expect("a registered counter").number.get()
    }

    /// Tag and event of every record.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.road.lines().into_iter();
        lines.map(|(_, line)| line).collect()
    }

    /// Asks it to give up what it has to a successor.
    pub async fn give_up(&self) -> Handover {
        self.stop.request_for_successor();
        soon(self.stop.handed_over()).await
    }

    /// Waits for its end.
    pub async fn ended(self) -> Ended {
        soon(self.ended).await.expect("no panic")
    }

    /// Stops it. Returns what it gives up.
    pub async fn end(self) -> Handover {
        self.stop.request();
        soon(self.ended).await.expect("no panic");
        self.stop.take_handover().expect("it gives its socket up")
    }
}

/// Why an instance does not start.
pub fn build_error<I: Input>(pairs: &[(&str, &str)]) -> String {
    let context = context(None, &Budget::new(0));
    let built = I::build(options(pairs), context, Handover::default());
    let BuildError(message) = built.err().expect("it does not start");
    message
}

/// Keeps batches.
#[derive(Default)]
pub struct Road {
    kept: RefCell<Vec<(Arc<Batch>, Option<Receipt>)>>,
    answers_at_once: Cell<bool>,
    arrived: Notify,
}

impl Emit for Road {
    fn emit(&self, batch: Batch) {
        let (batch, receipt) = batch.freeze();
        self.kept.borrow_mut().push((batch, Some(receipt)));
        if self.answers_at_once.get() {
            self.answer();
        }
        self.arrived.notify_one();
    }
}

impl Road {
    /// Answers for everything that is kept and gives up its memory, from now on at once if `always`.
    pub fn deliver(&self, always: bool) {
        self.answers_at_once.set(always);
        self.answer();
    }

    /// Answers, but keeps the batches.
    fn answer(&self) {
        for (_, receipt) in self.kept.borrow_mut().iter_mut() {
            receipt.take().into_iter().for_each(Receipt::settle_all);
        }
    }

    /// Answers for one batch.
    pub fn answer_one(&self, index: usize) {
        let receipt = self.kept.borrow_mut()[index].1.take();
        receipt.into_iter().for_each(Receipt::settle_all);
    }

    /// Lets everything fall without an answer.
    pub fn refuse(&self) {
        self.kept.borrow_mut().clear();
    }

    /// Takes the batches out.
    pub fn take(&self) -> Vec<Arc<Batch>> {
        self.kept
            .borrow_mut()
            .drain(..)
            .map(|(batch, _)| batch)
            .collect()
    }

    /// All batches so far.
    pub fn batches(&self) -> Vec<Arc<Batch>> {
        self.kept
            .borrow()
            .iter()
            .map(|(batch, _)| Arc::clone(batch))
            .collect()
    }

    /// Time, and tag with the event as JSON, of every record.
    pub fn lines(&self) -> Vec<(Time, String)> {
        let (mut writer, mut lines) = (Writer::default(), Vec::new());
        for batch in self.batches() {
            for record in batch.records() {
                let mut event = Vec::new();
                writer.event(&batch, record, None, None, &mut event);
                let event = String::from_utf8_lossy(&event);
                lines.push((record.time, format!("{} {event}", batch.tag())));
            }
        }
        lines
    }

    /// How many records are kept.
    pub fn records(&self) -> usize {
        self.kept
            .borrow()
            .iter()
            .map(|(batch, _)| batch.len())
            .sum()
    }

    /// Waits until so many records have come.
    pub async fn holds(&self, records: usize) {
        soon(async {
            while self.records() < records {
                self.arrived.notified().await;
            }
        })
        .await;
        assert_eq!(self.records(), records);
    }

    /// Completes with the next batch.
    pub async fn arrival(&self) {
        soon(self.arrived.notified()).await;
    }
}
