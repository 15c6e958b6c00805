//! Where the bytes of a value lie: in the batch's source or in its arena.

use std::fmt;
use std::ops::Range;

const ARENA: u32 = 1 << 31;
/// In `len`, which is smaller.
const MARK: u32 = 1 << 31;
/// The largest offset that a span can name; batches stay far below it.
pub(crate) const MAX_OFFSET: usize = (1 << 30) - 1;

/// A piece of a batch's bytes: eight bytes instead of a reference, so that values are `Copy` and batches can move.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    at: u32,
    len: u32,
}

impl Span {
    /// The empty text.
    pub const EMPTY: Span = Span { at: 0, len: 0 };

    #[inline]
    pub(crate) fn in_source(range: Range<usize>) -> Span {
        debug_assert!(range.end <= MAX_OFFSET);
        Span {
            at: range.start as u32,
            len: (range.end - range.start) as u32,
        }
    }

    #[inline]
    pub(crate) fn in_arena(range: Range<usize>) -> Span {
        debug_assert!(range.end <= MAX_OFFSET);
        Span {
            at: range.start as u32 | ARENA,
            len: (range.end - range.start) as u32,
        }
    }

    /// Length in bytes.
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether it is the empty text.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The part `range` of this span, offsets counted from its start.
    ///
    /// # Panics
    /// When `range` reaches beyond the span.
    #[inline]
    pub fn slice(self, range: Range<usize>) -> Span {
        assert!(range.start <= range.end && range.end <= self.len());
        Span {
            at: self.at + range.start as u32,
            len: (range.end - range.start) as u32,
        }
    }

    /// The part `range`, which is known to lie in it.
    #[inline(always)]
    pub(crate) fn part(self, range: Range<usize>) -> Span {
        debug_assert!(range.start <= range.end && range.end <= self.len());
        Span {
            at: self.at + range.start as u32,
            len: (range.end - range.start) as u32,
        }
    }

    #[inline]
    pub(crate) fn is_in_arena(self) -> bool {
        self.at & ARENA != 0
    }

    /// The same with a mark beside it, which means what its holder wants. A marked span is only there to be
    /// [unmarked](Span::unmarked) again.
    #[inline]
    pub(crate) fn marked(self) -> Span {
        Span {
            len: self.len | MARK,
            ..self
        }
    }

    #[inline]
    pub(crate) fn unmarked(self) -> Span {
        Span {
            len: self.len & !MARK,
            ..self
        }
    }

    #[inline]
    pub(crate) fn is_marked(self) -> bool {
        self.len & MARK != 0
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        let start = (self.at & !ARENA) as usize;
        start..start + self.len()
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.is_in_arena() {
            "arena"
        } else {
            "source"
        };
        write!(f, "{space}{:?}", self.range())
    }
}
