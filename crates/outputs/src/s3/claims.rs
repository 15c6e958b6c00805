//! Which records a frame of a buffer file holds, so that they are known again when an input reads them once more.
//!
//! ```text
//! varint    sources
//!           per source:
//! 16        its origin
//! varint    stretches
//!           per stretch:
//! zigzag    first position, less the one behind the stretch before
//! varint    number of positions
//! ```

use std::collections::HashMap;
use std::ops::Range;

use record::{Origin, Position};

use crate::varint::{take_varint, take_zigzag, varint, zigzag};

/// Positions by source, in the order in which they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    sources: Vec<(Origin, Vec<Range<u64>>)>,
    index: HashMap<Origin, usize>,
    /// The source that was added to last.
    last: usize,
}

impl Claims {
    /// Adds the positions of a record.
    #[inline]
    pub fn add(&mut self, origin: Origin, position: Position) {
        let start = position.offset;
        self.add_range(origin, start..start.saturating_add(position.len.into()));
    }

    #[inline]
    fn add_range(&mut self, origin: Origin, range: Range<u64>) {
        let ranges = match self.sources.get(self.last) {
            Some((last, _)) if *last == origin => &mut self.sources[self.last].1,
            _ => self.find(origin),
        };
        match ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        }
    }

    fn find(&mut self, origin: Origin) -> &mut Vec<Range<u64>> {
        self.last = *self.index.entry(origin).or_insert_with(|| {
            self.sources.push((origin, Vec::new()));
            self.sources.len() - 1
        });
        &mut self.sources[self.last].1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Takes what stands in a frame, and leaves none. Nothing is written of none.
    pub fn take_encoded(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.is_empty() {
            return out;
        }
        varint(self.sources.len() as u64, &mut out);
        for (origin, ranges) in self.sources.drain(..) {
            out.extend_from_slice(&origin.to_bytes());
            varint(ranges.len() as u64, &mut out);
            let mut behind = 0_u64;
            for range in ranges {
                zigzag(range.start.wrapping_sub(behind) as i64, &mut out);
                varint(range.end - range.start, &mut out);
                behind = range.end;
            }
        }
        self.index.clear();
        self.last = 0;
        out
    }

    /// Adds what a frame says; `None`: it cannot be read, from some place on.
    pub fn add_encoded(&mut self, bytes: &[u8]) -> Option<()> {
        decode(bytes, |origin, range| self.add_range(origin, range))
    }
}

fn decode(bytes: &[u8], mut each: impl FnMut(Origin, Range<u64>)) -> Option<()> {
    let mut rest = bytes;
    if rest.is_empty() {
        return Some(());
    }
    for _ in 0..take_varint(&mut rest)? {
        let (origin, after) = rest.split_first_chunk::<16>()?;
        rest = after;
        let mut behind = 0_u64;
        for _ in 0..take_varint(&mut rest)? {
            let start = behind.wrapping_add_signed(take_zigzag(&mut rest)?);
            let end = start.checked_add(take_varint(&mut rest)?)?;
            each(Origin::from_bytes(*origin), start..end);
            behind = end;
        }
    }
    rest.is_empty().then_some(())
}

/// What earlier runs have stored, to be asked whether a record is among it.
#[derive(Debug, Default)]
pub struct Stored {
    /// Stretches in ascending order that do not touch.
    sources: HashMap<Origin, Vec<Range<u64>>>,
    count: usize,
}

/// Stretches of all sources together, at 16 bytes each. A source counts for a few.
const STRETCHES_MAX: usize = 1 << 18;
const SOURCE_COUNT: usize = 5;

impl Stored {
    /// Whether there is nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether all positions of a record are there.
    pub fn contains(&self, origin: Origin, position: Position) -> bool {
        let Some(ranges) = self.sources.get(&origin) else {
            return false;
        };
        let Some(end) = position.offset.checked_add(position.len.into()) else {
            return false;
        };
        let behind = ranges.partition_point(|range| range.start <= position.offset);
        position.len > 0 && behind > 0 && end <= ranges[behind - 1].end
    }

    /// Adds what a frame says. False: there is no room for more.
    pub fn add(&mut self, claims: &[u8]) -> bool {
        if self.count > STRETCHES_MAX {
            self.join();
        }
        if self.count > STRETCHES_MAX {
            return false;
        }
        let (sources, count) = (&mut self.sources, &mut self.count);
        // Of one that cannot be read, as much counts as can be.
        let _ = decode(claims, |origin, range| {
            let ranges = sources.entry(origin).or_insert_with(|| {
                *count += SOURCE_COUNT;
                Vec::new()
            });
            if *count <= 2 * STRETCHES_MAX && !range.is_empty() {
                ranges.push(range);
                *count += 1;
            }
        });
        true
    }

    /// Puts the stretches in order; done once all are there, before anything is asked.
    pub fn join(&mut self) {
        self.count = 0;
        for ranges in self.sources.values_mut() {
            ranges.sort_unstable_by_key(|range| range.start);
            ranges.dedup_by(|next, before| {
                let joins = next.start <= before.end;
                if joins {
                    before.end = before.end.max(next.end);
                }
                joins
            });
            ranges.shrink_to_fit();
            self.count += ranges.len() + SOURCE_COUNT;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn position(offset: u64, len: u32) -> Position {
        Position { offset, len }
    }

    fn source(number: u8) -> Origin {
        Origin::of(&[&[number]])
    }

    /// The bytes of frames that there are on disks.
    #[test]
    fn claims_read_like_this() {
        let mut claims = Claims::default();
        assert!(claims.take_encoded().is_empty());
        for (offset, len) in [(1000, 100), (1100, 50), (1140, 5)] {
            claims.add(source(1), position(offset, len));
        }
        claims.add(source(2), position(3, 1));
        claims.add(source(1), position(1145, 1));
        let mut expected = vec![2];
        expected.extend(source(1).to_bytes());
        expected.extend([2, 0xd0, 0x0f, 0x96, 1, 19, 6]);
        expected.extend(source(2).to_bytes());
        expected.extend([1, 6, 1]);
        let bytes = claims.take_encoded();
        assert_eq!(bytes, expected);
        assert_eq!(claims, Claims::default());
        claims.add_encoded(&bytes).expect("readable");
        assert_eq!(claims.take_encoded(), expected);
        for len in 1..bytes.len() {
            let mut cut = Claims::default();
            assert_eq!(cut.add_encoded(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut stored = Stored::default();
        let mut frames = 0_u64;
        loop {
            let mut claims = Claims::default();
            // Stretches that cannot be joined.
            (0..10_000).for_each(|n| claims.add(source(1), position((frames * 10_000 + n) * 2, 1)));
            if !stored.add(&claims.take_encoded()) {
                break;
            }
            frames += 1;
        }
        stored.join();
        assert!((STRETCHES_MAX..2 * STRETCHES_MAX).contains(&stored.count));
        assert!(stored.contains(source(1), position(0, 1)));
    }

    proptest! {
        #[test]
        fn what_was_claimed_is_known(
            records in prop::collection::vec((0..3_u8, 0..60_u64, 0..9_u32), 0..60),
            asked in (0..3_u8, 0..60_u64, 0..9_u32),
            split in 1..20_usize,
        ) {
            let (mut stored, mut model) = (Stored::default(), BTreeSet::new());
            for frame in records.chunks(split) {
                let mut claims = Claims::default();
                for (origin, offset, len) in frame {
                    claims.add(source(*origin), position(*offset, *len));
                    model.extend((*offset..offset + u64::from(*len)).map(|at| (*origin, at)));
                }
                prop_assert!(stored.add(&claims.take_encoded()));
            }
            stored.join();
            let (origin, offset, len) = asked;
            let expected = len > 0 && (offset..offset + u64::from(len)).all(|at| model.contains(&(origin, at)));
            prop_assert_eq!(stored.contains(source(origin), position(offset, len)), expected);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Claims::default().add_encoded(&bytes);
            let mut stored = Stored::default();
            stored.add(&bytes);
            stored.join();
        }
    }
}
