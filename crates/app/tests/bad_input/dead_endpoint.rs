//! A destination that is not there, or is not what it should be: the input goes on as far as memory allows, the rest stays
//! in its file, and everything arrives once the destination is well.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::{Firehose, Manner, Router, folder, free_port, numbered, text};

/// More than the router may hold: some 24 MB.
const LINES: usize = 3_000;
const LINE: usize = 8_000;

fn configuration(port: u16, timeout: u32) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name tail\n    Path app.log\n    Read_from_Head on\n    DB tail.db\n\
         [OUTPUT]\n    Name firehose\n    Match *\n    Region us-west-2\n    Delivery_Stream s\n    \
         Endpoint http://127.0.0.1:{port}\n    net.io_timeout {timeout}s\n"
    )
}

/// Plays dead like this (not there at all: none), is said to, and comes alive.
fn everything_arrives_once(manner: Option<Manner>, says: &str) {
    let (folder, port) = (folder(), free_port());
    let padding = "x".repeat(LINE);
    let lines = numbered(&padding, LINES);
    fs::write(folder.path().join("app.log"), text(&lines)).expect("a file");
    // Long enough for a destination that is well, however slow the machine.
    let timeout = if manner == Some(Manner::Silent) {
        5
    } else {
        20
    };
    let dead = manner.map(|manner| Firehose::start(port, manner));
    let mut router = Router::start(folder.path(), &configuration(port, timeout));
    router.until(&format!("{says:?} in some attempts"), |router| {
        router.log().matches(says).count() >= 3
    });
    let alive = match dead {
        Some(firehose) => {
            assert!(firehose.met() >= 3);
            firehose.behave(Manner::Well);
            firehose
        }
        None => Firehose::start(port, Manner::Well),
    };
    router.until("all records", |_| alive.count() >= LINES);
    router.terminate();
    let expected: BTreeMap<String, usize> = lines.into_iter().map(|line| (line, 1)).collect();
    let taken = alive.taken();
    assert!(
        taken == expected,
        "{} records",
        taken.values().sum::<usize>()
    );
}

#[test]
fn a_destination_that_refuses_connections() {
    everything_arrives_once(None, "Connection refused (os error 111)");
}

#[test]
fn a_destination_that_never_answers() {
    everything_arrives_once(
        Some(Manner::Silent),
        "silence for 5s while an answer was awaited (net.io_timeout)",
    );
}

#[test]
fn a_destination_that_answers_garbage() {
    everything_arrives_once(Some(Manner::Garbage), "the answer is no HTTP/1.1: ");
}

#[test]
fn a_destination_that_fails_with_500() {
    // Not `500` alone, which a time of day may hold.
    everything_arrives_once(Some(Manner::Failing), "(HTTP status 500)");
}
