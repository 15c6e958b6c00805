//! `Docker_Mode on`: lines that Docker has cut, as text (upstream `in_tail/tail_dockermode.c`).

use std::ops::Range;
use std::time::{Duration, Instant};

use ::multiline::{Joined, Made, Owed, Place};
use plugin::{Log, Parser, Parsers};
use record::{Field, Record, Span, Time, Value, json};

use super::super::Options;

/// A message that gets ever more parts ends after so many times `docker_mode_flush`.
const AGE: u32 = 15;

/// Joins the texts of Docker's lines.
pub struct DockerMode {
    /// Takes the joined line apart.
    parser: Option<Box<dyn Parser>>,
    /// Recognises the first line of a message.
    first: Option<Box<dyn Parser>>,
    key: Vec<u8>,
    wait: Duration,
    limit: usize,
    ignore_older: Duration,
}

/// The parts of a line that have come.
#[derive(Default)]
pub struct Parts {
    /// The joined text, with its escapes.
    text: Vec<u8>,
    /// The last line; the text takes its place in it.
    line: Vec<u8>,
    /// Where the text is in it.
    at: Range<usize>,
    is_complete: bool,
    /// A first line was seen.
    first_seen: bool,
    pub owed: Owed,
    since: Option<Instant>,
    touched: Option<Instant>,
}

impl DockerMode {
    /// What the options ask for. Parsers that do not exist are reported, and done without, as upstream.
    pub fn new(options: &Options, parsers: &dyn Parsers, log: &Log) -> DockerMode {
        let make = |name: &Option<String>| {
            let name = name.as_ref()?;
            let parser = parsers.make(name);
            if parser.is_none() {
                log.error(format_args!("{}", parsers.missing(name)));
            }
            parser
        };
        let own = &options.multiline;
        let seconds = u64::try_from(own.docker_mode_flush).unwrap_or(0).max(1);
        DockerMode {
            parser: options.parser.as_ref().and_then(|name| parsers.make(name)),
            first: make(&own.docker_mode_parser),
            key: options.key.clone().into_bytes(),
            wait: Duration::from_secs(seconds),
            limit: match parsers.multiline_limit() {
                0 => usize::MAX,
                limit => limit,
            },
            ignore_older: options.ignore_older.0,
        }
    }

    pub fn line(
        &mut self,
        parts: &mut Parts,
        range: Range<usize>,
        owed: Owed,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) {
        let span = place.batch.span(range.clone());
        if let Some(first) = &mut self.first {
            let mark = place.batch.mark();
            let is_first = first.parse(place.batch, span).is_some();
            place.batch.rewind(mark);
            parts.first_seen |= is_first;
            if parts.is_complete && (is_first || !parts.first_seen) {
                self.flush(parts, place, out);
            }
        }
        let source = place.batch.source().clone();
        let line = &source[range];
        let Some(at) = log_text(line) else {
            // Not one of Docker's lines.
            self.flush(parts, place, out);
            self.record(span, owed, place, out);
            return;
        };
        let text = &line[at.clone()];
        if !parts.is_new() && parts.text.len() + text.len() > self.limit {
            out.truncated += 1;
            self.flush(parts, place, out);
        }
        parts.text.extend_from_slice(text);
        parts.line.clear();
        parts.line.extend_from_slice(line);
        parts.at = at;
        parts.is_complete = ends_line(text);
        parts.since = parts.since.or(Some(place.now));
        parts.touched = Some(place.now);
        parts.owed.join(owed);
        if parts.is_complete && self.first.is_none() {
            self.flush(parts, place, out);
        }
    }

    /// Makes a record of the parts.
    pub fn flush(&mut self, parts: &mut Parts, place: &mut Place<'_>, out: &mut Joined) {
        if parts.touched.is_none() {
            return;
        }
        let Range { start, end } = parts.at;
        let span = place.batch.make(|arena| {
            arena.extend_from_slice(&parts.line[..start]);
            arena.extend_from_slice(&parts.text);
            arena.extend_from_slice(&parts.line[end..]);
        });
        let first_seen = parts.first_seen;
        let done = std::mem::take(parts);
        parts.first_seen = first_seen;
        self.record(span, done.owed, place, out);
    }

    fn record(&mut self, line: Span, owed: Owed, place: &mut Place<'_>, out: &mut Joined) {
        let parsed = match &mut self.parser {
            Some(parser) => parser.parse(place.batch, line),
            None => None,
        };
        let (body, time) = match parsed {
            Some(parsed) => (parsed.body, parsed.time.unwrap_or(place.time)),
            None => {
                let key = place.batch.put(&self.key);
                let mark = place.batch.mark();
                place.batch.push(Field::new(key, Value::Str(line)));
                (place.batch.close(mark), place.time)
            }
        };
        if self.is_old(time, place.time) {
            owed.dismiss();
            return;
        }
        out.records.push(Made {
            record: Record {
                time,
                body,
                ..Record::default()
            },
            owed,
            trigger: out.trigger,
        });
    }

    fn is_old(&self, time: Time, now: Time) -> bool {
        let age = i64::try_from(self.ignore_older.as_secs()).unwrap_or(i64::MAX);
        age > 0 && now.seconds().saturating_sub(age) > time.seconds()
    }

    pub fn deadline(&self, parts: &Parts) -> Option<Instant> {
        let (since, touched) = (parts.since?, parts.touched?);
        Some((touched + self.wait).min(since + self.wait * AGE))
    }
}

impl Parts {
    pub fn is_new(&self) -> bool {
        self.touched.is_none() && !self.first_seen
    }

    pub fn footprint(&self) -> usize {
        self.text.capacity() + self.line.capacity()
    }
}

/// Where the text of the member `log` of an object stands in its line, without the quotes.
fn log_text(line: &[u8]) -> Option<Range<usize>> {
    let mut at = skip_blanks(line, 0);
    if line.get(at) != Some(&b'{') {
        return None;
    }
    json::read::skip(&line[at..]).ok()?;
    at = skip_blanks(line, at + 1);
    while line.get(at) == Some(&b'"') {
        let key = at + 1..at + json::read::skip(&line[at..]).ok()? - 1;
        at = skip_blanks(line, key.end + 1);
        at = skip_blanks(line, at + 1);
        let len = json::read::skip(&line[at..]).ok()?;
        if &line[key] == b"log" {
            return (line[at] == b'"').then(|| at + 1..at + len - 1);
        }
        at = skip_blanks(line, at + len);
        at = skip_blanks(line, at + usize::from(line.get(at) == Some(&b',')));
    }
    None
}

fn skip_blanks(line: &[u8], at: usize) -> usize {
    let blanks = line.get(at..).unwrap_or_default().iter();
    at + blanks.take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Whether escaped text ends with a line end.
fn ends_line(text: &[u8]) -> bool {
    let escaped = |mark: &[u8]| {
        let before = text.strip_suffix(mark)?;
        let slashes = before
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        Some(slashes % 2 == 1)
    };
    [&b"n"[..], b"u000a", b"u000A"]
        .into_iter()
        .any(|mark| escaped(mark) == Some(true))
}
