//! What a joined record has besides its text: the other fields of its first line, and the metadata of all its lines.

use record::{Batch, Field, Fields, Key, Span, Value, msgpack};

/// The fields of the first line.
#[derive(Clone, Debug, Default)]
pub(crate) enum Context {
    /// It is text and nothing else.
    #[default]
    None,
    /// Fields of the present batch; which of them is the text.
    Here(Fields, usize),
    /// The same, encoded.
    Kept(Vec<u8>, usize),
}

impl Context {
    /// Copies what lies in `batch`, which is about to go.
    pub fn park(&mut self, batch: &Batch) {
        if let Context::Here(fields, text) = *self {
            let mut bytes = Vec::new();
            msgpack::write::map(batch, fields, &mut bytes);
            *self = Context::Kept(bytes, text);
        }
    }

    /// The fields in `batch`, with `text` in its place; without a text they are what they were.
    pub fn body(self, batch: &mut Batch, text: Option<Span>) -> Fields {
        let (fields, index) = match self {
            Context::None => return Fields::EMPTY,
            Context::Here(fields, index) => (fields, index),
            Context::Kept(bytes, index) => (decoded(batch, &bytes), index),
        };
        let Some(text) = text else { return fields };
        let Some(field) = batch.fields(fields).get(index).copied() else {
            return fields;
        };
        if field.value == Value::Str(text) {
            return fields;
        }
        let mark = batch.mark();
        batch.push_copy(fields);
        let own = batch.close(mark);
        let value = Value::Str(text);
        batch.set(own, index, Field { value, ..field });
        own
    }

    /// Bytes of memory that it takes beside the batch.
    pub fn footprint(&self) -> usize {
        match self {
            Context::Kept(bytes, _) => bytes.capacity(),
            _ => 0,
        }
    }
}

/// Reads back what [`Context::park`] has written.
fn decoded(batch: &mut Batch, bytes: &[u8]) -> Fields {
    let span = batch.put(bytes);
    match msgpack::read::value(batch, span) {
        Ok((Value::Map(fields), _)) => fields,
        // It was written here, so that it is a map.
        _ => Fields::EMPTY,
    }
}

/// The metadata of all lines: each pair of key and value once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata(Vec<(Vec<u8>, Vec<u8>)>);

impl Metadata {
    /// Adds what is not there yet. Binary values become hexadecimal digits, as upstream.
    pub fn add(&mut self, batch: &Batch, metadata: Fields) {
        for field in batch.fields(metadata) {
            let mut key = Vec::new();
            match field.key.is_msgpack() {
                true => key.extend_from_slice(batch.bytes(field.key.span())),
                false => msgpack::write::str(batch.bytes(field.key.span()), &mut key),
            }
            let mut value = Vec::new();
            encode(batch, field.value, &mut value);
            if !self
                .0
                .iter()
                .any(|(known, old)| *known == key && *old == value)
            {
                self.0.push((key, value));
            }
        }
    }

    /// The fields in `batch`; a mark of truncation at their end if `truncated`.
    pub fn fields(self, batch: &mut Batch, truncated: bool) -> Fields {
        if self.0.is_empty() && !truncated {
            return Fields::EMPTY;
        }
        let mut pairs = Vec::with_capacity(self.0.len());
        for (key, value) in self.0 {
            let (key, value) = (batch.put(&key), batch.put(&value));
            let read = msgpack::read::value(batch, key);
            let Ok((value, _)) = msgpack::read::value(batch, value) else {
                continue;
            };
            let key = match read {
                Ok((Value::Str(text), _)) => Key::text(text),
                _ => Key::msgpack(key),
            };
            pairs.push(Field { key, value });
        }
        let mark = batch.mark();
        if truncated {
            let key = batch.put(b"multiline_truncated");
            pairs.push(Field::new(key, Value::Bool(true)));
        }
        pairs.into_iter().for_each(|field| batch.push(field));
        batch.close(mark)
    }

    /// Bytes of memory that it takes.
    pub fn footprint(&self) -> usize {
        let pairs = self.0.iter();
        pairs
            .map(|(key, value)| key.capacity() + value.capacity())
            .sum()
    }
}

fn encode(batch: &Batch, value: Value, out: &mut Vec<u8>) {
    match value {
        Value::Bin(span) => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let bytes = batch.bytes(span).iter();
            let hex: Vec<u8> = bytes
                .flat_map(|byte| {
                    [
                        DIGITS[usize::from(byte >> 4)],
                        DIGITS[usize::from(byte & 15)],
                    ]
                })
                .collect();
            msgpack::write::str(&hex, out);
        }
        Value::Array(items) => {
            msgpack::write::array_header(items.len(), out);
            for item in batch.fields(items) {
                encode(batch, item.value, out);
            }
        }
        Value::Map(fields) => {
            msgpack::write::map_header(fields.len(), out);
            for field in batch.fields(fields) {
                match field.key.is_msgpack() {
                    true => out.extend_from_slice(batch.bytes(field.key.span())),
                    false => msgpack::write::str(batch.bytes(field.key.span()), out),
                }
                encode(batch, field.value, out);
            }
        }
        other => msgpack::write::value(batch, other, out),
    }
}
