//! One file of the log.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fs::{File, Fs, read_to_end};

use super::format::{BadHeader, ChunkId, FRAME_HEADER, Frame, HEADER, Head, Header, Kind, Outline};
use super::scan::{self, Damage, Found};

mod summary;

/// How many bytes lie between the places that are remembered for reading.
const MARK_EVERY: u64 = 128 << 10;
/// How much is read at first of a frame: mostly enough to see whose it is.
const FIRST_READ: usize = 4 << 10;

/// An open segment and what is known of it.
pub struct Segment {
    pub path: PathBuf,
    pub header: Header,
    /// While it is written.
    file: Option<Box<dyn File>>,
    /// The length of what counts.
    pub len: u64,
    /// The sequence number after the last record.
    pub end: u64,
    /// Up to where the disk has it.
    synced: Synced,
    /// For each output what lies here for it.
    pub routes: BTreeMap<Arc<str>, Share>,
    /// The chunks that were completed here.
    pub chunks: Vec<ChunkId>,
    /// Sequence numbers and where their frames start, ascending.
    marks: Vec<(u64, u64)>,
    /// It could not be synced, and what it may have lost is not written elsewhere yet: until then the system has that here
    /// alone, so the file must stay.
    pub holds_lost: bool,
    /// It was synced before that was written into it, and nothing was added since.
    pub is_sealed: bool,
}

/// How much of a segment the disk has.
#[derive(Clone, Copy)]
struct Synced {
    len: u64,
    end: u64,
    /// How many of its chunks.
    chunks: usize,
}

/// What lies in a segment for one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Share {
    /// The sequence number after its last record.
    pub end: u64,
    pub records: u64,
    pub bytes: u64,
}

/// What was found in a file at start.
pub struct Opened {
    pub segment: Segment,
    pub damages: Vec<Damage>,
    /// Ranges of numbers that are missing between its frames.
    pub holes: Vec<Range<u64>>,
}

/// A frame of a segment, or why there is none.
pub enum At {
    /// A range without content, or records for others: the number after it, and where the next frame starts.
    Other(u64, u64),
    /// Records for who asked, and where the next frame starts.
    Frame(Frame, u64),
    /// Something else lies there.
    Damage,
    /// Here it ends.
    End,
}

impl Segment {
    /// Makes a file for the records from `header.first` on. It is on the disk when this returns.
    pub fn create(fs: &dyn Fs, path: &Path, header: Header) -> io::Result<Segment> {
        let mut file = fs.create(path)?;
        let made = file
            .append(&header.write())
            .and_then(|()| file.sync())
            .and_then(|()| match path.parent() {
                Some(folder) => fs.sync_dir(folder),
                None => Ok(()),
            });
        if let Err(error) = made {
            // What is left of it is too short to be one and goes at the next start at the latest.
            let _ = fs.remove(path);
            return Err(error);
        }
        Ok(Segment::new(path, header, Some(file)))
    }

    fn new(path: &Path, header: Header, file: Option<Box<dyn File>>) -> Segment {
        let first = header.first;
        Segment {
            path: path.to_owned(),
            header,
            file,
            len: HEADER as u64,
            end: first,
            synced: Synced {
                len: HEADER as u64,
                end: first,
                chunks: 0,
            },
            routes: BTreeMap::new(),
            chunks: Vec::new(),
            marks: Vec::new(),
            holds_lost: false,
            is_sealed: false,
        }
    }

    /// Reads what a file says of itself if it was closed, and else the whole file; `bytes` is room for that.
    pub fn open(
        fs: &dyn Fs,
        path: &Path,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Result<Opened, BadHeader>> {
        // Whatever prevents the short way may not prevent the long one.
        if let Ok(Some(segment)) = Segment::open_closed(fs, path) {
            return Ok(Ok(Opened {
                segment,
                damages: Vec::new(),
                holes: Vec::new(),
            }));
        }
        Segment::open_whole(fs, path, bytes)
    }

    /// Reads a whole file; `bytes` is room for it.
    pub fn open_whole(
        fs: &dyn Fs,
        path: &Path,
        bytes: &mut Vec<u8>,
    ) -> io::Result<Result<Opened, BadHeader>> {
        let bytes = content_into(fs, path, bytes)?;
        let header = match Header::read(bytes, Kind::Records) {
            Ok(header) => header,
            Err(bad) => return Ok(Err(bad)),
        };
        let uuid = header.uuid;
        let mut segment = Segment::new(path, header, None);
        let mut holes = Vec::new();
        let damages = scan::scan(bytes, &uuid, |found| {
            if found.head.first > segment.end {
                holes.push(segment.end..found.head.first);
            }
            segment.note_found(&found);
        });
        segment.synced = segment.whole();
        Ok(Ok(Opened {
            segment,
            damages,
            holes,
        }))
    }

    fn note_found(&mut self, found: &Found<'_>) {
        self.len = found.offset;
        self.note(&found.head, found.outline(), found.head.stored_len());
    }

    /// Takes notice of a frame that now stands at the end.
    fn note(&mut self, head: &Head, outline: Option<Outline<'_>>, stored: u64) {
        let far = self
            .marks
            .last()
            .is_none_or(|(_, offset)| self.len >= offset + MARK_EVERY);
        if far {
            self.marks.push((head.first, self.len));
        }
        self.len += stored;
        self.end = self.end.max(head.end());
        self.is_sealed = head.is_seal();
        let Some(outline) = outline else { return };
        self.chunks.extend(outline.chunks);
        for route in outline.routes {
            if !self.routes.contains_key(route) {
                self.routes.insert(Arc::from(route), Share::default());
            }
            let Some(share) = self.routes.get_mut(route) else {
                continue;
            };
            share.end = share.end.max(head.end());
            share.records += u64::from(head.records);
            share.bytes += stored;
        }
    }

    /// Appends a frame; `scratch` is room for its bytes. After an error the file may hold a part of it, and nothing may
    /// be appended any more unless that could be cut off (see [`Failed`]).
    pub fn append(&mut self, frame: &Frame, scratch: &mut Vec<u8>) -> Result<(), Failed> {
        scratch.clear();
        frame.write(&self.header.uuid, scratch);
        self.append_bytes(scratch)?;
        let head = Head::void(frame.first, frame.records);
        self.note(&head, Some(frame.outline()), scratch.len() as u64);
        Ok(())
    }

    /// Appends a range of numbers that need no content.
    pub fn append_void(&mut self, first: u64, records: u32) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        let head = Head::void(first, records);
        head.write(&self.header.uuid, &[], &mut bytes);
        self.append_bytes(&bytes)?;
        self.note(&head, None, bytes.len() as u64);
        Ok(())
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let Some(file) = &mut self.file else {
            let error = io::Error::other("the segment is not written any more");
            return Err(Failed {
                error,
                is_usable: false,
            });
        };
        file.append(bytes).map_err(|error| Failed {
            is_usable: file.truncate(self.len).is_ok(),
            error,
        })
    }

    /// Waits until everything is on the disk. After an error nothing since the last success may be relied on.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced.len < self.len
            && let Some(file) = &mut self.file
        {
            file.sync()?;
            self.synced = self.whole();
        }
        Ok(())
    }

    /// Closes the file for writing.
    pub fn finish(&mut self) {
        self.file = None;
    }

    fn whole(&self) -> Synced {
        Synced {
            len: self.len,
            end: self.end,
            chunks: self.chunks.len(),
        }
    }

    /// Whether something waits for the disk.
    pub fn is_unsynced(&self) -> bool {
        self.synced.len < self.len
    }

    /// How many numbers were given since the disk had everything.
    pub fn unsynced_numbers(&self) -> u64 {
        self.end - self.synced.end
    }

    /// The frames that were not synced, as far as they are intact.
    ///
    /// # Errors
    /// When the system cannot read them now. It is asked a few times at once, because it may drop them when the process ends.
    pub fn unsynced(&self) -> io::Result<Vec<Frame>> {
        let (mut at, mut frames) = (self.synced.len, Vec::new());
        let Some(file) = &self.file else {
            return Ok(frames);
        };
        while at < self.len
            && let Some((head, payload)) = patiently(|| self.frame_at(&**file, at, None))?
        {
            at += head.stored_len();
            frames.extend(
                (!head.is_void())
                    .then(|| Frame::read(&head, &payload))
                    .flatten(),
            );
        }
        Ok(frames)
    }

    /// Forgets what was not synced, because it will be written elsewhere. The file stays until it is.
    pub fn forget_unsynced(&mut self) {
        self.file = None;
        self.holds_lost = true;
        (self.len, self.end) = (self.synced.len, self.synced.end);
        // They are chunks of the other file: should this one go first, nobody may think that they were taken.
        self.chunks.truncate(self.synced.chunks);
        self.marks.retain(|(_, offset)| *offset < self.len);
        for share in self.routes.values_mut() {
            share.end = share.end.min(self.end);
        }
    }

    /// Closes the file for writing with everything in it, although it is not certain that the disk has it.
    pub fn leave_unsynced(&mut self) {
        self.file = None;
        self.synced = self.whole();
    }

    /// What a copy of the file holds: what counts, and a seal.
    ///
    /// # Errors
    /// When it cannot be read, or the system has dropped something from memory that was there at the start.
    pub fn sealed(&self, fs: &dyn Fs) -> io::Result<Vec<u8>> {
        let mut bytes = bytes_of(&*fs.open(&self.path)?, &(0..self.len))?;
        let mut chunks = Vec::with_capacity(self.chunks.len());
        scan::scan(&bytes, &self.header.uuid, |found| {
            chunks.extend(found.outline().into_iter().flat_map(|frame| frame.chunks));
        });
        if chunks != self.chunks || bytes.len() as u64 != self.len {
            return Err(io::Error::other("the file has changed since it was read"));
        }
        bytes.extend(self.seal().1);
        Ok(bytes)
    }

    /// Cuts what does not count off the file.
    pub fn truncate(&mut self, fs: &dyn Fs) -> io::Result<()> {
        fs.open(&self.path)?.truncate(self.len)
    }

    /// Where to start looking for the frame of `number`: the number of the frame there, and its place.
    pub fn place_before(&self, number: u64) -> (u64, u64) {
        let after = self.marks.partition_point(|(first, _)| *first <= number);
        match after.checked_sub(1) {
            Some(index) => self.marks[index],
            None => (self.header.first, HEADER as u64),
        }
    }

    /// The frame at `offset`, read whole only if it is for `route` and ends behind `from`.
    pub fn look(&self, file: &dyn File, offset: u64, route: &str, from: u64) -> io::Result<At> {
        if offset >= self.len {
            return Ok(At::End);
        }
        let Some((head, payload)) = self.frame_at(file, offset, Some((route, from)))? else {
            return Ok(At::Damage);
        };
        let next = offset + head.stored_len();
        if payload.is_empty() {
            return Ok(At::Other(head.end(), next));
        }
        Ok(match Frame::read(&head, &payload) {
            Some(frame) if frame.routes.iter().any(|name| **name == *route) => {
                At::Frame(frame, next)
            }
            _ => At::Other(head.end(), next),
        })
    }

    /// The number and the place of the next intact frame behind damage at `offset`; if there is none, of the end.
    pub fn behind_damage(&self, file: &dyn File, offset: u64) -> io::Result<(u64, u64)> {
        let bytes = bytes_of(file, &(0..self.len))?;
        let mut next = None;
        scan::scan(&bytes, &self.header.uuid, |found| {
            if found.offset > offset {
                next.get_or_insert((found.head.first, found.offset));
            }
        });
        Ok(next.unwrap_or((self.end, self.len)))
    }

    /// The head and the payload of the frame at `offset`. The payload stays unread, and empty, when it is not `wanted`.
    fn frame_at(
        &self,
        file: &dyn File,
        offset: u64,
        wanted: Option<(&str, u64)>,
    ) -> io::Result<Option<(Head, Vec<u8>)>> {
        let mut start = vec![0; FIRST_READ.min((self.len - offset) as usize)];
        let read = file.read_at(offset, &mut start)?;
        start.truncate(read);
        let Some(head) = Head::read(&start, &self.header.uuid) else {
            return Ok(None);
        };
        if head.is_void() || wanted.is_some_and(|(_, from)| head.end() <= from) {
            return Ok(Some((head, Vec::new())));
        }
        let mut payload = start.split_off(FRAME_HEADER);
        let got = payload.len().min(head.len as usize);
        payload.resize(head.len as usize, 0);
        if got < payload.len() {
            let rest = offset + (FRAME_HEADER + got) as u64;
            let read = file.read_at(rest, &mut payload[got..])?;
            payload.truncate(got + read);
        }
        let intact = Head::is_followed_by(&start, &payload);
        Ok(intact.then_some((head, payload)))
    }
}

/// How often a file is read that cannot be read.
const READ_TRIES: u32 = 5;

/// Everything in a file.
pub fn content_of(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    read_patiently(fs, path, |file| read_to_end(file, 0))
}

/// The same in `bytes`, which only grows: many files are read without as many times the memory being made.
fn content_into<'a>(fs: &dyn Fs, path: &Path, bytes: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let read = patiently(|| {
        let file = fs.open(path)?;
        let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        file.read_at(0, &mut bytes[..length])
    })?;
    Ok(&bytes[..read])
}

/// What may be the header of a file.
pub fn head_of(fs: &dyn Fs, path: &Path) -> io::Result<Vec<u8>> {
    read_patiently(fs, path, |file| bytes_of(file, &(0..HEADER as u64)))
}

fn read_patiently(
    fs: &dyn Fs,
    path: &Path,
    read: impl Fn(&dyn File) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<u8>> {
    patiently(|| fs.open(path).and_then(|file| read(&*file)))
}

/// What fails is tried again at once a few times, unless the file is not there.
fn patiently<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut tries = 1;
    loop {
        match read() {
            Err(error) if error.kind() != io::ErrorKind::NotFound && tries < READ_TRIES => {
                tries += 1;
            }
            result => return result,
        }
    }
}

/// The bytes of a range of a file.
pub fn bytes_of(file: &dyn File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let read = file.read_at(range.start, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A write that failed.
#[derive(Debug)]
pub struct Failed {
    pub error: io::Error,
    /// Whether the file is as it was before, and may be appended to.
    pub is_usable: bool,
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> io::Error {
        failed.error
    }
}
