//! msgpack → records and values of a batch, without copies.

use std::convert::Infallible;
use std::ops::Range;

use super::head::{Head, head, text};
use super::{Error, MAX_DEPTH, Reader};
use crate::builder::{Builder, Run};
use crate::{Batch, Field, Fields, Key, Marker, Record, Span, Time, Value};

/// Reads one event from the start of `bytes`, a span of `batch`: the record, and how many bytes it took. The record is
/// not appended to the batch and its position is zero: that is the caller's.
///
/// Understood are `[[time, metadata], body]` (V2) and `[time, body]` (V1, and legacy with whole seconds), for times see
/// [`time`]. Order and duplicate keys are kept. No run of fields may be open in the batch.
///
/// # Errors
/// When that is not what `bytes` start with. Nothing of it is left in the batch.
pub fn event(batch: &mut Batch, bytes: Span) -> Result<(Record, usize), Error> {
    read(batch, bytes, |walker| walker.event())
}

/// Reads events that follow each other from the start of `bytes`, a span of `batch`, `most` at most, and appends their records to
/// the batch, up to the first that is not what [`event`] reads: how many there were, and how many bytes they took.
pub fn events(batch: &mut Batch, bytes: Span, most: usize) -> (usize, usize) {
    let mut records = std::mem::take(batch.records_mut());
    let before = records.len();
    let Ok(taken) = batch.read(bytes, |space, out| {
        let mut walker = Walker::new(&space[bytes.range()], bytes, out);
        while walker.at < walker.bytes.len() && records.len() - before < most {
            let (at, fields, scratch) = walker.mark();
            match walker.event() {
                Ok(record) => records.push(record),
                Err(_) => {
                    walker.rewind((at, fields, scratch));
                    break;
                }
            }
        }
        Ok::<_, Infallible>(walker.at)
    });
    let read = records.len() - before;
    *batch.records_mut() = records;
    (read, taken)
}

/// Appends the record that lies at `at` of `bytes`, which will be the batch's source ([`Batch::with_source`]): seconds or an
/// EventTime, and a map behind it. Where it ends.
///
/// # Errors
/// When there is something else. Nothing of it is left in the batch.
pub fn record_of_coming_source(batch: &mut Batch, bytes: &[u8], at: usize) -> Result<usize, Error> {
    let (time, body_at) = message_time(bytes, at).ok_or(Error::Malformed {
        offset: at,
        reason: "expected a time as it is usually written",
    })?;
    let span = Span::in_source(body_at..bytes.len());
    let (body, taken) = batch.read_coming_source(|out| {
        let mut walker = Walker::new(&bytes[body_at..], span, out);
        let body = walker.map("expected a map as the body of the message")?;
        Ok::<_, Error>((body, walker.at))
    })?;
    batch.push_record(Record {
        time,
        body,
        ..Record::default()
    });
    Ok(body_at + taken)
}

/// The time of a message at `at` of `bytes` and where it ends, if it is whole and written as Docker, Fluentd and Fluent Bit write
/// it.
#[inline(always)]
fn message_time(bytes: &[u8], at: usize) -> Option<(Time, usize)> {
    let rest = bytes.get(at..)?;
    let seconds = match *rest.first()? {
        0xce => i64::from(u32::from_be_bytes(*rest[1..].first_chunk()?)),
        0xd2 => i64::from(i32::from_be_bytes(*rest[1..].first_chunk()?)),
        _ => {
            let (time, marker) = quick_time(rest)?;
            return (marker == Marker::None).then_some((time, at + EVENT_TIME_LEN));
        }
    };
    (seconds >= 0).then(|| (Time::new(seconds, 0), at + 5))
}

/// Reads one value of any kind from the start of `bytes`: the value, and how many bytes it took.
///
/// # Errors
/// When `bytes` do not start with a value. Nothing of it is left in the batch.
pub fn value(batch: &mut Batch, bytes: Span) -> Result<(Value, usize), Error> {
    read(batch, bytes, |walker| walker.value(0, None))
}

/// Reads the time of an event: whole seconds (never negative), seconds as a float, or EventTime. For frames that hold a
/// single event; see [`event`] for markers of groups.
///
/// # Errors
/// For everything else, with the reader where it was.
pub fn time(reader: &mut Reader<'_>) -> Result<Time, Error> {
    let before = reader.clone();
    let time = time_value(reader).and_then(|(time, marker)| match marker {
        Marker::None => Ok(time),
        _ => {
            let reason = "a group marker is no time";
            Err(Error::Malformed {
                offset: before.offset(),
                reason,
            })
        }
    });
    if time.is_err() {
        *reader = before;
    }
    time
}

/// The seconds by which EventTime marks the start and the end of a group.
pub(super) const GROUP_START: u32 = u32::MAX;
pub(super) const GROUP_END: u32 = u32::MAX - 1;
/// The extension that is EventTime.
pub(super) const EVENT_TIME: i8 = 0;

fn time_value(reader: &mut Reader<'_>) -> Result<(Time, Marker), Error> {
    use super::Type;
    let offset = reader.offset();
    if let Some(time) = quick_time(reader.rest()) {
        reader.go_to(offset + EVENT_TIME_LEN);
        return Ok(time);
    }
    let malformed = |reason| Err(Error::Malformed { offset, reason });
    match reader.peek()? {
        Type::Int => match reader.uint() {
            Ok(seconds) => Ok((
                Time::new(i64::try_from(seconds).unwrap_or(i64::MAX), 0),
                Marker::None,
            )),
            Err(_) => malformed("negative seconds are no time"),
        },
        Type::Float => match reader.float()? {
            seconds if seconds.is_finite() => Ok((float_time(seconds), Marker::None)),
            _ => malformed("not a number is no time"),
        },
        Type::Ext => match reader.ext()? {
            (EVENT_TIME, &[a, b, c, d, e, f, g, h]) => event_time(
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            )
            .ok_or(Error::Malformed {
                offset,
                reason: "nanoseconds out of range",
            }),
            _ => malformed("not the extension EventTime"),
        },
        _ => malformed("expected a time"),
    }
}

/// How many bytes an EventTime has as Fluent Bit, Fluentd and Docker write it.
const EVENT_TIME_LEN: usize = 10;

/// The EventTime at the start of `bytes`, if it is written as usual and in order.
#[inline(always)]
fn quick_time(bytes: &[u8]) -> Option<(Time, Marker)> {
    let &[0xd7, 0, a, b, c, d, e, f, g, h] = bytes.first_chunk::<EVENT_TIME_LEN>()? else {
        return None;
    };
    let seconds = u32::from_be_bytes([a, b, c, d]);
    event_time(seconds, u32::from_be_bytes([e, f, g, h]))
}

fn float_time(seconds: f64) -> Time {
    let whole = seconds.trunc();
    let nanoseconds = ((seconds - whole) * 1e9) as i64;
    Time::from_nanos(
        (whole as i64)
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    )
}

fn event_time(seconds: u32, nanoseconds: u32) -> Option<(Time, Marker)> {
    match (seconds, nanoseconds) {
        (GROUP_START, 0) => Some((Time::new(-1, 0), Marker::GroupStart)),
        (GROUP_END, 0) => Some((Time::new(-2, 0), Marker::GroupEnd)),
        (GROUP_END.., _) => None,
        (_, 0..1_000_000_000) => Some((Time::new(i64::from(seconds), nanoseconds), Marker::None)),
        _ => None,
    }
}

fn read<T>(
    batch: &mut Batch,
    bytes: Span,
    read: impl FnOnce(&mut Walker<'_, '_>) -> Result<T, Error>,
) -> Result<(T, usize), Error> {
    batch.read(bytes, |space, out| {
        let mut walker = Walker::new(&space[bytes.range()], bytes, out);
        let result = read(&mut walker)?;
        Ok((result, walker.at))
    })
}

struct Walker<'a, 'b> {
    bytes: &'a [u8],
    at: usize,
    span: Span,
    out: &'a mut Builder<'b>,
}

impl<'a, 'b> Walker<'a, 'b> {
    /// At the start of `bytes`, which are those of `span`.
    #[inline(always)]
    fn new(bytes: &'a [u8], span: Span, out: &'a mut Builder<'b>) -> Walker<'a, 'b> {
        Walker {
            bytes,
            at: 0,
            span,
            out,
        }
    }

    /// Where it stands, in the bytes and in what it appends to.
    #[inline(always)]
    fn mark(&self) -> (usize, usize, usize) {
        (self.at, self.out.fields.len(), self.out.scratch.len())
    }

    /// Goes back to where it stood.
    fn rewind(&mut self, (at, fields, scratch): (usize, usize, usize)) {
        self.at = at;
        self.out.fields.truncate(fields);
        self.out.scratch.truncate(scratch);
    }

    #[inline(always)]
    fn event(&mut self) -> Result<Record, Error> {
        self.pair("expected an event: an array of two")?;
        let (time, marker, metadata) = self.event_header().map_err(|error| error.followed_by(1))?;
        let body = self.map("expected a map as the body of the event")?;
        Ok(Record {
            time,
            metadata,
            body,
            marker,
            ..Record::default()
        })
    }

    #[inline(always)]
    fn event_header(&mut self) -> Result<(Time, Marker, Fields), Error> {
        if !matches!(self.head()?.0, Head::Array(_)) {
            let (time, marker) = self.time()?;
            return Ok((time, marker, Fields::EMPTY));
        }
        self.pair("expected an event header: an array of two")?;
        let (time, marker) = self.time().map_err(|error| error.followed_by(1))?;
        let metadata = self.map("expected a map as the metadata of the event")?;
        Ok((time, marker, metadata))
    }

    #[inline(always)]
    fn time(&mut self) -> Result<(Time, Marker), Error> {
        if let Some(time) = quick_time(&self.bytes[self.at..]) {
            self.at += EVENT_TIME_LEN;
            return Ok(time);
        }
        self.other_time()
    }

    #[inline(never)]
    fn other_time(&mut self) -> Result<(Time, Marker), Error> {
        let mut reader = Reader::new(&self.bytes[self.at..]);
        let time = time_value(&mut reader).map_err(|error| self.shifted(error))?;
        self.at += reader.offset();
        Ok(time)
    }

    /// An error of a reader that started here.
    fn shifted(&self, error: Error) -> Error {
        match error {
            Error::Malformed { offset, reason } => Error::Malformed {
                offset: offset + self.at,
                reason,
            },
            incomplete => incomplete,
        }
    }

    #[inline(always)]
    fn pair(&mut self, reason: &'static str) -> Result<(), Error> {
        match self.head() {
            Ok((Head::Array(2), end)) => {
                self.at = end;
                Ok(())
            }
            Ok(_) => Err(self.malformed(reason)),
            Err(error) => Err(error.followed_by(1)),
        }
    }

    #[inline(always)]
    fn map(&mut self, reason: &'static str) -> Result<Fields, Error> {
        match self.head()? {
            (Head::Map(len), end) => {
                self.at = end;
                self.pairs(len, 1)
            }
            _ => Err(self.malformed(reason)),
        }
    }

    /// The value that starts here; `outer` is the run that it will be pushed to.
    fn value(&mut self, depth: usize, outer: Option<&mut Run>) -> Result<Value, Error> {
        let (head, end) = self.head()?;
        let value = match head {
            Head::Nil => Value::Null,
            Head::Bool(value) => Value::Bool(value),
            Head::Int(value) => Value::Int(value),
            Head::Uint(value) => Value::Uint(value),
            Head::Float(value) => Value::Float(value),
            Head::Str(len) => return self.body(end, len).map(Value::Str),
            Head::Bin(len) => return self.body(end, len).map(Value::Bin),
            Head::Ext(kind, len) => return self.body(end, len).map(|span| Value::Ext(kind, span)),
            Head::Array(_) | Head::Map(_) if depth == MAX_DEPTH => {
                return Err(self.malformed("nested too deep"));
            }
            Head::Array(len) => {
                self.enter(end, outer);
                return self.items(len, depth + 1).map(Value::Array);
            }
            Head::Map(len) => {
                self.enter(end, outer);
                return self.pairs(len, depth + 1).map(Value::Map);
            }
        };
        self.at = end;
        Ok(value)
    }

    fn enter(&mut self, at: usize, outer: Option<&mut Run>) {
        self.at = at;
        if let Some(outer) = outer {
            self.out.set_aside(outer);
        }
    }

    fn items(&mut self, len: usize, depth: usize) -> Result<Fields, Error> {
        let mut run = self.out.open();
        for index in 0..len {
            let value = self
                .value(depth, Some(&mut run))
                .map_err(|error| error.followed_by(len - index - 1))?;
            self.out.push(&run, Field::item(value));
        }
        Ok(self.out.close(run))
    }

    /// What a record mostly consists of is read here, and where it lies does not come back through memory: it would be written in
    /// two halves and read as a whole, which stalls.
    #[inline(always)]
    fn pairs(&mut self, len: usize, depth: usize) -> Result<Fields, Error> {
        let mut run = self.out.open();
        for index in 0..len {
            let Some(field) = self.texts() else {
                self.pairs_from(&mut run, index..len, depth)?;
                break;
            };
            self.out.push(&run, field);
        }
        Ok(self.out.close(run))
    }

    /// The pairs of `run` that are left.
    #[inline(never)]
    fn pairs_from(&mut self, run: &mut Run, left: Range<usize>, depth: usize) -> Result<(), Error> {
        let len = left.end;
        for index in left {
            let field = match self.texts() {
                Some(field) => field,
                None => self
                    .field(depth, run)
                    .map_err(|error| error.followed_by(2 * (len - index - 1)))?,
            };
            self.out.push(run, field);
        }
        Ok(())
    }

    /// A text and its key, as most fields are, if nothing else is here.
    #[inline(always)]
    fn texts(&mut self) -> Option<Field> {
        let key = text(self.bytes, self.at)?;
        let value = text(self.bytes, key.end)?;
        self.at = value.end;
        Some(Field::new(
            self.span.part(key),
            Value::Str(self.span.part(value)),
        ))
    }

    #[inline(never)]
    fn field(&mut self, depth: usize, run: &mut Run) -> Result<Field, Error> {
        let key = self.key(depth).map_err(|error| error.followed_by(1))?;
        Ok(Field {
            key,
            value: self.value(depth, Some(run))?,
        })
    }

    /// Text keys are their text; a key of another type is kept as it is encoded, if it is a value at all.
    #[inline]
    fn key(&mut self, depth: usize) -> Result<Key, Error> {
        let start = self.at;
        if let (Head::Str(len), end) = self.head()? {
            return self.body(end, len).map(Key::text);
        }
        let (fields, scratch) = (self.out.fields.len(), self.out.scratch.len());
        self.value(depth, None)?;
        self.out.fields.truncate(fields);
        self.out.scratch.truncate(scratch);
        Ok(Key::msgpack(self.span.slice(start..self.at)))
    }

    /// The span of the `len` bytes at `start`, which are taken.
    #[inline]
    fn body(&mut self, start: usize, len: usize) -> Result<Span, Error> {
        let left = self.bytes.len() - start;
        if len > left {
            return Err(Error::Incomplete { needed: len - left });
        }
        self.at = start + len;
        Ok(self.span.slice(start..start + len))
    }

    #[inline]
    fn head(&self) -> Result<(Head, usize), Error> {
        head(self.bytes, self.at)
    }

    fn malformed(&self, reason: &'static str) -> Error {
        Error::Malformed {
            offset: self.at,
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_frames;
