//! The obligations of a batch's records.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

use crate::{Batch, Obligation};

/// What one record answers for besides: mostly one obligation, several when lines of several sources became one record.
/// Empty once it is answered.
type Extra = SmallVec<[Obligation; 1]>;

/// What is owed for the records of one batch, on one route.
///
/// Record `i` answers for the positions from its own up to the next record's, the last one up to the end: what a filter
/// removed is answered for together with its neighbour, and the common road needs no entry per record. Where records
/// part ways, or several records come from one, the extra obligations stand beside.
pub struct Receipt {
    main: Obligation,
    /// Named by [`crate::Record::extra`], counted from 1.
    extras: Vec<Extra>,
    /// Record `i` answers for the position so much later than this, whatever its own says.
    first: Option<u64>,
    /// Kept for as long as the receipt.
    guard: Option<Box<dyn Send + Sync>>,
}

impl Receipt {
    /// A receipt that answers with `obligation` for all records of a batch.
    pub fn new(obligation: Obligation) -> Receipt {
        Receipt {
            main: obligation,
            extras: Vec::new(),
            first: None,
            guard: None,
        }
    }

    /// A receipt by which record `i` of a batch answers for the position `first + i`, whatever its own is: for records
    /// that are numbered by who keeps them, while their positions go on to say where they come from.
    pub fn numbered(obligation: Obligation, first: u64) -> Receipt {
        Receipt {
            first: Some(first),
            ..Receipt::new(obligation)
        }
    }

    /// Whether it is [numbered](Receipt::numbered): whoever keeps the records has them.
    pub fn is_numbered(&self) -> bool {
        self.first.is_some()
    }

    /// Lets the receipt keep `guard` until everything is answered for or refused.
    pub fn with_guard(mut self, guard: impl Send + Sync + 'static) -> Receipt {
        self.guard = Some(Box::new(guard));
        self
    }

    /// A receipt for records that nobody waits for.
    pub fn none() -> Receipt {
        Receipt::new(Obligation::none())
    }

    /// The same records on one more route.
    pub fn fork(&self) -> Receipt {
        let extras = self
            .extras
            .iter()
            .map(|extra| extra.iter().map(Obligation::fork).collect())
            .collect();
        Receipt {
            main: self.main.fork(),
            extras,
            first: self.first,
            guard: None,
        }
    }

    /// Answers for `records` (indexes into the frozen `batch`): delivered, or given up by policy.
    pub fn settle(&mut self, batch: &Batch, records: Range<u32>) {
        self.main.settle(self.positions(batch, &records));
        if self.extras.is_empty() {
            return;
        }
        for record in &batch.records()[records.start as usize..records.end as usize] {
            if let Some(index) = record.extra.checked_sub(1) {
                let extra = std::mem::take(&mut self.extras[index as usize]);
                extra.into_iter().for_each(Obligation::settle_all);
            }
        }
    }

    /// Answers for everything that is left.
    pub fn settle_all(self) {
        self.main.settle_all();
        self.extras
            .into_iter()
            .flatten()
            .for_each(Obligation::settle_all);
    }

    /// Moves what is owed for `records` out of this receipt, for a filter that holds or re-tags them. The records
    /// must be removed from the batch after.
    pub fn carve(&mut self, batch: &Batch, records: Range<u32>) -> Receipt {
        let main = self.main.carve(self.positions(batch, &records));
        let mut extras = Vec::new();
        if !self.extras.is_empty() {
            for record in &batch.records()[records.start as usize..records.end as usize] {
                if let Some(index) = record.extra.checked_sub(1) {
                    extras.push(std::mem::take(&mut self.extras[index as usize]));
                }
            }
        }
        Receipt {
            main,
            extras,
            first: self.first,
            guard: None,
        }
    }

    /// Joins `other` into this receipt: record `extra` of the batch (see the returned number) answers for it.
    pub fn attach(&mut self, other: Obligation) -> u32 {
        self.attach_all(std::iter::once(other))
    }

    /// The same for several obligations of one record.
    pub fn attach_all(&mut self, others: impl IntoIterator<Item = Obligation>) -> u32 {
        self.extras.push(others.into_iter().collect());
        self.extras.len() as u32
    }

    /// Takes over `other`, of records of the same source, all of whose positions are others. Their `extra` grows by the number
    /// that is returned.
    pub fn absorb(&mut self, other: Receipt) -> u32 {
        let before = self.extras.len() as u32;
        self.extras.extend(other.extras);
        if let Err(main) = self.main.join(other.main) {
            // Of another source after all: nobody is told, so that it is refused and comes again.
            drop(main);
        }
        before
    }

    /// Takes out what the record with this `extra` answers for besides its positions.
    pub fn detach(&mut self, extra: u32) -> impl Iterator<Item = Obligation> + use<> {
        let index = extra.checked_sub(1);
        let own = index.and_then(|index| self.extras.get_mut(index as usize));
        own.map(std::mem::take).unwrap_or_default().into_iter()
    }

    /// Whether records answer for nothing besides their positions.
    pub fn is_plain(&self) -> bool {
        self.extras.is_empty()
    }

    /// The obligation for the positions of the records; what single records answer for besides must be
    /// [detached](Receipt::detach) before, or is refused.
    pub fn into_main(self) -> Obligation {
        self.main
    }

    /// Turns the receipt into the obligations it consists of.
    pub fn into_obligations(self) -> impl Iterator<Item = Obligation> {
        std::iter::once(self.main).chain(self.extras.into_iter().flatten())
    }

    /// Whether nothing is left to answer for.
    pub fn is_settled(&self) -> bool {
        self.main.is_settled() && self.extras.iter().all(|extra| extra.is_empty())
    }

    fn positions(&self, batch: &Batch, records: &Range<u32>) -> Range<u64> {
        if let Some(first) = self.first {
            return first + u64::from(records.start)..first + u64::from(records.end);
        }
        let all = batch.records();
        let offset = |index: u32| all.get(index as usize).map(|record| record.position.offset);
        let start = if records.start == 0 {
            0
        } else {
            offset(records.start).unwrap_or(u64::MAX)
        };
        start..offset(records.end).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("main", &self.main)
            .field("extras", &self.extras)
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}
