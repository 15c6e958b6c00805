//! Memory limits and refusals.

use super::bench::Bench;
use std::time::Duration;

fn numbered(from: usize, to: usize) -> String {
    (from..to).map(|n| format!("line {n:06}\n")).collect()
}

fn expected(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("line {n:06}")).collect()
}

#[test]
fn reading_waits_for_room_and_nothing_else_does() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/*.log").with_budget(200_000);
    bench.append("a.log", &numbered(0, 50_000)).start();
    assert!(bench.road.held() > 0);
    assert!(bench.budget.used() < 450_000, "{}", bench.budget.used());
    // Rotation goes on meanwhile.
    bench.rename("a.log", "a.log.1").append("a.log", "new\n");
    bench.run();
    assert_eq!(bench.count("files_rotated_total"), 1);
    assert_eq!(bench.count("files_opened_total"), 2);
    let mut lines = bench.lines();
    assert!(lines.len() < 50_000);
    while bench.road.held() > 0 {
        bench.road.settle();
        bench.run();
        lines.extend(bench.lines());
    }
    lines.retain(|line| line != "new");
    assert_eq!(lines, expected(0, 50_000));
}

#[test]
fn a_limit_below_one_line_slows_down_but_does_not_stop() {
    let mut bench = Bench::new("Read_from_Head on").with_budget(10_000);
    let long = "x".repeat(300_000) + "\n";
    bench
        .append("a.log", "short\n")
        .append("a.log", &long)
        .append("a.log", "end\n");
    bench.start();
    let mut lines = bench.lines();
    for _ in 0..10 {
        bench.road.settle();
        bench.run();
        lines.extend(bench.lines());
    }
    let lengths: Vec<usize> = lines.iter().map(String::len).collect();
    assert_eq!(lengths, [5, 300_000, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_handed_over_again() {
    let mut bench = Bench::new("Read_from_Head on\nParser pairs");
    bench.append("a.log", "a=1\nb=2\nc=3\nd=4\n").start();
    bench.append("a.log", "e=5\n").run();
    assert_eq!(bench.lines(), ["1", "2", "3", "4", "5"]);
    bench.road.settle_record(0, 1);
    bench.road.refuse_batch(0);
    bench.run();
    assert_eq!(
        bench.lines(),
        ["1", "3", "4"],
        "at once, and without what was settled"
    );
    bench.road.settle();
    assert!(
        bench
            .run()
            .follower
            .as_ref()
            .is_some_and(|f| f.is_settled())
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_again_and_again_waits_longer_each_time() {
    let mut bench = Bench::new("Read_from_Head on");
    bench.append("a.log", "poison\n").start();
    let mut attempts = 0;
    for _ in 0..600 {
        attempts += bench.lines().len();
        while bench.road.held() > 0 {
            bench.road.refuse_batch(0);
        }
        bench.pass(Duration::from_millis(100)).await;
    }
    assert!(
        (6..20).contains(&attempts),
        "{attempts} attempts in a minute"
    );
    bench.pass(Duration::from_secs(60)).await;
    bench.road.settle();
    assert!(
        bench
            .run()
            .follower
            .as_ref()
            .is_some_and(|f| f.is_settled())
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_much_is_read_again_in_pieces() {
    let mut bench = Bench::new("Read_from_Head on");
    bench.append("a.log", &numbered(0, 60_000)).start();
    let mut lines = bench.lines();
    assert_eq!(lines.len(), 60_000);
    while bench.road.held() > 0 {
        bench.road.refuse_batch(0);
    }
    bench.run();
    lines = bench.lines();
    assert_eq!(lines, expected(0, 60_000));
    bench.road.settle();
    assert!(
        bench
            .run()
            .follower
            .as_ref()
            .is_some_and(|f| f.is_settled())
    );
}
