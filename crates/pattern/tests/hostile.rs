//! Texts that were made to take forever, searched with patterns that people have and with patterns that ask for it.

use std::path::Path;
use std::time::{Duration, Instant};

use pattern::{Engine, Pattern};

/// Far more than any search takes, without optimisation and on a busy machine; far less than one that is not linear.
const PATIENCE: Duration = Duration::from_secs(120);

const LEN: usize = 1 << 16;

/// Patterns that take exponential or quadratic time in a backtracking engine.
const EVIL: &[&str] = &[
    "(a+)+$",
    "^(a|a)*$",
    "^(a|aa)+$",
    "(x+x+)+y",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(.*)*=(.*)*;",
    "(.*a){20}$",
    r"^(\w+\s?)*$",
    r"\s+$",
    r"(?<key>\S+?)\s*=\s*(?<value>.*?)\s*$",
    // These need backtracking, whose steps are counted.
    r"^(?<a>a+)+\k<a>$",
    r"^(?=(a+)+b)a*$",
    r"(?<!b)(a+)+$",
    r"(?>a+)+b",
];

/// Of each step of a backtracking search, which without optimisation takes fifty times as long.
const LEN_STEPWISE: usize = 66_000;

/// Lines of `len` bytes, with something at their end that spoils a match.
fn texts(len: usize) -> Vec<Vec<u8>> {
    let repeated = |piece: &str, end: &str| {
        let mut text = piece.repeat(len / piece.len()).into_bytes();
        text.extend_from_slice(end.as_bytes());
        text
    };
    vec![
        repeated("a", "!"),
        repeated("x", ""),
        repeated(" ", "x"),
        repeated("a ", "\""),
        repeated("\"\\", ""),
        repeated("[] ", "\""),
        repeated("1.2.3.4 - - [", "x"),
        repeated("<34>Oct 11 22:14:15 ", ""),
        repeated("=;", "!"),
        vec![0xff; len],
    ]
}

/// The patterns of the shipped parsers.
fn shipped() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onigmo/shipped.cases");
    let cases = std::fs::read_to_string(path).expect("the case file is part of the repository");
    let patterns = cases
        .lines()
        .filter_map(|line| line.strip_prefix("pattern: "));
    patterns.map(str::to_owned).collect()
}

#[test]
fn no_text_takes_more_than_a_bounded_time() {
    let (long, shorter) = (texts(LEN), texts(LEN_STEPWISE));
    let patterns = shipped();
    assert!(
        patterns.len() > 10,
        "{} patterns are shipped",
        patterns.len()
    );
    for text in patterns
        .iter()
        .map(String::as_str)
        .chain(EVIL.iter().copied())
    {
        let pattern = Pattern::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut matcher = pattern.matcher();
        let texts = match pattern.engine() {
            Engine::Backtrack => &shorter,
            _ => &long,
        };
        for line in texts {
            let start = Instant::now();
            let _ = matcher.captures(line);
            let took = start.elapsed();
            assert!(
                took < PATIENCE,
                "{text} ({:?}) took {took:?} on {:?}…",
                pattern.engine(),
                String::from_utf8_lossy(&line[..20])
            );
        }
    }
}

#[test]
fn a_search_that_gives_up_finds_nothing_and_the_next_one_is_well() {
    let pattern = Pattern::new(r"^(?=(a+)+b)a*b$").expect("a pattern");
    let mut matcher = pattern.matcher();
    for len in [100, 5_000, 66_000] {
        assert!(matcher.captures("a".repeat(len).as_bytes()).is_none());
        assert!(matcher.captures(b"aaab").is_some());
        // What needs few steps is found in any text.
        let text = format!("{}b", "a".repeat(len));
        assert!(matcher.captures(text.as_bytes()).is_some(), "{len}");
    }
}

#[test]
fn groups_that_call_themselves_inside_each_other_are_refused() {
    let text = r"(?<a>\((?:x|\g<a>)y(?<b>\((?:z|\g<a>)\))\))";
    let error = Pattern::new(text).expect_err("a pattern without end");
    let said = error.to_string();
    assert!(said.contains("cannot be compiled"), "{said}");
    // One that calls itself once is what people write.
    let pattern = Pattern::new(r"(?<p>\((?:[^()]|\g<p>)*\))").expect("a pattern");
    assert!(pattern.matcher().captures(b"a(b(c)d)e").is_some());
}
