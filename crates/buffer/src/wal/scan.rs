//! Finding the frames of a file, also behind damage.

use std::ops::Range;

use super::format::{FRAME_HEADER, FRAME_MAGIC, HEADER, Head, Outline};

/// A part of a file that is no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it lies in the file.
    pub bytes: Range<u64>,
    /// Whether it is what a write leaves that was cut off, so that it was never acknowledged.
    pub is_torn: bool,
    /// Whether it is room that was written and never came to the disk.
    pub is_blank: bool,
}

/// A frame that was found.
pub struct Found<'a> {
    /// Where it starts in the file.
    pub offset: u64,
    pub head: Head,
    pub payload: &'a [u8],
}

impl<'a> Found<'a> {
    /// What it says besides its numbers, if it stands for records.
    pub fn outline(&self) -> Option<Outline<'a>> {
        (!self.head.is_void())
            .then(|| Outline::read(&self.head, self.payload))
            .flatten()
    }
}

/// Calls `visit` for every intact frame in `file`, a whole file whose header is good, and returns what lies between them.
pub fn scan(file: &[u8], uuid: &[u8; 16], mut visit: impl FnMut(Found<'_>)) -> Vec<Damage> {
    let mut damages = Vec::new();
    let mut at = HEADER.min(file.len());
    while at < file.len() {
        if let Some((head, end)) = frame_at(file, at, uuid) {
            let payload = &file[at + FRAME_HEADER..end];
            visit(Found {
                offset: at as u64,
                head,
                payload,
            });
            at = end;
            continue;
        }
        let next = next_frame(file, at, uuid);
        let is_torn = next.is_none() && is_torn(&file[at..], uuid);
        let end = next.unwrap_or(file.len());
        damages.push(Damage {
            bytes: at as u64..end as u64,
            is_torn,
            is_blank: file[at..end].iter().all(|byte| *byte == 0),
        });
        at = end;
    }
    damages
}

/// The frame that starts at `at`, and where it ends.
fn frame_at(file: &[u8], at: usize, uuid: &[u8; 16]) -> Option<(Head, usize)> {
    let head = Head::read(&file[at..], uuid)?;
    let end = at
        .checked_add(FRAME_HEADER)?
        .checked_add(head.len as usize)?;
    let payload = file.get(at + FRAME_HEADER..end)?;
    Head::is_followed_by(&file[at..], payload).then_some((head, end))
}

/// Where the next intact frame starts, behind the damage at `from`.
fn next_frame(file: &[u8], from: usize, uuid: &[u8; 16]) -> Option<usize> {
    let mut at = from + 1;
    // A good header with bad content says how far the damage goes.
    if let Some(head) = Head::read(&file[from..], uuid) {
        let end = from.saturating_add(head.stored_len() as usize);
        if end < file.len() && frame_at(file, end, uuid).is_some() {
            return Some(end);
        }
    }
    loop {
        let step = file
            .get(at..)?
            .windows(FRAME_MAGIC.len())
            .position(|bytes| bytes == FRAME_MAGIC)?;
        at += step;
        if frame_at(file, at, uuid).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

/// Whether the end of a file is what is left of a write that did not come to its end: too short, or room without content.
/// So is a summary that is not whole: no record was ever in it.
fn is_torn(rest: &[u8], uuid: &[u8; 16]) -> bool {
    let is_short = match Head::read(rest, uuid) {
        Some(head) => {
            let len = rest.len() as u64;
            len < head.stored_len() || len == head.stored_len() && head.is_summary()
        }
        None => rest.len() < FRAME_HEADER,
    };
    is_short || rest.iter().all(|byte| *byte == 0)
}
