//! Positions as stretches.

use std::ops::Range;

/// A set of positions: stretches in ascending order that neither overlap nor touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Whether all of `range` is there; nothing of an empty one is.
    pub fn contain(&self, range: &Range<u64>) -> bool {
        if range.is_empty() {
            return false;
        }
        let behind = self.0.partition_point(|own| own.start <= range.start);
        behind
            .checked_sub(1)
            .is_some_and(|at| range.end <= self.0[at].end)
    }

    /// Adds `range`.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Those that overlap it or touch it become one with it.
        let from = self.0.partition_point(|own| own.end < range.start);
        let to = self.0.partition_point(|own| own.start <= range.end);
        let joined = &self.0[from..to];
        let start = joined
            .first()
            .map_or(range.start, |own| own.start.min(range.start));
        let end = joined
            .last()
            .map_or(range.end, |own| own.end.max(range.end));
        self.0.splice(from..to, std::iter::once(start..end));
    }

    /// Takes `range` out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.0.partition_point(|own| own.end <= range.start);
        let to = self.0.partition_point(|own| own.start < range.end);
        let left = self.0[from..to].iter().flat_map(|own| {
            let before = own.start..range.start.max(own.start);
            let after = range.end.min(own.end)..own.end;
            [before, after]
        });
        let left: Vec<_> = left.filter(|one| !one.is_empty()).collect();
        self.0.splice(from..to, left);
    }

    /// Forgets the lowest stretches beyond the last `most`.
    pub fn keep_last(&mut self, most: usize) {
        let gone = self.0.len().saturating_sub(most);
        self.0.drain(..gone);
    }

    /// The stretches, in order.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn range() -> impl Strategy<Value = Range<u64>> {
        (0_u64..60, 0_u64..12).prop_map(|(start, len)| start..start + len)
    }

    proptest! {
        #[test]
        fn they_are_a_set(steps in proptest::collection::vec((any::<bool>(), range()), 0..40), asked in range()) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (add, range) in steps {
                if add {
                    ranges.insert(range.clone());
                    model.extend(range);
                } else {
                    ranges.remove(range.clone());
                    model.retain(|one| !range.contains(one));
                }
                let all: Vec<u64> = ranges.as_slice().iter().cloned().flatten().collect();
                prop_assert_eq!(all, model.iter().copied().collect::<Vec<_>>());
                prop_assert!(ranges.as_slice().windows(2).all(|two| two[0].end < two[1].start));
            }
            let expected = !asked.is_empty() && asked.clone().all(|one| model.contains(&one));
            prop_assert_eq!(ranges.contain(&asked), expected);
        }
    }

    #[test]
    fn the_lowest_are_forgotten() {
        let mut ranges = Ranges::default();
        (0..10).for_each(|one| ranges.insert(one * 10..one * 10 + 1));
        ranges.keep_last(2);
        assert_eq!(ranges.as_slice(), [80..81, 90..91]);
    }
}
