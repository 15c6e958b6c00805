//! Which lines have arrived: a bit for each, and what arrived again or late.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::mark::Mark;
use crate::report::{Report, Sent, WriterReport};

/// Lines of one page of bits.
const PAGE: u64 = 4096;
type Bits = [u64; (PAGE / 64) as usize];
/// The most pages of bits at once, in all 64 MiB: marks that are no marks must not use memory up.
const PAGES_MAX: usize = 1 << 17;
/// How many stretches of lost lines of a writer are named.
const STRETCHES_MAX: usize = 10;

/// Whether the sender was told that a line is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was told, or will be.
    Given,
    /// The connection ended first: it has to send the line again.
    None,
}

/// What has arrived, by writer.
#[derive(Default)]
pub struct Tally {
    writers: HashMap<u32, Writer>,
    /// Pages that are neither empty nor full.
    pages: usize,
    /// Marks that there was no room for.
    overflow: u64,
}

#[derive(Default)]
struct Writer {
    pages: BTreeMap<u64, Page>,
    /// The line that should come next if they come in order.
    next: u64,
    repeated: u64,
    repeated_without_verdict: u64,
    out_of_order: u64,
    /// Accepted lines whose sender was told nothing.
    unanswered: HashSet<u64>,
}

enum Page {
    Full,
    Part(Box<Bits>, u32),
}

impl Tally {
    /// A line has arrived and was accepted.
    pub fn add(&mut self, mark: Mark, verdict: Verdict) {
        let writer = self.writers.entry(mark.writer).or_default();
        match writer.set(mark.seq, &mut self.pages) {
            None => {
                self.overflow += 1;
                return;
            }
            Some(true) => {
                writer.out_of_order += u64::from(mark.seq < writer.next);
                writer.next = writer.next.max(mark.seq + 1);
            }
            Some(false) if writer.unanswered.contains(&mark.seq) => {
                writer.repeated_without_verdict += 1;
            }
            Some(false) => writer.repeated += 1,
        }
        match verdict {
            // Whoever was told and sends again repeats.
            Verdict::Given => {
                if !writer.unanswered.is_empty() {
                    writer.unanswered.remove(&mark.seq);
                }
            }
            Verdict::None if writer.unanswered.len() < PAGES_MAX => {
                writer.unanswered.insert(mark.seq);
            }
            Verdict::None => self.overflow += 1,
        }
    }

    /// What is lost, repeated and out of order. Without `sent`, what is missing after the last line that arrived cannot
    /// be known; with it, lines of other writers are left out and only counted.
    pub fn report(&self, sent: Option<&Sent>) -> Report {
        let mut report = Report {
            marks_beyond_memory: self.overflow,
            ..Report::default()
        };
        let unseen = Writer::default();
        let mut expected: Vec<(u32, Option<u64>)> = match sent {
            Some(sent) => sent
                .writers
                .iter()
                .map(|(id, sent)| (*id, Some(*sent)))
                .collect(),
            None => self.writers.keys().map(|id| (*id, None)).collect(),
        };
        expected.sort_unstable();
        for (id, lines) in expected {
            let writer = self.writers.get(&id).unwrap_or(&unseen);
            report.add(writer.report(id, lines));
        }
        if let Some(sent) = sent {
            let foreign = self
                .writers
                .iter()
                .filter(|(id, _)| !sent.writers.contains_key(id));
            report.of_other_runs = foreign.map(|(_, writer)| writer.below(u64::MAX)).sum();
        }
        report
    }

    /// How many different lines have arrived, of all writers.
    pub fn distinct(&self) -> u64 {
        self.writers
            .values()
            .map(|writer| writer.below(u64::MAX))
            .sum()
    }
}

impl Writer {
    /// Marks a line as arrived: whether it is new, or nothing if there is no room to remember it.
    fn set(&mut self, seq: u64, pages: &mut usize) -> Option<bool> {
        let (page, bit) = (seq / PAGE, seq % PAGE);
        let (word, mask) = ((bit / 64) as usize, 1u64 << (bit % 64));
        match self.pages.get_mut(&page) {
            Some(Page::Full) => Some(false),
            Some(Page::Part(bits, _)) if bits[word] & mask != 0 => Some(false),
            Some(Page::Part(bits, count)) => {
                bits[word] |= mask;
                *count += 1;
                if u64::from(*count) == PAGE {
                    self.pages.insert(page, Page::Full);
                    *pages -= 1;
                }
                Some(true)
            }
            None if *pages == PAGES_MAX => None,
            None => {
                let mut bits = Box::new([0; (PAGE / 64) as usize]);
                bits[word] = mask;
                self.pages.insert(page, Page::Part(bits, 1));
                *pages += 1;
                Some(true)
            }
        }
    }

    /// How many different lines below `end` have arrived.
    fn below(&self, end: u64) -> u64 {
        let mut sum = 0;
        self.stretches(end, |arrived, stretch| {
            if arrived {
                sum += stretch.1 - stretch.0;
            }
        });
        sum
    }

    /// Hands over each stretch of lines below `end` that have arrived, or have not.
    fn stretches(&self, end: u64, mut each: impl FnMut(bool, (u64, u64))) {
        let mut open: Option<(bool, u64)> = None;
        let mut turn = |at: u64, arrived: bool| match open {
            Some((is, _)) if is == arrived => {}
            Some((is, start)) => {
                if start < at.min(end) {
                    each(is, (start, at.min(end)));
                }
                open = Some((arrived, at));
            }
            None => open = Some((arrived, at)),
        };
        turn(0, false);
        let mut next_page = 0;
        for (page, content) in &self.pages {
            let start = page * PAGE;
            if start >= end {
                break;
            }
            if *page != next_page {
                turn(next_page * PAGE, false);
            }
            next_page = page + 1;
            match content {
                Page::Full => turn(start, true),
                Page::Part(bits, _) => {
                    for (word, first) in bits.iter().zip((start..).step_by(64)) {
                        match *word {
                            0 => turn(first, false),
                            u64::MAX => turn(first, true),
                            word => (0..64).for_each(|bit| turn(first + bit, word >> bit & 1 == 1)),
                        }
                    }
                }
            }
        }
        turn(next_page * PAGE, false);
        if let Some((arrived, start)) = open
            && start < end
        {
            each(arrived, (start, end));
        }
    }

    fn report(&self, id: u32, sent: Option<u64>) -> WriterReport {
        let end = sent.unwrap_or(self.next);
        let (mut lost, mut stretches) = (0, Vec::new());
        self.stretches(end, |arrived, (start, end)| {
            if !arrived {
                lost += end - start;
                if stretches.len() < STRETCHES_MAX {
                    stretches.push([start, end - 1]);
                }
            }
        });
        WriterReport {
            writer: format!("{id:08x}"),
            sent,
            received: self.below(end),
            lost,
            repeated: self.repeated,
            repeated_without_verdict: self.repeated_without_verdict,
            out_of_order: self.out_of_order,
            lost_lines: stretches,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn sent(lines: &[(u32, u64)]) -> Sent {
        Sent {
            writers: lines.iter().copied().collect(),
            ..Sent::default()
        }
    }

    #[test]
    fn nothing_sent_is_nothing_lost_and_nothing_arrived_is_all_lost() {
        let tally = Tally::default();
        assert!(tally.report(None).is_clean());
        assert!(tally.report(Some(&sent(&[(1, 0)]))).is_clean());
        let report = tally.report(Some(&sent(&[(1, 10_000)])));
        assert_eq!((report.lost, report.received), (10_000, 0));
        assert_eq!(report.writers[0].lost_lines, [[0, 9_999]]);
    }

    #[test]
    fn a_repeat_is_excused_only_if_nothing_was_answered() {
        let mark = Mark { writer: 1, seq: 5 };
        let mut tally = Tally::default();
        tally.add(mark, Verdict::None);
        tally.add(mark, Verdict::None);
        tally.add(mark, Verdict::Given);
        let writer = &tally.report(None).writers[0];
        assert_eq!((writer.repeated, writer.repeated_without_verdict), (0, 2));
        tally.add(mark, Verdict::Given);
        let writer = &tally.report(None).writers[0];
        assert_eq!((writer.repeated, writer.repeated_without_verdict), (1, 2));
    }

    #[test]
    fn nonsense_uses_no_memory_up() {
        let mut tally = Tally::default();
        for page in 0..PAGES_MAX as u64 + 10 {
            let seq = page * PAGE;
            tally.add(Mark { writer: 1, seq }, Verdict::Given);
        }
        assert_eq!(tally.report(None).marks_beyond_memory, 10);
        let mut tally = Tally::default();
        for seq in 0..20 * PAGE {
            tally.add(Mark { writer: 1, seq }, Verdict::Given);
        }
        assert_eq!(tally.pages, 0, "what is complete takes no page");
        assert!(tally.report(Some(&sent(&[(1, 20 * PAGE)]))).is_clean());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is left out, sent again or moved is found, exactly.
        #[test]
        fn injected_faults_are_found_exactly(
            lines in 1u64..10_000,
            lost in prop::collection::btree_set(0u64..10_000, 0..50),
            repeated in prop::collection::vec(0u64..10_000, 0..50),
            swapped in prop::collection::btree_set(0u64..5_000, 0..20),
        ) {
            let lost: BTreeSet<u64> = lost.into_iter().filter(|seq| *seq < lines).collect();
            let mut order: Vec<u64> = (0..lines).filter(|seq| !lost.contains(seq)).collect();
            let mut late = 0;
            for pair in swapped {
                let first = 2 * pair as usize;
                if first + 1 < order.len() {
                    order.swap(first, first + 1);
                    late += 1;
                }
            }
            let mut tally = Tally::default();
            for seq in &order {
                tally.add(Mark { writer: 1, seq: *seq }, Verdict::Given);
            }
            let mut again = 0;
            for seq in repeated.into_iter().filter(|seq| *seq < lines && !lost.contains(seq)) {
                tally.add(Mark { writer: 1, seq }, Verdict::Given);
                again += 1;
            }
            tally.add(Mark { writer: 2, seq: 0 }, Verdict::Given);
            let report = tally.report(Some(&sent(&[(1, lines)])));
            prop_assert_eq!(report.lost, lost.len() as u64);
            prop_assert_eq!(report.received, lines - lost.len() as u64);
            prop_assert_eq!(report.repeated, again);
            prop_assert_eq!(report.out_of_order, late);
            prop_assert_eq!(report.of_other_runs, 1);
            let named: Vec<u64> = report.writers[0]
                .lost_lines
                .iter()
                .flat_map(|[first, last]| *first..=*last)
                .collect();
            let all: Vec<u64> = lost.into_iter().collect();
            prop_assert!(all.starts_with(&named));
            prop_assert!(named.len() == all.len() || report.writers[0].lost_lines.len() == STRETCHES_MAX);
        }
    }
}
