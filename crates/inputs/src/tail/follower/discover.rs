//! Looking for files.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use buffer::positions::{Fingerprint, RowKey};
use record::Ledger;
use tokio::time::Instant;

use super::super::advice::Advice;
use super::super::cursor::Cursor;
use super::super::descriptor::{self, Descriptor, Opened};
use super::super::file::{Again, Flags, Followed, Place, is_older, real_name};
use super::super::glob::{self, Trouble};
use super::super::identity::{self, FileId};
use super::super::shards::Content;
use super::super::siblings;
use super::{Follower, Number, Phase};

/// Before a file's first batch is seen, it is taken to need this much more memory than its bytes: short lines do.
const BULK_FIRST: f32 = 8.0;
/// When descriptors are short, so many are given up at once.
const SPARE_AT_ONCE: usize = 8;

/// Where reading of a file begins and under which name it goes.
pub(super) struct Entry {
    /// The name that its tag is made from.
    pub origin: Arc<Path>,
    /// Its name now.
    pub name: PathBuf,
    /// Whether that name leads to it.
    pub place: Place,
    /// Whether it counts for `exit_on_eof`.
    pub at_start: bool,
}

impl Follower {
    /// Looks up the patterns, and what became of the files that are not open.
    pub(super) fn scan(&mut self, phase: Phase, now: Instant) {
        let began = identity::file_time();
        self.allow_for_clock(began, now);
        let patterns = self.setup.options.path.0.clone();
        // First, so that nothing appears unnoticed between the look and the watch.
        self.watch_directories(&patterns);
        let since = match phase {
            Phase::Start => self.generations_since,
            Phase::Later | Phase::Again => self.scanned,
        };
        for pattern in &patterns {
            self.setup
                .log
                .debug(format_args!("scanning path {pattern}"));
            match glob::matches(pattern) {
                Ok(paths) => {
                    self.is_old_news(Path::new(pattern), "unreadable pattern");
                    for path in paths {
                        self.consider_with_generations(&path, phase, since, now);
                    }
                }
                Err(trouble) => self.tell_trouble(pattern, trouble),
            }
        }
        self.look_after_parked(phase, since, now);
        // At last: what is known of other files tells which of these are copies.
        self.adopt_found(now);
        self.departed = Vec::new();
        self.publish();
        self.setup.share.note_scan(began);
        self.scanned = Some(began);
        self.times.last_scan = now;
        self.times.scan = now + self.setup.options.refresh_interval.0;
    }

    /// Tells other shards which files are this one's.
    fn publish(&self) {
        if self.setup.share.has_others() {
            let followed = self.files.values();
            let followed = followed.map(|file| {
                let content = Content::new(file.id, file.birth);
                (file.id.inode, content, &*file.origin)
            });
            let parked = self.parked.iter();
            let parked = parked.map(|file| {
                let content = Content::of(&file.position);
                (file.position.inode, content, file.origin())
            });
            self.setup.share.publish(followed.chain(parked));
        }
    }

    fn tell_trouble(&mut self, pattern: &str, trouble: Trouble) {
        if !self.is_news(Path::new(pattern), "unreadable pattern") {
            return;
        }
        match trouble {
            Trouble::Unreadable => self
                .setup
                .log
                .error(format_args!("read error, check permissions: {pattern}")),
            Trouble::Memory => self
                .setup
                .log
                .error(format_args!("no memory space available")),
        }
    }

    /// Follows what was found at `path`; if it is new and was looked for before, also what was rotated away from there since.
    fn consider_with_generations(
        &mut self,
        path: &Path,
        phase: Phase,
        since: Option<SystemTime>,
        now: Instant,
    ) {
        let before = self.next_number;
        self.consider(path, phase, now);
        let Some(since) = since else {
            return;
        };
        if self.next_number == before {
            return;
        }
        // At the start also of files that are known: they may have been copied and truncated meanwhile.
        let newest = self.files.get(&before);
        let newest = newest.filter(|file| file.flags.is_new || phase == Phase::Start);
        if let Some((real, origin)) = newest.map(|f| (f.real.clone(), Arc::clone(&f.origin))) {
            self.to_adopt.push((real, origin, since));
        }
    }

    /// Follows what was found at `path`, if it is new and wanted.
    pub(super) fn consider(&mut self, path: &Path, phase: Phase, now: Instant) {
        if !self.setup.share.owns(path) {
            return;
        }
        let log = &self.setup.log;
        let Ok(metadata) = std::fs::metadata(path) else {
            log.debug(format_args!("skip (invalid) entry={}", path.display()));
            return;
        };
        if !metadata.is_file() {
            log.debug(format_args!("skip (invalid) entry={}", path.display()));
            return;
        }
        if self
            .setup
            .exclusions
            .iter()
            .any(|exclusion| exclusion.matches(path))
        {
            log.debug(format_args!("excluded={}", path.display()));
            return;
        }
        let id = FileId::of(&metadata);
        let content = Content::new(id, identity::birth(&metadata));
        if self.by_id.contains_key(&id) || self.setup.share.is_elsewhere(id.inode, content) {
            return;
        }
        if siblings::is_compressed(path) {
            self.tell_compressed(path);
            return;
        }
        let is_old = is_older(&metadata, self.setup.options.ignore_older.0);
        if is_old && !self.parked.has_unread(&metadata) {
            log.debug(format_args!("excluded={} (ignore_older)", path.display()));
            self.ignore(path, &metadata);
            return;
        }
        self.open(path, phase, now);
    }

    fn tell_compressed(&mut self, path: &Path) {
        if self.is_news(path, "compressed") {
            let path = path.display();
            self.setup.log.warn(format_args!(
                "{path} is compressed and not read: that is not supported yet; exclude_path can leave such files out"
            ));
        }
    }

    /// Opens what is at `path` and begins where it was left, or where a new file begins.
    pub(super) fn open(&mut self, path: &Path, phase: Phase, now: Instant) -> Option<Number> {
        let opened = match self.open_file(path) {
            Ok(opened) => opened,
            Err(error) => {
                self.tell_unreadable(path, &error);
                return None;
            }
        };
        self.is_old_news(path, "unreadable");
        if self.by_id.contains_key(&opened.id()) || self.is_copy(&opened, path, now) {
            return None;
        }
        let entry = Entry {
            origin: Arc::from(path),
            name: path.to_owned(),
            place: Place::Here,
            at_start: phase == Phase::Start,
        };
        match self.known(&opened, path) {
            Some((parked, verdict)) => self.resume(opened, entry, parked, verdict, now),
            None => {
                let position = self.first_position(&opened.metadata, phase);
                self.add_new(opened, entry, position, now)
            }
        }
    }

    /// Opens a file; if the process has no descriptor left for it, others are given up.
    pub(super) fn open_file(&mut self, path: &Path) -> io::Result<Opened> {
        let opened = Opened::new(path);
        match opened {
            Err(error) if descriptor::is_short(&error) => {
                self.give_up_descriptors(SPARE_AT_ONCE);
                Opened::new(path)
            }
            other => other,
        }
    }

    /// Closes what can be opened again until `count` descriptors are spared: first of all files that are read and
    /// delivered, then of those that their path leads to, then of renamed ones; of deleted ones never.
    pub(super) fn give_up_descriptors(&mut self, count: usize) {
        let rank = |file: &Followed| match file.place {
            _ if file.descriptor.held().is_none() => None,
            Place::Here if file.is_done() => Some(0),
            Place::Here => Some(1),
            Place::Away(_) => Some(2),
            Place::Deleted(_) => None,
        };
        let mut held: Vec<_> = self
            .files
            .iter()
            .filter_map(|(number, file)| Some((rank(file)?, file.descriptor.used(), *number)))
            .collect();
        held.sort_unstable();
        for (.., number) in held.into_iter().take(count) {
            if let Some(file) = self.files.get_mut(&number) {
                file.give_up_descriptor();
            }
        }
    }

    /// Where reading of a file begins of which nothing is known.
    fn first_position(&self, metadata: &Metadata, phase: Phase) -> u64 {
        let options = &self.setup.options;
        let from_head = match phase {
            Phase::Start => {
                let is_newer = |scanned| identity::last_touched(metadata) >= scanned;
                options.read_from_head || self.earlier_scan.is_some_and(is_newer)
            }
            Phase::Again => true,
            Phase::Later => options.read_newly_discovered_files_from_head,
        };
        if from_head { 0 } else { metadata.len() }
    }

    /// Follows a file of which nothing is known from `position` on.
    pub(super) fn add_new(
        &mut self,
        opened: Opened,
        entry: Entry,
        position: u64,
        now: Instant,
    ) -> Option<Number> {
        let cursor = self.cursor_at(&opened, position, &entry.name)?;
        let row = self.new_row();
        let ledger = self.answers.ledger(position);
        let number = self.add(opened, entry, cursor, now)?;
        self.own(number, row, ledger);
        if let Some(file) = self.files.get_mut(&number) {
            file.flags.is_new = true;
        }
        Some(number)
    }

    /// A cursor, or none after saying that the file cannot be read.
    pub(super) fn cursor_at(
        &mut self,
        opened: &Opened,
        position: u64,
        name: &Path,
    ) -> Option<Cursor> {
        Cursor::new(&opened.file, position, opened.metadata.len())
            .inspect_err(|error| self.tell_unreadable(name, error))
            .ok()
    }

    /// Gives a file its row and its ledger.
    pub(super) fn own(&mut self, number: Number, row: Option<RowKey>, ledger: Arc<Ledger>) {
        if let Some(file) = self.files.get_mut(&number) {
            (file.row, file.ledger) = (row, ledger);
            file.flags.owing = !file.ledger.is_settled();
            self.state.owing |= file.flags.owing;
        }
    }

    /// Puts a file among those that are followed; its row and ledger are still to be set.
    pub(super) fn add(
        &mut self,
        opened: Opened,
        entry: Entry,
        cursor: Cursor,
        now: Instant,
    ) -> Option<Number> {
        let tag = match self.setup.tags.tag(&entry.origin) {
            Ok(tag) => tag,
            Err(error) => {
                if self.is_news(&entry.origin, "tag") {
                    self.setup.log.error(format_args!("{error}"));
                }
                return None;
            }
        };
        let id = opened.id();
        let content = Content::new(id, identity::birth(&opened.metadata));
        if !self.setup.share.claim(id.inode, content) {
            // It was renamed by rotation, and is read by the shard that followed it.
            return None;
        }
        let real = real_name(&opened.file).unwrap_or_else(|| entry.name.clone());
        let mut followed = Followed {
            id,
            birth: identity::birth(&opened.metadata),
            real,
            tag,
            row: None,
            ledger: self.answers.ledger(0),
            place: entry.place,
            head: Fingerprint::NONE,
            generation: 0,
            source: None,
            watch: None,
            found: identity::file_time(),
            grown: now,
            verified: now,
            modified: opened.metadata.modified().ok(),
            advice: Advice::new(now),
            bulk: BULK_FIRST,
            again: Again::default(),
            marks: None,
            ends_at: None,
            stands_for: None,
            flags: Flags {
                at_start: entry.at_start,
                ..Flags::default()
            },
            origin: entry.origin,
            name: entry.name,
            descriptor: Descriptor::new(opened.file, id),
            cursor,
        };
        followed.note_head();
        let number = self.next_number;
        self.next_number += 1;
        followed.watch = self.watch_file(&followed, number);
        self.by_id.insert(id, number);
        self.watch_target(&followed);
        if followed.place == Place::Here {
            self.by_name.insert(followed.name.clone(), number);
        }
        self.files.insert(number, followed);
        self.counters.opened.add(1);
        self.mark_unsaved(number);
        self.look_at(number);
        self.keep_descriptors_few();
        Some(number)
    }

    fn watch_file(&mut self, followed: &Followed, number: Number) -> Option<i32> {
        let log = &self.setup.log;
        let (inode, name) = (followed.id.inode, followed.name.display());
        let Some(watch) = &self.watch else {
            self.state.unwatched = true;
            return None;
        };
        let added = match followed.descriptor.held() {
            Some(file) => watch.add(file),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let watch = match added {
            Ok(watch) => watch,
            Err(error) => {
                self.state.unwatched = true;
                if self.told.insert((PathBuf::new(), "watches")) {
                    log.warn(format_args!(
                        "inotify: no watch for {name} ({error}); such files are looked at several times a second"
                    ));
                }
                return None;
            }
        };
        log.info(format_args!(
            "inotify_fs_add(): inode={inode} watch_fd={watch} name={name}"
        ));
        self.by_watch.insert(watch, number);
        Some(watch)
    }

    pub(super) fn tell_unreadable(&mut self, path: &Path, error: &io::Error) {
        if self.is_news(path, "unreadable") {
            let wait = self.setup.options.refresh_interval.0;
            self.setup.log.error(format_args!(
                "cannot open {}: {error}; tried again every {wait:?}",
                path.display()
            ));
        }
    }
}
