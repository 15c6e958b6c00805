//! The bytes of one file: what processes see, and what is on the disk.

use std::ops::Range;

use crate::dice::Dice;

/// What a device writes in one piece.
const SECTOR: usize = 512;
/// What the system writes in one piece, in any order.
const PAGE: usize = 4096;

/// A file's bytes.
#[derive(Default)]
pub struct Content {
    /// In memory: what processes read.
    seen: Vec<u8>,
    /// On the disk.
    durable: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Change>,
    /// What a failed sync took for written: it is in memory alone, and no later sync writes it.
    forgotten: Vec<Range<usize>>,
}

#[derive(Clone, Debug)]
enum Change {
    Append(Range<usize>),
    Truncate(usize),
}

impl Content {
    /// What processes read.
    pub fn bytes(&self) -> &[u8] {
        &self.seen
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let start = self.seen.len();
        self.seen.extend_from_slice(bytes);
        self.unsynced.push(Change::Append(start..self.seen.len()));
    }

    /// Cuts the file.
    pub fn truncate(&mut self, length: usize) {
        if length < self.seen.len() {
            self.seen.truncate(length);
            self.unsynced.push(Change::Truncate(length));
            self.cut_forgotten(length);
        }
    }

    fn cut_forgotten(&mut self, length: usize) {
        for range in &mut self.forgotten {
            range.end = range.end.min(length);
        }
        self.forgotten.retain(|range| !range.is_empty());
    }

    /// Everything is on the disk, but for what an earlier sync forgot.
    pub fn sync(&mut self) {
        self.durable = self.seen.clone();
        for range in &self.forgotten {
            self.durable[range.clone()].fill(0);
        }
        self.unsynced.clear();
    }

    /// A sync failed: what was not written counts as written from now on, and is not.
    pub fn forget_unsynced(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Append(range) => {
                    let end = range.end.min(self.seen.len());
                    if range.start < end {
                        self.forgotten.push(range.start..end);
                    }
                }
                // The length is kept apart from the pages; it may or may not have been written.
                Change::Truncate(length) => {
                    self.durable.truncate(length);
                    self.cut_forgotten(length);
                }
            }
        }
    }

    /// Memory is needed: pages that count as written are read from the disk again. What stood there goes to `gone`.
    pub fn evict(&mut self, gone: &mut Vec<u8>) {
        for range in self.forgotten.drain(..) {
            gone.extend_from_slice(&self.seen[range.clone()]);
            self.seen[range].fill(0);
        }
    }

    /// The power goes.
    pub fn lose_power(&mut self, dice: &mut Dice) {
        let truncated = |change: &Change| matches!(change, Change::Truncate(_));
        if self.unsynced.iter().any(truncated) {
            self.keep_prefix(dice);
        } else if self.seen.len() > self.durable.len() {
            self.keep_pages(dice);
        }
        self.unsynced.clear();
        self.forgotten.clear();
        self.seen = self.durable.clone();
    }

    /// What was done up to some moment is on the disk, the last of it perhaps in part.
    fn keep_prefix(&mut self, dice: &mut Dice) {
        let count = dice.count(0..self.unsynced.len() + 1);
        let longest = self.longest();
        for (index, change) in self.unsynced[..count].iter().enumerate() {
            match change {
                Change::Truncate(length) => self.durable.truncate(*length),
                Change::Append(range) => {
                    let is_last = index + 1 == count;
                    let length = match is_last {
                        true => dice.count(0..range.len() + 1) / SECTOR * SECTOR,
                        false => range.len(),
                    };
                    self.durable.resize(range.start.min(longest), 0);
                    let end = (range.start + length).min(self.seen.len());
                    // What was cut later is gone from memory: zeros stand for it.
                    let kept = self.seen.get(range.start..end).unwrap_or_default();
                    self.durable.extend_from_slice(kept);
                    self.durable.resize(range.start + length, 0);
                }
            }
        }
    }

    fn longest(&self) -> usize {
        self.seen.len().max(self.durable.len())
    }

    /// Of the new bytes any pages are on the disk, whole or in part; the file is as long as the last of them, or longer.
    fn keep_pages(&mut self, dice: &mut Dice) {
        let old = self.durable.len();
        let length = match dice.count(0..4) {
            0 => old,
            1 => self.seen.len(),
            2 => old + dice.count(0..self.seen.len() - old + 1),
            _ => (old + dice.count(0..self.seen.len() - old + 1)).next_multiple_of(SECTOR),
        };
        self.durable.resize(length.min(self.seen.len()).max(old), 0);
        let mut at = old;
        while at < self.durable.len() {
            let end = (at / PAGE * PAGE + PAGE).min(self.durable.len());
            let written = match dice.count(0..3) {
                0 => at,
                1 => end,
                _ => (at + dice.count(0..end - at + 1)) / SECTOR * SECTOR,
            };
            let written = written.clamp(at, end);
            self.durable[at..written].copy_from_slice(&self.seen[at..written]);
            at = end;
        }
        for range in &self.forgotten {
            let end = range.end.min(self.durable.len());
            if range.start < end {
                self.durable[range.start..end].fill(0);
            }
        }
    }
}
