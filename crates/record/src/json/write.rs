//! Values of a batch → JSON text, byte for byte as Fluent Bit writes it.

use crate::{Batch, Fields, Record, Time, Value};

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

/// `json_date_format`: how the time of an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateFormat {
    /// Seconds as a float of 16 digits: `1795355641.663014`.
    #[default]
    Double,
    /// `2026-11-22T14:00:06.662928Z`.
    Iso8601,
    /// Whole seconds.
    Epoch,
    /// Whole milliseconds.
    EpochMs,
    /// `2026-11-22 14:00:06.662928`.
    JavaSqlTimestamp,
}

/// The key under which the time of an event is written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Date {
    /// `json_date_key`.
    pub key: Box<[u8]>,
    /// `json_date_format`.
    pub format: DateFormat,
}

/// Writes JSON text.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    options: Options,
}

impl Writer {
    /// A writer with these settings.
    pub fn new(options: Options) -> Writer {
        Writer { options }
    }

    /// Appends `fields` of `batch` as one object. Of several fields with the same key only the last is written.
    pub fn object(&mut self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
        let _ = (batch, fields, out, self.options);
        unimplemented!()
    }

    /// Appends the body of `record` as one object whose first key is the date's, unless a field has the same key.
    pub fn dated(&mut self, batch: &Batch, record: &Record, date: &Date, out: &mut Vec<u8>) {
        let _ = (batch, record, date, out);
        unimplemented!()
    }

    /// Appends any value.
    pub fn value(&mut self, batch: &Batch, value: Value, out: &mut Vec<u8>) {
        let _ = (batch, value, out);
        unimplemented!()
    }

    /// Appends `text` as a JSON string with its quotes.
    pub fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        let _ = (text, out);
        unimplemented!()
    }
}

impl DateFormat {
    /// The format of this configuration word, in any case; `None` for an unknown word.
    pub fn from_name(name: &str) -> Option<DateFormat> {
        let _ = name;
        unimplemented!()
    }

    /// Appends `time` as a JSON value.
    pub fn write(self, time: Time, out: &mut Vec<u8>) {
        let _ = (time, out);
        unimplemented!()
    }
}
