//! Lines that are joined and wait for more.

use std::path::Path;
use std::sync::Arc;

use record::{Batch, Obligation, Receipt};
use tokio::time::Instant;

use super::super::lines::Lines;
use super::super::multiline::{Reading, Which};
use super::{Follower, Number};

impl Lines {
    /// The lines that follow are of this file.
    pub(super) fn begin(&mut self, number: Number, reading: Reading) {
        if let Some(multiline) = &mut self.multiline {
            multiline.begin(number, reading);
        }
    }
}

impl Follower {
    /// Puts what was made of lines on the road. What waits for more keeps its part of the obligation. With the `last` lines of a
    /// range that was refused nothing waits.
    pub(super) fn hand_over_joined(
        &mut self,
        mut batch: Batch,
        obligation: Obligation,
        path: &Arc<Path>,
        last: bool,
    ) {
        if last {
            self.lines
                .append_waiting(&mut batch, path, |multiline, batch| {
                    multiline.complete_current(batch);
                });
        }
        if let Some(multiline) = &mut self.lines.multiline {
            multiline.finish(&mut batch, obligation, path);
        }
        self.emit_joined(batch);
    }

    fn emit_joined(&mut self, mut batch: Batch) {
        if batch.is_empty() {
            // What is left of the obligation is for lines that nothing is made of.
            std::mem::replace(batch.receipt_mut(), Receipt::none()).settle_all();
            return;
        }
        self.emitter.emit(batch);
    }

    /// Hands over what has waited long enough.
    pub(super) fn emit_waiting(&mut self, now: Instant) {
        self.emit_which(Which::Due, now, None);
    }

    /// Hands over what waits of a file whose content was replaced.
    pub(super) fn emit_waiting_of(&mut self, number: Number) {
        self.emit_which(Which::All, Instant::now(), Some(number));
    }

    /// Hands over what waits: no more lines will come.
    pub fn emit_at_end(&mut self) {
        if self.files.values().all(|file| !file.cursor.has_more()) {
            self.emit_which(Which::All, Instant::now(), None);
        }
    }

    /// What waits when reading ends stays for the next start, if positions are stored; otherwise it is handed over as it is.
    pub(super) fn keep_waiting(&mut self) {
        if self.writer.is_none() {
            self.emit_which(Which::All, Instant::now(), None);
        }
    }

    fn emit_which(&mut self, which: Which, now: Instant, only: Option<Number>) {
        let Some(multiline) = &self.lines.multiline else {
            return;
        };
        let keys = multiline.due(which, now.into_std());
        for key in keys {
            if only.is_some_and(|only| only != key.0) {
                continue;
            }
            let multiline = self.lines.multiline.as_mut();
            let Some((mut batch, path)) = multiline.and_then(|own| own.batch_of_waiting(key))
            else {
                continue;
            };
            self.lines
                .append_waiting(&mut batch, &path, |multiline, batch| {
                    multiline.complete_waiting(which, batch);
                });
            if let Some(multiline) = &mut self.lines.multiline {
                multiline.finish(&mut batch, Obligation::none(), &path);
            }
            self.emit_joined(batch);
        }
    }

    /// When something will have waited long enough.
    pub(super) fn waiting_until(&self) -> Option<Instant> {
        let multiline = self
            .lines
            .multiline
            .as_ref()
            .filter(|_| !self.state.stopping)?;
        multiline.deadline().map(Instant::from_std)
    }

    /// How many bytes of a file wait.
    pub(super) fn waiting_of(&self, number: Number) -> u64 {
        let multiline = self.lines.multiline.as_ref();
        multiline.map_or(0, |multiline| multiline.waiting_of(number))
    }
}
