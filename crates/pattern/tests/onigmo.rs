//! What Onigmo finds, found by each of our engines. The expected results are written by `onigmo/record.rb`.

use std::fmt::Write as _;
use std::path::Path;

use pattern::{Matcher, Pattern};

#[test]
fn hand_written() {
    check("hand_written.cases");
}

#[test]
fn random() {
    check("random.cases");
}

#[test]
fn shipped() {
    check("shipped.cases");
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/onigmo")
        .join(file);
    let cases = std::fs::read_to_string(&path).expect("the case file is part of the repository");
    let mut matcher: Option<Matcher> = None;
    let mut pattern_text = "";
    let mut failures = String::new();
    let mut checked = 0;
    for (index, line) in cases.lines().enumerate() {
        let place = format!("{file}:{}: {pattern_text}", index + 1);
        if let Some(text) = line.strip_prefix("pattern: ") {
            pattern_text = text;
            matcher = Pattern::new(text).ok().map(|pattern| pattern.matcher());
        } else if line == "  refused" {
            checked += 1;
            if matcher.is_some() {
                writeln!(failures, "{place}: accepted, but Onigmo refuses it").expect("a string");
            }
        } else if let Some(engine) = line.strip_prefix("  engine: ") {
            let found = matcher.as_ref().map(|matcher| matcher.pattern().engine());
            if found.map(|engine| format!("{engine:?}")).as_deref() != Some(engine) {
                writeln!(failures, "{place}\n  is searched by {found:?}").expect("a string");
            }
        } else if let Some((text, expected)) = line.strip_prefix("  ").and_then(split_case) {
            checked += 1;
            let found = match &mut matcher {
                Some(matcher) => describe(matcher, &text),
                None => "refused".to_owned(),
            };
            if found != expected {
                writeln!(failures, "{place}\n  {line}\n  but found {found}").expect("a string");
            }
        } else {
            assert!(
                line.is_empty() || line.starts_with('#'),
                "{place}: not understood: {line}"
            );
        }
    }
    assert!(checked > 100, "{file}: only {checked} cases");
    assert!(failures.is_empty(), "{failures}");
}

/// `"text" = result`
fn split_case(line: &str) -> Option<(Vec<u8>, &str)> {
    let (quoted, expected) = line.rsplit_once("\" = ")?;
    Some((unescape(quoted.strip_prefix('"')?), expected))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (escape, tail) = rest.split_first().expect("an escape is complete");
        rest = tail;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
                out.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = &rest[2..];
            }
            other => out.push(*other),
        }
    }
    out
}

fn describe(matcher: &mut Matcher, text: &[u8]) -> String {
    let groups = matcher.pattern().group_count();
    let is_match = matcher.is_match(text);
    if !text.contains(&b'\n') && matcher.is_match_in_line(text) != is_match {
        return "another answer for one line".to_owned();
    }
    let Some(captures) = matcher.captures(text) else {
        return if is_match {
            "a match without captures".to_owned()
        } else {
            "none".to_owned()
        };
    };
    let mut out = String::new();
    for group in 0..=groups {
        let space = if group > 0 { " " } else { "" };
        match captures.get(group) {
            Some(range) => write!(out, "{space}{}..{}", range.start, range.end),
            None => write!(out, "{space}-"),
        }
        .expect("a string takes everything");
    }
    out
}
