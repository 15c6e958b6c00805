//! Batches → bodies of `PutRecordBatch`: `{"DeliveryStreamName":"…","Records":[{"Data":"…"},…]}`, each record one line of
//! JSON in base64, in one pass.

use std::ops::Range;

use base64_simd::STANDARD;
use plugin::{BuildError, DeliveryId, Format, Outbox, OutputContext, Reason, Request};
use record::json::write::Writer;
use record::{Batch, Marker, Record, Value, json};

use super::FirehoseOptions;
use super::time_key::TimeKey;
use crate::request::OpenRequest;

/// The service's limits (aws/firehose reference), counted as upstream counts them: base64 and frame included.
const RECORDS_MAX: u32 = 500;
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
const RECORD_BYTES_MAX: usize = 1_024_000;

const BEFORE: &[u8] = b"{\"Data\":\"";
const AFTER: &[u8] = b"\"}";
const END: &[u8] = b"]}";

/// JSON of two bytes or less says nothing.
const EMPTY: usize = 2;

/// Writes requests for one delivery stream.
pub struct Payload {
    head: Vec<u8>,
    writer: Writer,
    time_key: Option<TimeKey>,
    log_key: Option<Vec<u8>>,
    request: OpenRequest,
    /// The record that is being written.
    line: Vec<u8>,
    /// How large requests were: what a new one sets aside at once.
    typical: usize,
}

impl Payload {
    /// Requests as the options want them.
    pub fn new(options: &FirehoseOptions, context: &OutputContext) -> Result<Payload, BuildError> {
        if options.time_key.is_some() && options.log_key.is_some() {
            return Err(
                "'time_key' and 'log_key' exclude each other: what is sent is the value alone"
                    .into(),
            );
        }
        let time_key = match &options.time_key {
            Some(key) => Some(TimeKey::new(key, &options.time_key_format)?),
            None => None,
        };
        let settings = json::write::Options {
            escape_unicode: context.escape_unicode,
            nan_to_null: context.nan_to_null,
        };
        let mut head = b"{\"DeliveryStreamName\":".to_vec();
        let writer = Writer::new(settings);
        writer.string(options.delivery_stream.as_bytes(), &mut head);
        head.extend_from_slice(b",\"Records\":[");
        Ok(Payload {
            head,
            writer,
            time_key,
            log_key: options.log_key.clone().map(String::into_bytes),
            request: OpenRequest::default(),
            line: Vec::new(),
            typical: 0,
        })
    }

    /// Writes a record into `line`. An error names why it cannot be sent.
    fn write_line(&mut self, batch: &Batch, record: &Record) -> Result<(), Reason> {
        self.line.clear();
        match &self.log_key {
            None => self.writer.object(batch, record.body, &mut self.line),
            Some(key) => match batch.get(record.body, key) {
                Some(Value::Str(text)) => self.line.extend_from_slice(batch.bytes(text)),
                Some(value) => self.writer.value(batch, value, &mut self.line),
                None => return Err(Reason("log_key_missing")),
            },
        }
        if let Some(time_key) = &mut self.time_key {
            time_key.splice(record.time, &mut self.line);
        }
        Ok(())
    }

    /// Whether the line says nothing: an empty object, or with `log_key` an empty text.
    fn is_empty(&self) -> bool {
        let floor = if self.log_key.is_some() { 0 } else { EMPTY };
        self.line.len() <= floor
    }

    fn add(&mut self, delivery: DeliveryId, record: u32, outbox: &mut Outbox) {
        self.line.push(b'\n');
        if self.line.len() >= RECORD_BYTES_MAX {
            outbox
                .rejected
                .push((delivery, record, Reason("record_too_large")));
            return;
        }
        let entry = 1 + BEFORE.len() + STANDARD.encoded_length(self.line.len()) + AFTER.len();
        if self.request.len() == RECORDS_MAX
            || self.request.body.len() + entry + END.len() > REQUEST_BYTES_MAX
        {
            self.finish(outbox);
        }
        if self.request.is_empty() {
            self.request.body.reserve(self.typical);
            self.request.body.extend_from_slice(&self.head);
        } else {
            self.request.body.push(b',');
        }
        self.request.body.extend_from_slice(BEFORE);
        STANDARD.encode_append(&self.line, &mut self.request.body);
        self.request.body.extend_from_slice(AFTER);
        self.request.add(delivery, record);
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        if !self.request.is_empty() {
            self.request.body.extend_from_slice(END);
            self.typical = self
                .typical
                .max(self.request.body.len() + self.request.body.len() / 8);
            self.request.finish(outbox);
        }
    }
}

impl Format for Payload {
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        for index in records {
            let record = &batch.records()[index as usize];
            if record.marker != Marker::None {
                outbox.filtered.push((delivery, index));
                continue;
            }
            match self.write_line(batch, record) {
                Err(reason) => outbox.rejected.push((delivery, index, reason)),
                Ok(()) if self.is_empty() => outbox.filtered.push((delivery, index)),
                Ok(()) => self.add(delivery, index, outbox),
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.finish(outbox);
    }

    fn recycle(&mut self, request: Request) {
        self.request.recycle(request);
    }

    fn trim(&mut self) {
        self.request.trim();
        self.line = Vec::new();
        self.typical = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use plugin::{Level, Log, Metrics};
    use record::{Tag, Time};

    fn options(more: &[(&str, &str)]) -> FirehoseOptions {
        use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
        for (key, value) in [("delivery_stream", "ds"), ("region", "us-west-2")]
            .iter()
            .chain(more)
        {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        let mut diagnostics = Diagnostics::new();
        FirehoseOptions::read(&section, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics}"))
    }

    fn payload(more: &[(&str, &str)]) -> Payload {
        let context = OutputContext {
            name: "firehose.0".into(),
            log: Log::new("", Level::Off),
            metrics: Metrics::default(),
            escape_unicode: true,
            nan_to_null: false,
            config_dir: ".".into(),
        };
        Payload::new(&options(more), &context).unwrap_or_else(|error| panic!("{error}"))
    }

    fn batch(lines: &[&str]) -> Batch {
        let mut batch = Batch::new(Tag::from("t"), Bytes::from(lines.concat()));
        let mut at = 0;
        for line in lines {
            let text = batch.span(at..at + line.len());
            at += line.len();
            let (body, _) = json::read::object(&mut batch, text).expect("JSON");
            batch.push_record(Record {
                time: Time::new(1_700_000_000, 123_456_789),
                body,
                ..Record::default()
            });
        }
        batch
    }

    /// The records of all requests, decoded, and what else was in the outbox.
    fn sent(more: &[(&str, &str)], lines: &[&str]) -> (Vec<Vec<String>>, Outbox) {
        let (mut payload, batch) = (payload(more), batch(lines));
        let mut outbox = Outbox::default();
        payload.format(DeliveryId(7), &batch, 0..batch.len() as u32, &mut outbox);
        payload.seal(&mut outbox);
        let requests = outbox.requests.iter().map(|request| {
            assert!(request.body.len() <= REQUEST_BYTES_MAX);
            let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            assert_eq!(json["DeliveryStreamName"], "ds");
            let records = json["Records"].as_array().expect("an array");
            assert_eq!(records.len() as u32, request.parts.len());
            let data = records
                .iter()
                .map(|record| record["Data"].as_str().expect("text"));
            data.map(|data| {
                String::from_utf8(STANDARD.decode_to_vec(data).expect("base64")).expect("UTF-8")
            })
            .collect()
        });
        (requests.collect(), outbox)
    }

    #[test]
    fn a_request_reads_as_upstream() {
        let (mut payload, batch) = (
            payload(&[]),
            batch(&[r#"{"k":"v","n":null}"#, r#"{"k":"é"}"#]),
        );
        let mut outbox = Outbox::default();
        payload.format(DeliveryId(0), &batch, 0..2, &mut outbox);
        payload.seal(&mut outbox);
        let expected = "{\"DeliveryStreamName\":\"ds\",\"Records\":[{\"Data\":\"eyJrIjoidiIsIm4iOm51bGx9Cg==\"},\
                        {\"Data\":\"eyJrIjoiXHUwMGU5In0K\"}]}";
        assert_eq!(std::str::from_utf8(&outbox.requests[0].body), Ok(expected));
    }

    #[test]
    fn keys_shape_the_lines() {
        let time = &[("time_key", "@t"), ("time_key_format", "%H:%M:%S.%3N")];
        assert_eq!(
            sent(time, &[r#"{"a":1}"#]).0,
            [["{\"a\":1,\"@t\":\"22:13:20.123\"}\n"]]
        );
        let lines = [
            r#"{"log":"he\"llo"}"#,
            r#"{"log_k":"x","log":{"a":1}}"#,
            r#"{"log":""}"#,
            r#"{"lo":"x"}"#,
        ];
        let (requests, outbox) = sent(&[("log_key", "log")], &lines);
        assert_eq!(requests, [["he\"llo\n", "{\"a\":1}\n"]]);
        assert_eq!(outbox.filtered, [(DeliveryId(7), 2)]);
        assert_eq!(
            outbox.rejected,
            [(DeliveryId(7), 3, Reason("log_key_missing"))]
        );
    }

    #[test]
    fn requests_end_at_the_limits() {
        let lines = vec![r#"{"a":1}"#; 1_201];
        let (requests, _) = sent(&[], &lines);
        assert_eq!(
            requests.iter().map(Vec::len).collect::<Vec<_>>(),
            [500, 500, 201]
        );
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000));
        let (requests, _) = sent(&[], &[long.as_str(); 7]);
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        // {"a":""} and the newline are nine bytes: one more than fits, and one that just fits.
        let at_limit = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX - 9));
        let below = format!("{{\"a\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX - 10));
        let (requests, outbox) = sent(&[], &["{}", &at_limit, &below]);
        assert_eq!(outbox.filtered, [(DeliveryId(7), 0)]);
        assert_eq!(
            outbox.rejected,
            [(DeliveryId(7), 1, Reason("record_too_large"))]
        );
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_finished_request_lends_its_memory_to_the_next() {
        let (mut payload, batch) = (payload(&[]), batch(&[r#"{"a":1}"#]));
        let mut outbox = Outbox::default();
        payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
        payload.seal(&mut outbox);
        let request = outbox.requests.pop().expect("one");
        let memory = request.body.as_ptr();
        payload.recycle(request);
        // One is open already; the one after it has the memory.
        for _ in 0..2 {
            payload.format(DeliveryId(0), &batch, 0..1, &mut outbox);
            payload.seal(&mut outbox);
        }
        assert_eq!(outbox.requests[1].body.as_ptr(), memory);
    }
}
