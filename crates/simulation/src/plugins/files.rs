//! An input that follows a file as `tail` does: it reads whole lines, reads again what was refused, and writes how far
//! the file is delivered, with the real ledger and the real database of positions.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin::{BuildError, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop};
use record::{Batch, Field, Ledger, Permit, Position, Record, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Part;
use crate::mutation::Mutation;
use crate::positions::{Open, position};
use crate::scenario::TailPlan;
use crate::text::Id;
use crate::world::World;

/// The input that stands for `tail`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<SimTail>("sim_tail");

/// How often positions are written.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// The longest that writing them takes.
const COMMIT_TAKES: Duration = Duration::from_millis(50);
/// What was refused is not read again at once.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

struct SimTail {
    world: Rc<World>,
    index: usize,
    plan: TailPlan,
    context: InputContext,
    ledger: Arc<Ledger>,
    changed: Arc<Notify>,
    store: Rc<RefCell<Open>>,
    read_to: u64,
}

impl Input for SimTail {
    type Options = Part;

    fn build(options: Part, context: InputContext, _: Handover) -> Result<SimTail, BuildError> {
        let world = World::current();
        let index = options.part as usize;
        world.budgets.borrow_mut().push(Arc::clone(&context.budget));
        let store = world.positions.open(index);
        let (offset, mut delivered) = match &store.position {
            Some(position) => (
                position.offset,
                position.facts.clone().unwrap_or_default().delivered,
            ),
            None => (0, Vec::new()),
        };
        if world.is_mutated(Mutation::ForgetsDelivered) {
            delivered.clear();
        }
        world.say(|| format!("file {index} begins at {offset} without {delivered:?}"));
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        let ledger = Ledger::with_notice(offset, move || notice.notify_one());
        let mut read_to = offset;
        for range in delivered {
            read_to = range.end;
            ledger.skip(range);
        }
        Ok(SimTail {
            plan: world.scenario.tails[index],
            world,
            index,
            context,
            ledger,
            changed,
            store: Rc::new(RefCell::new(store)),
            read_to,
        })
    }

    async fn run(mut self, emitter: Emitter, stop: Stop) -> Ended {
        let committer = tokio::task::spawn_local(commit_often(self.committer()));
        let world = Rc::clone(&self.world);
        loop {
            let Some((range, wait)) = self.next_range() else {
                tokio::select! {
                    biased;
                    () = stop.requested() => break,
                    () = self.changed.notified() => {}
                    () = world.files[self.index].grown.notified() => {}
                }
                continue;
            };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let permit = tokio::select! {
                biased;
                () = stop.requested() => break,
                permit = self.permit(&range) => permit,
            };
            self.hand_over(range, permit, &emitter).await;
        }
        while !self.is_answered() {
            self.changed.notified().await;
        }
        committer.abort();
        self.committer().commit().await;
        Ended::default()
    }
}

impl SimTail {
    fn committer(&self) -> Committer {
        Committer {
            world: Rc::clone(&self.world),
            index: self.index,
            ledger: Arc::clone(&self.ledger),
            store: Rc::clone(&self.store),
            fails: self.plan.write_fails,
        }
    }

    /// What to read next, and how long to wait before: first what was refused, or never handed over before a range that was
    /// delivered.
    fn next_range(&self) -> Option<(Range<u64>, Duration)> {
        let file = &self.world.files[self.index];
        let refused = match self.world.is_mutated(Mutation::ForgetsRefused) {
            true => None,
            false => self.ledger.refused().into_iter().next(),
        };
        let (start, end, wait) = match refused {
            Some(range) => (range.start, range.end, REFUSED_WAIT),
            None => (self.read_to, file.end(), Duration::ZERO),
        };
        if start == end {
            return None;
        }
        if !file.is_boundary(start) || !file.is_boundary(end) {
            let range = start..end;
            self.world
                .violated(format!("{range:?} of a file is refused: no whole lines"));
            return None;
        }
        Some((start..file.lines_end(start, end, self.plan.read), wait))
    }

    async fn permit(&self, range: &Range<u64>) -> Permit {
        if self.world.is_mutated(Mutation::ReadsWithoutPermit) {
            let mut permit = self.context.budget.take(0).await;
            permit.resize((range.end - range.start) as usize);
            return permit;
        }
        self.context
            .budget
            .take((range.end - range.start) as usize)
            .await
    }

    async fn hand_over(&mut self, range: Range<u64>, permit: Permit, emitter: &Emitter) {
        self.world
            .check_permit(&self.context.budget, permit.bytes());
        self.world
            .live_step(|| format!("file {} is read: {range:?}", self.index))
            .await;
        self.read_to = self.read_to.max(range.end);
        let obligation = self.ledger.open(range.clone());
        let bytes = Bytes::from(self.world.files[self.index].read(range.clone()));
        let mut batch =
            Batch::new(self.context.static_tag(), bytes.clone()).with_obligation(obligation);
        batch = match self.world.is_mutated(Mutation::LeaksMemory) {
            true => {
                std::mem::forget(permit);
                batch
            }
            false => batch.with_permit(permit),
        };
        let key = batch.put(b"log");
        let mut start = 0;
        while let Some(length) = bytes[start..].iter().position(|byte| *byte == b'\n') {
            let text = start..start + length;
            if let Some(id) = Id::read(&bytes[text.clone()]) {
                self.world.book.borrow_mut().emitted(id);
            }
            let mark = batch.mark();
            batch.push(Field::new(key, Value::Str(batch.span(text))));
            let body = batch.close(mark);
            batch.push_record(Record {
                body,
                position: Position {
                    offset: range.start + start as u64,
                    len: length as u32 + 1,
                },
                ..Record::default()
            });
            start += length + 1;
        }
        emitter.emit(batch);
        tokio::task::yield_now().await;
    }

    /// Whether everything that was handed over is answered for, in one way or the other.
    fn is_answered(&self) -> bool {
        let beyond = self.ledger.discharged_beyond();
        let ranges = beyond
            .iter()
            .chain(&self.ledger.refused())
            .map(|r| r.end - r.start)
            .sum::<u64>();
        self.ledger.discharged() + ranges >= self.read_to
    }
}

/// Writes positions.
struct Committer {
    world: Rc<World>,
    index: usize,
    ledger: Arc<Ledger>,
    store: Rc<RefCell<Open>>,
    fails: f64,
}

async fn commit_often(committer: Committer) {
    let mut at = Instant::now() + COMMIT_EVERY;
    loop {
        tokio::time::sleep_until(at).await;
        at += COMMIT_EVERY;
        committer.commit().await;
    }
}

impl Committer {
    async fn commit(&self) {
        let (world, index) = (&self.world, self.index);
        if world.is_mutated(Mutation::NeverCommits) {
            return;
        }
        let mut offset = self.ledger.discharged();
        if world.is_mutated(Mutation::CommitsWhatWasRead) {
            offset = world.files[index].end();
        }
        let new = position(index, offset, self.ledger.discharged_beyond());
        if world
            .positions
            .durable(index)
            .is_some_and(|durable| durable == new)
        {
            return;
        }
        let takes = world.dice(|dice| dice.time(Duration::from_millis(1)..COMMIT_TAKES));
        tokio::time::sleep(takes).await;
        world
            .live_step(|| format!("file {index} is delivered to {offset}"))
            .await;
        if !world.is_healed() && world.dice(|dice| dice.chance(self.fails)) {
            return world.say(|| format!("the position of file {index} is not written"));
        }
        let written = self.store.borrow_mut().write(world, new);
        world.check(written);
    }
}
