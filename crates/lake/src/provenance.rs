//! Where the records of a request come from: the header `x-flumen-batch` of Flumen's routers.
//!
//! `WRITER/EPOCH/RECORDS`: 32 hexadecimal digits, a number, and in base64
//!
//! ```text
//!  1 byte    version, 1
//!  1 byte    1 if a record of the service may hold several of the router's, else 0
//!  varint    origins, 16 bytes each
//!  varint    records of the service; if they may hold several, for each a varint: how many
//!  then runs until every record of the router has been named:
//!  varint    the origin, counted from 1; 0: it has none
//!  varint    how many records
//!            for each, unless they have no origin:
//!  varint    zigzag: first position, less the one behind the origin's last record in the request
//!  varint    number of positions
//! ```
//!
//! Varints are LEB128.

use std::ops::Range;

use crate::delivered::{OriginId, WriterId};

/// The header's name.
pub const HEADER: &str = "x-flumen-batch";
/// More records than any request can have.
const RECORDS: u64 = 1 << 20;

/// A record of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    /// Its source; none if the source gives no positions that hold.
    pub origin: Option<OriginId>,
    /// Its positions there.
    pub positions: Range<u64>,
}

/// What a router says of the records of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Who it is.
    pub writer: WriterId,
    /// In which of its lives.
    pub epoch: u64,
    ids: Vec<Id>,
    /// For each record of the service, how many of the router's it and those before it hold; empty if that is one each.
    ends: Vec<usize>,
}

impl Provenance {
    /// Reads the header's value; `None` if it is not one that this lake understands.
    pub fn parse(value: &[u8]) -> Option<Provenance> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.splitn(3, '/');
        let writer = uuid::Uuid::try_parse(parts.next()?).ok()?.into_bytes();
        let epoch = parts.next()?.parse().ok()?;
        let bytes = base64_simd::STANDARD.decode_to_vec(parts.next()?).ok()?;
        let (ids, ends) = Reader(&bytes).records()?;
        Some(Provenance {
            writer,
            epoch,
            ids,
            ends,
        })
    }

    /// One of records that are one each.
    #[cfg(test)]
    pub fn of_ids(writer: WriterId, epoch: u64, ids: Vec<Id>) -> Provenance {
        Provenance {
            writer,
            epoch,
            ids,
            ends: Vec::new(),
        }
    }

    /// How many records of the service it speaks of.
    pub fn len(&self) -> usize {
        if self.ends.is_empty() {
            self.ids.len()
        } else {
            self.ends.len()
        }
    }

    /// The router's records that record `index` of the service holds.
    pub fn ids(&self, index: usize) -> &[Id] {
        if self.ends.is_empty() {
            return &self.ids[index..=index];
        }
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.ids[start..self.ends[index]]
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn records(mut self) -> Option<(Vec<Id>, Vec<usize>)> {
        if self.byte()? != 1 {
            return None;
        }
        let several = match self.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let origins = self.origins()?;
        let count = self.number(RECORDS)?;
        let mut ends = Vec::new();
        let mut total = count;
        if several {
            total = 0;
            for _ in 0..count {
                total += self.number(RECORDS)?;
                ends.push(total);
            }
        }
        if total as u64 > RECORDS {
            return None;
        }
        let ids = self.ids(total, &origins)?;
        self.0.is_empty().then_some((ids, ends))
    }

    fn origins(&mut self) -> Option<Vec<OriginId>> {
        let count = self.number(RECORDS)?;
        let bytes = self.0.split_off(..count.checked_mul(16)?)?;
        let (origins, _) = bytes.as_chunks::<16>();
        Some(origins.to_vec())
    }

    fn ids(&mut self, total: usize, origins: &[OriginId]) -> Option<Vec<Id>> {
        let mut ids = Vec::new();
        let mut behind = vec![0_u64; origins.len()];
        while ids.len() < total {
            let origin = self.number(RECORDS)?.checked_sub(1);
            let run = self.number((total - ids.len()) as u64)?;
            if run == 0 {
                return None;
            }
            for _ in 0..run {
                ids.push(match origin {
                    None => Id {
                        origin: None,
                        positions: 0..0,
                    },
                    Some(index) => self.id(*origins.get(index)?, &mut behind[index])?,
                });
            }
        }
        Some(ids)
    }

    fn id(&mut self, origin: OriginId, behind: &mut u64) -> Option<Id> {
        let step = self.varint()?;
        // Zigzag: the sign is the lowest bit.
        let step = (step >> 1) as i64 ^ -((step & 1) as i64);
        let start = behind.wrapping_add_signed(step);
        let end = start.checked_add(self.varint()?)?;
        *behind = end;
        Some(Id {
            origin: Some(origin),
            positions: start..end,
        })
    }

    fn byte(&mut self) -> Option<u8> {
        self.0.split_off_first().copied()
    }

    /// A number that is at most `most`.
    fn number(&mut self, most: u64) -> Option<usize> {
        let number = self.varint().filter(|number| *number <= most)?;
        usize::try_from(number).ok()
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WRITER: &str = "000102030405060708090a0b0c0d0e0f";

    fn parse(bytes: &[u8]) -> Option<Provenance> {
        let records = base64_simd::STANDARD.encode_to_string(bytes);
        Provenance::parse(format!("{WRITER}/7/{records}").as_bytes())
    }

    /// The bytes of version 1, which routers of the first version send. The router has the same in its tests.
    fn version_1() -> Vec<u8> {
        let mut bytes = vec![1, 0, 2];
        bytes.extend([0xaa; 16]);
        bytes.extend([0xbb; 16]);
        // Five records: two of the first source, one without, one of the second, one more of the first.
        bytes.extend([5]);
        bytes.extend([1, 2, 0xd0, 0x0f, 100, 0, 50]);
        bytes.extend([0, 1]);
        bytes.extend([2, 1, 6, 1]);
        bytes.extend([1, 1, 19, 5]);
        bytes
    }

    fn id(origin: u8, positions: Range<u64>) -> Id {
        Id {
            origin: Some([origin; 16]),
            positions,
        }
    }

    #[test]
    fn version_1_is_read() {
        let read = parse(&version_1()).unwrap();
        assert_eq!((read.writer[1], read.epoch, read.len()), (1, 7, 5));
        let none = Id {
            origin: None,
            positions: 0..0,
        };
        let expected = [
            id(0xaa, 1000..1100),
            id(0xaa, 1100..1150),
            none,
            id(0xbb, 3..4),
            id(0xaa, 1140..1145),
        ];
        assert_eq!(read.ids, expected);
        assert_eq!(read.ids(3), &expected[3..4]);
    }

    #[test]
    fn a_record_may_hold_several() {
        let mut bytes = vec![1, 1, 1];
        bytes.extend([0xaa; 16]);
        bytes.extend([2, 1, 2, 1, 3, 0, 1, 0, 1, 0, 1]);
        let read = parse(&bytes).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read.ids(0), [id(0xaa, 0..1)]);
        assert_eq!(read.ids(1), [id(0xaa, 1..2), id(0xaa, 2..3)]);
    }

    #[test]
    fn what_is_cut_off_is_none() {
        let whole = version_1();
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), None, "{end}");
        }
        for value in ["", "x/7/AQAA", WRITER, "/7/AQAA", "a/b"] {
            assert_eq!(Provenance::parse(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_value_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Provenance::parse(&bytes);
            if let Some(read) = parse(&[&[1, 0][..], &bytes].concat()) {
                prop_assert!((0..read.len()).all(|index| read.ids(index).len() == 1));
            }
        }
    }
}
