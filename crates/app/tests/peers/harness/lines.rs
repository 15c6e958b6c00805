//! What containers wrote, and what of it is in the objects.

use serde_json::Value;

/// What NGINX wrote, as the post's parser takes it: the paths of the requests that it reads, and all other lines whole.
#[derive(Debug, Default, PartialEq)]
pub struct Lines {
    paths: Vec<String>,
    others: Vec<String>,
}

impl Lines {
    /// Sorts a container's output, without the newlines.
    pub fn written<'a>(lines: impl IntoIterator<Item = &'a str>) -> Lines {
        let mut sorted = Lines::default();
        for line in lines {
            match path_of(line) {
                Some(path) => sorted.paths.push(path.to_owned()),
                None => sorted.others.push(line.to_owned()),
            }
        }
        sorted.sorted()
    }

    /// Sorts records: parsed ones have a `path`, the others still have their `log`.
    pub fn delivered(records: &[Value]) -> Lines {
        let mut sorted = Lines::default();
        for record in records {
            match (record["path"].as_str(), record["log"].as_str()) {
                (Some(path), None) => sorted.paths.push(path.to_owned()),
                (None, Some(log)) => sorted.others.push(log.trim_end_matches('\n').to_owned()),
                _ => panic!("neither parsed nor left alone: {record}"),
            }
        }
        sorted.sorted()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.paths.len() + self.others.len()
    }

    fn sorted(mut self) -> Lines {
        self.paths.sort();
        self.others.sort();
        self
    }
}

/// The path of a line that the post's pattern reads: an access line with its time in the fourth place that ends in `"-"`. A
/// runtime that is behind writes a line in parts, each of which is a line of its own.
fn path_of(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once('"')?;
    let has_time = before.ends_with("] ") && before.splitn(4, ' ').nth(3)?.starts_with('[');
    let (request, _) = behind.split_once('"')?;
    (has_time && line.ends_with(" \"-\""))
        .then(|| request.split(' ').nth(1))
        .flatten()
}

/// Checks that what is delivered is what was written, each line as often as it was written.
pub fn assert_exactly_once(written: &Lines, records: &[Value]) {
    let delivered = Lines::delivered(records);
    let missing = difference(written, &delivered);
    let repeated = difference(&delivered, written);
    assert!(
        missing.is_empty() && repeated.is_empty(),
        "missing: {missing:#?}\nmore than written: {repeated:#?}"
    );
}

/// What `left` has more of than `right`.
fn difference(left: &Lines, right: &Lines) -> Vec<String> {
    let mut rest: Vec<&String> = right.paths.iter().chain(&right.others).collect();
    let mut more = Vec::new();
    for line in left.paths.iter().chain(&left.others) {
        match rest.iter().position(|other| *other == line) {
            Some(index) => drop(rest.swap_remove(index)),
            None => more.push(line.clone()),
        }
    }
    more
}

/// The line as the post's `docker` parser leaves it: its decoder `escaped` takes the backslash from what is no escape to it,
/// such as the `\x22` that NGINX writes for a quote.
pub fn unescaped(line: &str) -> String {
    line.replace("\\x", "x")
}

/// The agent of a request as NGINX writes it.
pub const AGENT: &str = "Mozilla/5.0 (test \\x22\\xC3\\xA9\\x22)";

/// Checks one parsed record whole.
pub fn assert_parsed(records: &[Value], path: &str, agent: &str) {
    let record = records
        .iter()
        .find(|record| record["path"] == path)
        .unwrap_or_else(|| panic!("no record of {path}"));
    let expected = serde_json::json!({
        "remote": "127.0.0.1", "host": "-", "user": "-", "method": "GET", "path": path, "code": "200", "size": "3",
        "referer": "-", "agent": agent,
    });
    assert_eq!(*record, expected);
}
