//! What the readers of JSON and msgpack append to while they read a span of the same batch.

use crate::span::MAX_OFFSET;
use crate::{Field, Fields, Span};

/// The growing parts of a batch, apart from the bytes that are being read.
pub(crate) struct Builder<'a> {
    pub fields: &'a mut Vec<Field>,
    pub scratch: &'a mut Vec<Field>,
    /// Takes bytes that had to be made. The arena itself, or what will be appended to it at `base`.
    pub made: &'a mut Vec<u8>,
    /// Where in the arena `made` starts.
    pub base: usize,
}

/// A map or array that is being read. Its fields go straight to their place until the first nested value: then those
/// already there step aside, because a nested value is finished first.
pub(crate) struct Run {
    mark: usize,
    level: Option<usize>,
}

impl Builder<'_> {
    /// Opens a run. An enclosing run must have been [set aside](Builder::set_aside).
    #[inline]
    pub fn open(&self) -> Run {
        Run {
            mark: self.fields.len(),
            level: None,
        }
    }

    /// Appends a field to `run`, the innermost open one.
    #[inline]
    pub fn push(&mut self, run: &Run, field: Field) {
        match run.level {
            None => self.fields.push(field),
            Some(_) => self.scratch.push(field),
        }
    }

    /// Makes room for a run inside of `run`.
    pub fn set_aside(&mut self, run: &mut Run) {
        if run.level.is_none() {
            run.level = Some(self.scratch.len());
            self.scratch.extend_from_slice(&self.fields[run.mark..]);
            self.fields.truncate(run.mark);
        }
    }

    /// Closes `run`, the innermost open one, and gives its fields.
    #[inline]
    pub fn close(&mut self, run: Run) -> Fields {
        let start = match run.level {
            None => run.mark,
            Some(level) => {
                let start = self.fields.len();
                self.fields.extend_from_slice(&self.scratch[level..]);
                self.scratch.truncate(level);
                start
            }
        };
        Fields {
            start: start as u32,
            len: (self.fields.len() - start) as u32,
        }
    }

    /// The span of what was made since `start`, a length of `made`.
    #[inline]
    pub fn made_since(&self, start: usize) -> Span {
        Span::in_arena(self.base + start..self.base + self.made.len())
    }

    /// Whether `more` bytes can be made.
    #[inline]
    pub fn has_room(&self, more: usize) -> bool {
        self.base + self.made.len() + more <= MAX_OFFSET
    }
}
