//! Lines that are joined: groups over reads, stops, crashes, rotations.

use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use config::{Diagnostics, Document, LogLevel, MemoryHost};
use parsers::Definitions;
use proptest::prelude::*;

use super::bench::Bench;

const PARSERS: &str = r#"
[PARSER]
    Name   first
    Format regex
    Regex  ^(?<level>[A-Z]+) (?<text>.*)$

[MULTILINE_PARSER]
    name          indented
    type          regex
    flush_timeout 1000
    rule          "start_state" "/^\S/"  "cont"
    rule          "cont"        "/^\s+/" "cont"
"#;

/// What the parsers file of these tests defines.
pub static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file("p.conf", PARSERS);
    let mut diagnostics = Diagnostics::new();
    let main = Some(Path::new("m.conf"));
    let document = Document::load(&host, main, Vec::new(), &mut diagnostics);
    Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics).with_multiline(
        &document.multiline_parsers,
        1000,
        &mut diagnostics,
    )
});

const INDENTED: &str = "Read_from_Head on\nDB {dir}/flb.db\nMultiline.Parser indented";
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_group_is_complete_with_the_next_one_or_after_a_while() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "one\n two\nthree\n").start();
    assert_eq!(bench.lines(), ["one\n two\n"]);
    bench.append("a.log", " four\n").pass(SECOND / 2).await;
    assert_eq!(bench.lines(), [""; 0]);
    bench.append("a.log", " five\n").pass(SECOND / 2).await;
    bench.pass(SECOND * 9 / 10).await;
    assert_eq!(bench.lines(), [""; 0], "each line lets it wait anew");
    bench.pass(SECOND / 10).await;
    assert_eq!(bench.lines(), ["three\n four\n five\n"]);
    bench.road.settle();
    bench.stop().await;
    assert_eq!(bench.rows(), [("a.log".to_owned(), 27, false)]);
}

#[tokio::test(start_paused = true)]
async fn an_open_group_holds_the_position_over_a_stop() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "one\n two\nthree\n four\n").start();
    bench.road.settle();
    bench.stop().await;
    assert_eq!(bench.lines(), ["one\n two\n"]);
    assert_eq!(
        bench.rows(),
        [("a.log".to_owned(), 9, false)],
        "where `three` begins"
    );
    bench.append("a.log", " five\nsix\n").start();
    assert_eq!(bench.lines(), ["three\n four\n five\n"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_group_comes_once_and_whole_after_a_crash() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "one\n two\nthree\n four\n").start();
    bench.road.settle();
    bench.save().await.crash();
    assert_eq!(bench.lines(), ["one\n two\n"]);
    bench.append("a.log", " five\n").start();
    bench.pass(SECOND).await;
    assert_eq!(bench.lines(), ["three\n four\n five\n"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_not_delivered_comes_again_as_a_whole() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "one\n two\n").start();
    bench.append("a.log", " three\nfour\n five\nsix\n").run();
    assert_eq!(bench.lines(), ["one\n two\n three\n", "four\n five\n"]);
    bench.road.settle_record(0, 1);
    bench.road.refuse_batch(0);
    bench.run();
    assert_eq!(bench.lines(), ["one\n two\n three\n"], "and not `four`");
    bench.road.settle();
    bench.pass(SECOND).await;
    assert_eq!(bench.lines(), ["six\n"]);
    bench.road.settle();
    bench.stop().await;
    assert_eq!(bench.rows(), [("a.log".to_owned(), 31, false)]);
}

#[tokio::test(start_paused = true)]
async fn without_positions_a_stop_hands_over_what_there_is() {
    let mut bench = Bench::new("Read_from_Head on\nMultiline.Parser indented");
    bench.append("a.log", "one\n two\n").start();
    bench.stop().await;
    assert_eq!(bench.lines(), ["one\n two\n"]);
}

#[tokio::test(start_paused = true)]
async fn groups_of_several_files_and_streams_are_kept_apart() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nMultiline.Parser docker, cri");
    let line = |stream: &str, mark: &str, text: &str| {
        format!("2026-11-28T00:00:00.1Z {stream} {mark} {text}\n")
    };
    bench
        .append("a.log", &line("stdout", "P", "a1"))
        .append("b.log", &line("stdout", "P", "b1"))
        .start();
    bench.append("a.log", &line("stderr", "P", "e1")).run();
    bench.append("a.log", &line("stdout", "F", "a2")).run();
    assert_eq!(bench.lines(), ["a1a2"]);
    bench.road.settle();
    bench.save().await.crash();
    let start = line("stdout", "P", "a1").len() as i64;
    assert_eq!(
        bench.rows(),
        [
            ("a.log".to_owned(), start, false),
            ("b.log".to_owned(), 0, false)
        ]
    );
    bench
        .append("a.log", &line("stderr", "F", "e2"))
        .append("b.log", &line("stdout", "F", "b2"));
    bench.start();
    let mut lines = bench.lines();
    lines.sort();
    assert_eq!(
        lines,
        ["b1b2", "e1e2"],
        "what was delivered beyond does not come again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rotated_file_is_closed_when_its_last_group_is_delivered() {
    let mut bench = Bench::new("Read_from_Head on\nMultiline.Parser java\nPath {dir}/a.log");
    bench.append("a.log", "a.MyError: x\n\tat a.b\n").start();
    bench.rename("a.log", "a.log.1").append("a.log", "new\n");
    bench.run();
    bench.pass(SECOND).await;
    assert_eq!(bench.lines(), ["new\n"]);
    bench.pass_rotation().await;
    assert_eq!(bench.lines(), ["a.MyError: x\n\tat a.b\n"]);
    assert_eq!(bench.count("files_closed_total"), 0, "it is owed");
    bench.road.settle();
    bench.pass_rotation().await;
    assert_eq!(bench.count("files_closed_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_content_that_is_gone_is_handed_over() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "one\n two\n").start();
    bench.truncate("a.log").run();
    bench.append("a.log", " new\nnewer\n").pass(SECOND).await;
    let lines = bench.lines();
    assert_eq!(lines[0], "one\n two\n", "{lines:?}");
    assert_eq!(lines[1], " new\n", "it does not belong to the old content");
    bench.road.settle();
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_without_end_takes_no_more_than_the_limit() {
    let mut bench = Bench::new(INDENTED);
    bench.append("a.log", "begin\n").start();
    for _ in 0..100 {
        bench
            .append("a.log", &" 12345678".repeat(10))
            .append("a.log", "\n")
            .run();
    }
    let lines = bench.lines();
    assert!(lines.iter().all(|line| line.len() <= 1001), "{lines:?}");
    assert!(bench.count("multiline_truncated_total") > 0);
    bench.pass(SECOND).await;
    let rest: usize = bench.lines().iter().map(String::len).sum();
    let whole: usize = lines.iter().map(String::len).sum();
    assert!(whole + rest >= 100 * 91, "nothing is lost");
    bench.road.settle();
    bench.stop().await;
    assert_eq!(bench.rows()[0].1, 6 + 100 * 91);
}

#[tokio::test(start_paused = true)]
async fn memory_of_what_waits_is_accounted_for() {
    let mut bench = Bench::new(INDENTED).with_budget(0);
    bench
        .append("a.log", &format!("one\n {}\n", "x".repeat(900)))
        .start();
    assert!(bench.budget.used() >= 900, "{}", bench.budget.used());
    bench.pass(SECOND).await;
    bench.road.settle();
    bench.run();
    assert_eq!(bench.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn path_and_offset_follow_the_fields() {
    let mut bench = Bench::new(&format!("{INDENTED}\nPath_Key path\nOffset_Key offset"));
    bench.append("a.log", "one\n two\nthree\n").start();
    let seen = bench.road.take();
    let keys: Vec<_> = seen[0].fields.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["log", "path", "offset"]);
    assert_eq!(
        seen[0].fields[2].1, "9",
        "the line with which it was complete"
    );
    assert_eq!(seen[0].offset, 0, "its position is where it begins");
}

#[tokio::test(start_paused = true)]
async fn messages_begin_with_a_line_of_a_parser() {
    let mut bench = Bench::new(
        "Read_from_Head on\nDB {dir}/flb.db\nMultiline on\nParser_Firstline first\nParser_1 pairs\nMultiline_Flush 2\nPath_Key path",
    );
    bench
        .append("a.log", "raw\nINFO one\n more\na=1 b=2\nand more\n")
        .start();
    assert_eq!(bench.lines(), ["raw"]);
    bench.road.settle();
    bench.save().await.crash();
    assert_eq!(bench.rows(), [("a.log".to_owned(), 4, false)]);
    bench.start();
    bench.pass(SECOND * 2).await;
    let seen = bench.road.take();
    let fields: Vec<_> = seen[0]
        .fields
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let path = bench.path("a.log").display().to_string();
    assert_eq!(
        fields,
        [
            ("path", path.as_str()),
            ("level", "INFO"),
            ("text", "one\n more"),
            ("a", "1"),
            ("b", "2\nand more")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn cut_lines_of_docker_are_joined_as_text() {
    let mut bench =
        Bench::new("Read_from_Head on\nDB {dir}/flb.db\nDocker_Mode on\nDocker_Mode_Flush 2");
    bench
        .append(
            "a.log",
            "{\"log\":\"a\\\\n\",\"x\":1}\n{\"y\":[{}],\"log\":\"b\\n\"}\n{\"log\":\"c\"}\n",
        )
        .start();
    assert_eq!(bench.lines(), ["{\"y\":[{}],\"log\":\"a\\\\nb\\n\"}"]);
    bench.road.settle();
    bench.save().await.crash();
    bench.start();
    bench.pass(SECOND * 2).await;
    assert_eq!(bench.lines(), ["{\"log\":\"c\"}"]);
}

#[tokio::test(start_paused = true)]
async fn a_parser_that_panics_loses_nothing() {
    let mut bench = Bench::new("Read_from_Head on\nDocker_Mode on\nParser pairs");
    bench
        .append("a.log", "{\"log\":\"wai")
        .append("a.log", "ts\"}\n")
        .start();
    bench.append("a.log", "panic\n").run();
    bench.pass(SECOND * 5).await;
    let mut lines = bench.lines();
    lines.sort();
    assert_eq!(lines, ["panic", "{\"log\":\"waits\"}"]);
    bench.road.settle();
    bench.stop().await;
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A line that begins a group.
    Begin,
    /// A line that belongs to the last one.
    Continue,
    Read,
    SettleAll,
    SettleFirst,
    Refuse,
    Stop,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    prop::sample::select(vec![
        Begin,
        Begin,
        Continue,
        Continue,
        Continue,
        Read,
        Read,
        SettleAll,
        SettleFirst,
        Refuse,
        Stop,
        Crash,
    ])
}

/// An orderly end, with as many answers as it takes.
async fn stop(bench: &mut Bench) -> &mut Bench {
    let (road, mut follower) = (
        Rc::clone(&bench.road),
        bench.follower.take().expect("it runs"),
    );
    follower.stop_reading();
    let is_done = (0..10).any(|_| {
        road.settle();
        follower.drain()
    });
    assert!(is_done, "something is still owed");
    follower.finish().await;
    bench
}

/// Does the steps, and gives what was written and what arrived, in groups.
async fn played(steps: &[Step]) -> (Vec<String>, Vec<String>) {
    let mut bench = Bench::new(INDENTED);
    let (mut written, mut arrived) = (Vec::<String>::new(), Vec::new());
    bench.append("a.log", "").start();
    for (number, step) in steps.iter().chain(&[Step::Begin, Step::Read]).enumerate() {
        let held = bench.road.held();
        match step {
            Step::Begin => {
                bench.append("a.log", &format!("{number}\n"));
                written.push(format!("{number}\n"));
            }
            Step::Continue => {
                bench.append("a.log", &format!(" {number}\n"));
                match written.last_mut() {
                    Some(last) => last.push_str(&format!(" {number}\n")),
                    // It belongs to nothing.
                    None => written.push(format!(" {number}\n")),
                }
            }
            Step::Read => drop(bench.run()),
            Step::SettleAll => bench.road.settle(),
            Step::SettleFirst if held > 0 => bench.road.settle_record(0, 0),
            Step::Refuse if held > 0 => bench.road.refuse_batch(0),
            Step::SettleFirst | Step::Refuse => {}
            Step::Stop => drop(stop(bench.run()).await.start()),
            Step::Crash => {
                bench.save().await.crash();
                bench.start();
            }
        }
        arrived.extend(bench.lines());
    }
    // What was refused comes again, what waits is let go, and nothing is left.
    for _ in 0..8 {
        bench.road.settle();
        bench.pass(SECOND).await;
        arrived.extend(bench.lines());
    }
    let length: usize = written.iter().map(String::len).sum();
    stop(&mut bench).await;
    assert_eq!(bench.rows()[0].1, length as i64, "everything is delivered");
    bench.start();
    assert_eq!(bench.lines(), [""; 0], "nothing comes twice");
    (written, arrived)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, every group arrives as a whole: once, or as often as it was refused or a crash came before its answer.
    #[test]
    fn groups_stay_whole(steps in prop::collection::vec(step(), 1..40)) {
        // A first line that belongs to nothing stands alone, and so would the next.
        let steps: Vec<Step> = std::iter::once(Step::Begin).chain(steps).collect();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (written, arrived) = runtime.block_on(played(&steps));
        for group in &written {
            prop_assert!(arrived.contains(group), "{:?} is not among {:?}", group, arrived);
        }
        for group in &arrived {
            prop_assert!(written.contains(group), "{:?} is none of {:?}", group, written);
        }
        let troubles = steps.iter().filter(|step| matches!(step, Step::Refuse | Step::Crash | Step::Stop)).count();
        if troubles == 0 {
            prop_assert_eq!(written, arrived);
        }
    }
}
