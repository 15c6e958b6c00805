//! From an input to the outputs: filters in order, then routing by tag.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use monitor::{FilterCounters, InputCounters, OutputCounters};
use plugin::{Emit, FilterCall, Log, RunFilter};
use record::{Batch, Budget, Receipt};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::builder::Seat;
use crate::instance::TagMatcher;
use crate::oversight::Oversight;
use crate::storage::Storage;

/// A batch on its way into one output, with what is owed for it there.
#[derive(Debug)]
pub struct Delivery {
    /// Frozen; shared with the other routes.
    pub batch: Arc<Batch>,
    /// This route's share of the obligations.
    pub receipt: Receipt,
}

/// A filter on the road.
pub struct FilterStation {
    pub matcher: TagMatcher,
    pub filter: RefCell<Box<dyn RunFilter>>,
    pub counters: FilterCounters,
    pub log: Log,
}

/// The start of the road into one output.
pub struct Exit {
    pub matcher: TagMatcher,
    pub deliveries: UnboundedSender<Delivery>,
    /// Of the output's runner.
    pub oversight: Rc<Oversight>,
    pub counters: OutputCounters,
    /// The most bytes in files that may wait for it.
    pub bytes_max: Option<u64>,
}

/// The road of one shard.
pub struct Road {
    filters: Rc<[FilterStation]>,
    exits: Vec<Exit>,
    /// Batches that filters emitted: they start from the beginning once the present one is through.
    emitted: RefCell<VecDeque<Batch>>,
    /// For batches that filters emit.
    emitter: InputCounters,
    /// Told when a filter may have got a deadline.
    filtered: Notify,
    /// Where records may wait on the disk, and the number that each exit has there.
    storage: Option<(Rc<Storage>, Vec<usize>)>,
}

/// The road as one input sees it.
pub struct InputRoad {
    /// The present one: a reload puts another in its place. `None`: it is closed.
    road: RefCell<Option<Rc<Road>>>,
    counters: InputCounters,
    /// Whether what it hands over is kept on the disk until it is delivered.
    is_stored: bool,
    /// Whether it waits where its records would be on the disk alone.
    pauses: bool,
    /// The memory that it takes what it reads from.
    room: Arc<Budget>,
}

/// What the way of a batch depends on besides its tag.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Whether it is kept on the disk until it is delivered.
    pub is_stored: bool,
    /// What the input is counted in, if it waits where its records would be on the disk alone.
    pub pauses: Option<&'a InputCounters>,
    /// The memory of the input that it came from, which can be held back by that. `None`: it came from none.
    pub room: Option<&'a Arc<Budget>>,
}

impl Source<'_> {
    /// Of batches that no input handed over just now.
    pub const NONE: Source<'static> = Source {
        is_stored: false,
        pauses: None,
        room: None,
    };
}

impl InputRoad {
    /// The start of `road` for the input in `seat`.
    pub fn new(road: &Rc<Road>, seat: &Seat) -> Rc<InputRoad> {
        Rc::new(InputRoad {
            road: RefCell::new(Some(Rc::clone(road))),
            counters: seat.counters.clone(),
            is_stored: seat.is_stored,
            pauses: seat.pauses,
            room: Arc::clone(&seat.context.budget),
        })
    }

    /// Batches travel on `road` from now on.
    pub fn turn_to(&self, road: &Rc<Road>) {
        *self.road.borrow_mut() = Some(Rc::clone(road));
    }

    /// Batches are refused from now on: they stay with their source.
    pub fn close(&self) {
        *self.road.borrow_mut() = None;
    }
}

impl Emit for InputRoad {
    fn emit(&self, batch: Batch) {
        let Some(road) = self.road.borrow().clone() else {
            return;
        };
        let source = Source {
            is_stored: self.is_stored,
            pauses: self.pauses.then_some(&self.counters),
            room: Some(&self.room),
        };
        road.travel(batch, &self.counters, source);
        // What a filter emits now it made of what the input has handed over.
        road.travel_emitted(Source {
            is_stored: false,
            ..source
        });
        if !road.filters.is_empty() {
            road.filtered.notify_one();
        }
    }
}

/// The road as filters see it.
struct FilterRoad<'a>(&'a Road);

impl Emit for FilterRoad<'_> {
    fn emit(&self, batch: Batch) {
        self.0.emitted.borrow_mut().push_back(batch);
    }
}

impl Road {
    /// A road through `filters` to `exits`; `emitter` counts what filters emit.
    pub fn new(filters: Rc<[FilterStation]>, exits: Vec<Exit>, emitter: InputCounters) -> Road {
        Road {
            filters,
            exits,
            emitted: RefCell::default(),
            emitter,
            filtered: Notify::new(),
            storage: None,
        }
    }

    /// The same, with `storage` before the exits.
    pub fn with_storage(mut self, storage: Option<&Rc<Storage>>) -> Road {
        self.storage = storage.map(|storage| (Rc::clone(storage), storage.attach(&self.exits)));
        self
    }

    /// Hands records to the outputs that their tag matches, without filters; gives them back if there are none.
    pub fn hand_over(&self, batch: Batch, source: Source<'_>) -> Option<Batch> {
        let Some((storage, ways)) = &self.storage else {
            return Some(batch);
        };
        let matching = self.exits.iter().zip(ways);
        let routes: Vec<usize> = matching
            .filter(|(exit, _)| exit.matcher.matches(batch.tag()))
            .map(|(_, way)| *way)
            .collect();
        if routes.is_empty() {
            return Some(batch);
        }
        storage.route(batch, &routes, source);
        None
    }

    /// The filters, for a road that has the same ones.
    pub fn filters(&self) -> Rc<[FilterStation]> {
        Rc::clone(&self.filters)
    }

    /// What the filters count.
    pub fn filter_counters(&self) -> Vec<FilterCounters> {
        self.filters
            .iter()
            .map(|station| station.counters.clone())
            .collect()
    }

    /// Lets filters emit what they held long enough, until dropped; everything when `all` is requested by the caller of
    /// [`Road::expire`].
    pub async fn watch_deadlines(&self) {
        loop {
            let next = self
                .filters
                .iter()
                .filter_map(|station| station.filter.borrow().deadline())
                .min();
            match next {
                None => self.filtered.notified().await,
                Some(deadline) => {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep_until(deadline.into()) => self.expire(false),
                        () = self.filtered.notified() => {}
                    }
                }
            }
        }
    }

    /// Lets filters emit what they held long enough, or everything.
    pub fn expire(&self, all: bool) {
        let now = Instant::now().into_std();
        let road = FilterRoad(self);
        let call = FilterCall { emit: &road, now };
        for station in self.filters.iter() {
            let mut filter = station.filter.borrow_mut();
            if all || filter.deadline().is_some_and(|deadline| deadline <= now) {
                filter.expire(&call, all);
            }
        }
        self.travel_emitted(Source::NONE);
    }

    fn travel_emitted(&self, source: Source<'_>) {
        loop {
            let next = self.emitted.borrow_mut().pop_front();
            match next {
                Some(batch) => self.travel(batch, &self.emitter, source),
                None => return,
            }
        }
    }

    fn travel(&self, mut batch: Batch, input: &InputCounters, source: Source<'_>) {
        input.records.add(batch.len() as u64);
        input.bytes.add(batch.source().len() as u64);
        for station in self.filters.iter() {
            if station.matcher.matches(batch.tag()) {
                match station.pass(batch, &FilterRoad(self)) {
                    Some(passed) => batch = passed,
                    None => return,
                }
            }
        }
        self.route(batch, input, source);
    }

    fn route(&self, mut batch: Batch, input: &InputCounters, source: Source<'_>) {
        if let Some((storage, _)) = &self.storage
            && !batch.is_empty()
            && storage.is_needed(&batch, source.is_stored)
        {
            let records = batch.len() as u64;
            match self.hand_over(batch, source) {
                None => return input.routed.add(records),
                Some(unrouted) => batch = unrouted,
            }
        }
        let (batch, receipt) = batch.freeze();
        if batch.is_empty() {
            receipt.settle_all();
            return;
        }
        let mut exits = self
            .exits
            .iter()
            .filter(|exit| exit.matcher.matches(batch.tag()));
        let Some(mut exit) = exits.next() else {
            input.unrouted.add(batch.len() as u64);
            receipt.settle_all();
            return;
        };
        input.routed.add(batch.len() as u64);
        for next in exits {
            exit.take(Delivery {
                batch: Arc::clone(&batch),
                receipt: receipt.fork(),
            });
            exit = next;
        }
        exit.take(Delivery { batch, receipt });
    }
}

impl Exit {
    fn take(&self, delivery: Delivery) {
        let records = delivery.batch.len() as u64;
        self.counters.routed.add(records);
        // The runner outlives the inputs; if it is gone all the same, the dropped receipt refuses the records.
        if self.deliveries.send(delivery).is_err() {
            self.counters.returned.add(records);
        }
    }
}

impl FilterStation {
    /// Runs the filter. After a panic the batch is gone and its source is refused.
    fn pass(&self, mut batch: Batch, road: &FilterRoad<'_>) -> Option<Batch> {
        let before = batch.len();
        self.counters.records.add(before as u64);
        self.counters.bytes.add(batch.source().len() as u64);
        let call = FilterCall {
            emit: road,
            now: Instant::now().into_std(),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.filter.borrow_mut().filter(&mut batch, &call);
            batch
        }));
        match outcome {
            Ok(batch) => {
                self.counters
                    .dropped
                    .add(before.saturating_sub(batch.len()) as u64);
                self.counters
                    .added
                    .add(batch.len().saturating_sub(before) as u64);
                Some(batch)
            }
            Err(_) => {
                self.counters.returned.add(before as u64);
                self.log.error(format_args!(
                    "panicked on a batch of {before} records: its source will be read again"
                ));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use plugin::{Level, Metrics};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Holds something for a minute.
    struct Holding(Rc<RefCell<Vec<Instant>>>, Instant);

    impl RunFilter for Holding {
        fn filter(&mut self, _: &mut Batch, _: &FilterCall<'_>) {}

        fn deadline(&self) -> Option<std::time::Instant> {
            let is_held = self.0.borrow().is_empty();
            is_held.then(|| self.1.into_std())
        }

        fn expire(&mut self, call: &FilterCall<'_>, all: bool) {
            assert!(!all && call.now >= self.1.into_std());
            self.0.borrow_mut().push(call.now.into());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn filters_are_due_by_the_clock_that_the_road_waits_by() {
        let expired = Rc::new(RefCell::new(Vec::new()));
        let due = Instant::now() + Duration::from_secs(60);
        let station = FilterStation {
            matcher: TagMatcher::everything(),
            filter: RefCell::new(Box::new(Holding(Rc::clone(&expired), due))),
            counters: FilterCounters::new("holding.0".into(), Metrics::default()),
            log: Log::new("filter", Level::Off),
        };
        let emitter = InputCounters::new("emitter".into(), Metrics::default());
        let road = Road::new(Rc::new([station]), Vec::new(), emitter);
        let watched = async {
            tokio::select! {
                () = road.watch_deadlines() => {}
                () = sleep(Duration::from_secs(90)) => {}
            }
        };
        timeout(Duration::from_secs(120), watched)
            .await
            .expect("no spinning");
        let expired = expired.borrow();
        let [at] = expired[..] else {
            panic!("{expired:?}")
        };
        assert!(at >= due && at < due + Duration::from_secs(1));
    }
}
