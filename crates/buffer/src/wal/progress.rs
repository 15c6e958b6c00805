//! Which sequence numbers are done with.

use std::ops::Range;

/// Numbers that are done with: all below a prefix, and ranges beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Progress {
    /// Everything below.
    pub prefix: u64,
    /// Ascending, without overlap, none touching another or the prefix.
    pub beyond: Vec<Range<u64>>,
}

impl Progress {
    /// Adds a range.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() || range.end <= self.prefix {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        let first = self.beyond.partition_point(|known| known.end < start);
        let last = self.beyond.partition_point(|known| known.start <= end);
        if first < last {
            start = start.min(self.beyond[first].start);
            end = end.max(self.beyond[last - 1].end);
        }
        self.beyond.splice(first..last, [start..end]);
        self.advance(self.prefix);
    }

    /// Adds everything below `prefix`.
    pub fn advance(&mut self, prefix: u64) {
        self.prefix = self.prefix.max(prefix);
        let passed = self
            .beyond
            .iter()
            .take_while(|range| range.start <= self.prefix);
        let (count, end) = passed.fold((0, self.prefix), |(count, end), range| {
            (count + 1, end.max(range.end))
        });
        self.beyond.drain(..count);
        self.prefix = end;
        if self
            .beyond
            .first()
            .is_some_and(|range| range.start <= self.prefix)
        {
            self.advance(self.prefix);
        }
    }

    /// Adds what `other` has.
    pub fn merge(&mut self, other: &Progress) {
        self.advance(other.prefix);
        for range in &other.beyond {
            self.add(range.clone());
        }
    }

    /// Whether all of `range` is done with.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        self.missing(range.clone()).is_empty()
    }

    /// The parts of `range` that are not done with.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut at = range.start.max(self.prefix);
        for known in &self.beyond {
            if known.start >= range.end {
                break;
            }
            if at < known.start {
                missing.push(at..known.start);
            }
            at = at.max(known.end);
        }
        if at < range.end {
            missing.push(at..range.end);
        }
        missing
    }

    /// The number after the last one that is done with.
    pub fn top(&self) -> u64 {
        self.beyond.last().map_or(self.prefix, |range| range.end)
    }

    /// Appends it as it is stored.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prefix.to_le_bytes());
        for range in &self.beyond {
            out.extend_from_slice(&range.start.to_le_bytes());
            out.extend_from_slice(&range.end.to_le_bytes());
        }
    }

    /// Reads what was stored.
    pub fn read(bytes: &[u8]) -> Option<Progress> {
        let mut numbers = bytes.chunks(8).map(|number| number.try_into().ok());
        let mut next = || Some(u64::from_le_bytes(numbers.next()??));
        let mut progress = Progress {
            prefix: next()?,
            beyond: Vec::new(),
        };
        for _ in 0..(bytes.len() - 8) / 16 {
            progress.add(next()?..next()?);
        }
        Some(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(ranges in prop::collection::vec((0u64..200, 0u64..20), 0..40), prefix in 0u64..60) {
            let mut progress = Progress::default();
            let mut model = [false; 256];
            for (index, (start, len)) in ranges.iter().enumerate() {
                progress.add(*start..start + len);
                model[*start as usize..(start + len) as usize].fill(true);
                if index == 20 {
                    progress.advance(prefix);
                    model[..prefix as usize].fill(true);
                }
            }
            let mut stored = Vec::new();
            progress.write(&mut stored);
            prop_assert_eq!(Progress::read(&stored), Some(progress.clone()));
            for (number, done) in model.iter().enumerate() {
                let number = number as u64;
                prop_assert_eq!(progress.covers(&(number..number + 1)), *done, "{}", number);
            }
            let ends = progress.beyond.windows(2).all(|pair| pair[0].end < pair[1].start);
            prop_assert!(ends && progress.beyond.first().is_none_or(|range| range.start > progress.prefix));
        }
    }
}
