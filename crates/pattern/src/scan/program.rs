//! What a pattern is compiled to.

use memchr::memmem::Finder;

use super::first::{ByteSet, First};
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

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// This byte.
    Byte(u8),
    /// Any byte that is not in the table.
    Outside(u16),
}

/// A group whose positions a step writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub number: u16,
    /// Whether a match may pass without writing them again, so that going back must restore them.
    pub is_optional: bool,
}

/// A class several times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub stop: Stop,
    /// Characters.
    pub min: u32,
    /// Characters.
    pub max: u32,
    /// Whether characters may be longer than a byte.
    pub is_high: bool,
    /// Whether what follows may begin with a byte that does not begin a character.
    pub follow_is_high: bool,
    /// Whether shorter ones are preferred.
    pub is_lazy: bool,
    /// What follows.
    pub follow: Gate,
    pub group: Option<Group>,
}

/// One step. Those that are not jumps go on with the step behind them.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Up to eight bytes: those under the mask must be equal.
    Word {
        value: u64,
        mask: u64,
        len: u8,
    },
    /// More bytes: a range of the program's literals.
    Literal {
        start: u32,
        end: u32,
    },
    /// One character of a set.
    One {
        table: u16,
        is_high: bool,
    },
    /// As much as there is up to a byte, at least `min` bytes: nothing less can lead to a match.
    Field {
        stop: u8,
        min: u32,
        group: Option<Group>,
    },
    /// The same up to the end of a table, with limits.
    Span(Run),
    /// A run with several lengths to try.
    Choice(Run),
    /// Writes the start of a group.
    Open(Group),
    /// Writes the end of a group.
    Close(Group),
    /// Two ways, the preferred one first.
    Split {
        first: (Pc, Gate),
        second: (Pc, Gate),
    },
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
    pub(super) steps: Vec<Step>,
    pub(super) tables: Vec<[bool; 256]>,
    pub(super) literals: Vec<u8>,
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

    pub fn stop(&mut self, set: ByteSet) -> Stop {
        set.only_missing()
            .map_or_else(|| Stop::Outside(self.index(set)), Stop::Byte)
    }

    pub fn into_tables(self) -> Vec<[bool; 256]> {
        let table = |set: ByteSet| std::array::from_fn(|byte| set.contains(byte as u8));
        self.0.into_iter().map(table).collect()
    }
}
