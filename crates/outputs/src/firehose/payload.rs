//! Batches → bodies of `PutRecordBatch`: `{"DeliveryStreamName":"…","Records":[{"Data":"…"},…]}`, each record one line of
//! text in base64, in one pass. On the way a line may be compressed, or share its entry with others.

use std::ops::Range;

use base64_simd::STANDARD;
use plugin::{BuildError, DeliveryId, Format, Outbox, OutputContext, Reason, Request};
use record::{Batch, Marker};

use super::FirehoseOptions;
use crate::compression::{Compression, Compressor};
use crate::put_records::entry::{Entries, Origin};
use crate::put_records::group::Group;
use crate::put_records::line::LineWriter;
use crate::put_records::{Dialect, TOO_LARGE, reject};
use crate::request::OpenRequest;

/// The service's limits (aws/firehose reference); the request's is counted as upstream counts it: base64 and frame included.
const ENTRIES_MAX: u32 = 500;
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
const ENTRY_BYTES_MAX: usize = 1_024_000;

const BEFORE: &[u8] = b"{\"Data\":\"";
const AFTER: &[u8] = b"\"}";
const END: &[u8] = b"]}";

/// Writes requests for one delivery stream.
pub struct Payload {
    head: Vec<u8>,
    line: LineWriter,
    append_newline: bool,
    /// `simple_aggregation`: lines share entries.
    joins: bool,
    /// Those of the next entry.
    group: Group,
    compressor: Option<Compressor>,
    request: OpenRequest,
    entries: Entries,
    /// How many entries the request has.
    count: u32,
    /// The record that is being written, and its compressed form.
    text: Vec<u8>,
    compressed: Vec<u8>,
    /// How large requests were: what a new one sets aside at once.
    typical: usize,
}

impl Payload {
    /// Requests as the options want them.
    pub fn new(
        options: &FirehoseOptions,
        dialect: Dialect,
        context: &OutputContext,
    ) -> Result<Payload, BuildError> {
        let line = LineWriter::new(&options.line, dialect, context)?;
        let mut head = b"{\"DeliveryStreamName\":".to_vec();
        line.string(options.delivery_stream.as_bytes(), &mut head);
        head.extend_from_slice(b",\"Records\":[");
        let compression = options.compression;
        Ok(Payload {
            head,
            line,
            append_newline: options.append_newline,
            joins: options.simple_aggregation,
            group: Group::default(),
            compressor: (compression != Compression::None).then(|| Compressor::new(compression)),
            request: OpenRequest::default(),
            entries: Entries::default(),
            count: 0,
            text: Vec::new(),
            compressed: Vec::new(),
            typical: 0,
        })
    }

    /// Adds the line in `text`.
    fn add(&mut self, origin: Origin, outbox: &mut Outbox) {
        if self.joins {
            return self.join(origin, outbox);
        }
        if self.append_newline {
            self.text.push(b'\n');
        }
        if self.is_too_large(self.text.len()) {
            return reject(origin, TOO_LARGE, outbox);
        }
        let text = std::mem::take(&mut self.text);
        if let Err(reason) = self.place(&text, std::iter::once(origin), outbox) {
            reject(origin, reason, outbox);
        }
        self.text = text;
    }

    /// Whether a line of so many bytes can never be sent. What a compressed one comes to is not known before.
    fn is_too_large(&self, len: usize) -> bool {
        self.compressor.is_none() && len >= ENTRY_BYTES_MAX
    }

    /// Adds the line in `text` to the group.
    fn join(&mut self, origin: Origin, outbox: &mut Outbox) {
        self.text.push(b'\n');
        if self.is_too_large(self.text.len()) {
            return reject(origin, TOO_LARGE, outbox);
        }
        if self.group.data.len() + self.text.len() > ENTRY_BYTES_MAX {
            self.close_group(outbox);
        }
        self.group.data.extend_from_slice(&self.text);
        self.group.add(origin);
    }

    /// Makes an entry of the group, or several if compressed it is still too large.
    fn close_group(&mut self, outbox: &mut Outbox) {
        if self.group.is_empty() {
            return;
        }
        let mut group = std::mem::take(&mut self.group);
        let failed = group.place(0..group.members().len(), &mut |data, members| {
            let end = if self.append_newline { 0 } else { 1 };
            let origins = members.iter().map(|member| member.origin);
            self.place(&data[..data.len() - end], origins, outbox)
        });
        for (origin, reason) in failed {
            reject(origin, reason, outbox);
        }
        group.clear();
        self.group = group;
    }

    /// Makes an entry of `data`, compressed if the options say so.
    fn place(
        &mut self,
        data: &[u8],
        origins: impl Iterator<Item = Origin>,
        outbox: &mut Outbox,
    ) -> Result<(), Reason> {
        let Some(compressor) = &mut self.compressor else {
            return self.write_entry(data, origins, outbox);
        };
        let mut compressed = std::mem::take(&mut self.compressed);
        compressed.clear();
        let result = match compressor.append(data, &mut compressed) {
            Ok(()) => self.write_entry(&compressed, origins, outbox),
            Err(_) => Err(Reason("compression_failed")),
        };
        self.compressed = compressed;
        result
    }

    fn write_entry(
        &mut self,
        data: &[u8],
        origins: impl Iterator<Item = Origin>,
        outbox: &mut Outbox,
    ) -> Result<(), Reason> {
        if data.len() > ENTRY_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        let entry = 1 + BEFORE.len() + STANDARD.encoded_length(data.len()) + AFTER.len();
        if self.count == ENTRIES_MAX
            || self.request.body.len() + entry + END.len() > REQUEST_BYTES_MAX
        {
            self.finish(outbox);
        }
        if self.count == 0 {
            self.request.begin(self.typical);
        }
        let body = &mut self.request.body;
        if self.count == 0 {
            body.extend_from_slice(&self.head);
        } else {
            body.push(b',');
        }
        body.extend_from_slice(BEFORE);
        STANDARD.encode_append(data, body);
        body.extend_from_slice(AFTER);
        self.count += 1;
        origins.for_each(|(delivery, record)| self.request.add(delivery, record));
        if self.joins {
            self.entries.push(self.request.len());
        }
        Ok(())
    }

    fn finish(&mut self, outbox: &mut Outbox) {
        if self.count == 0 {
            return;
        }
        self.request.body.extend_from_slice(END);
        self.typical = self
            .typical
            .max(self.request.body.len() + self.request.body.len() / 8);
        self.request.finish(outbox);
        self.count = 0;
        if self.joins
            && let Some(request) = outbox.requests.last_mut()
        {
            request.note = Some(self.entries.take());
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
            match self.line.write(batch, record, &mut self.text) {
                Err(reason) => reject((delivery, index), reason, outbox),
                Ok(()) if self.text.is_empty() => outbox.filtered.push((delivery, index)),
                Ok(()) => self.add((delivery, index), outbox),
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.close_group(outbox);
        self.finish(outbox);
    }

    fn recycle(&mut self, request: Request) {
        self.request.recycle(request);
    }

    fn trim(&mut self) {
        self.request.trim();
        self.text = Vec::new();
        self.compressed = Vec::new();
        self.typical = 0;
        if let Some(compressor) = &mut self.compressor {
            compressor.trim();
        }
        self.group.trim();
    }
}

#[cfg(test)]
mod tests;
