//! The rows of the table.

use super::acts::{answers, disk, identity, kill, lake, lines, network, process, rotation, routes};
use super::stage::{Outcome, Stage};

/// A row.
pub struct Scenario {
    /// By which it is chosen.
    pub name: &'static str,
    /// Its number in the fault table of the design.
    pub id: &'static str,
    /// What goes wrong.
    pub fault: &'static str,
    /// Whether others would disturb it, or it them.
    pub is_alone: bool,
    /// Plays it.
    pub play: fn(&Stage<'_>) -> Outcome,
}

impl Scenario {
    /// Whether it is chosen by one of these: a number of the fault table, a name, or else a part of one.
    pub fn is_among(&self, chosen: &[String]) -> bool {
        let fits = |word: &String| match ALL.iter().any(|row| row.name == word) {
            true => self.name == word,
            false => self.name.contains(word.as_str()) || self.id == word,
        };
        chosen.is_empty() || chosen.iter().any(fits)
    }
}

/// A row that plays beside others.
const fn row(
    id: &'static str,
    name: &'static str,
    play: fn(&Stage<'_>) -> Outcome,
    fault: &'static str,
) -> Scenario {
    Scenario {
        name,
        id,
        fault,
        is_alone: false,
        play,
    }
}

const fn alone(scenario: Scenario) -> Scenario {
    Scenario {
        is_alone: true,
        ..scenario
    }
}

/// Every row, in the order in which they are printed.
pub const ALL: &[Scenario] = &[
    row(
        "–",
        "partial-failures",
        answers::partial_failures,
        "30 % of the records of each request are refused (N7)",
    ),
    row(
        "–",
        "throttled",
        answers::half_throttled,
        "50 % of the requests are too many",
    ),
    row(
        "–",
        "outage",
        answers::outage,
        "the service is away for 15 s, or as long as lines are written",
    ),
    row("–", "kill-5", kill::five_times, "kill -9, five times"),
    row(
        "–",
        "rotation-4",
        rotation::four_a_second,
        "four rotations a second",
    ),
    row(
        "T3",
        "rotation-outage",
        rotation::during_an_outage,
        "rotations while the output is away for longer than rotate_wait",
    ),
    row(
        "–",
        "cut",
        answers::cut_connections,
        "10 % of the connections are cut: before, after, in the answer",
    ),
    row(
        "P1",
        "kill-firehose",
        kill::tail_to_firehose,
        "kill -9 at random, tail to Firehose",
    ),
    row(
        "P1",
        "kill-s3",
        kill::tail_to_s3,
        "kill -9 at random, tail to S3",
    ),
    row(
        "P1",
        "kill-lake",
        lake::kills_to_lake,
        "kill -9 at random, tail and forward to the lake",
    ),
    row(
        "P2",
        "kill-forward",
        kill::forward,
        "kill -9 while a sender waits for acknowledgements",
    ),
    row(
        "P5",
        "kill-starting",
        kill::while_starting,
        "kill -9 within 60 ms of each start",
    ),
    row(
        "P6",
        "term-dead-output",
        kill::term_with_dead_output,
        "SIGTERM while the output is away",
    ),
    row(
        "P9",
        "second-instance",
        process::second_instance,
        "a second router on the same state",
    ),
    row(
        "P10",
        "reload",
        process::reloads,
        "100 reloads under load, each tenth of an invalid configuration",
    ),
    alone(row(
        "P12",
        "memory-limit",
        process::memory_limit,
        "a flood and a dead output in a memory group of 96 MiB",
    )),
    row(
        "D1",
        "disk-full",
        disk::full,
        "the disk of all state is full for a while",
    ),
    row(
        "D1",
        "disk-full-outage",
        disk::filled_by_log,
        "the log fills its disk while the destination is away",
    ),
    row(
        "D4",
        "sync-fails",
        disk::sync_fails,
        "fsync and fdatasync fail now and then",
    ),
    row(
        "D7",
        "torn-log",
        disk::torn_log,
        "the end of the log of acknowledged chunks is torn off",
    ),
    row(
        "D19",
        "dead-route",
        routes::one_of_two,
        "one of two outputs is dead",
    ),
    row(
        "T2",
        "rotation-10",
        rotation::ten_a_second,
        "ten rotations a second, the older ones packed",
    ),
    row(
        "T4",
        "unlinked",
        rotation::unlinked_unread,
        "a file is removed with unread bytes",
    ),
    row(
        "T5",
        "copytruncate",
        rotation::copied_and_truncated,
        "a file is copied and emptied while the router is behind",
    ),
    row(
        "T6",
        "truncated",
        identity::truncated_between_looks,
        "a file is emptied and filled again between two looks",
    ),
    row(
        "T7",
        "truncated-stopped",
        identity::truncated_while_stopped,
        "the same while the router is stopped",
    ),
    row(
        "T8",
        "inode-running",
        identity::inode_reused_while_running,
        "another file gets the inode",
    ),
    row(
        "T8",
        "inode-stopped",
        identity::inode_reused_while_stopped,
        "the same while the router is stopped",
    ),
    row(
        "T11",
        "unfinished-line",
        lines::unfinished,
        "a line is begun before a restart and ended after it",
    ),
    row(
        "T12",
        "open-group",
        lines::open_group,
        "kill -9 while a stack trace is not complete",
    ),
    row(
        "T13",
        "long-lines",
        lines::long,
        "lines of 1 MiB and of 100 MiB",
    ),
    row(
        "T14",
        "notices",
        lines::too_many_notices,
        "more changes than the kernel gives notice of",
    ),
    row(
        "T20",
        "packed",
        rotation::packed_while_read,
        "a file is packed while it is read",
    ),
    row(
        "N1",
        "partition",
        network::partition,
        "the network is gone, and nothing says so",
    ),
    row(
        "N2",
        "half-open",
        network::half_open,
        "connections stay open and nothing passes",
    ),
    row(
        "N3",
        "answers-lost",
        answers::answers_lost,
        "20 % of the answers get lost, Firehose",
    ),
    row(
        "N3",
        "answers-lost-s3",
        answers::answers_lost_s3,
        "20 % of the answers get lost, S3",
    ),
    row(
        "N4",
        "cut-bytes",
        network::cut_at_bytes,
        "connections are reset after 1, 2, 4 … bytes",
    ),
    row(
        "N5",
        "slow-answers",
        network::slow_answers,
        "answers come at a byte a second",
    ),
    row(
        "N6",
        "throttled-hard",
        answers::throttled_hard,
        "95 % of the requests are too many for a while",
    ),
    row(
        "N8",
        "rejected-events",
        answers::rejected_events,
        "CloudWatch rejects old events in a request that it takes",
    ),
    row(
        "N9",
        "multipart",
        answers::multipart,
        "kill -9 before and after each step of a multipart upload",
    ),
    row(
        "N12",
        "poison",
        answers::poison,
        "one record is refused for its content",
    ),
    row(
        "N17",
        "out-of-order",
        kill::answers_out_of_order,
        "answers come out of order, then kill -9",
    ),
    row(
        "N18",
        "acks-lost",
        network::acknowledgements_lost,
        "acknowledgements of forward chunks get lost",
    ),
    row(
        "N19",
        "lake-killed",
        lake::killed,
        "kill -9 of the lake in the middle of requests",
    ),
    row(
        "C1",
        "clock",
        process::clock_jumps,
        "the wall clock jumps by an hour, ten years, to 1970",
    ),
    row(
        "E1",
        "lake-steps",
        lake::killed_at_steps,
        "kill -9 of the lake at each of its renames and syncs",
    ),
    row(
        "E2",
        "split-brain",
        lake::split_brain,
        "a router and its clone deliver the same lines",
    ),
    row(
        "E6",
        "lake-synced",
        lake::synced,
        "what the lake has named is synced, with its folder",
    ),
    alone(row(
        "–",
        "dead-destination",
        routes::dead_destination,
        "no destination at 10,000 lines a second, for as long as lines are written",
    )),
];

/// Rows of the fault table that are not played, and why.
pub const NOT_PLAYED: &[(&str, &str)] = &[
    (
        "P3",
        "the router has no failpoints to crash at; kill -9 at random and at steps of uploads stands in",
    ),
    (
        "P8",
        "there is no way to make a task panic from outside; unit tests of the engine drop obligations",
    ),
    (
        "D9, D10",
        "power loss cannot be had from outside a process; it belongs to the simulation",
    ),
    ("E3", "the lake compacts nothing"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rows_are_chosen_by_name_and_number() {
        let chosen = |words: &[&str]| -> Vec<&str> {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let rows = ALL.iter().filter(|row| row.is_among(&words));
            rows.map(|row| row.name).collect()
        };
        assert_eq!(chosen(&["T8"]), ["inode-running", "inode-stopped"]);
        assert_eq!(chosen(&["kill-5", "N12"]), ["kill-5", "poison"]);
        assert_eq!(chosen(&[]).len(), ALL.len());
        let names: HashSet<&str> = ALL.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ALL.len(), "every name is one row's");
    }
}
