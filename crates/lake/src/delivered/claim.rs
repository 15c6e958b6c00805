//! What a frame says of whose records it holds.
//!
//! ```text
//!  0  16   writer
//! 16   8   epoch                     ┐
//! 24   4   sources                   │ little-endian
//!  …       per source: 16 origin, 4 number of stretches,
//!          per stretch: 8 first position, 8 position behind the last
//! ```

use std::ops::Range;

use super::{OriginId, WriterId, by_source};
use crate::log_groups::take;
use crate::provenance::Provenance;

/// The positions of the records of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who delivered them.
    pub writer: WriterId,
    /// In which of its lives.
    pub epoch: u64,
    /// Stretches of positions by source.
    pub sources: Vec<(OriginId, Vec<Range<u64>>)>,
}

impl Claim {
    /// What the records of a request claim for which `is_kept` holds.
    pub fn of(provenance: &Provenance, is_kept: impl Fn(usize) -> bool) -> Claim {
        let kept = (0..provenance.len()).filter(|index| is_kept(*index));
        Claim {
            writer: provenance.writer,
            epoch: provenance.epoch,
            sources: by_source(kept.flat_map(|index| provenance.ids(index))),
        }
    }

    /// The bytes that stand in a frame.
    pub fn encode(&self) -> Vec<u8> {
        let stretches: usize = self.sources.iter().map(|(_, ranges)| ranges.len()).sum();
        let mut out = Vec::with_capacity(28 + self.sources.len() * 20 + stretches * 16);
        out.extend(self.writer);
        out.extend(self.epoch.to_le_bytes());
        out.extend((self.sources.len() as u32).to_le_bytes());
        for (origin, ranges) in &self.sources {
            out.extend(origin);
            encode_ranges(ranges, &mut out);
        }
        out
    }

    /// Reads the bytes of a frame; `None` if they are no claim.
    pub fn decode(bytes: &[u8]) -> Option<Claim> {
        let mut rest = bytes;
        let writer = take(&mut rest)?;
        let epoch = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let mut sources = Vec::new();
        for _ in 0..count {
            sources.push((take(&mut rest)?, decode_ranges(&mut rest)?));
        }
        rest.is_empty().then_some(Claim {
            writer,
            epoch,
            sources,
        })
    }
}

/// Appends a number of stretches and the stretches.
pub fn encode_ranges(ranges: &[Range<u64>], out: &mut Vec<u8>) {
    out.extend((ranges.len() as u32).to_le_bytes());
    for range in ranges {
        out.extend(range.start.to_le_bytes());
        out.extend(range.end.to_le_bytes());
    }
}

/// Reads what [`encode_ranges`] wrote.
pub fn decode_ranges(rest: &mut &[u8]) -> Option<Vec<Range<u64>>> {
    let count = u32::from_le_bytes(take(rest)?);
    // A lying number costs no memory: each stretch has to be there.
    let mut ranges = Vec::new();
    for _ in 0..count {
        let start = u64::from_le_bytes(take(rest)?);
        ranges.push(start..u64::from_le_bytes(take(rest)?));
    }
    Some(ranges)
}
