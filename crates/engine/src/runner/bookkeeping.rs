//! What a runner holds: counted, bounded, and given back when it is told to.

use std::collections::BTreeMap;

use super::*;

impl Flight {
    /// A finished request.
    pub(super) fn new(request: Request, tries: Tries) -> Flight {
        Flight {
            request,
            tries,
            slot: 0,
        }
    }
}

impl<Send, Sending> Runner<'_, Send, Sending>
where
    Send: Fn(Rc<dyn Deliver>, Flight, Generation) -> Sending,
    Sending: Future<Output = Sent>,
{
    /// Whether one more request may be made. One may always: a limit below one request must slow things down, not stop
    /// them.
    pub(super) fn has_room(&self) -> bool {
        self.body_bytes == 0 || !self.settings.bodies.is_full()
    }

    /// Corrects the permit to the bodies that there are.
    pub(super) fn count_bodies(&mut self) {
        if self.bodies.bytes() != self.body_bytes {
            self.bodies.resize(self.body_bytes);
        }
    }

    pub(super) fn recycle(&mut self, request: Request) {
        self.body_bytes = self.body_bytes.saturating_sub(request.body.len());
        self.output.format.recycle(request);
    }

    pub(super) fn hold(&self, records: u64) {
        let held = &self.settings.counters.held;
        held.set(held.get() + records);
        self.settings.oversight.hold(records);
    }

    pub(super) fn let_go(&self, records: u64) {
        let held = &self.settings.counters.held;
        held.set(held.get().saturating_sub(records));
        self.settings.oversight.let_go(records);
    }

    /// Notes the records of a request that is about to be sent.
    pub(super) fn note_sending(&mut self, flight: &mut Flight) {
        let mut pieces = self.spare.pop().unwrap_or_default();
        pieces.extend_from_slice(flight.request.parts.ranges());
        flight.slot = self.under_way.insert(pieces);
    }

    /// A request is not under way any more.
    pub(super) fn note_answer(&mut self, slot: usize) {
        let mut pieces = self.under_way.remove(slot);
        pieces.clear();
        self.spare.push(pieces);
        self.settings.oversight.note_answer();
    }

    /// Does what an answer wants, and tells the inputs' reading ahead what that has delivered.
    pub(super) fn note_delivered(&mut self, act: impl FnOnce(&mut Self)) {
        let under_way = self.in_flight.len() + 1;
        let more = under_way < self.pace.limit() && !self.lanes.is_full();
        let delivered = |runner: &Self| runner.settings.counters.records.get();
        // Before memory is given back: who waits for it now has waited for this answer.
        let (before, awaited) = (
            delivered(self),
            more && self.settings.read_ahead.is_awaited(),
        );
        act(self);
        let records = delivered(self).saturating_sub(before);
        self.settings
            .read_ahead
            .note_answer(under_way, records, awaited);
    }

    /// Takes on what another runner, or an earlier one of this output, left. It is counted as held already.
    pub(super) fn take_leftovers(&mut self) {
        for left in self.settings.oversight.take_leftovers() {
            self.busy = true;
            let open = left.len();
            let id = self.track(left.batch, left.receipt, open);
            self.waiting
                .extend(left.records.into_iter().map(|records| (id, records)));
        }
        self.format_waiting();
    }

    /// Everything without an answer, in the order in which it came. What is under way is cut off.
    pub(super) fn give_back(
        &mut self,
        deliveries: &mut UnboundedReceiver<Delivery>,
    ) -> Vec<Leftover> {
        self.settings.oversight.order_is_done();
        while let Ok(delivery) = deliveries.try_recv() {
            let count = delivery.batch.len() as u32;
            if count > 0 {
                self.hold(u64::from(count));
                let id = self.track(delivery.batch, delivery.receipt, count);
                self.waiting.push_back((id, 0..count));
            }
        }
        let mut open = self.open_records();
        let mut tracked: Vec<Tracked> = self.deliveries.drain().collect();
        tracked.sort_by_key(|tracked| tracked.sequence);
        let leftovers = tracked.into_iter().map(|tracked| Leftover {
            records: open.remove(&tracked.sequence).unwrap_or_default(),
            batch: tracked.batch,
            receipt: tracked.receipt,
        });
        let leftovers: Vec<Leftover> = leftovers.collect();
        let records = leftovers.iter().map(|left| u64::from(left.len())).sum();
        // They stay counted as held by the output; whoever takes them on is the one who holds them.
        self.settings.oversight.let_go(records);
        self.body_bytes = 0;
        leftovers
    }

    /// The records without an answer of each batch, by its number.
    fn open_records(&mut self) -> BTreeMap<u64, Vec<Range<u32>>> {
        self.output.format.seal(&mut self.outbox);
        self.collect();
        self.in_flight = FuturesUnordered::new();
        let mut pieces: Vec<Piece> = self.under_way.drain().flatten().collect();
        for flight in self.lanes.take_all() {
            pieces.extend_from_slice(flight.request.parts.ranges());
        }
        self.again.clear();
        for again in self.again_slots.drain() {
            match again {
                Again::Flight(flight) => pieces.extend_from_slice(flight.request.parts.ranges()),
                Again::Records { pieces: own, .. } => pieces.extend(own),
            }
        }
        pieces.extend(self.waiting.drain(..));
        let mut open: BTreeMap<u64, Vec<Range<u32>>> = BTreeMap::new();
        for (id, records) in pieces {
            let sequence = self.deliveries[id.0 as usize].sequence;
            open.entry(sequence).or_default().push(records);
        }
        for records in open.values_mut() {
            records.sort_by_key(|range| range.start);
            records.dedup_by(|next, before| {
                let joins = before.end == next.start;
                if joins {
                    before.end = next.end;
                }
                joins
            });
        }
        open
    }
}
