//! An input that takes chunks from a sender as `forward` does, and acknowledges each when all of it is answered for.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use plugin::{BuildError, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop};
use record::{Batch, Field, Ledger, Obligation, Origin, Position, Record, Value};
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
    changed: Arc<Notify>,
    /// Chunks that are not acknowledged. A record's number is its place in the chunk, the same when it is sent again.
    owed: Vec<(Arc<Ledger>, Chunk)>,
}

impl Connection {
    fn new(input: &SimForward, link: Rc<Link>) -> Connection {
        Connection {
            world: Rc::clone(&input.world),
            index: input.index,
            context: input.context.clone(),
            link,
            changed: Arc::default(),
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
        let notice = Arc::clone(&self.changed);
        let ledger = Ledger::with_notice(0, move || notice.notify_one());
        let obligation = ledger.open(0..texts.len() as u64);
        let batch = self.batch(&chunk, source, &texts, obligation);
        chunk
            .ids()
            .for_each(|id| self.world.book.borrow_mut().emitted(id));
        if self.world.is_mutated(Mutation::AcknowledgesAtOnce) {
            self.link.acknowledge(chunk.number);
        } else {
            self.owed.push((ledger, chunk));
        }
        emitter.emit(batch.with_permit(permit));
        tokio::task::yield_now().await;
    }

    fn batch(
        &self,
        chunk: &Chunk,
        source: Bytes,
        texts: &[String],
        obligation: Obligation,
    ) -> Batch {
        let (sender, number) = (self.index as u64, u64::from(chunk.number));
        let origin = Origin::of(&[b"chunk", &sender.to_le_bytes(), &number.to_le_bytes()]);
        let mut batch = Batch::new(self.context.static_tag(), source)
            .with_obligation(obligation)
            .with_origin(origin)
            .with_awaited(true);
        let key = batch.put(b"log");
        let mut start = 0;
        for (offset, text) in (0..).zip(texts) {
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
        let (due, owed) = std::mem::take(&mut self.owed)
            .into_iter()
            .partition(|(ledger, _)| ledger.is_settled());
        self.owed = owed;
        for (_, chunk) in due {
            self.world
                .live_step(|| format!("input {} acknowledges chunk {}", self.index, chunk.number))
                .await;
            self.link.acknowledge(chunk.number);
        }
        let is_refused = |(ledger, _): &(Arc<Ledger>, Chunk)| !ledger.refused().is_empty();
        if self.owed.iter().any(is_refused) && !self.world.is_mutated(Mutation::ForgetsRefused) {
            self.world
                .say(|| format!("input {} is refused something", self.index));
            self.link.close();
        }
    }
}
