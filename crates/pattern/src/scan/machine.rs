//! Runs a program over a text.

use super::find;
use super::program::{Entry, Gate, Group, Pc, Program, Run, Step, Stop};
use crate::captures::Slots;

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Match,
    Nothing,
    /// The work it may do was not enough to tell.
    GaveUp,
}

/// A place to come back to.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// The second way of a split.
    Way { pc: Pc, at: u32 },
    /// The other lengths of a run: the places from `low` to `high` where it may end.
    Lengths {
        pc: Pc,
        start: u32,
        low: u32,
        high: u32,
    },
    /// What stood in a slot.
    Slot { slot: u16, value: usize },
}

/// The frames of a search, kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Stack(Vec<Frame>);

/// Frames that are kept for the next search.
const KEPT_FRAMES: usize = 1024;
/// Work is counted in steps back and in pieces of this many bytes that runs pass.
const WORK_BYTES: usize = 8;
const WORK_BASE: usize = 2048;
const WORK_PER_BYTE: usize = 4;

impl Program {
    /// Searches `text` for the first match.
    pub fn search(&self, text: &[u8], stack: &mut Stack, slots: &mut Slots) -> Found {
        if text.len() >= u32::MAX as usize {
            return Found::GaveUp;
        }
        let work = WORK_BASE + WORK_PER_BYTE * text.len();
        let slots = slots.raw_mut();
        let mut machine = Machine {
            program: self,
            text,
            stack: &mut stack.0,
            slots,
            work,
        };
        let found = machine.search();
        stack.0.clear();
        stack.0.shrink_to(KEPT_FRAMES);
        found
    }
}

struct Machine<'a> {
    program: &'a Program,
    text: &'a [u8],
    stack: &'a mut Vec<Frame>,
    slots: &'a mut [usize],
    /// What may still be done.
    work: usize,
}

impl Machine<'_> {
    fn search(&mut self) -> Found {
        let mut from = 0;
        while let Some(start) = self.next_start(from) {
            match self.attempt(start) {
                Found::Nothing => from = start + 1,
                found => return found,
            }
        }
        Found::Nothing
    }

    fn next_start(&self, from: usize) -> Option<usize> {
        match &self.program.entry {
            Entry::Anchor(anchor) => anchor.next(self.text, from),
            Entry::Literal(literal) => literal.find(&self.text[from..]).map(|at| from + at),
        }
    }

    /// Tries to match at `start`.
    fn attempt(&mut self, start: usize) -> Found {
        self.slots.fill(usize::MAX);
        self.stack.clear();
        self.slots[0] = start;
        let mut pc = 0;
        let mut at = start;
        loop {
            match self.advance(pc, at) {
                Some(end) => {
                    self.slots[1] = end;
                    return Found::Match;
                }
                None if self.work == 0 => return Found::GaveUp,
                None => match self.back() {
                    Some(next) => (pc, at) = next,
                    None => return Found::Nothing,
                },
            }
        }
    }

    /// Goes on from a step at a place of the text until a match, whose end it gives, or a step that fails.
    #[inline]
    fn advance(&mut self, mut pc: Pc, mut at: usize) -> Option<usize> {
        let program = self.program;
        loop {
            let step = &program.steps[pc as usize];
            pc += 1;
            match step {
                Step::Field { stop, min, group } => {
                    let end = find::byte(self.text, at, *stop);
                    self.spend(end - at);
                    if end - at < *min as usize {
                        return None;
                    }
                    self.write(*group, at, end);
                    at = end;
                }
                Step::Word { value, mask, len } => {
                    if !self.has_word(at, *value, *mask, *len) {
                        return None;
                    }
                    at += *len as usize;
                }
                Step::Split { first, second } => {
                    pc = self.split(*first, *second, at)?;
                }
                Step::Span(run) => {
                    let (_, end) = self.measure(run, at)?;
                    self.write(run.group, at, end);
                    at = end;
                }
                Step::Choice(run) => {
                    let (low, high) = self.measure(run, at)?;
                    at = self.choose(pc - 1, run, (at, low, high))?;
                }
                Step::Open(group) => self.write_slot(*group, 0, at),
                Step::Close(group) => self.write_slot(*group, 1, at),
                Step::One { table, is_high } => {
                    let byte = *self.text.get(at)?;
                    if !program.tables[*table as usize][byte as usize] {
                        return None;
                    }
                    at += if *is_high {
                        find::char_len(self.text, at)
                    } else {
                        1
                    };
                }
                Step::Literal { start, end } => {
                    let literal = &program.literals[*start as usize..*end as usize];
                    if !self.text[at..].starts_with(literal) {
                        return None;
                    }
                    at += literal.len();
                }
                Step::Jump(to) => {
                    pc = *to;
                    self.work = self.work.saturating_sub(1);
                }
                Step::LineEnd if self.text.get(at).is_none_or(|&byte| byte == b'\n') => {}
                Step::LineStart if self.is_line_start(at) => {}
                Step::TextStart if at == 0 => {}
                Step::TextEnd if at == self.text.len() => {}
                Step::LineEnd | Step::LineStart | Step::TextStart | Step::TextEnd => return None,
                Step::Match => return Some(at),
            }
        }
    }

    /// Takes up the last thing that was left open.
    fn back(&mut self) -> Option<(Pc, usize)> {
        loop {
            match self.stack.pop()? {
                Frame::Slot { slot, value } => self.slots[slot as usize] = value,
                Frame::Way { pc, at } => {
                    self.work = self.work.saturating_sub(1);
                    return Some((pc, at as usize));
                }
                Frame::Lengths {
                    pc,
                    start,
                    low,
                    high,
                } => {
                    self.work = self.work.saturating_sub(1);
                    let Step::Choice(run) = &self.program.steps[pc as usize] else {
                        unreachable!("only a choice leaves lengths")
                    };
                    let places = (start as usize, low as usize, high as usize);
                    if let Some(at) = self.choose(pc, run, places) {
                        return Some((pc + 1, at));
                    }
                }
            }
        }
    }

    #[inline]
    fn has_word(&self, at: usize, value: u64, mask: u64, len: u8) -> bool {
        match self.text.get(at..at + 8) {
            Some(word) => u64::from_le_bytes(word.try_into().expect("eight bytes")) & mask == value,
            None => self.text[at..].starts_with(&value.to_le_bytes()[..len as usize]),
        }
    }

    /// A newline that ends the text begins no line.
    fn is_line_start(&self, at: usize) -> bool {
        at == 0 || (at < self.text.len() && self.text[at - 1] == b'\n')
    }

    #[inline]
    fn is_open(&self, gate: Gate, at: usize) -> bool {
        match self.text.get(at) {
            Some(&byte) => self.program.tables[gate.table as usize][byte as usize],
            None => gate.end,
        }
    }

    #[inline]
    fn split(&mut self, first: (Pc, Gate), second: (Pc, Gate), at: usize) -> Option<Pc> {
        let second_is_open = self.is_open(second.1, at);
        if self.is_open(first.1, at) {
            if second_is_open {
                self.stack.push(Frame::Way {
                    pc: second.0,
                    at: at as u32,
                });
            }
            return Some(first.0);
        }
        second_is_open.then_some(second.0)
    }

    /// Where the shortest and the longest form of a run at `at` end.
    #[inline]
    fn measure(&mut self, run: &Run, at: usize) -> Option<(usize, usize)> {
        if run.is_high && (run.min > 1 || run.max != u32::MAX) {
            return self.measure_chars(run, at);
        }
        let text = match at.checked_add(run.max as usize) {
            Some(limit) if limit < self.text.len() => &self.text[..limit],
            _ => self.text,
        };
        let high = match run.stop {
            Stop::Byte(stop) => find::byte(text, at, stop),
            Stop::Outside(table) => find::outside(text, at, &self.program.tables[table as usize]),
        };
        self.spend(high - at);
        if high - at < run.min as usize {
            return None;
        }
        let low = match run.min {
            1 if run.is_high => at + find::char_len(self.text, at),
            min => at + min as usize,
        };
        Some((low, high))
    }

    /// The same character by character.
    fn measure_chars(&mut self, run: &Run, start: usize) -> Option<(usize, usize)> {
        let is_in = |byte: u8| match run.stop {
            Stop::Byte(stop) => byte != stop,
            Stop::Outside(table) => self.program.tables[table as usize][byte as usize],
        };
        let mut at = start;
        let mut low = start;
        let mut chars = 0;
        while chars < run.max && self.text.get(at).is_some_and(|&byte| is_in(byte)) {
            at += find::char_len(self.text, at);
            chars += 1;
            if chars == run.min {
                low = at;
            }
        }
        self.spend(at - start);
        (chars >= run.min).then_some((low, at))
    }

    /// Picks the preferred end of a run among those where what follows has a chance, and leaves the others for later.
    fn choose(&mut self, pc: Pc, run: &Run, places: (usize, usize, usize)) -> Option<usize> {
        let (start, low, high) = places;
        let is_end = |machine: &Self, at: usize| {
            machine.is_open(run.follow, at)
                && (!run.follow_is_high || !run.is_high || find::is_boundary(machine.text, at))
        };
        let mut ends = low..=high;
        let end = match run.is_lazy {
            true => ends.find(|&at| is_end(self, at))?,
            false => ends.rfind(|&at| is_end(self, at))?,
        };
        let (passed, others) = match run.is_lazy {
            true => (end - low, end + 1..high + 1),
            false => (high - end, low..end),
        };
        self.spend(passed);
        if !others.is_empty() {
            let (start, low, high) = (start as u32, others.start as u32, others.end as u32 - 1);
            self.stack.push(Frame::Lengths {
                pc,
                start,
                low,
                high,
            });
        }
        self.write(run.group, start, end);
        Some(end)
    }

    #[inline]
    fn write(&mut self, group: Option<Group>, start: usize, end: usize) {
        if let Some(group) = group {
            self.write_slot(group, 0, start);
            self.write_slot(group, 1, end);
        }
    }

    #[inline]
    fn write_slot(&mut self, group: Group, side: u16, at: usize) {
        let slot = group.number * 2 + side;
        if group.is_optional && !self.stack.is_empty() {
            let value = self.slots[slot as usize];
            self.stack.push(Frame::Slot { slot, value });
        }
        self.slots[slot as usize] = at;
    }

    #[inline]
    fn spend(&mut self, bytes: usize) {
        self.work = self.work.saturating_sub(bytes / WORK_BYTES);
    }
}
