//! An output: requests of lines to a simulated service.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use plugin::{
    Answer, BuildError, Deliver, DeliveryId, Format, LocalFuture, Outbox, Output, OutputContext,
    OutputPlugin, Parts, Reason, RecordAnswer, Request, RunOutput,
};
use record::{Batch, Value};
use tokio::sync::oneshot;

use super::Part;
use crate::mutation::Mutation;
use crate::scenario::OutputPlan;
use crate::service::{Call, CallState};
use crate::text::{Id, Nature};
use crate::world::World;

/// The output of every scenario.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<SimOutput>("sim_output");

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a panic that was meant carries.
pub struct MeantPanic;

struct SimOutput;

impl Output for SimOutput {
    type Options = Part;

    fn build(options: Part, _: &OutputContext) -> Result<RunOutput, BuildError> {
        let world = World::current();
        let index = options.part as usize;
        let plan = world.scenario.outputs[index].clone();
        let concurrency = plan.concurrency;
        Ok(RunOutput {
            format: Box::new(Lines {
                world: Rc::clone(&world),
                index,
                plan,
                lane: None,
                body: Vec::new(),
                parts: Parts::default(),
            }),
            deliver: Rc::new(Client {
                world,
                index,
                concurrency,
                under_way: Cell::default(),
                lanes: RefCell::default(),
            }),
            concurrency,
        })
    }
}

/// Makes requests of records: their texts, each with a newline.
struct Lines {
    world: Rc<World>,
    index: usize,
    plan: OutputPlan,
    lane: Option<u64>,
    body: Vec<u8>,
    parts: Parts,
}

impl Lines {
    fn finish(&mut self, outbox: &mut Outbox) {
        if self.parts.is_empty() {
            return;
        }
        outbox.requests.push(Request {
            body: std::mem::take(&mut self.body).into(),
            parts: std::mem::take(&mut self.parts),
            provenance: None,
            lane: self.lane,
            note: None,
        });
    }

    fn add(&mut self, delivery: DeliveryId, record: u32, id: Id, outbox: &mut Outbox) {
        let now = self.world.now();
        match id.nature() {
            Nature::Rejected => {
                outbox
                    .rejected
                    .push((delivery, record, Reason("too_large")));
                let dropped = self.world.book.borrow_mut().dropped(self.index, id, now);
                self.world.check(dropped);
            }
            Nature::Empty => {
                outbox.filtered.push((delivery, record));
                self.world.book.borrow_mut().filtered(self.index, id, now);
            }
            Nature::Ordinary | Nature::Poison => {
                let lane = self.plan.lanes.then_some(u64::from(id.source));
                if lane != self.lane || self.parts.len() >= self.plan.full {
                    self.finish(outbox);
                }
                self.lane = lane;
                self.body.extend_from_slice(id.text().as_bytes());
                self.body.push(b'\n');
                self.parts.push(delivery, record);
                if self.parts.len() >= self.plan.full {
                    self.finish(outbox);
                }
            }
        }
    }
}

impl Format for Lines {
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        if self.world.is_dead() {
            // The process is gone; whatever this call would do has no effect.
            return;
        }
        for record in records {
            match read(batch, record) {
                Ok(id) => self.add(delivery, record, id, outbox),
                Err(finding) => self.world.violated(finding),
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.finish(outbox);
    }
}

/// Which record of the scenario this is.
fn read(batch: &Batch, record: u32) -> Result<Id, String> {
    let body = batch.records()[record as usize].body;
    let text = match batch.get(body, b"log") {
        Some(Value::Str(span)) => batch.bytes(span),
        other => return Err(format!("a record arrived with {other:?} for a text")),
    };
    Id::read(text).ok_or_else(|| {
        let text = String::from_utf8_lossy(text);
        format!("a record arrived damaged: {text:?}")
    })
}

/// Sends requests.
struct Client {
    world: Rc<World>,
    index: usize,
    concurrency: usize,
    under_way: Cell<usize>,
    /// Those in which a request is under way.
    lanes: RefCell<HashSet<u64>>,
}

/// A request under way: when it is dropped without an answer, nobody will ever hear of it.
struct UnderWay<'a> {
    client: &'a Client,
    lane: Option<u64>,
    state: Rc<CallState>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.state.abandon(&self.client.world, self.client.index);
        let under_way = &self.client.under_way;
        under_way.set(under_way.get() - 1);
        if let Some(lane) = self.lane {
            self.client.lanes.borrow_mut().remove(&lane);
        }
    }
}

impl Client {
    fn begin(&self, lane: Option<u64>) -> UnderWay<'_> {
        let world = &self.world;
        self.under_way.set(self.under_way.get() + 1);
        if self.under_way.get() > self.concurrency {
            world.violated(format!("output {} has too many requests", self.index));
        }
        if let Some(lane) = lane
            && !self.lanes.borrow_mut().insert(lane)
        {
            world.violated(format!("two requests of lane {lane} are under way"));
        }
        UnderWay {
            client: self,
            lane,
            state: Rc::default(),
        }
    }

    async fn send(&self, ids: &[Id], state: &Rc<CallState>) -> Answer {
        let (answer, heard) = oneshot::channel();
        self.world.services[self.index].call(Call {
            ids: ids.to_vec(),
            state: Rc::clone(state),
            answer,
        });
        match tokio::time::timeout(TIMEOUT, heard).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::again("the connection was cut"),
            Err(_) => Answer::again("no answer came"),
        }
    }

    /// What the answer says goes into the book at the moment in which the engine hears it.
    fn hear(&self, ids: &[Id], answer: &Answer) {
        let now = self.world.now();
        let exceptions: &[(u32, RecordAnswer)] = match answer {
            Answer::Done => &[],
            Answer::Except { records, .. } => records,
            Answer::Never { .. } if ids.len() == 1 => {
                let dropped = self
                    .world
                    .book
                    .borrow_mut()
                    .dropped(self.index, ids[0], now);
                return self.world.check(dropped);
            }
            Answer::Again { .. } | Answer::Never { .. } => return,
        };
        let mut exceptions = exceptions.iter().peekable();
        for (index, id) in (0..).zip(ids) {
            let mut book = self.world.book.borrow_mut();
            let result = match exceptions.next_if(|(at, _)| *at == index) {
                None => {
                    book.delivered(self.index, *id, now);
                    Ok(())
                }
                Some((_, RecordAnswer::Never(_))) => book.dropped(self.index, *id, now),
                Some((_, RecordAnswer::Again)) => Ok(()),
            };
            drop(book);
            self.world.check(result);
        }
    }

    fn panics(&self) {
        let rate = self.world.scenario.outputs[self.index].faults.panic;
        if !self.world.is_healed() && self.world.dice(|dice| dice.chance(rate)) {
            self.world.say(|| format!("output {} panics", self.index));
            self.world.book.borrow_mut().panicked(self.index);
            self.world.meant_panic.set(Some(self.world.now()));
            std::panic::panic_any(MeantPanic);
        }
    }

    /// What a broken router would make of the answer.
    fn mutate(&self, answer: Answer) -> Answer {
        let world = &self.world;
        match answer {
            Answer::Except { .. } if world.is_mutated(Mutation::IgnoresExceptions) => Answer::Done,
            Answer::Again { .. } if world.is_mutated(Mutation::IgnoresSilence) => Answer::Done,
            other => other,
        }
    }
}

impl Deliver for Client {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            let lines = request.body.split(|byte| *byte == b'\n');
            let ids: Vec<Id> = lines.filter_map(Id::read).collect();
            let under_way = self.begin(request.lane);
            let first = ids.first().copied();
            self.world
                .live_step(|| format!("output {} sends {} from {first:?}", self.index, ids.len()))
                .await;
            self.panics();
            let mut answer = self.send(&ids, &under_way.state).await;
            if self.world.is_mutated(Mutation::SendsTwice) && answer == Answer::Done {
                under_way.state.heard();
                answer = self.send(&ids, &Rc::default()).await;
            }
            self.world
                .live_step(|| format!("output {} hears {answer:?}", self.index))
                .await;
            if !matches!(answer, Answer::Again { .. }) {
                under_way.state.heard();
            }
            self.hear(&ids, &answer);
            self.mutate(answer)
        })
    }
}
