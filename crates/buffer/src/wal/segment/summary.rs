//! What a closed segment says of itself at its end, so that a start need not read everything in it.
//!
//! It is the content of its seal, all numbers little-endian:
//!
//! | what | bytes |
//! |---|---|
//! | version of the summary, 1 | 2 |
//! | where the seal starts: the length of the file before it | 8 |
//! | how many outputs are named in the file | 4 |
//! | each: length of its name, the name; the number after its last record, how many records, how many bytes | 4, …; 8, 8, 8 |
//! | how many chunks were completed in the file | 4 |
//! | each: its id | 16 |
//! | how many frames can be found at once | 4 |
//! | each: the number of its first record, and where it starts; ascending | 8, 8 |
//! | the length of the seal, with its frame's header: by this it is found from the end of the file | 4 |
//!
//! It is written when the disk is known to have everything before it, and only then: what stands in it is true whether
//! the disk has the summary itself or not. One that is not whole, or that says something else than where it stands, is not
//! believed: the file is read then.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Segment, Share, bytes_of};
use crate::fs::{File, Fs};
use crate::wal::format::{ChunkId, FRAME_HEADER, HEADER, Head, Header, Kind};

const VERSION: u16 = 1;
/// How much is read of the end of a file at first: mostly the whole summary.
const TAIL: u64 = 4 << 10;

impl Segment {
    /// What is known of a file that was closed. `None` if it was not, or if what it says of itself cannot be believed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open_closed(fs: &dyn Fs, path: &Path) -> io::Result<Option<Segment>> {
        let file = fs.open(path)?;
        let start = bytes_of(&*file, &(0..HEADER as u64))?;
        let Ok(header) = Header::read(&start, Kind::Records) else {
            return Ok(None);
        };
        let Some((at, seal)) = seal_of(&*file, &header.uuid)? else {
            return Ok(None);
        };
        let Some(head) = Head::read(&seal, &header.uuid) else {
            return Ok(None);
        };
        let mut segment = Segment::new(path, header, None);
        let known = segment.take_summary(at, &head, &seal[FRAME_HEADER..]);
        Ok(known.map(|()| segment))
    }

    /// Closes the file for writing, and lets it say what is in it. Without that where something in it is not on the disk
    /// for sure, or where the disk does not take it: then a start reads the file.
    pub fn close(&mut self) {
        let Some(mut file) = self.file.take() else {
            return;
        };
        if self.is_unsynced() {
            return;
        }
        let (head, bytes) = self.seal();
        if file.append(&bytes).and_then(|()| file.sync()).is_ok() {
            self.note(&head, None, bytes.len() as u64);
            self.synced = self.whole();
        } else {
            // Whatever stays of it is no record, and nothing in the file depends on it.
            let _ = file.truncate(self.len);
        }
    }

    /// The seal that says what is in the file, and its bytes.
    pub fn seal(&self) -> (Head, Vec<u8>) {
        let mut content = self.summary();
        let len = (FRAME_HEADER + content.len() + 4) as u32;
        content.extend_from_slice(&len.to_le_bytes());
        let head = Head::seal(self.end, content.len() as u32);
        let mut bytes = Vec::with_capacity(len as usize);
        head.write(&self.header.uuid, &[&content], &mut bytes);
        (head, bytes)
    }

    fn summary(&self) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        let number = |number: u64, out: &mut Vec<u8>| out.extend_from_slice(&number.to_le_bytes());
        let count = |len: usize, out: &mut Vec<u8>| {
            out.extend_from_slice(&(len as u32).to_le_bytes());
        };
        number(self.len, &mut out);
        count(self.routes.len(), &mut out);
        for (name, share) in &self.routes {
            count(name.len(), &mut out);
            out.extend_from_slice(name.as_bytes());
            for each in [share.end, share.records, share.bytes] {
                number(each, &mut out);
            }
        }
        count(self.chunks.len(), &mut out);
        for chunk in &self.chunks {
            out.extend_from_slice(chunk);
        }
        count(self.marks.len(), &mut out);
        for (first, offset) in &self.marks {
            number(*first, &mut out);
            number(*offset, &mut out);
        }
        out
    }

    /// Takes what the seal `head` at `at` says; `None` if that cannot be.
    fn take_summary(&mut self, at: u64, head: &Head, mut content: &[u8]) -> Option<()> {
        let rest = &mut content;
        let is_known = short(rest)? == VERSION && number(rest)? == at;
        let mut end = self.header.first;
        for _ in 0..count(rest)? {
            let len = count(rest)?;
            let name = std::str::from_utf8(rest.split_off(..len)?).ok()?;
            let share = Share {
                end: number(rest)?,
                records: number(rest)?,
                bytes: number(rest)?,
            };
            end = end.max(share.end);
            self.routes.insert(Arc::from(name), share);
        }
        for _ in 0..count(rest)? {
            let chunk: ChunkId = rest.split_off(..size_of::<ChunkId>())?.try_into().ok()?;
            self.chunks.push(chunk);
        }
        for _ in 0..count(rest)? {
            self.marks.push((number(rest)?, number(rest)?));
        }
        let places = || self.marks.iter().map(|(_, offset)| *offset);
        let is_whole = is_known
            && rest.len() == size_of::<u32>()
            && end <= head.first
            && places().is_sorted()
            && places().all(|offset| (HEADER as u64..at).contains(&offset));
        if !is_whole {
            return None;
        }
        (self.len, self.end) = (at, head.first);
        self.note(head, None, head.stored_len());
        self.synced = self.whole();
        Some(())
    }
}

/// The whole frame at the end of a file if it is a seal with content, and where it starts.
fn seal_of(file: &dyn File, uuid: &[u8; 16]) -> io::Result<Option<(u64, Vec<u8>)>> {
    let end = file.len()?;
    let from = end.saturating_sub(TAIL).max(HEADER as u64).min(end);
    let mut tail = bytes_of(file, &(from..end))?;
    let Some(len) = tail.last_chunk().map(|len| u32::from_le_bytes(*len)) else {
        return Ok(None);
    };
    let Some(at) = end.checked_sub(u64::from(len)) else {
        return Ok(None);
    };
    if at < HEADER as u64 || (len as usize) <= FRAME_HEADER {
        return Ok(None);
    }
    let is_seal = |start: &[u8]| {
        let head = Head::read(start, uuid);
        head.is_some_and(|head| head.is_summary() && head.stored_len() == u64::from(len))
    };
    let seal = if at < from {
        let start = bytes_of(file, &(at..at + FRAME_HEADER as u64))?;
        if !is_seal(&start) {
            return Ok(None);
        }
        bytes_of(file, &(at..end))?
    } else {
        tail.split_off((at - from) as usize)
    };
    let is_whole = is_seal(&seal)
        && Head::is_followed_by(&seal, &seal[FRAME_HEADER..])
        && seal.len() == len as usize;
    Ok(is_whole.then_some((at, seal)))
}

fn short(bytes: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.split_off(..2)?.try_into().ok()?))
}

fn count(bytes: &mut &[u8]) -> Option<usize> {
    let count = u32::from_le_bytes(bytes.split_off(..4)?.try_into().ok()?);
    usize::try_from(count).ok()
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.split_off(..8)?.try_into().ok()?))
}
