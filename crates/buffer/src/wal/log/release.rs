//! What waits in the log, and how it goes once all its outputs have it.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::super::segment::Segment;
use super::{Log, Waiting};

impl Log {
    /// The number after the last record for `route` in the oldest segment that has something for it from `from` on.
    pub fn end_of_oldest(&self, route: &str, from: u64) -> Option<u64> {
        let shares = self
            .segments
            .iter()
            .map(|segment| segment.routes.get(route));
        let mut ends = shares.flatten().map(|share| share.end);
        ends.find(|end| *end > from)
    }

    /// The lowest number that something is stored for.
    pub fn first(&self) -> u64 {
        let firsts = self.segments.iter().map(|segment| segment.header.first);
        firsts.min().unwrap_or(self.next)
    }

    /// Removes the segments that all their outputs are past, but for the one that is being written. Returns whether there
    /// were any.
    pub fn release(&mut self) -> bool {
        let is_needed = self.is_writing || self.unread.is_some();
        let writing = self.segments.len() - usize::from(is_needed);
        self.release_of(writing)
    }

    fn release_of(&mut self, count: usize) -> bool {
        let done: Vec<usize> = (0..count)
            .filter(|index| self.is_done(&self.segments[*index]))
            .collect();
        if done.is_empty() {
            return false;
        }
        for index in &done {
            let segment = &self.segments[*index];
            let range = segment.header.first..segment.end;
            // Should the disk be too full for this, removing the file makes room for it next time; until then a loss of
            // power would make the log tell of a gap that is none.
            let _ = self.cursors.release(range, &segment.chunks);
        }
        let _ = self.cursors.sync();
        for index in done.into_iter().rev() {
            let path = &self.segments[index].path;
            match self.fs.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                _ => drop(self.segments.remove(index)),
            }
        }
        true
    }

    pub(super) fn is_done(&self, segment: &Segment) -> bool {
        let mut routes = segment.routes.iter();
        let is_needed = segment.holds_lost && !self.lost.is_empty();
        !is_needed
            && routes.all(|(name, share)| self.is_past(name, segment.header.first..share.end))
    }

    /// Whether an output is done with a range. What it has not answered for before that does not count: otherwise one
    /// record without an answer would hold everything behind it on the disk.
    fn is_past(&self, route: &str, range: Range<u64>) -> bool {
        let progress = self.cursors.progress(route);
        progress.is_some_and(|progress| progress.covers(&range))
    }

    /// Ends the log: what is done with goes, the rest is made safe.
    ///
    /// # Errors
    /// When something may not be safe.
    pub fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        let is_usable = std::mem::take(&mut self.is_writing);
        self.release();
        let noted = self.cursors.sync();
        if is_usable && let Some(last) = self.segments.last_mut() {
            last.close();
        }
        noted
    }

    /// What lies in the log for each output.
    pub fn waiting(&self) -> BTreeMap<Arc<str>, Waiting> {
        let mut all: BTreeMap<Arc<str>, Waiting> = BTreeMap::new();
        for segment in &self.segments {
            for (name, share) in &segment.routes {
                if !self.is_past(name, segment.header.first..share.end) {
                    let waiting = all.entry(Arc::clone(name)).or_default();
                    waiting.records += share.records;
                    waiting.bytes += share.bytes;
                }
            }
        }
        all
    }

    /// How many segments there are, and how many bytes they have together.
    pub fn size(&self) -> (usize, u64) {
        let bytes = self.segments.iter().map(|segment| segment.len).sum();
        (self.segments.len(), bytes)
    }
}
