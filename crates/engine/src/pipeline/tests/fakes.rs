//! An input that counts, and an output that notes what arrives.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin::{
    Answer, BuildError, Deliver, DeliveryId, Emitter, Ended, Format, Handover, Input, InputContext,
    InputPlugin, LocalFuture, Outbox, Output, OutputContext, OutputPlugin, Parts, Request,
    RunOutput, Stop,
};
use record::{Batch, Ledger, Position, Record, Tag};
use tokio::sync::Notify;

use crate::Registry;

pub const REGISTRY: Registry = Registry {
    inputs: &[&InputPlugin::new::<Probe>("probe")],
    filters: &[],
    outputs: &[&OutputPlugin::new::<Sink>("sink")],
};

thread_local! {
    pub static WORLD: World = World::default();
}

/// What happened, and what should.
#[derive(Default)]
pub struct World {
    built: RefCell<Vec<String>>,
    arrived: RefCell<Vec<u64>>,
    made: Cell<u64>,
    is_silent: Cell<bool>,
    /// This one answers all the same.
    answering: RefCell<String>,
    panics: Cell<bool>,
    changed: Rc<Notify>,
}

impl World {
    pub fn reset(&self) {
        self.built.take();
        self.arrived.take();
        self.made.set(0);
        self.answer(true);
    }

    pub fn built(&self) -> Vec<String> {
        self.built.borrow().clone()
    }

    pub fn arrived(&self) -> Vec<u64> {
        self.arrived.borrow().clone()
    }

    pub fn made(&self) -> u64 {
        self.made.get()
    }

    pub fn answer(&self, answers: bool) {
        self.is_silent.set(!answers);
        self.answering.borrow_mut().clear();
        self.changed.notify_waiters();
    }

    pub fn answer_label(&self, label: &str) {
        *self.answering.borrow_mut() = label.to_owned();
        self.changed.notify_waiters();
    }

    pub fn panic_once(&self) {
        self.panics.set(true);
    }

    fn answers(&self, label: &str) -> bool {
        !self.is_silent.get() || (!label.is_empty() && *self.answering.borrow() == label)
    }
}

/// Counts.
#[derive(Clone, Debug, config::Options)]
pub struct ProbeOptions {
    /// Makes a difference.
    #[option(name = "label", default = "")]
    label: String,
    /// `early`: before its last answers.
    #[option(name = "gives", default = "late")]
    gives: String,
    /// Cannot be built.
    #[option(name = "fails", default = "no")]
    fails: bool,
    /// Counts nothing.
    #[option(name = "quiet", default = "no")]
    quiet: bool,
    /// Counts no further.
    #[option(name = "most", default = "1000000")]
    most: i64,
}

struct Probe {
    options: ProbeOptions,
    next: u64,
}

impl Input for Probe {
    type Options = ProbeOptions;

    const SOURCE_KEEPS: bool = true;

    fn build(
        options: ProbeOptions,
        context: InputContext,
        handover: Handover,
    ) -> Result<Self, BuildError> {
        if options.fails {
            return Err(BuildError("told to fail".into()));
        }
        let next = match handover.state.try_into() {
            Ok(bytes) => u64::from_le_bytes(bytes),
            Err(_) => 0,
        };
        let name = format!("probe {} {}", context.name, options.label);
        let words = format!("{} from {next}", name.trim_end());
        WORLD.with(|world| world.built.borrow_mut().push(words));
        Ok(Probe { options, next })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        let Probe { options, mut next } = self;
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        let ledger = Ledger::with_notice(next, move || notice.notify_one());
        let mut again = VecDeque::new();
        loop {
            let is_counting = !options.quiet && next < options.most.unsigned_abs();
            tokio::select! {
                biased;
                () = stop.requested() => break,
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            again.extend(ledger.refused());
            while let Some(range) = again.pop_front() {
                emit(&emitter, &ledger, range);
            }
            if is_counting {
                emit(&emitter, &ledger, next..next + 1);
                next += 1;
                WORLD.with(|world| world.made.set(world.made.get().max(next)));
            }
        }
        let handover = || Handover {
            state: next.to_le_bytes().to_vec(),
            ..Handover::default()
        };
        let is_early = options.gives == "early";
        if is_early {
            stop.hand_over(handover());
        }
        while !ledger.is_settled() {
            changed.notified().await;
            for range in ledger.refused() {
                emit(&emitter, &ledger, range);
            }
        }
        Ended {
            handover: if is_early {
                Handover::default()
            } else {
                handover()
            },
            ends_process: false,
        }
    }
}

fn emit(emitter: &Emitter, ledger: &Arc<Ledger>, range: Range<u64>) {
    let obligation = ledger.open(range.clone());
    let mut batch = Batch::new(Tag::from("t"), Bytes::new()).with_obligation(obligation);
    for offset in range {
        batch.push_record(Record {
            position: Position { offset, len: 1 },
            ..Record::default()
        });
    }
    emitter.emit(batch);
}

/// Notes what arrives.
#[derive(Clone, Debug, config::Options)]
pub struct SinkOptions {
    /// Makes a difference.
    #[option(name = "label", default = "")]
    label: String,
    /// Cannot be built.
    #[option(name = "fails", default = "no")]
    fails: bool,
}

#[derive(Default)]
struct Sink {
    numbers: Vec<u64>,
    parts: Parts,
}

struct Sending {
    label: String,
}

impl Output for Sink {
    type Options = SinkOptions;

    fn build(options: SinkOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        if options.fails {
            return Err(BuildError("told to fail".into()));
        }
        let name = format!("sink {} {}", context.name, options.label);
        let words = name.trim_end().to_owned();
        WORLD.with(|world| world.built.borrow_mut().push(words));
        Ok(RunOutput {
            format: Box::new(Sink::default()),
            deliver: Rc::new(Sending {
                label: options.label,
            }),
            concurrency: 2,
        })
    }
}

impl Format for Sink {
    fn format(&mut self, id: DeliveryId, batch: &Batch, records: Range<u32>, outbox: &mut Outbox) {
        if WORLD.with(|world| world.panics.replace(false)) {
            panic!("told to panic");
        }
        for record in records {
            self.numbers
                .push(batch.records()[record as usize].position.offset);
            self.parts.push(id, record);
        }
        if self.numbers.len() >= 5 {
            self.seal(outbox);
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        if self.numbers.is_empty() {
            return;
        }
        let numbers = std::mem::take(&mut self.numbers);
        outbox.requests.push(Request {
            body: vec![0; numbers.len()].into(),
            parts: std::mem::take(&mut self.parts),
            provenance: None,
            lane: None,
            note: Some(Box::new(numbers)),
        });
    }
}

impl Deliver for Sending {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            loop {
                let changed = WORLD.with(|world| Rc::clone(&world.changed));
                let changed = changed.notified();
                if WORLD.with(|world| world.answers(&self.label)) {
                    break;
                }
                changed.await;
            }
            let numbers = request.note.as_ref().and_then(|note| note.downcast_ref());
            let numbers: &Vec<u64> = numbers.expect("the numbers");
            WORLD.with(|world| world.arrived.borrow_mut().extend(numbers));
            Answer::Done
        })
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }
}
