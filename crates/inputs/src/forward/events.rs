//! Records of a frame → records of a batch.

use std::ops::Range;

use record::msgpack::{Error, Reader, Type, read};
use record::{Batch, Fields, Record, Time, Value};

/// Entries that take more bytes than this are counted before they are read: see [`VALUES_MAX`].
const WINDOW: usize = 256 << 10;
/// The most values in one record of more than [`WINDOW`] bytes. A value of one byte takes many in memory.
const VALUES_MAX: usize = 250_000;
const TOO_MANY: &str = "a record has more than 250000 values";

/// Appends the record of a Message whose time begins at `at` of the batch's source. Returns whether its time had to be
/// replaced.
pub fn message(
    batch: &mut Batch,
    parts: Range<usize>,
    metadata: Option<Range<usize>>,
) -> Result<bool, &'static str> {
    let mut reader = Reader::new(&batch.source()[parts.clone()]);
    let (time, is_replaced) = time_or_now(&mut reader).map_err(reason)?;
    let start = parts.start + reader.offset();
    let body = map(batch, start..parts.end)?.0;
    let metadata = match metadata {
        Some(range) => map(batch, range)?.0,
        None => Fields::EMPTY,
    };
    batch.push_record(Record {
        time,
        body,
        metadata,
        ..Record::default()
    });
    Ok(is_replaced)
}

/// Appends the record of a Message without options whose time is at `at` of `bytes`, which will be the batch's source. Where it
/// ends. An error says that it does not lie there whole, in at most `most` bytes, and as senders usually write it.
pub fn usual_message(
    batch: &mut Batch,
    bytes: &[u8],
    at: usize,
    most: usize,
) -> Result<usize, Error> {
    let end = bytes.len().min(at.saturating_add(most.min(WINDOW)));
    read::record_of_coming_source(batch, &bytes[..end], at)
}

/// Appends the entry at the start of `range` of the batch's source. Returns how many bytes it took, and whether its time
/// had to be replaced.
pub fn entry(batch: &mut Batch, range: Range<usize>) -> Result<(usize, bool), &'static str> {
    let window = range.start..range.end.min(range.start + WINDOW);
    let is_cut = window.end < range.end;
    let span = batch.span(window);
    match read::event(batch, span) {
        Ok((record, used)) => {
            batch.push_record(record);
            Ok((used, false))
        }
        Err(Error::Incomplete { .. }) if is_cut => {
            check_values(&batch.source()[range.clone()])?;
            let span = batch.span(range.clone());
            match read::event(batch, span) {
                Ok((record, used)) => {
                    batch.push_record(record);
                    Ok((used, false))
                }
                Err(error) => untimely_entry(batch, range, error),
            }
        }
        Err(error) => untimely_entry(batch, range, error),
    }
}

/// An entry that cannot be read because of its time alone is kept.
fn untimely_entry(
    batch: &mut Batch,
    range: Range<usize>,
    error: Error,
) -> Result<(usize, bool), &'static str> {
    let source = batch.source().clone();
    let mut reader = Reader::new(&source[range.clone()]);
    let Ok((time, metadata)) = untimely_header(&mut reader) else {
        return Err(reason(error));
    };
    let (start, body_at) = (range.start, range.start + reader.offset());
    let metadata = match metadata {
        Some(metadata) => map(batch, start + metadata.start..start + metadata.end)?.0,
        None => Fields::EMPTY,
    };
    let (body, used) = map(batch, body_at..range.end)?;
    batch.push_record(Record {
        time,
        body,
        metadata,
        ..Record::default()
    });
    Ok((body_at - start + used, true))
}

/// The header of an entry whose time is none: the time of arrival, and where the metadata lies.
fn untimely_header(reader: &mut Reader<'_>) -> Result<(Time, Option<Range<usize>>), Error> {
    let malformed = Error::Malformed {
        offset: 0,
        reason: "not an entry",
    };
    if reader.array()? != 2 {
        return Err(malformed);
    }
    let has_metadata = reader.peek()? == Type::Array;
    if has_metadata && reader.array()? != 2 {
        return Err(malformed);
    }
    let (time, is_replaced) = time_or_now(reader)?;
    if !is_replaced {
        return Err(malformed);
    }
    let metadata = match has_metadata {
        true => {
            let start = reader.offset();
            reader.skip(usize::MAX)?;
            Some(start..reader.offset())
        }
        false => None,
    };
    Ok((time, metadata))
}

/// A time; the time of arrival in place of a number or an extension that is none, which is said besides.
fn time_or_now(reader: &mut Reader<'_>) -> Result<(Time, bool), Error> {
    match read::time(reader) {
        Ok(time) => Ok((time, false)),
        Err(Error::Malformed { .. })
            if matches!(reader.peek()?, Type::Int | Type::Float | Type::Ext) =>
        {
            reader.skip(usize::MAX)?;
            Ok((Time::now(), true))
        }
        Err(error) => Err(error),
    }
}

/// Reads the map at the start of `range` of the batch's source: its fields, and how many bytes it took.
fn map(batch: &mut Batch, range: Range<usize>) -> Result<(Fields, usize), &'static str> {
    if range.len() > WINDOW {
        check_values(&batch.source()[range.clone()])?;
    }
    let span = batch.span(range);
    match read::value(batch, span).map_err(reason)? {
        (Value::Map(fields), used) => Ok((fields, used)),
        _ => Err("a record is a map"),
    }
}

/// Refuses a value at the start of `bytes` that holds too many others.
fn check_values(bytes: &[u8]) -> Result<(), &'static str> {
    let mut reader = Reader::new(bytes);
    let (mut pending, mut seen) = (1usize, 0usize);
    while pending > 0 {
        let children = reader.pass().map_err(reason)?;
        seen += 1;
        pending = (pending - 1).saturating_add(children);
        if seen.saturating_add(pending) > VALUES_MAX {
            return Err(TOO_MANY);
        }
    }
    Ok(())
}

fn reason(error: Error) -> &'static str {
    match error {
        Error::Malformed { reason, .. } => reason,
        Error::Incomplete { .. } => "an entry ends with its frame",
    }
}

/// Entries that follow each other.
#[derive(Debug)]
pub struct Entries {
    range: Range<usize>,
    /// How many are left, where a frame says so; else they end with their range.
    left: Option<usize>,
}

impl Entries {
    /// The `count` entries in `range` of a source, or all that there are.
    pub fn new(range: Range<usize>, count: Option<usize>) -> Entries {
        Entries { range, left: count }
    }

    /// Bytes that are not read.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether every entry is read.
    pub fn is_done(&self) -> bool {
        match self.left {
            Some(left) => left == 0,
            None => self.range.is_empty(),
        }
    }

    /// Appends the entries that come next and are in order, `most` at most: not those that take so many bytes that their values must
    /// be counted first.
    pub fn read_usual(&mut self, batch: &mut Batch, most: usize) {
        let Range { start, end } = self.range;
        let span = batch.span(start..end.min(start + WINDOW));
        let most = self.left.map_or(most, |left| left.min(most));
        let (records, used) = read::events(batch, span, most);
        self.range.start += used;
        self.left = self.left.map(|left| left - records);
    }

    /// Appends the next entry to `batch`, whose source they lie in. Returns whether its time had to be replaced.
    pub fn read(&mut self, batch: &mut Batch) -> Result<bool, &'static str> {
        let (used, is_replaced) = entry(batch, self.range.clone())?;
        self.range.start += used;
        self.left = self.left.map(|left| left - 1);
        Ok(is_replaced)
    }

    /// Cuts off what was read: where it ends in the source, from which positions count now.
    pub fn rebase(&mut self) -> usize {
        let start = self.range.start;
        self.range = 0..self.range.len();
        start
    }
}
