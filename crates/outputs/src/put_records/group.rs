//! Several records in one entry.

use super::entry::Origin;

/// The data of records that share an entry, one after the other.
#[derive(Debug, Default)]
pub struct Group {
    /// What was written so far.
    pub data: Vec<u8>,
    members: Vec<Member>,
}

/// A record of a group.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Which one.
    pub origin: Origin,
    /// Where its data ends in that of the group.
    end: usize,
}

impl Group {
    /// What stands in `data` since the last record belongs to `origin`.
    pub fn add(&mut self, origin: Origin) {
        let end = self.data.len();
        self.members.push(Member { origin, end });
    }

    /// Its records.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The data of `members`, which is a part of this group's members in their order.
    pub fn data_of(&self, members: std::ops::Range<usize>) -> &[u8] {
        let start = match members.start.checked_sub(1) {
            None => 0,
            Some(before) => self.members[before].end,
        };
        let end = match members.end.checked_sub(1) {
            None => 0,
            Some(last) => self.members[last].end,
        };
        &self.data[start..end.max(start)]
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.members.clear();
    }

    /// Gives the memory back. The group must be empty.
    pub fn trim(&mut self) {
        if self.is_empty() {
            *self = Group::default();
        }
    }
}
