//! Writing positions: soon after something is answered for, because whatever a crash finds unwritten comes twice; and not
//! so often that it would be felt.

use std::time::Duration;

use buffer::positions::RowKey;
use tokio::time::Instant;

use super::super::parked::ParkedFile;
use super::{Follower, Number};

/// Positions are written as often as this while there are new ones,
const SAVE_MIN: Duration = Duration::from_millis(50);
/// less often if a write takes more than one part in so many of the time between two,
const SAVE_SHARE: u32 = 500;
/// but at least as often as this.
const SAVE_MAX: Duration = Duration::from_secs(1);

impl Follower {
    /// Gives the writer what changed, if it is time for it.
    pub(super) fn save_if_due(&mut self, now: Instant) {
        let due = match self.state.unsaved {
            true => self.times.save,
            // The writer may want everything anew.
            false => self.times.save + SAVE_MAX,
        };
        if now >= due {
            self.save(now);
        }
    }

    /// When a round is due for the sake of positions alone.
    pub fn next_save(&self) -> Option<Instant> {
        // As long as something is read, rounds follow each other soon enough.
        let is_calm = self.idle_rounds > 0 || self.rhythm.is_slow() || self.state.stopping;
        (self.state.unsaved && is_calm).then_some(self.times.save)
    }

    /// Whether positions are to be written as soon as something is answered for.
    pub fn awaits_answers(&self) -> bool {
        let is_calm = self.idle_rounds > 0 || self.rhythm.is_slow();
        is_calm && self.state.owing && !self.state.unsaved && self.writer.is_some()
    }

    /// Gives the writer what changed.
    pub(super) fn save(&mut self, now: Instant) {
        let cost = self.writer.as_ref().map(|writer| writer.cost());
        let pause = cost.unwrap_or_default() * SAVE_SHARE;
        self.times.save = now + pause.clamp(SAVE_MIN, SAVE_MAX);
        self.state.unsaved = false;
        let Some(writer) = &self.writer else {
            return;
        };
        let all = writer.wants_all();
        let mut replaced: Vec<Number> = Vec::new();
        for (number, file) in &mut self.files {
            if !file.flags.unsaved && !all {
                continue;
            }
            let held = file.descriptor.held();
            if held.is_some_and(|held| !file.cursor.is_unchanged(held)) {
                // A marker of the new content must not be stored with a position in the old one.
                replaced.push(*number);
                continue;
            }
            file.flags.unsaved = false;
            if let Some(row) = file.row {
                self.changes.rows.insert(row, Some(file.position()));
            }
        }
        if all {
            for file in self.parked.iter() {
                let row = file.row.map(|row| (row, Some(file.position.clone())));
                self.changes.rows.extend(row);
            }
        }
        if !self.changes.is_empty() {
            let instance = self.setup.options.path.0.join(",");
            let scanned = self.scanned;
            let scanned = scanned.and_then(|own| self.setup.share.scanned_by_all(own));
            self.changes.scan = scanned.map(|scanned| (instance, scanned));
            writer.write(std::mem::take(&mut self.changes));
        }
        replaced.into_iter().for_each(|number| self.look_at(number));
    }

    /// A row for a file that has none, if there is a database.
    pub(super) fn new_row(&self) -> Option<RowKey> {
        self.writer.as_ref().map(|writer| writer.new_key())
    }

    /// Lets the row of a file that is not open be written.
    pub(super) fn write_parked(&mut self, file: &ParkedFile) {
        if let Some(row) = file.row {
            self.changes.rows.insert(row, Some(file.position.clone()));
            self.state.unsaved = true;
        }
    }

    /// Lets the row of a file that is gone be removed.
    pub(super) fn remove_row(&mut self, row: Option<RowKey>) {
        if let Some(row) = row {
            self.changes.rows.insert(row, None);
            self.state.unsaved = true;
        }
    }
}
