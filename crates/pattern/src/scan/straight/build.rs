//! From a program to its straight way.

use super::block::Block;
use super::marks::{Marks, NOWHERE, STOPS};
use super::op::{Choice, Op, Run, Split, Way};
use super::{Fill, RUNS_MIN, Straight};
use crate::scan::find::Until;
use crate::scan::program::{self, Branch, Field, Gate, GroupRange, Pc, Step, Word};

impl Straight {
    /// The straight way through `steps`, if there is enough to look for on it.
    pub fn new(steps: &[Step], tables: &[[bool; 256]]) -> Option<Straight> {
        let mut builder = Builder {
            tables,
            stops: Vec::new(),
            marked: 0,
            last_group: 0,
        };
        let mut ops = Vec::with_capacity(steps.len());
        // Where in the ops each step is.
        let mut places = vec![None; steps.len()];
        let mut first_choice = None;
        let mut pc = 0;
        while pc < steps.len() {
            places[pc] = Some(ops.len() as Pc);
            let (op, taken) = builder.op(&steps[pc..], pc as Pc);
            if steps[pc..pc + taken].iter().any(is_choice) {
                first_choice.get_or_insert(ops.len());
            }
            ops.push(op);
            pc += taken;
        }
        // Steps that others have taken in, for who comes from elsewhere.
        for pc in 0..steps.len() {
            if places[pc].is_none() {
                places[pc] = Some(ops.len() as Pc);
                // Alone.
                ops.push(builder.op(&steps[pc..=pc], pc as Pc).0);
                ops.push(Op::Jump(pc as Pc + 1));
            }
        }
        let place = |pc: &mut Pc| *pc = places[*pc as usize].unwrap_or_default();
        for op in &mut ops {
            match op {
                Op::Jump(to) => place(to),
                Op::Split(then)
                | Op::Span { then, .. }
                | Op::Longest { then, .. }
                | Op::Shortest { then, .. }
                | Op::Repeated { then, .. } => {
                    place(&mut then.first.pc);
                    place(&mut then.second.pc);
                }
                _ => {}
            }
        }
        let is_last = |op: &Op| matches!(op, Op::Match | Op::Jump(_));
        assert!(ops.last().is_some_and(is_last), "the last op leads back");
        let mut stops = [0; STOPS];
        stops[..builder.stops.len()].copy_from_slice(&builder.stops);
        (builder.marked >= RUNS_MIN).then_some(Straight {
            fill: fill(builder.stops.len())?,
            first_choice: first_choice.unwrap_or(ops.len()),
            ops,
            groups: usize::from(builder.last_group) + 1,
            stops,
        })
    }
}

/// Whether another way may be left open at this step.
fn is_choice(step: &Step) -> bool {
    !matches!(
        step,
        Step::Field(_) | Step::Span(_) | Step::Word(_) | Step::Open(_) | Step::Close(_)
    )
}

struct Builder<'a> {
    tables: &'a [[bool; 256]],
    stops: Vec<u8>,
    /// How many runs end at what is marked.
    marked: usize,
    last_group: u16,
}

impl Builder<'_> {
    /// An op for the first of `steps`, which is at `pc`, and how many of them it stands for.
    fn op(&mut self, steps: &[Step], pc: Pc) -> (Op, usize) {
        let op = match &steps[0] {
            Step::Field(field) => return self.field(field, steps, pc),
            Step::Span(run) => {
                let (then, taken) = self.then(&steps[1..], pc + 1, None);
                let op = match self.repeated(run) {
                    Some(byte) => Some(Op::Repeated { byte, then }),
                    None => self
                        .run(run.until, run.is_filled, run.group.number)
                        .map(|run| Op::Span { run, then }),
                };
                return (op.unwrap_or(Op::Leave), 1 + taken);
            }
            // Where a character might be cut, the machine takes care.
            Step::Longest(run) | Step::Shortest { run, .. } if run.needs_boundary => Op::Leave,
            Step::Longest(run) => {
                let (then, taken) = self.then(&steps[1..], pc + 1, Some(run.follow));
                let op = match self.repeated(run) {
                    Some(byte) => Some(Op::Repeated { byte, then }),
                    None => self
                        .run(run.until, run.is_filled, run.group.number)
                        .map(|run| Op::Longest { run, then }),
                };
                return (op.unwrap_or(Op::Leave), 1 + taken);
            }
            Step::Shortest { run, candidate } => {
                let (then, taken) = self.then(&steps[1..], pc + 1, Some(run.follow));
                let run = self.run_to_two(*candidate, run.is_filled, run.group.number);
                let op = run.map(|(run, other)| Op::Shortest { run, other, then });
                return (op.unwrap_or(Op::Leave), 1 + taken);
            }
            Step::Split { first, second } => Op::Split(Box::new(self.split(first, second))),
            Step::Word(word) => Op::Word(*word),
            Step::Open(group) => Op::Open(group.number),
            Step::Close(group) => Op::Close(group.number),
            Step::Clear(groups) => Op::Clear(*groups),
            Step::Jump(to) => Op::Jump(*to),
            // The way begins there.
            Step::TextStart if pc == 0 => Op::Jump(1),
            Step::LineEnd if matches!(steps.get(1), Some(Step::Match)) => Op::MatchAtLineEnd,
            Step::LineEnd => Op::LineEnd,
            Step::TextEnd => Op::TextEnd,
            Step::Match => Op::Match,
            Step::Counted { .. }
            | Step::One { .. }
            | Step::Literal { .. }
            | Step::LineStart
            | Step::TextStart => Op::Leave,
        };
        (op, 1)
    }

    /// Where to go on in `steps`, the first of which is at `pc`: if that is a split, where it leads to. `demand` is the same
    /// demand as that of the split.
    fn then(&self, steps: &[Step], pc: Pc, demand: Option<Gate>) -> (Box<Split>, usize) {
        if let Some(Step::Split { first, second }) = steps.first() {
            return (Box::new(self.split(first, second)), 1);
        }
        let choice = |passes: bool| {
            if passes {
                Choice::First
            } else {
                Choice::Neither
            }
        };
        let way = Way {
            pc,
            clears: GroupRange::default(),
        };
        let split = match demand {
            None => Split {
                byte: [Choice::First; 256],
                end: Choice::First,
                first: way,
                second: way,
            },
            Some(gate) => Split {
                byte: self.tables[gate.table as usize].map(choice),
                end: choice(gate.end),
                first: way,
                second: way,
            },
        };
        (Box::new(split), 0)
    }

    /// A field and what follows it.
    fn field(&mut self, field: &Field, steps: &[Step], pc: Pc) -> (Op, usize) {
        let run = self.run(Until::Byte(field.stop), field.is_filled, field.group);
        let (word, words) = longest_word(&steps[1..]);
        let Some(run) = run else {
            return (Op::Leave, 1);
        };
        let Run {
            stop,
            is_filled,
            group,
            ..
        } = run;
        let op = match word.len {
            0 => {
                let (then, taken) = self.then(&steps[1..], pc + 1, None);
                return (Op::Span { run, then }, 1 + taken);
            }
            // What cannot be marked ends it.
            _ if stop == NOWHERE => Op::Leave,
            1 if !is_filled => Op::Field { stop, group },
            _ => Op::FieldAndWord {
                stop,
                is_filled,
                group,
                word,
            },
        };
        (op, 1 + words)
    }

    /// The byte that a run repeats at least once, if it is nothing else and no group.
    fn repeated(&self, run: &program::Run) -> Option<u8> {
        let table = &self.tables[run.table as usize];
        let mut bytes = (0..=u8::MAX).filter(|&byte| table[byte as usize]);
        let byte = bytes.next()?;
        let is_alone = bytes.next().is_none() && run.is_filled && run.group.number == 0;
        is_alone.then_some(byte)
    }

    /// A run in a text without control characters, if what ends it can be marked.
    fn run(&mut self, until: Until, is_filled: bool, group: u16) -> Option<Run> {
        let (run, other) = self.run_to_two(until, is_filled, group)?;
        (other == run.stop).then_some(run)
    }

    /// The same, and another byte that ends it, or the same again.
    fn run_to_two(&mut self, until: Until, is_filled: bool, group: u16) -> Option<(Run, u8)> {
        let is_end = |byte: u8| match until {
            Until::Byte(stop) => byte == stop,
            Until::Either(one, other) => byte == one || byte == other,
            Until::Outside(table) => !self.tables[table as usize][byte as usize],
        };
        let at_newline = is_end(b'\n');
        let mut ends = (b' '..=u8::MAX).filter(|&byte| is_end(byte));
        let [stop, other] = match (ends.next(), ends.next(), ends.next()) {
            (None, ..) => [NOWHERE; 2],
            (Some(byte), None, _) => [self.mark(byte)?; 2],
            (Some(one), Some(other), None) => [self.mark(one)?, self.mark(other)?],
            _ => return None,
        };
        self.marked += usize::from(stop != NOWHERE);
        self.last_group = self.last_group.max(group);
        let run = Run {
            stop,
            at_newline,
            is_filled,
            group,
        };
        Some((run, other))
    }

    /// The number of a marked byte, if there is room for it.
    fn mark(&mut self, byte: u8) -> Option<u8> {
        let known = self.stops.iter().position(|&stop| stop == byte);
        let index = known.unwrap_or(self.stops.len());
        if index == NOWHERE as usize {
            return None;
        }
        if known.is_none() {
            self.stops.push(byte);
        }
        u8::try_from(index).ok()
    }

    fn split(&self, first: &Branch, second: &Branch) -> Split {
        let choice = |first_passes: bool, second_passes: bool| match (first_passes, second_passes) {
            (true, _) => Choice::First,
            (false, true) => Choice::Second,
            (false, false) => Choice::Neither,
        };
        let table = |branch: &Branch| &self.tables[branch.gate.table as usize];
        let way = |branch: &Branch| Way {
            pc: branch.pc,
            clears: branch.clears,
        };
        Split {
            byte: std::array::from_fn(|byte| choice(table(first)[byte], table(second)[byte])),
            end: choice(first.gate.end, second.gate.end),
            first: way(first),
            second: way(second),
        }
    }
}

/// The words at the start of `steps` as one, and how many there are.
fn longest_word(steps: &[Step]) -> (Word, usize) {
    let mut word = Word::default();
    let mut words = 0;
    for step in steps {
        let Step::Word(next) = step else { break };
        let (len, more) = (word.len as usize, next.len as usize);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&word.value.to_le_bytes());
        bytes[len..len + 8].copy_from_slice(&next.value.to_le_bytes());
        let Some(longer) = Word::new(&bytes[..len + more]) else {
            break;
        };
        word = longer;
        words += 1;
    }
    (word, words)
}

/// How this processor marks so many bytes.
pub(super) fn fill(stops: usize) -> Option<Fill> {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2") {
            return Some(match stops {
                1 => with_avx2::<1>,
                2 => with_avx2::<2>,
                3 => with_avx2::<3>,
                _ => return None,
            });
        }
        of_blocks::<super::block::Sse2>(stops)
    }
    #[cfg(not(target_arch = "x86_64"))]
    of_blocks::<super::block::Portable>(stops)
}

fn of_blocks<B: Block>(stops: usize) -> Option<Fill> {
    Some(match stops {
        1 => Marks::fill::<B, 1>,
        2 => Marks::fill::<B, 2>,
        3 => Marks::fill::<B, 3>,
        _ => return None,
    })
}

#[cfg(target_arch = "x86_64")]
fn with_avx2<const N: usize>(marks: &mut Marks, text: &[u8], stops: [u8; STOPS]) -> bool {
    #[target_feature(enable = "avx2")]
    fn fill<const N: usize>(marks: &mut Marks, text: &[u8], stops: [u8; STOPS]) -> bool {
        marks.fill::<super::block::Avx2, N>(text, stops)
    }
    // SAFETY: chosen where there is AVX2.
    unsafe { fill::<N>(marks, text, stops) }
}
