//! The straight way through a program: at each choice the one that is preferred, and no way back.
//!
//! Most lines match that way, and what is found so is what the [machine](super::machine) would find, because it tries that way
//! first. A line that fails behind a choice is left to it. The bytes at which fields end are looked for in one pass over the
//! text, which leaves a bit for each of them; control characters are not among them, so that classes such as `\S` end at a
//! single byte: a text that has any, other than a newline at its end, is left to the machine too.

mod block;
mod build;
mod marks;
mod op;
#[cfg(test)]
mod tests;

use super::machine::{Found, word_end};
use super::program::{GroupRange, Program, Word};
use marks::{Marks, STOPS, TEXT_MAX};
use op::{Op, Run, Split, Way};

/// A program with less to look for is as fast without marks. Tests take any program this way.
const RUNS_MIN: usize = if cfg!(test) { 1 } else { 3 };
/// So many texts in a row that are left to the machine show that it gets the next ones at once.
const MISSES_MAX: u32 = 16;
/// So many.
const REST: u32 = 1024;

/// The marks of the last text, and how the last ones went.
#[derive(Debug, Default)]
pub(crate) struct Course {
    marks: Option<Box<Marks>>,
    misses: u32,
}

/// The same program for the straight way.
#[derive(Debug)]
pub(super) struct Straight {
    ops: Vec<Op>,
    /// How many groups they may write, the whole match included.
    groups: usize,
    /// The bytes to mark.
    stops: [u8; STOPS],
    fill: Fill,
    /// The first op that chooses: up to there a failure is final.
    first_choice: usize,
}

/// Marks a text.
type Fill = fn(&mut Marks, &[u8], [u8; STOPS]) -> bool;

/// Start and end of each group.
type Groups = [[usize; 2]];

/// The text at hand.
#[derive(Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    /// Of the text without the newline that ends it.
    marks: &'a Marks,
}

/// Why an op led nowhere.
enum Stuck {
    Failed,
    /// The machine has to look at the text.
    Left,
}

impl Program {
    /// Searches `text` the straight way. After [`Found::GaveUp`] nothing is known.
    ///
    /// A text without control characters, other than a newline at its end, has a single line: nothing is found anywhere if
    /// nothing is at its start.
    #[inline]
    pub(super) fn try_straight(
        &self,
        text: &[u8],
        course: &mut Course,
        slots: &mut [usize],
    ) -> Found {
        match &self.straight {
            Some(straight) if text.len() <= TEXT_MAX => straight.attempt(text, course, slots),
            _ => Found::GaveUp,
        }
    }
}

impl Straight {
    fn attempt(&self, text: &[u8], course: &mut Course, slots: &mut [usize]) -> Found {
        if course.misses >= MISSES_MAX {
            course.misses = (course.misses + 1) % (MISSES_MAX + REST);
            return Found::GaveUp;
        }
        let marks = course.marks.get_or_insert_with(|| Box::new(Marks::new()));
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        let (groups, _) = slots.as_chunks_mut();
        let found = match (self.fill)(marks, body, self.stops) {
            true if groups.len() >= self.groups => self.run(Text { bytes: text, marks }, groups),
            _ => Found::GaveUp,
        };
        course.misses = match found {
            Found::GaveUp => course.misses + 1,
            _ => 0,
        };
        found
    }

    #[inline(never)]
    fn run(&self, text: Text<'_>, groups: &mut Groups) -> Found {
        let mut pc = self.ops.as_ptr();
        let mut at = 0;
        let stuck = loop {
            // SAFETY: `new` made sure that each way ends with an op that does not go on with the next one, and that the others
            // lead to ops.
            let op = unsafe { &*pc };
            pc = pc.wrapping_add(1);
            let next = match op {
                Op::Field { stop, group } => match text.marks.next(at, *stop) {
                    Some(end) => {
                        // SAFETY: known to be there.
                        unsafe { write(groups, *group, [at, end]) };
                        at = end + 1;
                        continue;
                    }
                    None => break Stuck::Left,
                },
                Op::FieldAndWord {
                    stop,
                    is_filled,
                    group,
                    word,
                } => match text.marks.next(at, *stop) {
                    Some(end) if *is_filled && end == at => break Stuck::Failed,
                    Some(end) => {
                        // SAFETY: known to be there.
                        unsafe { write(groups, *group, [at, end]) };
                        match text.word(word, end) {
                            Some(next) => {
                                at = next;
                                continue;
                            }
                            None => break Stuck::Failed,
                        }
                    }
                    None => break Stuck::Left,
                },
                Op::Word(word) => match text.word(word, at) {
                    Some(next) => {
                        at = next;
                        continue;
                    }
                    None => break Stuck::Failed,
                },
                Op::Span { run, then } => text.span(*run, then, at, groups),
                Op::Longest { run, then } => text.longest(*run, then, at, groups),
                Op::Shortest { run, other, then } => {
                    text.shortest((*run, *other), then, at, groups)
                }
                Op::Repeated { byte, then } => text.repeated(*byte, then, at),
                Op::Split(split) => match split.way(text.bytes, at) {
                    Some(way) => Ok((at, way)),
                    None => break Stuck::Failed,
                },
                Op::MatchAtLineEnd if text.is_line_end(at) => {
                    groups[0] = [0, at];
                    return Found::Match;
                }
                Op::Match => {
                    groups[0] = [0, at];
                    return Found::Match;
                }
                Op::Open(group) => {
                    groups[*group as usize][0] = at;
                    continue;
                }
                Op::Close(group) => {
                    groups[*group as usize][1] = at;
                    continue;
                }
                Op::Clear(range) => {
                    clear(groups, *range);
                    continue;
                }
                Op::Jump(to) => {
                    pc = self.ops.as_ptr().wrapping_add(*to as usize);
                    continue;
                }
                Op::LineEnd if text.is_line_end(at) => continue,
                Op::TextEnd if at == text.bytes.len() => continue,
                Op::LineEnd | Op::MatchAtLineEnd | Op::TextEnd => break Stuck::Failed,
                Op::Leave => break Stuck::Left,
            };
            match next {
                Ok((next, way)) => {
                    at = next;
                    clear(groups, way.clears);
                    pc = self.ops.as_ptr().wrapping_add(way.pc as usize);
                }
                Err(stuck) => break stuck,
            }
        };
        let tried = (pc as usize - self.ops.as_ptr() as usize) / size_of::<Op>();
        match stuck {
            Stuck::Failed if tried <= self.first_choice + 1 => Found::Nothing,
            _ => Found::GaveUp,
        }
    }
}

/// Where a run ends and where to go on.
type Taken<'s> = Result<(usize, &'s Way), Stuck>;

impl Text<'_> {
    /// Where a run that begins at `at` ends.
    #[inline(always)]
    fn end(self, run: Run, at: usize) -> Result<usize, Stuck> {
        self.end_or_edge(self.marks.next(at, run.stop), run, at)
    }

    #[inline(always)]
    fn end_or_edge(self, found: Option<usize>, run: Run, at: usize) -> Result<usize, Stuck> {
        match found {
            Some(end) => Ok(end),
            None => {
                // It meets nothing that is marked.
                let edge = self.marks.len();
                let is_last = run.at_newline || edge == self.bytes.len();
                if at <= edge && is_last {
                    Ok(edge)
                } else {
                    Err(Stuck::Left)
                }
            }
        }
    }

    #[inline(always)]
    fn span<'s>(self, run: Run, then: &'s Split, at: usize, groups: &mut Groups) -> Taken<'s> {
        let end = self.end(run, at)?;
        // SAFETY: known to be there.
        unsafe { write(groups, run.group, [at, end]) };
        if run.is_filled && end == at {
            return Err(Stuck::Failed);
        }
        then.way(self.bytes, end)
            .map(|way| (end, way))
            .ok_or(Stuck::Failed)
    }

    #[inline(always)]
    fn longest<'s>(self, run: Run, then: &'s Split, at: usize, groups: &mut Groups) -> Taken<'s> {
        let mut end = self.end(run, at)?;
        let lowest = at + usize::from(run.is_filled);
        while end >= lowest {
            if let Some(way) = then.way(self.bytes, end) {
                // SAFETY: known to be there.
                unsafe { write(groups, run.group, [at, end]) };
                return Ok((end, way));
            }
            // What would be before the start of the text is before the start of the run.
            end = end.checked_sub(1).ok_or(Stuck::Failed)?;
        }
        Err(Stuck::Failed)
    }

    #[inline(always)]
    fn shortest<'s>(
        self,
        (run, other): (Run, u8),
        then: &'s Split,
        at: usize,
        groups: &mut Groups,
    ) -> Taken<'s> {
        let found = self.marks.next_of_two(at, [run.stop, other]);
        let end = self.end_or_edge(found, run, at)?;
        match then.way(self.bytes, end) {
            Some(way) if !run.is_filled => {
                // SAFETY: known to be there.
                unsafe { write(groups, run.group, [at, end]) };
                Ok((end, way))
            }
            // Where something must be there, the machine looks for the end behind its first character.
            _ => Err(Stuck::Left),
        }
    }

    #[inline(always)]
    fn repeated<'s>(self, byte: u8, then: &'s Split, at: usize) -> Taken<'s> {
        let mut end = at;
        while self.bytes.get(end) == Some(&byte) {
            end += 1;
        }
        if end == at {
            return Err(Stuck::Failed);
        }
        then.way(self.bytes, end)
            .map(|way| (end, way))
            .ok_or(Stuck::Left)
    }

    #[inline(always)]
    fn word(self, word: &Word, at: usize) -> Option<usize> {
        word_end(self.bytes, word, at as u32).map(|end| end as usize)
    }

    #[inline(always)]
    fn is_line_end(self, at: usize) -> bool {
        self.bytes.get(at).is_none_or(|&byte| byte == b'\n')
    }
}

/// Writes where a group is.
///
/// # Safety
/// It must be one of `groups`.
#[inline(always)]
unsafe fn write(groups: &mut Groups, group: u16, range: [usize; 2]) {
    debug_assert!((group as usize) < groups.len());
    // SAFETY: as promised.
    unsafe { *groups.get_unchecked_mut(group as usize) = range };
}

/// Writes that groups have no part in the match.
#[inline(always)]
fn clear(groups: &mut Groups, range: GroupRange) {
    if range.start < range.end {
        groups[range.start as usize..range.end as usize].fill([usize::MAX; 2]);
    }
}
