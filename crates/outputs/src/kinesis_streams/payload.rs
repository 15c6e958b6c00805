//! Batches → bodies of `PutRecords`, in one pass; with partition keys from a field as many requests as lanes are open.

use std::iter::once;
use std::ops::Range;

use plugin::{BuildError, DeliveryId, Format, Outbox, OutputContext, Reason, Request};
use record::{Batch, Marker, Record};

use super::KinesisOptions;
use super::kpl;
use super::lane::{ENTRY_BYTES_MAX, Frame, KeyedGroup, Lane};
use super::partition::{LANES, PartitionKeys};
use crate::compression::Compressor;
use crate::put_records::entry::Origin;
use crate::put_records::group::Group;
use crate::put_records::line::LineWriter;
use crate::put_records::{Dialect, TOO_LARGE, reject};

/// Larger records are not worth a share of an aggregate (as AWS's plugin).
const AGGREGATED_BYTES_MAX: usize = 20 * 1024;

/// A lane has at most so many open groups, and so many bytes in them.
const GROUPS_MAX: usize = 64;
const GROUPED_BYTES_MAX: usize = 2 * 1024 * 1024;

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
        self.close_groups(lane, outbox);
        let key = match lane {
            Some(_) => self.keys.of_field(),
            None => self.keys.random(),
        };
        self.lanes[index(lane)].add(&self.frame, (data, key), once(origin), outbox)
    }

    fn aggregate(&mut self, lane: Option<u64>, data: &[u8], origin: Origin, outbox: &mut Outbox) {
        let added = kpl::added_len(data.len());
        let group = self.group_for(lane, added, outbox);
        kpl::add(data, &mut group.data);
        group.add(origin);
    }

    /// Adds the line in `text` to those before it.
    fn join(&mut self, lane: Option<u64>, origin: Origin, outbox: &mut Outbox) {
        let text = std::mem::take(&mut self.text);
        let group = self.group_for(lane, text.len(), outbox);
        group.data.extend_from_slice(&text);
        group.add(origin);
        self.text = text;
    }

    /// The group of the record's key, with room for so many bytes. A group has one key: consumers pass over records in an
    /// aggregate whose own key belongs to another shard.
    fn group_for(&mut self, number: Option<u64>, added: usize, outbox: &mut Outbox) -> &mut Group {
        let lane = &self.lanes[index(number)];
        let mut found = match number {
            Some(_) => self.group_of_field(lane),
            None => lane.groups.len().checked_sub(1),
        };
        let is_full = |at: usize| {
            let KeyedGroup { key, group } = &lane.groups[at];
            group.data.len() + added + key.text.len() > ENTRY_BYTES_MAX
        };
        if found.map_or(lane.groups.len() == GROUPS_MAX, is_full)
            || lane.grouped + added > GROUPED_BYTES_MAX
        {
            self.close_groups(number, outbox);
            found = None;
        }
        let lane = &mut self.lanes[index(number)];
        lane.grouped += added;
        let at = match found {
            Some(at) => at,
            None => {
                let new = lane.open_group(match number {
                    Some(_) => self.keys.of_field(),
                    None => self.keys.random(),
                });
                if self.form == Form::Aggregate {
                    kpl::start(&new.key.text, &mut new.group.data);
                }
                lane.groups.len() - 1
            }
        };
        &mut lane.groups[at].group
    }

    /// Where the group of the field's key stands in its lane. It is the last one mostly.
    fn group_of_field(&self, lane: &Lane) -> Option<usize> {
        let key = &self.keys.of_field().text;
        let has_key = |keyed: &KeyedGroup| keyed.key.text == *key;
        lane.groups.iter().rposition(has_key)
    }

    /// Makes an entry of each of the lane's groups, or several if compressed it is still too large.
    fn close_groups(&mut self, lane: Option<u64>, outbox: &mut Outbox) {
        let lane = &mut self.lanes[index(lane)];
        if lane.groups.is_empty() {
            return;
        }
        let mut groups = std::mem::take(&mut lane.groups);
        for KeyedGroup { key, group } in &mut groups {
            let failed = if self.form == Form::Aggregate {
                kpl::finish(&mut group.data);
                group.place_whole(&mut |data, members| {
                    let origins = members.iter().map(|member| member.origin);
                    lane.add(&self.frame, (data, key), origins, outbox)
                })
            } else {
                group.place(0..group.members().len(), &mut |data, members| {
                    let end = if self.append_newline { 0 } else { 1 };
                    let text = &data[..data.len() - end];
                    let data = packed(&mut self.compressor, text, &mut self.packed)?;
                    if members.len() > 1 && data.len() + key.text.len() > ENTRY_BYTES_MAX {
                        return Err(TOO_LARGE);
                    }
                    let origins = members.iter().map(|member| member.origin);
                    lane.add(&self.frame, (data, key), origins, outbox)
                })
            };
            for (origin, reason) in failed {
                reject(origin, reason, outbox);
            }
        }
        lane.closed(groups);
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
            self.close_groups(self.lanes[index].number, outbox);
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
