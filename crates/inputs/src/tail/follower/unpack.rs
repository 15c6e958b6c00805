//! Going on in archives: one is searched at a time.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use super::super::archive::{self, Search, Unpacked};
use super::super::descriptor::Opened;
use super::super::file::Place;
use super::super::identity::Verdict;
use super::super::parked::ParkedFile;
use super::discover::Entry;
use super::{Follower, ROUND};

/// Files that are gone, but may be left in an archive.
#[derive(Default)]
pub(super) struct Archived {
    waiting: VecDeque<ParkedFile>,
    searched: Option<(ParkedFile, Search)>,
}

impl Archived {
    /// When it is looked at next.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        (!self.is_idle()).then_some(now + ROUND)
    }

    /// Whether there is nothing to search for.
    pub fn is_idle(&self) -> bool {
        self.searched.is_none() && self.waiting.is_empty()
    }
}

impl Follower {
    /// Looks for what is left of a file that is gone; if there is no archive, it is forgotten.
    pub(super) fn unpack(&mut self, file: ParkedFile) {
        match archive::may_exist(&file.real()) {
            true => self.archived.waiting.push_back(file),
            false => self.remove_row(file.row),
        }
    }

    /// Takes what a search has found and starts the next one.
    pub(super) fn look_at_archived(&mut self, now: Instant) {
        if let Some((file, search)) = self.archived.searched.take() {
            match search.result() {
                Some(unpacked) => self.take_unpacked(file, unpacked, now),
                None => self.archived.searched = Some((file, search)),
            }
        }
        if self.archived.searched.is_some() || self.state.stopping {
            return;
        }
        let Some(file) = self.archived.waiting.pop_front() else {
            return;
        };
        match Search::start(file.position.clone(), file.real(), self.scratch_directory()) {
            Ok(search) => self.archived.searched = Some((file, search)),
            // The row stays, so that the next start looks again.
            Err(error) => self.setup.log.error(format_args!(
                "cannot search archives of {}: {error}",
                file.position.name.display()
            )),
        }
    }

    /// Beside the database, which stands where it may be written and there is room.
    fn scratch_directory(&self) -> PathBuf {
        let database = self.setup.options.database.path.as_deref();
        match database.and_then(Path::parent) {
            Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
            _ => std::env::temp_dir(),
        }
    }

    fn take_unpacked(&mut self, file: ParkedFile, unpacked: Unpacked, now: Instant) {
        match unpacked {
            Unpacked::Nothing | Unpacked::Missing => self.remove_row(file.row),
            Unpacked::Failed(path, error) => self.setup.log.error(format_args!(
                "cannot unpack {}: {error}; if it is the rest of {}, that is tried again at the next start",
                path.display(),
                file.position.name.display()
            )),
            Unpacked::Rest(rest, path) => self.follow_unpacked(file, rest, &path, now),
        }
    }

    fn follow_unpacked(
        &mut self,
        file: ParkedFile,
        rest: std::fs::File,
        path: &Path,
        now: Instant,
    ) {
        self.setup.log.info(format_args!(
            "inode={} goes on in its archive {}",
            file.position.inode,
            path.display()
        ));
        let opened = match Opened::of(rest) {
            Ok(opened) => opened,
            Err(error) => {
                self.tell_unreadable(path, &error);
                return;
            }
        };
        let known = Box::new(file.position.clone());
        let entry = Entry {
            origin: Arc::from(file.origin()),
            name: path.to_owned(),
            place: Place::Deleted(now),
            at_start: false,
        };
        let number = self.resume(opened, entry, file, Verdict::Same, now);
        if let Some(file) = number.and_then(|number| self.files.get_mut(&number)) {
            file.stands_for = Some(known);
        }
    }
}
