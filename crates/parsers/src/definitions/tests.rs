//! Definitions as users write them, lines as containers write them.

use std::path::Path;

use bytes::Bytes;
use config::{Document, MemoryHost};
use record::json::write::Writer;
use record::{Batch, Tag};

use super::*;

/// The definitions of a parsers file with this text.
fn definitions(text: &str) -> (Definitions, Diagnostics) {
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file("p.conf", text);
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        Some(Path::new("m.conf")),
        Vec::new(),
        &mut diagnostics,
    );
    (
        Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics),
        diagnostics,
    )
}

/// What the only parser of `definition` (its lines) makes of `line`: JSON and time.
fn parsed(definition: &str, line: &str) -> Option<(String, Option<i64>)> {
    let lines: Vec<String> = definition
        .lines()
        .map(|line| format!("    {}", line.trim()))
        .collect();
    let (definitions, diagnostics) = definitions(&format!("[PARSER]\n{}\n", lines.join("\n")));
    assert!(!diagnostics.has_errors(), "{diagnostics}");
    let mut parser = definitions.make(&definitions.names()[0]).expect("a parser");
    let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(line.as_bytes()));
    let text = batch.span(0..line.len());
    let parsed = parser.parse(&mut batch, text)?;
    let mut out = Vec::new();
    Writer::default().object(&batch, parsed.body, &mut out);
    Some((
        String::from_utf8(out).expect("text"),
        parsed.time.map(|time| time.seconds()),
    ))
}

const DOCKER: &str = "Name docker\nFormat json\nTime_Key time\nTime_Format %Y-%m-%dT%H:%M:%S.%L\nTime_Keep On\n\
                      Decode_Field_As escaped log";
const NGINX: &str = r#"Name nginx
Format regex
Regex ^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")? \"-\"$
Time_Key time
Time_Format %d/%b/%Y:%H:%M:%S %z"#;
const ACCESS: &str =
    r#"10.0.0.1 - - [22/Nov/2026:13:05:09 +0000] "GET /a?b=1 HTTP/1.1" 200 612 "-" "curl/8" "-""#;

#[test]
fn the_posts_parsers_read_their_lines() {
    let line = format!(
        r#"{{"log":"{}\n","stream":"stdout","time":"2026-11-22T13:05:09.25Z"}}"#,
        ACCESS.replace('"', "\\\"")
    );
    let log = format!("{}\\n", ACCESS.replace('"', "\\\""));
    let expected =
        format!(r#"{{"log":"{log}","stream":"stdout","time":"2026-11-22T13:05:09.25Z"}}"#);
    assert_eq!(parsed(DOCKER, &line), Some((expected, Some(1_795_352_709))));
    let expected = concat!(
        r#"{"remote":"10.0.0.1","host":"-","user":"-","method":"GET","path":"/a?b=1","code":"200","size":"612","#,
        r#""referer":"-","agent":"curl/8"}"#
    );
    assert_eq!(
        parsed(NGINX, ACCESS),
        Some((expected.to_owned(), Some(1_795_352_709)))
    );
    assert_eq!(
        parsed(NGINX, &ACCESS.replace("\"-\"", "\"10.1.1.1\"")),
        None,
        "a forwarded-for address does not match"
    );
}

#[test]
fn a_containerd_line_is_read_by_the_parser_docker() {
    let line = "2026-11-22T13:05:09.25+00:00 stderr F hello";
    let expected =
        r#"{"time":"2026-11-22T13:05:09.25+00:00","stream":"stderr","_p":"F","log":"hello"}"#;
    assert_eq!(
        parsed(DOCKER, line),
        Some((expected.to_owned(), Some(1_795_352_709)))
    );
    assert_eq!(
        parsed("Name json\nFormat json", line),
        None,
        "only by the one called docker"
    );
    assert_eq!(
        parsed(DOCKER, "2026-11-22T13:05:09.25+00:00 stdlog F hello"),
        None
    );
}

#[test]
fn json_follows_upstream() {
    let plain = "Name j\nFormat json";
    let timed = "Name j\nFormat json\nTime_Key t\nTime_Format %s";
    let cases = [
        (plain, r#"{"a":1} trailing"#, Some((r#"{"a":1}"#, None))),
        (plain, r#"{"a":1}{"b":1}"#, None),
        (plain, "[1]", None),
        (plain, "", None),
        (timed, r#"{"t":"7","a":1}"#, Some((r#"{"a":1}"#, Some(7)))),
        (timed, r#"{"t":7,"a":1}"#, Some((r#"{"t":7,"a":1}"#, None))),
        (
            timed,
            r#"{"t":"x","a":1}"#,
            Some((r#"{"t":"x","a":1}"#, None)),
        ),
    ];
    for (definition, line, expected) in cases {
        assert_eq!(
            parsed(definition, line),
            expected.map(|(json, time)| (json.to_owned(), time)),
            "{line}"
        );
    }
}

#[test]
fn regex_follows_upstream() {
    let cases = [
        (
            "Regex ^(?<a>\\w*)-(?<b>\\w*)$",
            "x-",
            Some((r#"{"a":"x"}"#, None)),
        ),
        (
            "Regex ^(?<a>\\w*)-(?<b>\\w*)$\nSkip_Empty_Values off",
            "x-",
            Some((r#"{"a":"x","b":""}"#, None)),
        ),
        (
            "Regex ^(?<a>\\d+) (?<b>.*)$\nTypes a:integer b:bool",
            "7 true",
            Some((r#"{"a":7,"b":true}"#, None)),
        ),
        ("Regex (?<a>z)", "xyz", Some((r#"{"a":"z"}"#, None))),
        ("Regex /(?<a>Z)/i", "xyz", Some((r#"{"a":"z"}"#, None))),
        (
            "Regex ^(?<time>\\S+) (?<a>.*)$\nTime_Format %s\nTime_Keep on",
            "7 x",
            Some((r#"{"time":"7","a":"x"}"#, Some(7))),
        ),
        (
            "Regex ^(?<time>\\S+) (?<a>.*)$\nTime_Format %s\nTime_Keep on",
            "? x",
            Some((r#"{"a":"x"}"#, None)),
        ),
        ("Regex ^a$", "a", None),
    ];
    for (definition, line, expected) in cases {
        let definition = format!("Name r\nFormat regex\n{definition}");
        assert_eq!(
            parsed(&definition, line),
            expected.map(|(json, time)| (json.to_owned(), time)),
            "{definition} {line}"
        );
    }
}

#[test]
fn decoders_follow_upstream() {
    let line = r#"{"log":"{\"k\":1}","o":2}"#;
    let cases = [
        (
            "Decode_Field_As escaped_utf8 log do_next\nDecode_Field json log",
            r#"{"log":"{\"k\":1}","o":2,"k":1}"#,
        ),
        ("Decode_Field_As json log", r#"{"log":{"k":1},"o":2}"#),
        ("Decode_Field_As json o", r#"{"log":"{\"k\":1}","o":2}"#),
        (
            // Text without quotes is no failure: the next rule is not tried.
            "Decode_Field_As mysql_quoted log try_next\nDecode_Field_As json log",
            r#"{"log":"{\"k\":1}","o":2}"#,
        ),
    ];
    for (decoders, expected) in cases {
        let definition = format!("Name j\nFormat json\n{decoders}");
        assert_eq!(
            parsed(&definition, line),
            Some((expected.to_owned(), None)),
            "{decoders}"
        );
    }
}

#[test]
fn mistakes_are_named_at_their_place() {
    let (definitions, diagnostics) = definitions(
        "[PARSER]\n    Name a\n    Format regex\n    Regex (?<x>[\n[PARSER]\n    Name b\n    Format json\n    Time_Format %Q\n\
         [PARSER]\n    Name c\n    Format json\n[PARSER]\n    Name c\n    Format json\n",
    );
    assert_eq!(definitions.names(), ["c"]);
    let text = diagnostics.to_string();
    for expected in [
        "p.conf:4",
        "parser 'a'",
        "p.conf:8",
        "'%Q' is not a conversion",
        "parser named 'c' already exists",
    ] {
        assert!(text.contains(expected), "{expected} in:\n{text}");
    }
}

/// They are not tried when definitions are read.
#[test]
fn built_in_parsers_can_be_built() {
    let (definitions, diagnostics) = definitions("");
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!(definitions.parsers.len(), builtin::parsers().count());
    for known in &definitions.parsers {
        assert!(
            definitions.make(&known.options.name).is_some(),
            "{}",
            known.options.name
        );
    }
}
