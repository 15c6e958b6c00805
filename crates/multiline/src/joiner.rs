//! A list of multiline parsers, and what becomes of one line.

use std::ops::Range;
use std::time::{Duration, Instant};

use plugin::{Parsed, Parsers};
use record::{Batch, Fields, Record, Span, Time, Value};

use crate::context::{Context, Metadata};
use crate::group::{Group, Limits, Part};
use crate::owed::Owed;
use crate::parser::{Kind, LineParser};
use crate::rules::Step;
use crate::stream::{Room, Stream};
use crate::text::{Glue, Line};

/// A limit of 0 bytes is none for Fluent Bit; here no group ever takes more than this.
const BYTES_MAX: usize = 64 << 20;
/// No group has more lines than this.
const LINES_MAX: u32 = 100_000;
/// A group that gets ever more lines ends after so many times its timeout.
const AGE: u32 = 15;
/// Upstream refuses shorter timeouts.
const IDLE_MIN: Duration = Duration::from_millis(500);

/// Multiline parsers that are tried in order, with what they need on one thread.
pub struct Joiner {
    parsers: Vec<LineParser>,
    limits: Limits,
}

/// Where and when a line is read.
pub struct Place<'a> {
    /// Holds the line, and gets the fields of records.
    pub batch: &'a mut Batch,
    /// For what waits.
    pub now: Instant,
    /// The time of lines that name none.
    pub time: Time,
}

/// What came of lines. May be used again.
#[derive(Default)]
pub struct Joined {
    /// Records that are complete, in order; not in the batch yet.
    pub records: Vec<Made>,
    /// How often a record reached the limit of bytes.
    pub truncated: u64,
    /// What the records of the present line get as theirs: the line's position, say.
    pub trigger: u64,
    /// The name of the text's field, in the arena of the batch with this number.
    key: Option<(u64, Vec<u8>, Span)>,
}

/// A record that was made of lines.
pub struct Made {
    /// Its fields are in the batch; its position is set by [`crate::assign`].
    pub record: Record,
    /// What is owed for its lines.
    pub owed: Owed,
    /// See [`Joined::trigger`].
    pub trigger: u64,
}

impl Joined {
    /// `name` in the arena of `batch`, written there once.
    pub(crate) fn key(&mut self, batch: &mut Batch, name: &[u8]) -> Span {
        match &self.key {
            Some((id, known, span)) if *id == batch.id() && known == name => *span,
            _ => {
                let span = batch.put(name);
                self.key = Some((batch.id(), name.to_vec(), span));
                span
            }
        }
    }
}

impl Joiner {
    /// The parsers `names`, in this order; `content` overrides their field of the text.
    ///
    /// # Errors
    /// When one of them does not exist or does not work.
    pub fn new<'a>(
        names: impl IntoIterator<Item = &'a String>,
        content: Option<&str>,
        parsers: &dyn Parsers,
    ) -> Result<Joiner, String> {
        let (mut own, mut idle) = (Vec::new(), Duration::ZERO);
        for name in names {
            let Some(options) = parsers.multiline(name) else {
                let known = parsers.multiline_names();
                let near = config::nearest(name, known.iter().map(String::as_str));
                let near = near.map_or(String::new(), |near| format!("did you mean '{near}'? "));
                let known = known.join(", ");
                return Err(format!(
                    "there is no multiline parser '{name}'; {near}there are: {known}"
                ));
            };
            // As upstream, the longest of all counts for all.
            idle = idle.max(options.flush_timeout.0);
            own.push(LineParser::new(options, content, parsers)?);
        }
        if own.is_empty() {
            return Err("'multiline.parser' names no parser".to_owned());
        }
        let bytes = match parsers.multiline_limit() {
            0 => BYTES_MAX,
            bytes => bytes.min(BYTES_MAX),
        };
        let limits = Limits {
            bytes,
            lines: LINES_MAX,
            idle,
            age: idle * AGE,
        };
        Ok(Joiner {
            parsers: own,
            limits,
        })
    }

    /// The same with another timeout than the parsers'.
    pub fn with_timeout(mut self, idle: Duration) -> Joiner {
        self.limits.idle = idle;
        self.limits.age = idle * AGE;
        self
    }

    /// How long a group waits for its next line.
    ///
    /// # Errors
    /// When that is shorter than upstream allows: half a second.
    pub fn timeout(&self) -> Result<Duration, String> {
        let idle = self.limits.idle;
        match idle >= IDLE_MIN {
            true => Ok(idle),
            false => Err(format!(
                "a flush timeout of {} ms is too low: 500 is the least",
                idle.as_millis()
            )),
        }
    }

    /// Takes a line of text that stands at `range` of the batch's source, and at `position` of its own, for which the batch's
    /// obligation stands.
    #[inline]
    pub fn line(
        &mut self,
        stream: &mut Stream,
        range: Range<usize>,
        position: Range<u64>,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) {
        if !self.goes_on(stream, &range, &position, place) {
            self.any_line(stream, range, position, place, out);
        }
    }

    /// Adds a line to the one before it, if it is of the kind that mostly follows there: whether it is.
    #[inline]
    fn goes_on(
        &mut self,
        stream: &mut Stream,
        range: &Range<usize>,
        position: &Range<u64>,
        place: &Place<'_>,
    ) -> bool {
        let (Some(last), [group]) = (stream.last, &mut stream.groups[..]) else {
            return false;
        };
        let parser = &self.parsers[last];
        let (Kind::Rules(rules), None) = (&parser.kind, &parser.parser) else {
            return false;
        };
        if group.parser != last || !group.name.is_empty() {
            return false;
        }
        let text = &place.batch.source()[range.clone()];
        let Some(rule) = rules.goes_on(group.state, text) else {
            return false;
        };
        let goes_on = group.extend(range, position, &self.limits, place);
        if goes_on {
            group.state = Some(rule);
        }
        goes_on
    }

    /// Takes any line.
    #[inline(never)]
    pub(crate) fn any_line(
        &mut self,
        stream: &mut Stream,
        range: Range<usize>,
        position: Range<u64>,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) {
        let mut part = Part {
            line: Line {
                span: place.batch.span(range.clone()),
                range: Some(range),
            },
            context: Context::None,
            metadata: Fields::EMPTY,
            time: place.time,
            owed: Owed::new(position.clone(), position),
        };
        for index in order(stream.last, self.parsers.len()) {
            if self.try_line(index, stream, &mut part, place, out) {
                stream.last = Some(index);
                return;
            }
        }
        // A line that belongs to nothing ends everything.
        self.flush(stream, place, out);
        self.alone(stream, &mut part, place, out);
    }

    /// Takes a record of the batch.
    pub fn record(
        &mut self,
        stream: &mut Stream,
        record: &Record,
        owed: Owed,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) {
        let mut owed = owed;
        for index in order(stream.last, self.parsers.len()) {
            if self.try_record(index, stream, record, &mut owed, place, out) {
                stream.last = Some(index);
                return;
            }
        }
        self.flush(stream, place, out);
        let mut metadata = Metadata::default();
        metadata.add(place.batch, record.metadata);
        let metadata = metadata.fields(place.batch, false);
        out.records.push(Made {
            record: Record {
                time: record.time,
                metadata,
                body: record.body,
                marker: record.marker,
                ..Record::default()
            },
            owed,
            trigger: out.trigger,
        });
    }

    /// Makes records of everything that waits.
    pub fn flush(&self, stream: &mut Stream, place: &mut Place<'_>, out: &mut Joined) {
        for group in &mut stream.groups {
            group.flush(&self.parsers[group.parser], place, out);
        }
    }

    /// Makes records of what has waited long enough.
    pub fn expire(&self, stream: &mut Stream, place: &mut Place<'_>, out: &mut Joined) {
        for group in &mut stream.groups {
            if group
                .deadline(&self.limits)
                .is_some_and(|deadline| deadline <= place.now)
            {
                group.flush(&self.parsers[group.parser], place, out);
            }
        }
    }

    /// When something of `stream` will have waited long enough.
    pub fn deadline(&self, stream: &Stream) -> Option<Instant> {
        let groups = stream.groups.iter();
        groups
            .filter_map(|group| group.deadline(&self.limits))
            .min()
    }

    /// Makes a record of one line. The first parser says how its field is called.
    fn alone(&self, stream: &mut Stream, part: &mut Part, place: &mut Place<'_>, out: &mut Joined) {
        let index = self.group(0, stream, None, place, out);
        let group = &mut stream.groups[index];
        group.add(
            part,
            Glue::Nothing,
            &self.parsers[0],
            &self.limits,
            place,
            out,
        );
        group.flush(&self.parsers[0], place, out);
    }

    /// Whether a parser takes the line.
    fn try_line(
        &mut self,
        index: usize,
        stream: &mut Stream,
        part: &mut Part,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> bool {
        let Some(parser) = &mut self.parsers[index].parser else {
            return self.take(index, stream, part, &Found::default(), place, out);
        };
        let mark = place.batch.mark();
        let Some(parsed) = parser.parse(place.batch, part.line.span) else {
            return false;
        };
        let record = Record {
            time: parsed.time.unwrap_or(place.time),
            body: parsed.body,
            ..Record::default()
        };
        let is_taken = self.take_fields(index, stream, &record, &mut part.owed, place, out);
        if !is_taken {
            place.batch.rewind(mark);
        }
        is_taken
    }

    /// Whether a parser takes the record.
    fn try_record(
        &mut self,
        index: usize,
        stream: &mut Stream,
        record: &Record,
        owed: &mut Owed,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> bool {
        let LineParser { parser, keys, .. } = &mut self.parsers[index];
        let mut record = *record;
        if let (Some(parser), Some(key)) = (parser, &keys.content) {
            let Some((_, text)) = text_field(place.batch, record.body, key) else {
                return false;
            };
            let Some(Parsed { body, time }) = parser.parse(place.batch, text) else {
                return false;
            };
            record.body = body;
            record.time = time.unwrap_or(record.time);
        }
        self.take_fields(index, stream, &record, owed, place, out)
    }

    /// Takes a line that is fields, if one of them is the text, and what is owed for it.
    fn take_fields(
        &mut self,
        index: usize,
        stream: &mut Stream,
        record: &Record,
        owed: &mut Owed,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> bool {
        let keys = &self.parsers[index].keys;
        let find = |key: &Option<Vec<u8>>| text_field(place.batch, record.body, key.as_ref()?);
        let Some((at, span)) = find(&keys.content) else {
            return false;
        };
        let found = Found {
            pattern: find(&keys.pattern).map(|(_, span)| span),
            group: find(&keys.group).map(|(_, span)| span),
        };
        let mut part = Part {
            line: Line { span, range: None },
            context: Context::Here(record.body, at),
            metadata: record.metadata,
            time: record.time,
            owed: std::mem::take(owed),
        };
        let is_taken = self.take(index, stream, &mut part, &found, place, out);
        if !is_taken {
            *owed = part.owed;
        }
        is_taken
    }

    /// Adds a line to its group, if it belongs to one or begins one: whether it does.
    fn take(
        &mut self,
        index: usize,
        stream: &mut Stream,
        part: &mut Part,
        found: &Found,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> bool {
        let at = self.group(index, stream, found.group, place, out);
        let group = &mut stream.groups[at];
        let parser = &mut self.parsers[index];
        let text = place.batch.bytes(part.line.span);
        let marked = found.pattern.map_or(text, |span| place.batch.bytes(span));
        let is_last = match &mut parser.kind {
            Kind::Rules(rules) => {
                let step = rules.step(group.state, text);
                let (rule, glue) = match step {
                    Step::Nothing => return false,
                    Step::Continues(rule) => (rule, Glue::Line),
                    Step::Starts(rule) => (rule, Glue::Nothing),
                };
                let ends = rules.ends(rule);
                if glue == Glue::Nothing {
                    group.flush(parser, place, out);
                }
                group.state = Some(rule);
                if group.add(part, glue, parser, &self.limits, place, out) {
                    // As upstream, nothing more is added to a record that was too long.
                    group.state = None;
                    true
                } else {
                    ends
                }
            }
            Kind::EndsWith(_) | Kind::Equal(_) => {
                let is_last = match &parser.kind {
                    Kind::EndsWith(mark) => mark.is_at_end_of(marked),
                    Kind::Equal(mark) => Some(mark.is(marked)),
                    Kind::Rules(_) => None,
                };
                let Some(is_last) = is_last else {
                    return false;
                };
                let glue = match parser.ends_lines() {
                    true => Glue::LineEnd,
                    false => Glue::Nothing,
                };
                group.add(part, glue, parser, &self.limits, place, out);
                is_last
            }
        };
        if is_last {
            stream.groups[at].flush(&self.parsers[index], place, out);
        }
        true
    }

    #[inline]
    fn group(
        &self,
        parser: usize,
        stream: &mut Stream,
        name: Option<Span>,
        place: &mut Place<'_>,
        out: &mut Joined,
    ) -> usize {
        // Mostly there is one, without a name.
        if let (None, Some(only)) = (name, stream.groups.first())
            && only.parser == parser
            && only.name.is_empty()
        {
            return 0;
        }
        let name = name.map_or(&b""[..], |span| place.batch.bytes(span));
        match stream.group(parser, name, place.now) {
            Room::Found(index) => index,
            Room::Full(index) => {
                let name = name.to_vec();
                let mut oldest = stream.groups.remove(index);
                oldest.flush(&self.parsers[parser], place, out);
                // At the end, so that of those that wait equally long the older stands first.
                stream.groups.push(Group::new(parser, &name, place.now));
                stream.groups.len() - 1
            }
        }
    }
}

/// Fields that say something about a line.
#[derive(Default)]
struct Found {
    /// What is looked at for the mark.
    pattern: Option<Span>,
    /// The stream it is of.
    group: Option<Span>,
}

/// The parser that took the last line first, then the others in their order.
fn order(last: Option<usize>, count: usize) -> impl Iterator<Item = usize> {
    let others = (0..count).filter(move |index| Some(*index) != last);
    last.into_iter().chain(others)
}

/// The first field `key` that is text.
fn text_field(batch: &Batch, fields: Fields, key: &[u8]) -> Option<(usize, Span)> {
    let mut fields = batch.fields(fields).iter().enumerate();
    fields.find_map(|(index, field)| match field.value {
        Value::Str(text) if batch.key_is(field.key, key) => Some((index, text)),
        _ => None,
    })
}
