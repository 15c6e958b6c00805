//! Lines that belong together and wait for more.

use std::ops::Range;
use std::time::{Duration, Instant};

use record::{Batch, Field, Obligation, Record, Time, Value};

use crate::context::{Context, Metadata};
use crate::joiner::{Joined, Made, Place};
use crate::owed::Owed;
use crate::parser::LineParser;
use crate::text::{Glue, Line, Text};

/// What a group may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of its text.
    pub bytes: usize,
    pub lines: u32,
    /// How long it waits for the next line.
    pub idle: Duration,
    /// How long it may take altogether.
    pub age: Duration,
}

/// A line on its way into a group.
pub(crate) struct Part {
    pub line: Line,
    pub context: Context,
    pub metadata: record::Fields,
    pub time: Time,
    pub owed: Owed,
}

/// The lines of one parser in one stream that belong together.
pub(crate) struct Group {
    /// Which parser.
    pub parser: usize,
    /// The value of `key_group`.
    pub name: Vec<u8>,
    /// The rule that the last line has matched.
    pub state: Option<usize>,
    /// How many lines wait.
    lines: u32,
    text: Text,
    context: Context,
    metadata: Metadata,
    time: Time,
    truncated: bool,
    owed: Owed,
    since: Instant,
    touched: Instant,
}

impl Group {
    pub fn new(parser: usize, name: &[u8], now: Instant) -> Group {
        Group {
            parser,
            name: name.to_vec(),
            state: None,
            lines: 0,
            text: Text::default(),
            context: Context::None,
            metadata: Metadata::default(),
            time: Time::from_nanos(0),
            truncated: false,
            owed: Owed::default(),
            since: now,
            touched: now,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    pub fn touched(&self) -> Instant {
        self.touched
    }

    /// When it counts as complete, if nothing comes.
    pub fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let deadline = (self.touched + limits.idle).min(self.since + limits.age);
        (self.lines > 0).then_some(deadline)
    }

    /// Bytes of memory that what waits takes beside the batch.
    pub fn footprint(&self) -> usize {
        match self.lines {
            0 => 0,
            _ => {
                let parts = self.context.footprint() + self.metadata.footprint();
                size_of::<Group>() + self.text.footprint() + parts
            }
        }
    }

    /// Copies what lies in `batch`, which is about to go.
    pub fn park(&mut self, batch: &Batch) {
        self.text.park(batch);
        self.context.park(batch);
    }

    /// Takes its part of the present batch's obligation, which is about to go.
    pub fn hold(&mut self, batch: &mut Obligation) {
        self.owed.hold(batch);
    }

    /// How many positions of earlier batches wait.
    pub fn waiting(&self) -> u64 {
        self.owed.waiting()
    }

    /// Adds a line. Whatever exceeds the limit of bytes goes into a record of its own: `true`, if that happened.
    pub fn add(
        &mut self,
        part: &mut Part,
        glue: Glue,
        parser: &LineParser,
        limits: &Limits,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> bool {
        if self.lines >= limits.lines {
            self.flush(parser, place, out);
        }
        self.touched = place.now;
        let line = &mut part.line;
        let mut truncated = false;
        loop {
            if self.lines == 0 {
                self.since = place.now;
                self.time = part.time;
                self.context = part.context.clone();
            }
            if part.metadata != record::Fields::EMPTY {
                self.metadata.add(place.batch, part.metadata);
            }
            let glue_len = usize::from(glue != Glue::Nothing && self.text.len() > 0);
            let room = limits.bytes.saturating_sub(self.text.len() + glue_len);
            if line.span.len() <= room {
                break;
            }
            let bytes = place.batch.bytes(line.span);
            let cut = match boundary(bytes, room) {
                0 if self.text.len() == 0 => room,
                cut => cut,
            };
            if cut > 0 {
                self.text.add(place.batch, &line.slice(0..cut), glue);
                self.owed.join(part.owed.cut(cut as u64));
                *line = line.slice(cut..line.span.len());
            }
            self.lines += 1;
            self.truncated = true;
            truncated = true;
            out.truncated += 1;
            self.flush(parser, place, out);
        }
        self.text.add(place.batch, line, glue);
        self.lines += 1;
        self.owed.append(&mut part.owed);
        truncated
    }

    /// Adds a line at `range` of the batch's source if it follows the one before it and there is room, as mostly: whether it is
    /// added.
    #[inline]
    pub fn extend(
        &mut self,
        range: &Range<usize>,
        position: &Range<u64>,
        limits: &Limits,
        place: &Place<'_>,
    ) -> bool {
        let Some(end) = self.text.end_with(place.batch, range) else {
            return false;
        };
        let has_room = self.text.len() + 1 + range.len() <= limits.bytes
            && (1..limits.lines).contains(&self.lines);
        if !has_room || !self.owed.extend(position) {
            return false;
        }
        self.text.extend(end);
        self.lines += 1;
        self.touched = place.now;
        true
    }

    /// Makes a record of what waits. An empty text without other fields makes none.
    pub fn flush(&mut self, parser: &LineParser, place: &mut Place<'_>, out: &mut Joined) {
        if self.lines == 0 {
            return;
        }
        self.lines = 0;
        let owed = std::mem::take(&mut self.owed);
        let text = self.text.take(place.batch, parser.ends_lines());
        let truncated = std::mem::take(&mut self.truncated);
        let metadata = std::mem::take(&mut self.metadata).fields(place.batch, truncated);
        let body = match (std::mem::take(&mut self.context), text) {
            (Context::None, None) => {
                owed.dismiss();
                return;
            }
            (Context::None, Some(text)) => {
                let key = out.key(place.batch, parser.text_key());
                let mark = place.batch.mark();
                place.batch.push(Field::new(key, Value::Str(text)));
                place.batch.close(mark)
            }
            (context, text) => context.body(place.batch, text),
        };
        out.records.push(Made {
            record: Record {
                time: self.time,
                metadata,
                body,
                ..Record::default()
            },
            owed,
            trigger: out.trigger,
        });
    }
}

/// The most of `bytes` up to `len` that does not end inside of a UTF-8 character.
fn boundary(bytes: &[u8], len: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..4.min(len + 1))
        .map(|back| len - back)
        .find(|at| !is_inside(*at))
        .unwrap_or(len)
}
