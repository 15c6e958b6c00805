//! What a pattern is compiled to.

use memchr::memmem::Finder;

use super::find::Until;
use super::first::{ByteSet, First};
use super::straight::Straight;
use crate::automaton::Anchor;

/// A place in a program.
pub(super) type Pc = u32;

/// A test of the next byte that tells early whether it is worth going on somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// Index of the set that the byte must be in.
    pub table: u16,
    /// Whether the end of the text passes too.
    pub end: bool,
}

/// A group whose positions a step writes. Number 0 stands for no group: the whole match is written at the very end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub number: u16,
    /// Whether it may be written several times on the way to a match, so that going back must restore it. Of other groups
    /// every way to a match writes or clears each.
    pub is_repeated: bool,
}

impl Group {
    pub const NONE: Group = Group {
        number: 0,
        is_repeated: false,
    };
}

/// Consecutive groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct GroupRange {
    pub start: u16,
    pub end: u16,
}

/// One of two ways.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    pub pc: Pc,
    pub gate: Gate,
    /// The groups of the other way.
    pub clears: GroupRange,
}

/// Up to eight bytes, compared at once: those of the text under the mask must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Word {
    pub value: u64,
    pub mask: u64,
    pub len: u32,
}

impl Word {
    /// A word of at most eight bytes.
    pub fn new(bytes: &[u8]) -> Option<Word> {
        let mut word = [0; 8];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let mask = u64::MAX
            .checked_shr(64 - 8 * bytes.len() as u32)
            .unwrap_or(0);
        Some(Word {
            value: u64::from_le_bytes(word),
            mask,
            len: bytes.len() as u32,
        })
    }
}

/// Everything up to a byte: no other length can lead to a match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub stop: u8,
    /// Whether it must hold something.
    pub is_filled: bool,
    /// The number of its group, which is not repeated; 0 for none.
    pub group: u16,
    /// What follows, if it is literal; the step for it is skipped then.
    pub word: Word,
}

/// A class several times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The class.
    pub table: u16,
    /// What is not in the class.
    pub until: Until,
    /// Whether characters may be longer than a byte.
    pub is_high: bool,
    /// Whether there must be at least one character.
    pub is_filled: bool,
    /// Whether what follows may begin with a byte that does not begin a character.
    pub needs_boundary: bool,
    /// What follows.
    pub follow: Gate,
    pub group: Group,
}

/// How often a class occurs, in characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub min: u32,
    pub max: u32,
    /// Whether fewer are preferred.
    pub is_lazy: bool,
}

/// One step. Those that are not jumps go on with the step behind them.
///
/// The tag is a byte of its own, so that dispatch is one load and one jump.
#[derive(Clone, Debug)]
#[repr(u8)]
pub(super) enum Step {
    Field(Field),
    Word(Word),
    /// Two ways, the preferred one first.
    Split {
        first: Branch,
        second: Branch,
    },
    /// A run that has one length only.
    Span(Run),
    /// A run of which long ones are preferred.
    Longest(Run),
    /// A run of which short ones are preferred. `candidate`: what is not in the class or what something that follows can
    /// begin with.
    Shortest {
        run: Run,
        candidate: Until,
    },
    /// A run with limits.
    Counted {
        run: Run,
        limits: Limits,
    },
    /// One character of a set.
    One {
        table: u16,
        is_high: bool,
    },
    /// More bytes than a word holds: a range of the program's literals.
    Literal {
        start: u32,
        end: u32,
    },
    /// Writes the start of a group.
    Open(Group),
    /// Writes the end of a group.
    Close(Group),
    Clear(GroupRange),
    Jump(Pc),
    LineStart,
    LineEnd,
    TextStart,
    TextEnd,
    Match,
}

/// Where to look for a match.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Anchor(Anchor),
    /// The bytes that every match begins with.
    Literal(Box<Finder<'static>>),
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) entry: Entry,
    /// What every match needs where it begins.
    pub(super) first: Gate,
    pub(super) steps: Vec<Step>,
    pub(super) tables: Vec<[bool; 256]>,
    pub(super) literals: Vec<u8>,
    /// The same as most texts take it.
    pub(super) straight: Option<Box<Straight>>,
}

/// The sets of a program while it is made.
#[derive(Default)]
pub(super) struct Tables(Vec<ByteSet>);

impl Tables {
    pub fn index(&mut self, set: ByteSet) -> u16 {
        let index = self
            .0
            .iter()
            .position(|known| *known == set)
            .unwrap_or_else(|| {
                self.0.push(set);
                self.0.len() - 1
            });
        u16::try_from(index).expect("programs have far fewer steps")
    }

    pub fn gate(&mut self, first: First) -> Gate {
        Gate {
            table: self.index(first.bytes),
            end: first.end,
        }
    }

    /// What ends a run of `set`.
    pub fn until(&mut self, set: ByteSet) -> Until {
        let mut missing = (0..=255).filter(|&byte| !set.contains(byte));
        match (missing.next(), missing.next(), missing.next()) {
            (Some(byte), None, _) => Until::Byte(byte),
            (Some(one), Some(two), None) => Until::Either(one, two),
            _ => Until::Outside(self.index(set)),
        }
    }

    pub fn into_tables(self) -> Vec<[bool; 256]> {
        let table = |set: ByteSet| std::array::from_fn(|byte| set.contains(byte as u8));
        self.0.into_iter().map(table).collect()
    }
}
