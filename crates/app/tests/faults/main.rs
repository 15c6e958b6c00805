//! `flumen bench faults` in its short form: what goes wrong in production, done to the program, which loses nothing and
//! repeats nothing.

#![cfg(feature = "bench")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Rows that the program does not hold yet, and what is missing.
const NOT_YET: &[(&str, &str)] = &[];

fn faults(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["bench", "faults"])
        .args(arguments)
        .output()
        .expect("it runs")
}

fn outcomes(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}\n{error}"))
}

/// Says something past libtest's capture.
fn say(line: &str) {
    let line = format!("{line}\n");
    let written = std::io::stderr().write_all(line.as_bytes());
    written.expect("standard error is open");
}

#[test]
fn every_row_holds() {
    let output = faults(&["--json", "--seconds", "2", "--rounds", "50", "--jobs", "4"]);
    let outcomes = outcomes(&output);
    assert!(outcomes.len() > 40, "{} rows", outcomes.len());
    let (mut held, mut failed) = (0, Vec::new());
    for outcome in &outcomes {
        let name = outcome["name"].as_str().expect("a name");
        let reason = outcome["reason"].as_str().unwrap_or_default();
        let missing = NOT_YET.iter().find(|(row, _)| *row == name);
        match (outcome["verdict"].as_str(), missing) {
            (Some("held"), None) => held += 1,
            (Some("held"), Some(_)) => say(&format!("{name} holds: it may leave NOT_YET")),
            (Some("skipped"), _) => say(&format!("skipped: {reason} ({name})")),
            (_, Some((_, missing))) => say(&format!("skipped: {missing} ({name}: {reason})")),
            _ => failed.push(format!("{name}: {reason}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(held > 20, "only {held} rows could be played");
}

/// The program with another configuration than it is given.
fn forger(folder: &Path, edit: &str) -> String {
    let path = folder.join("forger");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -c ] && sed -i '{edit}' \"$2\"\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_flumen")
    );
    std::fs::write(&path, script).expect("a script");
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, permissions).expect("a script that can be run");
    format!("Forger={}", path.display())
}

#[test]
fn a_rival_that_loses_or_repeats_is_found_out_and_stands_beside() {
    for (edit, figure) in [
        // Positions are forgotten: everything is read again.
        ("/ DB /d", "repeated"),
        // A failed request is given up.
        (
            "s/delivery_stream .*/&\\n    Retry_Limit no_retries/",
            "lost",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let rival = forger(folder.path(), edit);
        let only = "term-dead-output";
        let output = faults(&[
            "--json",
            "--seconds",
            "2",
            "--only",
            only,
            "--rival",
            &rival,
        ]);
        let outcomes = outcomes(&output);
        let of = |program: &str| {
            let found = outcomes
                .iter()
                .find(|outcome| outcome["program"] == program);
            found.expect("an outcome")
        };
        assert_eq!(of("Flumen")["verdict"], "held", "{outcomes:#?}");
        assert_eq!(of("Forger")["verdict"], "failed", "{edit}: {outcomes:#?}");
        assert!(
            of("Forger")[figure].as_u64() > Some(0),
            "{edit}: {outcomes:#?}"
        );
        assert!(
            output.status.success(),
            "what rivals do is no failure of ours"
        );
    }
}

#[test]
fn results_are_written_into_a_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("reliability.md");
    let file = path.display().to_string();
    for _ in 0..2 {
        let output = faults(&[
            "--seconds",
            "1",
            "--only",
            "unfinished-line",
            "--markdown",
            &file,
        ]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = std::fs::read_to_string(&path).expect("a document");
    let rows = text
        .lines()
        .filter(|line| line.contains("| unfinished-line |"))
        .count();
    assert_eq!(rows, 1, "the part is replaced: {text}");
    assert!(
        text.starts_with("# Reliability") && text.contains("Flumen v"),
        "{text}"
    );
}

#[test]
fn mistakes_are_told() {
    for (arguments, part) in [
        (&["--only", "pigeon"][..], "no row matches; there are:"),
        (&["--rival", "pigeon"], "is not NAME=PATH"),
        (&["--rival", "a=/nobody/has/this"], "/nobody/has/this"),
    ] {
        let output = faults(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(part),
            "{arguments:?}: {error}"
        );
    }
    let list = faults(&["--list"]);
    let text = String::from_utf8_lossy(&list.stdout);
    assert!(
        list.status.success() && text.contains("kill-firehose"),
        "{text}"
    );
}
