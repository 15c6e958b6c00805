//! `buffer on`: what belongs together, over batches.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use multiline::{Joined, Joiner, Place, Stream, assign};
use plugin::FilterCall;
use record::{Batch, Emission, Kind, Obligation, Origin, Permit, Tag, Time};

use super::Sharing;
use super::unbuffered::join;

/// With more tags than this, those of which nothing waits are forgotten;
const TAGS_KEPT: usize = 1024;
/// with more than this, everything that waits is complete.
const TAGS_MAX: usize = 64 << 10;

/// Joins the records of each tag.
pub struct Buffered {
    joiner: Joiner,
    held: HashMap<Tag, Held>,
    joined: Joined,
    /// Nothing waits longer than until then.
    deadline: Option<Instant>,
}

/// What waits of one tag.
#[derive(Default)]
struct Held {
    stream: Stream,
    /// For its memory.
    permit: Option<Permit>,
    /// Of the batch that came last.
    origin: Origin,
    emission: Emission,
    awaited: bool,
}

impl Buffered {
    pub fn new(joiner: Joiner) -> Buffered {
        Buffered {
            joiner,
            held: HashMap::new(),
            joined: Joined::default(),
            deadline: None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>, sharing: &mut Sharing) {
        if batch.kind() != Kind::Logs || batch.is_empty() {
            return;
        }
        let Some(emission) = sharing.emissions.again(batch) else {
            return;
        };
        let tag = batch.tag().clone();
        let nothing = batch.sibling(tag.clone());
        let mut own = std::mem::replace(batch, nothing).with_emission(emission);
        self.make_room(call, sharing);
        let held = self.held.entry(tag).or_default();
        let waited = !held.stream.is_empty();
        if waited && held.origin != own.origin() {
            // What comes first is of several sources: its position names none of them.
            own = own.with_origin(Origin::NONE);
        } else {
            held.origin = own.origin();
        }
        let awaited = own.is_awaited() || (waited && held.awaited);
        own = own.with_awaited(awaited);
        (held.emission, held.awaited) = (emission, awaited);
        let mut obligation = join(
            &mut self.joiner,
            &mut held.stream,
            &mut own,
            call,
            &mut self.joined,
        );
        held.put_aside(&mut own, &mut obligation);
        let deadline = self.joiner.deadline(&held.stream);
        self.deadline = [self.deadline, deadline].into_iter().flatten().min();
        emit(own, obligation, &mut self.joined, call, sharing);
    }

    /// Emits what has waited long enough, or everything.
    pub fn expire(&mut self, call: &FilterCall<'_>, all: bool, sharing: &Sharing) {
        self.deadline = None;
        for (tag, held) in &mut self.held {
            if held.stream.is_empty() {
                continue;
            }
            let mut own = Batch::new(tag.clone(), Bytes::new())
                .with_origin(held.origin)
                .with_emission(held.emission)
                .with_awaited(held.awaited);
            if let Some(permit) = held.permit.take() {
                own = own.with_permit(permit);
            }
            let mut place = Place {
                batch: &mut own,
                now: call.now,
                time: Time::now(),
            };
            match all {
                true => self
                    .joiner
                    .flush(&mut held.stream, &mut place, &mut self.joined),
                false => self
                    .joiner
                    .expire(&mut held.stream, &mut place, &mut self.joined),
            }
            let mut nothing = Obligation::none();
            held.put_aside(&mut own, &mut nothing);
            emit(own, nothing, &mut self.joined, call, sharing);
            let deadline = self.joiner.deadline(&held.stream);
            self.deadline = [self.deadline, deadline].into_iter().flatten().min();
        }
    }

    /// Keeps ever new tags from taking ever more memory.
    fn make_room(&mut self, call: &FilterCall<'_>, sharing: &Sharing) {
        if self.held.len() >= TAGS_KEPT && self.held.len().is_power_of_two() {
            self.held.retain(|_, held| !held.stream.is_empty());
        }
        if self.held.len() >= TAGS_MAX {
            self.expire(call, true, sharing);
            self.held.clear();
        }
    }
}

impl Held {
    /// Copies what waits out of `own`, with what is owed for it.
    fn put_aside(&mut self, own: &mut Batch, obligation: &mut Obligation) {
        self.stream.hold(obligation);
        self.stream.park(own);
        self.permit = match self.stream.is_empty() {
            true => None,
            false => own.permit_for(self.stream.footprint()),
        };
    }
}

fn emit(
    mut own: Batch,
    obligation: Obligation,
    joined: &mut Joined,
    call: &FilterCall<'_>,
    sharing: &Sharing,
) {
    sharing.note_truncated(std::mem::take(&mut joined.truncated));
    if joined.records.is_empty() {
        // Nothing is made of what does not wait.
        obligation.settle_all();
        return;
    }
    sharing.emissions.count(joined.records.len());
    assign(&mut own, obligation, &mut joined.records);
    call.emit.emit(own);
}
