//! Values as JSON text.

use bytes::Bytes;

use super::keys::Duplicates;
use super::room::Room;
use super::write::{Options, close_object};
use super::{number, short, text};
use crate::{Batch, Field, Fields, Key, Span, Tag, Value, msgpack};

/// Writes values, with all that they hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    options: Options,
    duplicates: Duplicates,
    /// For each map that is being written, the indexes of its fields that are left out.
    replaced: Vec<u32>,
    /// In how many keys that are no text, one inside the other, the values stand.
    keys_around: u8,
    /// JSON text that becomes the inside of a string.
    scratch: Vec<u8>,
}

/// A key that is no text stands as JSON inside of a JSON string, so each level of them doubles the escapes of the one
/// below. Deeper ones are written by their bytes, or a few thousand bytes of them would take for ever.
const KEYS_AROUND_MAX: u8 = 2;

impl Values {
    pub fn new(options: Options) -> Values {
        Values {
            options,
            ..Values::default()
        }
    }

    pub fn options(&self) -> Options {
        self.options
    }

    /// Appends `text` as a JSON string with its quotes.
    pub fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        text::quoted(text, 0..text.len(), self.options.escape_unicode, out);
    }

    /// Appends the text `span` without quotes.
    pub fn inside(&self, batch: &Batch, span: Span, out: &mut Vec<u8>) {
        let escape_unicode = self.options.escape_unicode;
        text::write(batch.space(span), span.range(), escape_unicode, out);
    }

    /// The same as part of JSON text that itself is the inside of a JSON string: by how many bytes it is longer for that.
    pub fn nested_inside(&mut self, batch: &Batch, span: Span, out: &mut Vec<u8>) -> usize {
        text::write_nested(
            batch.space(span),
            span.range(),
            self.options.escape_unicode,
            &mut self.scratch,
            out,
        )
    }

    /// Appends JSON text as the inside of a JSON string: by how many bytes it became longer.
    pub fn again(&self, json: &[u8], out: &mut Vec<u8>) -> usize {
        text::again(json, self.options.escape_unicode, out)
    }

    /// Appends `value` as the inside of a JSON string: by how many bytes it is longer for that.
    pub fn write_nested(&mut self, batch: &Batch, value: Value, out: &mut Vec<u8>) -> usize {
        match value {
            // Nothing in them is escaped.
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) => {
                self.write(batch, value, out);
                0
            }
            _ => self.nested(out, |values, json| values.write(batch, value, json)),
        }
    }

    /// Appends what `write` appends, as the inside of a JSON string: by how many bytes it became longer.
    pub fn nested(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Values, &mut Vec<u8>),
    ) -> usize {
        let mut json = std::mem::take(&mut self.scratch);
        json.clear();
        write(self, &mut json);
        let more = self.again(&json, out);
        self.scratch = json;
        more
    }

    /// Appends `value`.
    pub fn write(&mut self, batch: &Batch, value: Value, out: &mut Vec<u8>) {
        match value {
            Value::Float(value) if value.is_nan() && self.options.nan_to_null => {
                out.extend_from_slice(b"null")
            }
            Value::Float(value) => number::write_float(value, out),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) => {
                let is_short = short::write(value, out);
                debug_assert!(is_short);
            }
            Value::Str(span) | Value::Bin(span) => self.text(batch, span, out),
            Value::Ext(_, span) => extension(batch.bytes(span), out),
            Value::Array(items) => self.array(batch, items, out),
            Value::Map(fields) => self.map(batch, fields, out),
        }
    }

    fn array(&mut self, batch: &Batch, items: Fields, out: &mut Vec<u8>) {
        let (mut room, mut next) = Room::new(out);
        next = room.reserve(next, 1);
        // SAFETY: so much was reserved.
        next = unsafe { next.put_byte(b'[') };
        for (index, item) in batch.fields(items).iter().enumerate() {
            next = room.reserve(next, 1 + short::MOST);
            // SAFETY: so much was reserved.
            let written = unsafe {
                next = next.put([b','; 8], usize::from(index > 0));
                short::put(next, item.value)
            };
            next = match written {
                Some(next) => next,
                None => room.lend(next, |out| self.write(batch, item.value, out)).0,
            };
        }
        next = room.reserve(next, 1);
        // SAFETY: so much was reserved.
        next = unsafe { next.put_byte(b']') };
        room.end(next);
    }

    fn map(&mut self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) {
        let start = out.len();
        self.members(batch, batch.fields(fields), out);
        close_object(start, out);
    }

    /// Appends `,"key":value` for each field that no later one replaces.
    pub fn members(&mut self, batch: &Batch, fields: &[Field], out: &mut Vec<u8>) {
        let mark = self.replaced.len();
        self.duplicates.find(batch, fields, &mut self.replaced);
        let mut next = mark;
        for (index, field) in fields.iter().enumerate() {
            if self.replaced.get(next) == Some(&(index as u32)) {
                next += 1;
                continue;
            }
            out.push(b',');
            self.key(batch, field.key, out);
            out.push(b':');
            self.write(batch, field.value, out);
        }
        self.replaced.truncate(mark);
    }

    /// Whether all keys are text and none comes twice.
    pub fn has_plain_keys(&mut self, batch: &Batch, fields: &[Field]) -> bool {
        let mark = self.replaced.len();
        self.duplicates.find(batch, fields, &mut self.replaced);
        let unique = self.replaced.len() == mark;
        self.replaced.truncate(mark);
        unique && !fields.iter().any(|field| field.key.is_msgpack())
    }

    fn key(&self, batch: &Batch, key: Key, out: &mut Vec<u8>) {
        if !key.is_msgpack() {
            return self.text(batch, key.span(), out);
        }
        if self.keys_around == KEYS_AROUND_MAX {
            return extension(batch.bytes(key.span()), out);
        }
        // Rare enough to be read like a record of its own.
        let mut own = Batch::new(
            Tag::from(""),
            Bytes::copy_from_slice(batch.bytes(key.span())),
        );
        let encoding = own.span(0..own.source().len());
        let mut text = Vec::new();
        if let Ok((value, _)) = msgpack::read::value(&mut own, encoding) {
            let mut values = Values::new(self.options);
            values.keys_around = self.keys_around + 1;
            values.write(&own, value, &mut text);
        }
        if text.starts_with(b"\"") {
            out.extend_from_slice(&text);
        } else {
            self.string(&text, out);
        }
    }

    fn text(&self, batch: &Batch, span: Span, out: &mut Vec<u8>) {
        text::quoted(
            batch.space(span),
            span.range(),
            self.options.escape_unicode,
            out,
        );
    }
}

fn extension(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
    }
    out.push(b'"');
}
