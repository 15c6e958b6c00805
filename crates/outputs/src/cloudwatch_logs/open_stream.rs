//! A request for one stream that is being written, by the rules of `PutLogEvents`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use plugin::{Body, DeliveryId, Parts, Request};
use record::json::write::Writer;

use super::message::{Said, names_writer};

/// The service's limits (API reference of `PutLogEvents`): events, bytes with those that are added for each event, and
/// the time between the first and the last one, in milliseconds. The last is looked at when a request is finished, so that
/// old and new events may come in turn.
pub const EVENTS_MAX: usize = 10_000;
pub const REQUEST_BYTES_MAX: usize = 1_048_576;
pub const EVENT_BYTES: usize = 26;
pub const SPAN_MAX: i64 = 24 * 60 * 60 * 1000;

const END: &[u8] = b"]}";
/// Memory of so many requests that are done with is kept for later ones.
const SPARE_MAX: usize = 10;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The name of the group.
    pub group: String,
    /// The name of the stream.
    pub stream: String,
}

/// A record that is sent.
#[derive(Clone, Copy)]
pub struct Event {
    /// The batch that it stands in.
    pub delivery: DeliveryId,
    /// Its index there.
    pub record: u32,
    /// Its time since 1970.
    pub millis: i64,
}

/// Memory of bodies and lists that are done with. Of many little used streams none keeps its own.
#[derive(Default)]
pub struct Spare {
    bodies: Vec<Vec<u8>>,
    lists: Vec<Vec<Written>>,
}

impl Spare {
    /// Keeps the memory of a body.
    pub fn keep_body(&mut self, body: Vec<u8>) {
        if self.bodies.len() < SPARE_MAX {
            self.bodies.push(body);
        }
    }

    fn keep_list(&mut self, mut list: Vec<Written>) {
        if self.lists.len() < SPARE_MAX {
            list.clear();
            self.lists.push(list);
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let mut body = self.bodies.pop().unwrap_or_default();
        body.clear();
        body
    }
}

/// An event that stands in the body.
#[derive(Clone, Copy)]
struct Written {
    millis: i64,
    /// Where it ends in the body.
    end: u32,
    delivery: DeliveryId,
    record: u32,
}

/// See the module's documentation.
pub struct OpenStream {
    target: Rc<Target>,
    lane: u64,
    /// The body up to the entity.
    names: Vec<u8>,
    entity: Vec<u8>,
    body: Vec<u8>,
    /// Where the first event begins.
    start: usize,
    events: Vec<Written>,
    /// As the service counts.
    bytes: usize,
    oldest: i64,
    newest: i64,
    is_sorted: bool,
}

impl OpenStream {
    /// A stream without events.
    pub fn new(target: Target) -> OpenStream {
        let mut hasher = DefaultHasher::new();
        target.hash(&mut hasher);
        let writer = names_writer();
        let mut names = b"{\"logGroupName\":".to_vec();
        writer.string(target.group.as_bytes(), &mut names);
        names.extend_from_slice(b",\"logStreamName\":");
        writer.string(target.stream.as_bytes(), &mut names);
        names.push(b',');
        OpenStream {
            target: Rc::new(target),
            lane: hasher.finish(),
            names,
            entity: Vec::new(),
            body: Vec::new(),
            start: 0,
            events: Vec::new(),
            bytes: 0,
            oldest: i64::MAX,
            newest: i64::MIN,
            is_sorted: true,
        }
    }

    /// Whether no event stands in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether it holds as many events as a request can.
    pub fn is_full(&self) -> bool {
        self.events.len() == EVENTS_MAX
    }

    /// Bytes of memory that it holds because of its events.
    pub fn held(&self) -> usize {
        self.body.len() + self.events.len() * size_of::<Written>()
    }

    /// Whether the request may hold an event with this message too.
    pub fn has_room_for(&self, said: &Said<'_>) -> bool {
        self.is_empty() || (self.has_room(said.bytes) && self.is_of(said.entity))
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes + bytes + EVENT_BYTES <= REQUEST_BYTES_MAX && self.events.len() < EVENTS_MAX
    }

    /// Whether its events are of this entity. Mostly there is none, and that is not left to `memcmp`: with AVX-512 it loads
    /// nothing from where an empty vector points, which is no memory, and the processor takes some 60 ns to find that harmless.
    fn is_of(&self, entity: &[u8]) -> bool {
        self.entity.len() == entity.len() && (entity.is_empty() || self.entity == entity)
    }

    /// Writes an event for which there is room.
    pub fn add(&mut self, event: Event, said: &Said<'_>, writer: &Writer, spare: &mut Spare) {
        self.open(event, said.entity, spare);
        writer.string(said.text, &mut self.body);
        self.body.push(b'}');
        self.close(event, said.bytes);
    }

    /// Writes an event of no entity whose message `write` appends as the inside of a JSON string, and whose length it returns.
    /// What has no room together with it goes to `requests` before. Tells whether there is a message; if not, all is as it
    /// was.
    pub fn append(
        &mut self,
        event: Event,
        write: impl FnOnce(&mut Vec<u8>) -> Option<usize>,
        spare: &mut Spare,
        requests: &mut Vec<Request>,
    ) -> bool {
        let start = self.open(event, b"", spare);
        self.body.push(b'"');
        let message = self.body.len();
        let Some(bytes) = write(&mut self.body) else {
            self.take_back(start, spare);
            return false;
        };
        if !self.is_empty() && !self.has_room(bytes) {
            let message = self.body[message..].to_vec();
            self.body.truncate(start);
            self.finish(spare, requests);
            self.open(event, b"", spare);
            self.body.push(b'"');
            self.body.extend_from_slice(&message);
        }
        self.body.extend_from_slice(b"\"}");
        self.close(event, bytes);
        true
    }

    /// Writes what stands before a message. Returns where the event begins, with the comma before it.
    fn open(&mut self, event: Event, entity: &[u8], spare: &mut Spare) -> usize {
        if self.is_empty() {
            self.begin(entity, spare);
        }
        let start = self.body.len();
        if !self.is_empty() {
            self.body.push(b',');
        }
        self.body.extend_from_slice(b"{\"timestamp\":");
        let mut digits = itoa::Buffer::new();
        self.body
            .extend_from_slice(digits.format(event.millis).as_bytes());
        self.body.extend_from_slice(b",\"message\":");
        start
    }

    /// Takes note of an event that is written.
    fn close(&mut self, event: Event, bytes: usize) {
        self.is_sorted &= self.newest <= event.millis;
        self.newest = self.newest.max(event.millis);
        self.oldest = self.oldest.min(event.millis);
        self.bytes += bytes + EVENT_BYTES;
        self.events.push(Written {
            millis: event.millis,
            end: self.body.len() as u32,
            delivery: event.delivery,
            record: event.record,
        });
    }

    /// Takes back an event that was begun.
    fn take_back(&mut self, start: usize, spare: &mut Spare) {
        self.body.truncate(start);
        if self.is_empty() {
            spare.keep_body(std::mem::take(&mut self.body));
            spare.keep_list(std::mem::take(&mut self.events));
        }
    }

    fn begin(&mut self, entity: &[u8], spare: &mut Spare) {
        self.body = spare.body();
        self.events = spare.lists.pop().unwrap_or_default();
        self.entity.clear();
        self.entity.extend_from_slice(entity);
        self.body.extend_from_slice(&self.names);
        self.body.extend_from_slice(entity);
        self.body.extend_from_slice(b"\"logEvents\":[");
        self.start = self.body.len();
    }

    /// Appends the request, and the stream is empty again. Its events stand in the order of their times, those of one time
    /// in the order in which they came. Events of more than a day make several requests, the oldest first.
    pub fn finish(&mut self, spare: &mut Spare, requests: &mut Vec<Request>) {
        if self.is_empty() {
            return;
        }
        let mut body = std::mem::take(&mut self.body);
        let events = std::mem::take(&mut self.events);
        if self.is_sorted && self.newest - self.oldest < SPAN_MAX {
            body.extend_from_slice(END);
            requests.push(self.request(body, events.iter()));
        } else {
            self.finish_in_order(&body, &events, spare, requests);
            spare.keep_body(body);
        }
        spare.keep_list(events);
        self.bytes = 0;
        (self.oldest, self.newest, self.is_sorted) = (i64::MAX, i64::MIN, true);
    }

    /// Writes the body anew, in the order of time, day by day.
    fn finish_in_order(
        &self,
        body: &[u8],
        events: &[Written],
        spare: &mut Spare,
        requests: &mut Vec<Request>,
    ) {
        let mut start = self.start;
        let mut ordered: Vec<(usize, Written)> = Vec::with_capacity(events.len());
        for event in events {
            ordered.push((start, *event));
            // A comma stands between two.
            start = event.end as usize + 1;
        }
        ordered.sort_by_key(|(_, event)| event.millis);
        let mut rest = &ordered[..];
        while let Some((_, first)) = rest.first() {
            let end = rest.partition_point(|(_, event)| event.millis - first.millis < SPAN_MAX);
            let (day, later) = rest.split_at(end);
            let mut part = spare.body();
            part.extend_from_slice(&body[..self.start]);
            for (index, (start, event)) in day.iter().enumerate() {
                if index > 0 {
                    part.push(b',');
                }
                part.extend_from_slice(&body[*start..event.end as usize]);
            }
            part.extend_from_slice(END);
            requests.push(self.request(part, day.iter().map(|(_, event)| event)));
            rest = later;
        }
    }

    fn request<'a>(&self, body: Vec<u8>, events: impl Iterator<Item = &'a Written>) -> Request {
        let mut parts = Parts::default();
        for event in events {
            parts.push(event.delivery, event.record);
        }
        Request {
            body: Body::from(body),
            parts,
            lane: Some(self.lane),
            note: Some(Box::new(Rc::clone(&self.target))),
            provenance: None,
        }
    }
}
