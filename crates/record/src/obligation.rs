//! What the source of a record is owed: one answer for every position that it handed over.
//!
//! A source (a file, a connection, a write-ahead log) owns a [`Ledger`] of positions: byte offsets, sequence numbers,
//! whatever is contiguous and ascending. For what it hands over it opens an [`Obligation`] over a range. The obligation
//! travels with the records; it can be forked (fan-out, copies under another tag), carved (records part ways), held over
//! batches (multiline) and settled. A range is discharged when every fork of it is settled. An obligation that is
//! dropped without an answer, by a panic or a cancelled task, refuses what is left of it: the source must hand those
//! positions over again.
//!
//! The ledger keeps counts per interval, not per position: a read of a thousand lines that is delivered by one request
//! costs one interval, opened once and settled once.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use smallvec::SmallVec;

type Ranges = SmallVec<[Range<u64>; 1]>;

/// The positions of one source and what is still owed for them.
pub struct Ledger {
    state: Mutex<State>,
    changed: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug)]
struct State {
    /// Everything below is discharged.
    prefix: u64,
    /// What was handed over beyond the prefix: ascending, without overlap, neighbours of equal state merged.
    intervals: VecDeque<Interval>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    start: u64,
    end: u64,
    /// Forks still owed; 0 is discharged, unless refused.
    owed: u32,
    /// One fork was dropped without an answer. Stays until the range is opened again.
    refused: bool,
}

impl Interval {
    fn state(&self) -> (u32, bool) {
        (self.owed, self.refused)
    }
}

impl Ledger {
    /// A ledger whose positions start at `start`: everything below counts as discharged.
    pub fn new(start: u64) -> Arc<Ledger> {
        Ledger::build(start, None)
    }

    /// The same; `changed` is called, outside of any lock and from any thread, after every settlement or refusal.
    pub fn with_notice(start: u64, changed: impl Fn() + Send + Sync + 'static) -> Arc<Ledger> {
        Ledger::build(start, Some(Box::new(changed)))
    }

    fn build(prefix: u64, changed: Option<Box<dyn Fn() + Send + Sync>>) -> Arc<Ledger> {
        Arc::new(Ledger {
            state: Mutex::new(State {
                prefix,
                intervals: VecDeque::new(),
            }),
            changed,
        })
    }

    /// Opens an obligation for `range`: positions that are handed over for the first time, or again after a refusal.
    ///
    /// # Panics
    /// When part of `range` is owed already or was discharged before: handing it over would deliver it twice.
    pub fn open(self: &Arc<Ledger>, range: Range<u64>) -> Obligation {
        let mut ranges = Ranges::new();
        if !range.is_empty() {
            self.lock().open(range.clone());
            ranges.push(range);
        }
        Obligation {
            ledger: Arc::clone(self),
            ranges,
        }
    }

    /// Counts `range` as discharged without anyone having to answer for it (positions that hold no record).
    pub fn skip(self: &Arc<Ledger>, range: Range<u64>) {
        self.open(range).settle_all();
    }

    /// Every position below this one is discharged.
    pub fn discharged(&self) -> u64 {
        self.lock().prefix
    }

    /// The discharged ranges beyond [`Ledger::discharged`], ascending.
    pub fn discharged_beyond(&self) -> Vec<Range<u64>> {
        let state = self.lock();
        state
            .intervals
            .iter()
            .filter(|interval| interval.state() == (0, false))
            .map(|i| i.start..i.end)
            .collect()
    }

    /// The ranges that were refused and that nobody holds any more: to be opened and handed over again.
    pub fn refused(&self) -> Vec<Range<u64>> {
        let state = self.lock();
        state
            .intervals
            .iter()
            .filter(|interval| interval.state() == (0, true))
            .map(|i| i.start..i.end)
            .collect()
    }

    /// Whether nothing is owed and nothing was refused.
    pub fn is_settled(&self) -> bool {
        self.lock().intervals.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn answer(&self, ranges: &[Range<u64>], refused: bool) {
        if ranges.is_empty() {
            return;
        }
        let mut state = self.lock();
        for range in ranges {
            state.update(range, |interval| {
                interval.owed -= 1;
                interval.refused |= refused;
            });
        }
        state.advance();
        drop(state);
        if let Some(changed) = &self.changed {
            changed();
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}

impl State {
    fn open(&mut self, range: Range<u64>) {
        assert!(
            range.start >= self.prefix,
            "positions {range:?} were discharged before"
        );
        let top = self.intervals.back().map_or(self.prefix, |last| last.end);
        if range.start >= top {
            if range.start > top {
                // Positions that were never handed over hold the prefix back until they are.
                self.intervals.push_back(Interval {
                    start: top,
                    end: range.start,
                    owed: 0,
                    refused: true,
                });
            }
            self.intervals.push_back(Interval {
                start: range.start,
                end: range.end,
                owed: 1,
                refused: false,
            });
            return;
        }
        let known = range.start..range.end.min(top);
        self.update(&known, |interval| {
            assert!(
                interval.state() == (0, true),
                "positions {}..{} are owed already",
                interval.start,
                interval.end
            );
            (interval.owed, interval.refused) = (1, false);
        });
        if range.end > top {
            self.intervals.push_back(Interval {
                start: top,
                end: range.end,
                owed: 1,
                refused: false,
            });
        }
    }

    /// Applies `change` to exactly `range`, splitting the intervals at its ends and merging equal neighbours after.
    fn update(&mut self, range: &Range<u64>, change: impl Fn(&mut Interval)) {
        self.split_at(range.start);
        self.split_at(range.end);
        let first = self
            .intervals
            .partition_point(|interval| interval.start < range.start);
        let end = self
            .intervals
            .partition_point(|interval| interval.start < range.end);
        for interval in self.intervals.range_mut(first..end) {
            change(interval);
        }
        for right in (first.max(1)..=end).rev() {
            self.merge_into_left(right);
        }
    }

    fn split_at(&mut self, position: u64) {
        let index = self
            .intervals
            .partition_point(|interval| interval.end <= position);
        let Some(interval) = self.intervals.get_mut(index) else {
            return;
        };
        if interval.start < position {
            let right = Interval {
                start: position,
                ..*interval
            };
            interval.end = position;
            self.intervals.insert(index + 1, right);
        }
    }

    fn merge_into_left(&mut self, right: usize) {
        let Some(&interval) = self.intervals.get(right) else {
            return;
        };
        let left = &mut self.intervals[right - 1];
        if left.end == interval.start && left.state() == interval.state() {
            left.end = interval.end;
            self.intervals.remove(right);
        }
    }

    fn advance(&mut self) {
        while let Some(first) = self.intervals.front() {
            if first.state() != (0, false) {
                return;
            }
            self.prefix = first.end;
            self.intervals.pop_front();
        }
    }
}

/// The duty to answer for some positions of a source. See the module's documentation.
///
/// Dropped with something left, it refuses that.
#[must_use = "dropping an obligation refuses what it stands for"]
pub struct Obligation {
    ledger: Arc<Ledger>,
    /// What is left to answer for: ascending, without overlap.
    ranges: Ranges,
}

impl Obligation {
    /// An obligation towards nobody, for records whose source cannot take an answer.
    pub fn none() -> Obligation {
        static NOBODY: LazyLock<Arc<Ledger>> = LazyLock::new(|| Ledger::new(0));
        Obligation {
            ledger: Arc::clone(&NOBODY),
            ranges: Ranges::new(),
        }
    }

    /// A second obligation for the same positions: they are discharged when both are settled.
    pub fn fork(&self) -> Obligation {
        if !self.ranges.is_empty() {
            let mut state = self.ledger.lock();
            for range in &self.ranges {
                state.update(range, |interval| interval.owed += 1);
            }
        }
        Obligation {
            ledger: Arc::clone(&self.ledger),
            ranges: self.ranges.clone(),
        }
    }

    /// Moves the positions of `range` that this obligation stands for into an obligation of their own.
    pub fn carve(&mut self, range: Range<u64>) -> Obligation {
        Obligation {
            ledger: Arc::clone(&self.ledger),
            ranges: self.take(range),
        }
    }

    /// Takes over what `other` stands for, so that one answer is for both (lines that became one record).
    ///
    /// # Errors
    /// Gives `other` back when it is owed to another source, or when both stand for the same position, which must then be
    /// answered for twice.
    pub fn join(&mut self, mut other: Obligation) -> Result<(), Obligation> {
        if self.ranges.is_empty() {
            // Nothing is left of this one, so that dropping it answers nobody.
            *self = other;
            return Ok(());
        }
        let overlaps = |range: &Range<u64>| {
            let mut own = self.ranges.iter();
            own.any(|own| own.start < range.end && range.start < own.end)
        };
        let is_other = !Arc::ptr_eq(&self.ledger, &other.ledger);
        if !other.ranges.is_empty() && (is_other || other.ranges.iter().any(overlaps)) {
            return Err(other);
        }
        for range in std::mem::take(&mut other.ranges) {
            self.insert(range);
        }
        Ok(())
    }

    /// Adds a range that overlaps with none.
    fn insert(&mut self, range: Range<u64>) {
        let index = self.ranges.partition_point(|own| own.start < range.start);
        let touches_right = self
            .ranges
            .get(index)
            .is_some_and(|next| next.start == range.end);
        let touches_left = index > 0 && self.ranges[index - 1].end == range.start;
        match (touches_left, touches_right) {
            (true, true) => self.ranges[index - 1].end = self.ranges.remove(index).end,
            (true, false) => self.ranges[index - 1].end = range.end,
            (false, true) => self.ranges[index].start = range.start,
            (false, false) => self.ranges.insert(index, range),
        }
    }

    /// Answers for the positions of `range`: delivered, filtered, or given up by policy and counted.
    pub fn settle(&mut self, range: Range<u64>) {
        let settled = self.take(range);
        self.ledger.answer(&settled, false);
    }

    /// Answers for everything that is left.
    pub fn settle_all(mut self) {
        let ranges = std::mem::take(&mut self.ranges);
        self.ledger.answer(&ranges, false);
    }

    /// From the first to the last position that is left; empty when nothing is.
    pub fn span(&self) -> Range<u64> {
        match (self.ranges.first(), self.ranges.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// What is left to answer for: ascending, without overlap.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// Whether nothing is left to answer for.
    pub fn is_settled(&self) -> bool {
        self.ranges.is_empty()
    }

    fn take(&mut self, range: Range<u64>) -> Ranges {
        let mut taken = Ranges::new();
        let mut left = Ranges::new();
        for own in self.ranges.drain(..) {
            let (start, end) = (own.start.max(range.start), own.end.min(range.end));
            if start >= end {
                left.push(own);
                continue;
            }
            taken.push(start..end);
            if own.start < start {
                left.push(own.start..start);
            }
            if end < own.end {
                left.push(end..own.end);
            }
        }
        self.ranges = left;
        taken
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        self.ledger.answer(&self.ranges, true);
    }
}

impl fmt::Debug for Obligation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Obligation").field(&self.ranges).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn the_prefix_follows_what_is_contiguous() {
        let ledger = Ledger::new(10);
        let mut read = ledger.open(10..40);
        read.settle(20..30);
        assert_eq!(
            (ledger.discharged(), ledger.discharged_beyond()),
            (10, vec![20..30])
        );
        read.settle(10..20);
        assert_eq!(ledger.discharged(), 30);
        read.settle_all();
        assert_eq!(ledger.discharged(), 40);
        assert!(ledger.is_settled());
    }

    #[test]
    fn every_fork_must_answer() {
        let ledger = Ledger::new(0);
        let one = ledger.open(0..100);
        let mut two = one.fork();
        one.settle_all();
        two.settle(0..60);
        assert_eq!(ledger.discharged(), 60);
        two.settle(60..100);
        assert_eq!(ledger.discharged(), 100);
    }

    #[test]
    fn what_is_dropped_is_refused_and_can_be_opened_again() {
        let notices = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&notices);
        let ledger = Ledger::with_notice(0, move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let mut read = ledger.open(0..30);
        let held = read.carve(10..20);
        read.settle_all();
        assert_eq!(
            (ledger.discharged(), ledger.refused()),
            (10, vec![]),
            "still held"
        );
        drop(held);
        assert_eq!((ledger.discharged(), ledger.refused()), (10, vec![10..20]));
        ledger.open(10..20).settle_all();
        assert_eq!((ledger.discharged(), ledger.refused()), (30, vec![]));
        assert_eq!(notices.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn one_refusing_fork_refuses_for_all() {
        let ledger = Ledger::new(0);
        let one = ledger.open(0..10);
        let two = one.fork();
        drop(one);
        assert_eq!(ledger.refused(), vec![], "the other fork still holds it");
        two.settle_all();
        assert_eq!(ledger.refused(), vec![0..10]);
    }

    #[test]
    fn what_is_joined_is_answered_for_together() {
        let ledger = Ledger::new(0);
        let mut one = ledger.open(0..10);
        let mut whole = ledger.open(10..40);
        let (third, second) = (whole.carve(20..30), whole.carve(10..20));
        one.join(third).expect("the same source");
        one.join(second).expect("the same source");
        assert_eq!(one.ranges.as_slice(), [0..30]);
        let twice = one.fork();
        let twice = one.join(twice).expect_err("both must answer");
        let elsewhere = one
            .join(Ledger::new(0).open(50..60))
            .expect_err("another source");
        elsewhere.settle_all();
        one.settle_all();
        assert_eq!(ledger.discharged(), 0);
        twice.settle_all();
        assert_eq!(ledger.discharged(), 30);
        whole.settle_all();
        assert!(ledger.is_settled());
    }

    #[test]
    #[should_panic(expected = "owed already")]
    fn positions_are_not_handed_over_twice() {
        let ledger = Ledger::new(0);
        let _first = ledger.open(0..10);
        let _second = ledger.open(5..15);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Open(u64),
        Fork(usize),
        Carve(usize, u64, u64),
        Settle(usize, u64, u64),
        Drop(usize),
        Join(usize, usize),
        Reopen,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1u64..20).prop_map(Step::Open),
            (0usize..8).prop_map(Step::Fork),
            (0usize..8, 0u64..100, 1u64..30).prop_map(|(i, at, len)| Step::Carve(i, at, len)),
            (0usize..8, 0u64..100, 1u64..30).prop_map(|(i, at, len)| Step::Settle(i, at, len)),
            (0usize..8).prop_map(Step::Drop),
            (0usize..8, 0usize..8).prop_map(|(one, other)| Step::Join(one, other)),
            Just(Step::Reopen),
        ]
    }

    /// The model: for each position how many forks are owed and whether one was refused.
    #[derive(Clone, Copy, Default, PartialEq, Debug)]
    struct Cell {
        owed: u32,
        refused: bool,
    }

    fn model_answer(cells: &mut [Cell], obligation: &Obligation, range: Range<u64>, refused: bool) {
        for own in &obligation.ranges {
            for position in own.start.max(range.start)..own.end.min(range.end) {
                let cell = &mut cells[position as usize];
                cell.owed -= 1;
                cell.refused |= refused;
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_counting_every_position(steps in prop::collection::vec(step(), 1..60)) {
            let ledger = Ledger::new(0);
            let mut cells: Vec<Cell> = Vec::new();
            let mut held: Vec<Obligation> = Vec::new();
            let everything = 0..u64::MAX;
            for step in steps {
                match step {
                    Step::Open(len) => {
                        let start = cells.len() as u64;
                        cells.extend(std::iter::repeat_n(Cell { owed: 1, refused: false }, len as usize));
                        held.push(ledger.open(start..start + len));
                    }
                    Step::Fork(i) if i < held.len() => {
                        let fork = held[i].fork();
                        for own in &fork.ranges {
                            own.clone().for_each(|position| cells[position as usize].owed += 1);
                        }
                        held.push(fork);
                    }
                    Step::Carve(i, at, len) if i < held.len() => {
                        let carved = held[i].carve(at..at + len);
                        held.push(carved);
                    }
                    Step::Settle(i, at, len) if i < held.len() => {
                        model_answer(&mut cells, &held[i], at..at + len, false);
                        held[i].settle(at..at + len);
                    }
                    Step::Drop(i) if i < held.len() => {
                        let dropped = held.swap_remove(i);
                        model_answer(&mut cells, &dropped, everything.clone(), true);
                    }
                    Step::Join(one, other) if one < held.len() && other < held.len() && one != other => {
                        let joined = held.swap_remove(other);
                        // What stood last is now where the other was.
                        let one = if one == held.len() { other } else { one };
                        if let Err(refused) = held[one].join(joined) {
                            held.push(refused);
                        }
                        let ranges = &held[one].ranges;
                        prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
                    }
                    Step::Reopen => {
                        for range in ledger.refused() {
                            range.clone().for_each(|p| cells[p as usize] = Cell { owed: 1, refused: false });
                            held.push(ledger.open(range));
                        }
                    }
                    _ => {}
                }
                let prefix = cells.iter().take_while(|cell| **cell == Cell::default()).count() as u64;
                prop_assert_eq!(ledger.discharged(), prefix);
                let refused: Vec<u64> = ledger.refused().into_iter().flatten().collect();
                let expected: Vec<u64> = (0..cells.len() as u64)
                    .filter(|&p| cells[p as usize] == Cell { owed: 0, refused: true })
                    .collect();
                prop_assert_eq!(refused, expected);
                let beyond: Vec<u64> = ledger.discharged_beyond().into_iter().flatten().collect();
                let expected: Vec<u64> =
                    (prefix..cells.len() as u64).filter(|&p| cells[p as usize] == Cell::default()).collect();
                prop_assert_eq!(beyond, expected);
            }
        }
    }
}
