//! The thread: who is answered when, and who gets what from where.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use record::Obligation;

use super::super::*;
use super::{Memory, settings};

fn start(fs: &Memory, names: &[&str], bytes_max: Option<u64>) -> (Writer, Arc<AtomicUsize>) {
    let (log, recovered) = Log::open(Arc::new(fs.clone()), settings()).expect("a log");
    let routes = names.iter().map(|name| Route {
        name: Arc::from(*name),
        bytes_max,
    });
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let report = move |report: Report<'_>| {
        if let Report::Dropped { records, .. } = report {
            counted.fetch_add(records as usize, Ordering::SeqCst);
        }
    };
    let writer = Writer::start(log, &recovered, routes.collect(), report).expect("a thread");
    (writer, dropped)
}

fn append(
    writer: &Writer,
    routes: &[usize],
    records: u32,
    settled: &Arc<AtomicUsize>,
) -> Vec<Obligation> {
    let settled = Arc::clone(settled);
    let (_, owed) = writer.append(Append {
        routes: routes.to_vec(),
        records,
        chunks: Vec::new(),
        body: vec![b'x'; 200],
        settled: Box::new(move || {
            settled.fetch_add(1, Ordering::SeqCst);
        }),
    });
    owed.into_iter().map(|(_, owed)| owed).collect()
}

async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn wals(fs: &Memory) -> usize {
    fs.names()
        .iter()
        .filter(|name| name.ends_with("wal"))
        .count()
}

#[tokio::test]
async fn records_are_answered_when_they_are_safe_and_come_again_until_delivered() {
    let fs = Memory::default();
    let settled = Arc::new(AtomicUsize::new(0));
    let (writer, _) = start(&fs, &["a", "b"], None);
    let owed = append(&writer, &[0, 1], 5, &settled);
    assert!(writer.flush().await);
    assert_eq!((settled.load(Ordering::SeqCst), owed.len()), (1, 2));
    let mut owed = owed.into_iter();
    owed.next().expect("a").settle_all();
    let mut b = owed.next().expect("b");
    b.settle(1..3);
    drop(b);
    assert_eq!(writer.refused(1), [0..1, 3..5]);
    assert!(writer.flush().await);
    drop(writer);
    let (writer, _) = start(&fs, &["a", "b"], None);
    assert_eq!((writer.behind(0), writer.behind(1)), (None, Some(3)));
    assert_eq!(writer.refused(1), [0..1]);
    let read = writer
        .read(1, 3..u64::MAX, 1 << 20)
        .await
        .expect("readable");
    let owed = writer.claim(1, 3, &read).expect("nobody else has it");
    assert_eq!(owed[0].span(), 3..5);
    assert_eq!(writer.behind(1), None, "it has caught up");
    owed.into_iter().for_each(Obligation::settle_all);
    let first = writer.claim_refused(1, 0..1).expect("free");
    assert!(writer.claim_refused(1, 0..1).is_none());
    first.settle_all();
    drop(writer);
    assert_eq!(wals(&fs), 0, "everything is delivered");
}

#[tokio::test]
async fn who_is_behind_reads_what_others_were_given() {
    let fs = Memory::default();
    let settled = Arc::new(AtomicUsize::new(0));
    let (writer, _) = start(&fs, &["live", "slow"], None);
    append(&writer, &[0, 1], 1, &settled)
        .into_iter()
        .for_each(Obligation::settle_all);
    writer.fall_behind(1);
    for _ in 0..20 {
        let owed = append(&writer, &[0, 1], 2, &settled);
        assert_eq!(owed.len(), 1, "only the live one owes now");
        owed.into_iter().for_each(Obligation::settle_all);
    }
    let mut records = 0;
    while let Some(from) = writer.behind(1) {
        let read = writer.read(1, from..u64::MAX, 500).await.expect("readable");
        for owed in writer.claim(1, from, &read).expect("nobody else reads") {
            records += owed.span().end - owed.span().start;
            owed.settle_all();
        }
    }
    assert_eq!(records, 40);
}

#[tokio::test]
async fn a_full_disk_answers_nobody_who_is_not_safe() {
    let fs = Memory::default();
    let settled = Arc::new(AtomicUsize::new(0));
    let (writer, _) = start(&fs, &["live", "dead"], None);
    fs.set_room(Some(100));
    let delivered = append(&writer, &[0], 1, &settled);
    let waiting = append(&writer, &[0, 1], 1, &settled);
    assert!(!writer.flush().await);
    assert!(writer.failure().is_some() && settled.load(Ordering::SeqCst) == 0);
    delivered.into_iter().for_each(Obligation::settle_all);
    until("what is delivered needs no disk", || {
        settled.load(Ordering::SeqCst) == 1
    })
    .await;
    let read = writer
        .read(1, 0..u64::MAX, 1 << 20)
        .await
        .expect("from memory");
    assert_eq!(read.frames.len(), 1, "what is not written can be read");
    fs.set_room(None);
    assert!(writer.flush().await);
    assert_eq!(settled.load(Ordering::SeqCst), 2);
    drop(waiting);
}

#[tokio::test]
async fn at_its_limit_an_output_loses_its_oldest_records_and_they_are_counted() {
    let fs = Memory::default();
    let settled = Arc::new(AtomicUsize::new(0));
    let (writer, dropped) = start(&fs, &["slow"], Some(3000));
    writer.fall_behind(0);
    for _ in 0..40 {
        assert!(append(&writer, &[0], 3, &settled).is_empty());
        assert!(writer.flush().await);
    }
    let mut left = 0;
    while let Some(from) = writer.behind(0) {
        let read = writer
            .read(0, from..u64::MAX, 1 << 20)
            .await
            .expect("readable");
        for owed in writer.claim(0, from, &read).expect("nobody else reads") {
            left += (owed.span().end - owed.span().start) as usize;
            owed.settle_all();
        }
    }
    let dropped = dropped.load(Ordering::SeqCst);
    assert_eq!(left + dropped, 120);
    assert!((12..=36).contains(&left), "{left}");
}

/// With [`Durability::Process`] records count as safe when the system has them; but not when it said that it cannot keep
/// them, and they stand nowhere else yet.
#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_nobody_is_answered_who_is_not_safe() {
    let mut refused = 0;
    for room in (0..1_200).step_by(9) {
        let fs = Memory::default();
        let process = || Settings {
            durability: Durability::Process,
            ..settings()
        };
        let (log, recovered) = Log::open(Arc::new(fs.clone()), process()).expect("a log");
        let route = Route {
            name: Arc::from("a"),
            bytes_max: None,
        };
        let (writer, driver) = Writer::driven(log, &recovered, vec![route], |_| {});
        let work = tokio::spawn(driver.run(tokio::time::sleep_until));
        writer.fall_behind(0);
        let settled = Arc::new(AtomicUsize::new(0));
        append(&writer, &[0], 1, &settled);
        assert!(writer.flush().await);
        assert_eq!(settled.load(Ordering::SeqCst), 1);
        // The next write is also the one that syncs.
        tokio::time::advance(Duration::from_millis(999)).await;
        append(&writer, &[0], 1, &settled);
        fs.set_room(Some(room));
        fs.fail_syncs(1);
        tokio::time::advance(Duration::from_millis(1)).await;
        let is_written = writer.flush().await;
        let answered = settled.load(Ordering::SeqCst);
        refused += usize::from(answered == 1);
        assert_eq!(is_written, answered == 2, "{room} bytes of room");
        work.abort();
        let _ = work.await;
        // The process is gone, and the system drops what it could not write.
        if answered == 2 {
            fs.lose_power();
            fs.set_room(None);
            let (log, _) = Log::open(Arc::new(fs), process()).expect("a log");
            assert_eq!(super::bodies(&log, "a", 0).len(), 2, "{room} bytes");
        }
    }
    assert!((1..120).contains(&refused), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_for_the_disk_and_tells_what_is_not_safe() {
    for durability in [Durability::Process, Durability::Durable] {
        let fs = Memory::default();
        let settings = || Settings {
            durability,
            ..settings()
        };
        let (log, recovered) = Log::open(Arc::new(fs.clone()), settings()).expect("a log");
        let route = Route {
            name: Arc::from("a"),
            bytes_max: None,
        };
        let (writer, driver) = Writer::driven(log, &recovered, vec![route], |_| {});
        let work = tokio::spawn(driver.run(tokio::time::sleep_until));
        writer.fall_behind(0);
        let settled = Arc::new(AtomicUsize::new(0));
        append(&writer, &[0], 3, &settled);
        if durability == Durability::Process {
            while settled.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        }
        fs.fail_syncs(usize::MAX);
        for _ in 0..3 {
            assert!(!writer.flush().await);
            let failure = writer.failure().expect("it failed");
            let expected = match durability {
                Durability::Process => (3, 0),
                Durability::Durable => (0, 3),
            };
            assert_eq!((failure.unsynced, failure.unsettled), expected);
        }
        fs.fail_syncs(0);
        assert!(writer.flush().await);
        assert_eq!(writer.failure(), None);
        assert_eq!(settled.load(Ordering::SeqCst), 1);
        work.abort();
        let _ = work.await;
        fs.lose_power();
        let (log, _) = Log::open(Arc::new(fs), settings()).expect("a log");
        assert_eq!(super::bodies(&log, "a", 0).len(), 1);
    }
}
