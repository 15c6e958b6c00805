//! The streams that have a request open, and the memory that all of them may take together.

use std::collections::HashMap;

use plugin::{Outbox, Request};
use record::json::write::Writer;

use super::message::Said;
use super::names::SEPARATOR;
use super::open_stream::{Event, OpenStream, Spare, Target};

/// Events in open requests may take so much memory; then the largest requests are sent as they are.
const HELD_BYTES_MAX: usize = 8 << 20;
/// So many streams may have a request open; then all are sent as they are.
const OPEN_MAX: usize = 4096;
/// The names of so many streams are kept from one flush to the next.
const KEPT_MAX: usize = 64;

/// Open requests by stream.
#[derive(Default)]
pub struct Streams {
    open: Vec<OpenStream>,
    /// By name, as [`Names::write`](super::names::Names::write) makes it.
    slots: HashMap<Box<[u8]>, usize>,
    held: usize,
    spare: Spare,
    writer: Writer,
}

impl Streams {
    /// No streams; messages become JSON strings by `writer`.
    pub fn new(writer: Writer) -> Streams {
        Streams {
            writer,
            ..Streams::default()
        }
    }

    /// The slot of the stream of this name, made by [`Names::write`](super::names::Names::write). It holds until
    /// [`Streams::tidy`], [`Streams::trim`] or the next call of this.
    pub fn slot(&mut self, name: &[u8], outbox: &mut Outbox) -> usize {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        if self.open.len() == OPEN_MAX {
            self.seal(outbox);
            self.forget();
        }
        self.open.push(OpenStream::new(target(name)));
        self.slots.insert(name.into(), self.open.len() - 1);
        self.open.len() - 1
    }

    /// Adds an event to a stream; what is full goes to the outbox.
    pub fn add(&mut self, slot: usize, event: Event, said: &Said<'_>, outbox: &mut Outbox) {
        if !self.open[slot].has_room_for(said) {
            self.finish(slot, outbox);
        }
        let stream = &mut self.open[slot];
        let before = stream.held();
        stream.add(event, said, &self.writer, &mut self.spare);
        self.held += stream.held() - before;
        self.keep_limits(slot, outbox);
    }

    /// Adds an event whose message `write` appends, as [`OpenStream::append`] does it; what is full goes to the outbox.
    pub fn append(
        &mut self,
        slot: usize,
        event: Event,
        write: impl FnOnce(&mut Vec<u8>) -> Option<usize>,
        outbox: &mut Outbox,
    ) -> bool {
        let stream = &mut self.open[slot];
        self.held -= stream.held();
        let is_added = stream.append(event, write, &mut self.spare, &mut outbox.requests);
        self.held += stream.held();
        self.keep_limits(slot, outbox);
        is_added
    }

    fn keep_limits(&mut self, slot: usize, outbox: &mut Outbox) {
        if self.open[slot].is_full() {
            self.finish(slot, outbox);
        }
        if self.held > HELD_BYTES_MAX {
            self.relieve(outbox);
        }
    }

    /// Hands every open request over.
    pub fn seal(&mut self, outbox: &mut Outbox) {
        for slot in 0..self.open.len() {
            self.finish(slot, outbox);
        }
    }

    /// Forgets streams if they are many. None may be open.
    pub fn tidy(&mut self) {
        if self.open.len() > KEPT_MAX {
            self.forget();
        }
    }

    /// Keeps the memory of a request that is done with, if nothing else has it.
    pub fn recycle(&mut self, done: Request) {
        if let Some(mut body) = done.body.into_vec() {
            body.clear();
            self.spare.keep_body(body);
        }
    }

    /// Gives back what is not in use.
    pub fn trim(&mut self) {
        self.spare = Spare::default();
        if self.open.iter().all(OpenStream::is_empty) {
            self.forget();
        }
    }

    fn finish(&mut self, slot: usize, outbox: &mut Outbox) {
        let stream = &mut self.open[slot];
        self.held -= stream.held();
        stream.finish(&mut self.spare, &mut outbox.requests);
    }

    /// Hands the largest requests over until half of the memory is free.
    fn relieve(&mut self, outbox: &mut Outbox) {
        let mut by_size: Vec<usize> = (0..self.open.len()).collect();
        by_size.sort_by_key(|slot| std::cmp::Reverse(self.open[*slot].held()));
        for slot in by_size {
            if self.held <= HELD_BYTES_MAX / 2 {
                break;
            }
            self.finish(slot, outbox);
        }
    }

    fn forget(&mut self) {
        self.open = Vec::new();
        self.slots = HashMap::new();
        self.held = 0;
    }

    /// Bytes that events in open requests hold.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held
    }
}

fn target(name: &[u8]) -> Target {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let between = name.iter().position(|&byte| byte == SEPARATOR);
    let (group, stream) = name.split_at(between.unwrap_or(name.len()));
    Target {
        group: text(group),
        stream: text(stream.get(1..).unwrap_or_default()),
    }
}
