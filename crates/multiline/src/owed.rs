//! What is owed for lines, until it is owed for the records that are made of them.

use std::ops::Range;

use record::{Batch, Obligation, Position, Receipt};
use smallvec::SmallVec;

use crate::Made;

/// What is owed for lines that belong together: positions of the present batch, and obligations of earlier ones.
#[derive(Debug, Default)]
pub struct Owed {
    /// Positions that the present batch's obligation stands for: ascending, neighbours merged.
    here: SmallVec<[Range<u64>; 1]>,
    earlier: Vec<Obligation>,
    /// From the first to the last position, as far as they are of one source.
    span: Option<Range<u64>>,
}

impl Owed {
    /// For a line that stands at `position` in its source. `here` is what the present batch's obligation stands for with it.
    pub fn new(here: Range<u64>, position: Range<u64>) -> Owed {
        let mut own = SmallVec::new();
        if !here.is_empty() {
            own.push(here);
        }
        Owed {
            here: own,
            earlier: Vec::new(),
            span: Some(position),
        }
    }

    /// Adds an obligation that is not the present batch's.
    pub fn add(&mut self, other: Obligation) {
        let mut other = other;
        for own in &mut self.earlier {
            match own.join(other) {
                Ok(()) => return,
                Err(refused) => other = refused,
            }
        }
        self.earlier.push(other);
    }

    /// Takes over what is owed for one more line.
    #[inline]
    pub fn join(&mut self, mut other: Owed) {
        self.append(&mut other);
    }

    /// Takes over what is owed for one more line, leaving nothing in `other`.
    #[inline]
    pub(crate) fn append(&mut self, other: &mut Owed) {
        // Mostly a line follows the one before it, in the same batch.
        if let (Some(last), [next], Some(own), Some(span), []) = (
            self.here.last_mut(),
            &other.here[..],
            &mut self.span,
            &other.span,
            &other.earlier[..],
        ) && last.end == next.start
        {
            last.end = next.end;
            *own = own.start.min(span.start)..own.end.max(span.end);
            other.here.clear();
            other.span = None;
            return;
        }
        self.append_any(std::mem::take(other));
    }

    /// Takes over what is owed for a line at `position`, if that follows in the same batch, as it mostly does: whether it does.
    #[inline]
    pub(crate) fn extend(&mut self, position: &Range<u64>) -> bool {
        let (Some(last), Some(span)) = (self.here.last_mut(), &mut self.span) else {
            return false;
        };
        let follows = last.end == position.start && span.end == position.start;
        if follows {
            (last.end, span.end) = (position.end, position.end);
        }
        follows
    }

    fn append_any(&mut self, other: Owed) {
        let Owed {
            here,
            earlier,
            span,
        } = other;
        for range in here {
            match self.here.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.here.push(range),
            }
        }
        earlier.into_iter().for_each(|one| self.add(one));
        self.span = match (self.span.take(), span) {
            (Some(own), Some(other)) => Some(own.start.min(other.start)..own.end.max(other.end)),
            (own, other) => own.or(other),
        };
    }

    /// Nothing comes of the lines: obligations of earlier batches are settled, those of the present one with its
    /// neighbours.
    pub fn dismiss(self) {
        self.earlier.into_iter().for_each(Obligation::settle_all);
    }

    /// Takes its part of the present batch's obligation, which is about to go.
    pub fn hold(&mut self, batch: &mut Obligation) {
        for range in std::mem::take(&mut self.here) {
            self.add(batch.carve(range));
        }
    }

    /// Parts with the first `len` bytes of a line. What is owed for it stays with the rest.
    pub(crate) fn cut(&mut self, len: u64) -> Owed {
        let mut first = Owed::default();
        if let Some(span) = &mut self.span {
            first.span = Some(span.start..(span.start + len).min(span.end));
            span.start = (span.start + len).min(span.end);
        }
        first
    }

    /// Whether everything is owed by the present batch, or by nobody.
    fn is_here(&self) -> bool {
        self.earlier.is_empty()
    }

    /// How many positions of earlier batches it stands for.
    pub fn waiting(&self) -> u64 {
        let ranges = self.earlier.iter().flat_map(|one| one.ranges());
        ranges.map(|range| range.end - range.start).sum()
    }

    fn position(&self) -> Position {
        let span = self.span.clone().unwrap_or_default();
        Position {
            offset: span.start,
            len: u32::try_from(span.end - span.start).unwrap_or(u32::MAX),
        }
    }
}

/// Appends what was made to `batch`, which answers with `obligation` for the lines of it: the present batch's, without what
/// [waits](crate::Stream::hold).
///
/// Mostly records follow each other as their lines do, and then none needs an obligation of its own.
pub fn assign(batch: &mut Batch, mut obligation: Obligation, made: &mut Vec<Made>) {
    let is_owed = |one: &Made| !one.owed.is_here();
    if are_in_order(made) || (obligation.is_settled() && !made.iter().any(is_owed)) {
        let mut receipt = Receipt::new(obligation);
        for one in made.drain(..) {
            let Made {
                mut record, owed, ..
            } = one;
            record.position = owed.position();
            if !owed.earlier.is_empty() {
                record.extra = receipt.attach_all(owed.earlier);
            }
            batch.push_record(record);
        }
        *batch.receipt_mut() = receipt;
        return;
    }
    let mut receipt = Receipt::none();
    for one in made.drain(..) {
        let Made {
            mut record,
            mut owed,
            ..
        } = one;
        owed.hold(&mut obligation);
        record.position = owed.position();
        record.extra = receipt.attach_all(owed.earlier);
        batch.push_record(record);
    }
    // Nothing was made of what is left.
    obligation.settle_all();
    *batch.receipt_mut() = receipt;
}

/// Whether each record can answer for the positions up to the next one's.
fn are_in_order(made: &[Made]) -> bool {
    let mut end = 0;
    made.iter().enumerate().all(|(index, Made { owed, .. })| {
        let fits = match (owed.here.first(), &owed.span) {
            // Only the first may bring along what earlier batches owe.
            _ if index == 0 => true,
            (Some(here), Some(span)) => {
                owed.is_here() && here.start == span.start && here.start >= end
            }
            _ => false,
        };
        end = owed.here.last().map_or(end, |last| last.end);
        fits
    })
}
