//! Reading what waits for an output.

use std::io;
use std::ops::Range;

use super::super::Gap;
use super::super::format::Frame;
use super::super::segment::{At, Segment};
use super::beside::put_beside;
use super::{Log, Stored, StoredFrames};
use crate::fs::Fs;

impl Log {
    /// The frames for `route` with numbers in `range`, until they have `bytes_max` bytes; at least one, if there is one.
    ///
    /// # Errors
    /// When the disk cannot be read. What is damaged is no error: it is told of and passed over.
    pub fn read(
        &self,
        route: &str,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<StoredFrames> {
        let mut answer = StoredFrames {
            next: range.start,
            ..StoredFrames::default()
        };
        let mut reading = Reading {
            fs: &*self.fs,
            route,
            end: range.end,
            bytes_left: bytes_max,
            answer: &mut answer,
        };
        for segment in &self.segments {
            match reading.read(segment) {
                Ok(true) => {}
                Ok(false) => return Ok(answer),
                // Damage is told once. The next call comes to the error.
                Err(_) if !reading.answer.gaps.is_empty() => return Ok(answer),
                Err(error) => return Err(error),
            }
        }
        for frame in &self.lost {
            if !reading.take(Frame::clone(frame), self.origin) {
                return Ok(answer);
            }
        }
        answer.next = answer.next.max(range.end.min(self.next));
        Ok(answer)
    }

    /// How many records of `range` are for `route`, and how many bytes they have. What turns out to be damaged is added to
    /// `gaps`, and counts as nothing.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn count(
        &self,
        route: &str,
        range: Range<u64>,
        gaps: &mut Vec<Gap>,
    ) -> io::Result<(u64, u64)> {
        let (mut records, mut bytes, mut from) = (0, 0, range.start);
        while from < range.end {
            let mut read = self.read(route, from..range.end, 1 << 20)?;
            gaps.append(&mut read.gaps);
            for stored in &read.frames {
                let first = stored.frame.first.max(from);
                records += stored.frame.end().min(range.end).saturating_sub(first);
                bytes += stored.frame.stored_len();
            }
            from = read.next.max(from + 1);
        }
        Ok((records, bytes))
    }
}

/// A walk through the segments.
struct Reading<'a> {
    fs: &'a dyn Fs,
    route: &'a str,
    end: u64,
    bytes_left: usize,
    answer: &'a mut StoredFrames,
}

impl Reading<'_> {
    /// Reads on in `segment`. Returns whether the walk goes on behind it.
    fn read(&mut self, segment: &Segment) -> io::Result<bool> {
        let from = self.answer.next;
        if segment.end <= from {
            return Ok(true);
        }
        let share = segment.routes.get(self.route);
        if share.is_none_or(|share| share.end <= from) {
            self.answer.next = segment.end;
            return Ok(self.answer.next < self.end);
        }
        let file = match self.fs.open(&segment.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(self.pass_missing(segment));
            }
            file => file?,
        };
        // The number of the next record if none is missing.
        let (mut number, mut offset) = segment.place_before(from);
        loop {
            match segment.look(&*file, offset, self.route, self.answer.next)? {
                At::End => {
                    self.answer.next = self.answer.next.max(segment.end);
                    return Ok(self.answer.next < self.end);
                }
                At::Other(end, next) => {
                    self.answer.next = self.answer.next.max(end);
                    (number, offset) = (end, next);
                }
                At::Frame(frame, next) => {
                    (number, offset) = (frame.end(), next);
                    if !self.take(frame, segment.header.origin) {
                        return Ok(false);
                    }
                }
                At::Damage => {
                    let (after, next) = segment.behind_damage(&*file, offset)?;
                    self.pass_damage(segment, number..after, offset..next);
                    (number, offset) = (after, next);
                }
            }
            if self.answer.next >= self.end {
                return Ok(false);
            }
        }
    }

    /// Somebody has removed the file.
    fn pass_missing(&mut self, segment: &Segment) -> bool {
        self.answer.gaps.push(Gap {
            file: segment.path.clone(),
            numbers: Some(self.answer.next.max(segment.header.first)..segment.end),
            bytes: segment.len,
            kept_in: None,
        });
        self.answer.next = segment.end;
        self.answer.next < self.end
    }

    /// What a start would have found, had it read the file: it is put beside and told of, once.
    fn pass_damage(&mut self, segment: &Segment, numbers: Range<u64>, bytes: Range<u64>) {
        let beside = put_beside(self.fs, &segment.path, &bytes);
        if !beside.is_known {
            self.answer.gaps.push(Gap {
                file: segment.path.clone(),
                numbers: (!numbers.is_empty()).then_some(numbers),
                bytes: bytes.end - bytes.start,
                kept_in: beside.kept_in,
            });
        }
    }

    /// Adds a frame to the answer. Returns whether there is room for another.
    fn take(&mut self, frame: Frame, origin: [u8; 16]) -> bool {
        if frame.first >= self.end {
            self.answer.next = self.end;
            return false;
        }
        if frame.end() <= self.answer.next {
            return true;
        }
        self.answer.next = frame.end();
        if frame.routes.iter().any(|name| **name == *self.route) {
            self.bytes_left = self.bytes_left.saturating_sub(frame.body.len().max(1));
            self.answer.frames.push(Stored { frame, origin });
        }
        self.bytes_left > 0
    }
}
