//! Rotation: files that are renamed, replaced, truncated, copied, deleted.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use std::os::unix::fs::MetadataExt;

use buffer::positions::{Facts, Fingerprint, Position, RowKey};
use record::Origin;
use tokio::time::Instant;

use super::super::cursor::Cursor;
use super::super::descriptor::Opened;
use super::super::file::Place;
use super::super::identity::{self, FileId, Verdict};
use super::super::parked::ParkedFile;
use super::super::siblings;
use super::resume::away;
use super::{Awaited, Follower, Number, Orphan, Phase};

impl Follower {
    /// Notices when a path leads to another file, or to none.
    pub(super) fn check_path(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get(&number) else {
            return;
        };
        if file.place != Place::Here {
            self.check_links(number, now);
            return;
        }
        match std::fs::metadata(&file.name) {
            Ok(metadata) if FileId::of(&metadata) == file.id => {}
            Ok(_) => self.went_away(number, now),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                self.went_away(number, now);
            }
            // It cannot be told now; the next check may.
            Err(_) => {}
        }
    }

    /// A file that went away may be deleted later.
    fn check_links(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        if matches!(file.place, Place::Deleted(_)) {
            return;
        }
        match file.descriptor.metadata(&file.name) {
            Ok(metadata) if metadata.nlink() > 0 => {}
            Ok(_) => file.place = Place::Deleted(now),
            Err(_) => self.find_again(number, now),
        }
    }

    /// A file whose descriptor was given up is not at its path any more: it is looked for beside it, and opened.
    fn find_again(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        if file.descriptor.held().is_some() {
            return;
        }
        if file.descriptor.get(&file.real).is_ok() {
            file.name = file.real.clone();
            return;
        }
        for path in [file.real.clone(), file.name.clone()] {
            let mut same = siblings::beside(&path).unwrap_or_default();
            same.retain(|sibling| sibling.inode == file.id.inode);
            if let Some(found) = same.iter().find(|s| file.descriptor.get(&s.path).is_ok()) {
                file.name = found.path.clone();
                return;
            }
        }
        file.place = Place::Deleted(now);
        if file.is_done() {
            return;
        }
        let name = file.name.display();
        self.setup.log.error(format_args!(
            "{name} was deleted while its descriptor was given up: what was not read of it is lost; the limit of open \
             files (ulimit -n) is too low"
        ));
        self.counters.dropped_deleted.add(1);
        let end = file.cursor.position();
        if let Some(file) = self.files.get_mut(&number) {
            // Nothing of it can be read, and nothing refused be read again.
            let _ = file.cursor.set_end(end);
            file.cursor.search_again();
            for range in file.ledger.refused() {
                file.ledger.skip(range);
            }
        }
    }

    fn went_away(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let path = file.name.clone();
        let inode = file.id.inode;
        self.by_name.remove(&path);
        let was_given_up = file.descriptor.held().is_none();
        if was_given_up {
            file.place = Place::Away(now);
            self.find_again(number, now);
        }
        let log = &self.setup.log;
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let held = file.descriptor.held().map(std::fs::File::metadata);
        let is_deleted = match held {
            Some(metadata) => metadata.is_ok_and(|metadata| metadata.nlink() == 0),
            None => true,
        };
        if is_deleted {
            file.place = Place::Deleted(now);
            log.debug(format_args!(
                "inode={inode} file has been deleted: {}",
                path.display()
            ));
        } else {
            let name = file.real_name();
            file.place = Place::Away(now);
            log.info(format_args!(
                "inode={inode} handle rotation(): {} => {}",
                path.display(),
                name.display()
            ));
            file.name = name;
            self.counters.rotated.add(1);
        }
        let (real, origin, found) = (file.real.clone(), Arc::clone(&file.origin), file.found);
        self.mark_unsaved(number);
        self.adopt_generations(&real, &origin, found, now);
        self.await_successor(&path, now);
    }

    /// Follows the file that took the place of one that went away, now or when it appears.
    fn await_successor(&mut self, path: &Path, now: Instant) {
        if self.follow_successor(path, now) || self.awaited.iter().any(|a| a.path == path) {
            return;
        }
        self.awaited.push(Awaited {
            path: path.to_owned(),
            until: now + self.setup.options.rotate_wait.0,
        });
    }

    pub(super) fn look_for_awaited(&mut self, now: Instant) {
        let awaited = std::mem::take(&mut self.awaited);
        for one in awaited {
            if !self.follow_successor(&one.path, now) && now < one.until {
                self.awaited.push(one);
            }
        }
    }

    /// Whether a file stands at `path`, be it followed or not wanted.
    fn follow_successor(&mut self, path: &Path, now: Instant) -> bool {
        let Ok(opened) = self.open_file(path) else {
            return false;
        };
        let id = opened.id();
        if self.by_id.contains_key(&id) {
            return true;
        }
        if self.parked.has(id) || self.setup.exclusions.iter().any(|e| e.matches(path)) {
            self.consider(path, Phase::Later, now);
            return true;
        }
        let entry = super::discover::Entry {
            origin: Arc::from(path),
            name: path.to_owned(),
            place: Place::Here,
            at_start: false,
        };
        // Whatever the options say about new files: this one goes on where the last one ended.
        self.add_new(opened, entry, 0, now);
        true
    }

    /// Follows files beside `real` that look like generations of it, were made after `since`, and are unknown: they came
    /// and went between two looks.
    pub(super) fn adopt_generations(
        &mut self,
        real: &Path,
        origin: &Arc<Path>,
        since: SystemTime,
        now: Instant,
    ) {
        let Ok(siblings) = siblings::beside(real) else {
            return;
        };
        let mut missed: Vec<(SystemTime, PathBuf, Opened)> = Vec::new();
        for sibling in siblings {
            if !siblings::looks_rotated(real, &sibling.path) {
                continue;
            }
            let Ok(metadata) = std::fs::metadata(&sibling.path) else {
                continue;
            };
            let made = made(&metadata).filter(|made| *made >= since && metadata.len() > 0);
            let is_followed = self.by_id.contains_key(&FileId::of(&metadata));
            if let (Some(made), false) = (made, is_followed)
                && let Ok(opened) = self.open_file(&sibling.path)
                && self.is_new(&opened)
                && !self.is_copy(&opened, &sibling.path, now)
            {
                missed.push((made, sibling.path, opened));
            }
        }
        missed.sort_by_key(|(made, ..)| *made);
        for (_, path, opened) in missed {
            self.tell_generation(&opened, &path, origin);
            self.add_new(opened, away(Arc::clone(origin), &path, now), 0, now);
        }
    }

    pub(super) fn tell_generation(&self, opened: &Opened, path: &Path, origin: &Path) {
        self.setup.log.info(format_args!(
            "inode={} found generation {} of {}",
            opened.id().inode,
            path.display(),
            origin.display()
        ));
    }

    /// Whether the file neither is followed nor was. What is known about another file that had its inode is forgotten.
    pub(super) fn is_new(&mut self, opened: &Opened) -> bool {
        if self.by_id.contains_key(&opened.id()) {
            return false;
        }
        let known = self.parked.take(&opened.file, &opened.metadata, None);
        known.gone.into_iter().for_each(|row| self.remove_row(row));
        match known.found {
            None => true,
            Some((file, Verdict::NewContent)) if identity::birth(&opened.metadata).is_none() => {
                // Without births, an inode that is used again cannot be told from a file that was truncated.
                self.remove_row(file.row);
                true
            }
            Some((file, _)) => {
                self.parked.add(file);
                false
            }
        }
    }

    /// The content that was read is gone from the file: it was truncated, and maybe written anew.
    pub(super) fn content_replaced(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let Ok(metadata) = file.descriptor.metadata(&file.name) else {
            return;
        };
        // What is left of the old content will not go on.
        self.emit_waiting_of(number);
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let (size, read_to, known) = (metadata.len(), file.cursor.position(), file.cursor.end());
        self.setup.log.debug(format_args!(
            "inode={} file truncated {} (size: {size} bytes, read: {read_to} bytes)",
            file.id.inode,
            file.name.display()
        ));
        let cursor = match file.descriptor.get(&file.name) {
            Ok(open) => Cursor::new(open, 0, size),
            Err(_) => return,
        };
        let Ok(cursor) = cursor else {
            return;
        };
        let marks = file.cursor.marks();
        let old = Position {
            marker: marks.marker,
            offset: read_to,
            facts: file.position().facts.map(|facts| Facts {
                tail: marks.tail,
                delivered: Vec::new(),
                ..facts
            }),
            ..file.position()
        };
        let ledger = std::mem::replace(&mut file.ledger, self.answers.ledger(0));
        file.cursor = cursor;
        file.head = Fingerprint::NONE;
        (file.generation, file.source) = (file.generation + 1, None);
        file.marks = None;
        file.flags.unverified = false;
        file.note_head();
        file.grown = now;
        file.verified = now;
        file.modified = metadata.modified().ok();
        let (real, origin, name) = (
            file.real.clone(),
            Arc::clone(&file.origin),
            file.name.clone(),
        );
        self.mark_unsaved(number);
        // Soon: until then, a crash would confuse what is delivered of the new content with the old one.
        self.times.save = now;
        self.look_at(number);
        match self.find_copy(&real, &old) {
            Some((copy, path, row)) => {
                self.follow_copy(copy, (&path, row), origin, &old, ledger, now)
            }
            None => {
                self.settle_shorter_copies(&real, &old);
                if known > read_to {
                    self.setup.log.warn(format_args!(
                        "{} was truncated while {} of its bytes were not read yet",
                        name.display(),
                        known - read_to
                    ));
                }
                self.orphans.push(Orphan { ledger, name });
            }
        }
    }

    /// Goes on in a copy of the content that was replaced: it has the same positions.
    fn follow_copy(
        &mut self,
        copy: Opened,
        (path, row): (&Path, Option<RowKey>),
        origin: Arc<Path>,
        old: &Position,
        ledger: Arc<record::Ledger>,
        now: Instant,
    ) {
        self.setup.log.info(format_args!(
            "inode={} goes on in its copy {}",
            old.inode,
            path.display()
        ));
        let orphan = Orphan {
            ledger: Arc::clone(&ledger),
            name: path.to_owned(),
        };
        let row = row.or_else(|| self.new_row());
        let number = self
            .cursor_at(&copy, old.offset, path)
            .and_then(|cursor| self.add(copy, away(origin, path, now), cursor, now));
        match number {
            Some(number) => {
                self.own(number, row, ledger);
                self.is_content_of(number, old);
            }
            None => self.orphans.push(orphan),
        }
    }

    /// A file goes on with the content of another: records are named after that.
    pub(super) fn is_content_of(&mut self, number: Number, old: &Position) {
        if let Some(file) = self.files.get_mut(&number)
            && let Some(facts) = &old.facts
        {
            file.generation = facts.generation;
            file.source = facts.source.map(Origin::from_bytes);
        }
    }

    /// Closes a file that went away, once nothing is left to do for it.
    pub(super) fn close_if_finished(&mut self, number: Number, now: Instant) {
        let wait = self.setup.options.rotate_wait.0;
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        if file.is_finished(now, wait) {
            if matches!(file.place, Place::Deleted(_)) && file.cursor.has_rest() {
                // Nobody can finish this line any more.
                file.cursor.complete();
                self.look_at(number);
                return;
            }
            self.close(number);
        } else if self.setup.options.ignore_active_older_files {
            self.close_if_old(number);
        }
    }

    fn close_if_old(&mut self, number: Number) {
        let Some(file) = self.files.get(&number) else {
            return;
        };
        let age = self.setup.options.ignore_older.0;
        let is_old = |metadata| super::super::file::is_older(&metadata, age);
        let is_old = file.descriptor.metadata(&file.name).is_ok_and(is_old);
        if file.is_done() && is_old {
            self.setup.log.debug(format_args!(
                "purge: monitored file (ignore older): {}",
                file.name.display()
            ));
            self.close(number);
        }
    }

    /// Closes a file. Its position is kept as long as the file exists.
    fn close(&mut self, number: Number) {
        let Some(file) = self.files.remove(&number) else {
            return;
        };
        self.setup.log.debug(format_args!(
            "inode={} removing file name {}",
            file.id.inode,
            file.name.display()
        ));
        self.by_id.remove(&file.id);
        if self.by_name.get(&file.name) == Some(&number) {
            self.by_name.remove(&file.name);
        }
        self.entries.forget_target(&file);
        if let Some(id) = file.watch {
            self.by_watch.remove(&id);
            if let Some(watch) = &self.watch {
                watch.remove(id);
            }
        }
        self.counters.closed.add(1);
        if let Place::Deleted(_) = file.place {
            self.remove_row(file.row);
            return;
        }
        let parked = ParkedFile {
            row: file.row,
            position: file.position(),
        };
        self.write_parked(&parked);
        self.parked.add(parked);
    }
}

/// When a file was made; where the file system does not know, when it was changed last.
fn made(metadata: &Metadata) -> Option<SystemTime> {
    metadata.created().or_else(|_| metadata.modified()).ok()
}
