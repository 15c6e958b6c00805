//! Reading a file piece by piece: whole lines, in large reads, without keeping anything between two reads.
//!
//! A line that is not finished stays in the file and is read again with its end; only how far it was searched for a newline
//! is remembered. So an idle file holds no memory, however long its last line is, and a growing line is not searched twice.

use std::fs::File;
use std::io;
use std::ops::Range;

use buffer::positions::{Fingerprint, MARKER_SIZE};
use bytes::Bytes;
use record::Permit;
use rustix::buffer::spare_capacity;

use super::identity::Marks;
use super::long_lines::{LongLines, boundary_before};

/// From this length on, an unfinished line is only searched for its end, not read.
const SEARCH_FROM: u64 = 32 << 10;
/// How much of it is searched at once.
const SEARCH_SIZE: usize = 64 << 10;
/// How many bytes before the position are compared at each read, to notice that the content was replaced.
const BEFORE_SIZE: usize = 256;

/// What is read at once and what is done with lines that are too long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes to read at once, but for a longer line.
    pub chunk: usize,
    /// What becomes of long lines.
    pub long_lines: LongLines,
}

/// What a read may use.
pub struct Means<'a> {
    /// Gives a permit for so many bytes, if there is room.
    pub room: &'a mut dyn FnMut(usize) -> Option<Permit>,
    /// Space to search in.
    pub scratch: &'a mut Scratch,
}

/// Space to search in; allocated at the first use.
#[derive(Default)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// Gives the memory back.
    pub fn trim(&mut self) {
        self.0 = Vec::new();
    }
}

/// Lines that were read.
#[derive(Debug)]
pub struct Piece {
    /// The bytes of the lines. What follows the last newline, if anything, is a line as well: a part of a long one, or the
    /// last one of a file that has ended.
    pub bytes: Bytes,
    /// The position of the first of these bytes.
    pub first: u64,
    /// The positions that these lines answer for: theirs, and what was passed over before and after.
    pub covers: Range<u64>,
    /// For the memory that `bytes` takes.
    pub permit: Permit,
    /// Whether the piece is a part of a line that was too long.
    pub is_cut: bool,
}

impl Piece {
    /// Takes off the first `len` bytes, for which somebody else has answered.
    pub fn skip(mut self, len: usize) -> Piece {
        self.bytes = self.bytes.slice(len..);
        self.first += len as u64;
        self.covers.start = self.first;
        self
    }
}

/// What came of one read.
#[derive(Debug)]
pub enum Step {
    /// Lines to hand over.
    Lines(Piece),
    /// These positions hold nothing to hand over.
    Skipped(Range<u64>),
    /// A long line was dropped; its positions hold nothing to hand over.
    Dropped(Range<u64>),
    /// Nothing yet, but there is more to look at.
    Searched,
    /// Everything that is there was read.
    End,
    /// There is no room for so many bytes.
    NoRoom(usize),
    /// The file does not hold any more what was read before.
    Replaced,
}

/// Where reading stands in one content of a file.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The start of the first line that was not handed over.
    read_to: u64,
    /// From `read_to` up to here there is no newline.
    searched_to: u64,
    /// How long the file is known to be.
    end: u64,
    /// Nothing will be added: what stands before `end` without a newline is a line.
    complete: bool,
    /// The rest of the line at `read_to` is dropped.
    dropping: bool,
    /// From `read_to` up to `end` there are only zeros, which may still be written over.
    only_zeros: bool,
    before: Before,
}

/// The last bytes before the position.
#[derive(Clone)]
struct Before {
    bytes: [u8; BEFORE_SIZE],
    len: usize,
}

impl Cursor {
    /// Begins at `position` of a file that is `end` bytes long.
    ///
    /// # Errors
    /// When the bytes before cannot be read.
    pub fn new(file: &File, position: u64, end: u64) -> io::Result<Cursor> {
        Ok(Cursor {
            complete: false,
            before: Before::read(file, position)?,
            ..Cursor::over(position..end)
        })
    }

    /// Reads `range` again, which ends where a line or a part of a long one does.
    pub fn over(range: Range<u64>) -> Cursor {
        Cursor {
            read_to: range.start,
            searched_to: range.start,
            end: range.end,
            complete: true,
            dropping: false,
            only_zeros: false,
            before: Before::NONE,
        }
    }

    /// Continues a line whose beginning was kept before a restart: its rest is dropped.
    pub fn with_rest_dropped(mut self) -> Cursor {
        self.dropping = true;
        self
    }

    /// The start of the first line that was not handed over.
    pub fn position(&self) -> u64 {
        self.read_to
    }

    /// How long the file is known to be.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Of the last bytes before the position, as they were read.
    pub fn marks(&self) -> Marks {
        let before = self.before.as_bytes();
        Marks {
            marker: Fingerprint::of(&before[before.len().saturating_sub(MARKER_SIZE)..]),
            tail: Fingerprint::of(before),
        }
    }

    /// Whether there is something to read.
    pub fn has_more(&self) -> bool {
        self.searched_to < self.end || (self.complete && self.read_to < self.end)
    }

    /// Whether an unfinished line stands at the end.
    pub fn has_rest(&self) -> bool {
        self.read_to < self.end && !self.only_zeros
    }

    /// Takes what is there without a newline as a line.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// Learns how long the file is now; `false` when what was read is not in it any more.
    #[must_use]
    pub fn set_end(&mut self, end: u64) -> bool {
        if end < self.read_to {
            return false;
        }
        if end != self.end && self.only_zeros {
            self.search_again();
        }
        self.searched_to = self.searched_to.min(end);
        self.end = end;
        true
    }

    /// Forgets how far an unfinished line was searched: it may have been written over.
    pub fn search_again(&mut self) {
        self.searched_to = self.read_to;
        self.only_zeros = false;
    }

    /// Whether the bytes before the position are still those that were read.
    pub fn is_unchanged(&self, file: &File) -> bool {
        Before::read(file, self.read_to).is_ok_and(|now| now.ends_like(&self.before))
    }

    /// Reads on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn step(
        &mut self,
        file: &File,
        limits: &Limits,
        means: &mut Means<'_>,
    ) -> io::Result<Step> {
        if self.searched_to >= self.end {
            return self.finish(file, means);
        }
        let search_from = SEARCH_FROM.min(limits.chunk as u64);
        if self.dropping || self.searched_to - self.read_to >= search_from {
            self.search(file, limits, means)
        } else {
            self.read(file, limits, means, limits.chunk as u64)
        }
    }

    /// Everything is searched. What is left has no newline.
    fn finish(&mut self, file: &File, means: &mut Means<'_>) -> io::Result<Step> {
        if !self.complete || self.read_to >= self.end {
            return Ok(Step::End);
        }
        let rest = self.read_to..self.end;
        if self.dropping || self.only_zeros {
            self.advance(file, rest.end)?;
            self.dropping = false;
            return Ok(Step::Skipped(rest));
        }
        match part(file, means, rest.clone())? {
            Part::Lines(piece) => {
                self.advance(file, rest.end)?;
                Ok(Step::Lines(piece))
            }
            Part::Step(step) => Ok(step),
        }
    }

    /// Looks for the end of a line that is not read.
    fn search(&mut self, file: &File, limits: &Limits, means: &mut Means<'_>) -> io::Result<Step> {
        let want = (self.end - self.searched_to).min(SEARCH_SIZE as u64) as usize;
        let found = means.scratch.find_newline(file, self.searched_to, want)?;
        match found {
            Found::Nothing => {
                // Shorter than it was a moment ago; the next look at it will tell.
                self.end = self.searched_to;
                Ok(Step::End)
            }
            Found::NoNewline(searched) => {
                self.searched_to += searched as u64;
                if !self.dropping && limits.long_lines.is_long(self.searched_to - self.read_to) {
                    return self.long_line(file, limits, means, None);
                }
                Ok(Step::Searched)
            }
            Found::Newline(at) => {
                self.searched_to += at as u64;
                let line_end = self.searched_to + 1;
                if self.dropping {
                    let rest = self.read_to..line_end;
                    self.advance(file, line_end)?;
                    self.dropping = false;
                    return Ok(Step::Skipped(rest));
                }
                if limits.long_lines.is_long(self.searched_to - self.read_to) {
                    return self.long_line(file, limits, means, Some(line_end));
                }
                let line = line_end - self.read_to;
                self.read(file, limits, means, line.max(limits.chunk as u64))
            }
        }
    }

    /// Reads up to `want` bytes and takes the whole lines among them.
    fn read(
        &mut self,
        file: &File,
        limits: &Limits,
        means: &mut Means<'_>,
        want: u64,
    ) -> io::Result<Step> {
        let want = want.min(self.end - self.read_to) as usize;
        let known = (self.searched_to - self.read_to) as usize;
        let before = self.before.len;
        let Some(permit) = (means.room)(before + want) else {
            return Ok(Step::NoRoom(before + want));
        };
        let buffer = read_at(file, self.read_to - before as u64, before + want)?;
        if buffer.len() < before || buffer[..before] != *self.before.as_bytes() {
            return Ok(Step::Replaced);
        }
        let data = &buffer[before..];
        if data.len() <= known {
            self.end = self.read_to + data.len() as u64;
            self.searched_to = self.searched_to.min(self.end);
            return Ok(Step::End);
        }
        let zeros = data.iter().take_while(|&&byte| byte == 0).count();
        if zeros == data.len() {
            return self.skip_zeros(file, zeros as u64);
        }
        let Some(last) = memchr::memrchr(b'\n', &data[known..]) else {
            self.searched_to = self.read_to + data.len() as u64;
            return match limits.long_lines.is_long(data.len() as u64) {
                true => self.long_line(file, limits, means, None),
                false => Ok(Step::Searched),
            };
        };
        let (lines, rest) = (known + last + 1, data.len() - known - last - 1);
        let covers = self.read_to..self.read_to + lines as u64;
        self.before = Before::last_of(&buffer[..before + lines]);
        self.read_to = covers.end;
        self.searched_to = covers.end + rest as u64;
        Ok(Step::Lines(Piece {
            bytes: Bytes::from(buffer).slice(before + zeros..before + lines),
            first: covers.start + zeros as u64,
            covers,
            permit,
            is_cut: false,
        }))
    }

    /// A copytruncated file whose writer goes on where it was begins with a hole. What follows the zeros is a line; zeros at
    /// the end may be space that was reserved and is written later.
    fn skip_zeros(&mut self, file: &File, zeros: u64) -> io::Result<Step> {
        let zeros = self.read_to..self.read_to + zeros;
        if zeros.end < self.end {
            self.advance(file, zeros.end)?;
            return Ok(Step::Skipped(zeros));
        }
        self.searched_to = self.end;
        self.only_zeros = true;
        Ok(Step::End)
    }

    /// The line at the position is too long; `line_end` is behind its newline if that was found.
    fn long_line(
        &mut self,
        file: &File,
        limits: &Limits,
        means: &mut Means<'_>,
        line_end: Option<u64>,
    ) -> io::Result<Step> {
        let Some(kept) = limits.long_lines.kept() else {
            return self.drop_line(file, line_end);
        };
        let mut piece = match part(file, means, self.read_to..self.read_to + kept)? {
            Part::Lines(piece) => piece,
            Part::Step(step) => return Ok(step),
        };
        let cut = boundary_before(&piece.bytes);
        piece.bytes.truncate(cut);
        piece.is_cut = true;
        let drops_rest = limits.long_lines.drops_rest();
        let covered = match line_end {
            Some(end) if drops_rest => end,
            _ => self.read_to + cut as u64,
        };
        piece.covers = self.read_to..covered;
        let searched_to = self.searched_to;
        self.advance(file, covered)?;
        self.searched_to = searched_to.max(covered);
        self.dropping = drops_rest && line_end.is_none();
        Ok(Step::Lines(piece))
    }

    fn drop_line(&mut self, file: &File, line_end: Option<u64>) -> io::Result<Step> {
        let Some(end) = line_end else {
            // The position stays where the line begins, so that after a restart it is still known to be long.
            let nothing = self.read_to..self.read_to;
            self.dropping = true;
            return Ok(Step::Dropped(nothing));
        };
        let line = self.read_to..end;
        self.advance(file, end)?;
        Ok(Step::Dropped(line))
    }

    fn advance(&mut self, file: &File, position: u64) -> io::Result<()> {
        self.before = Before::read(file, position)?;
        self.read_to = position;
        self.searched_to = position;
        self.only_zeros = false;
        Ok(())
    }
}

enum Part {
    Lines(Piece),
    Step(Step),
}

/// Reads `range` as a line without a newline.
fn part(file: &File, means: &mut Means<'_>, range: Range<u64>) -> io::Result<Part> {
    let len = (range.end - range.start) as usize;
    let Some(permit) = (means.room)(len) else {
        return Ok(Part::Step(Step::NoRoom(len)));
    };
    let bytes = read_at(file, range.start, len)?;
    if bytes.len() < len {
        return Ok(Part::Step(Step::Replaced));
    }
    Ok(Part::Lines(Piece {
        bytes: Bytes::from(bytes),
        first: range.start,
        covers: range,
        permit,
        is_cut: false,
    }))
}

impl Before {
    const NONE: Before = Before {
        bytes: [0; BEFORE_SIZE],
        len: 0,
    };

    fn read(file: &File, position: u64) -> io::Result<Before> {
        let len = position.min(BEFORE_SIZE as u64);
        let bytes = read_at(file, position - len, len as usize)?;
        Ok(Before::last_of(&bytes))
    }

    fn last_of(bytes: &[u8]) -> Before {
        let last = &bytes[bytes.len().saturating_sub(BEFORE_SIZE)..];
        let mut before = Before::NONE;
        before.bytes[..last.len()].copy_from_slice(last);
        before.len = last.len();
        before
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Whether both end with the same bytes, as far as `known` reaches.
    fn ends_like(&self, known: &Before) -> bool {
        self.as_bytes().ends_with(known.as_bytes())
    }
}

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

enum Found {
    /// The file ends here.
    Nothing,
    NoNewline(usize),
    Newline(usize),
}

impl Scratch {
    fn find_newline(&mut self, file: &File, position: u64, want: usize) -> io::Result<Found> {
        self.0.clear();
        self.0.reserve_exact(want.max(SEARCH_SIZE));
        read_into(file, position, want, &mut self.0)?;
        Ok(match memchr::memchr(b'\n', &self.0) {
            Some(at) => Found::Newline(at),
            None if self.0.is_empty() => Found::Nothing,
            None => Found::NoNewline(self.0.len()),
        })
    }
}

/// Up to `len` bytes at `position`; fewer only at the end of the file.
fn read_at(file: &File, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::with_capacity(len);
    read_into(file, position, len, &mut buffer)?;
    Ok(buffer)
}

fn read_into(file: &File, position: u64, len: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    while buffer.len() < len {
        let at = position + buffer.len() as u64;
        match rustix::io::pread(file, spare_capacity(buffer), at) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The buffer may have more room than was asked for.
    buffer.truncate(len);
    Ok(())
}

#[cfg(test)]
mod tests;
