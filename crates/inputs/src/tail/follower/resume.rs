//! Going on where an earlier run, or this one, has left a file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use buffer::positions::Position;
use tokio::time::Instant;

use super::super::cursor::Cursor;
use super::super::descriptor::Opened;
use super::super::file::Place;
use super::super::identity::{self, Verdict};
use super::super::long_lines::LongLines;
use super::super::parked::{ParkedFile, Whereabouts};
use super::discover::Entry;
use super::{Follower, Number, Phase};

impl Follower {
    /// What is known about a file that was just opened at `path`.
    pub(super) fn known(&mut self, opened: &Opened, path: &Path) -> Option<(ParkedFile, Verdict)> {
        let name = self.setup.options.database.compare_filename.then_some(path);
        let known = self.parked.take(&opened.file, &opened.metadata, name);
        known.gone.into_iter().for_each(|row| self.remove_row(row));
        known.found
    }

    /// Follows a file whose position is known.
    pub(super) fn resume(
        &mut self,
        opened: Opened,
        entry: Entry,
        parked: ParkedFile,
        verdict: Verdict,
        now: Instant,
    ) -> Option<Number> {
        if verdict != Verdict::Same {
            return self.resume_replaced(opened, entry, parked, now);
        }
        let delivered = delivered(&parked.position);
        let position = delivered
            .last()
            .map_or(parked.position.offset, |last| last.end);
        let Some(mut cursor) = self.cursor_at(&opened, position, &entry.name) else {
            self.parked.add(parked);
            return None;
        };
        if self.is_inside_cut_line(&opened, &cursor) {
            cursor = cursor.with_rest_dropped();
        }
        let ledger = self.answers.ledger(parked.position.offset);
        for range in delivered {
            ledger.skip(range.clone());
        }
        let row = parked.row;
        let Some(number) = self.add(opened, entry, cursor, now) else {
            self.parked.add(parked);
            return None;
        };
        self.own(number, row, ledger);
        self.is_content_of(number, &parked.position);
        if let Some(file) = self.files.get_mut(&number) {
            file.flags.owing = true;
            self.state.owing = true;
            // Gaps between delivered ranges are refused ranges.
            self.answers.came.store(true, Ordering::Release);
        }
        Some(number)
    }

    /// The file was truncated, and maybe written anew, since its position was stored. What was not read before may stand in a
    /// copy that rotation made.
    fn resume_replaced(
        &mut self,
        opened: Opened,
        entry: Entry,
        parked: ParkedFile,
        now: Instant,
    ) -> Option<Number> {
        let (log, position) = (&self.setup.log, &parked.position);
        log.debug(format_args!(
            "inode={} file truncated {} (stored offset: {}, size: {})",
            position.inode,
            entry.name.display(),
            position.offset,
            opened.metadata.len()
        ));
        let real = parked.real();
        let origin = Arc::clone(&entry.origin);
        let number = self.add_new(opened, entry, 0, now)?;
        if let Some(file) = self.files.get_mut(&number) {
            file.row = parked.row;
            let facts = parked.position.facts.as_ref();
            file.generation = facts.map_or(0, |facts| facts.generation) + 1;
        }
        let position = parked.position;
        if let Some((copy, path, row)) = self.find_copy(&real, &position) {
            let row = row.or_else(|| self.new_row());
            let again = ParkedFile { row, position };
            let entry = away(origin, &path, now);
            self.resume(copy, entry, again, Verdict::Same, now);
        } else {
            self.settle_shorter_copies(&real, &position);
            let file = ParkedFile {
                row: self.new_row(),
                position: Position {
                    rotated: true,
                    ..position
                },
            };
            self.write_parked(&file);
            self.unpack(file);
        }
        Some(number)
    }

    /// Whether the position lies behind the part of a long line that was kept, so that the rest of it must be dropped.
    fn is_inside_cut_line(&self, opened: &Opened, cursor: &Cursor) -> bool {
        let LongLines::Truncate(kept) = self.limits.long_lines else {
            return false;
        };
        // A cut between characters takes up to three bytes off.
        let needed = kept.saturating_sub(3).max(1);
        let position = cursor.position();
        let mut before = vec![0; needed.min(position) as usize];
        let start = position - before.len() as u64;
        let read = std::os::unix::fs::FileExt::read_exact_at(&opened.file, &mut before, start);
        read.is_ok() && before.len() as u64 == needed && memchr::memchr(b'\n', &before).is_none()
    }

    /// Looks for the files that are not open: some went on under another name, some are gone.
    pub(super) fn look_after_parked(&mut self, phase: Phase, now: Instant) {
        let parked = self.parked.take_all();
        let mut gone = 0;
        let mut rotated = Vec::new();
        for file in parked {
            let names = (file.real(), Arc::<Path>::from(file.origin()));
            match file.find() {
                Whereabouts::SameName => self.go_on_if_rotated(file, now),
                Whereabouts::Renamed(path) => {
                    rotated.extend((!file.position.rotated).then_some(names));
                    self.was_renamed(file, &path, now);
                }
                Whereabouts::Gone => {
                    gone += 1;
                    rotated.extend((!file.position.rotated).then_some(names));
                    // Its row stays until it is known that nothing is left in an archive.
                    self.unpack(file);
                }
                Whereabouts::Unknown => self.parked.add(file),
            }
        }
        if phase != Phase::Start {
            return;
        }
        for (real, origin) in rotated {
            // Generations that were made and rotated away while nobody looked.
            if let Some(since) = self.generations_since {
                self.adopt_generations(&real, &origin, since, now);
            }
        }
        if self.writer.is_some() {
            self.setup.log.info(format_args!(
                "db: delete unmonitored stale inodes from the database: count={gone}"
            ));
        }
    }

    /// A file that was not found by a pattern has its old name: it is read on only if it is a rotated one.
    fn go_on_if_rotated(&mut self, file: ParkedFile, now: Instant) {
        let path = file.position.name.clone();
        match file.position.rotated {
            true => self.go_on(file, &path, now),
            false => self.parked.add(file),
        }
    }

    fn was_renamed(&mut self, mut file: ParkedFile, path: &Path, now: Instant) {
        self.setup.log.info(format_args!(
            "inode={} handle rotation(): {} => {}",
            file.position.inode,
            file.position.name.display(),
            path.display()
        ));
        if !file.position.rotated {
            self.counters.rotated.add(1);
        }
        if file.position.facts.is_none() {
            // Its tag is made from the name that it had.
            file.position.facts = Some(buffer::positions::Facts {
                origin: file.position.name.clone(),
                path: file.real(),
                ..Default::default()
            });
        }
        file.position.name = path.to_owned();
        file.position.rotated = true;
        self.write_parked(&file);
        self.go_on(file, path, now);
    }

    /// Reads what was added to a rotated file.
    fn go_on(&mut self, file: ParkedFile, path: &Path, now: Instant) {
        let Ok(opened) = self.open_file(path) else {
            self.parked.add(file);
            return;
        };
        let is_known = self.by_id.contains_key(&opened.id());
        match identity::judge(&file.position, &opened.file, &opened.metadata) {
            Verdict::Same if is_known => self.parked.add(file),
            // What is left of it stands in an archive, if anywhere.
            _ if is_known => self.unpack(file),
            Verdict::Same if opened.metadata.len() > file.position.offset => {
                let entry = away(Arc::from(file.origin()), path, now);
                self.resume(opened, entry, file, Verdict::Same, now);
            }
            Verdict::Same => self.parked.add(file),
            // What replaced an old generation is none of ours.
            Verdict::NewContent | Verdict::OtherFile => self.remove_row(file.row),
        }
    }
}

/// An entry for a file that goes by another name than the one it was found under.
pub(super) fn away(origin: Arc<Path>, path: &Path, now: Instant) -> Entry {
    Entry {
        origin,
        name: path.to_owned(),
        place: Place::Away(now),
        at_start: false,
    }
}

fn delivered(position: &Position) -> &[std::ops::Range<u64>] {
    match &position.facts {
        Some(facts) => &facts.delivered,
        None => &[],
    }
}
