//! Batches → bodies of `PutLogEvents`:
//! `{"logGroupName":"…","logStreamName":"…","logEvents":[{"timestamp":1700000000123,"message":"…"},…]}`.

use std::ops::Range;

use plugin::{DeliveryId, Format, Outbox, OutputContext, Reason, Request};
use record::{Batch, Marker};

use super::message::{Message, writer};
use super::names::Names;
use super::open_stream::Event;
use super::streams::Streams;

/// Writes requests for all streams.
pub struct Payload {
    names: Names,
    message: Message,
    streams: Streams,
    /// The name of the last record's stream, and its slot.
    name: Vec<u8>,
    slot: Option<usize>,
    /// The name that is being made.
    next_name: Vec<u8>,
}

impl Payload {
    /// Requests for the streams that `names` gives, with the messages that `message` makes.
    pub fn new(names: Names, message: Message, context: &OutputContext) -> Payload {
        Payload {
            names,
            message,
            streams: Streams::new(writer(context)),
            name: Vec::new(),
            slot: None,
            next_name: Vec::new(),
        }
    }

    /// The slot of a record's stream.
    fn slot(&mut self, batch: &Batch, record: u32, outbox: &mut Outbox) -> usize {
        let record = &batch.records()[record as usize];
        self.names.write(batch, record, &mut self.next_name);
        if let Some(slot) = self.slot
            && self.name == self.next_name
        {
            return slot;
        }
        std::mem::swap(&mut self.name, &mut self.next_name);
        *self.slot.insert(self.streams.slot(&self.name, outbox))
    }

    fn forget_slot(&mut self) {
        self.slot = None;
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
        let one_stream = self.names.depend_on_the_tag_only();
        let mut slot = None;
        for index in records {
            let record = &batch.records()[index as usize];
            if record.marker != Marker::None {
                outbox.filtered.push((delivery, index));
                continue;
            }
            let millis = record.time.millis();
            if millis < 0 {
                // No time for the service; it would refuse the whole request.
                outbox
                    .rejected
                    .push((delivery, index, Reason("log_event_too_old")));
                continue;
            }
            let at = match slot {
                Some(slot) if one_stream => slot,
                _ => *slot.insert(self.slot(batch, index, outbox)),
            };
            let event = Event {
                delivery,
                record: index,
                millis,
            };
            if self.message.is_whole() {
                let message = &mut self.message;
                let write = |out: &mut Vec<u8>| message.append(batch, record, out);
                if self.streams.append(at, event, write, outbox) {
                    continue;
                }
            }
            match self.message.of(batch, record) {
                Err(reason) => outbox.rejected.push((delivery, index, reason)),
                Ok(None) => outbox.filtered.push((delivery, index)),
                Ok(Some(said)) => self.streams.add(at, event, &said, outbox),
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.streams.seal(outbox);
        self.streams.tidy();
        self.forget_slot();
    }

    fn recycle(&mut self, request: Request) {
        self.streams.recycle(request);
    }

    fn trim(&mut self) {
        self.streams.trim();
        self.message.trim();
        self.forget_slot();
    }
}
