//! Events of one put call: as they come in, and as they stand in a segment's frame.
//!
//! ```text
//!  0   8   number of the log stream          ┐
//!  8   8   time of arrival, ms               │ little-endian
//! 16   8   sequence number of the first event│
//! 24   2   length of the stream's name       ┘
//! 26   …   the stream's name
//!  …       per event: 8 timestamp in ms, 4 length of the message, the message in UTF-8
//! ```
//!
//! The name is there for the day on which the list of streams is damaged.

use std::ops::Range;

use crate::limits;

/// Events one after another, in two allocations however many they are.
#[derive(Debug, Default)]
pub struct Events {
    text: Vec<u8>,
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    timestamp: i64,
    end: usize,
}

impl Events {
    /// Says what the next event's message is, in place of what was said before.
    pub fn set_message(&mut self, message: &str) {
        let start = self.marks.last().map_or(0, |mark| mark.end);
        self.text.truncate(start);
        self.text.extend_from_slice(message.as_bytes());
    }

    /// Adds the event whose message was [said](Self::set_message).
    pub fn push(&mut self, timestamp: i64) {
        self.marks.push(Mark {
            timestamp,
            end: self.text.len(),
        });
    }

    /// The events with these indexes.
    pub fn only(&self, indexes: impl Iterator<Item = usize>) -> Events {
        let mut rest = Events::default();
        for index in indexes {
            rest.text.extend_from_slice(self.message(index));
            rest.push(self.timestamp(index));
        }
        rest
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// An event's time.
    pub fn timestamp(&self, index: usize) -> i64 {
        self.marks[index].timestamp
    }

    /// All times, in order.
    pub fn timestamps(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        self.marks.iter().map(|mark| mark.timestamp)
    }

    /// An event's message.
    pub fn message(&self, index: usize) -> &[u8] {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.marks[before].end);
        &self.text[start..self.marks[index].end]
    }

    /// What the events in `range` count against the limit of a batch.
    pub fn billed_bytes(&self, range: &Range<usize>) -> u64 {
        range
            .clone()
            .map(|index| (self.message(index).len() + limits::EVENT_OVERHEAD_BYTES) as u64)
            .sum()
    }
}

/// What a frame says in front of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    pub stream: u64,
    pub ingested: i64,
    pub first_sequence: u64,
    pub stream_name: &'a str,
}

const HEAD_BYTES: usize = 26;
const EVENT_HEAD_BYTES: usize = 12;

/// A frame's payload with the events in `range`.
pub fn encode(head: &Head<'_>, events: &Events, range: Range<usize>) -> Vec<u8> {
    let name = head.stream_name.as_bytes();
    let text: usize = range.clone().map(|index| events.message(index).len()).sum();
    let mut out =
        Vec::with_capacity(HEAD_BYTES + name.len() + text + range.len() * EVENT_HEAD_BYTES);
    out.extend(head.stream.to_le_bytes());
    out.extend(head.ingested.to_le_bytes());
    out.extend(head.first_sequence.to_le_bytes());
    // Names have 512 characters at most.
    out.extend((name.len() as u16).to_le_bytes());
    out.extend(name);
    for index in range {
        let message = events.message(index);
        out.extend(events.timestamp(index).to_le_bytes());
        out.extend((message.len() as u32).to_le_bytes());
        out.extend(message);
    }
    out
}

/// Reads a frame's payload: its head, and its events as time and message. `None` if it is not one.
pub fn decode(payload: &[u8]) -> Option<(Head<'_>, StoredEvents<'_>)> {
    let mut rest = payload;
    let stream = u64::from_le_bytes(take(&mut rest)?);
    let ingested = i64::from_le_bytes(take(&mut rest)?);
    let first_sequence = u64::from_le_bytes(take(&mut rest)?);
    let name = usize::from(u16::from_le_bytes(take(&mut rest)?));
    let (name, rest) = rest.split_at_checked(name)?;
    let head = Head {
        stream,
        ingested,
        first_sequence,
        stream_name: std::str::from_utf8(name).ok()?,
    };
    Some((head, StoredEvents(rest)))
}

/// The events of a frame.
#[derive(Debug, Clone)]
pub struct StoredEvents<'a>(&'a [u8]);

impl<'a> Iterator for StoredEvents<'a> {
    type Item = (i64, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let timestamp = i64::from_le_bytes(take(&mut self.0)?);
        let length = u32::from_le_bytes(take(&mut self.0)?) as usize;
        let (message, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((timestamp, std::str::from_utf8(message).ok()?))
    }
}

/// The next `N` bytes.
pub fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of version 1, which later versions have to go on reading.
    #[test]
    fn version_1_is_this() {
        let mut events = Events::default();
        for (timestamp, message) in [(1, "left out"), (2, "é"), (258, "ok")] {
            events.set_message("not this");
            events.set_message(message);
            events.push(timestamp);
        }
        let head = Head {
            stream: 3,
            ingested: 4,
            first_sequence: 5,
            stream_name: "s",
        };
        let payload = encode(&head, &events, 1..3);
        let expected = b"\x03\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x01\0s\
            \x02\0\0\0\0\0\0\0\x02\0\0\0\xc3\xa9\x02\x01\0\0\0\0\0\0\x02\0\0\0ok";
        assert_eq!(payload, expected, "{}", payload.escape_ascii());
        let (read, stored) = decode(&payload).unwrap();
        assert_eq!(read, head);
        assert_eq!(stored.collect::<Vec<_>>(), [(2, "é"), (258, "ok")]);
        assert_eq!(events.billed_bytes(&(1..3)), 2 + 2 + 2 * 26);
    }

    #[test]
    fn what_is_cut_off_is_no_payload() {
        let mut events = Events::default();
        events.set_message("message");
        events.push(1);
        let head = Head {
            stream: 3,
            ingested: 4,
            first_sequence: 5,
            stream_name: "s",
        };
        let payload = encode(&head, &events, 0..1);
        for end in 0..payload.len() {
            let read = decode(&payload[..end]).map(|(_, events)| events.count());
            assert_eq!(read, (end >= 27).then_some(0), "{end}");
        }
    }
}
