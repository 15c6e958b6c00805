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

/// The folders under `tests/cases`, each with a test of its own below.
const PLUGINS: &[&str] = &[
    "cloudwatch_logs",
    "configuration",
    "file",
    "kinesis_firehose",
    "kinesis_streams",
    "multiline",
    "rewrite_tag",
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
        let what = suite::flumen_agrees(flumen, case).err()?;
        Some(format!("── {} ──\n{what}", case.name))
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
fn multiline() {
    flumen_delivers("multiline");
}

#[test]
fn rewrite_tag() {
    flumen_delivers("rewrite_tag");
}

#[test]
fn s3() {
    flumen_delivers("s3");
}

#[test]
fn stdout() {
    flumen_delivers("stdout");
}

/// No folder is left out.
#[test]
fn every_case_has_a_test() {
    assert_eq!(case::folders(&root()), PLUGINS);
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
