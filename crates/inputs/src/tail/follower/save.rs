//! Writing positions.

use buffer::positions::RowKey;
use tokio::time::Instant;

use super::super::parked::ParkedFile;
use super::{Follower, Number, SAVE};

impl Follower {
    /// Gives the writer what changed.
    pub(super) fn save(&mut self, now: Instant) {
        self.times.save = now + SAVE;
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
            self.changes.scan = self.scanned.map(|scanned| (instance, scanned));
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
