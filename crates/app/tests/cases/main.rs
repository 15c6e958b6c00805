//! The cases under `tests/cases`: a configuration, what its inputs read, and what must arrive where it sends to.
//!
//! A case is data that Fluent Bit can run, too: `expected.json` is what it was seen to deliver, never what Flumen does.
//! Where Flumen differs on purpose, `differences.md` says why and `expected.flumen.json` what arrives instead.
//! `cargo xtask cases --fluent-bit PATH` asks a Fluent Bit whether it agrees, and with `UPDATE=1` writes down what it does.

mod answer;
mod case;
mod identity;
mod outcome;
mod program;
mod request;
mod sink;
mod suite;

use std::path::{Path, PathBuf};

use case::Case;

/// Names the Fluent Bit that is asked whether it agrees.
const FLUENT_BIT: &str = "FLUMEN_PEER_FLUENT_BIT";

/// Cases that Flumen does not pass yet, each with what it lacks; a name that ends in `/` stands for a whole folder. One
/// that passes must not stand here.
const NOT_YET: &[(&str, &str)] = &[
    ("cloudwatch_logs/", "the output is not built yet"),
    (
        "kinesis_firehose/compression_and_log_key",
        "`compression` is not built yet",
    ),
    (
        "kinesis_firehose/compression_gzip",
        "`compression` is not built yet",
    ),
    (
        "kinesis_firehose/compression_unknown",
        "exit status 1 instead of 255",
    ),
    (
        "kinesis_firehose/simple_aggregation",
        "`simple_aggregation` is not built yet",
    ),
    (
        "kinesis_firehose/simple_aggregation_gzip",
        "`simple_aggregation` is not built yet",
    ),
    (
        "kinesis_firehose/simple_aggregation_log_key",
        "`simple_aggregation` is not built yet",
    ),
    (
        "kinesis_firehose/simple_aggregation_time_key",
        "`simple_aggregation` is not built yet",
    ),
    (
        "kinesis_firehose/time_key_of_empty",
        "an empty record with a `time_key` is sent",
    ),
    ("kinesis_streams/", "the output is not built yet"),
    ("s3/", "the output is not built yet"),
];

/// Why a case need not pass.
fn excuse(case: &str) -> Option<&'static str> {
    let stands_for = |name: &str| name == case || name.ends_with('/') && case.starts_with(name);
    NOT_YET
        .iter()
        .find(|(name, _)| stands_for(name))
        .map(|(_, reason)| *reason)
}

/// The folders under `tests/cases`, each with a test of its own below.
const PLUGINS: &[&str] = &[
    "cloudwatch_logs",
    "configuration",
    "file",
    "kinesis_firehose",
    "kinesis_streams",
    "s3",
    "stdout",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

fn flumen_delivers(plugin: &str) {
    let flumen = Path::new(env!("CARGO_BIN_EXE_flumen"));
    let cases = Case::all_in(&root().join(plugin));
    let wrong = suite::each(&cases, |case| {
        match (suite::flumen_agrees(flumen, case), excuse(&case.name)) {
            (Ok(()), None) => None,
            (Err(what), None) => Some(format!("── {} ──\n{what}", case.name)),
            (Ok(()), Some(reason)) => Some(format!(
                "{} passes: take it out of NOT_YET ({reason})",
                case.name
            )),
            (Err(_), Some(_)) => None,
        }
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cloudwatch_logs() {
    flumen_delivers("cloudwatch_logs");
}

/// What is refused, with which exit status, and what is not.
#[test]
fn configuration() {
    flumen_delivers("configuration");
}

#[test]
fn file() {
    flumen_delivers("file");
}

#[test]
fn kinesis_firehose() {
    flumen_delivers("kinesis_firehose");
}

#[test]
fn kinesis_streams() {
    flumen_delivers("kinesis_streams");
}

#[test]
fn s3() {
    flumen_delivers("s3");
}

#[test]
fn stdout() {
    flumen_delivers("stdout");
}

/// No folder is left out, and no name in the table of excuses is a wrong one.
#[test]
fn every_case_has_a_test() {
    assert_eq!(case::folders(&root()), PLUGINS);
    let names: Vec<String> = PLUGINS
        .iter()
        .flat_map(|plugin| Case::all_in(&root().join(plugin)))
        .map(|case| case.name)
        .collect();
    for (name, reason) in NOT_YET {
        let is_known = names.iter().any(|known| known.starts_with(name));
        assert!(is_known, "no case {name}");
        assert!(!reason.is_empty(), "{name}: why not?");
    }
}

/// Fluent Bit itself, where there is one: a table of which cases it agrees on, or with `UPDATE=1` of what has changed.
#[test]
fn fluent_bit() {
    let Some(program) = std::env::var_os(FLUENT_BIT).map(PathBuf::from) else {
        eprintln!("skipped: {FLUENT_BIT}: not set, as `cargo xtask cases` does (fluent_bit)");
        return;
    };
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let filter = std::env::var("CASE").unwrap_or_default();
    let mut cases: Vec<Case> = PLUGINS
        .iter()
        .flat_map(|plugin| Case::all_in(&root().join(plugin)))
        .collect();
    cases.retain(|case| case.name.contains(&filter));
    assert!(!cases.is_empty(), "no case's name contains '{filter}'");
    let verdicts = suite::each(&cases, |case| suite::ask(&program, case, update));
    let mut wrong = 0;
    for (case, verdict) in cases.iter().zip(verdicts) {
        wrong += usize::from(verdict.is_err());
        match verdict {
            Ok(word) => println!("{:<50} {word}", case.name),
            Err(detail) => println!("{:<50} DIFFERS\n{detail}", case.name),
        }
    }
    println!("{} cases, {wrong} on which Fluent Bit differs", cases.len());
    assert_eq!(wrong, 0);
}
