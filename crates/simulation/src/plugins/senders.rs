//! An input that takes chunks from a sender as `forward` does, and acknowledges each when all of it is answered for.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use plugin::{BuildError, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop};
use record::{Batch, Field, Ledger, Obligation, Position, Record, Value};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Part;
use crate::mutation::Mutation;
use crate::sender::{Chunk, Link};
use crate::world::World;

/// The input that stands for `forward`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<SimForward>("sim_forward");

struct SimForward {
    world: Rc<World>,
    index: usize,
    context: InputContext,
}

impl Input for SimForward {
    type Options = Part;

    fn build(options: Part, context: InputContext, _: Handover) -> Result<SimForward, BuildError> {
        let world = World::current();
        let index = options.part as usize;
        world.budgets.borrow_mut().push(Arc::clone(&context.budget));
        world.ports[index].listen();
        Ok(SimForward {
            world,
            index,
            context,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => break,
                link = self.world.ports[self.index].accept() => {
                    let connection = Connection::new(&self, link);
                    connections.spawn_local(connection.run(emitter.clone(), stop.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        while connections.join_next().await.is_some() {}
        Ended::default()
    }
}

struct Connection {
    world: Rc<World>,
    index: usize,
    context: InputContext,
    link: Rc<Link>,
    ledger: Arc<Ledger>,
    changed: Arc<Notify>,
    next: u64,
    owed: Vec<(Range<u64>, Chunk)>,
}

impl Connection {
    fn new(input: &SimForward, link: Rc<Link>) -> Connection {
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        Connection {
            world: Rc::clone(&input.world),
            index: input.index,
            context: input.context.clone(),
            link,
            ledger: Ledger::with_notice(0, move || notice.notify_one()),
            changed,
            next: 0,
            owed: Vec::new(),
        }
    }

    async fn run(mut self, emitter: Emitter, stop: Stop) {
        let mut stopping = false;
        while !(self.link.is_closed() || stopping && self.owed.is_empty()) {
            let chunk = match stopping {
                true => None,
                false => self.link.next_chunk(),
            };
            if let Some(chunk) = chunk {
                self.take(chunk, &emitter).await;
                continue;
            }
            tokio::select! {
                biased;
                () = self.changed.notified() => self.answer().await,
                () = self.link.to_router.notified() => {}
                () = stop.requested(), if !stopping => stopping = true,
            }
        }
        self.link.close();
    }

    async fn take(&mut self, chunk: Chunk, emitter: &Emitter) {
        let texts: Vec<String> = chunk.ids().map(|id| id.text()).collect();
        let source = Bytes::from(texts.concat());
        let permit = self.context.budget.take(source.len()).await;
        self.world
            .check_permit(&self.context.budget, permit.bytes());
        if self.link.is_closed() {
            return;
        }
        self.world
            .live_step(|| format!("input {} has chunk {}", self.index, chunk.number))
            .await;
        let positions = self.next..self.next + texts.len() as u64;
        self.next = positions.end;
        let obligation = self.ledger.open(positions.clone());
        let batch = self.batch(source, &texts, positions.start, obligation);
        chunk
            .ids()
            .for_each(|id| self.world.book.borrow_mut().emitted(id));
        if self.world.is_mutated(Mutation::AcknowledgesAtOnce) {
            self.link.acknowledge(chunk.number);
        } else {
            self.owed.push((positions, chunk));
        }
        emitter.emit(batch.with_permit(permit));
        tokio::task::yield_now().await;
    }

    fn batch(&self, source: Bytes, texts: &[String], first: u64, obligation: Obligation) -> Batch {
        let mut batch = Batch::new(self.context.static_tag(), source)
            .with_obligation(obligation)
            .with_awaited(true);
        let key = batch.put(b"log");
        let mut start = 0;
        for (offset, text) in (first..).zip(texts) {
            let mark = batch.mark();
            batch.push(Field::new(
                key,
                Value::Str(batch.span(start..start + text.len())),
            ));
            start += text.len();
            let body = batch.close(mark);
            batch.push_record(Record {
                body,
                position: Position { offset, len: 1 },
                ..Record::default()
            });
        }
        batch
    }

    /// Acknowledges what is answered for. After a refusal the sender is to send again.
    async fn answer(&mut self) {
        let (prefix, beyond) = (self.ledger.discharged(), self.ledger.discharged_beyond());
        let is_due = |range: &Range<u64>| {
            let within =
                |own: &Range<u64>| own.start <= range.start.max(prefix) && range.end <= own.end;
            range.end <= prefix || beyond.iter().any(within)
        };
        let (due, owed) = std::mem::take(&mut self.owed)
            .into_iter()
            .partition(|(range, _)| is_due(range));
        self.owed = owed;
        for (_, chunk) in due {
            self.world
                .live_step(|| format!("input {} acknowledges chunk {}", self.index, chunk.number))
                .await;
            self.link.acknowledge(chunk.number);
        }
        if !self.ledger.refused().is_empty() && !self.world.is_mutated(Mutation::ForgetsRefused) {
            self.world
                .say(|| format!("input {} is refused something", self.index));
            self.link.close();
        }
    }
}
