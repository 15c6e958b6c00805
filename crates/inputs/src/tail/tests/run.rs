//! The input as the engine runs it.

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
