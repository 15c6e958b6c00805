//! Values of a batch → JSON text, byte for byte as Fluent Bit writes it.
//!
//! Compact, keys in their order; of several equal keys of one map only the last is written, at its own place. Floats are
//! `%.1f` when whole, else `%.16g`. Binary values are written like text. What JSON cannot say is written as Fluent Bit
//! does: extensions as `"\x00\x01"`, NaN (unless it becomes null) and the infinities as `nan`, `inf`, `-inf`. Other than
//! upstream, which writes keys that are not text without quotes, every key has its quotes.

use super::keys::Layout;
use super::values::Values;
use crate::{Batch, Field, Fields, Record, Value};

pub use super::date::DateFormat;

/// The `[SERVICE]` settings that shape JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// `json.escape_unicode`: non-ASCII characters become `\uXXXX`; off, they are written as they are. Default on.
    pub escape_unicode: bool,
    /// `json.convert_nan_to_null`: NaN becomes `null` instead of `nan`, which is not JSON. Default off.
    pub nan_to_null: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            escape_unicode: true,
            nan_to_null: false,
        }
    }
}

/// The key under which the time of an event is written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Date {
    /// `json_date_key`.
    pub key: Box<[u8]>,
    /// `json_date_format`.
    pub format: DateFormat,
}

/// Writes JSON text. Keeps what it learns about keys from one object to the next, so use one for many.
#[derive(Clone, Debug)]
pub struct Writer {
    layout: Layout,
    values: Values,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer::new(Options::default())
    }
}

impl Writer {
    /// A writer with these settings.
    pub fn new(options: Options) -> Writer {
        Writer {
            layout: Layout::new(false),
            values: Values::new(options),
        }
    }

    /// Appends `fields` of `batch` as one object. Of several fields with the same key only the last is written.
    pub fn object(&mut self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
        let start = out.len();
        self.members(batch, batch.fields(fields), out);
        close_object(start, out);
    }

    /// Appends an event as outputs with `json_date_key` do: first its time (unless `date` is none or a field has the same
    /// key), then metadata and group attributes under `__internal__` if there are any, then its fields.
    ///
    /// `group` holds the attributes of the group that the event belongs to: the body of the last
    /// [`GroupStart`](crate::Marker::GroupStart).
    pub fn event(
        &mut self,
        batch: &Batch,
        record: &Record,
        group: Option<Fields>,
        date: Option<&Date>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let in_body = |key: &[u8]| batch.get(record.body, key).is_some();
        if let Some(date) = date.filter(|date| !in_body(&date.key)) {
            self.name(&date.key, out);
            date.format.write(record.time, out);
        }
        let has_internal =
            !record.metadata.is_empty() || group.is_some_and(|group| !group.is_empty());
        if has_internal && !in_body(INTERNAL) {
            self.name(INTERNAL, out);
            self.internal(batch, record, group, out);
        }
        self.members(batch, batch.fields(record.body), out);
        close_object(start, out);
    }

    /// Appends any value.
    pub fn value(&mut self, batch: &Batch, value: Value, out: &mut Vec<u8>) {
        self.values.write(batch, value, out);
    }

    /// Appends `text` as a JSON string with its quotes.
    pub fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        self.values.string(text, out);
    }

    fn internal(
        &mut self,
        batch: &Batch,
        record: &Record,
        group: Option<Fields>,
        out: &mut Vec<u8>,
    ) {
        out.push(b'{');
        if let Some(group) = group {
            out.extend_from_slice(b"\"group_attributes\":");
            self.value(batch, Value::Map(group), out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"log_metadata\":");
        self.value(batch, Value::Map(record.metadata), out);
        out.push(b'}');
    }

    /// Appends `,"key":value` for each field.
    fn members(&mut self, batch: &Batch, fields: &[Field], out: &mut Vec<u8>) {
        match self.layout.is_of(batch, fields, &mut self.values) {
            true => {
                self.layout.write(batch, fields, &mut self.values, out);
            }
            false => self.values.members(batch, fields, out),
        }
    }

    /// Appends `,"key":`.
    fn name(&self, key: &[u8], out: &mut Vec<u8>) {
        out.push(b',');
        self.string(key, out);
        out.push(b':');
    }
}

/// Writes objects into JSON strings: JSON text inside of JSON text, as services want it that take text in JSON.
#[derive(Clone, Debug)]
pub struct NestedWriter {
    layout: Layout,
    values: Values,
}

impl NestedWriter {
    /// A writer with these settings.
    pub fn new(options: Options) -> NestedWriter {
        NestedWriter {
            layout: Layout::new(true),
            values: Values::new(options),
        }
    }

    /// Appends the inside of the JSON string, without its quotes, that holds `fields` of `batch` as one object: what
    /// [`Writer::string`] makes of what [`Writer::object`] makes of them. Returns the length of the object itself.
    pub fn object(&mut self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let fields = batch.fields(fields);
        let more = match self.layout.is_of(batch, fields, &mut self.values) {
            true => self.layout.write(batch, fields, &mut self.values, out),
            false => self
                .values
                .nested(out, |values, json| values.members(batch, fields, json)),
        };
        close_object(start, out);
        out.len() - start - more
    }

    /// Gives back what is not in use.
    pub fn trim(&mut self) {
        *self = NestedWriter::new(self.values.options());
    }
}

const INTERNAL: &[u8] = b"__internal__";

/// Makes an object of the members written since `start`, each with a comma before it.
pub(super) fn close_object(start: usize, out: &mut Vec<u8>) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
