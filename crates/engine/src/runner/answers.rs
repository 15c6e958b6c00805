//! What an answer of a service means for the records it is about.

use super::*;

/// Records that are sent again are sent with those whose time comes so soon after.
const TOGETHER: Duration = Duration::from_millis(10);

impl<Send, Sending> Runner<'_, Send, Sending>
where
    Send: Fn(Rc<dyn Deliver>, Flight, Generation) -> Sending,
    Sending: Future<Output = Sent>,
{
    pub(super) fn answered(&mut self, flight: Flight, answer: Answer) {
        match answer {
            Answer::Done => self.done(flight, &[]),
            Answer::Except { records, why, .. } => {
                let again = |(_, answer): &&(u32, RecordAnswer)| *answer == RecordAnswer::Again;
                let (all, failed) = (flight.request.parts.len(), records.len());
                let again = records.iter().filter(again).count();
                let dropped = failed - again;
                self.settings.log.warn(format_args!(
                    "{failed} out of {all} records failed to be delivered, {again} are sent again alone and {dropped} \
                     dropped: {why}"
                ));
                self.done(flight, &records);
            }
            Answer::Again { after, why, .. } => self.again(flight, after, &why),
            Answer::Never { reason, why } => self.never(flight, reason, &why),
        }
    }

    /// Settles the records of a request but for `exceptions`, which are scheduled again or given up.
    pub(super) fn done(&mut self, flight: Flight, exceptions: &[(u32, RecordAnswer)]) {
        let Flight {
            mut request, tries, ..
        } = flight;
        let counters = &self.settings.counters;
        let of = tries.sent_first(request.parts.len());
        let delivered = u64::from(request.parts.len()) - exceptions.len() as u64;
        counters.records.add(delivered);
        counters.bytes.add(request.body.len() as u64);
        let parts = std::mem::take(&mut request.parts);
        let failed = if exceptions.is_empty() {
            for (id, records) in parts.ranges() {
                self.settle(*id, records.clone());
            }
            Vec::new()
        } else {
            self.settle_except(parts.ranges(), exceptions)
        };
        let lane = request.lane;
        if failed.is_empty() {
            self.lanes.advance(lane);
        } else {
            // As long as the service takes some of them, waiting longer each time would only hold the rest up.
            let work = Again::Records {
                pieces: failed,
                tries: Tries {
                    of,
                    ..tries.after(delivered > 0)
                },
                lane,
            };
            self.schedule(work, None);
        }
        request.parts = parts;
        self.recycle(request);
    }

    /// Settles the records of a request but for `exceptions`, and returns those that must be sent again.
    pub(super) fn settle_except(
        &mut self,
        ranges: &[Piece],
        exceptions: &[(u32, RecordAnswer)],
    ) -> Vec<Piece> {
        let (delivered, excepted) = split(ranges, exceptions);
        for (id, records) in delivered {
            self.settle(id, records);
        }
        let mut failed: Vec<Piece> = Vec::new();
        for (id, record, answer) in excepted {
            match answer {
                RecordAnswer::Again => push_record(&mut failed, id, record),
                RecordAnswer::Never(reason) => {
                    self.drop_records(vec![(id, record..record + 1)], reason);
                }
            }
        }
        failed
    }

    pub(super) fn again(&mut self, flight: Flight, after: Option<Duration>, why: &str) {
        let tries = flight.tries.after(false);
        let retries = tries.retries;
        let wait = self.schedule(Again::Flight(Flight { tries, ..flight }), after);
        if let Some(wait) = wait {
            let seconds = wait.as_secs_f64();
            self.settings.log.warn(format_args!(
                "failed to send a request, retry {retries} in {seconds:.1} seconds: {why}"
            ));
        }
    }

    /// Gives a single record up; takes a larger request apart, so that one bad record does not take others along.
    pub(super) fn never(&mut self, flight: Flight, reason: Reason, why: &str) {
        let Flight { request, tries, .. } = flight;
        let pieces: Vec<Piece> = request.parts.ranges().to_vec();
        let (count, lane) = (request.parts.len(), request.lane);
        self.recycle(request);
        if count <= 1 {
            self.settings.log.error(format_args!(
                "a record can never be delivered and is dropped: {why}"
            ));
            self.drop_records(pieces, reason);
            self.lanes.advance(lane);
            return;
        }
        self.settings.log.warn(format_args!(
            "a request of {count} records is refused and taken apart: {why}"
        ));
        let (first, second) = halve(pieces, count / 2);
        self.seal();
        let mut flights = self.format_apart(first, tries);
        flights.append(&mut self.format_apart(second, tries));
        self.lanes.replace(lane, flights);
    }

    /// Schedules work again, or gives it up when the limit is reached. Returns the wait.
    pub(super) fn schedule(&mut self, work: Again, after: Option<Duration>) -> Option<Duration> {
        let (tries, lane) = match &work {
            Again::Flight(flight) => (flight.tries, flight.request.lane),
            Again::Records { tries, lane, .. } => (*tries, *lane),
        };
        let pieces = || match &work {
            Again::Flight(flight) => flight.request.parts.ranges().to_vec(),
            Again::Records { pieces, .. } => pieces.clone(),
        };
        let counters = &self.settings.counters;
        let count: u64 = pieces()
            .iter()
            .map(|(_, records)| records.len() as u64)
            .sum();
        if !is_allowed(self.settings.retry_limit, tries.retries) {
            counters.retries_failed.add(1);
            self.settings.log.error(format_args!(
                "{count} records cannot be retried (Retry_Limit) and are dropped"
            ));
            self.drop_records(pieces(), RETRY_LIMIT);
            self.lanes.advance(lane);
            return None;
        }
        counters.retries.add(1);
        counters.retried_records.add(count);
        let wait = if self.stopping {
            STOPPING_WAIT
        } else {
            self.wait(&work)
        };
        let wait = after.map_or(wait, |after| wait.max(after));
        let slot = self.again_slots.insert(work) as u64;
        self.again.push(Reverse((Instant::now() + wait, slot)));
        Some(wait)
    }

    /// How long work waits that was not accepted. A limit of retries must not be used up by quick ones.
    fn wait(&self, work: &Again) -> Duration {
        let backoff = self.settings.backoff;
        match work {
            Again::Flight(flight) => backoff.wait(flight.tries.stalls),
            Again::Records { pieces, tries, .. } => {
                let left: u64 = pieces.iter().map(|(_, records)| records.len() as u64).sum();
                match left * 2 <= u64::from(tries.of) && !self.is_limited() {
                    true => backoff.wait_of_few(tries.retries, tries.stalls),
                    false => backoff.wait(tries.stalls),
                }
            }
        }
    }

    pub(super) fn retry_due(&mut self) {
        let (now, mut together) = (Instant::now(), Vec::new());
        while let Some(&Reverse((at, slot))) = self.again.peek() {
            if at > now && !(at <= now + TOGETHER && self.joins_others(slot)) {
                break;
            }
            self.again.pop();
            match self.again_slots.remove(slot as usize) {
                Again::Flight(flight) => self.lanes.repeat(flight),
                Again::Records {
                    pieces,
                    tries,
                    lane: None,
                } if !self.is_limited() => together.push((pieces, tries)),
                Again::Records {
                    pieces,
                    tries,
                    lane,
                } => {
                    self.seal();
                    let flights = self.format_apart(pieces, tries);
                    self.lanes.replace(lane, flights);
                }
            }
        }
        self.send_together(together);
    }

    /// Whether what waits there makes requests with whatever else is due: records that wait for no others, and whose retries
    /// nobody counts.
    fn joins_others(&self, slot: u64) -> bool {
        let work = self.again_slots.get(slot as usize);
        matches!(work, Some(Again::Records { lane: None, .. })) && !self.is_limited()
    }

    fn is_limited(&self) -> bool {
        matches!(self.settings.retry_limit, RetryLimit::Limited(_))
    }

    /// Makes requests of records of several requests: few records each would make many small ones, and each time what is
    /// open has to be sealed, full or not.
    fn send_together(&mut self, records: Vec<(Vec<Piece>, Tries)>) {
        let all: Vec<Tries> = records.iter().map(|(_, tries)| *tries).collect();
        let Some(tries) = all.into_iter().reduce(Tries::with) else {
            return;
        };
        self.seal();
        let pieces = records.into_iter().flat_map(|(pieces, _)| pieces).collect();
        let mut flights = self.format_apart(pieces, tries);
        let of = tries.of / (flights.len() as u32).max(1);
        flights.iter_mut().for_each(|flight| flight.tries.of = of);
        self.lanes.replace(None, flights);
    }

    /// Makes requests of these records alone. Nothing else may be open.
    pub(super) fn format_apart(&mut self, pieces: Vec<Piece>, tries: Tries) -> Vec<Flight> {
        for (id, records) in pieces {
            self.format(id, records);
        }
        self.output.format.seal(&mut self.outbox);
        let requests = self.outbox.requests.drain(..);
        let flights: Vec<Flight> = requests
            .map(|request| Flight::new(request, tries))
            .collect();
        self.body_bytes += flights
            .iter()
            .map(|flight| flight.request.body.len())
            .sum::<usize>();
        self.collect_unsent();
        flights
    }

    pub(super) fn drop_records(&mut self, pieces: Vec<Piece>, reason: Reason) {
        let counters = &self.settings.counters;
        let count: u64 = pieces.iter().map(|(_, records)| records.len() as u64).sum();
        counters.errors.add(1);
        counters.dropped.add(count);
        counters.own.dropped(reason.0).add(count);
        for (id, records) in pieces {
            self.bury(id, records.clone(), reason);
            self.settle(id, records);
        }
    }

    /// Hands records that are given up, and what is owed for them, to the dead letters.
    pub(super) fn bury(&mut self, id: DeliveryId, records: Range<u32>, reason: Reason) {
        let Tracked { batch, receipt, .. } = &mut self.deliveries[id.0 as usize];
        let receipt = receipt.carve(batch, records.clone());
        let counters = &self.settings.counters;
        self.settings
            .dead_letters
            .put(batch, records, counters, reason, receipt);
    }

    pub(super) fn settle(&mut self, id: DeliveryId, records: Range<u32>) {
        let count = u64::from(records.end - records.start);
        self.settings.counters.settled.add(count);
        self.let_go(count);
        let tracked = &mut self.deliveries[id.0 as usize];
        tracked.open -= records.end - records.start;
        if tracked.open == 0 {
            self.deliveries.remove(id.0 as usize).receipt.settle_all();
        } else {
            tracked.receipt.settle(&tracked.batch, records);
        }
    }
}
