//! What the formats of keys and values share: times, types and decoders.

use std::ops::Range;

use config::{FieldType, ParserOptions};
use plugin::{BuildError, Log, Parsed, ParserContext};
use record::{Batch, Field, Span, Time, Value};

use crate::complaint::Complaint;
use crate::decoder::{self, Decoders};
use crate::time::TimeReader;
use crate::types;

/// A key and its value, as places in the line.
#[derive(Debug, PartialEq)]
pub struct Pair {
    /// The key, which is not empty.
    pub key: Range<usize>,
    /// The value, without quotes.
    pub value: Range<usize>,
    /// What the value is.
    pub kind: PairKind,
}

/// What the value of a pair is, where `Types` says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PairKind {
    /// Text as it stands.
    Text,
    /// Text with backslashes to be read.
    Escaped,
    /// None: that the key is there is the value.
    True,
}

/// Reads the next pair of a line from a position, which moves on; `None` is the end. An error makes the line fail.
pub type NextPair = fn(&[u8], &mut usize) -> Option<Result<Pair, Unfit>>;

/// A line that is not of the format.
#[derive(Debug, PartialEq)]
pub struct Unfit;

/// Turns lines of pairs into fields.
pub struct Pairs {
    next: NextPair,
    time: Option<TimeReader>,
    time_key: Vec<u8>,
    time_keep: bool,
    types: Vec<(String, FieldType)>,
    decoders: Decoders,
    log: Log,
    bad_times: Complaint,
}

impl Pairs {
    /// A parser as the options want it, whose pairs are read by `next`.
    ///
    /// # Errors
    ///
    /// When the time format is none.
    pub fn new(
        next: NextPair,
        options: &ParserOptions,
        context: &ParserContext,
    ) -> Result<Pairs, BuildError> {
        Ok(Pairs {
            next,
            time: TimeReader::new(options)?,
            time_key: options.time_key.clone().into_bytes(),
            time_keep: options.time_keep,
            types: options.types.0.clone(),
            decoders: Decoders::new(options),
            log: context.log.clone(),
            bad_times: Complaint::default(),
        })
    }

    fn value(&self, batch: &mut Batch, text: Span, pair: &Pair) -> Value {
        let value = text.slice(pair.value.clone());
        if !self.types.is_empty() {
            // As upstream, where there are types neither backslashes nor missing values mean anything.
            let key = batch.bytes(text.slice(pair.key.clone()));
            let given = self.types.iter().find(|(name, _)| name.as_bytes() == key);
            let kind = given.map_or(FieldType::String, |(_, kind)| *kind);
            return types::convert(batch, value, kind);
        }
        match pair.kind {
            PairKind::Text => Value::Str(value),
            PairKind::Escaped => Value::Str(decoder::unescaped_utf8(batch, value)),
            PairKind::True => Value::Bool(true),
        }
    }

    /// Reads the time if the pair is the time. An error is a time that cannot be read.
    fn time_of(&mut self, batch: &Batch, text: Span, pair: &Pair) -> Result<Option<Time>, Unfit> {
        let Some(reader) = &mut self.time else {
            return Ok(None);
        };
        let key = batch.bytes(text.slice(pair.key.clone()));
        if pair.value.is_empty() || key != self.time_key {
            return Ok(None);
        }
        let value = batch.bytes(text.slice(pair.value.clone()));
        if let Some(time) = reader.read(value) {
            return Ok(Some(time));
        }
        let shown = String::from_utf8_lossy(value).into_owned();
        self.bad_times.warn(&self.log, || {
            format!("invalid time format for '{shown}': the line is left as it is")
        });
        Err(Unfit)
    }

    fn fields(&mut self, batch: &mut Batch, text: Span) -> Result<Option<Time>, Unfit> {
        let (mut at, mut time) = (0, None);
        while let Some(pair) = (self.next)(batch.bytes(text), &mut at) {
            let pair = pair?;
            if let Some(found) = self.time_of(batch, text, &pair)? {
                time = Some(found);
                if !self.time_keep {
                    continue;
                }
            }
            let value = self.value(batch, text, &pair);
            batch.push(Field::new(text.slice(pair.key), value));
        }
        Ok(time)
    }
}

impl plugin::Parser for Pairs {
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let mark = batch.mark();
        let time = self.fields(batch, text);
        let (Ok(time), true) = (time, batch.mark() > mark) else {
            batch.rewind(mark);
            return None;
        };
        let body = batch.close(mark);
        let body = self.decoders.decode(batch, body);
        // The first instant of 1970 counts as no time, as upstream.
        let time = time.filter(|time| *time != Time::from_nanos(0));
        Some(Parsed { body, time })
    }
}
