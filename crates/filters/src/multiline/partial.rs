//! `mode partial_message`: messages that Docker has cut, as its log driver `fluentd` marks them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plugin::FilterCall;
use record::{
    Batch, Emission, Field, Fields, Kind, Obligation, Origin, Permit, Position, Record, Span, Tag,
    Time, Value, msgpack,
};

use super::Sharing;

/// A group that gets ever more parts ends after so many times `flush_ms`.
const AGE: u32 = 15;
/// A limit of 0 bytes is none for Fluent Bit; here no message takes more than this.
const BYTES_MAX: usize = 64 << 20;

/// Joins parts by their `partial_id`.
pub struct Partial {
    key: Vec<u8>,
    wait: Duration,
    limit: usize,
    messages: HashMap<(Tag, Vec<u8>), Message>,
    /// Nothing waits longer than until then.
    deadline: Option<Instant>,
}

/// The parts of one message that have come.
struct Message {
    text: Vec<u8>,
    /// The other fields of its first part, encoded.
    fields: Vec<u8>,
    time: Time,
    position: Position,
    origin: Origin,
    emission: Emission,
    owed: Vec<Obligation>,
    permit: Option<Permit>,
    since: Instant,
    touched: Instant,
}

/// What a record says about the message that it is a part of.
struct Part {
    id: Span,
    text: Span,
    is_last: bool,
}

impl Partial {
    pub fn new(key: &str, wait: Duration, limit: usize) -> Partial {
        Partial {
            key: key.as_bytes().to_vec(),
            wait,
            limit: match limit {
                0 => BYTES_MAX,
                limit => limit.min(BYTES_MAX),
            },
            messages: HashMap::new(),
            deadline: None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>, sharing: &mut Sharing) {
        if batch.kind() != Kind::Logs {
            return;
        }
        // What waits too long is put on the road anew; what goes round does not begin to wait.
        let Some(emission) = sharing.emissions.again(batch) else {
            return;
        };
        let mut gone = Vec::new();
        for index in 0..batch.len() {
            let record = batch.records()[index];
            let Some(part) = self.part(batch, &record, sharing) else {
                continue;
            };
            let owed: Vec<Obligation> = batch
                .carve(index as u32..index as u32 + 1)
                .into_obligations()
                .filter(|obligation| !obligation.is_settled())
                .collect();
            let came = Came {
                record,
                part,
                owed,
                emission,
                now: call.now,
            };
            match self.add(batch, came, sharing) {
                Some(message) => message.become_record(batch, index, &self.key),
                None => gone.push(index),
            }
        }
        if !gone.is_empty() {
            let (mut index, mut gone) = (0, gone.into_iter().peekable());
            batch.records_mut().retain(|_| {
                index += 1;
                gone.next_if_eq(&(index - 1)).is_none()
            });
        }
    }

    /// Whether the record is a part of a message, and which. One that says so and cannot be used stays as it is.
    fn part(&self, batch: &Batch, record: &Record, sharing: &Sharing) -> Option<Part> {
        let text = |key: &[u8]| match first(batch, record.body, key)? {
            Value::Str(span) | Value::Bin(span) => Some(span),
            _ => None,
        };
        let is_true = |key: &[u8]| {
            let value = text(key).map(|span| batch.bytes(span));
            value.is_some_and(|value| {
                let first = value.get(..4);
                first.is_some_and(|first| first.eq_ignore_ascii_case(b"true"))
            })
        };
        if !is_true(b"partial_message") {
            return None;
        }
        let (Some(id), Some(content)) = (text(b"partial_id"), text(&self.key)) else {
            sharing.log.warn(format_args!(
                "a record with the tag {} is a part of a message, but has no partial_id or no text in '{}': it stays as it is",
                batch.tag(),
                String::from_utf8_lossy(&self.key)
            ));
            return None;
        };
        Some(Part {
            id,
            text: content,
            is_last: is_true(b"partial_last"),
        })
    }

    /// Adds a part. Gives a message that is complete, or at its limit.
    fn add(&mut self, batch: &mut Batch, came: Came, sharing: &Sharing) -> Option<Done> {
        let Came { part, .. } = &came;
        let key = (batch.tag().clone(), batch.bytes(part.id).to_vec());
        let (text, is_last) = (part.text, part.is_last);
        let known = self.messages.remove(&key);
        let is_full = known
            .as_ref()
            .is_some_and(|known| !is_last && known.text.len() + text.len() > self.limit);
        let (mut message, full) = match known {
            Some(known) if is_full => {
                sharing.note_truncated(1);
                let new = self.begin(batch, &came);
                let done = Done {
                    message: known,
                    truncated: true,
                };
                (new, Some(done))
            }
            Some(known) => (known, None),
            None => (self.begin(batch, &came), None),
        };
        message.text.extend_from_slice(batch.bytes(text));
        message.touched = came.now;
        for one in came.owed {
            message.owe(one);
        }
        if is_last {
            return Some(Done {
                message,
                truncated: false,
            });
        }
        message.permit = batch.permit_for(message.text.len() + message.fields.len());
        let deadline = message.deadline(self.wait);
        self.deadline = Some(self.deadline.map_or(deadline, |known| known.min(deadline)));
        self.messages.insert(key, message);
        full
    }

    fn begin(&self, batch: &mut Batch, came: &Came) -> Message {
        let record = &came.record;
        let mark = batch.mark();
        for index in 0..record.body.len() {
            let field = batch.fields(record.body)[index];
            let key = batch.bytes(field.key.span());
            if !batch.key_is(field.key, &self.key) && !key.starts_with(b"partial_") {
                batch.push(field);
            }
        }
        let rest = batch.close(mark);
        let mut fields = Vec::new();
        msgpack::write::map(batch, rest, &mut fields);
        batch.rewind(mark);
        Message {
            text: Vec::new(),
            fields,
            time: record.time,
            position: record.position,
            origin: batch.origin(),
            emission: came.emission,
            owed: Vec::new(),
            permit: None,
            since: came.now,
            touched: came.now,
        }
    }

    /// Emits what has waited long enough, or everything.
    pub fn expire(&mut self, call: &FilterCall<'_>, all: bool, sharing: &Sharing) {
        self.deadline = None;
        let wait = self.wait;
        let is_due =
            |_: &(Tag, Vec<u8>), message: &mut Message| all || message.deadline(wait) <= call.now;
        let mut due: Vec<_> = self.messages.extract_if(is_due).collect();
        due.sort_by_key(|(_, message)| message.since);
        for ((tag, _), mut message) in due {
            let mut own = Batch::new(tag, Bytes::new())
                .with_origin(message.origin)
                .with_emission(message.emission);
            if let Some(permit) = message.permit.take() {
                own = own.with_permit(permit);
            }
            own.push_record(Record::default());
            let done = Done {
                message,
                truncated: false,
            };
            done.become_record(&mut own, 0, &self.key);
            sharing.emissions.count(1);
            call.emit.emit(own);
        }
        let left = self.messages.values();
        self.deadline = left.map(|message| message.deadline(wait)).min();
    }
}

/// A part that has come, with what is owed for it.
struct Came {
    record: Record,
    part: Part,
    owed: Vec<Obligation>,
    emission: Emission,
    now: Instant,
}

/// A message that is complete, or full.
struct Done {
    message: Message,
    truncated: bool,
}

impl Message {
    fn deadline(&self, wait: Duration) -> Instant {
        (self.touched + wait).min(self.since + wait * AGE)
    }

    fn owe(&mut self, other: Obligation) {
        let mut other = other;
        for own in &mut self.owed {
            match own.join(other) {
                Ok(()) => return,
                Err(refused) => other = refused,
            }
        }
        self.owed.push(other);
    }
}

impl Done {
    /// Takes the place of the record `index`, whose own obligation is gone.
    fn become_record(self, batch: &mut Batch, index: usize, key: &[u8]) {
        let Done {
            message:
                Message {
                    text,
                    fields,
                    time,
                    position,
                    owed,
                    ..
                },
            truncated,
        } = self;
        let encoded = batch.put(&fields);
        let fields = match msgpack::read::value(batch, encoded) {
            Ok((Value::Map(fields), _)) => fields,
            // It was written here, so that it is a map.
            _ => Fields::EMPTY,
        };
        let (key, text) = (batch.put(key), batch.put(&text));
        let mark = batch.mark();
        batch.push_copy(fields);
        batch.push(Field::new(key, Value::Str(text)));
        let body = batch.close(mark);
        let metadata = match truncated {
            true => mark_truncated(batch),
            false => Fields::EMPTY,
        };
        let extra = batch.receipt_mut().attach_all(owed);
        let record = &mut batch.records_mut()[index];
        *record = Record {
            time,
            metadata,
            body,
            extra,
            // Its neighbours' obligations count by positions: it stays where its last part was.
            position: match record.position == Position::default() {
                true => position,
                false => record.position,
            },
            ..Record::default()
        };
    }
}

fn mark_truncated(batch: &mut Batch) -> Fields {
    let key = batch.put(b"multiline_truncated");
    let mark = batch.mark();
    batch.push(Field::new(key, Value::Bool(true)));
    batch.close(mark)
}

/// The first field of this name.
fn first(batch: &Batch, fields: Fields, key: &[u8]) -> Option<Value> {
    let mut fields = batch.fields(fields).iter();
    fields
        .find(|field| batch.key_is(field.key, key))
        .map(|field| field.value)
}
