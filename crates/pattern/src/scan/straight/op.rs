//! What the straight way consists of.

use crate::scan::program::{GroupRange, Pc, Word};

/// One or more steps of the program. Those that do not say where to go on do so with the next one.
#[derive(Debug)]
#[repr(u8)]
pub(super) enum Op {
    /// A run up to a marked byte, and that byte.
    Field {
        stop: u8,
        group: u16,
    },
    /// A run up to a marked byte, and what is literal from there on.
    FieldAndWord {
        stop: u8,
        is_filled: bool,
        group: u16,
        word: Word,
    },
    /// Any other run of one length.
    Span {
        run: Run,
        then: Box<Split>,
    },
    /// A run as long as what follows lets it be.
    Longest {
        run: Run,
        then: Box<Split>,
    },
    /// A run as short as what follows lets it be.
    Shortest {
        run: Run,
        /// Another byte that ends it.
        other: u8,
        then: Box<Split>,
    },
    /// A byte at least once and as often as it comes.
    Repeated {
        byte: u8,
        then: Box<Split>,
    },
    Split(Box<Split>),
    Word(Word),
    Open(u16),
    Close(u16),
    Clear(GroupRange),
    Jump(Pc),
    /// The end of the text, or a newline.
    LineEnd,
    /// The same at the end of a match.
    MatchAtLineEnd,
    TextEnd,
    Match,
    /// Something that the machine does as well.
    Leave,
}

/// A run up to a marked byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub stop: u8,
    /// Whether a newline ends it.
    pub at_newline: bool,
    pub is_filled: bool,
    pub group: u16,
}

/// What may come next, and where it leads.
#[derive(Debug)]
pub(super) struct Split {
    pub byte: [Choice; 256],
    pub end: Choice,
    pub first: Way,
    pub second: Way,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    Neither,
    First,
    Second,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub pc: Pc,
    pub clears: GroupRange,
}

impl Split {
    /// Where to go on at `at`; nowhere if what is there leads to no match.
    #[inline(always)]
    pub fn way(&self, text: &[u8], at: usize) -> Option<&Way> {
        let choice = match text.get(at) {
            Some(&byte) => self.byte[byte as usize],
            None => self.end,
        };
        match choice {
            Choice::First => Some(&self.first),
            Choice::Second => Some(&self.second),
            Choice::Neither => None,
        }
    }
}
