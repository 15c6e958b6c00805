//! Several records in one entry.

use std::ops::Range;

use plugin::Reason;

use super::TOO_LARGE;
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

    /// Hands the members in `range` to `place`, and where that finds them too large each half of them, down to single
    /// ones. Those that cannot be placed come back with the reason.
    pub fn place(
        &self,
        range: Range<usize>,
        place: &mut impl FnMut(&[u8], &[Member]) -> Result<(), Reason>,
    ) -> Vec<(Origin, Reason)> {
        let members = &self.members[range.clone()];
        match place(self.data_of(&range), members) {
            Ok(()) => Vec::new(),
            Err(TOO_LARGE) if members.len() > 1 => {
                let middle = range.start + members.len() / 2;
                let mut failed = self.place(range.start..middle, place);
                failed.append(&mut self.place(middle..range.end, place));
                failed
            }
            Err(reason) => failed(members, reason),
        }
    }

    /// Hands all members and all of `data` to `place`, what was appended after the last member included.
    pub fn place_whole(
        &self,
        place: &mut impl FnMut(&[u8], &[Member]) -> Result<(), Reason>,
    ) -> Vec<(Origin, Reason)> {
        match place(&self.data, &self.members) {
            Ok(()) => Vec::new(),
            Err(reason) => failed(&self.members, reason),
        }
    }

    fn data_of(&self, range: &Range<usize>) -> &[u8] {
        let end = |members: usize| match members.checked_sub(1) {
            None => 0,
            Some(last) => self.members[last].end,
        };
        &self.data[end(range.start)..end(range.end)]
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

fn failed(members: &[Member], reason: Reason) -> Vec<(Origin, Reason)> {
    members
        .iter()
        .map(|member| (member.origin, reason))
        .collect()
}
