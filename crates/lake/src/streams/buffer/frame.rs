//! The frames a buffer file consists of, version 1.
//!
//! ```text
//!  0   2   magic "FL"
//!  2   1   version, 1
//!  3   1   kind: 1 the segment's header (JSON, first in every file), 2 what one put call brought, 3 the same with a claim
//!  4   4   length of the payload   ┐
//!  8   4   records in the payload  │ little-endian
//! 12   4   CRC-32 of the payload   │
//! 16   4   CRC-32 of bytes 0..16   ┘
//! 20   …   payload: for kind 2 the bytes of the object, delimiters included; for kind 3 the length of a claim in 4 bytes, the
//!          claim, which says whose records they are, and then as for kind 2
//! ```
//!
//! One put call is one frame, so that a call that was cut short leaves nothing behind of a batch that was never
//! acknowledged. The header has a checksum of its own: a wrong length cannot lead the reader astray, and after damage
//! it finds its way back at the next header that holds.

use std::io::{self, Read};

use memchr::memmem;

use crate::limits;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 20;
/// The largest payload of any buffer: a full PutRecords of Kinesis, with what is kept of each record besides its data, and
/// a claim.
pub const PAYLOAD_BYTES: usize =
    limits::DATA_BATCH_BYTES + limits::RECORDS_PER_BATCH * 16 + 64 + limits::CLAIM_BYTES;

const MAGIC: [u8; 3] = *b"FL\x01";
const READ_BYTES: usize = 256 * 1024;

/// Length of a claim's length.
const CLAIM_LENGTH_BYTES: usize = 4;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The segment's own description.
    Segment,
    /// Records.
    Records,
}

impl Kind {
    fn byte(self, claimed: bool) -> u8 {
        match (self, claimed) {
            (Kind::Segment, _) => 1,
            (Kind::Records, false) => 2,
            (Kind::Records, true) => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<(Self, bool)> {
        match byte {
            1 => Some((Kind::Segment, false)),
            2 => Some((Kind::Records, false)),
            3 => Some((Kind::Records, true)),
            _ => None,
        }
    }
}

/// The header of a frame that holds `records` records in `payload`.
///
/// The caller keeps payloads within [`PAYLOAD_BYTES`]; a longer one would be written and then not read back.
pub fn header(kind: Kind, records: u32, payload: &[u8]) -> [u8; HEADER_BYTES] {
    seal(kind.byte(false), records, &[payload])
}

/// What stands in front of the payload of a frame that holds `records` records: its header and, if it is not empty,
/// `claim`.
pub fn head(kind: Kind, records: u32, claim: &[u8], payload: &[u8]) -> Vec<u8> {
    if claim.is_empty() {
        return header(kind, records, payload).to_vec();
    }
    let length = (claim.len() as u32).to_le_bytes();
    let header = seal(kind.byte(true), records, &[&length, claim, payload]);
    [&header[..], &length, claim].concat()
}

fn seal(kind: u8, records: u32, payload: &[&[u8]]) -> [u8; HEADER_BYTES] {
    let length: usize = payload.iter().map(|part| part.len()).sum();
    debug_assert!(length <= PAYLOAD_BYTES);
    let mut checksum = crc32fast::Hasher::new();
    payload.iter().for_each(|part| checksum.update(part));
    let mut header = [0; HEADER_BYTES];
    header[..3].copy_from_slice(&MAGIC);
    header[3] = kind;
    header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    header[8..12].copy_from_slice(&records.to_le_bytes());
    header[12..16].copy_from_slice(&checksum.finalize().to_le_bytes());
    let checksum = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The claim and the records of a payload that has both.
fn split_claim(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first_chunk::<CLAIM_LENGTH_BYTES>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// A header whose checksum holds.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: Kind,
    claimed: bool,
    length: usize,
    records: u32,
    payload_checksum: u32,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[..3] != MAGIC || word(16) != crc32fast::hash(&bytes[..16]) {
            return None;
        }
        let length = usize::try_from(word(4))
            .ok()
            .filter(|&length| length <= PAYLOAD_BYTES)?;
        let (kind, claimed) = Kind::from_byte(bytes[3])?;
        Some(Self {
            kind,
            claimed,
            length,
            records: word(8),
            payload_checksum: word(12),
        })
    }
}

/// What stands next in a buffer file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A frame that holds.
    Frame {
        /// What the payload is.
        kind: Kind,
        /// Records in it.
        records: u32,
        /// Whose they are; empty if nobody said so.
        claim: &'a [u8],
        /// The payload, without the claim.
        payload: &'a [u8],
    },
    /// Bytes that are no frame, followed by one that is or by the end of the file.
    Damaged {
        /// Where they begin in the file.
        offset: u64,
        /// How many they are.
        length: u64,
    },
    /// The beginning of a frame that the file's end cuts off: a write that was interrupted, hence not acknowledged.
    Torn {
        /// Where it begins, which is the length the file ought to have.
        offset: u64,
    },
}

/// Reads frames one after another, in memory bounded by one frame and one read.
pub struct FrameReader<R> {
    input: R,
    window: Vec<u8>,
    /// Where in `window` the next frame begins.
    at: usize,
    /// Where in the input `window` begins.
    base: u64,
    ended: bool,
}

impl<R: Read> FrameReader<R> {
    /// A reader of frames from the current position of `input`, which counts as offset 0.
    pub fn new(input: R) -> Self {
        Self {
            input,
            window: Vec::new(),
            at: 0,
            base: 0,
            ended: false,
        }
    }

    /// The next frame, damage or torn end; `None` at the end of the file. After a torn end comes the end.
    pub fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        if !self.holds(1)? {
            return Ok(None);
        }
        if let Some(header) = self.whole_frame()? {
            let start = self.at + HEADER_BYTES;
            self.at = start + header.length;
            let whole = &self.window[start..self.at];
            // A frame whose checksum holds was written whole: one without room for its claim has none.
            let split = header.claimed.then(|| split_claim(whole)).flatten();
            let (claim, payload) = split.unwrap_or((&[], whole));
            return Ok(Some(Found::Frame {
                kind: header.kind,
                records: header.records,
                claim,
                payload,
            }));
        }
        let offset = self.offset();
        let cut_off = !self.holds(HEADER_BYTES)?
            || self
                .header()
                .is_some_and(|header| self.ends_within(&header));
        let found_again = self.skip_to_frame()?;
        Ok(Some(match cut_off && !found_again {
            true => Found::Torn { offset },
            false => Found::Damaged {
                offset,
                length: self.offset() - offset,
            },
        }))
    }

    /// Passes over what stands next if it is damaged; `false` if it is a whole frame, a torn end or the end of the file.
    pub fn skip_damage(&mut self) -> io::Result<bool> {
        if !self.holds(1)? || self.whole_frame()?.is_some() {
            return Ok(false);
        }
        Ok(matches!(self.next()?, Some(Found::Damaged { .. })))
    }

    /// Where in the input the reader stands.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The header at the current position, if a whole frame with matching checksums stands there.
    fn whole_frame(&mut self) -> io::Result<Option<Header>> {
        if !self.holds(HEADER_BYTES)? {
            return Ok(None);
        }
        let Some(header) = self.header() else {
            return Ok(None);
        };
        if !self.holds(HEADER_BYTES + header.length)? {
            return Ok(None);
        }
        let start = self.at + HEADER_BYTES;
        let matches =
            crc32fast::hash(&self.window[start..start + header.length]) == header.payload_checksum;
        Ok(matches.then_some(header))
    }

    fn header(&self) -> Option<Header> {
        self.window[self.at..].first_chunk().and_then(Header::parse)
    }

    /// Whether the input is known to end before the frame with this header does.
    fn ends_within(&self, header: &Header) -> bool {
        self.ended && self.window.len() - self.at < HEADER_BYTES + header.length
    }

    /// Moves on to the next whole frame, at least one byte on; to the end of the input, and `false`, if there is none.
    fn skip_to_frame(&mut self) -> io::Result<bool> {
        self.at += 1;
        loop {
            match memmem::find(&self.window[self.at..], &MAGIC) {
                Some(distance) => {
                    self.at += distance;
                    if self.whole_frame()?.is_some() {
                        return Ok(true);
                    }
                    self.at += 1;
                }
                None => {
                    // The magic may begin in the last two bytes read so far.
                    self.at = self
                        .at
                        .max(self.window.len().saturating_sub(MAGIC.len() - 1));
                    let known = self.window.len() - self.at;
                    if !self.holds(known + 1)? {
                        self.at = self.window.len();
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Reads until `wanted` bytes stand in the window from the current position, or the input ends.
    fn holds(&mut self, wanted: usize) -> io::Result<bool> {
        if self.at > READ_BYTES && self.at * 2 > self.window.len() {
            self.window.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        while self.window.len() - self.at < wanted && !self.ended {
            let step = (self.at + wanted - self.window.len()).max(READ_BYTES) as u64;
            self.ended = self
                .input
                .by_ref()
                .take(step)
                .read_to_end(&mut self.window)?
                == 0;
        }
        Ok(self.window.len() - self.at >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&header(Kind::Records, 1, payload)[..], payload].concat()
    }

    /// Everything a reader finds, frames as their payloads, offsets as they are.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Seen {
        Payload(Vec<u8>),
        Damaged(u64, u64),
        Torn(u64),
    }

    fn read(file: &[u8]) -> Vec<Seen> {
        let mut reader = FrameReader::new(file);
        let mut seen = Vec::new();
        while let Some(found) = reader.next().unwrap() {
            seen.push(match found {
                Found::Frame { payload, .. } => Seen::Payload(payload.to_vec()),
                Found::Damaged { offset, length } => Seen::Damaged(offset, length),
                Found::Torn { offset } => Seen::Torn(offset),
            });
        }
        seen
    }

    fn payloads(seen: &[Seen]) -> Vec<Vec<u8>> {
        seen.iter()
            .filter_map(|one| {
                if let Seen::Payload(bytes) = one {
                    Some(bytes.clone())
                } else {
                    None
                }
            })
            .collect()
    }

    /// The bytes of version 1, which later versions have to go on reading.
    #[test]
    fn version_1_is_this() {
        let bytes = frame(b"{\"log\":\"a\"}\n");
        let expected =
            b"FL\x01\x02\x0c\0\0\0\x01\0\0\0\xfd\x4a\x07\xe6\x16\x08\x80\x25{\"log\":\"a\"}\n";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
    }

    #[test]
    fn a_claim_stands_in_front_of_the_records() {
        let bytes = [&head(Kind::Records, 1, b"me", b"{}")[..], b"{}"].concat();
        let expected =
            b"FL\x01\x03\x08\0\0\0\x01\0\0\0\xbd\x53\x28\x42\xb2\x75\x54\xb0\x02\0\0\0me{}";
        assert_eq!(bytes, expected, "{}", bytes.escape_ascii());
        let mut reader = FrameReader::new(&bytes[..]);
        let found = reader.next().unwrap();
        let whole = Found::Frame {
            kind: Kind::Records,
            records: 1,
            claim: b"me",
            payload: b"{}",
        };
        assert_eq!(found, Some(whole));
        assert_eq!(reader.offset(), bytes.len() as u64);
        assert_eq!(
            head(Kind::Records, 1, b"", b"{}"),
            header(Kind::Records, 1, b"{}")
        );
    }

    #[test]
    fn a_file_that_ends_in_a_frame_is_torn_there() {
        let file = [frame(b"one"), frame(b"two")].concat();
        for end in frame(b"one").len() + 1..file.len() {
            assert_eq!(
                read(&file[..end]),
                [Seen::Payload(b"one".to_vec()), Seen::Torn(23)],
                "cut at {end}"
            );
        }
    }

    #[test]
    fn a_torn_frame_in_front_of_others_is_damage() {
        let torn = &frame(b"never finished")[..25];
        let file = [torn, &frame(b"two")].concat();
        assert_eq!(
            read(&file),
            [Seen::Damaged(0, 25), Seen::Payload(b"two".to_vec())]
        );
    }

    #[test]
    fn an_impossible_length_is_damage_and_costs_no_memory() {
        let mut lying = frame(b"one");
        lying[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = crc32fast::hash(&lying[..16]);
        lying[16..20].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(read(&lying), [Seen::Damaged(0, 23)]);
    }

    #[test]
    fn zeros_after_a_power_cut_are_damage() {
        let file = [frame(b"one"), vec![0; 4096]].concat();
        assert_eq!(
            read(&file),
            [Seen::Payload(b"one".to_vec()), Seen::Damaged(23, 4096)]
        );
    }

    fn any_payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        // Payloads that hold the magic make false trails.
        let payload = prop_oneof![
            20 => proptest::collection::vec(any::<u8>(), 0..200),
            20 => Just(b"FL\x01\x02 not a header".to_vec()),
            1 => Just(vec![b'x'; READ_BYTES + 1000]),
        ];
        proptest::collection::vec(payload, 1..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(payloads_in in any_payloads()) {
            let file: Vec<u8> = payloads_in.iter().flat_map(|payload| frame(payload)).collect();
            prop_assert_eq!(read(&file), payloads_in.into_iter().map(Seen::Payload).collect::<Vec<_>>());
        }

        #[test]
        fn one_changed_byte_costs_at_most_its_own_frame(payloads_in in any_payloads(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut file: Vec<u8> = payloads_in.iter().flat_map(|payload| frame(payload)).collect();
            let at = at.index(file.len());
            file[at] ^= flip;
            let mut end = 0;
            let hit = payloads_in.iter().position(|payload| { end += HEADER_BYTES + payload.len(); at < end }).unwrap();
            let mut expected = payloads_in.clone();
            expected.remove(hit);
            prop_assert_eq!(payloads(&read(&file)), expected);
        }

        #[test]
        fn a_cut_keeps_every_whole_frame(payloads_in in any_payloads(), at in any::<prop::sample::Index>()) {
            let file: Vec<u8> = payloads_in.iter().flat_map(|payload| frame(payload)).collect();
            let at = at.index(file.len());
            let mut end = 0;
            let whole: Vec<_> = payloads_in.iter().take_while(|payload| { end += HEADER_BYTES + payload.len(); end <= at }).cloned().collect();
            prop_assert_eq!(payloads(&read(&file[..at])), whole);
        }

        #[test]
        fn garbage_never_panics_and_is_accounted_for(file in proptest::collection::vec(any::<u8>(), 0..500)) {
            let mut end = 0;
            for seen in read(&file) {
                match seen {
                    Seen::Payload(payload) => end += (HEADER_BYTES + payload.len()) as u64,
                    Seen::Damaged(offset, length) => { prop_assert_eq!(offset, end); end += length }
                    Seen::Torn(offset) => { prop_assert_eq!(offset, end); end = file.len() as u64 }
                }
            }
            prop_assert_eq!(end, file.len() as u64);
        }
    }
}
