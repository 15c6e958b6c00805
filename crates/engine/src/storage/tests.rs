//! Routes that lag, inputs that are answered early, and what a restart finds.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use plugin::{Level, Metrics};
use record::{Field, Key, Ledger, Position, Record, Tag, Time, Value};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use monitor::InputCounters;

use buffer::wal::Durability;

use super::*;
use crate::instance::TagMatcher;
use crate::oversight::{Leftover, Oversight};

mod chunks_up;
mod closing;
mod damage;
mod lagging;

const MIB: usize = 1 << 20;
const STORED: Source<'static> = Source {
    is_stored: true,
    ..Source::NONE
};
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    storage: Rc<Storage>,
    road: Rc<Road>,
    ways: Vec<UnboundedReceiver<Delivery>>,
    counters: Vec<OutputCounters>,
    memory: Arc<Budget>,
    ledger: Arc<Ledger>,
    next: u64,
}

fn settings(folder: &Path) -> StorageSettings {
    StorageSettings {
        state: StateDirectory::new(vec![folder.to_owned()]),
        durability: Durability::Durable,
        backlog_bytes: MIB,
        chunks_up_bytes: usize::MAX,
        is_flushed_on_stop: false,
        fluent_bit: None,
        deletes_bad_chunks: false,
        shards: 1,
        chunks: ChunksOfAll::default(),
    }
}

impl Rig {
    fn new(folder: &Path, names: &[&str], total: Option<u64>) -> Rig {
        let settings = StorageSettings {
            fluent_bit: Some(folder.to_owned()),
            ..settings(folder)
        };
        Rig::with(settings, names, total)
    }

    fn with(settings: StorageSettings, names: &[&str], total: Option<u64>) -> Rig {
        let memory = Budget::new(2 * MIB);
        let (mut exits, mut receivers, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        for name in names {
            let (sender, receiver) = unbounded_channel();
            let counted = OutputCounters::new(Arc::from(*name), Metrics::default());
            exits.push(Exit {
                matcher: TagMatcher::everything(),
                deliveries: sender,
                oversight: Oversight::new(),
                counters: counted.clone(),
                bytes_max: total,
            });
            receivers.push(receiver);
            counters.push(counted);
        }
        let log = Log::new("storage", Level::Off);
        let storage = Rc::new(Storage::new(settings, Arc::clone(&memory), log));
        let emitter = InputCounters::new("emitter".into(), Metrics::default());
        let road = Road::new(Rc::new([]), exits, emitter).with_storage(Some(&storage));
        storage.open().expect("a folder");
        Rig {
            storage,
            road: Rc::new(road),
            ways: receivers,
            counters,
            memory,
            ledger: Ledger::new(0),
            next: 0,
        }
    }

    /// A batch of `records` records of a kilobyte, whose texts start with their number.
    fn batch(&mut self, records: u64) -> Batch {
        let range = self.next..self.next + records;
        self.next = range.end;
        let mut batch = Batch::new(Tag::from("app"), Bytes::new());
        for number in range.clone() {
            let key = batch.put(b"log");
            let text = batch.put(format!("{number:-<1000}").as_bytes());
            let mark = batch.mark();
            batch.push(Field {
                key: Key::text(key),
                value: Value::Str(text),
            });
            let body = batch.close(mark);
            batch.push_record(Record {
                time: Time::new(1_700_000_000, 0),
                body,
                position: Position {
                    offset: number,
                    len: 1,
                },
                ..Record::default()
            });
        }
        let mut permit = self.memory.nothing();
        permit.resize(batch.footprint());
        batch
            .with_obligation(self.ledger.open(range))
            .with_permit(permit)
    }

    fn waits_on_disk(&self, route: usize) -> bool {
        let open = self.storage.opened().expect("a log");
        open.writer.behind(route).is_some()
    }

    /// Answers for the next batch that `route` has.
    async fn answer(&mut self, route: usize) -> Vec<u64> {
        let delivery = tokio::time::timeout(PATIENCE, self.ways[route].recv());
        let delivery = delivery.await.expect("in time").expect("handed over");
        let found = numbers(&delivery);
        delivery.receipt.settle_all();
        found
    }

    /// Ends it as a kill would, but for what the storage thread is just writing.
    async fn end(self) {
        self.storage.close(Some(Instant::now())).await;
    }
}

fn numbers(delivery: &Delivery) -> Vec<u64> {
    let batch = &delivery.batch;
    let number = |record: &Record| {
        let Some(Value::Str(text)) = batch.get(record.body, b"log") else {
            panic!("no text")
        };
        let text = std::str::from_utf8(batch.bytes(text)).expect("text");
        let number = text.split('-').next().expect("a number");
        number.parse().expect("a number")
    };
    batch.records().iter().map(number).collect()
}

async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}");
}

fn all(records: Range<u64>) -> Vec<u64> {
    records.collect()
}

#[tokio::test]
async fn a_stored_input_is_answered_when_the_disk_has_its_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "slow"], None);
        let batch = rig.batch(10);
        rig.storage.route(batch, &[0, 1], STORED);
        let ledger = Arc::clone(&rig.ledger);
        until("answered", || ledger.discharged() == 10).await;
        let live = rig.ways[0].recv().await.expect("handed over");
        assert_eq!(numbers(&live), all(0..10));
        assert!(
            !live.batch.origin().is_none() && live.batch.records()[3].position.offset == 3,
            "they are named by the log"
        );
        live.receipt.settle_all();
        let mut slow = rig.ways[1].recv().await.expect("handed over");
        slow.receipt.settle(&slow.batch, 0..2);
        slow.receipt.settle(&slow.batch, 5..6);
        let origin = slow.batch.origin();
        drop(slow);
        rig.end().await;
        origin
    };
    let origin = LocalSet::new().run_until(run).await;
    let again = async {
        let mut rig = Rig::new(folder.path(), &["live", "slow"], None);
        rig.storage.start(&rig.road);
        let (mut found, mut positions) = (Vec::new(), Vec::new());
        while found.len() < 7 {
            let delivery = rig.ways[1].recv().await.expect("read again");
            assert_eq!(delivery.batch.origin(), origin, "by the same name");
            found.extend(numbers(&delivery));
            let records = delivery.batch.records();
            positions.extend(records.iter().map(|record| record.position.offset));
            delivery.receipt.settle_all();
        }
        assert_eq!(found, [2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(positions, found, "with the same positions");
        assert!(rig.ways[0].try_recv().is_err(), "nothing twice");
        rig.end().await;
    };
    LocalSet::new().run_until(again).await;
    let wal = std::fs::read_dir(folder.path().join("wal")).expect("a folder");
    let left = wal
        .filter(|entry| {
            let path = entry.as_ref().expect("an entry").path();
            path.extension().is_some_and(|extension| extension == "wal")
        })
        .count();
    assert_eq!(left, 0, "everything is delivered");
}

#[tokio::test]
async fn a_dead_output_stops_no_live_one_and_gets_everything_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "dead"], None);
        rig.storage.start(&rig.road);
        let mut live = Vec::new();
        // Sixteen times the memory.
        for _ in 0..320 {
            while rig.memory.used() > MIB * 3 / 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let batch = rig.batch(100);
            rig.storage.route(batch, &[0, 1], Source::NONE);
            let delivery = rig.ways[0].recv().await.expect("handed over");
            live.extend(numbers(&delivery));
            delivery.receipt.settle_all();
        }
        assert_eq!(live, all(0..32_000));
        // What the dead output holds in memory stays unanswered; all the rest is safe.
        let held: u64 = rig.ways[1].len() as u64;
        let ledger = Arc::clone(&rig.ledger);
        let safe = move || {
            let beyond: u64 = ledger
                .discharged_beyond()
                .iter()
                .map(|range| range.end - range.start)
                .sum();
            ledger.discharged() + beyond
        };
        assert!(held > 0 && held * 100 < 3000, "{held} batches");
        until("the rest is on the disk", || safe() == 32_000 - held * 100).await;
        let mut late = Vec::new();
        while late.len() < 32_000 {
            let delivery = rig.ways[1].recv().await.expect("read again");
            late.extend(numbers(&delivery));
            delivery.receipt.settle_all();
        }
        assert_eq!(late, all(0..32_000), "all, once, and in order");
        until("nothing is owed", || rig.ledger.is_settled()).await;
        let open = rig.storage.opened().expect("open");
        until("it has caught up", || open.writer.behind(1).is_none()).await;
        let batch = rig.batch(1);
        rig.storage.route(batch, &[0, 1], Source::NONE);
        let delivery = rig.ways[1].recv().await.expect("directly");
        assert_eq!(numbers(&delivery), [32_000]);
        assert_eq!(rig.counters[1].routed.get(), 32_001);
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_dead_output_holds_no_more_than_an_input_may_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "dead"], None);
        rig.storage.start(&rig.road);
        // Much less than what two outputs may hold of the router's memory.
        let input = rig.memory.child(400 << 10);
        rig.storage.note_input(&input);
        for _ in 0..100 {
            let batch = rig.batch(20);
            // As an input does: what is on its way to a slow disk takes room of the router's memory for a while.
            let room = tokio::time::timeout(PATIENCE, input.take(batch.footprint()));
            let permit = room.await.expect("the dead output blocks the input");
            let batch = batch.with_permit(permit);
            rig.storage.route(batch, &[0, 1], Source::NONE);
            let delivery = rig.ways[0].recv().await.expect("handed over");
            delivery.receipt.settle_all();
        }
        let waits = rig.storage.opened().expect("a log").writer.behind(1);
        assert!(waits.is_some(), "the rest waits on the disk");
        assert!(!input.is_full(), "there is room for the live output");
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn what_an_output_has_refused_comes_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        rig.storage.start(&rig.road);
        let batch = rig.batch(10);
        rig.storage.route(batch, &[0], STORED);
        let mut first = rig.ways[0].recv().await.expect("handed over");
        first.receipt.settle(&first.batch, 3..6);
        drop(first);
        let mut found = Vec::new();
        while found.len() < 7 {
            let delivery = rig.ways[0].recv().await.expect("once more");
            found.extend(numbers(&delivery));
            delivery.receipt.settle_all();
        }
        assert_eq!(found, [0, 1, 2, 6, 7, 8, 9]);
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn the_oldest_records_go_at_the_total_limit_and_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["dead", "live"], Some(MIB as u64));
        rig.storage.start(&rig.road);
        for _ in 0..100 {
            let batch = rig.batch(100);
            rig.storage.route(batch, &[0, 1], STORED);
            let delivery = rig.ways[1].recv().await.expect("handed over");
            delivery.receipt.settle_all();
            let ledger = Arc::clone(&rig.ledger);
            let next = rig.next;
            until("the disk has it", || ledger.discharged() == next).await;
        }
        let dropped = || rig.counters[0].dropped.get();
        until("it is dropped", || dropped() > 7000).await;
        let mut late = Vec::new();
        let mut receivers = rig.ways.into_iter();
        let mut dead = receivers.next().expect("the first");
        while late.last() != Some(&9999) {
            let delivery = dead.recv().await.expect("read again");
            late.extend(numbers(&delivery));
            delivery.receipt.settle_all();
        }
        let dropped = rig.counters[0].dropped.get();
        assert_eq!(late.len() as u64 + dropped, 10_000);
        assert_eq!(rig.counters[0].routed.get(), 10_000);
        assert!(late.windows(2).all(|pair| pair[0] < pair[1]));
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn what_fluent_bit_left_is_delivered_once_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = folder.path().join("dummy.0");
    std::fs::create_dir(&stream).expect("made");
    let files = [
        (
            "9-100.5.flb",
            &include_bytes!("../../../buffer/src/chunks/golden/plain.flb")[..],
        ),
        (
            "9-101.5.flb",
            include_bytes!("../../../buffer/src/chunks/golden/killed.flb"),
        ),
        (
            "9-102.5.flb",
            b"\xc1\x00 something else, longer than a header",
        ),
    ];
    for (name, bytes) in files {
        std::fs::write(stream.join(name), bytes).expect("written");
    }
    let run = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        rig.storage.start(&rig.road);
        for _ in 0..2 {
            let delivery = rig.ways[0].recv().await.expect("read");
            assert_eq!(delivery.batch.tag(), &Tag::from("kube.app"));
            let record = &delivery.batch.records()[0];
            let Some(Value::Str(text)) = delivery.batch.get(record.body, b"message") else {
                panic!("no text")
            };
            assert_eq!(delivery.batch.bytes(text), b"left behind");
            delivery.receipt.settle_all();
        }
        until("they are removed", || !stream.join("9-101.5.flb").exists()).await;
        assert!(!stream.join("9-100.5.flb").exists());
        assert!(
            stream.join("9-102.5.flb").exists(),
            "what cannot be read stays"
        );
        rig.end().await;
    };
    LocalSet::new().run_until(run).await;
    // The last stop came before the file could be removed.
    std::fs::write(stream.join(files[0].0), files[0].1).expect("written");
    let again = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        rig.storage.start(&rig.road);
        until("it is removed", || !stream.join("9-100.5.flb").exists()).await;
        assert!(rig.ways[0].try_recv().is_err(), "nothing twice");
    };
    LocalSet::new().run_until(again).await;
}

#[tokio::test]
async fn an_output_that_comes_back_gets_what_waited() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["stays", "leaves"], None);
        let batch = rig.batch(3);
        rig.storage.route(batch, &[0, 1], STORED);
        rig.ways[0]
            .recv()
            .await
            .expect("handed over")
            .receipt
            .settle_all();
        rig.end().await;
    };
    LocalSet::new().run_until(run).await;
    let later = async {
        let mut rig = Rig::new(folder.path(), &["stays"], None);
        rig.storage.start(&rig.road);
        let (sender, mut receiver) = unbounded_channel();
        let exit = |name: &str, sender: UnboundedSender<Delivery>| Exit {
            matcher: TagMatcher::everything(),
            deliveries: sender,
            oversight: Oversight::new(),
            counters: OutputCounters::new(Arc::from(name), Metrics::default()),
            bytes_max: None,
        };
        let kept = exit("stays", unbounded_channel().0);
        let ways = rig.storage.attach(&[kept, exit("leaves", sender)]);
        assert_eq!(ways.len(), 2);
        let delivery = receiver.recv().await.expect("read again");
        assert_eq!(numbers(&delivery), [0, 1, 2]);
        delivery.receipt.settle_all();
        assert!(rig.ways[0].try_recv().is_err());
        rig.end().await;
    };
    LocalSet::new().run_until(later).await;
}

#[tokio::test]
async fn letters_are_answered_for_when_they_are_safe() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rig = Rig::new(&folder.path().join("other"), &["only"], None);
    let log = Log::new("storage", Level::Off);
    let dead = DeadLetters::in_folder(folder.path().to_owned(), log);
    let mut batch = rig.batch(5);
    let receipt = std::mem::replace(batch.receipt_mut(), Receipt::none());
    let reason = Reason("too_large");
    dead.put(&batch, 1..3, &rig.counters[0], reason, receipt);
    until("answered", || rig.ledger.discharged() == 5).await;
    let letters = crate::LetterBox::at(folder.path().to_owned());
    let files = letters.files().expect("a folder");
    let read = letters.read(&files[0]).expect("readable");
    let letter = &read.letters[0];
    assert_eq!(
        (&*letter.output, &*letter.reason, letter.batch.len()),
        ("only", "too_large", 2)
    );
    letters.finish(&files[0], &[]).expect("removed");
    assert!(letters.files().expect("a folder").is_empty());
}

#[tokio::test]
async fn a_chunk_that_is_sent_again_is_answered_and_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = Origin::of(&[b"forward", b"chunk"]);
    let folder = folder.path();
    for is_new in [true, false] {
        let run = async move {
            let mut rig = Rig::new(folder, &["only"], None);
            for attempt in 0..2 {
                rig.next = 0;
                rig.ledger = Ledger::new(0);
                let batch = rig.batch(4).with_origin(origin).with_awaited(true);
                rig.storage.route(batch, &[0], STORED);
                let ledger = Arc::clone(&rig.ledger);
                until("it is answered", || ledger.discharged() == 4).await;
                let delivery = rig.ways[0].try_recv().ok();
                assert_eq!(delivery.is_some(), is_new && attempt == 0);
                if let Some(delivery) = delivery {
                    assert_eq!(delivery.batch.origin(), origin);
                    delivery.receipt.settle_all();
                }
            }
            let other = rig.batch(4).with_origin(origin).with_awaited(true);
            rig.storage.route(other, &[0], STORED);
            let other = rig.ways[0].try_recv();
            assert_eq!(other.is_ok(), is_new, "what follows in it is new");
            if let Ok(other) = other {
                other.receipt.settle_all();
            }
            rig.end().await;
        };
        LocalSet::new().run_until(run).await;
    }
}

#[test]
fn a_log_that_cannot_be_listed_may_hold_something() {
    let folder = tempfile::tempdir().expect("a folder");
    let storage = |path: &Path| {
        let log = Log::new("storage", Level::Off);
        Storage::new(settings(path), Budget::new(MIB), log)
    };
    assert!(!storage(folder.path()).has_backlog(), "nothing is there");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    assert!(!storage(&file).has_backlog(), "no folder can be there");
    // A name that leads to itself stands for a disk that fails.
    let wal = folder.path().join("wal");
    std::os::unix::fs::symlink(&wal, &wal).expect("made");
    let broken = storage(folder.path());
    assert!(broken.has_backlog());
    assert!(broken.open().is_err(), "so the router does not start");
}

#[tokio::test]
async fn what_is_kept_at_a_stop_does_not_come_again_from_its_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = Origin::of(&[b"forward", b"chunk"]);
    let sent = |rig: &mut Rig| rig.batch(4).with_origin(origin).with_awaited(true);
    let life = async {
        let mut rig = Rig::new(folder.path(), &["only"], None);
        let batch = sent(&mut rig);
        rig.storage.route(batch, &[0], Source::NONE);
        let mut held = rig.ways[0].try_recv().expect("handed over");
        held.receipt.settle(&held.batch, 1..2);
        let left = Leftover {
            batch: held.batch,
            receipt: held.receipt,
            records: vec![0..1, 2..4],
        };
        assert_eq!(rig.storage.keep(&rig.storage.way(0), left), 3);
        let ledger = Arc::clone(&rig.ledger);
        until("it is answered", || ledger.discharged() == 4).await;
        rig.end().await;
    };
    LocalSet::new().run_until(life).await;
    for is_stored in [false, true] {
        let next = async {
            let mut rig = Rig::new(folder.path(), &["only"], None);
            let batch = sent(&mut rig);
            assert!(rig.storage.is_needed(&batch, is_stored));
            let source = Source {
                is_stored,
                ..Source::NONE
            };
            rig.storage.route(batch, &[0], source);
            let ledger = Arc::clone(&rig.ledger);
            until("it is answered once more", || ledger.discharged() == 4).await;
            assert!(rig.ways[0].try_recv().is_err(), "nothing twice");
            if !is_stored {
                rig.storage.start(&rig.road);
                let mut found = Vec::new();
                while found.len() < 3 {
                    let delivery = rig.ways[0].recv().await.expect("read");
                    found.extend(numbers(&delivery));
                    delivery.receipt.settle_all();
                }
                assert_eq!(found, [0, 2, 3]);
            }
            let new = rig.batch(2).with_origin(origin).with_awaited(true);
            rig.storage.route(new, &[0], Source::NONE);
            let new = rig.ways[0].recv().await.expect("handed over");
            assert_eq!(numbers(&new), [4, 5], "what follows in the chunk is new");
            new.receipt.settle_all();
            rig.end().await;
        };
        LocalSet::new().run_until(next).await;
    }
}
