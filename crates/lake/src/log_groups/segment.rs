//! Segments: files of frames, each of which holds what one put call brought.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::events;
use super::index::{Entry, Index};
use crate::delivered::Claim;
use crate::limits;
use crate::streams::frame::{self, Found, FrameReader, Kind};

/// A segment that does not change any more.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The time of its oldest event.
    pub oldest: i64,
    /// The time of its newest event.
    pub newest: i64,
    /// Its frames, until they stand in a file.
    pub entries: Option<Arc<Vec<Entry>>>,
}

/// The segment that takes events.
#[derive(Debug)]
pub struct Open {
    /// Its number.
    pub number: u64,
    /// Its frames.
    pub entries: Vec<Entry>,
    /// The file; none while nothing has been appended for a while.
    pub file: Option<Arc<File>>,
    /// Bytes in the file.
    pub length: u64,
    /// How many of them, and of the entries, are known to be on disk.
    pub durable: (u64, usize),
    /// Whether its name is.
    pub named: bool,
    /// A failed write could not be taken back: nothing may be appended any more.
    pub spoilt: bool,
}

/// Where a segment's frames stand.
pub fn events_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.events"))
}

/// Where a sealed segment's index stands.
pub fn index_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}.index"))
}

/// Removes a segment.
pub fn remove(folder: &Path, number: u64) -> io::Result<()> {
    fs::remove_file(events_path(folder, number))?;
    match fs::remove_file(index_path(folder, number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Sealed {
    /// A segment with these frames, of which there is at least one.
    pub fn new(entries: &[Entry]) -> Self {
        Self {
            oldest: entries.iter().map(|one| one.oldest).min().unwrap_or(0),
            newest: entries.iter().map(|one| one.newest).max().unwrap_or(0),
            entries: None,
        }
    }
}

impl Open {
    /// A segment that has no file yet.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            entries: Vec::new(),
            file: None,
            length: 0,
            durable: (0, 0),
            named: false,
            spoilt: false,
        }
    }

    /// Takes up a segment of an earlier run.
    pub fn taken_up(number: u64, entries: Vec<Entry>, length: u64) -> Self {
        Self {
            durable: (length, entries.len()),
            entries,
            length,
            named: true,
            ..Self::new(number)
        }
    }

    /// Whether the next frame has to go into another segment.
    pub fn is_full(&self) -> bool {
        self.spoilt
            || self.length >= limits::SEGMENT_BYTES
            || self.entries.len() >= limits::SEGMENT_FRAMES
    }

    /// Whether everything in it is on disk.
    pub fn is_durable(&self) -> bool {
        self.durable.0 == self.length
    }

    /// Appends a frame with what it claims; `entry` describes it but for offset and length. If it fails, nothing of it is in the file.
    pub fn append(
        &mut self,
        folder: &Path,
        (claim, payload): (&[u8], &[u8]),
        entry: Entry,
    ) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => {
                let path = events_path(folder, self.number);
                let file = OpenOptions::new().append(true).create(true).open(path)?;
                file.set_len(self.length)?;
                Arc::clone(self.file.insert(Arc::new(file)))
            }
        };
        // A put call has fewer events than 2^32.
        let header = frame::head(Kind::Records, entry.events as u32, claim, payload);
        let written = (&*file)
            .write_all(&header)
            .and_then(|()| (&*file).write_all(payload));
        if let Err(error) = written {
            self.spoilt = file.set_len(self.length).is_err();
            return Err(error);
        }
        let length = (header.len() + payload.len()) as u64;
        self.entries.push(Entry {
            offset: self.length,
            length,
            ..entry
        });
        self.length += length;
        Ok(())
    }

    /// Takes back what is not known to be on disk, and nothing more is appended.
    pub fn roll_back(&mut self) {
        let (length, entries) = self.durable;
        if let Some(file) = &self.file {
            // If even this fails, the frames come back at the next start: twice is better than never.
            let _ = file.set_len(length);
        }
        self.length = length;
        self.entries.truncate(entries);
        self.spoilt = true;
    }
}

/// Reads the frame of `entry` and gives its payload; `None` if it is damaged.
pub fn read_frame(file: &File, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
    let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
    if !(frame::HEADER_BYTES..=frame::HEADER_BYTES + frame::PAYLOAD_BYTES).contains(&length) {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, entry.offset) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut reader = FrameReader::new(bytes.as_slice());
    let payload = match reader.next()? {
        Some(Found::Frame {
            kind: Kind::Records,
            payload,
            ..
        }) => payload.len(),
        _ => return Ok(None),
    };
    if reader.offset() != entry.length {
        return Ok(None);
    }
    // The payload ends where the frame does.
    bytes.drain(..length - payload);
    Ok(Some(bytes))
}

/// What reading a segment from its beginning has shown.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Frames that hold.
    pub entries: Vec<Entry>,
    /// What they claim, each with the number of its log stream.
    pub claims: Vec<(u64, Claim)>,
    /// The file's length without a torn end.
    pub length: u64,
    /// Bytes of the torn end.
    pub torn: u64,
    /// Stretches that are no frames: where they begin, and how long they are.
    pub damaged: Vec<(u64, u64)>,
}

/// Reads a segment from its beginning.
pub fn scan(path: &Path) -> io::Result<Scanned> {
    let file = File::open(path)?;
    let whole = file.metadata()?.len();
    let mut reader = FrameReader::new(file);
    let mut scanned = Scanned::default();
    loop {
        let offset = reader.offset();
        match reader.next()? {
            None => {
                scanned.length = offset;
                return Ok(scanned);
            }
            Some(Found::Torn { offset }) => {
                scanned.length = offset;
                scanned.torn = whole - offset;
                return Ok(scanned);
            }
            Some(Found::Damaged { offset, length }) => scanned.damaged.push((offset, length)),
            Some(Found::Frame { claim, payload, .. }) => {
                let described = describe(payload);
                if let (Some(entry), Some(claim)) = (&described, Claim::decode(claim)) {
                    scanned.claims.push((entry.stream, claim));
                }
                let length = reader.offset() - offset;
                match described {
                    Some(entry) => scanned.entries.push(Entry {
                        offset,
                        length,
                        ..entry
                    }),
                    None => scanned.damaged.push((offset, length)),
                }
            }
        }
    }
}

/// An entry for a payload, but for offset and length.
fn describe(payload: &[u8]) -> Option<Entry> {
    let (head, stored) = events::decode(payload)?;
    let mut entry = Entry {
        offset: 0,
        length: 0,
        stream: head.stream,
        ingested: head.ingested,
        oldest: i64::MAX,
        newest: i64::MIN,
        first_sequence: head.first_sequence,
        events: 0,
        billed_bytes: 0,
    };
    for (timestamp, message) in stored {
        entry.oldest = entry.oldest.min(timestamp);
        entry.newest = entry.newest.max(timestamp);
        entry.events += 1;
        entry.billed_bytes += (message.len() + limits::EVENT_OVERHEAD_BYTES) as u64;
    }
    (entry.events > 0).then_some(entry)
}

/// Copies a damaged stretch to where somebody can look at it. Doing it again does no harm.
pub fn set_aside(from: &Path, offset: u64, length: u64, folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let mut source = File::open(from)?;
    source.seek(SeekFrom::Start(offset))?;
    let stem = from.file_stem().unwrap_or_default().to_string_lossy();
    let path = folder.join(format!("{stem}-{offset}.damaged"));
    let mut copy = File::create(&path)?;
    io::copy(&mut source.take(length), &mut copy)?;
    copy.sync_all()?;
    Ok(path)
}

/// The entries of a sealed segment, from memory or from its index.
pub fn entries_of(folder: &Path, number: u64, sealed: &Sealed) -> io::Result<Arc<Vec<Entry>>> {
    match &sealed.entries {
        Some(entries) => Ok(Arc::clone(entries)),
        None => Index::load(&index_path(folder, number)).map(|index| Arc::new(index.entries)),
    }
}
