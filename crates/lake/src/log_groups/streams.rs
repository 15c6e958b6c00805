//! The log streams of a group, in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::index::Entry;

/// A log stream.
#[derive(Debug, Clone)]
pub struct LogStream {
    /// What its events are marked with. A stream that is created anew under an old name gets another one.
    pub number: u64,
    /// Its name.
    pub name: Arc<str>,
    /// When it was created, in ms.
    pub created: i64,
    /// The time of its oldest event; that of one that is gone, if nothing older is known to be there.
    pub first_event: Option<i64>,
    /// The time of its newest event.
    pub last_event: Option<i64>,
    /// When something arrived last.
    pub last_ingestion: Option<i64>,
    /// What its events count against limits.
    pub billed_bytes: u64,
}

/// All log streams of a group.
#[derive(Debug, Default)]
pub struct Streams {
    by_name: BTreeMap<Arc<str>, u64>,
    by_number: HashMap<u64, LogStream>,
    last_number: u64,
    billed_bytes: u64,
}

impl Streams {
    /// The number of the next stream.
    pub fn next_number(&self) -> u64 {
        self.last_number + 1
    }

    /// Makes sure that `number` is not given to a new stream.
    pub fn skip_number(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// Adds an empty stream.
    pub fn add(&mut self, number: u64, name: &str, created: i64) {
        let name: Arc<str> = Arc::from(name);
        self.skip_number(number);
        self.by_name.insert(Arc::clone(&name), number);
        let stream = LogStream {
            number,
            name,
            created,
            first_event: None,
            last_event: None,
            last_ingestion: None,
            billed_bytes: 0,
        };
        self.by_number.insert(number, stream);
    }

    /// Removes a stream.
    pub fn remove(&mut self, number: u64) {
        if let Some(stream) = self.by_number.remove(&number) {
            self.by_name.remove(&stream.name);
            self.billed_bytes = self.billed_bytes.saturating_sub(stream.billed_bytes);
        }
    }

    /// The stream of that name.
    pub fn find(&self, name: &str) -> Option<&LogStream> {
        self.get(*self.by_name.get(name)?)
    }

    /// The stream of that number; none if it was deleted.
    pub fn get(&self, number: u64) -> Option<&LogStream> {
        self.by_number.get(&number)
    }

    /// Streams whose names begin with `prefix`, by name.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl DoubleEndedIterator<Item = &'a LogStream> {
        let end = after_prefix(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name
            .range::<str, _>((Bound::Included(prefix), end))
            .filter_map(|(_, number)| self.get(*number))
    }

    /// A stretch of time that holds all events of these streams; none if they have no events.
    pub fn span(&self, numbers: &[u64]) -> Option<(i64, i64)> {
        let streams = numbers.iter().filter_map(|number| self.get(*number));
        let spans = streams.filter_map(|stream| Some((stream.first_event?, stream.last_event?)));
        spans.reduce(|(first, last), (other_first, other_last)| {
            (first.min(other_first), last.max(other_last))
        })
    }

    /// What all streams' events count against limits.
    pub fn billed_bytes(&self) -> u64 {
        self.billed_bytes
    }

    /// Counts a frame in.
    pub fn count(&mut self, entry: &Entry) {
        if let Some(stream) = self.by_number.get_mut(&entry.stream) {
            let oldest = |known: i64| known.min(entry.oldest);
            stream.first_event = Some(stream.first_event.map_or(entry.oldest, oldest));
            stream.last_event = stream.last_event.max(Some(entry.newest));
            stream.last_ingestion = stream.last_ingestion.max(Some(entry.ingested));
            stream.billed_bytes += entry.billed_bytes;
            self.billed_bytes += entry.billed_bytes;
        }
    }

    /// Counts a frame out. The times of first and last event stay as bounds until the group is opened again.
    pub fn discount(&mut self, entry: &Entry) {
        if let Some(stream) = self.by_number.get_mut(&entry.stream) {
            stream.billed_bytes = stream.billed_bytes.saturating_sub(entry.billed_bytes);
            self.billed_bytes = self.billed_bytes.saturating_sub(entry.billed_bytes);
        }
    }
}

/// The first text behind all that begin with `prefix`; none if there is no such text.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Characters have a gap where surrogates are.
        let next = (u32::from(last) + 1..=0x0010_ffff).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_found_by_prefix() {
        let mut streams = Streams::default();
        for (number, name) in ["a", "ab", "a\u{10ffff}b", "b", "ü"].iter().enumerate() {
            streams.add(number as u64 + 1, name, 0);
        }
        let names = |prefix: &str| -> Vec<String> {
            streams
                .with_prefix(prefix)
                .map(|stream| stream.name.to_string())
                .collect()
        };
        assert_eq!(names("a"), ["a", "ab", "a\u{10ffff}b"]);
        assert_eq!(names("a\u{10ffff}"), ["a\u{10ffff}b"]);
        assert_eq!(names("").len(), 5);
        assert_eq!(names("c"), [""; 0]);
        assert_eq!(streams.next_number(), 6);
    }
}
