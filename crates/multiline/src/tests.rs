//! What becomes of lines, however they are divided into batches.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use config::{Diagnostics, Document, LogLevel, MemoryHost};
use parsers::Definitions;
use proptest::prelude::*;
use record::json::write::Writer;
use record::{Batch, Ledger, Tag, Time, Value};

use crate::{Joined, Joiner, Place, Stream, assign};

mod fuzz;

/// The definitions of a parsers file with this text.
fn definitions(text: &str, limit: usize) -> Definitions {
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file("p.conf", text);
    let mut diagnostics = Diagnostics::new();
    let main = Some(Path::new("m.conf"));
    let document = Document::load(&host, main, Vec::new(), &mut diagnostics);
    let definitions = Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics)
        .with_multiline(&document.multiline_parsers, limit, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{diagnostics}");
    definitions
}

/// A source that is read piece by piece, as `tail` does.
struct Reader {
    joiner: Joiner,
    stream: Stream,
    joined: Joined,
    ledger: Arc<Ledger>,
    now: Instant,
    /// The records: JSON of the body and of metadata, and the positions that they name.
    records: Vec<(String, std::ops::Range<u64>)>,
    /// Whether each line is taken as if it were the first.
    is_general: bool,
    /// Batches that are not answered for.
    open: Vec<(Arc<Batch>, record::Receipt)>,
}

impl Reader {
    fn new(definitions: &Definitions, parsers: &[&str]) -> Reader {
        let names: Vec<String> = parsers.iter().map(|name| (*name).to_owned()).collect();
        let joiner = Joiner::new(&names, None, definitions);
        Reader {
            joiner: joiner.unwrap_or_else(|error| panic!("{error}")),
            stream: Stream::default(),
            joined: Joined::default(),
            ledger: Ledger::new(0),
            now: Instant::now(),
            records: Vec::new(),
            is_general: false,
            open: Vec::new(),
        }
    }

    /// Reads `bytes`, whole lines that stand at `first`.
    fn read(&mut self, first: u64, bytes: &[u8]) {
        let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(bytes));
        let mut start = 0;
        for end in memchr_all(bytes) {
            let positions = first + start as u64..first + end as u64 + 1;
            let mut place = Place {
                batch: &mut batch,
                now: self.now,
                time: Time::new(7, 0),
            };
            let mut content = start..end;
            if content.len() > 1 && bytes[end - 1] == b'\r' {
                content.end -= 1;
            }
            let (stream, joined) = (&mut self.stream, &mut self.joined);
            let joiner = &mut self.joiner;
            match self.is_general {
                true => joiner.any_line(stream, content, positions, &mut place, joined),
                false => joiner.line(stream, content, positions, &mut place, joined),
            }
            start = end + 1;
        }
        self.finish(batch, first..first + bytes.len() as u64);
    }

    fn expire(&mut self, passed: Duration) {
        self.now += passed;
        let mut batch = Batch::new(Tag::from("t"), Bytes::new());
        let mut place = Place {
            batch: &mut batch,
            now: self.now,
            time: Time::new(7, 0),
        };
        let (stream, joined) = (&mut self.stream, &mut self.joined);
        self.joiner.expire(stream, &mut place, joined);
        self.finish(batch, 0..0);
    }

    fn flush(&mut self) {
        let mut batch = Batch::new(Tag::from("t"), Bytes::new());
        let mut place = Place {
            batch: &mut batch,
            now: self.now,
            time: Time::new(7, 0),
        };
        let (stream, joined) = (&mut self.stream, &mut self.joined);
        self.joiner.flush(stream, &mut place, joined);
        self.finish(batch, 0..0);
    }

    fn finish(&mut self, mut batch: Batch, covers: std::ops::Range<u64>) {
        let mut obligation = self.ledger.open(covers);
        self.stream.hold(&mut obligation);
        self.stream.park(&batch);
        assign(&mut batch, obligation, &mut self.joined.records);
        for record in batch.records() {
            let mut json = Vec::new();
            let mut writer = Writer::default();
            writer.object(&batch, record.body, &mut json);
            if !record.metadata.is_empty() {
                writer.value(&batch, Value::Map(record.metadata), &mut json);
            }
            let start = record.position.offset;
            let json = String::from_utf8(json).expect("JSON");
            let range = start..start + u64::from(record.position.len);
            self.records.push((json, range));
        }
        self.open.push(batch.freeze());
    }

    fn texts(&self) -> Vec<&str> {
        self.records.iter().map(|(json, _)| json.as_str()).collect()
    }
}

fn memchr_all(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let ends = bytes.iter().enumerate();
    ends.filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at)
}

/// What becomes of `text`, read at once.
fn joined(definitions: &Definitions, parsers: &[&str], text: &str) -> Vec<String> {
    let mut reader = Reader::new(definitions, parsers);
    reader.read(0, text.as_bytes());
    reader.flush();
    let records = std::mem::take(&mut reader.records);
    reader
        .open
        .into_iter()
        .for_each(|(_, receipt)| receipt.settle_all());
    assert_eq!(reader.ledger.discharged(), text.len() as u64, "{text}");
    records.into_iter().map(|(json, _)| json).collect()
}

const CUSTOM: &str = r#"
[MULTILINE_PARSER]
    name          indented
    type          regex
    flush_timeout 1000
    rule          "start_state" "/^\S/"  "cont"
    rule          "cont"        "/^\s+/" "cont"

[MULTILINE_PARSER]
    name         backslash
    type         endswith
    match_string \
    negate       true
    key_content  text

[MULTILINE_PARSER]
    name         until_end
    type         equal
    match_string END
"#;

#[test]
fn lines_are_joined_as_upstream() {
    let definitions = definitions(CUSTOM, 2 << 20);
    let docker = |log: &str, stream: &str, time: u8| {
        format!(
            "{{\"log\":\"{log}\",\"stream\":\"{stream}\",\"time\":\"2026-11-28T00:00:0{time}.5Z\"}}\n"
        )
    };
    let cases: &[(&[&str], String, &[&str])] = &[
        (
            &["indented"],
            "a\n b\n\n c\nd\n".into(),
            &["{\"log\":\"a\\n b\\n\"}", "{\"log\":\" c\\n\"}", "{\"log\":\"d\\n\"}"],
        ),
        (
            &["backslash"],
            "one\\\ntwo\\\nthree\nfour\n".into(),
            &[r#"{"text":"one\\two\\three"}"#, r#"{"text":"four"}"#],
        ),
        (
            &["until_end"],
            "a\nb\nEND\nc\n".into(),
            &[r#"{"log":"a\nb\nEND\n"}"#, r#"{"log":"c\n"}"#],
        ),
        (
            &["docker", "cri"],
            docker("one, ", "stdout", 1) + &docker("err\\n", "stderr", 2) + &docker("two\\n", "stdout", 3),
            &[
                r#"{"log":"err\n","stream":"stderr","time":"2026-11-28T00:00:02.5Z"}"#,
                r#"{"log":"one, two\n","stream":"stdout","time":"2026-11-28T00:00:01.5Z"}"#,
            ],
        ),
        (
            &["docker", "cri"],
            "2026-11-28T00:00:00.1Z stdout P par\n2026-11-28T00:00:00.2Z stdout F tial\nnot CRI\n".into(),
            &[
                r#"{"time":"2026-11-28T00:00:00.1Z","stream":"stdout","_p":"P","log":"partial"}"#,
                r#"{"log":"not CRI"}"#,
            ],
        ),
        (
            &["java"],
            "x\nE: my.Exception: no\n\tat a.b(C.java:1)\n\t... 3 more\nCaused by: y\n\tat d\ny\n".into(),
            &[
                "{\"log\":\"x\\n\"}",
                "{\"log\":\"E: my.Exception: no\\n\\tat a.b(C.java:1)\\n\\t... 3 more\\nCaused by: y\\n\\tat d\\n\"}",
                "{\"log\":\"y\\n\"}",
            ],
        ),
        (
            &["python", "go"],
            "Traceback (most recent call last):\n  File \"a.py\", line 1\n    x()\nValueError: no\nok\npanic: x\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n".into(),
            &[
                "{\"log\":\"Traceback (most recent call last):\\n  File \\\"a.py\\\", line 1\\n    x()\\nValueError: no\\n\"}",
                "{\"log\":\"ok\\n\"}",
                "{\"log\":\"panic: x\\n\\ngoroutine 1 [running]:\\nmain.main()\\n\\t/a.go:1 +0x1\\n\"}",
            ],
        ),
        // What is left of an empty line that belongs to nothing: nothing.
        (&["java"], "\n\na\n".into(), &["{\"log\":\"a\\n\"}"]),
    ];
    for (parsers, text, expected) in cases {
        assert_eq!(
            joined(&definitions, parsers, text),
            *expected,
            "{parsers:?} {text}"
        );
    }
}

#[test]
fn what_waits_is_complete_after_a_while() {
    let definitions = definitions(CUSTOM, 2 << 20);
    let mut reader = Reader::new(&definitions, &["indented"]);
    reader.read(0, b"a\n b\n");
    reader.expire(Duration::from_millis(900));
    assert_eq!(reader.texts(), [""; 0]);
    reader.read(5, b" c\n");
    reader.expire(Duration::from_millis(900));
    assert_eq!(reader.texts(), [""; 0], "each line lets it wait anew");
    assert_eq!(reader.ledger.discharged(), 0, "nothing is answered for");
    reader.expire(Duration::from_millis(100));
    assert_eq!(
        reader.records,
        [("{\"log\":\"a\\n b\\n c\\n\"}".to_owned(), 0..8)]
    );
    reader
        .open
        .drain(..)
        .for_each(|(_, receipt)| receipt.settle_all());
    assert!(reader.ledger.is_settled());
}

#[test]
fn a_group_that_never_ends_does() {
    let definitions = definitions(CUSTOM, 2 << 20);
    let mut reader = Reader::new(&definitions, &["indented"]);
    reader.read(0, b"a\n");
    for line in 0..15 {
        reader.expire(Duration::from_secs(1) - Duration::from_millis(1));
        reader.read(2 + line * 3, b" b\n");
    }
    reader.expire(Duration::from_secs(1) - Duration::from_millis(1));
    assert_eq!(
        reader.texts().len(),
        1,
        "its time is over although lines come"
    );
}

#[test]
fn a_limit_cuts_and_loses_nothing() {
    let definitions = definitions(CUSTOM, 10);
    for (parser, text, expected) in [
        (
            "indented",
            "abcd\n efghijkl\n mn\n",
            &[
                "{\"log\":\"abcd\\n efgh\\n\"}{\"multiline_truncated\":true}",
                "{\"log\":\"ijkl\\n\"}",
                "{\"log\":\" mn\\n\"}",
            ][..],
        ),
        (
            "backslash",
            "0123456\\\n0123456789012\\\nend\n",
            &[
                "{\"text\":\"0123456\\\\01\"}{\"multiline_truncated\":true}",
                "{\"text\":\"2345678901\"}{\"multiline_truncated\":true}",
                "{\"text\":\"2\\\\end\"}",
            ][..],
        ),
    ] {
        assert_eq!(joined(&definitions, &[parser], text), expected, "{parser}");
    }
}

#[test]
fn many_names_of_groups_take_no_more_room() {
    let definitions = definitions("", 2 << 20);
    let mut reader = Reader::new(&definitions, &["docker"]);
    let line = |name: u32| format!("{{\"log\":\"part\",\"stream\":\"{name}\"}}\n");
    let lines: String = (0..1000).map(line).collect();
    reader.read(0, lines.as_bytes());
    assert_eq!(reader.records.len(), 1000 - 32, "the oldest made room");
    assert!(reader.stream.footprint() < 32 << 10);
    reader
        .open
        .drain(..)
        .for_each(|(_, receipt)| receipt.settle_all());
    assert_eq!(
        reader.ledger.discharged(),
        reader.records.last().map_or(0, |(_, range)| range.end)
    );
}

#[test]
fn parsers_that_do_not_exist_are_named() {
    let definitions = definitions("", 0);
    let error = |name: &str| {
        let made = Joiner::new(&[name.to_owned()], None, &definitions);
        made.err().unwrap_or_default()
    };
    assert!(
        error("jav").contains("did you mean 'java'?"),
        "{}",
        error("jav")
    );
    assert_eq!(error("JAVA"), "", "case does not count");
}

/// Lines of containers, of stack traces, of custom rules and of nothing in particular.
fn line() -> impl Strategy<Value = String> {
    let containers = (any::<bool>(), any::<bool>(), "[a-c]{0,3}").prop_map(|(cri, last, text)| {
        let stream = if text.len() % 2 == 0 {
            "stdout"
        } else {
            "stderr"
        };
        match cri {
            true => format!(
                "2026-11-28T00:00:00.1Z {stream} {} {text}",
                if last { "F" } else { "P" }
            ),
            false => format!(
                "{{\"log\":\"{text}{}\",\"stream\":\"{stream}\"}}",
                if last { "\\n" } else { "" }
            ),
        }
    });
    let traces = prop::sample::select(
        &[
            "x.Exception: no",
            "\tat a.b(C.java:1)",
            "Caused by: x",
            "\t... 3 more",
            "nested exception is:",
            "panic: no",
            "",
            "goroutine 1 [running]:",
            "main.main()",
            "\t/a.go:1",
            "Traceback (most recent call last):",
            "  File \"a\"",
            "    code",
            "ValueError: no",
            "a.rb:1:in b",
            "\tfrom a.rb:2:in c",
            "END",
            "a\\",
            "text\r",
            "\r",
            " indented",
            "é",
        ][..],
    );
    // Long enough that a second one is told by its beginning.
    let frame = Just("\tat d.e(F.java:22)".to_owned());
    let start = Just("2026-11-28 x.Exception: no".to_owned());
    prop_oneof![2 => containers, 4 => traces.prop_map(str::to_owned), 2 => frame, 1 => start]
}

fn parsers() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["docker", "cri"],
        vec!["java"],
        vec!["go", "java", "python", "ruby"],
        vec!["indented"],
        vec!["backslash", "java"],
        vec!["until_end"],
        vec!["cri", "python"],
    ])
}

proptest! {
    #[test]
    fn batches_change_nothing(
        lines in prop::collection::vec(line(), 0..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        parsers in parsers(),
        limit in prop::sample::select(vec![0_usize, 12, 30, 90]),
    ) {
        let definitions = definitions(CUSTOM, limit);
        let pieces: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = pieces.concat();
        let mut whole = Reader::new(&definitions, &parsers);
        whole.read(0, text.as_bytes());
        whole.flush();

        let mut general = Reader::new(&definitions, &parsers);
        general.is_general = true;
        general.read(0, text.as_bytes());
        general.flush();
        prop_assert_eq!(&whole.records, &general.records);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(pieces.len() + 1)).collect();
        cuts.push(pieces.len());
        cuts.sort_unstable();
        let mut parts = Reader::new(&definitions, &parsers);
        let (mut start, mut at) = (0, 0);
        for cut in cuts {
            let piece = pieces[start..cut].concat();
            parts.read(at, piece.as_bytes());
            at += piece.len() as u64;
            start = cut;
        }
        parts.flush();
        prop_assert_eq!(&whole.records, &parts.records);

        // Each answer discharges what its record was made of, and nothing is left over.
        for reader in [&mut whole, &mut general, &mut parts] {
            let mut open: Vec<_> = reader.open.drain(..).collect();
            for (batch, receipt) in open.iter_mut().rev() {
                let records = batch.len() as u32;
                for record in (0..records).rev() {
                    receipt.settle(batch, record..record + 1);
                }
            }
            prop_assert!(open.iter().all(|(batch, receipt)| batch.is_empty() || receipt.is_settled()));
            open.into_iter().for_each(|(_, receipt)| receipt.settle_all());
            prop_assert_eq!(reader.ledger.discharged(), text.len() as u64);
            prop_assert!(reader.ledger.is_settled());
        }
    }

    /// A record that is not delivered keeps the position at its first line, whatever else is delivered.
    #[test]
    fn a_refusal_names_the_lines(
        lines in prop::collection::vec(line(), 1..30),
        cut in any::<prop::sample::Index>(),
        refused in any::<prop::sample::Index>(),
        parsers in parsers(),
    ) {
        let definitions = definitions(CUSTOM, 0);
        let pieces: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        let cut = cut.index(pieces.len());
        let (first, second) = (pieces[..cut].concat(), pieces[cut..].concat());
        let mut reader = Reader::new(&definitions, &parsers);
        reader.read(0, first.as_bytes());
        reader.read(first.len() as u64, second.as_bytes());
        reader.flush();
        prop_assume!(!reader.records.is_empty());
        let refused = refused.index(reader.records.len());
        let range = reader.records[refused].1.clone();
        let mut number = 0;
        for (batch, mut receipt) in reader.open.drain(..) {
            for record in 0..batch.len() as u32 {
                if number != refused {
                    receipt.settle(&batch, record..record + 1);
                }
                number += 1;
            }
            if batch.is_empty() {
                receipt.settle_all();
            }
        }
        let left = reader.ledger.refused();
        prop_assert!(left.iter().any(|left| left.start <= range.start && range.start < left.end), "{left:?} {range:?}");
        prop_assert!(left.iter().any(|left| left.start < range.end && range.end <= left.end), "{left:?} {range:?}");
        prop_assert!(reader.ledger.discharged() <= range.start);
    }
}
