//! Rotation: files that are renamed, replaced, truncated, copied, deleted.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use std::os::unix::fs::MetadataExt;

use buffer::positions::{Fingerprint, Position};
use tokio::time::Instant;

use super::super::cursor::Cursor;
use super::super::file::{Followed, Place};
use super::super::identity::{self, FileId};
use super::super::parked::ParkedFile;
use super::super::siblings;
use super::discover::Opened;
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
        let is_deleted = file
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0);
        if is_deleted && !matches!(file.place, Place::Deleted(_)) {
            file.place = Place::Deleted(now);
        }
    }

    fn went_away(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let log = &self.setup.log;
        let path = file.name.clone();
        let inode = file.id.inode;
        let is_deleted = file
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0);
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
        let Ok(opened) = Opened::new(path) else {
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
        let mut missed: Vec<(SystemTime, PathBuf, Opened)> = siblings
            .into_iter()
            .filter(|sibling| siblings::looks_rotated(real, &sibling.path))
            .filter_map(|sibling| {
                let opened = Opened::new(&sibling.path).ok()?;
                let made = made(&opened)?;
                let is_new = made >= since && opened.metadata.len() > 0;
                (is_new && !self.is_known(&opened, origin)).then_some((made, sibling.path, opened))
            })
            .collect();
        missed.sort_by_key(|(made, ..)| *made);
        for (_, path, opened) in missed {
            self.setup.log.info(format_args!(
                "inode={} found generation {} of {}",
                opened.id().inode,
                path.display(),
                origin.display()
            ));
            self.add_new(opened, away(Arc::clone(origin), &path, now), 0, now);
        }
    }

    /// Whether the file is followed, or was, or is a copy of a generation that is.
    fn is_known(&self, opened: &Opened, origin: &Arc<Path>) -> bool {
        let id = opened.id();
        let is_copy = |file: &Followed| {
            file.origin == *origin
                && !file.head.is_none()
                && identity::has_head(&opened.file, file.head)
        };
        self.by_id.contains_key(&id) || self.parked.has(id) || self.files.values().any(is_copy)
    }

    /// The content that was read is gone from the file: it was truncated, and maybe written anew.
    pub(super) fn content_replaced(&mut self, number: Number, now: Instant) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let Ok(metadata) = file.file.metadata() else {
            return;
        };
        let (size, read_to, known) = (metadata.len(), file.cursor.position(), file.cursor.end());
        self.setup.log.debug(format_args!(
            "inode={} file truncated {} (size: {size} bytes, read: {read_to} bytes)",
            file.id.inode,
            file.name.display()
        ));
        let Ok(cursor) = Cursor::new(&file.file, 0, size) else {
            return;
        };
        let old = Position {
            marker: file.cursor.marker(),
            offset: read_to,
            ..file.position()
        };
        let ledger = std::mem::replace(&mut file.ledger, self.answers.ledger(0));
        file.cursor = cursor;
        file.head = Fingerprint::NONE;
        file.grown = now;
        file.verified = now;
        file.modified = metadata.modified().ok();
        let (real, origin, name) = (
            file.real.clone(),
            Arc::clone(&file.origin),
            file.name.clone(),
        );
        self.mark_unsaved(number);
        self.look_at(number);
        match self.find_copy(&real, &old) {
            Some((copy, path)) => self.follow_copy(copy, &path, origin, &old, ledger, now),
            None => {
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
        path: &Path,
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
        let row = self.new_row();
        let number = self
            .cursor_at(&copy, old.offset, path)
            .and_then(|cursor| self.add(copy, away(origin, path, now), cursor, now));
        match number {
            Some(number) => self.own(number, row, ledger),
            None => self.orphans.push(orphan),
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
        let is_idle = !file.cursor.has_more() && file.ledger.is_settled();
        if is_idle && file.file.metadata().is_ok_and(is_old) {
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
fn made(opened: &Opened) -> Option<SystemTime> {
    let metadata = &opened.metadata;
    metadata.created().or_else(|_| metadata.modified()).ok()
}
