//! Batches → chunks of lines for the object of a tag.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use plugin::{Counter, DeliveryId, Format, Outbox, Reason, RecordNames, Request};
use record::json::write::{Date, Writer};
use record::{Batch, Fields, Marker, Record, Tag, Time, Value};

use super::buffers::Chunk;
use super::claims::{Claims, Stored};
use crate::request::OpenRequest;

/// A chunk is handed over when it has grown to this: a little less than the megabyte that its memory has then.
const FULL: usize = (1 << 20) - (16 << 10);
/// So many tags have open chunks at once; then all are handed over.
const OPEN_MAX: usize = 256;
/// Memory of so many chunks that are done with is kept for later ones.
const SPARE_MAX: usize = 2;
/// And so many bytes may be in all of them.
const OPEN_BYTES_MAX: usize = 4 << 20;

/// Writes chunks.
pub struct Payload {
    writer: Writer,
    date: Option<Date>,
    log_key: Option<Vec<u8>>,
    open: HashMap<Tag, OpenChunk>,
    bytes: usize,
    earlier: Earlier,
    /// Chunks without records, for the memory of those that are done with.
    spare: Vec<OpenChunk>,
}

/// What earlier runs have brought to the store.
#[derive(Default)]
pub struct Earlier {
    /// Which records.
    pub stored: Stored,
    /// Those among them that were read again.
    pub repeats: Counter,
}

#[derive(Default)]
struct OpenChunk {
    request: OpenRequest,
    /// Of the first record.
    time: Time,
    claims: Claims,
}

impl Payload {
    /// Chunks with the time of each record as `date` says, or only the values of `log_key`; records that are there from
    /// earlier are left out.
    pub fn new(
        writer: Writer,
        date: Option<Date>,
        log_key: Option<&str>,
        earlier: Earlier,
    ) -> Payload {
        Payload {
            writer,
            date,
            log_key: log_key.map(|key| key.as_bytes().to_vec()),
            open: HashMap::new(),
            bytes: 0,
            earlier,
            spare: Vec::new(),
        }
    }

    /// Appends a record to `chunk`. An error names why it cannot be delivered.
    fn write(
        &mut self,
        (batch, record, group): (&Batch, &Record, Option<Fields>),
        chunk: &mut OpenChunk,
    ) -> Result<(), Reason> {
        let out = &mut chunk.request.body;
        match &self.log_key {
            None => self
                .writer
                .event(batch, record, group, self.date.as_ref(), out),
            Some(key) => match batch.get(record.body, key) {
                Some(Value::Str(text)) => out.extend_from_slice(batch.bytes(text)),
                Some(value) => self.writer.value(batch, value, out),
                None => return Err(Reason("log_key_missing")),
            },
        }
        out.push(b'\n');
        Ok(())
    }

    /// Takes the open chunk of a tag.
    fn take(&mut self, tag: &Tag) -> OpenChunk {
        let chunk = self.open.remove(tag);
        let chunk = chunk.or_else(|| self.spare.pop()).unwrap_or_default();
        self.bytes -= chunk.request.body.len();
        chunk
    }

    /// Keeps a chunk open.
    fn keep(&mut self, tag: &Tag, chunk: OpenChunk) {
        if !chunk.request.is_empty() {
            self.bytes += chunk.request.body.len();
            self.open.insert(tag.clone(), chunk);
        } else if self.spare.len() < SPARE_MAX {
            self.spare.push(chunk);
        }
    }
}

impl OpenChunk {
    /// Hands the chunk over and starts the next one of the tag.
    fn finish(&mut self, tag: &Tag, outbox: &mut Outbox) {
        let before = outbox.requests.len();
        self.request.finish(outbox);
        if let Some(request) = outbox.requests.get_mut(before) {
            request.lane = Some(lane(tag));
            request.note = Some(Box::new(Chunk {
                tag: tag.clone(),
                time: self.time,
                claims: self.claims.take_encoded().into(),
            }));
        }
    }
}

/// Chunks of one tag are written one after the other.
fn lane(tag: &Tag) -> u64 {
    let mut hasher = DefaultHasher::new();
    tag.hash(&mut hasher);
    hasher.finish()
}

/// The attributes of the group that the record at `index` belongs to.
fn group_before(batch: &Batch, index: u32) -> Option<Fields> {
    let before = batch.records()[..index as usize].iter().rev();
    let marker = before
        .into_iter()
        .find(|record| record.marker != Marker::None)?;
    (marker.marker == Marker::GroupStart).then_some(marker.body)
}

impl Format for Payload {
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        let tag = batch.tag();
        if self.open.len() >= OPEN_MAX && !self.open.contains_key(tag) {
            self.seal(outbox);
        }
        let mut chunk = self.take(tag);
        let names = RecordNames::of(batch);
        let mut group = group_before(batch, records.start);
        for index in records {
            let record = &batch.records()[index as usize];
            match record.marker {
                Marker::None => {}
                Marker::GroupStart => group = Some(record.body),
                Marker::GroupEnd => group = None,
            }
            if record.marker != Marker::None {
                outbox.filtered.push((delivery, index));
                continue;
            }
            let name = names.as_ref().and_then(|names| names.name(index));
            if let Some((origin, position)) = name
                && !self.earlier.stored.is_empty()
                && self.earlier.stored.contains(origin, position)
            {
                self.earlier.repeats.add(1);
                outbox.filtered.push((delivery, index));
                continue;
            }
            if let Err(reason) = self.write((batch, record, group), &mut chunk) {
                outbox.rejected.push((delivery, index, reason));
                continue;
            }
            if chunk.request.is_empty() {
                chunk.time = record.time;
            }
            chunk.request.add(delivery, index);
            if let Some((origin, position)) = name {
                chunk.claims.add(origin, position);
            }
            if chunk.request.body.len() >= FULL {
                chunk.finish(tag, outbox);
                chunk = self.spare.pop().unwrap_or_default();
            }
        }
        self.keep(tag, chunk);
        if self.bytes >= OPEN_BYTES_MAX {
            self.seal(outbox);
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.bytes = 0;
        for (tag, mut chunk) in self.open.drain() {
            chunk.finish(&tag, outbox);
        }
    }

    fn recycle(&mut self, request: Request) {
        if self.spare.len() < SPARE_MAX {
            let mut chunk = OpenChunk::default();
            chunk.request.reuse(request);
            self.spare.push(chunk);
        }
    }

    fn trim(&mut self) {
        self.spare = Vec::new();
        if self.open.is_empty() {
            self.open = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use record::json::{self, write::DateFormat};

    fn batch(tag: &str, lines: &[&str]) -> Batch {
        let mut batch = Batch::new(Tag::from(tag), Bytes::from(lines.concat()));
        let mut at = 0;
        for (index, line) in lines.iter().enumerate() {
            let text = batch.span(at..at + line.len());
            at += line.len();
            let (body, _) = json::read::object(&mut batch, text).expect("JSON");
            batch.push_record(Record {
                time: Time::new(1_700_000_000 + index as i64, 123_456_789),
                body,
                ..Record::default()
            });
        }
        batch
    }

    fn payload(log_key: Option<&str>) -> Payload {
        let date = Date {
            key: b"date"[..].into(),
            format: DateFormat::Iso8601,
        };
        Payload::new(Writer::default(), Some(date), log_key, Earlier::default())
    }

    fn formatted(payload: &mut Payload, batches: &[Batch]) -> Outbox {
        let mut outbox = Outbox::default();
        for (index, batch) in batches.iter().enumerate() {
            let records = 0..batch.len() as u32;
            payload.format(DeliveryId(index as u32), batch, records, &mut outbox);
        }
        payload.seal(&mut outbox);
        outbox
    }

    fn chunk(request: &plugin::Request) -> &Chunk {
        let note = request.note.as_ref().expect("a note");
        note.downcast_ref().expect("a chunk")
    }

    #[test]
    fn lines_read_as_upstream() {
        let lines = [r#"{"log":"é\n","n":1.0}"#, r#"{"date":5}"#, "{}"];
        let outbox = formatted(&mut payload(None), &[batch("t", &lines)]);
        let expected = "{\"date\":\"2023-11-14T22:13:20.123456Z\",\"log\":\"\\u00e9\\n\",\"n\":1.0}\n\
                        {\"date\":5}\n{\"date\":\"2023-11-14T22:13:22.123456Z\"}\n";
        assert_eq!(outbox.requests.len(), 1);
        assert_eq!(std::str::from_utf8(&outbox.requests[0].body), Ok(expected));
        assert_eq!(outbox.requests[0].parts.len(), 3);
    }

    #[test]
    fn log_key_leaves_the_value() {
        let lines = [
            r#"{"log":"he\"llo"}"#,
            r#"{"log":{"a":1}}"#,
            r#"{"log_k":"x"}"#,
            r#"{"log":""}"#,
        ];
        let outbox = formatted(&mut payload(Some("log")), &[batch("t", &lines)]);
        assert_eq!(&outbox.requests[0].body[..], b"he\"llo\n{\"a\":1}\n\n");
        assert_eq!(
            outbox.rejected,
            [(DeliveryId(0), 2, Reason("log_key_missing"))]
        );
    }

    #[test]
    fn each_tag_has_chunks_of_its_own() {
        let batches = [
            batch("a", &["{}", "{}"]),
            batch("b", &["{}"]),
            batch("a", &["{}"]),
        ];
        let outbox = formatted(&mut payload(None), &batches);
        let mut found: Vec<_> = outbox
            .requests
            .iter()
            .map(|request| {
                let chunk = chunk(request);
                assert_eq!(request.lane, Some(lane(&chunk.tag)));
                assert_eq!(chunk.time.seconds(), 1_700_000_000);
                (chunk.tag.to_string(), request.parts.len())
            })
            .collect();
        found.sort();
        assert_eq!(found, [("a".to_owned(), 3), ("b".to_owned(), 1)]);
    }

    #[test]
    fn chunks_are_cut() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(400_000));
        let outbox = formatted(&mut payload(None), &[batch("t", &[long.as_str(); 7])]);
        let counts: Vec<u32> = outbox
            .requests
            .iter()
            .map(|request| request.parts.len())
            .collect();
        assert_eq!(counts, [3, 3, 1]);
        assert_eq!(chunk(&outbox.requests[1]).time.seconds(), 1_700_000_003);
    }
}
