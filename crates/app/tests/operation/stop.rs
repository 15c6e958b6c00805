//! The end: sources are read on for their last writers, a dead destination holds nobody up for longer than the grace, and
//! the next start goes on where this one stopped.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::router::{Router, assert_all, delivered, until};

const TAIL: &str = "[INPUT]\n    Name tail\n    Path in.log\n    DB in.db\n    Read_from_Head on\n    Refresh_Interval 1\n";

#[test]
fn writers_that_are_not_done_are_read_to_their_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = "[OUTPUT]\n    Name file\n    Path .\n    File out\n    Match *\n    Format template\n    Template {log}\n";
    let mut log = File::create(folder.path().join("in.log")).expect("a file");
    writeln!(log, "tail 0").expect("written");
    let mut router = Router::start(folder.path(), &format!("{TAIL}{output}"), &[]);
    until("the first line", || {
        (delivered(folder.path(), "out").len() == 1).then_some(())
    });
    router.signal("TERM");
    // For a second, a line every fifth of a second: less than what counts as silence.
    for number in 1..6 {
        std::thread::sleep(Duration::from_millis(200));
        writeln!(log, "tail {number}").expect("written");
    }
    assert!(router.wait().success());
    assert_all(&delivered(folder.path(), "out"), "tail", 6);
    assert!(
        router.log().contains("0 records without an answer"),
        "{}",
        router.log()
    );
}

#[test]
fn a_dead_destination_ends_with_the_grace_and_the_next_start_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let text: String = (0..500).map(|number| format!("tail {number}\n")).collect();
    std::fs::write(folder.path().join("in.log"), text).expect("written");
    // A folder that is a file: every write fails.
    std::fs::write(folder.path().join("dead"), "").expect("written");
    let to = |path: &str| {
        format!(
            "{TAIL}[OUTPUT]\n    Name file\n    Path {path}\n    File out\n    Match *\n    Mkdir off\n    Format template\n    \
             Template {{log}}\n"
        )
    };
    let mut router = Router::start(folder.path(), &to("dead"), &[]);
    until("records to wait", || {
        (router.metric("fluentbit_output_held_records{name=\"file.0\"} ") == 500).then_some(())
    });
    let begin = Instant::now();
    router.signal("TERM");
    assert!(router.wait().success());
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    let log = router.log();
    assert!(log.contains("500 records without an answer"), "{log}");
    assert!(log.contains("in.db"), "it says where positions are: {log}");
    drop(router);
    let mut router = Router::start(folder.path(), &to("."), &[]);
    until("all lines", || {
        (delivered(folder.path(), "out").len() >= 500).then_some(())
    });
    router.signal("TERM");
    assert!(router.wait().success());
    assert_all(&delivered(folder.path(), "out"), "tail", 500);
}

#[test]
fn who_asks_twice_does_not_wait_for_writers() {
    let folder = tempfile::tempdir().expect("a folder");
    // Without the second signal, writers would be waited for half a minute.
    let sections = "    Grace 60\n[INPUT]\n    Name dummy\n    Rate 20\n[OUTPUT]\n    Name null\n    Match *\n";
    let mut router = Router::start(folder.path(), sections, &[]);
    let begin = Instant::now();
    router.signal("TERM");
    router.until_logged("caught signal (SIGTERM)", 1);
    router.signal("TERM");
    assert!(router.wait().success());
    assert!(
        begin.elapsed() < Duration::from_secs(25),
        "{:?}",
        begin.elapsed()
    );
}
