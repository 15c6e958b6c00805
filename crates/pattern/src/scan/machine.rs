//! Runs a program over a text.
//!
//! What changes is passed as separate arguments rather than held in one structure, so that it stays in registers.

use super::find::{self, Until};
use super::program::{
    Branch, Entry, Field, Gate, Group, GroupRange, Limits, Pc, Program, Run, Step, Word,
};
use super::straight::Course;
use crate::captures::Slots;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Match,
    Nothing,
    /// The work it may do was not enough to tell.
    GaveUp,
}

/// A position in the text. Texts are shorter than 4 GiB, so that adding to one never overflows.
type At = u32;

/// A step and the position at which it is made.
type Place = (Pc, At);

/// A place to come back to.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// The second way of a split.
    Way { pc: Pc, at: At, clears: GroupRange },
    /// The other lengths of the run of a step.
    Lengths { pc: Pc, span: Span },
    /// Where a group was.
    Group { number: u16, start: At, end: At },
}

/// Where a run begins, and the positions from `low` to `high` where it may end.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: At,
    low: At,
    high: At,
}

/// The places to come back to, kept from search to search, and what has been done.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    frames: Vec<Frame>,
    course: Course,
    /// Steps back, jumps, and pieces of [`WORK_BYTES`] that have been passed.
    work: usize,
}

/// Frames that are kept for the next search.
const KEPT_FRAMES: usize = 1024;
const WORK_BYTES: u32 = 8;
const WORK_BASE: usize = 2048;
const WORK_PER_BYTE: usize = 4;

/// Where a run ends, and where else it may end.
type Picked = Option<(At, Option<Span>)>;

/// How far a way through the program led.
enum Way {
    /// To a match that ends here.
    Match(At),
    /// To a step that failed at this position.
    Fail(At),
}

impl Program {
    /// Whether `line`, which has no newline, may have a match. Tells by its first byte, if matches begin with a line.
    #[inline]
    pub fn may_match(&self, line: &[u8]) -> bool {
        match self.entry {
            Entry::Anchor(_) => self.is_open(line, self.first, 0),
            Entry::Literal(_) => true,
        }
    }

    /// Searches `line`, which has no newline, so that a match that begins with a line can begin at its start only.
    #[inline]
    pub fn search_line(&self, line: &[u8], stack: &mut Stack, slots: &mut Slots) -> Found {
        let is_anchored = matches!(self.entry, Entry::Anchor(_));
        match self.try_straight(line, &mut stack.course, slots.raw_mut()) {
            Found::GaveUp => self.search_starts(line, is_anchored, stack, slots),
            found => found,
        }
    }

    /// Searches `text` for the first match.
    #[inline]
    pub fn search(&self, text: &[u8], stack: &mut Stack, slots: &mut Slots) -> Found {
        match self.try_straight(text, &mut stack.course, slots.raw_mut()) {
            Found::GaveUp => self.search_starts(text, false, stack, slots),
            found => found,
        }
    }

    /// Searches `text` for the first match, at the first place where one can begin or at all of them.
    fn search_starts(
        &self,
        text: &[u8],
        only_first: bool,
        stack: &mut Stack,
        slots: &mut Slots,
    ) -> Found {
        if text.len() >= u32::MAX as usize {
            return Found::GaveUp;
        }
        stack.work = 0;
        let mut from = 0;
        let mut found = Found::Nothing;
        while let Some(start) = self.next_start(text, from) {
            found = self.attempt(text, start as At, stack, slots.raw_mut());
            if found != Found::Nothing || only_first {
                break;
            }
            from = start + 1;
        }
        stack.frames.clear();
        if stack.frames.capacity() > KEPT_FRAMES {
            stack.frames.shrink_to(KEPT_FRAMES);
        }
        found
    }

    fn next_start(&self, text: &[u8], from: usize) -> Option<usize> {
        match &self.entry {
            Entry::Anchor(anchor) => anchor.next(text, from),
            Entry::Literal(literal) => literal.find(&text[from..]).map(|at| from + at),
        }
    }

    /// Tries to match at `start`.
    fn attempt(&self, text: &[u8], start: At, stack: &mut Stack, slots: &mut [usize]) -> Found {
        let work_max = WORK_BASE + WORK_PER_BYTE * text.len();
        let mut place = (0, start);
        loop {
            match self.advance(text, place, stack, slots) {
                Way::Match(end) => {
                    slots[..2].copy_from_slice(&[start as usize, end as usize]);
                    return Found::Match;
                }
                Way::Fail(end) => stack.work += 1 + ((end - place.1) / WORK_BYTES) as usize,
            }
            if stack.work > work_max {
                return Found::GaveUp;
            }
            match self.back(text, stack, slots) {
                Some(next) => place = next,
                None => return Found::Nothing,
            }
        }
    }

    /// Goes on from a place until a match or a step that fails.
    fn advance(&self, text: &[u8], place: Place, stack: &mut Stack, slots: &mut [usize]) -> Way {
        let (mut pc, mut at) = place;
        loop {
            let step = &self.steps[pc as usize];
            pc += 1;
            let next = match step {
                Step::Field(field) => {
                    let (next_pc, next) = self.fields(text, (pc, at), field, slots);
                    pc = next_pc;
                    next
                }
                Step::Word(word) => word_end(text, word, at),
                Step::Split { first, second } => {
                    let second_is_open = self.is_open(text, second.gate, at);
                    let taken = if self.is_open(text, first.gate, at) {
                        if second_is_open {
                            let Branch { pc, clears, .. } = *second;
                            stack.frames.push(Frame::Way { pc, at, clears });
                        }
                        first
                    } else if second_is_open {
                        second
                    } else {
                        return Way::Fail(at);
                    };
                    clear(slots, taken.clears);
                    pc = taken.pc;
                    continue;
                }
                Step::Span(run) => {
                    let end = self.find(text, run.until, at);
                    if run.is_filled && end == at {
                        return Way::Fail(at);
                    }
                    write(slots, stack, run.group, (at, end));
                    Some(end)
                }
                Step::Longest(run) => self.free_span(text, run, false, at).and_then(|span| {
                    let picked = self.longest(text, run, span, &mut stack.work);
                    settle((pc - 1, span.start), run.group, picked, stack, slots)
                }),
                Step::Shortest { run, candidate } => {
                    self.free_span(text, run, true, at).and_then(|span| {
                        let picked = self.shortest(text, run, *candidate, span, &mut stack.work);
                        settle((pc - 1, span.start), run.group, picked, stack, slots)
                    })
                }
                Step::Counted { run, limits } => {
                    self.counted_span(text, run, limits, at).and_then(|span| {
                        let picked = self.counted(text, run, limits, span, &mut stack.work);
                        settle((pc - 1, span.start), run.group, picked, stack, slots)
                    })
                }
                Step::One { table, is_high } => self.one(text, *table, *is_high, at),
                Step::Literal { start, end } => {
                    let literal = &self.literals[*start as usize..*end as usize];
                    text[at as usize..]
                        .starts_with(literal)
                        .then_some(at + literal.len() as At)
                }
                Step::Open(group) => {
                    let end = slots[group.number as usize * 2 + 1] as At;
                    write(slots, stack, *group, (at, end));
                    Some(at)
                }
                Step::Close(group) => {
                    slots[group.number as usize * 2 + 1] = at as usize;
                    Some(at)
                }
                Step::Clear(groups) => {
                    clear(slots, *groups);
                    Some(at)
                }
                Step::Jump(to) => {
                    pc = *to;
                    stack.work += 1;
                    Some(at)
                }
                Step::LineEnd => text
                    .get(at as usize)
                    .is_none_or(|&byte| byte == b'\n')
                    .then_some(at),
                Step::LineStart => is_line_start(text, at as usize).then_some(at),
                Step::TextStart => (at == 0).then_some(at),
                Step::TextEnd => (at as usize == text.len()).then_some(at),
                Step::Match => return Way::Match(at),
            };
            match next {
                Some(next) => at = next,
                None => return Way::Fail(at),
            }
        }
    }

    /// Makes a step and those behind it as long as they are fields: most of what log lines consist of.
    #[inline(always)]
    fn fields<'p>(
        &'p self,
        text: &[u8],
        (mut pc, mut at): Place,
        mut field: &'p Field,
        slots: &mut [usize],
    ) -> (Pc, Option<At>) {
        loop {
            let end = find::byte(text, at as usize, field.stop) as At;
            if field.is_filled && end == at {
                return (pc, None);
            }
            let slot = field.group as usize * 2;
            if let Some(group) = slots.get_mut(slot..slot + 2) {
                group.copy_from_slice(&[at as usize, end as usize]);
            }
            pc += Pc::from(field.word.len > 0);
            match word_end(text, &field.word, end) {
                Some(next) => at = next,
                None => return (pc, None),
            }
            match self.steps.get(pc as usize) {
                Some(Step::Field(next)) => field = next,
                _ => return (pc, Some(at)),
            }
            pc += 1;
        }
    }

    /// Takes up the last thing that was left open.
    #[inline(never)]
    fn back(&self, text: &[u8], stack: &mut Stack, slots: &mut [usize]) -> Option<Place> {
        loop {
            stack.work += 1;
            match stack.frames.pop()? {
                Frame::Group { number, start, end } => {
                    let slot = number as usize * 2;
                    slots[slot..slot + 2].copy_from_slice(&[widen(start), widen(end)]);
                }
                Frame::Way { pc, at, clears } => {
                    clear(slots, clears);
                    return Some((pc, at));
                }
                Frame::Lengths { pc, span } => {
                    if let Some(at) = self.next_length(text, (pc, span), stack, slots) {
                        return Some((pc + 1, at));
                    }
                }
            }
        }
    }

    /// Picks another end for the run of a step.
    fn next_length(
        &self,
        text: &[u8],
        (pc, span): (Pc, Span),
        stack: &mut Stack,
        slots: &mut [usize],
    ) -> Option<At> {
        let work = &mut stack.work;
        let (run, picked) = match &self.steps[pc as usize] {
            Step::Longest(run) => (run, self.longest(text, run, span, work)),
            Step::Shortest { run, candidate } => {
                (run, self.shortest(text, run, *candidate, span, work))
            }
            Step::Counted { run, limits } => (run, self.counted(text, run, limits, span, work)),
            _ => return None,
        };
        settle((pc, span.start), run.group, picked, stack, slots)
    }

    #[inline(always)]
    pub(super) fn is_open(&self, text: &[u8], gate: Gate, at: At) -> bool {
        match text.get(at as usize) {
            Some(&byte) => self.tables[gate.table as usize][byte as usize],
            None => gate.end,
        }
    }

    #[inline(always)]
    fn one(&self, text: &[u8], table: u16, is_high: bool, at: At) -> Option<At> {
        let byte = *text.get(at as usize)?;
        if !self.tables[table as usize][byte as usize] {
            return None;
        }
        Some(
            at + if is_high {
                find::char_len(text, at as usize) as At
            } else {
                1
            },
        )
    }

    /// Where the first byte that ends a run stands at or behind `at`.
    #[inline(always)]
    pub(super) fn find(&self, text: &[u8], until: Until, at: At) -> At {
        let at = at as usize;
        let end = match until {
            Until::Byte(byte) => find::byte(text, at, byte),
            Until::Either(one, two) => find::either(text, at, one, two),
            Until::Outside(table) => find::outside(text, at, &self.tables[table as usize]),
        };
        end as At
    }

    /// The shortest and the longest form of a run without limits at `start`; that of a lazy run is not known.
    #[inline(always)]
    fn free_span(&self, text: &[u8], run: &Run, is_lazy: bool, start: At) -> Option<Span> {
        let low = match run.is_filled {
            true => self.one(text, run.table, run.is_high, start)?,
            false => start,
        };
        let high = if is_lazy {
            At::MAX
        } else {
            self.find(text, run.until, start)
        };
        Some(Span { start, low, high })
    }

    /// The shortest and the longest form of a run within `limits` at `start`.
    fn counted_span(&self, text: &[u8], run: &Run, limits: &Limits, start: At) -> Option<Span> {
        let mut span = Span {
            start,
            low: start,
            high: start,
        };
        let mut chars = 0;
        while chars < limits.max
            && let Some(next) = self.one(text, run.table, run.is_high, span.high)
        {
            span.high = next;
            chars += 1;
            if chars == limits.min {
                span.low = next;
            }
        }
        (chars >= limits.min).then_some(span)
    }

    /// Whether a run may end at `at`: what follows has a chance there.
    #[inline(always)]
    fn is_end(&self, text: &[u8], run: &Run, at: At) -> bool {
        self.is_open(text, run.follow, at)
            && (!run.needs_boundary || find::is_boundary(text, at as usize))
    }

    /// The last end within `span`, and the span of those before it.
    #[inline(always)]
    fn longest(&self, text: &[u8], run: &Run, span: Span, work: &mut usize) -> Picked {
        let mut end = span.high;
        while !self.is_end(text, run, end) {
            if end == span.low {
                *work += ((span.high - end) / WORK_BYTES) as usize;
                return None;
            }
            end -= 1;
        }
        *work += ((span.high - end) / WORK_BYTES) as usize;
        Some((
            end,
            (end > span.low).then(|| Span {
                high: end - 1,
                ..span
            }),
        ))
    }

    /// The first end at or behind the lowest of `span`, and the span of those behind it.
    #[inline(always)]
    fn shortest(
        &self,
        text: &[u8],
        run: &Run,
        candidate: Until,
        span: Span,
        work: &mut usize,
    ) -> Picked {
        let mut end = self.find(text, candidate, span.low);
        while run.needs_boundary && !find::is_boundary(text, end as usize) {
            // Within a character of the class.
            end = self.find(text, candidate, end + 1);
        }
        *work += ((end - span.low) / WORK_BYTES) as usize;
        if !self.is_open(text, run.follow, end) {
            return None;
        }
        Some((
            end,
            self.one(text, run.table, false, end)
                .map(|low| Span { low, ..span }),
        ))
    }

    fn counted(
        &self,
        text: &[u8],
        run: &Run,
        limits: &Limits,
        span: Span,
        work: &mut usize,
    ) -> Picked {
        if !limits.is_lazy {
            return self.longest(text, run, span, work);
        }
        let end = (span.low..=span.high).find(|&at| self.is_end(text, run, at))?;
        *work += ((end - span.low) / WORK_BYTES) as usize;
        Some((
            end,
            (end < span.high).then(|| Span {
                low: end + 1,
                ..span
            }),
        ))
    }
}

/// Remembers the other ends of the run of a step and writes its group.
#[inline(always)]
fn settle(
    (pc, start): Place,
    group: Group,
    picked: Picked,
    stack: &mut Stack,
    slots: &mut [usize],
) -> Option<At> {
    let (end, others) = picked?;
    if let Some(span) = others {
        stack.frames.push(Frame::Lengths { pc, span });
    }
    write(slots, stack, group, (start, end));
    Some(end)
}

/// A newline that ends the text begins no line.
fn is_line_start(text: &[u8], at: usize) -> bool {
    at == 0 || (at < text.len() && text[at - 1] == b'\n')
}

#[inline(always)]
pub(super) fn word_end(text: &[u8], word: &Word, at: At) -> Option<At> {
    let is_equal = match text.get(at as usize..at as usize + 8) {
        Some(bytes) => {
            u64::from_le_bytes(bytes.try_into().expect("eight bytes")) & word.mask == word.value
        }
        None => is_equal_near_end(text, word, at as usize),
    };
    is_equal.then_some(at + word.len)
}

/// The same in the last eight bytes of the text.
#[inline(always)]
fn is_equal_near_end(text: &[u8], word: &Word, at: usize) -> bool {
    let rest = text.len() - at;
    let bytes = match text.last_chunk() {
        Some(last) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest as u32),
        None => return text[at..].starts_with(&word.value.to_le_bytes()[..word.len as usize]),
    };
    word.len as usize <= rest && bytes.unwrap_or(0) & word.mask == word.value
}

/// Writes where a group is.
#[inline(always)]
fn write(slots: &mut [usize], stack: &mut Stack, group: Group, (start, end): (At, At)) {
    let slot = group.number as usize * 2;
    if let Some(old) = slots.get_mut(slot..slot + 2) {
        if group.is_repeated && !stack.frames.is_empty() {
            let (start, end) = (old[0] as At, old[1] as At);
            stack.frames.push(Frame::Group {
                number: group.number,
                start,
                end,
            });
        }
        old.copy_from_slice(&[start as usize, end as usize]);
    }
}

/// Writes that groups have no part in the match.
#[inline(always)]
fn clear(slots: &mut [usize], groups: GroupRange) {
    if groups.start < groups.end {
        slots[groups.start as usize * 2..groups.end as usize * 2].fill(usize::MAX);
    }
}

/// A position that a frame holds, [`u32::MAX`] being none.
fn widen(position: At) -> usize {
    if position == At::MAX {
        usize::MAX
    } else {
        position as usize
    }
}
