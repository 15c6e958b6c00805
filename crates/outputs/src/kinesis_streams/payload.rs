//! Batches → bodies of `PutRecords`, in one pass; with partition keys from a field as many requests as lanes are open.

use std::iter::once;
use std::ops::Range;

use plugin::{BuildError, DeliveryId, Format, Outbox, OutputContext, Reason, Request};
use record::{Batch, Marker, Record};

use super::KinesisOptions;
use super::kpl;
use super::lane::{ENTRY_BYTES_MAX, Frame, Lane};
use super::partition::{LANES, PartitionKeys};
use crate::compression::Compressor;
use crate::put_records::entry::Origin;
use crate::put_records::group::Member;
use crate::put_records::line::LineWriter;
use crate::put_records::{Dialect, TOO_LARGE, reject};

/// Larger records are not worth a share of an aggregate (as AWS's plugin).
const AGGREGATED_BYTES_MAX: usize = 20 * 1024;

/// What an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One record.
    One,
    /// Lines, with `simple_aggregation`.
    Lines,
    /// Records in the format of the Kinesis Producer Library, with `aggregation`.
    Aggregate,
}

/// Writes requests for one stream.
pub struct Payload {
    frame: Frame,
    form: Form,
    line: LineWriter,
    append_newline: bool,
    compressor: Option<Compressor>,
    keys: PartitionKeys,
    /// First that of the random keys, then those of the hashes.
    lanes: Vec<Lane>,
    /// The record that is being written, and its compressed form.
    text: Vec<u8>,
    packed: Vec<u8>,
}

impl Payload {
    /// Requests as the options want them.
    pub fn new(
        options: &KinesisOptions,
        dialect: Dialect,
        context: &OutputContext,
    ) -> Result<Payload, BuildError> {
        let form = match (options.aggregation, options.simple_aggregation) {
            (true, true) => {
                return Err("'aggregation' and 'simple_aggregation' exclude each other".into());
            }
            (true, false) => Form::Aggregate,
            (false, true) => Form::Lines,
            (false, false) => Form::One,
        };
        let line = LineWriter::new(&options.line, dialect, context)?;
        let mut head = b"{\"StreamName\":".to_vec();
        line.string(options.stream.as_bytes(), &mut head);
        head.extend_from_slice(b",\"Records\":[");
        let path = options.partition_key.as_deref();
        let keys = PartitionKeys::new(path, options.partition_key_hash, context);
        let numbers = (0..LANES).filter(|_| !keys.are_random());
        let lanes = once(None).chain(numbers.map(Some)).map(Lane::new);
        Ok(Payload {
            frame: Frame {
                head,
                joins: form != Form::One,
            },
            form,
            line,
            append_newline: options.append_newline.unwrap_or(dialect == Dialect::Core),
            compressor: options.compression.compressor(),
            lanes: lanes.collect(),
            keys,
            text: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Adds the line in `text`.
    fn add(&mut self, lane: Option<u64>, origin: Origin, outbox: &mut Outbox) {
        if self.append_newline || self.form == Form::Lines {
            self.text.push(b'\n');
        }
        let result = match self.form {
            Form::Lines => {
                self.join(lane, origin, outbox);
                Ok(())
            }
            Form::One | Form::Aggregate => self.add_packed(lane, origin, outbox),
        };
        if let Err(reason) = result {
            reject(origin, reason, outbox);
        }
    }

    /// Adds what is sent of the record in `text`: compressed if the options say so.
    fn add_packed(
        &mut self,
        lane: Option<u64>,
        origin: Origin,
        outbox: &mut Outbox,
    ) -> Result<(), Reason> {
        let text = std::mem::take(&mut self.text);
        let mut buffer = std::mem::take(&mut self.packed);
        let result = match packed(&mut self.compressor, &text, &mut buffer) {
            Err(reason) => Err(reason),
            Ok(data) if self.form == Form::Aggregate && data.len() < AGGREGATED_BYTES_MAX => {
                self.aggregate(lane, data, origin, outbox);
                Ok(())
            }
            Ok(data) => self.add_alone(lane, data, origin, outbox),
        };
        (self.text, self.packed) = (text, buffer);
        result
    }

    /// Makes an entry of one record's data, after what stands before it in its lane.
    fn add_alone(
        &mut self,
        lane: Option<u64>,
        data: &[u8],
        origin: Origin,
        outbox: &mut Outbox,
    ) -> Result<(), Reason> {
        self.close_group(lane, outbox);
        let key = match lane {
            Some(_) => self.keys.of_field(),
            None => self.keys.random(),
        };
        self.lanes[index(lane)].add(&self.frame, (data, key), once(origin), outbox)
    }

    fn aggregate(&mut self, lane: Option<u64>, data: &[u8], origin: Origin, outbox: &mut Outbox) {
        self.open_group(lane, kpl::added_len(data.len()), outbox);
        let group = &mut self.lanes[index(lane)].group;
        kpl::add(data, &mut group.data);
        group.add(origin);
    }

    /// Adds the line in `text` to those before it.
    fn join(&mut self, lane: Option<u64>, origin: Origin, outbox: &mut Outbox) {
        self.open_group(lane, self.text.len(), outbox);
        let group = &mut self.lanes[index(lane)].group;
        group.data.extend_from_slice(&self.text);
        group.add(origin);
    }

    /// Sees to it that the lane has a group with the record's key and room for so many bytes. A group has one key: consumers
    /// pass over records in an aggregate whose own key belongs to another shard.
    fn open_group(&mut self, lane: Option<u64>, added: usize, outbox: &mut Outbox) {
        let Lane { group, key, .. } = &self.lanes[index(lane)];
        let has_other_key = lane.is_some() && key.text != self.keys.of_field().text;
        let is_full = group.data.len() + added + key.text.len() > ENTRY_BYTES_MAX;
        if has_other_key || is_full {
            self.close_group(lane, outbox);
        }
        let Lane { group, key, .. } = &mut self.lanes[index(lane)];
        if !group.is_empty() {
            return;
        }
        key.copy(match lane {
            Some(_) => self.keys.of_field(),
            None => self.keys.random(),
        });
        if self.form == Form::Aggregate {
            kpl::start(&key.text, &mut group.data);
        }
    }

    /// Makes an entry of the lane's group, or several if compressed it is still too large.
    fn close_group(&mut self, lane: Option<u64>, outbox: &mut Outbox) {
        let lane = &mut self.lanes[index(lane)];
        if lane.group.is_empty() {
            return;
        }
        let mut group = std::mem::take(&mut lane.group);
        let key = std::mem::take(&mut lane.key);
        let is_aggregate = self.form == Form::Aggregate;
        let mut add = |data: &[u8], members: &[Member]| {
            let origins = members.iter().map(|member| member.origin);
            if is_aggregate {
                return lane.add(&self.frame, (data, &key), origins, outbox);
            }
            let end = if self.append_newline { 0 } else { 1 };
            let text = &data[..data.len() - end];
            let data = packed(&mut self.compressor, text, &mut self.packed)?;
            if members.len() > 1 && data.len() + key.text.len() > ENTRY_BYTES_MAX {
                return Err(TOO_LARGE);
            }
            lane.add(&self.frame, (data, &key), origins, outbox)
        };
        let failed = if is_aggregate {
            kpl::finish(&mut group.data);
            group.place_whole(&mut add)
        } else {
            group.place(0..group.members().len(), &mut add)
        };
        for (origin, reason) in failed {
            reject(origin, reason, outbox);
        }
        group.clear();
        (lane.group, lane.key) = (group, key);
    }

    fn format_record(
        &mut self,
        batch: &Batch,
        record: &Record,
        origin: Origin,
        outbox: &mut Outbox,
    ) {
        match self.line.write(batch, record, &mut self.text) {
            Err(reason) => reject(origin, reason, outbox),
            Ok(()) if self.text.is_empty() => outbox.filtered.push(origin),
            Ok(()) => {
                let lane = self.keys.lane(batch, record, &self.line);
                self.add(lane, origin, outbox);
            }
        }
    }
}

/// Where a lane stands.
fn index(lane: Option<u64>) -> usize {
    lane.map_or(0, |lane| 1 + lane as usize)
}

/// `text` as it is sent; what is compressed comes to stand in `buffer`.
fn packed<'a>(
    compressor: &mut Option<Compressor>,
    text: &'a [u8],
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], Reason> {
    let Some(compressor) = compressor else {
        return Ok(text);
    };
    buffer.clear();
    match compressor.append(text, buffer) {
        Ok(()) => Ok(buffer),
        Err(_) => Err(Reason("compression_failed")),
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
            match record.marker {
                Marker::None => self.format_record(batch, record, (delivery, index), outbox),
                _ => outbox.filtered.push((delivery, index)),
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        for index in 0..self.lanes.len() {
            self.close_group(self.lanes[index].number, outbox);
            self.lanes[index].finish(&self.frame, outbox);
        }
    }

    fn recycle(&mut self, request: Request) {
        self.lanes[index(request.lane)].request.recycle(request);
    }

    fn trim(&mut self) {
        self.lanes.iter_mut().for_each(Lane::trim);
        self.text = Vec::new();
        self.packed = Vec::new();
        if let Some(compressor) = &mut self.compressor {
            compressor.trim();
        }
    }
}

#[cfg(test)]
mod tests;
