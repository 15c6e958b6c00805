//! What each router has delivered already, so that what it sends again after a crash is recognised.
//!
//! A Flumen router says of every record which source it comes from and which positions of that source it is
//! ([`Provenance`]). The positions are stored in the frame of the records themselves ([`Claim`]): either both are there
//! or neither is. A record all of whose positions are there already is a repeat: it is answered as delivered and not
//! stored again. Nothing is ever taken for a repeat that was not seen: what is forgotten, because there are too many
//! sources or too many gaps, is stored once more.
//!
//! A writer is a router with its state. Each start of it has a higher epoch; once a lake has met one, requests of lower
//! ones are [fenced](Fenced) off: two routers that share a state, a clone and its original say, cannot both deliver.

mod claim;
mod ranges;
mod snapshot;

use std::collections::HashMap;
use std::ops::Range;

pub use claim::Claim;
use ranges::Ranges;

use crate::provenance::{Id, Provenance};

/// The lake's own: writers that one stream remembers, sources of one writer, and stretches of positions of one source.
const WRITERS: usize = 1024;
const SOURCES: usize = 16_384;
const RANGES: usize = 4096;
/// Stretches of all writers together, 16 bytes each, and how many calls may pass until they are counted again.
const RANGES_IN_ALL: usize = 1 << 20;
const COUNTED_EVERY: u64 = 64;

/// Names a router with its state.
pub type WriterId = [u8; 16];
/// Names a source of positions.
pub type OriginId = [u8; 16];

/// A source as one stream knows it: within `scope`, for lists that are shared by several destinations.
type Source = (u64, OriginId);

/// What was delivered to one stream, or to several that are told apart by a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    writers: HashMap<WriterId, Writer>,
    /// Counts what was added: tells which writers and sources were used least recently.
    clock: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Writer {
    epoch: u64,
    used: u64,
    sources: HashMap<Source, Positions>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Positions {
    used: u64,
    ranges: Ranges,
}

/// A request of a router whose state another one has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "another router with the same state has started since (its epoch is {known}, the request's is {sent}): this one must \
     stop sending; what it has not delivered is the other one's"
)]
pub struct Fenced {
    /// The highest epoch so far.
    pub known: u64,
    /// The request's.
    pub sent: u64,
}

impl Delivered {
    /// Lets a request in: whether each of its records is a repeat, or `None` if none is.
    pub fn admit(
        &mut self,
        scope: u64,
        provenance: &Provenance,
    ) -> Result<Option<Vec<bool>>, Fenced> {
        let Some(writer) = self.writers.get_mut(&provenance.writer) else {
            return Ok(None);
        };
        if provenance.epoch < writer.epoch {
            return Err(Fenced {
                known: writer.epoch,
                sent: provenance.epoch,
            });
        }
        writer.epoch = provenance.epoch;
        let repeats: Vec<bool> = (0..provenance.len())
            .map(|index| writer.has(scope, provenance.ids(index)))
            .collect();
        Ok(repeats.contains(&true).then_some(repeats))
    }

    /// Remembers what a frame claims.
    pub fn add(&mut self, scope: u64, claim: &Claim) {
        self.clock += 1;
        let clock = self.clock;
        let writer = self.writers.entry(claim.writer).or_default();
        writer.epoch = writer.epoch.max(claim.epoch);
        writer.used = clock;
        for (origin, ranges) in &claim.sources {
            let positions = writer.sources.entry((scope, *origin)).or_default();
            positions.used = clock;
            ranges
                .iter()
                .for_each(|range| positions.ranges.insert(range.clone()));
            positions.ranges.keep_last(RANGES);
        }
        if writer.sources.len() > SOURCES {
            forget_oldest(&mut writer.sources, SOURCES, |positions| positions.used);
        }
        if self.writers.len() > WRITERS {
            forget_oldest(&mut self.writers, WRITERS, |writer| writer.used);
        }
        if clock.is_multiple_of(COUNTED_EVERY) {
            self.keep_within(RANGES_IN_ALL);
        }
    }

    /// Forgets the half of all sources that was used least recently if there are more than `most` stretches.
    fn keep_within(&mut self, most: usize) {
        let sources = || {
            self.writers
                .values()
                .flat_map(|writer| writer.sources.values())
        };
        let count: usize = sources().map(|one| one.ranges.as_slice().len()).sum();
        if count <= most {
            return;
        }
        let mut ages: Vec<u64> = sources().map(|one| one.used).collect();
        let middle = ages.len() / 2;
        let (_, middle, _) = ages.select_nth_unstable(middle);
        let middle = *middle;
        for writer in self.writers.values_mut() {
            writer.sources.retain(|_, one| one.used > middle);
        }
    }

    /// Forgets what a frame claims that could not be kept.
    pub fn remove(&mut self, scope: u64, claim: &Claim) {
        let Some(writer) = self.writers.get_mut(&claim.writer) else {
            return;
        };
        for (origin, ranges) in &claim.sources {
            if let Some(positions) = writer.sources.get_mut(&(scope, *origin)) {
                ranges
                    .iter()
                    .for_each(|range| positions.ranges.remove(range.clone()));
            }
        }
    }

    /// Forgets all that was delivered within `scope`: the stream is gone.
    pub fn forget(&mut self, scope: u64) {
        for writer in self.writers.values_mut() {
            writer.sources.retain(|(within, _), _| *within != scope);
        }
    }

    /// Whether nobody has delivered anything of which he said where it comes from.
    pub fn is_empty(&self) -> bool {
        self.writers.is_empty()
    }

    /// The same without what `claims` say: what is on disk for certain.
    pub fn without<'a>(&self, claims: impl Iterator<Item = (u64, &'a Claim)>) -> Delivered {
        let mut rest = self.clone();
        claims.for_each(|(scope, claim)| rest.remove(scope, claim));
        rest
    }
}

impl Writer {
    /// Whether a record that stands for `ids` was delivered: one without a source never was, as far as anybody knows.
    fn has(&self, scope: u64, ids: &[Id]) -> bool {
        !ids.is_empty()
            && ids.iter().all(|id| {
                id.origin
                    .and_then(|origin| self.sources.get(&(scope, origin)))
                    .is_some_and(|positions| positions.ranges.contain(&id.positions))
            })
    }
}

/// Leaves seven eighths of `most`, so that this is not done again for the next one.
fn forget_oldest<K, V>(map: &mut HashMap<K, V>, most: usize, used: impl Fn(&V) -> u64) {
    let mut ages: Vec<u64> = map.values().map(&used).collect();
    let gone = ages.len() - most / 8 * 7;
    let (_, oldest_kept, _) = ages.select_nth_unstable(gone);
    let oldest_kept = *oldest_kept;
    map.retain(|_, value| used(value) >= oldest_kept);
}

/// The positions that `ids` stand for, by source, in as few stretches as there are.
fn by_source<'a>(ids: impl Iterator<Item = &'a Id>) -> Vec<(OriginId, Vec<Range<u64>>)> {
    let mut sources: Vec<(OriginId, Vec<Range<u64>>)> = Vec::new();
    // Records of one source mostly stand together, and there are few sources.
    let mut index: HashMap<OriginId, usize> = HashMap::new();
    for id in ids {
        let Some(origin) = id.origin else {
            continue;
        };
        let at = *index.entry(origin).or_insert_with(|| {
            sources.push((origin, Vec::new()));
            sources.len() - 1
        });
        let ranges = &mut sources[at].1;
        match ranges.last_mut() {
            Some(last) if last.end == id.positions.start => last.end = id.positions.end,
            _ => ranges.push(id.positions.clone()),
        }
    }
    sources
}

#[cfg(test)]
mod tests;
