//! The runner against a scripted output: what is answered how, and what the source hears of it.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::Bytes;
use plugin::{Format, Level, LocalFuture, Metrics, Parts, StopHandle};
use record::{Budget, Ledger, Position, Record, Tag};
use tokio::sync::mpsc::unbounded_channel;

use super::*;

mod early;
mod refusals;

/// Requests of at most `full` records; a record's body is its position.
struct Lines {
    full: u32,
    /// With so many lanes, a record's lane is its position modulo this number. 0: none has a lane.
    lanes: u64,
    body: Vec<u8>,
    parts: Parts,
}

impl Lines {
    /// The lane of a request of one record, whose number is its position.
    fn lane(&self, parts: &Parts) -> Option<u64> {
        let (_, records) = &parts.ranges()[0];
        u64::from(records.start).checked_rem(self.lanes)
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        if !self.parts.is_empty() {
            let (body, parts) = (
                std::mem::take(&mut self.body),
                std::mem::take(&mut self.parts),
            );
            outbox.requests.push(Request {
                body: body.into(),
                lane: self.lane(&parts),
                parts,
                note: None,
                provenance: None,
            });
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
        for index in records {
            let offset = batch.records()[index as usize].position.offset;
            match offset {
                // Two positions with a meaning of their own.
                666 => outbox.rejected.push((delivery, index, Reason("too_large"))),
                777 => outbox.filtered.push((delivery, index)),
                _ => {
                    self.body.extend_from_slice(format!("{offset} ").as_bytes());
                    self.parts.push(delivery, index);
                }
            }
            if self.parts.len() == self.full {
                self.finish(outbox);
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.finish(outbox);
    }
}

/// Answers by script, then with `Done`; remembers what was sent and when.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Answer>>,
    sent: RefCell<Vec<(String, u64)>>,
    started: RefCell<Option<Instant>>,
    /// How long an answer takes.
    takes: Duration,
}

impl Deliver for Script {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            let started = *self.started.borrow_mut().get_or_insert_with(Instant::now);
            let body = String::from_utf8(request.body.to_vec())
                .expect("text")
                .trim()
                .to_owned();
            self.sent
                .borrow_mut()
                .push((body, started.elapsed().as_secs()));
            if !self.takes.is_zero() {
                tokio::time::sleep(self.takes).await;
            }
            self.answers
                .borrow_mut()
                .pop_front()
                .unwrap_or(Answer::Done)
        })
    }
}

struct World {
    script: Rc<Script>,
    ledger: Arc<Ledger>,
    counters: OutputCounters,
}

fn batch(ledger: &Arc<Ledger>, offsets: Range<u64>) -> Delivery {
    delivery(ledger, offsets, false)
}

fn awaited_batch(ledger: &Arc<Ledger>, offsets: Range<u64>) -> Delivery {
    delivery(ledger, offsets, true)
}

fn delivery(ledger: &Arc<Ledger>, offsets: Range<u64>, awaited: bool) -> Delivery {
    let batch = Batch::new(Tag::from("t"), Bytes::new()).with_awaited(awaited);
    fill(batch, ledger, offsets)
}

fn fill(batch: Batch, ledger: &Arc<Ledger>, offsets: Range<u64>) -> Delivery {
    let obligation = ledger.open(offsets.clone());
    let mut batch = batch.with_obligation(obligation);
    for offset in offsets {
        batch.push_record(Record {
            position: Position { offset, len: 1 },
            ..Record::default()
        });
    }
    let (batch, receipt) = batch.freeze();
    Delivery { batch, receipt }
}

/// Runs `deliveries` (ranges of positions) to their end.
async fn run(
    full: u32,
    limit: RetryLimit,
    answers: Vec<Answer>,
    deliveries: &[Range<u64>],
) -> World {
    run_in_lanes(0, full, limit, answers, deliveries).await
}

/// The same with an output that has so many lanes and may send four requests at once.
async fn run_in_lanes(
    lanes: u64,
    full: u32,
    limit: RetryLimit,
    answers: Vec<Answer>,
    deliveries: &[Range<u64>],
) -> World {
    run_by(settings(limit), (full, lanes), answers, deliveries).await
}

/// The same with other settings.
async fn run_by(
    settings: RunnerSettings,
    (full, lanes): (u32, u64),
    answers: Vec<Answer>,
    deliveries: &[Range<u64>],
) -> World {
    let script = Rc::new(Script {
        answers: RefCell::new(answers.into()),
        ..Script::default()
    });
    let ledger = Ledger::new(0);
    let counters = settings.counters.clone();
    let output = output(full, lanes, &script);
    let (sender, mut receiver) = unbounded_channel();
    for offsets in deliveries {
        counters.routed.add(offsets.end - offsets.start);
        sender.send(batch(&ledger, offsets.clone())).expect("open");
    }
    drop(sender);
    super::run(output, &settings, &mut receiver).await;
    World {
        script,
        ledger,
        counters,
    }
}

/// Settings of a router that is not told to stop.
fn settings(limit: RetryLimit) -> RunnerSettings {
    let counters = OutputCounters::new("fake.0".into(), Metrics::default());
    let (handle, stop) = StopHandle::new();
    // Dropped, it would count as given.
    std::mem::forget(handle);
    RunnerSettings {
        flush: Duration::from_secs(1),
        retry_limit: limit,
        backoff: Backoff {
            configured: Some((5, 5)),
        },
        counters,
        log: Log::new("", Level::Off),
        stop,
        memory: Budget::new(0),
        bodies: Budget::new(0),
        read_ahead: Rc::new(ReadAhead::new()),
        dead_letters: DeadLetters::none(),
        oversight: Oversight::new(),
    }
}

fn output(full: u32, lanes: u64, script: &Rc<Script>) -> RunOutput {
    RunOutput {
        format: Box::new(Lines {
            full,
            lanes,
            body: Vec::new(),
            parts: Parts::default(),
        }),
        deliver: Rc::clone(script) as Rc<dyn Deliver>,
        concurrency: if lanes == 0 { 1 } else { 4 },
    }
}

impl World {
    fn sent(&self) -> Vec<String> {
        self.script
            .sent
            .borrow()
            .iter()
            .map(|(body, _)| body.clone())
            .collect()
    }

    /// How many requests may be under way at once.
    fn concurrency_limit(&self) -> u64 {
        let metrics = self.counters.own.all();
        let limit = metrics
            .iter()
            .find(|metric| metric.name == "concurrency_limit");
        limit.expect("every output has it").number.get()
    }

    /// Conservation: everything routed has an answer, and the source heard of it.
    fn assert_settled(&self, upto: u64) {
        assert_eq!(self.counters.in_flight(), 0);
        assert_eq!(self.counters.held.get(), 0);
        assert_eq!(self.counters.settled.get(), self.counters.answered());
        assert_eq!(
            (self.ledger.discharged(), self.ledger.is_settled()),
            (upto, true)
        );
    }
}

fn again(after: Option<u64>) -> Answer {
    Answer::Again {
        after: after.map(Duration::from_secs),
        why: "busy".into(),
        throttled: false,
    }
}

#[tokio::test(start_paused = true)]
async fn requests_span_batches_and_the_rest_goes_at_the_end() {
    let world = run(4, RetryLimit::Unset, vec![], &[0..3, 3..6, 6..7]).await;
    assert_eq!(world.sent(), ["0 1 2 3", "4 5 6"]);
    assert_eq!(world.counters.records.get(), 7);
    world.assert_settled(7);
}

#[tokio::test(start_paused = true)]
async fn awaited_records_that_had_to_wait_for_their_turn_do_not_wait_for_flush() {
    let script = Rc::new(Script {
        takes: Duration::from_millis(100),
        ..Script::default()
    });
    let ledger = Ledger::new(0);
    let settings = settings(RetryLimit::Unset);
    let counters = settings.counters.clone();
    let (sender, mut receiver) = unbounded_channel();
    // Two full requests are more than may be under way, so the last batch is formatted later.
    counters.routed.add(10);
    for delivery in [batch(&ledger, 0..8), awaited_batch(&ledger, 8..10)] {
        sender.send(delivery).expect("open");
    }
    let ended = async {
        while counters.answered() < 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(sender);
    };
    tokio::join!(
        super::run(output(4, 0, &script), &settings, &mut receiver),
        ended
    );
    let sent = script.sent.borrow();
    assert_eq!(sent.last(), Some(&("8 9".to_owned(), 0)), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waited_in_its_source_waits_that_much_less_but_for_what_comes_with_it() {
    tokio::time::advance(Duration::from_secs(60)).await;
    for (waited, waits) in [(600, 400), (0, 1000), (50_000, 250)] {
        let script = Rc::new(Script::default());
        let ledger = Ledger::new(0);
        let settings = settings(RetryLimit::Unset);
        let counters = settings.counters.clone();
        let (sender, mut receiver) = unbounded_channel();
        let start = Instant::now();
        let noticed = (start - Duration::from_millis(waited)).into_std();
        let late = Batch::new(Tag::from("t"), Bytes::new()).with_noticed(noticed);
        counters.routed.add(2);
        for (offsets, batch) in [
            (0..1, Batch::new(Tag::from("t"), Bytes::new())),
            (1..2, late),
        ] {
            let delivery = fill(batch, &ledger, offsets);
            sender.send(delivery).expect("open");
        }
        let ended = async {
            while counters.answered() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(sender);
            start.elapsed()
        };
        let output = output(4, 0, &script);
        let (_, took) = tokio::join!(super::run(output, &settings, &mut receiver), ended);
        let waits = Duration::from_millis(waits);
        assert!(
            took >= waits && took < waits + Duration::from_millis(5),
            "{waited} ms: {took:?}"
        );
        assert_eq!(script.sent.borrow().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_due_in_a_moment_goes_along_with_what_comes() {
    let script = Rc::new(Script::default());
    let ledger = Ledger::new(0);
    let settings = settings(RetryLimit::Unset);
    let counters = settings.counters.clone();
    let (sender, mut receiver) = unbounded_channel();
    let start = Instant::now();
    counters.routed.add(3);
    let ended = async {
        sender.send(batch(&ledger, 0..1)).expect("open");
        tokio::time::sleep(settings.flush - MOMENT - Duration::from_millis(1)).await;
        sender.send(batch(&ledger, 1..2)).expect("open");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(counters.answered(), 0, "nothing woke it in this moment");
        sender.send(batch(&ledger, 2..3)).expect("open");
        while counters.answered() < 3 {
            tokio::task::yield_now().await;
        }
        drop(sender);
        start.elapsed()
    };
    let output = output(4, 0, &script);
    let (_, took) = tokio::join!(super::run(output, &settings, &mut receiver), ended);
    assert_eq!(took, settings.flush - MOMENT + Duration::from_millis(1));
    assert_eq!(script.sent.borrow().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_memory_does_not_keep_refused_requests_from_their_time() {
    let script = Rc::new(Script {
        answers: RefCell::new(vec![again(None), again(None)].into()),
        ..Script::default()
    });
    let ledger = Ledger::new(0);
    let memory = Budget::new(10);
    let held = memory.try_take(10).expect("all of it");
    let settings = RunnerSettings {
        // One request is all that there is room for.
        bodies: Budget::new(1),
        memory: Arc::clone(&memory),
        ..settings(RetryLimit::Unset)
    };
    let counters = settings.counters.clone();
    let (sender, mut receiver) = unbounded_channel();
    counters.routed.add(8);
    for offsets in [0..4, 4..8] {
        sender.send(batch(&ledger, offsets)).expect("open");
    }
    let ended = async {
        while counters.answered() < 8 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop((sender, held));
    };
    tokio::join!(
        super::run(output(4, 0, &script), &settings, &mut receiver),
        ended,
        memory.take(1),
    );
    let sent: Vec<String> = script
        .sent
        .borrow()
        .iter()
        .map(|(body, _)| body.clone())
        .collect();
    assert_eq!(sent, ["0 1 2 3", "0 1 2 3", "0 1 2 3", "4 5 6 7"]);
}

#[tokio::test(start_paused = true)]
async fn exactly_the_failed_records_are_sent_again() {
    let failed = vec![
        (1, RecordAnswer::Again),
        (4, RecordAnswer::Again),
        (5, RecordAnswer::Never(Reason("bad"))),
    ];
    let answers = vec![Answer::Except {
        records: failed,
        why: "Slow down.".into(),
        throttled: true,
    }];
    let world = run(6, RetryLimit::Unset, answers, &[0..3, 3..6]).await;
    assert_eq!(world.sent(), ["0 1 2 3 4 5", "1 4"]);
    assert_eq!(
        (world.counters.records.get(), world.counters.dropped.get()),
        (5, 1)
    );
    assert_eq!(world.counters.own.dropped("bad").get(), 1);
    world.assert_settled(6);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_sent_again_as_it_was() {
    let world = run(
        2,
        RetryLimit::Unset,
        vec![again(None), again(Some(60))],
        &[0..2],
    )
    .await;
    assert_eq!(world.sent(), ["0 1", "0 1", "0 1"]);
    let times: Vec<u64> = world
        .script
        .sent
        .borrow()
        .iter()
        .map(|(_, at)| *at)
        .collect();
    assert_eq!(
        times,
        [0, 6, 66],
        "base + 1, then what the service asked for"
    );
    assert_eq!(
        (
            world.counters.retries.get(),
            world.counters.retried_records.get()
        ),
        (2, 4)
    );
    world.assert_settled(2);
}

#[tokio::test(start_paused = true)]
async fn an_explicit_limit_gives_up_and_counts() {
    let answers = vec![again(None), Answer::Done, again(None)];
    let world = run(2, RetryLimit::Limited(1), answers, &[0..2, 2..4]).await;
    assert_eq!(
        world.sent().iter().filter(|body| *body == "0 1").count(),
        1 + 1
    );
    assert_eq!(
        (
            world.counters.retries_failed.get(),
            world.counters.dropped.get()
        ),
        (1, 2)
    );
    assert_eq!(world.counters.own.dropped("retry_limit").get(), 2);
    world.assert_settled(4);
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_is_taken_apart_until_the_bad_record_is_alone() {
    let never = || Answer::Never {
        reason: Reason("poison"),
        why: "400".into(),
    };
    // 0 1 2 3 is refused, 0 1 is fine, 2 3 is refused, 2 is fine, 3 is refused.
    let answers = vec![never(), Answer::Done, never(), Answer::Done, never()];
    let world = run(4, RetryLimit::Unset, answers, &[0..4]).await;
    assert_eq!(world.sent(), ["0 1 2 3", "0 1", "2 3", "2", "3"]);
    assert_eq!(
        (
            world.counters.records.get(),
            world.counters.own.dropped("poison").get()
        ),
        (3, 1)
    );
    world.assert_settled(4);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_answered_for_at_once() {
    let world = run(10, RetryLimit::Unset, vec![], &[0..1, 1..1, 1..900]).await;
    assert_eq!(world.counters.own.dropped("too_large").get(), 1);
    assert_eq!(world.counters.filtered.get(), 1);
    world.assert_settled(900);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_runner_refuses_what_it_held() {
    let script = Rc::new(Script {
        answers: RefCell::new(vec![again(Some(3600))].into()),
        ..Script::default()
    });
    let ledger = Ledger::new(0);
    let settings = RunnerSettings {
        backoff: Backoff { configured: None },
        ..settings(RetryLimit::Unset)
    };
    let output = output(2, 0, &script);
    let (sender, mut receiver) = unbounded_channel();
    sender.send(batch(&ledger, 0..5)).expect("open");
    let running = super::run(output, &settings, &mut receiver);
    assert!(
        tokio::time::timeout(Duration::from_secs(60), running)
            .await
            .is_err(),
        "it waits for the retry"
    );
    // 0 1 failed and waits; 2 3 and 4 were sent meanwhile.
    assert_eq!((ledger.discharged(), ledger.refused()), (0, vec![0..2]));
}

#[tokio::test(start_paused = true)]
async fn a_lane_waits_for_its_own_retries_alone() {
    // 0 and 5 have to be sent again: 2 and 4 wait for 0, and nothing for 5.
    let answers = vec![again(None), Answer::Done, Answer::Done, again(None)];
    let world = run_in_lanes(2, 1, RetryLimit::Unset, answers, &[0..6]).await;
    assert_eq!(world.sent(), ["0", "1", "3", "5", "0", "5", "2", "4"]);
    world.assert_settled(6);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_refused_alone_stay_ahead_in_their_lane() {
    // The first request, 0 and 1 of the only lane, comes back in part; it is repeated before 2 3 may go.
    let refused = Answer::Except {
        records: vec![(1, RecordAnswer::Again)],
        why: "busy".into(),
        throttled: false,
    };
    let world = run_in_lanes(1, 2, RetryLimit::Unset, vec![refused], &[0..4]).await;
    assert_eq!(world.sent(), ["0 1", "1", "2 3"]);
    world.assert_settled(4);
}

#[tokio::test(start_paused = true)]
async fn a_lane_goes_on_after_what_is_given_up() {
    let never = || Answer::Never {
        reason: Reason("bad"),
        why: "bad".into(),
    };
    // 0 1 is refused as a whole and taken apart: 0 is given up, 1 is fine. Then 2 3 reaches its limit, and 4 goes.
    let answers = vec![never(), never(), Answer::Done, again(None)];
    let world = run_in_lanes(1, 2, RetryLimit::NoRetries, answers, &[0..5]).await;
    assert_eq!(world.sent(), ["0 1", "0", "1", "2 3", "4"]);
    assert_eq!(world.counters.own.dropped("bad").get(), 1);
    assert_eq!(world.counters.own.dropped("retry_limit").get(), 2);
    world.assert_settled(5);
}

#[test]
fn requests_split_at_their_exceptions() {
    let ranges = vec![(DeliveryId(0), 5..8), (DeliveryId(1), 0..2)];
    let exceptions = [
        (0, RecordAnswer::Again),
        (2, RecordAnswer::Again),
        (4, RecordAnswer::Again),
    ];
    let (delivered, excepted) = split(&ranges, &exceptions);
    assert_eq!(delivered, [(DeliveryId(0), 6..7), (DeliveryId(1), 0..1)]);
    let excepted: Vec<_> = excepted
        .into_iter()
        .map(|(id, record, _)| (id.0, record))
        .collect();
    assert_eq!(excepted, [(0, 5), (0, 7), (1, 1)]);
    assert_eq!(halve(ranges, 4).1, [(DeliveryId(1), 1..2)]);
}
