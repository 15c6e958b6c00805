//! From an expression to a program. Steps are made from the last to the first, so that what follows a step is known when the
//! step is made; positions count from the end until the program is turned round.

use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::find::Until;
use super::first::{ByteSet, CharSet, First};
use super::program::{
    Branch, Entry, Field, Gate, Group, GroupRange, Limits, Pc, Program, Run, Step, Tables, Word,
};
use super::straight::Straight;
use crate::automaton::Anchor;

/// A program with more steps is no scanner any more.
const STEPS_MAX: usize = 1000;
/// Parts with limits are written out as often as they may occur.
const COPIES_MAX: u32 = 16;
/// Shorter beginnings are found too often to be worth an attempt each.
const PREFIX_MIN: usize = 3;

/// The pattern has something that is left to other engines.
struct Unsuitable;

impl Program {
    /// Compiles `hir` if it is of the kind.
    pub fn new(hir: &Hir) -> Option<Program> {
        let entry = entry(hir)?;
        let mut compiler = Compiler::default();
        compiler.steps.push(Step::Match);
        compiler.hir(hir, First::ANYTHING, false).ok()?;
        if let (Entry::Anchor(Anchor::Line), Some(Step::LineStart)) =
            (&entry, compiler.steps.last())
        {
            // Attempts are made at the starts of lines only.
            compiler.steps.pop();
        }
        let first = compiler.tables.gate(First::of(hir, First::ANYTHING));
        Some(compiler.finish(entry, first))
    }
}

fn entry(hir: &Hir) -> Option<Entry> {
    if let Some(anchor) = Anchor::of(hir) {
        return Some(Entry::Anchor(anchor));
    }
    let first = match hir.kind() {
        HirKind::Concat(subs) => subs.first()?,
        _ => hir,
    };
    match first.kind() {
        HirKind::Literal(literal) if literal.0.len() >= PREFIX_MIN => Some(Entry::Literal(
            Box::new(Finder::new(&literal.0).into_owned()),
        )),
        _ => None,
    }
}

#[derive(Default)]
struct Compiler {
    /// From the last to the first.
    steps: Vec<Step>,
    tables: Tables,
    literals: Vec<u8>,
}

type Compiled = Result<(), Unsuitable>;

impl Compiler {
    /// Adds the steps of `hir` in front of those made so far. `follow`: what those demand. `is_repeated`: a match may pass
    /// these steps several times.
    fn hir(&mut self, hir: &Hir, follow: First, is_repeated: bool) -> Compiled {
        match hir.kind() {
            HirKind::Empty => Ok(()),
            HirKind::Literal(literal) => self.literal(&literal.0),
            HirKind::Class(_) => {
                let set = char_set(hir)?;
                let table = self.tables.index(set.bytes);
                self.push(Step::One {
                    table,
                    is_high: set.is_high,
                })
            }
            HirKind::Look(look) => self.look(*look),
            HirKind::Repetition(repetition) => match char_set(&repetition.sub) {
                Ok(set) => self.run(set, repetition, follow, Group::NONE),
                Err(Unsuitable) => self.repetition(repetition, follow, is_repeated),
            },
            HirKind::Capture(capture) => {
                let number = u16::try_from(capture.index).map_err(|_| Unsuitable)?;
                let group = Group {
                    number,
                    is_repeated,
                };
                if let HirKind::Repetition(repetition) = capture.sub.kind()
                    && let Ok(set) = char_set(&repetition.sub)
                {
                    return self.run(set, repetition, follow, group);
                }
                self.push(Step::Close(group))?;
                self.hir(&capture.sub, follow, is_repeated)?;
                self.push(Step::Open(group))
            }
            HirKind::Concat(subs) => self.concat(subs, follow, is_repeated),
            HirKind::Alternation(subs) => self.alternation(subs, follow, is_repeated),
        }
    }

    fn concat(&mut self, subs: &[Hir], mut follow: First, is_repeated: bool) -> Compiled {
        for sub in subs.iter().rev() {
            self.hir(sub, follow, is_repeated)?;
            follow = First::of(sub, follow);
        }
        Ok(())
    }

    fn literal(&mut self, bytes: &[u8]) -> Compiled {
        if let Some(word) = Word::new(bytes) {
            return self.push(Step::Word(word));
        }
        let start = self.literals.len() as u32;
        self.literals.extend_from_slice(bytes);
        self.push(Step::Literal {
            start,
            end: self.literals.len() as u32,
        })
    }

    fn look(&mut self, look: Look) -> Compiled {
        self.push(match look {
            Look::Start => Step::TextStart,
            Look::End => Step::TextEnd,
            Look::StartLF => Step::LineStart,
            Look::EndLF => Step::LineEnd,
            _ => return Err(Unsuitable),
        })
    }

    fn run(
        &mut self,
        set: CharSet,
        repetition: &Repetition,
        follow: First,
        group: Group,
    ) -> Compiled {
        let Repetition {
            min, max, greedy, ..
        } = *repetition;
        let run = Run {
            table: self.tables.index(set.bytes),
            until: self.tables.until(set.bytes),
            is_high: set.is_high,
            is_filled: min > 0,
            needs_boundary: set.is_high && follow.bytes.intersects(&ByteSet::HIGH),
            follow: self.tables.gate(follow),
            group,
        };
        if min > 1 || max.is_some() {
            let limits = Limits {
                min,
                max: max.unwrap_or(u32::MAX),
                is_lazy: !greedy,
            };
            return self.push(Step::Counted { run, limits });
        }
        // Within the run, the next byte is one of the run's: if what follows cannot begin there, only one length is left.
        if !set.bytes.intersects(&follow.bytes) {
            return self.push(match run.until {
                Until::Byte(stop) if !group.is_repeated => Step::Field(Field {
                    stop,
                    is_filled: run.is_filled,
                    group: group.number,
                    word: self.next_word(),
                }),
                _ => Step::Span(run),
            });
        }
        if greedy {
            return self.push(Step::Longest(run));
        }
        let candidate = self.tables.until(set.bytes.without(follow.bytes));
        self.push(Step::Shortest { run, candidate })
    }

    /// The word that comes next, if one does.
    fn next_word(&self) -> Word {
        match self.steps.last() {
            Some(Step::Word(word)) => *word,
            _ => Word::default(),
        }
    }

    fn alternation(&mut self, subs: &[Hir], follow: First, is_repeated: bool) -> Compiled {
        let exit = self.here();
        let (last, others) = subs.split_last().ok_or(Unsuitable)?;
        self.hir(last, follow, is_repeated)?;
        let mut rest = First::of(last, follow);
        for (index, sub) in others.iter().enumerate().rev() {
            let second = self.branch(rest, groups(&[sub], is_repeated));
            self.push(Step::Jump(exit))?;
            self.hir(sub, follow, is_repeated)?;
            let demand = First::of(sub, follow);
            let later: Vec<&Hir> = subs[index + 1..].iter().collect();
            let first = self.branch(demand, groups(&later, is_repeated));
            self.push(Step::Split { first, second })?;
            rest = rest.union(demand);
        }
        Ok(())
    }

    fn repetition(
        &mut self,
        repetition: &Repetition,
        mut follow: First,
        is_repeated: bool,
    ) -> Compiled {
        let Repetition {
            min,
            max,
            greedy,
            sub,
        } = repetition;
        if max.unwrap_or(*min) > COPIES_MAX {
            return Err(Unsuitable);
        }
        if (*min, *max) == (0, Some(1)) {
            let exit = self.branch(follow, groups(&[sub], is_repeated));
            return self.optional(sub, *greedy, follow, exit, is_repeated);
        }
        let exit = self.branch(follow, GroupRange::default());
        match max {
            None => {
                self.endless(sub, *greedy, follow, exit)?;
                follow = First::of(sub, follow).union(follow);
            }
            Some(max) => {
                let behind = follow;
                for _ in *min..*max {
                    self.optional(sub, *greedy, follow, exit, true)?;
                    follow = First::of(sub, follow).union(behind);
                }
            }
        }
        for _ in 0..*min {
            self.hir(sub, follow, true)?;
            follow = First::of(sub, follow);
        }
        match groups(&[sub], is_repeated) {
            none if none == GroupRange::default() => Ok(()),
            groups => self.push(Step::Clear(groups)),
        }
    }

    /// `sub`, or at once to `exit`.
    fn optional(
        &mut self,
        sub: &Hir,
        greedy: bool,
        follow: First,
        exit: Branch,
        is_repeated: bool,
    ) -> Compiled {
        self.hir(sub, follow, is_repeated)?;
        let turn = self.branch(First::of(sub, follow), GroupRange::default());
        self.split(turn, exit, greedy)
    }

    /// `sub` any number of times. It must consume something, or a turn could go on for ever.
    fn endless(&mut self, sub: &Hir, greedy: bool, follow: First, exit: Branch) -> Compiled {
        if sub.properties().minimum_len().unwrap_or(0) == 0 {
            return Err(Unsuitable);
        }
        let first = First::of(sub, follow);
        let back = self.steps.len();
        self.push(Step::Jump(0))?;
        self.hir(sub, first.union(follow), true)?;
        let turn = self.branch(first, GroupRange::default());
        self.split(turn, exit, greedy)?;
        self.steps[back] = Step::Jump(self.here());
        Ok(())
    }

    fn split(&mut self, turn: Branch, exit: Branch, greedy: bool) -> Compiled {
        let (first, second) = if greedy { (turn, exit) } else { (exit, turn) };
        self.push(Step::Split { first, second })
    }

    /// The way to the step that was made last.
    fn branch(&mut self, demand: First, clears: GroupRange) -> Branch {
        Branch {
            pc: self.here(),
            gate: self.tables.gate(demand),
            clears,
        }
    }

    fn push(&mut self, step: Step) -> Compiled {
        if self.steps.len() == STEPS_MAX {
            return Err(Unsuitable);
        }
        self.steps.push(step);
        Ok(())
    }

    /// The step that was made last: the one that comes next.
    fn here(&self) -> Pc {
        self.steps.len() as Pc - 1
    }

    fn finish(mut self, entry: Entry, first: Gate) -> Program {
        let last = self.steps.len() as Pc - 1;
        self.steps.reverse();
        for step in &mut self.steps {
            match step {
                Step::Jump(to) => *to = last - *to,
                Step::Split { first, second } => {
                    first.pc = last - first.pc;
                    second.pc = last - second.pc;
                }
                _ => {}
            }
        }
        let tables = self.tables.into_tables();
        let straight = match entry {
            Entry::Anchor(_) => Straight::new(&self.steps, &tables).map(Box::new),
            Entry::Literal(_) => None,
        };
        Program {
            entry,
            first,
            steps: self.steps,
            tables,
            literals: self.literals,
            straight,
        }
    }
}

/// The groups in `subs`, which follow each other. Empty in what is repeated: there a turn leaves the groups of the turn
/// before as they are, and going back restores them.
fn groups(subs: &[&Hir], is_repeated: bool) -> GroupRange {
    let mut range: Option<GroupRange> = None;
    if !is_repeated {
        subs.iter()
            .for_each(|sub| extend_over_groups(sub, &mut range));
    }
    range.unwrap_or_default()
}

fn extend_over_groups(hir: &Hir, range: &mut Option<GroupRange>) {
    if let HirKind::Capture(capture) = hir.kind() {
        let (start, end) = (capture.index as u16, capture.index as u16 + 1);
        let known = range.unwrap_or(GroupRange { start, end });
        *range = Some(GroupRange {
            start: known.start.min(start),
            end: known.end.max(end),
        });
    }
    hir.kind()
        .subs()
        .iter()
        .for_each(|sub| extend_over_groups(sub, range));
}

/// The set that `hir` matches one character of.
fn char_set(hir: &Hir) -> Result<CharSet, Unsuitable> {
    let set = match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => CharSet::new(class),
        HirKind::Literal(literal) => match literal.0[..] {
            [byte] => Some(CharSet {
                bytes: ByteSet::of(byte),
                is_high: false,
            }),
            _ => None,
        },
        _ => None,
    };
    set.ok_or(Unsuitable)
}
