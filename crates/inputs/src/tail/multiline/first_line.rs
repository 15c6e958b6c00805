//! `Multiline on`: a message begins with a line that `parser_firstline` takes (upstream `in_tail/tail_multiline.c`).

use std::ops::Range;
use std::time::{Duration, Instant};

use ::multiline::{Joined, Made, Owed, Place};
use plugin::{BuildError, Parsed, Parser, Parsers};
use record::{Batch, Field, Fields, Record, Time, Value, msgpack};

use super::super::Options;

/// A message that gets ever more lines ends after so many times `multiline_flush`.
const AGE: u32 = 15;
/// No message has more lines.
const LINES_MAX: u32 = 100_000;

/// Joins lines by parsers.
pub struct FirstLine {
    first: Box<dyn Parser>,
    others: Vec<Box<dyn Parser>>,
    key: Vec<u8>,
    wait: Duration,
    limit: usize,
    /// Messages that are older are left out.
    ignore_older: Duration,
}

/// The lines of a message that have come.
#[derive(Default)]
pub struct Message {
    open: Option<Open>,
    /// The last message was left out, and so are its lines.
    skipping: bool,
    pub owed: Owed,
}

struct Open {
    /// What the parsers made of lines, and what is appended to the last field of each.
    parts: Vec<Part>,
    bytes: usize,
    lines: u32,
    time: Time,
    since: Instant,
    touched: Instant,
}

struct Part {
    /// The fields, encoded.
    fields: Vec<u8>,
    /// Whether something can be appended to the last one.
    takes_text: bool,
    /// With a line end before each line.
    text: Vec<u8>,
}

impl FirstLine {
    pub fn new(options: &Options, parsers: &dyn Parsers) -> Result<FirstLine, BuildError> {
        let own = &options.multiline;
        let Some(first) = own.first_line_parser() else {
            return Err(
                "'multiline on' needs 'parser_firstline', the parser of a message's first line"
                    .into(),
            );
        };
        let make = |name: &str| {
            let parser = parsers.make(name);
            parser.ok_or_else(|| BuildError(format!("multiline: {}", parsers.missing(name))))
        };
        Ok(FirstLine {
            first: make(first)?,
            others: own
                .other_line_parsers()
                .map(make)
                .collect::<Result<_, _>>()?,
            key: options.key.clone().into_bytes(),
            wait: own.multiline_flush.0.max(Duration::from_secs(1)),
            limit: match parsers.multiline_limit() {
                0 => usize::MAX,
                limit => limit,
            },
            ignore_older: options.ignore_older.0,
        })
    }

    pub fn line(
        &mut self,
        message: &mut Message,
        range: Range<usize>,
        owed: Owed,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) {
        let span = place.batch.span(range.clone());
        if let Some(parsed) = self.first.parse(place.batch, span) {
            self.flush(message, place, out);
            let time = parsed.time.unwrap_or(place.time);
            message.skipping = self.is_old(time, place.time);
            if message.skipping {
                owed.dismiss();
                return;
            }
            message.open = Some(Open {
                parts: vec![Part::new(place.batch, parsed.body)],
                bytes: range.len(),
                lines: 1,
                time,
                since: place.now,
                touched: place.now,
            });
            message.owed.join(owed);
            return;
        }
        if message.skipping {
            owed.dismiss();
            return;
        }
        let is_full =
            |open: &Open| open.bytes + range.len() > self.limit || open.lines >= LINES_MAX;
        if message.open.as_ref().is_some_and(is_full) {
            out.truncated += 1;
            self.flush(message, place, out);
        }
        let mut others = self.others.iter_mut();
        let parsed = others.find_map(|parser| parser.parse(place.batch, span));
        match (&mut message.open, parsed) {
            (Some(open), Some(parsed)) => open.parts.push(Part::new(place.batch, parsed.body)),
            (None, Some(Parsed { body, time })) => {
                let time = time.unwrap_or(place.time);
                out.records.push(made(body, time, owed, out.trigger));
                return;
            }
            (Some(Open { parts, .. }), None)
                if parts.last().is_some_and(|part| part.takes_text) =>
            {
                if let Some(part) = parts.last_mut() {
                    part.text.push(b'\n');
                    part.text
                        .extend_from_slice(&place.batch.source()[range.clone()]);
                }
            }
            (_, None) => {
                let key = place.batch.put(&self.key);
                let mark = place.batch.mark();
                place.batch.push(Field::new(key, Value::Str(span)));
                let body = place.batch.close(mark);
                out.records.push(made(body, place.time, owed, out.trigger));
                return;
            }
        }
        if let Some(open) = &mut message.open {
            open.bytes += range.len();
            open.lines += 1;
            open.touched = place.now;
        }
        message.owed.join(owed);
    }

    fn is_old(&self, time: Time, now: Time) -> bool {
        let age = i64::try_from(self.ignore_older.as_secs()).unwrap_or(i64::MAX);
        age > 0 && now.seconds().saturating_sub(age) > time.seconds()
    }

    /// Makes a record of the message.
    pub fn flush(&mut self, message: &mut Message, place: &mut Place<'_>, out: &mut Joined) {
        let Some(open) = message.open.take() else {
            return;
        };
        let owed = std::mem::take(&mut message.owed);
        let batch = &mut *place.batch;
        let parts: Vec<Fields> = open.parts.iter().map(|part| part.fields(batch)).collect();
        let mark = batch.mark();
        parts.into_iter().for_each(|part| batch.push_copy(part));
        let body = batch.close(mark);
        out.records.push(made(body, open.time, owed, out.trigger));
    }

    pub fn deadline(&self, message: &Message) -> Option<Instant> {
        let open = message.open.as_ref()?;
        Some((open.touched + self.wait).min(open.since + self.wait * AGE))
    }
}

impl Message {
    pub fn is_new(&self) -> bool {
        self.open.is_none() && !self.skipping
    }

    pub fn footprint(&self) -> usize {
        let parts = self.open.iter().flat_map(|open| &open.parts);
        let bytes = |part: &Part| size_of::<Part>() + part.fields.capacity() + part.text.capacity();
        parts.map(bytes).sum()
    }
}

impl Part {
    fn new(batch: &Batch, body: Fields) -> Part {
        let mut fields = Vec::new();
        msgpack::write::map(batch, body, &mut fields);
        let last = batch.fields(body).last();
        Part {
            fields,
            takes_text: last.is_some_and(|last| matches!(last.value, Value::Str(_))),
            text: Vec::new(),
        }
    }

    /// Its fields in `batch`, with the text appended to the last one.
    fn fields(&self, batch: &mut Batch) -> Fields {
        let span = batch.put(&self.fields);
        let Ok((Value::Map(fields), _)) = msgpack::read::value(batch, span) else {
            return Fields::EMPTY;
        };
        let Some(last) = batch.fields(fields).last().copied() else {
            return fields;
        };
        if let (Value::Str(first), false) = (last.value, self.text.is_empty()) {
            let text = batch.make_from(first, |first, arena| {
                arena.extend_from_slice(first);
                arena.extend_from_slice(&self.text);
            });
            let value = Value::Str(text);
            batch.set(fields, fields.len() - 1, Field { value, ..last });
        }
        fields
    }
}

fn made(body: Fields, time: Time, owed: Owed, trigger: u64) -> Made {
    Made {
        record: Record {
            time,
            body,
            ..Record::default()
        },
        owed,
        trigger,
    }
}
