//! The lines of one source.

use std::time::Instant;

use record::{Batch, Obligation};

use crate::group::Group;

/// So many groups of one parser, told apart by `key_group`, may a stream have; the one that waits longest makes room.
const GROUPS_MAX: usize = 32;

/// What waits of one source (a file, a tag) for more lines. Empty at first.
#[derive(Default)]
pub struct Stream {
    /// The parser that took the last line.
    pub(crate) last: Option<usize>,
    pub(crate) groups: Vec<Group>,
}

impl Stream {
    /// Whether no line waits.
    pub fn is_empty(&self) -> bool {
        self.groups.iter().all(Group::is_empty)
    }

    /// Whether it is as new: nothing waits, and the next line means what it would mean at the beginning.
    pub fn is_new(&self) -> bool {
        let mut groups = self.groups.iter();
        groups.all(|group| group.is_empty() && group.state.is_none())
    }

    /// Copies what waits and lies in `batch`, which is about to go. After this the stream knows nothing of it.
    pub fn park(&mut self, batch: &Batch) {
        self.groups.iter_mut().for_each(|group| group.park(batch));
    }

    /// Takes what is owed for lines that wait out of `obligation`, the present batch's.
    pub fn hold(&mut self, obligation: &mut Obligation) {
        let groups = self.groups.iter_mut();
        groups
            .filter(|group| !group.is_empty())
            .for_each(|group| group.hold(obligation));
    }

    /// How many positions of earlier batches wait.
    pub fn waiting(&self) -> u64 {
        self.groups.iter().map(Group::waiting).sum()
    }

    /// Bytes of memory that it takes.
    pub fn footprint(&self) -> usize {
        let groups = self.groups.iter();
        groups
            .map(|group| size_of::<Group>() + group.footprint())
            .sum()
    }

    /// The group `name` of `parser`, new if there is none, and the one that has to make room for it.
    pub(crate) fn group(&mut self, parser: usize, name: &[u8], now: Instant) -> Room {
        let of_parser = |group: &Group| group.parser == parser;
        let found = self
            .groups
            .iter()
            .position(|group| of_parser(group) && group.name == name);
        if let Some(index) = found {
            return Room::Found(index);
        }
        let own = (0..self.groups.len()).filter(|index| of_parser(&self.groups[*index]));
        if own.clone().count() >= GROUPS_MAX
            && let Some(oldest) = own.min_by_key(|index| self.groups[*index].touched())
        {
            return Room::Full(oldest);
        }
        self.groups.push(Group::new(parser, name, now));
        Room::Found(self.groups.len() - 1)
    }
}

/// Where a group is.
pub(crate) enum Room {
    Found(usize),
    /// There are too many; this one must go first.
    Full(usize),
}
