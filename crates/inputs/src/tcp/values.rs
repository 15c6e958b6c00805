//! The format `json`: values that follow each other, blanks between them or not.

use bytes::{Buf, Bytes, BytesMut};
use record::json::read;
use record::{Batch, Field, Fields, Record, Time, Value};

use super::Instance;
use super::connection::{Source, TooLarge};

/// Takes the bytes of one connection apart.
#[derive(Default)]
pub struct Values {
    /// So many bytes of the buffer were found to be the beginning of a value.
    tried: usize,
    /// What arrives may still be part of a stretch that is no JSON.
    is_skipping: bool,
}

/// How far a text was taken apart.
enum Taken {
    /// Up to here; the rest may become a value.
    Part(usize),
    /// Up to here; what follows is no value.
    Invalid(usize),
}

impl Values {
    /// Whether nothing is skipped.
    pub fn is_plain(&self) -> bool {
        !self.is_skipping
    }

    /// Takes whole values out of `buffer`. With `is_end` nothing more will come: what is no whole value then is dropped
    /// and counted.
    pub fn take(
        &mut self,
        buffer: &mut BytesMut,
        is_end: bool,
        instance: &Instance,
        source: &Source,
    ) -> (Option<Batch>, Result<(), TooLarge>) {
        self.pass_over(buffer);
        let blanks = buffer.iter().take_while(|byte| is_blank(**byte)).count();
        buffer.advance(blanks);
        if buffer.is_empty() || !(is_end || self.may_be_whole(buffer)) {
            self.tried = buffer.len();
            return (None, within(buffer, instance));
        }
        let whole = buffer.split().freeze();
        let mut batch = Batch::new(instance.context.static_tag(), whole.clone());
        let rest = self.records(&mut batch, is_end, instance, source);
        if batch.is_empty() {
            drop(batch);
            let rest = whole.len() - rest;
            *buffer = whole
                .try_into_mut()
                .unwrap_or_else(|whole| BytesMut::from(&whole[..]));
            buffer.advance(buffer.len() - rest);
            self.note_rest(buffer, is_end, instance);
            return (None, within(buffer, instance));
        }
        *buffer = BytesMut::from(&whole[rest..]);
        self.note_rest(buffer, is_end, instance);
        (Some(batch), within(buffer, instance))
    }

    /// Appends the values of the batch's source as records; where the rest begins that may become one.
    fn records(
        &mut self,
        batch: &mut Batch,
        is_end: bool,
        instance: &Instance,
        source: &Source,
    ) -> usize {
        let bytes = batch.source().clone();
        let (now, origin) = (Time::now(), source.put(batch));
        let mut msg = None;
        let mut at = 0;
        loop {
            match values(batch, &bytes, at, is_end, &mut |batch, value| {
                let body = match value {
                    Value::Map(fields) => with_origin(batch, fields, origin),
                    other => {
                        let key = *msg.get_or_insert_with(|| batch.put(b"msg"));
                        let mark = batch.mark();
                        batch.push(Field::new(key, other));
                        origin.into_iter().for_each(|field| batch.push(field));
                        batch.close(mark)
                    }
                };
                batch.push_record(Record {
                    time: now,
                    body,
                    ..Record::default()
                });
            }) {
                Taken::Part(end) => return end,
                Taken::Invalid(end) => {
                    at = next_object(&bytes, end);
                    self.is_skipping = at == bytes.len();
                    instance.counters.invalid.add(1);
                    instance.context.log.warn(format_args!(
                        "invalid JSON message, skipping {} bytes",
                        at - end
                    ));
                }
            }
        }
    }

    /// Takes away what still belongs to a stretch that is no JSON, so that its parts become no records only because it
    /// came in several reads. A read that begins with an object ends the stretch, too: not all senders send lines.
    fn pass_over(&mut self, buffer: &mut BytesMut) {
        if !self.is_skipping || buffer.is_empty() {
            return;
        }
        let end = match buffer[0] {
            b'{' => 0,
            _ => next_object(buffer, 0),
        };
        self.is_skipping = end == buffer.len();
        buffer.advance(end);
    }

    fn note_rest(&mut self, buffer: &mut BytesMut, is_end: bool, instance: &Instance) {
        if is_end && !buffer.is_empty() {
            instance.counters.cut_off.add(1);
            instance.context.log.warn(format_args!(
                "a connection ended in the middle of a value, whose first {} bytes are dropped",
                buffer.len()
            ));
            buffer.clear();
        }
        self.tried = buffer.len();
    }

    /// Whether what came since the last attempt may have completed the value, so that a large one is not read anew for
    /// each of its pieces.
    fn may_be_whole(&self, buffer: &[u8]) -> bool {
        let came = buffer.get(self.tried..).unwrap_or(buffer);
        match buffer.first() {
            _ if self.tried == 0 => true,
            Some(b'{') => memchr::memchr(b'}', came).is_some(),
            Some(b'[') => memchr::memchr(b']', came).is_some(),
            _ => true,
        }
    }
}

fn within(buffer: &[u8], instance: &Instance) -> Result<(), TooLarge> {
    match buffer.len() > instance.record_max {
        true => Err(TooLarge),
        false => Ok(()),
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}

/// Hands over each value from `at` on.
fn values(
    batch: &mut Batch,
    bytes: &Bytes,
    mut at: usize,
    is_end: bool,
    push: &mut impl FnMut(&mut Batch, Value),
) -> Taken {
    loop {
        at += bytes[at..]
            .iter()
            .take_while(|byte| is_blank(**byte))
            .count();
        if at == bytes.len() {
            return Taken::Part(at);
        }
        let rest = batch.span(at..bytes.len());
        match read::value(batch, rest) {
            // More digits may follow.
            Ok((Value::Int(_) | Value::Uint(_) | Value::Float(_), used))
                if at + used == bytes.len() && !is_end =>
            {
                return Taken::Part(at);
            }
            Ok((value, used)) => {
                push(batch, value);
                at += used;
            }
            Err(error) if error.is_incomplete() => return Taken::Part(at),
            Err(_) => return Taken::Invalid(at),
        }
    }
}

/// Where the next line with an object begins after something that is no JSON; the end if none does.
fn next_object(bytes: &[u8], from: usize) -> usize {
    memchr::memmem::find(&bytes[from..], b"\n{").map_or(bytes.len(), |at| from + at + 1)
}

/// The fields, and after them where they come from.
pub fn with_origin(batch: &mut Batch, fields: Fields, origin: Option<Field>) -> Fields {
    let Some(origin) = origin else {
        return fields;
    };
    let mark = batch.mark();
    batch.push_copy(fields);
    batch.push(origin);
    batch.close(mark)
}

impl Source {
    /// The field for records of `batch`.
    pub fn put(&self, batch: &mut Batch) -> Option<Field> {
        let (key, address) = self.field.as_ref()?;
        let (key, address) = (batch.put(key.as_bytes()), batch.put(address.as_bytes()));
        Some(Field::new(key, Value::Str(address)))
    }
}
