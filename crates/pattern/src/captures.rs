//! Where a pattern and its groups matched.

use std::ops::Range;

/// A position that a group does not have.
const UNSET: usize = usize::MAX;

/// Start and end of each group, group 0 being the whole match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Vec<usize>);

impl Slots {
    /// Slots of `groups` groups, the whole match included.
    pub fn new(groups: usize) -> Slots {
        Slots(vec![UNSET; groups * 2])
    }

    pub fn clear(&mut self) {
        self.0.fill(UNSET);
    }

    #[inline]
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        let slots = self.0.get(group * 2..group * 2 + 2)?;
        (slots[1] != UNSET).then(|| slots[0]..slots[1])
    }

    #[inline]
    pub fn set(&mut self, group: usize, range: Option<Range<usize>>) {
        let (start, end) = range.map_or((UNSET, UNSET), |range| (range.start, range.end));
        self.0[group * 2] = start;
        self.0[group * 2 + 1] = end;
    }

    /// Replaces every position.
    pub fn map(&mut self, change: impl Fn(usize) -> usize) {
        for slot in self.0.iter_mut().filter(|slot| **slot != UNSET) {
            *slot = change(*slot);
        }
    }

    /// The positions, to be written one by one; [`usize::MAX`] stands for none.
    #[inline]
    pub fn raw_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

/// A match: where the pattern and its groups stand in the text.
#[derive(Clone, Copy, Debug)]
pub struct Captures<'m>(pub(crate) &'m Slots);

impl Captures<'_> {
    /// Where `group` matched, in bytes of the text; group 0 is the whole match. None if the group took no part, or if there
    /// is no such group.
    #[inline]
    pub fn get(&self, group: usize) -> Option<Range<usize>> {
        self.0.get(group)
    }
}
