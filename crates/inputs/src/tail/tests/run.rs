//! The input as the engine runs it.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin::{Emit, Emitter, Ended, Handover, Input, StopHandle};
use tokio::task::{JoinHandle, LocalSet};

use super::super::Tail;
use super::bench::{Bench, Road, append};

fn spawn(bench: &Bench) -> (StopHandle, JoinHandle<Ended>) {
    let tail = Tail::build(bench.options(), bench.context(), Handover::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let emitter = Emitter::new(Rc::clone(&bench.road) as Rc<dyn Emit>);
    let (handle, stop) = StopHandle::new();
    (handle, tokio::task::spawn_local(tail.run(emitter, stop)))
}

/// Waits until `road` holds something.
async fn arrival(road: &Road) {
    let begin = Instant::now();
    while road.held() == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing arrives");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn it_reads_until_it_is_stopped_and_waits_for_answers() {
    for inotify in ["on", "off"] {
        let mut bench = Bench::new(&format!(
            "Read_from_Head on\nDB {{dir}}/flb.db\nInotify_Watcher {inotify}"
        ));
        bench.append("a.log", "one\n");
        let bench = &bench;
        LocalSet::new()
            .run_until(async move {
                let (handle, run) = spawn(bench);
                arrival(&bench.road).await;
                assert_eq!(bench.lines(), ["one"]);
                bench.road.settle();
                append(&bench.path("a.log"), b"two\n");
                arrival(&bench.road).await;
                handle.request();
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                assert!(!run.is_finished(), "`two` is not answered for");
                bench.road.refuse_batch(0);
                arrival(&bench.road).await;
                assert_eq!(bench.lines(), ["two", "two"]);
                append(&bench.path("a.log"), b"three\n");
                bench.road.settle();
                let ended = run.await.expect("no panic");
                assert!(!ended.ends_process);
                assert_eq!(bench.rows(), [("a.log".to_owned(), 8, false)]);
                assert_eq!(bench.road.held(), 0);
            })
            .await;
    }
}

#[tokio::test]
async fn positions_are_written_when_answers_come_although_nothing_else_happens() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nRefresh_Interval 3600");
    bench.append("a.log", "one\n");
    let bench = &bench;
    LocalSet::new()
        .run_until(async move {
            let (_handle, _run) = spawn(bench);
            for (text, len) in [("two\n", 4), ("three\n", 8)] {
                arrival(&bench.road).await;
                bench.lines();
                bench.road.settle();
                let begin = Instant::now();
                while bench.rows() != [("a.log".to_owned(), len, false)] {
                    assert!(
                        begin.elapsed() < Duration::from_secs(20),
                        "{:?}",
                        bench.rows()
                    );
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                append(&bench.path("a.log"), text.as_bytes());
            }
        })
        .await;
}

#[tokio::test]
async fn it_ends_the_process_at_the_end_of_the_files() {
    let mut bench = Bench::new("Read_from_Head on\nExit_on_EOF on");
    bench
        .append("a.log", "one\n")
        .append("b.log", "two\nunfinished");
    let bench = &bench;
    LocalSet::new()
        .run_until(async move {
            let (_handle, run) = spawn(bench);
            arrival(&bench.road).await;
            assert!(!run.is_finished());
            while !run.is_finished() {
                bench.road.settle();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(run.await.expect("no panic").ends_process);
            assert_eq!(bench.lines(), ["one", "two"]);
        })
        .await;
}

#[tokio::test]
async fn it_goes_on_when_there_is_room_again() {
    let mut bench = Bench::new("Read_from_Head on").with_budget(100_000);
    let lines: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
    bench.append("a.log", &lines);
    let bench = &bench;
    LocalSet::new()
        .run_until(async move {
            let (handle, run) = spawn(bench);
            let mut count = 0;
            while count < 50_000 {
                arrival(&bench.road).await;
                count += bench.lines().len();
                bench.road.settle();
            }
            handle.request();
            run.await.expect("no panic");
            assert_eq!(count, 50_000);
        })
        .await;
}

#[test]
fn a_bad_database_is_refused_at_the_start() {
    let bench = Bench::new("DB {dir}/no/such/directory/flb.db");
    let error = Tail::build(bench.options(), bench.context(), Handover::default())
        .err()
        .expect("no directory");
    assert!(
        error.to_string().contains("cannot open the database"),
        "{error}"
    );
}

/// Writes numbered lines, `per_second` of them, and rotates four times a second, until `time` is over; gives how many it wrote.
fn write_and_rotate(directory: &Path, per_second: usize, time: Duration) -> usize {
    let log = directory.join("a.log");
    let generation = |n: usize| directory.join(format!("a.log.{n}"));
    let open = || {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        file.expect("room")
    };
    let (begin, mut file, mut written, mut rotations) = (Instant::now(), open(), 0, 0);
    while begin.elapsed() < time {
        let due = begin.elapsed().as_millis() as usize * per_second / 1_000;
        let lines: String = (written..due)
            .map(|n| format!("line {n:09} {}\n", "x".repeat(80)))
            .collect();
        std::io::Write::write_all(&mut file, lines.as_bytes()).expect("room");
        written = due;
        if begin.elapsed().as_millis() as usize / 250 > rotations {
            rotations += 1;
            for n in (1..5).rev().filter(|n| generation(*n).exists()) {
                std::fs::rename(generation(n), generation(n + 1)).expect("the same directory");
            }
            std::fs::rename(&log, generation(1)).expect("the same directory");
            file = open();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    written
}

#[tokio::test]
async fn nothing_is_lost_at_four_rotations_a_second() {
    let given = std::env::var("FLUMEN_ROTATION_SECONDS").ok();
    let seconds = given.and_then(|text| text.parse().ok()).unwrap_or(2);
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/a.log\nDB {dir}/flb.db");
    bench.append("a.log", "");
    let bench = &bench;
    LocalSet::new()
        .run_until(async move {
            let (handle, run) = spawn(bench);
            let directory = bench.path("");
            let writer = std::thread::spawn(move || {
                write_and_rotate(&directory, 20_000, Duration::from_secs(seconds))
            });
            let (mut lines, mut writer) = (Vec::new(), Some(writer));
            let (mut written, mut last) = (usize::MAX, Instant::now());
            while lines.len() < written && last.elapsed() < Duration::from_secs(10) {
                let new = bench.lines();
                if !new.is_empty() {
                    last = Instant::now();
                }
                lines.extend(new);
                bench.road.settle();
                if let Some(done) = writer.take_if(|writer| writer.is_finished()) {
                    written = done.join().expect("no panic");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            handle.request();
            run.await.expect("no panic");
            let read = lines.len();
            lines.sort();
            lines.dedup();
            let (lost, twice) = (written - lines.len(), read - lines.len());
            println!("{written} lines written, {lost} lost, {twice} twice");
            assert_eq!((lost, twice), (0, 0));
        })
        .await;
}
