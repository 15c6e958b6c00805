//! A destination that is not there, or is not what it should be: the input goes on as far as memory allows, the rest stays
//! in its file, and everything arrives once the destination is well.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::{Firehose, Manner, Router, folder, free_port, numbered, text};

/// More than the router may hold: some 24 MB.
const LINES: usize = 3_000;
const LINE: usize = 8_000;

fn configuration(port: u16) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name tail\n    Path app.log\n    Read_from_Head on\n    DB tail.db\n\
         [OUTPUT]\n    Name firehose\n    Match *\n    Region us-west-2\n    Delivery_Stream s\n    \
         Endpoint http://127.0.0.1:{port}\n    net.io_timeout 20s\n"
    )
}

fn everything_arrives_once(manner: Option<Manner>) {
    let (folder, port) = (folder(), free_port());
    let padding = "x".repeat(LINE);
    let lines = numbered(&padding, LINES);
    fs::write(folder.path().join("app.log"), text(&lines)).expect("a file");
    let dead = manner.map(|manner| Firehose::start(port, manner));
    let mut router = Router::start(folder.path(), &configuration(port));
    router.until_logged("[output:firehose:firehose.0]");
    if let Some(firehose) = &dead {
        // Time enough to fill memory, if that were possible.
        router.until("some attempts", |_| firehose.met() >= 4);
    }
    let alive = match dead {
        Some(firehose) => {
            firehose.behave(Manner::Well);
            firehose
        }
        None => {
            router.until("some attempts", |router| {
                router.log().matches("Connection refused").count() >= 3
            });
            Firehose::start(port, Manner::Well)
        }
    };
    router.until("all records", |_| alive.count() >= LINES);
    router.terminate();
    let expected: BTreeMap<String, usize> = lines.into_iter().map(|line| (line, 1)).collect();
    let taken = alive.taken();
    assert!(taken == expected, "{} records", taken.values().sum::<usize>());
}

#[test]
fn a_destination_that_refuses_connections() {
    everything_arrives_once(None);
}

#[test]
fn a_destination_that_never_answers() {
    everything_arrives_once(Some(Manner::Silent));
}

#[test]
fn a_destination_that_answers_garbage() {
    everything_arrives_once(Some(Manner::Garbage));
}

#[test]
fn a_destination_that_fails_with_500() {
    everything_arrives_once(Some(Manner::Failing));
}
