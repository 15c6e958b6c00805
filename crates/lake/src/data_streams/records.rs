//! The records of one put call that go to one shard, as they stand in its file.
//!
//! ```text
//!  0   8   position of the first record ┐
//!  8   8   arrival, Unix milliseconds   │ little-endian
//! 16   2   length of a partition key    │
//!  …   4   length of a record's data    ┘
//!  then the key and the data, and on with the next record's lengths
//! ```

use jiff::Timestamp;

/// Bytes before the first record.
const HEAD_BYTES: usize = 16;
/// Bytes before a record's key and data.
pub const LENGTHS_BYTES: usize = 6;

/// Records on their way into a shard.
#[derive(Debug)]
pub struct RecordGroup {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
}

impl RecordGroup {
    /// No records yet.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; HEAD_BYTES],
            ends: Vec::new(),
        }
    }

    /// Adds a record whose data `fill` appends, and gives the data's size. If it fails, the group is to be thrown away.
    pub fn push<E>(
        &mut self,
        key: &str,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let at = self.bytes.len();
        // Keys are at most a few hundred characters: whoever calls has looked.
        self.bytes.extend((key.len() as u16).to_le_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(key.as_bytes());
        let start = self.bytes.len();
        fill(&mut self.bytes)?;
        let size = self.bytes.len() - start;
        self.bytes[at + 2..at + LENGTHS_BYTES].copy_from_slice(&(size as u32).to_le_bytes());
        self.ends.push(self.bytes.len());
        Ok(size)
    }

    /// The same without the records that `left_out` says, by their places in the group.
    pub fn without(&self, left_out: impl Fn(usize) -> bool) -> RecordGroup {
        let mut rest = RecordGroup::new();
        let mut start = HEAD_BYTES;
        for (place, end) in self.ends.iter().enumerate() {
            if !left_out(place) {
                rest.bytes.extend_from_slice(&self.bytes[start..*end]);
                rest.ends.push(rest.bytes.len());
            }
            start = *end;
        }
        rest
    }

    /// How many records there are.
    pub fn records(&self) -> u32 {
        self.ends.len() as u32
    }

    /// What is appended to the file, once position and time are known.
    pub fn payload(&mut self, first: u64, arrival: Timestamp) -> &[u8] {
        self.bytes[..8].copy_from_slice(&first.to_le_bytes());
        self.bytes[8..HEAD_BYTES].copy_from_slice(&arrival.as_millisecond().to_le_bytes());
        &self.bytes
    }
}

/// Records as a frame's payload has them.
#[derive(Debug, Clone, Copy)]
pub struct StoredGroup<'a> {
    /// The position of the first record.
    pub first: u64,
    /// When the records arrived.
    pub arrival: Timestamp,
    rest: &'a [u8],
}

impl<'a> StoredGroup<'a> {
    /// Reads a payload's head; `None` if it is none.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (first, rest) = payload.split_first_chunk()?;
        let (arrival, rest) = rest.split_first_chunk()?;
        let arrival = Timestamp::from_millisecond(i64::from_le_bytes(*arrival)).ok()?;
        Some(Self {
            first: u64::from_le_bytes(*first),
            arrival,
            rest,
        })
    }

    /// Partition key and data of every record.
    pub fn records(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            let (key_length, after) = rest.split_first_chunk()?;
            let (data_length, after) = after.split_first_chunk()?;
            let (key, after) = after.split_at_checked(u16::from_le_bytes(*key_length).into())?;
            let (data, after) = after.split_at_checked(u32::from_le_bytes(*data_length) as usize)?;
            rest = after;
            Some((std::str::from_utf8(key).ok()?, data))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back(records: Vec<(String, Vec<u8>)>, first: u64) {
            let mut group = RecordGroup::new();
            for (key, data) in &records {
                let size = group.push(key, |out| { out.extend(data); Ok::<_, ()>(()) });
                prop_assert_eq!(size, Ok(data.len()));
            }
            let arrival: Timestamp = "2026-11-22T13:00:00.123Z".parse().unwrap();
            let stored = StoredGroup::parse(group.payload(first, arrival)).unwrap();
            prop_assert_eq!((stored.first, stored.arrival), (first, arrival));
            let found: Vec<_> = stored.records().map(|(key, data)| (key.to_owned(), data.to_vec())).collect();
            prop_assert_eq!(found, records);
        }

        #[test]
        fn no_payload_is_too_strange(payload: Vec<u8>) {
            if let Some(group) = StoredGroup::parse(&payload) {
                prop_assert!(group.records().count() <= payload.len());
            }
        }
    }
}
