//! From an expression to a program. Steps are made from the last to the first, so that what follows a step is known when the
//! step is made; positions count from the end until the program is turned round.

use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::first::{ByteSet, CharSet, First};
use super::program::{Entry, Gate, Group, Pc, Program, Run, Step, Stop, Tables};
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
        Some(compiler.finish(entry))
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
    /// Adds the steps of `hir` in front of those made so far. `follow`: what those demand. `is_optional`: a match may pass
    /// without these steps, or pass them several times.
    fn hir(&mut self, hir: &Hir, follow: First, is_optional: bool) -> Compiled {
        match hir.kind() {
            HirKind::Empty => Ok(()),
            HirKind::Literal(literal) => self.literal(&literal.0),
            HirKind::Class(class) => {
                let set = char_set(class)?;
                let table = self.tables.index(set.bytes);
                self.push(Step::One {
                    table,
                    is_high: set.is_high,
                })
            }
            HirKind::Look(look) => self.look(*look),
            HirKind::Repetition(repetition) => match repetition.sub.kind() {
                HirKind::Class(class) => self.run(class, repetition, follow, None),
                _ => self.repetition(repetition, follow),
            },
            HirKind::Capture(capture) => {
                let number = u16::try_from(capture.index).map_err(|_| Unsuitable)?;
                let group = Group {
                    number,
                    is_optional,
                };
                if let HirKind::Repetition(repetition) = capture.sub.kind()
                    && let HirKind::Class(class) = repetition.sub.kind()
                {
                    return self.run(class, repetition, follow, Some(group));
                }
                self.push(Step::Close(group))?;
                self.hir(&capture.sub, follow, is_optional)?;
                self.push(Step::Open(group))
            }
            HirKind::Concat(subs) => self.concat(subs, follow, is_optional),
            HirKind::Alternation(subs) => self.alternation(subs, follow),
        }
    }

    fn concat(&mut self, subs: &[Hir], mut follow: First, is_optional: bool) -> Compiled {
        for sub in subs.iter().rev() {
            self.hir(sub, follow, is_optional)?;
            follow = First::of(sub, follow);
        }
        Ok(())
    }

    fn literal(&mut self, bytes: &[u8]) -> Compiled {
        if bytes.len() <= 8 {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let mask = u64::MAX >> (64 - 8 * bytes.len());
            let value = u64::from_le_bytes(word);
            return self.push(Step::Word {
                value,
                mask,
                len: bytes.len() as u8,
            });
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
        class: &Class,
        repetition: &Repetition,
        follow: First,
        group: Option<Group>,
    ) -> Compiled {
        let set = char_set(class)?;
        let run = Run {
            stop: self.tables.stop(set.bytes),
            min: repetition.min,
            max: repetition.max.unwrap_or(u32::MAX),
            is_high: set.is_high,
            follow_is_high: follow.bytes.intersects(&ByteSet::HIGH),
            is_lazy: !repetition.greedy,
            follow: self.tables.gate(follow),
            group,
        };
        // Within the run, the next byte is one of the run's: what follows cannot begin there.
        let has_one_length = !set.bytes.intersects(&follow.bytes);
        self.push(match run.stop {
            Stop::Byte(stop) if has_one_length && run.min <= 1 && run.max == u32::MAX => {
                Step::Field {
                    stop,
                    min: run.min,
                    group,
                }
            }
            _ if has_one_length => Step::Span(run),
            _ => Step::Choice(run),
        })
    }

    fn alternation(&mut self, subs: &[Hir], follow: First) -> Compiled {
        let exit = self.here();
        let (last, others) = subs.split_last().ok_or(Unsuitable)?;
        self.hir(last, follow, true)?;
        let mut rest = First::of(last, follow);
        for sub in others.iter().rev() {
            let second = (self.here(), self.tables.gate(rest));
            self.push(Step::Jump(exit))?;
            self.hir(sub, follow, true)?;
            let first = First::of(sub, follow);
            let first_gate = (self.here(), self.tables.gate(first));
            self.push(Step::Split {
                first: first_gate,
                second,
            })?;
            rest = rest.union(first);
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &Repetition, mut follow: First) -> Compiled {
        let Repetition {
            min,
            max,
            greedy,
            sub,
        } = repetition;
        if max.unwrap_or(*min) > COPIES_MAX {
            return Err(Unsuitable);
        }
        let exit = (self.here(), follow);
        match max {
            None => {
                self.endless(sub, *greedy, follow)?;
                follow = First::of(sub, follow).union(follow);
            }
            Some(max) => {
                for _ in *min..*max {
                    self.optional(sub, *greedy, follow, exit)?;
                    follow = First::of(sub, follow).union(exit.1);
                }
            }
        }
        for _ in 0..*min {
            self.hir(sub, follow, true)?;
            follow = First::of(sub, follow);
        }
        Ok(())
    }

    /// `sub`, or at once to `exit`.
    fn optional(&mut self, sub: &Hir, greedy: bool, follow: First, exit: (Pc, First)) -> Compiled {
        self.hir(sub, follow, true)?;
        let turn = (self.here(), self.tables.gate(First::of(sub, follow)));
        let exit = (exit.0, self.tables.gate(exit.1));
        self.split(turn, exit, greedy)
    }

    /// `sub` any number of times. It must consume something, or a turn could go on for ever.
    fn endless(&mut self, sub: &Hir, greedy: bool, follow: First) -> Compiled {
        if sub.properties().minimum_len().unwrap_or(0) == 0 {
            return Err(Unsuitable);
        }
        let first = First::of(sub, follow);
        let exit = (self.here(), self.tables.gate(follow));
        let back = self.steps.len();
        self.push(Step::Jump(0))?;
        self.hir(sub, first.union(follow), true)?;
        let turn = (self.here(), self.tables.gate(first));
        self.split(turn, exit, greedy)?;
        self.steps[back] = Step::Jump(self.here());
        Ok(())
    }

    fn split(&mut self, turn: (Pc, Gate), exit: (Pc, Gate), greedy: bool) -> Compiled {
        let (first, second) = if greedy { (turn, exit) } else { (exit, turn) };
        self.push(Step::Split { first, second })
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

    fn finish(mut self, entry: Entry) -> Program {
        let last = self.steps.len() as Pc - 1;
        self.steps.reverse();
        for step in &mut self.steps {
            match step {
                Step::Jump(to) => *to = last - *to,
                Step::Split { first, second } => {
                    first.0 = last - first.0;
                    second.0 = last - second.0;
                }
                _ => {}
            }
        }
        Program {
            entry,
            steps: self.steps,
            tables: self.tables.into_tables(),
            literals: self.literals,
        }
    }
}

fn char_set(class: &Class) -> Result<CharSet, Unsuitable> {
    let set = match class {
        Class::Unicode(class) => CharSet::new(class),
        Class::Bytes(class) => class.to_unicode_class().as_ref().and_then(CharSet::new),
    };
    set.ok_or(Unsuitable)
}
