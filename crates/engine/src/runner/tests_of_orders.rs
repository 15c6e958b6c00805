//! A runner that is told to give back what it holds: nothing is lost and nothing is twice.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use plugin::{Format, Level, LocalFuture, Metrics, Parts, StopHandle};
use record::{Ledger, Position, Record, Tag};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::*;

/// Requests of two records, each of ten bytes.
#[derive(Default)]
struct Pairs(Parts);

impl Pairs {
    fn finish(&mut self, outbox: &mut Outbox) {
        if !self.0.is_empty() {
            outbox.requests.push(Request {
                body: vec![0; self.0.len() as usize * 10].into(),
                parts: std::mem::take(&mut self.0),
                lane: None,
                note: None,
                provenance: None,
            });
        }
    }
}

impl Format for Pairs {
    fn format(&mut self, id: DeliveryId, _: &Batch, records: Range<u32>, outbox: &mut Outbox) {
        for record in records {
            self.0.push(id, record);
            if self.0.len() == 2 {
                self.finish(outbox);
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.finish(outbox);
    }
}

/// A service that answers as many requests as it is let to, and then none.
#[derive(Default)]
struct Service {
    answers: Cell<usize>,
    asked: Cell<usize>,
    most_under_way: Cell<usize>,
    under_way: Cell<usize>,
    /// Records of the requests that were answered.
    delivered: RefCell<u32>,
}

impl Deliver for Service {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            self.asked.set(self.asked.get() + 1);
            self.under_way.set(self.under_way.get() + 1);
            self.most_under_way
                .set(self.most_under_way.get().max(self.under_way.get()));
            tokio::time::sleep(Duration::from_millis(10)).await;
            if self.answers.get() == 0 {
                std::future::pending::<()>().await;
            }
            self.answers.set(self.answers.get() - 1);
            self.under_way.set(self.under_way.get() - 1);
            *self.delivered.borrow_mut() += request.parts.len();
            Answer::Done
        })
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }
}

struct World {
    settings: Rc<RunnerSettings>,
    ledger: Arc<Ledger>,
    sender: UnboundedSender<Delivery>,
    next: Cell<u64>,
}

impl World {
    fn new(bodies: usize) -> (World, UnboundedReceiver<Delivery>) {
        let (_, stop) = StopHandle::new();
        let settings = RunnerSettings {
            flush: Duration::from_secs(1),
            retry_limit: RetryLimit::Unset,
            backoff: Backoff { configured: None },
            counters: OutputCounters::new("fake.0".into(), Metrics::default()),
            log: Log::new("", Level::Off),
            stop: keep(stop),
            memory: Budget::new(0),
            bodies: Budget::new(bodies),
            read_ahead: Rc::new(ReadAhead::new()),
            dead_letters: DeadLetters::none(),
            oversight: Oversight::new(),
        };
        let (sender, deliveries) = unbounded_channel();
        let world = World {
            settings: Rc::new(settings),
            ledger: Ledger::new(0),
            sender,
            next: Cell::new(0),
        };
        (world, deliveries)
    }

    /// Routes a batch of so many records.
    fn route(&self, count: u64) {
        let offsets = self.next.get()..self.next.get() + count;
        self.next.set(offsets.end);
        let obligation = self.ledger.open(offsets.clone());
        let mut batch = Batch::new(Tag::from("t"), Bytes::new()).with_obligation(obligation);
        for offset in offsets {
            batch.push_record(Record {
                position: Position { offset, len: 1 },
                ..Record::default()
            });
        }
        let (batch, receipt) = batch.freeze();
        self.settings.counters.routed.add(count);
        self.sender
            .send(Delivery { batch, receipt })
            .expect("the runner listens");
    }
}

/// A stop whose handle is never dropped: it would count as given.
fn keep(_: Stop) -> Stop {
    let (handle, stop) = StopHandle::new();
    std::mem::forget(handle);
    stop
}

fn output(service: &Rc<Service>, concurrency: usize) -> RunOutput {
    RunOutput {
        format: Box::new(Pairs::default()),
        deliver: Rc::clone(service) as Rc<dyn Deliver>,
        concurrency,
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_torn_down_goes_on_in_the_next_one() {
    LocalSet::new()
        .run_until(async {
            let (world, mut deliveries) = World::new(0);
            let service = Rc::new(Service::default());
            service.answers.set(3);
            // 13 records: three requests are answered, two hang, and the rest waits in every way there is.
            for count in [1, 5, 7] {
                world.route(count);
            }
            let (settings, old) = (Rc::clone(&world.settings), output(&service, 2));
            let runner =
                spawn_local(
                    async move { (run(old, &settings, &mut deliveries).await, deliveries) },
                );
            until(|| *service.delivered.borrow() == 6 && service.asked.get() == 5).await;
            let oversight = Rc::clone(&world.settings.oversight);
            assert!(oversight.is_stuck(Instant::now()).is_none());
            tokio::time::sleep(Duration::from_secs(61)).await;
            let stuck = oversight.is_stuck(Instant::now()).expect("no answer came");
            assert_eq!(stuck.0, 2);
            world.route(2);
            oversight.order(Order::TearDown);
            let (leftovers, mut deliveries) = runner.await.expect("no panic");
            let leftovers = leftovers.expect("it was told to give back");
            let records: u32 = leftovers.iter().map(Leftover::len).sum();
            assert_eq!((records, world.settings.counters.held.get()), (9, 9));

            oversight.leave(leftovers);
            service.answers.set(usize::MAX);
            let settings = Rc::clone(&world.settings);
            drop(world.sender);
            let left = run(output(&service, 2), &settings, &mut deliveries).await;
            assert!(left.is_none());
            assert_eq!(*service.delivered.borrow(), 15, "all of them, none twice");
            let counters = &settings.counters;
            assert_eq!((counters.settled.get(), counters.held.get()), (15, 0));
            assert_eq!(
                (world.ledger.discharged(), world.ledger.is_settled()),
                (15, true)
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn who_retires_waits_for_what_is_under_way_and_leaves_the_rest() {
    LocalSet::new()
        .run_until(async {
            let (world, mut deliveries) = World::new(0);
            let service = Rc::new(Service::default());
            service.answers.set(usize::MAX);
            world.route(9);
            let (settings, old) = (Rc::clone(&world.settings), output(&service, 2));
            let runner = spawn_local(async move { run(old, &settings, &mut deliveries).await });
            until(|| service.asked.get() == 2).await;
            let successor = Oversight::new();
            drop(world.sender);
            world
                .settings
                .oversight
                .order(Order::Retire(Rc::clone(&successor)));
            assert!(runner.await.expect("no panic").is_none());
            assert_eq!((service.asked.get(), *service.delivered.borrow()), (2, 4));
            let left = successor.take_leftovers();
            let ranges: Vec<_> = left.iter().flat_map(|left| left.records.clone()).collect();
            assert_eq!(ranges, [4..9]);
            assert_eq!(world.ledger.discharged(), 4);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_stay_below_their_limit_or_are_one() {
    LocalSet::new()
        .run_until(async {
            for (limit, most) in [(0, 8), (60, 3), (1, 1)] {
                let (world, mut deliveries) = World::new(limit);
                let service = Rc::new(Service::default());
                service.answers.set(usize::MAX);
                for _ in 0..20 {
                    world.route(2);
                }
                drop(world.sender);
                let settings = Rc::clone(&world.settings);
                run(output(&service, 8), &settings, &mut deliveries).await;
                assert_eq!(*service.delivered.borrow(), 40);
                assert!(
                    service.most_under_way.get() <= most,
                    "{limit}: {}",
                    service.most_under_way.get()
                );
                assert_eq!(settings.bodies.used(), 0, "everything is given back");
            }
        })
        .await;
}
