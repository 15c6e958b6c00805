//! The best events of many, within the bounds of one answer.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::position::Position;
use crate::limits;

/// An event that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where it stands.
    pub position: Position,
    /// When it arrived, in ms.
    pub ingested: i64,
    /// The number of its log stream.
    pub stream: u64,
    /// The message.
    pub message: String,
}

/// Which events come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest ones.
    Forward,
    /// The newest ones.
    Backward,
}

impl Direction {
    /// A number that is smaller for what comes earlier.
    pub fn rank(self, position: Position) -> u128 {
        match self {
            Self::Forward => position.rank(),
            Self::Backward => !position.rank(),
        }
    }
}

/// Collects the first events in a direction, in whatever order they are found, and no more of them than fit.
#[derive(Debug)]
pub struct Selection {
    direction: Direction,
    limit: usize,
    bytes: usize,
    heap: BinaryHeap<Ranked>,
    /// Of what comes here or later there is no room for all.
    bound: Option<u128>,
}

#[derive(Debug)]
struct Ranked(u128, Event);

impl Selection {
    /// Room for `limit` events and [`limits::READ_PAGE_BYTES`], but always for one event.
    pub fn new(direction: Direction, limit: usize) -> Self {
        Self {
            direction,
            limit,
            bytes: 0,
            heap: BinaryHeap::new(),
            bound: None,
        }
    }

    /// Whether an event that stands at `position` would be kept, as far as is known.
    pub fn wants(&self, position: Position) -> bool {
        self.bound
            .is_none_or(|bound| self.direction.rank(position) < bound)
    }

    /// Adds an event that is [wanted](Self::wants).
    pub fn add(&mut self, event: Event) {
        self.bytes += size(&event);
        let rank = self.direction.rank(event.position);
        self.heap.push(Ranked(rank, event));
        while self.heap.len() > self.limit
            || (self.bytes > limits::READ_PAGE_BYTES && self.heap.len() > 1)
        {
            if let Some(Ranked(rank, event)) = self.heap.pop() {
                self.bytes -= size(&event);
                self.bound = Some(rank);
            }
        }
    }

    /// Gives up what stands at `position` or comes later: what lies there was not looked at completely.
    pub fn cut(&mut self, position: Position) {
        let rank = self.direction.rank(position);
        if self.bound.is_none_or(|bound| rank < bound) {
            self.bound = Some(rank);
        }
        self.heap.retain(|Ranked(other, _)| *other < rank);
    }

    /// The events in order, and whether there are more.
    pub fn finish(self) -> (Vec<Event>, bool) {
        let events = self.heap.into_sorted_vec();
        let events = events.into_iter().map(|Ranked(_, event)| event).collect();
        (events, self.bound.is_some())
    }
}

fn size(event: &Event) -> usize {
    event.message.len() + limits::EVENT_OVERHEAD_BYTES
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(timestamp: i64, sequence: u64, bytes: usize) -> Event {
        Event {
            position: Position {
                timestamp,
                sequence,
            },
            ingested: 0,
            stream: 1,
            message: "x".repeat(bytes),
        }
    }

    proptest! {
        /// Whatever the order in which they are found: the longest run of first events that fits.
        #[test]
        fn the_first_events_are_kept(
            found in proptest::collection::vec((0..50_i64, prop_oneof![Just(1_usize), Just(300_000), Just(900_000)]), 0..40),
            limit in 1..20_usize,
            backward in any::<bool>(),
        ) {
            let direction = if backward { Direction::Backward } else { Direction::Forward };
            let mut all: Vec<Event> = found.iter().enumerate().map(|(index, (time, bytes))| event(*time, index as u64 + 1, *bytes)).collect();
            let mut selection = Selection::new(direction, limit);
            for event in &all {
                if selection.wants(event.position) {
                    selection.add(event.clone());
                }
            }
            all.sort_by_key(|event| direction.rank(event.position));
            let mut bytes = 0;
            let mut expected = Vec::new();
            for event in &all {
                bytes += size(event);
                if expected.len() == limit || (bytes > limits::READ_PAGE_BYTES && !expected.is_empty()) {
                    break;
                }
                expected.push(event.clone());
            }
            let (events, more) = selection.finish();
            prop_assert_eq!(more, expected.len() < all.len());
            prop_assert!(events == expected);
        }
    }
}
