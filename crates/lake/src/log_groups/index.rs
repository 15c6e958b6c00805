//! What a segment holds: an entry per frame. In memory while the segment grows, then in a file beside it.
//!
//! The file is one frame whose payload is the length of the segment it belongs to, the number of the segment that it
//! replaces (0 if none), and the entries, all as little-endian words of 8 bytes. Without it, or with one that does not
//! fit, the segment is read from its beginning and the file is written again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::events::take;
use crate::limits;
use crate::streams::frame::{self, Found, FrameReader, Kind};

/// A frame of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where the frame begins.
    pub offset: u64,
    /// Bytes of the frame, its header included.
    pub length: u64,
    /// The number of the log stream.
    pub stream: u64,
    /// When it arrived.
    pub ingested: i64,
    /// The time of its oldest event.
    pub oldest: i64,
    /// The time of its newest event.
    pub newest: i64,
    /// The sequence number of its first event.
    pub first_sequence: u64,
    /// Its events.
    pub events: u64,
    /// What they count against limits.
    pub billed_bytes: u64,
}

const WORDS: usize = 9;

// An index is one frame.
const _: () = assert!(limits::SEGMENT_FRAMES * WORDS * 8 + 16 <= frame::PAYLOAD_BYTES);

impl Entry {
    fn to_words(self) -> [u64; WORDS] {
        [
            self.offset,
            self.length,
            self.stream,
            self.ingested as u64,
            self.oldest as u64,
            self.newest as u64,
            self.first_sequence,
            self.events,
            self.billed_bytes,
        ]
    }

    fn from_words(words: [u64; WORDS]) -> Self {
        let [
            offset,
            length,
            stream,
            ingested,
            oldest,
            newest,
            first_sequence,
            events,
            billed_bytes,
        ] = words;
        Self {
            offset,
            length,
            stream,
            ingested: ingested as i64,
            oldest: oldest as i64,
            newest: newest as i64,
            first_sequence,
            events,
            billed_bytes,
        }
    }
}

/// An index as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Index {
    /// The segment's length.
    pub segment_bytes: u64,
    /// The number of the segment that this one stands for; 0 if none.
    pub replaces: u64,
    /// Its frames, in order.
    pub entries: Vec<Entry>,
}

impl Index {
    /// Stores the index durably and in one step.
    pub fn store(
        path: &Path,
        segment_bytes: u64,
        replaces: u64,
        entries: &[Entry],
    ) -> io::Result<()> {
        let mut payload = Vec::with_capacity(16 + entries.len() * WORDS * 8);
        payload.extend(segment_bytes.to_le_bytes());
        payload.extend(replaces.to_le_bytes());
        for entry in entries {
            entry
                .to_words()
                .iter()
                .for_each(|word| payload.extend(word.to_le_bytes()));
        }
        let temporary = path.with_extension("new");
        let mut file = File::create(&temporary)?;
        // An index holds fewer entries than 2^32.
        file.write_all(&frame::header(
            Kind::Segment,
            entries.len() as u32,
            &payload,
        ))?;
        file.write_all(&payload)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(path))?.sync_all()
    }

    /// Reads an index; an error if there is none that holds.
    pub fn load(path: &Path) -> io::Result<Self> {
        let mut reader = FrameReader::new(File::open(path)?);
        let index = match reader.next()? {
            Some(Found::Frame {
                kind: Kind::Segment,
                payload,
                ..
            }) => Self::read(payload),
            _ => None,
        };
        index.ok_or_else(|| io::Error::other("the index is damaged"))
    }

    fn read(mut payload: &[u8]) -> Option<Self> {
        let segment_bytes = u64::from_le_bytes(take(&mut payload)?);
        let replaces = u64::from_le_bytes(take(&mut payload)?);
        let (words, []) = payload.as_chunks::<8>() else {
            return None;
        };
        let (entries, []) = words.as_chunks::<WORDS>() else {
            return None;
        };
        let entries = entries
            .iter()
            .map(|words| Entry::from_words(words.map(u64::from_le_bytes)));
        Some(Self {
            segment_bytes,
            replaces,
            entries: entries.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.index");
        let entry = Entry::from_words([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        Index::store(&path, 100, 7, &[entry, entry]).unwrap();
        let index = Index::load(&path).unwrap();
        assert_eq!(index.entries, [entry, entry]);
        assert_eq!((index.segment_bytes, index.replaces), (100, 7));
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Index::load(&path).is_err());
    }
}
