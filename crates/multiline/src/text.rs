//! The text of lines that belong together.

use std::ops::Range;

use record::{Batch, Span};

/// A line as a piece of the present batch.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub span: Span,
    /// Where it lies in the source, if that is known.
    pub range: Option<Range<usize>>,
}

impl Line {
    /// The part `range` of it.
    pub fn slice(&self, range: Range<usize>) -> Line {
        Line {
            span: self.span.slice(range.clone()),
            range: self
                .range
                .as_ref()
                .map(|own| own.start + range.start..own.start + range.end),
        }
    }
}

/// How a line is added to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glue {
    /// As a line of its own; an empty one is a line end.
    Line,
    /// Behind a line end, unless there is one.
    LineEnd,
    /// As it is.
    Nothing,
}

/// Joined text: pieces of the present batch as long as that is possible, then a copy.
#[derive(Default)]
pub(crate) struct Text {
    place: Place,
    copy: Vec<u8>,
}

#[derive(Clone, Default)]
enum Place {
    #[default]
    Empty,
    /// Neighbours in the source of the present batch.
    Source(Range<usize>),
    /// A piece of the present batch.
    Batch(Span),
    /// In `copy`.
    Copy,
}

/// A copy larger than this is not kept for the next text.
const KEPT: usize = 16 << 10;

impl Text {
    /// Its length so far.
    pub fn len(&self) -> usize {
        match &self.place {
            Place::Empty => 0,
            Place::Source(range) => range.len(),
            Place::Batch(span) => span.len(),
            Place::Copy => self.copy.len(),
        }
    }

    /// Adds a line of `batch`.
    pub fn add(&mut self, batch: &Batch, line: &Line, glue: Glue) {
        match (&mut self.place, &line.range) {
            (Place::Empty, _) if line.span.is_empty() => {
                if glue == Glue::Line {
                    self.copy_of(batch).push(b'\n');
                }
            }
            (Place::Empty, Some(range)) => self.place = Place::Source(range.clone()),
            (Place::Empty, None) => self.place = Place::Batch(line.span),
            (Place::Source(own), Some(range)) => match neighbours(batch, own, range, glue) {
                Some(end) => own.end = end,
                None => self.add_copy(batch, line, glue),
            },
            _ => self.add_copy(batch, line, glue),
        }
    }

    /// Where the text will end with the line at `range` of the batch's source, if it only has to be made longer for it.
    #[inline]
    pub fn end_with(&self, batch: &Batch, range: &Range<usize>) -> Option<usize> {
        match &self.place {
            Place::Source(own) => neighbours(batch, own, range, Glue::Line),
            _ => None,
        }
    }

    /// Makes the text longer, to `end` of the batch's source.
    #[inline]
    pub fn extend(&mut self, end: usize) {
        if let Place::Source(own) = &mut self.place {
            own.end = end;
        }
    }

    fn add_copy(&mut self, batch: &Batch, line: &Line, glue: Glue) {
        let copy = self.copy_of(batch);
        if glue != Glue::Nothing && copy.last().is_some_and(|last| *last != b'\n') {
            copy.push(b'\n');
        }
        if glue == Glue::Line && line.span.is_empty() {
            copy.push(b'\n');
        }
        copy.extend_from_slice(batch.bytes(line.span));
    }

    /// Copies what lies in `batch`, which is about to go.
    pub fn park(&mut self, batch: &Batch) {
        match self.place {
            // Between batches nothing is kept for the next text.
            Place::Empty => self.copy = Vec::new(),
            _ => drop(self.copy_of(batch)),
        }
    }

    fn copy_of(&mut self, batch: &Batch) -> &mut Vec<u8> {
        match std::mem::replace(&mut self.place, Place::Copy) {
            Place::Empty => {}
            Place::Source(range) => self.copy.extend_from_slice(&batch.source()[range]),
            Place::Batch(span) => self.copy.extend_from_slice(batch.bytes(span)),
            Place::Copy => {}
        }
        &mut self.copy
    }

    /// The whole as a piece of `batch`, with a line end behind it if `ends_line`; none if it is empty. Forgets it.
    pub fn take(&mut self, batch: &mut Batch, ends_line: bool) -> Option<Span> {
        if self.len() == 0 {
            self.place = Place::Empty;
            return None;
        }
        if let Place::Batch(span) = self.place
            && (!ends_line || batch.bytes(span).last() == Some(&b'\n'))
        {
            self.place = Place::Empty;
            return Some(span);
        }
        if let Place::Source(Range { start, end }) = self.place {
            let source = batch.source();
            let has_end = source[end - 1] == b'\n';
            if !ends_line || has_end {
                self.place = Place::Empty;
                return Some(batch.span(start..end));
            }
            if source.get(end) == Some(&b'\n') {
                self.place = Place::Empty;
                return Some(batch.span(start..end + 1));
            }
        }
        let copy = self.copy_of(batch);
        if ends_line && copy.last() != Some(&b'\n') {
            copy.push(b'\n');
        }
        let span = batch.put(copy);
        self.clear();
        Some(span)
    }

    fn clear(&mut self) {
        self.place = Place::Empty;
        self.copy.clear();
        if self.copy.capacity() > KEPT {
            self.copy = Vec::new();
        }
    }

    /// Bytes of memory that it takes beside the batch.
    pub fn footprint(&self) -> usize {
        self.copy.capacity()
    }
}

/// Where the text of both ends, if what lies between them in the source is just what belongs there.
fn neighbours(batch: &Batch, own: &Range<usize>, next: &Range<usize>, glue: Glue) -> Option<usize> {
    let source = batch.source();
    let is_end = |at: usize| source.get(at) == Some(&b'\n');
    let has_end = is_end(own.end - 1);
    let touches = match glue {
        Glue::Line | Glue::LineEnd if !has_end => is_end(own.end) && own.end + 1 == next.start,
        _ => own.end == next.start,
    };
    let end = match glue {
        Glue::Line if next.is_empty() && is_end(next.end) => next.end + 1,
        Glue::Line if next.is_empty() => return None,
        _ => next.end,
    };
    touches.then_some(end)
}
