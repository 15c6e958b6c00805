//! Lines as containers and programs write them, changed anywhere.

use std::path::Path;

use bytes::Bytes;
use config::{Diagnostics, Document, LogLevel, MemoryHost};
use parsers::Definitions;
use plugin::{Parser, Parsers};
use record::json::write::Writer;
use record::{Batch, Tag};

/// One of each format, with everything that it can do.
const PARSERS: &str = r#"
[PARSER]
    Name            docker
    Format          json
    Time_Key        time
    Time_Format     %Y-%m-%dT%H:%M:%S.%L
    Time_Keep       On
    Decode_Field_As escaped_utf8 log do_next
    Decode_Field    json log
[PARSER]
    Name        cri
    Format      regex
    Regex       ^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<log>.*)$
    Time_Key    time
    Time_Format %Y-%m-%dT%H:%M:%S.%L%z
[PARSER]
    Name        nginx
    Format      regex
    Regex       ^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")
    Time_Key    time
    Time_Format %d/%b/%Y:%H:%M:%S %z
    Types       code:integer size:integer user:bool referer:hex agent:float
[PARSER]
    Name        logfmt
    Format      logfmt
    Time_Key    ts
    Time_Format %s.%L
    Types       n:integer
[PARSER]
    Name        ltsv
    Format      ltsv
    Time_Key    time
    Time_Format [%d/%b/%Y:%H:%M:%S %z]
    Types       size:integer
"#;

fn definitions(text: &str) -> Option<Definitions> {
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file("p.conf", text);
    let mut diagnostics = Diagnostics::new();
    let main = Some(Path::new("m.conf"));
    let document = Document::load(&host, main, Vec::new(), &mut diagnostics);
    let definitions = Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics);
    (!diagnostics.has_errors()).then_some(definitions)
}

/// Body and time of what a parser makes of `line`.
fn parsed(parser: &mut dyn Parser, line: &[u8]) -> Option<(Vec<u8>, Option<i64>)> {
    let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(line));
    let text = batch.span(0..line.len());
    let parsed = parser.parse(&mut batch, text)?;
    let mut out = Vec::new();
    Writer::default().object(&batch, parsed.body, &mut out);
    let end = record::json::read::skip(&out);
    // A float that is too large is written as upstream does.
    let is_infinite = out.windows(3).any(|word| word == b"inf" || word == b"nan");
    assert!(
        end == Ok(out.len()) || is_infinite,
        "{}",
        out.escape_ascii()
    );
    Some((out, parsed.time.map(|time| time.nanos())))
}

/// Looks whether a parser that has read other lines reads as a new one does.
fn fuzz_lines(target: fuzz::Target, name: &str) {
    let definitions = definitions(PARSERS).expect("definitions");
    let mut used = definitions.make(name).expect("a parser");
    target.run(|line| {
        let mut new = definitions.make(name).expect("a parser");
        assert_eq!(parsed(&mut *used, line), parsed(&mut *new, line));
    });
}

#[test]
fn fuzz_docker_lines() {
    let target = fuzz::Target::new("docker_lines")
        .files("../../tests/samples", &["docker-json-file.log", "attrs.log", "partial.log"])
        .lines()
        .seeds([
            r#"{"log":"{\"a\":\"b\\u00e9\\n\",\"c\":[1]}\n","stream":"stdout","time":"2026-11-22T13:05:09.123456789Z"}"#,
            "2026-11-22T13:05:09.123456789+01:00 stderr F text",
        ])
        .words(["\\\\", "\\\"", "\\u00", "\\x41", "\\101", "}\\n"]);
    fuzz_lines(target, "docker");
}

#[test]
fn fuzz_cri_lines() {
    let target = fuzz::Target::new("cri_lines")
        .files(
            "../../tests/samples",
            &["cri-podman.log", "cri-podman-partial.log"],
        )
        .lines()
        .words([
            " stdout ", " stderr ", " F ", " P ", "Z", "+00:00", "-23:59", "T", ".",
        ]);
    fuzz_lines(target, "cri");
}

#[test]
fn fuzz_access_lines() {
    let target = fuzz::Target::new("access_lines")
        .files("../../tests/samples", &["nginx-access.log"])
        .lines()
        .words(["[", "]", "\" \"", "/Feb/", "+0000", "true", "0x"]);
    fuzz_lines(target, "nginx");
}

#[test]
fn fuzz_logfmt_lines() {
    let target = fuzz::Target::new("logfmt_lines")
        .seeds([
            r#"ts=1700000000.123 level=info msg="a \"quoted\" text\n" n=12 flag empty= k="\u00e9""#,
            "a=b  c = d =e \"",
        ])
        .words(["=\"", "\\", "=", "\"", "ts=", "n="])
        .longest(500);
    fuzz_lines(target, "logfmt");
}

#[test]
fn fuzz_ltsv_lines() {
    let target = fuzz::Target::new("ltsv_lines")
        .seeds(["time:[22/Nov/2026:13:05:09 +0000]\thost:h\tsize:612\tempty:\t:x\tno"])
        .words([":", "\t", "time:[", "size:"])
        .longest(500);
    fuzz_lines(target, "ltsv");
}

/// A time format, a zero, and a time.
#[test]
fn fuzz_times() {
    fuzz::Target::new("times")
        .seeds([
            "%Y-%m-%dT%H:%M:%S.%L%z\x002026-11-22T13:05:09.123456789+01:00",
            "%d/%b/%Y:%H:%M:%S %z\x0022/Nov/2026:13:05:09 +0000",
            "%s.%L\x001700000000.5",
            "%b %d %H:%M:%S\0Feb 29 23:59:60",
            "%a %A %B %e %j %y %C %G %g %V %U %W %u %w %n%t%D %T %R %r %I %p %F %h %c %x %X %Z %%\0Sun Sunday",
        ])
        .words([
            "%s", "%L", "%N", "%f", "%z", "%Z", "%j", "%E", "%O", "%:z", "%3", "+99:99", "9999", "%",
        ])
        .longest(120)
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Some((format, time)) = text.split_once('\0') else {
                return;
            };
            let section = format!(
                "[PARSER]\n    Name p\n    Format json\n    Time_Key t\n    Time_Format {format}\n"
            );
            let Some(mut parser) = definitions(&section).and_then(|all| all.make("p")) else {
                return;
            };
            let mut line = Vec::new();
            line.extend_from_slice(b"{\"t\":");
            Writer::default().string(time.as_bytes(), &mut line);
            line.push(b'}');
            assert!(parsed(&mut *parser, &line).is_some(), "it is JSON");
        });
}
