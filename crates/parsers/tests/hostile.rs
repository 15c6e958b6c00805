//! Lines that were made to break parsers: each is read in time that grows with its length alone, or left as it is.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use config::{Diagnostics, Document, LogLevel, MemoryHost};
use parsers::Definitions;
use plugin::Parsers;
use record::json::write::Writer;
use record::{Batch, Tag};

/// Far more than a mebibyte takes, without optimisation and on a busy machine; far less than with its length squared.
const PATIENCE: Duration = Duration::from_secs(30);

/// The definitions of a parsers file with one parser, whose keys are the lines of `definition`.
fn definitions(definition: &str) -> Definitions {
    let lines: Vec<String> = definition
        .lines()
        .map(|line| format!("    {}\n", line.trim()))
        .collect();
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file(
            "p.conf",
            format!("[PARSER]\n    Name p\n{}", lines.concat()),
        );
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        Some(Path::new("m.conf")),
        Vec::new(),
        &mut diagnostics,
    );
    let definitions = Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{diagnostics}");
    definitions
}

/// What the parser makes of `line`: how many fields, the JSON and the time.
fn parsed(definitions: &Definitions, line: &[u8]) -> Option<(usize, Vec<u8>, Option<i64>)> {
    let mut parser = definitions.make("p").expect("a parser");
    let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(line));
    let text = batch.span(0..line.len());
    let start = Instant::now();
    let parsed = parser.parse(&mut batch, text);
    let took = start.elapsed();
    assert!(
        took < PATIENCE,
        "{took:?} for {:?}…",
        String::from_utf8_lossy(&line[..line.len().min(40)])
    );
    let parsed = parsed?;
    let mut out = Vec::new();
    Writer::default().object(&batch, parsed.body, &mut out);
    Some((
        batch.fields(parsed.body).len(),
        out,
        parsed.time.map(|time| time.seconds()),
    ))
}

#[test]
fn pairs_without_end_or_sense_take_linear_time() {
    const MANY: usize = 200_000;
    let runs = |piece: &str| piece.repeat(MANY).into_bytes();
    let open = |start: &str, piece: &str| [start, &piece.repeat(MANY)].concat().into_bytes();
    let cases: Vec<(&str, Vec<u8>, Option<usize>)> = vec![
        ("logfmt", runs("k=v "), Some(MANY)),
        ("logfmt", open("k=\"", "x "), Some(1)),
        ("logfmt", open("k=\"", "\\"), Some(1)),
        ("logfmt", open("k=\"", "\\\""), Some(1)),
        ("logfmt", runs("="), None),
        ("logfmt", runs("\""), None),
        ("logfmt", runs("k"), Some(1)),
        ("logfmt", open("k=", "=\""), Some(1)),
        ("logfmt", vec![0xff; MANY], Some(1)),
        ("logfmt", vec![0; MANY], None),
        ("ltsv", runs("k:v\t"), Some(MANY)),
        ("ltsv", runs("k:"), Some(1)),
        ("ltsv", runs(":"), None),
        ("ltsv", runs("\t"), None),
        ("ltsv", open("k:", "x"), Some(1)),
        ("ltsv", vec![0; MANY], None),
    ];
    for (format, line, fields) in cases {
        let read = parsed(&definitions(&format!("Format {format}")), &line);
        let found = read.map(|(fields, ..)| fields).filter(|fields| *fields > 0);
        let start = String::from_utf8_lossy(&line[..20]).into_owned();
        assert_eq!(found, fields, "{format}: {start:?}…");
    }
}

/// Formats, texts that are no times or odd ones, and the second since 1970 of those that are times all the same.
const TIMES: &[(&str, &str, Option<i64>)] = &[
    ("%Y-%m-%dT%H:%M:%S", "0000-01-01T00:00:00", None),
    ("%Y-%m-%dT%H:%M:%S", "9999-12-31T00:00:00", None),
    ("%Y-%m-%dT%H:%M:%S", "10000-01-01T00:00:00", None),
    (
        "%Y-%m-%dT%H:%M:%S",
        "2026-11-22T23:59:60",
        Some(1_795_392_000),
    ),
    ("%Y-%m-%dT%H:%M:%S", "2026-11-22T23:59:61", None),
    ("%Y-%m-%dT%H:%M:%S", "2026-11-22T24:00:00", None),
    ("%Y-%m-%dT%H:%M:%S", "-2026-11-22T13:00:00", None),
    ("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:13:05:09 +9999", None),
    (
        "%d/%b/%Y:%H:%M:%S %Z",
        "22/Nov/2026:13:05:09 Nowhere/Land",
        None,
    ),
    (
        "%d/%b/%Y:%H:%M:%S %Z",
        "22/Nov/2026:13:05:09 CET",
        Some(1_795_349_109),
    ),
    ("%s", "-1", None),
    ("%s", "9999999999999", None),
    ("%s", "99999999999999999999999999", None),
    ("%s.%L", "1700000000.", None),
    ("%H", "", None),
];

#[test]
fn what_is_no_time_leaves_the_field_and_the_time_of_arrival() {
    for (format, text, seconds) in TIMES {
        let definitions = definitions(&format!("Format json\nTime_Key t\nTime_Format {format}"));
        let line = format!("{{\"t\":\"{text}\",\"k\":1}}");
        let (_, json, time) = parsed(&definitions, line.as_bytes()).expect("a record");
        assert_eq!(time, *seconds, "{format}: {text}");
        // A time that was read goes from the fields to the record; what is none stays.
        let kept = match seconds {
            Some(_) => "{\"k\":1}",
            None => &line,
        };
        assert_eq!(String::from_utf8_lossy(&json), kept, "{format}: {text}");
    }
}

#[test]
fn an_hour_that_the_clock_skips_or_repeats_is_a_time() {
    // 01:30 on 29 March 2026 does not exist in Berlin's neighbour Lisbon, 01:30 on 25 October twice.
    let definitions =
        definitions("Format json\nTime_Key t\nTime_Format %Y-%m-%d %H:%M\nTime_Zone Europe/Lisbon");
    for (text, seconds) in [
        ("2026-03-29 01:30", 1_774_747_800),
        ("2026-10-25 01:30", 1_792_888_200),
    ] {
        let line = format!("{{\"t\":\"{text}\"}}");
        let (_, _, time) = parsed(&definitions, line.as_bytes()).expect("a record");
        assert_eq!(time, Some(seconds), "{text}");
    }
}

#[test]
fn a_time_of_a_megabyte_is_none() {
    for format in ["%Y-%m-%d", "%s", "%d/%b/%Y:%H:%M:%S %z", "%Z"] {
        let definitions = definitions(&format!("Format json\nTime_Key t\nTime_Format {format}"));
        for digit in ["9", "-", "A", " "] {
            let line = format!("{{\"t\":\"{}\"}}", digit.repeat(1 << 20));
            let (fields, ..) = parsed(&definitions, line.as_bytes()).expect("a record");
            assert!(fields <= 1);
        }
    }
}
