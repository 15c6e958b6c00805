//! Drives one output on one shard: offers batches to it, sends its requests, repeats what must be repeated and settles
//! the obligation of every record.
//!
//! Waiting and deciding are apart: [`Runner::next_event`] waits, [`Runner::apply`] changes the state.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::RetryLimit;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use monitor::OutputCounters;
use plugin::{
    Answer, Deliver, DeliveryId, Log, Outbox, Provenance, Reason, RecordAnswer, Request, RunOutput,
    Stop,
};
use record::{Batch, Budget, Permit, Receipt};
use slab::Slab;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::oversight::{Leftover, Order, Oversight};
use crate::pace::{Generation, Pace};
use crate::read_ahead::ReadAhead;
use crate::retry::{Backoff, is_allowed};
use crate::road::Delivery;
use crate::storage::DeadLetters;

use lanes::Lanes;
use pieces::{halve, push_record, split};

/// An output without work for this long gives back the memory that it keeps for later requests.
const IDLE: Duration = Duration::from_secs(3);
/// While stopping, the wait between attempts.
const STOPPING_WAIT: Duration = Duration::from_secs(1);
/// What is due within this is sent along with what comes now: inputs let records be due so much later than the last that goes
/// with them.
const MOMENT: Duration = Duration::from_millis(10);
/// A retry limit was reached.
const RETRY_LIMIT: Reason = Reason("retry_limit");

/// What a runner needs besides the output.
pub struct RunnerSettings {
    /// The longest that a record waits in a request that is not full.
    pub flush: Duration,
    pub retry_limit: RetryLimit,
    pub backoff: Backoff,
    pub counters: OutputCounters,
    pub log: Log,
    pub stop: Stop,
    /// The memory that all batches are counted in.
    pub memory: Arc<Budget>,
    /// The memory that bodies of all outputs are counted in.
    pub bodies: Arc<Budget>,
    /// How far inputs read ahead, which depends on what answers say.
    pub read_ahead: Rc<ReadAhead>,
    pub oversight: Rc<Oversight>,
    /// Where records go that are given up.
    pub dead_letters: DeadLetters,
}

/// A batch that is not answered for yet.
struct Tracked {
    batch: Arc<Batch>,
    receipt: Receipt,
    /// Records without an answer.
    open: u32,
    /// Counts batches in the order in which they came.
    sequence: u64,
}

/// Records of one delivery.
type Piece = (DeliveryId, Range<u32>);

/// A sealed request and how often it was tried.
struct Flight {
    request: Request,
    tries: Tries,
    /// While it is under way: where its records are noted.
    slot: usize,
}

/// How often records were sent again.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// Retries so far: what `Retry_Limit` counts.
    retries: u32,
    /// Those since the service last took a part of their request: what the wait grows with.
    stalls: u32,
    /// How many records there were in the request in which they were sent first; 0: in this one.
    of: u32,
}

impl Tries {
    /// After one more, for which the service took a part of the request or not.
    fn after(self, progress: bool) -> Tries {
        Tries {
            retries: self.retries + 1,
            stalls: if progress { 1 } else { self.stalls + 1 },
            of: self.of,
        }
    }

    /// Of records that are sent together with others: they are as young as the youngest of them.
    fn with(self, other: Tries) -> Tries {
        Tries {
            retries: self.retries.min(other.retries),
            stalls: self.stalls.min(other.stalls),
            of: self.of.saturating_add(other.of),
        }
    }

    /// How many records were sent first with the `count` that are left of their request: what is refused of a few that were
    /// sent again says little about how much the service can take.
    fn sent_first(self, count: u32) -> u32 {
        self.of.max(count)
    }
}

/// A request that is back, and when it was sent.
type Sent = (Flight, Answer, Generation);

/// What waits for its time.
enum Again {
    /// The same bytes.
    Flight(Flight),
    /// Records of one request that a service refused one by one: they make requests of their own.
    Records {
        pieces: Vec<Piece>,
        tries: Tries,
        lane: Option<u64>,
    },
}

enum Event {
    Delivery(Option<Delivery>),
    Answer(Flight, Answer, Generation),
    FlushIsDue,
    MemoryIsWanted,
    RetryIsDue,
    Idle,
    StopIsRequested,
    OversightChanged,
}

/// Works until `deliveries` is closed and everything is answered for, or until it is told otherwise. Returns what it was
/// told to give back.
pub async fn run(
    output: RunOutput,
    settings: &RunnerSettings,
    deliveries: &mut UnboundedReceiver<Delivery>,
) -> Option<Vec<Leftover>> {
    Runner::new(output, settings, send).run(deliveries).await
}

/// See the module's documentation. `Send` sends a request, `Sending` is one under way: named, so that it lies in its set
/// as it is and not in a box of its own.
struct Runner<'a, Send, Sending> {
    settings: &'a RunnerSettings,
    output: RunOutput,
    deliveries: Slab<Tracked>,
    /// Offered, but not formatted while enough requests wait.
    waiting: VecDeque<Piece>,
    lanes: Lanes,
    pace: Pace,
    in_flight: FuturesUnordered<Sending>,
    /// The records of each request under way, and lists for later ones.
    under_way: Slab<Vec<Piece>>,
    spare: Vec<Vec<Piece>>,
    send: Send,
    again: BinaryHeap<Reverse<(Instant, u64)>>,
    again_slots: Slab<Again>,
    /// When the open requests must be sealed.
    flush_at: Option<Instant>,
    /// Whether anything was formatted since requests were sealed last.
    is_open: bool,
    /// Whether someone waits for records in the open requests.
    awaited: bool,
    stopping: bool,
    busy: bool,
    outbox: Outbox,
    /// The next batch's number.
    sequence: u64,
    /// Bytes of the bodies of finished requests, and the permit for them.
    body_bytes: usize,
    bodies: Permit,
}

impl<'a, Send, Sending> Runner<'a, Send, Sending>
where
    Send: Fn(Rc<dyn Deliver>, Flight, Generation) -> Sending,
    Sending: Future<Output = Sent>,
{
    /// A runner without work.
    fn new(output: RunOutput, settings: &'a RunnerSettings, send: Send) -> Self {
        let lanes = Lanes::new(output.concurrency);
        let pace = Pace::new(output.concurrency, &settings.counters.own);
        settings.oversight.deadline.set(output.deliver.deadline());
        Runner {
            settings,
            output,
            deliveries: Slab::new(),
            waiting: VecDeque::new(),
            lanes,
            pace,
            in_flight: FuturesUnordered::new(),
            under_way: Slab::new(),
            spare: Vec::new(),
            send,
            again: BinaryHeap::new(),
            again_slots: Slab::new(),
            flush_at: None,
            is_open: false,
            awaited: false,
            stopping: false,
            busy: false,
            outbox: Outbox::default(),
            sequence: 0,
            body_bytes: 0,
            bodies: settings.bodies.nothing(),
        }
    }

    async fn run(mut self, deliveries: &mut UnboundedReceiver<Delivery>) -> Option<Vec<Leftover>> {
        let mut open = true;
        self.take_leftovers();
        self.send_ready();
        while open || !self.deliveries.is_empty() {
            let event = self.next_event(deliveries, open).await;
            if let Event::Delivery(None) = event {
                open = false;
            }
            self.apply(event);
            match self.settings.oversight.current_order() {
                None => self.send_ready(),
                Some(Order::TearDown) => return Some(self.give_back(deliveries)),
                Some(Order::Retire(successor))
                    if self.in_flight.is_empty() || self.settings.oversight.is_cut_off() =>
                {
                    successor.leave(self.give_back(deliveries));
                    break;
                }
                Some(Order::Retire(_)) => {}
            }
        }
        self.output.deliver.close().await;
        None
    }

    async fn next_event(
        &mut self,
        deliveries: &mut UnboundedReceiver<Delivery>,
        open: bool,
    ) -> Event {
        let flush_at = self.flush_at;
        let retry_at = self.again.peek().map(|Reverse((at, _))| *at);
        let idle = self.busy && self.deliveries.is_empty();
        // Open requests hold memory and nothing that is under way will free any. What waits to be formatted does not count:
        // nothing that is sealed would be the fewer.
        let holding = self.is_open && self.in_flight.is_empty() && !self.lanes.is_full();
        let stop = &self.settings.stop;
        tokio::select! {
            biased;
            Some((flight, answer, sent)) = self.in_flight.next(), if !self.in_flight.is_empty() => Event::Answer(flight, answer, sent),
            delivery = deliveries.recv(), if open => Event::Delivery(delivery),
            () = std::future::ready(()), if self.is_due_in_a_moment() => Event::FlushIsDue,
            () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => Event::RetryIsDue,
            () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => Event::FlushIsDue,
            () = self.settings.memory.wanted(), if holding => Event::MemoryIsWanted,
            () = self.settings.oversight.room_is_wanted(), if holding => Event::MemoryIsWanted,
            () = stop.requested(), if !self.stopping => Event::StopIsRequested,
            () = self.settings.oversight.changed() => Event::OversightChanged,
            () = tokio::time::sleep(IDLE), if idle => Event::Idle,
        }
    }

    /// Whether open requests are due so soon that they had better be sent now, while this is at work anyway, than be woken for
    /// once more.
    fn is_due_in_a_moment(&self) -> bool {
        let moment = MOMENT.min(self.settings.flush / 8);
        self.flush_at
            .is_some_and(|at| at <= Instant::now() + moment)
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Delivery(Some(delivery)) => self.accept(delivery),
            Event::Delivery(None) => self.seal(),
            Event::Answer(flight, answer, sent) => {
                self.note_answer(flight.slot);
                let all = flight.tries.sent_first(flight.request.parts.len());
                self.pace.answered(sent, answer.is_throttled(all));
                self.note_delivered(|runner| runner.answered(flight, answer));
            }
            Event::FlushIsDue | Event::MemoryIsWanted => self.seal(),
            Event::RetryIsDue => self.retry_due(),
            Event::Idle => {
                self.busy = false;
                self.output.format.trim();
                self.outbox = Outbox::default();
            }
            Event::StopIsRequested => self.hurry(),
            Event::OversightChanged => self.take_leftovers(),
        }
    }

    fn accept(&mut self, delivery: Delivery) {
        self.busy = true;
        let count = delivery.batch.len() as u32;
        if count == 0 {
            delivery.receipt.settle_all();
            return;
        }
        let id = self.track(delivery.batch, delivery.receipt, count);
        self.hold(u64::from(count));
        self.waiting.push_back((id, 0..count));
        self.format_waiting();
        if self.stopping {
            self.seal();
        }
    }

    fn track(&mut self, batch: Arc<Batch>, receipt: Receipt, open: u32) -> DeliveryId {
        self.sequence += 1;
        let tracked = Tracked {
            batch,
            receipt,
            open,
            sequence: self.sequence,
        };
        DeliveryId(self.deliveries.insert(tracked) as u32)
    }

    /// Formats what waits, as long as no finished request waits for its turn and there is memory for one more. Once nothing
    /// waits any more that could join a request with records that someone awaits, it is sent as it is.
    fn format_waiting(&mut self) {
        while !self.lanes.is_full() && self.has_room() {
            let Some((id, records)) = self.waiting.pop_front() else {
                break;
            };
            let batch = &self.deliveries[id.0 as usize].batch;
            self.awaited |= batch.is_awaited();
            let noticed = batch.noticed();
            self.format(id, records);
            self.collect();
            let due = self.due(noticed);
            self.flush_at = Some(self.flush_at.map_or(due, |at| at.min(due)));
        }
        if self.awaited && self.waiting.is_empty() {
            self.seal();
        }
    }

    /// When records must be sent that may have waited in their source since `noticed`. What had to wait for its turn here
    /// waits a moment more for what comes with it: else each batch of a backlog would be a request of its own.
    fn due(&self, noticed: Option<std::time::Instant>) -> Instant {
        let (now, flush) = (Instant::now(), self.settings.flush);
        match noticed {
            None => now + flush,
            Some(noticed) => {
                (Instant::from_std(noticed) + flush).clamp(now + flush / 4, now + flush)
            }
        }
    }

    fn format(&mut self, id: DeliveryId, records: Range<u32>) {
        self.is_open = true;
        let batch = Arc::clone(&self.deliveries[id.0 as usize].batch);
        self.output
            .format
            .format(id, &batch, records, &mut self.outbox);
    }

    fn seal(&mut self) {
        (self.flush_at, self.awaited, self.is_open) = (None, false, false);
        self.output.format.seal(&mut self.outbox);
        self.collect();
        if !self.waiting.is_empty() {
            // What could not be formatted yet waits no longer than what came first.
            self.flush_at = Some(Instant::now() + self.settings.flush);
        }
    }

    /// Takes what formatting left in the outbox.
    fn collect(&mut self) {
        for request in self.outbox.requests.drain(..) {
            self.body_bytes += request.body.len();
            self.lanes.add(Flight::new(request, Tries::default()));
        }
        self.collect_unsent();
    }

    /// Answers for the records that are in no request.
    fn collect_unsent(&mut self) {
        for (id, record) in std::mem::take(&mut self.outbox.filtered) {
            self.settings.counters.filtered.add(1);
            self.settle(id, record..record + 1);
        }
        for (id, record, reason) in std::mem::take(&mut self.outbox.rejected) {
            self.drop_records(vec![(id, record..record + 1)], reason);
        }
    }

    fn send_ready(&mut self) {
        loop {
            self.format_waiting();
            self.count_bodies();
            if self.in_flight.len() >= self.pace.limit() {
                break;
            }
            let Some(mut flight) = self.lanes.next() else {
                break;
            };
            self.fix_provenance(&mut flight.request);
            self.note_sending(&mut flight);
            let (deliver, sent) = (Rc::clone(&self.output.deliver), self.pace.generation());
            self.in_flight.push((self.send)(deliver, flight, sent));
        }
        let under_way = self.in_flight.len();
        self.pace.show(under_way);
        self.settings.oversight.note_under_way(under_way);
    }

    /// Says where the records of a request come from, before its first attempt, if its output asks for that.
    fn fix_provenance(&self, request: &mut Request) {
        if request.provenance.is_some() || !self.output.deliver.wants_provenance() {
            return;
        }
        let mut provenance = Provenance::default();
        for (id, records) in request.parts.ranges() {
            provenance.add(&self.deliveries[id.0 as usize].batch, records.clone());
        }
        request.provenance = Some(provenance);
    }

    /// A stop: nothing waits any longer than it must.
    fn hurry(&mut self) {
        self.stopping = true;
        self.seal();
        let now = Instant::now();
        self.again = self
            .again
            .drain()
            .map(|Reverse((_, slot))| Reverse((now, slot)))
            .collect();
    }
}

async fn send(deliver: Rc<dyn Deliver>, flight: Flight, sent: Generation) -> Sent {
    let answer = deliver.deliver(&flight.request).await;
    (flight, answer, sent)
}

mod answers;
mod bookkeeping;
mod lanes;
mod pieces;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_orders;
