//! What the kernel's notices and the clock say, and what is looked at because of it.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::super::file::{Followed, Place};
use super::super::watch::Notice;
use super::{Follower, Number, POLL_MAX};

/// A clock that went back by less counts as even.
const CLOCK_STEP: Duration = Duration::from_millis(500);
/// Of files that the kernel tells about, so many are checked at once all the same.
const CHECKED_AT_ONCE: usize = 1000;

impl Follower {
    /// Takes what the kernel said about names and files.
    pub(super) fn take_notices(&mut self, now: Instant) {
        let Some(watch) = &self.watch else {
            return;
        };
        let (mut names, mut files) = (Vec::new(), Vec::new());
        watch.names.drain(|notice| names.push(notice));
        watch.files.drain(|notice| files.push(notice));
        self.rhythm.noticed(files.len());
        for notice in names {
            match notice {
                Notice::Changed(id) | Notice::Moved(id) => self.directory_changed(id, now),
                Notice::Entry(id, name, change) => self.take_entry(id, &name, change, now),
                Notice::Directory(_) => self.scan_soon(now),
                Notice::Ended(id) => self.directory_ended(id, now),
                Notice::Overflow => self.reconcile(now),
            }
        }
        for notice in files {
            let (Notice::Changed(id) | Notice::Moved(id)) = notice else {
                if notice == Notice::Overflow {
                    self.reconcile(now);
                }
                continue;
            };
            if let Some(&number) = self.by_watch.get(&id) {
                self.look_at(number);
                if notice == Notice::Moved(id) {
                    self.check_path(number, now);
                }
            }
        }
        self.look_at_entries(now);
    }

    /// Notices were lost: everything is looked at.
    fn reconcile(&mut self, now: Instant) {
        let log = &self.setup.log;
        log.warn(format_args!(
            "inotify event queue overflow, reconciling files"
        ));
        self.state.overflowed = true;
        self.times.check = now;
        self.times.scan = now;
    }

    /// When the clock was set back, files that are made now seem older than those that were found before.
    pub(super) fn allow_for_clock(&mut self, time: SystemTime, now: Instant) {
        let (then, since) = std::mem::replace(&mut self.clock, (time, now));
        let expected = then + now.duration_since(since);
        let Ok(back) = expected.duration_since(time) else {
            return;
        };
        if back < CLOCK_STEP {
            return;
        }
        for file in self.files.values_mut() {
            file.found = file.found.checked_sub(back).unwrap_or(file.found);
        }
        self.scanned = self.scanned.and_then(|scanned| scanned.checked_sub(back));
    }

    /// How often files are checked.
    pub(super) fn check_interval(&self) -> Duration {
        let options = &self.setup.options;
        if self.watch.is_none() {
            return POLL_MAX;
        }
        let nanos = u64::try_from(options.progress_check_interval_nsec).unwrap_or(0);
        let progress = options.progress_check_interval.0 + Duration::from_nanos(nanos);
        progress.min(options.watcher_interval.0).max(POLL_MAX)
    }

    /// Looks at every file and its path; if there are many of which the kernel tells, at some of them.
    pub(super) fn check_all(&mut self, now: Instant) {
        for number in self.due_for_check() {
            self.look_at(number);
            self.check_path(number, now);
            self.close_if_finished(number, now);
        }
    }

    /// What is checked now: all that no notice is expected of, and of the others so many, in turn.
    fn due_for_check(&mut self) -> Vec<Number> {
        let all = std::mem::take(&mut self.state.overflowed);
        if all || self.files.len() <= CHECKED_AT_ONCE {
            return self.files.keys().copied().collect();
        }
        let is_told = |file: &Followed| file.watch.is_some() && file.place == Place::Here;
        let from = self.checked_to;
        let turn = self.files.range(from..).chain(self.files.range(..from));
        let turn = turn.filter(|(_, file)| is_told(file));
        let mut numbers: Vec<Number> = turn
            .map(|(number, _)| *number)
            .take(CHECKED_AT_ONCE)
            .collect();
        self.checked_to = numbers.last().map_or(0, |last| last + 1);
        let others = self.files.iter().filter(|(_, file)| !is_told(file));
        numbers.extend(others.map(|(number, _)| *number));
        numbers
    }

    pub(super) fn look_at(&mut self, number: Number) {
        if let Some(file) = self.files.get_mut(&number)
            && !file.flags.looked_for
        {
            file.flags.looked_for = true;
            self.to_look_at.push(number);
        }
    }

    pub(super) fn look_at_unwatched(&mut self) {
        let unwatched = self.files.iter().filter(|(_, file)| file.watch.is_none());
        let numbers: Vec<Number> = unwatched.map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| self.look_at(number));
    }
}
