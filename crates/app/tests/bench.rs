//! `flumen bench` as a user runs it: the program as its own router, sink and generator.

#![cfg(feature = "bench")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn flumen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(arguments)
        .output()
        .expect("it runs")
}

fn json(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}\n{error}"))
}

#[test]
fn a_short_matrix_loses_and_repeats_nothing() {
    let cases = "firehose/forward/20,firehose/tcp/20";
    let output = flumen(&[
        "bench",
        "matrix",
        "--seconds",
        "2",
        "--only",
        cases,
        "--json",
    ]);
    let outcomes = json(&output);
    assert_eq!(outcomes.as_array().expect("a list").len(), 2);
    for outcome in outcomes.as_array().expect("a list") {
        assert_eq!(outcome["error"], serde_json::Value::Null, "{outcome}");
        assert!(outcome["sent"].as_u64() > Some(100), "{outcome}");
        assert_eq!(
            (&outcome["lost"], &outcome["repeated"]),
            (&0.into(), &0.into()),
            "{outcome}"
        );
        assert!(outcome["cpu_seconds"].as_f64() > Some(0.0), "{outcome}");
    }
    assert!(output.status.success());
}

#[test]
fn generated_files_hold_what_the_generator_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let output = flumen(&[
        "bench",
        "gen",
        "--kind",
        "nginx",
        "--wrap",
        "docker",
        "--count",
        "1000",
        "--rate",
        "100000",
        "--path",
        &path("app.log"),
        "--writers",
        "3",
        "--rotate-every",
        "20K",
        "--keep",
        "100",
        "--sent",
        &path("sent.json"),
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let sent = std::fs::read_to_string(path("sent.json")).expect("written");
    let sent: serde_json::Value = serde_json::from_str(&sent).expect("JSON");
    assert_eq!(sent["lines"], 1000);
    assert_eq!(sent["writers"].as_object().expect("a map").len(), 3);
    let (mut lines, mut files) = (0, 0);
    for entry in folder.path().read_dir().expect("readable") {
        let entry = entry.expect("readable");
        if entry.file_name().to_string_lossy().starts_with("app-") {
            files += 1;
            let text = std::fs::read_to_string(entry.path()).expect("text");
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert!(line["log"].as_str().expect("text").contains("fl-bench-"));
                lines += 1;
            }
        }
    }
    assert_eq!(lines, 1000);
    assert!(files > 3, "they were rotated");
}

#[test]
fn a_sink_is_asked_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut sink = Command::new(env!("CARGO_BIN_EXE_flumen"))
        .args(["bench", "sink", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let stdout = sink.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("readable");
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .expect("an address");
    for (lines, status, lost) in [(0, 0, 0), (3, 1, 3)] {
        let file = folder.path().join("sent.json");
        let sent = format!(
            r#"{{"writers":{{"0000000a":{lines}}},"lines":{lines},"bytes":0,"seconds":1.0,"resent":0}}"#
        );
        std::fs::write(&file, sent).expect("written");
        let file = file.display().to_string();
        let output = flumen(&["bench", "verify", "--sink", url, "--sent", &file, "--json"]);
        assert_eq!(output.status.code(), Some(status));
        let report = json(&output);
        assert_eq!(
            (&report["lost"], &report["received"]),
            (&lost.into(), &0.into())
        );
    }
    sink.kill().expect("it ran");
    sink.wait().expect("it ended");
}

#[test]
fn mistakes_are_told() {
    for (arguments, part) in [
        (
            &["bench", "matrix", "--only", "pigeon"][..],
            "no case matches; there are: cloudwatch/forward/1",
        ),
        (
            &["bench", "matrix", "--faults", "flood"],
            "there is no fault 'flood'",
        ),
        (&["bench", "verify"], "--s3"),
        (
            &["bench", "verify", "--sink", "http://127.0.0.1:1"],
            "http://127.0.0.1:1",
        ),
        (
            &["bench", "gen", "--forward", "24224"],
            "neither HOST:PORT nor unix:PATH",
        ),
        (&["bench", "sink", "--outage", "15s"], "15s@20s"),
    ] {
        let output = flumen(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(part),
            "{arguments:?}: {error}"
        );
    }
}
