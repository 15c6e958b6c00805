//! Looking for files.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use buffer::positions::{Facts, Fingerprint, Position, RowKey};
use record::Ledger;
use tokio::time::Instant;

use super::super::cursor::Cursor;
use super::super::file::{Again, Flags, Followed, Place, is_older, real_name};
use super::super::glob::{self, Trouble};
use super::super::identity::{self, FileId};
use super::super::parked::ParkedFile;
use super::super::siblings;
use super::{Follower, Number, Phase};

/// Before a file's first batch is seen, it is taken to need this much more memory than its bytes: short lines do.
const BULK_FIRST: f32 = 8.0;

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

/// A file that was just opened.
pub(super) struct Opened {
    pub file: File,
    pub metadata: Metadata,
}

impl Opened {
    /// Opens a regular file for reading.
    pub fn new(path: &Path) -> io::Result<Opened> {
        // Not waiting for a writer, should somebody have put a pipe in its place.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Opened { file, metadata })
    }

    pub fn id(&self) -> FileId {
        FileId::of(&self.metadata)
    }
}

impl Follower {
    /// Looks up the patterns, and what became of the files that are not open.
    pub(super) fn scan(&mut self, phase: Phase, now: Instant) {
        let began = identity::file_time();
        let patterns = self.setup.options.path.0.clone();
        for pattern in &patterns {
            self.setup
                .log
                .debug(format_args!("scanning path {pattern}"));
            match glob::matches(pattern) {
                Ok(paths) => {
                    self.is_old_news(Path::new(pattern), "unreadable pattern");
                    for path in paths {
                        self.consider(&path, phase, now);
                    }
                }
                Err(trouble) => self.tell_trouble(pattern, trouble),
            }
        }
        self.look_after_parked(phase, now);
        self.watch_directories(&patterns);
        self.scanned = Some(began);
        self.times.last_scan = now;
        self.times.scan = now + self.setup.options.refresh_interval.0;
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

    /// Follows what was found at `path`, if it is new and wanted.
    pub(super) fn consider(&mut self, path: &Path, phase: Phase, now: Instant) {
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
        if self.by_id.contains_key(&FileId::of(&metadata)) {
            return;
        }
        if siblings::is_compressed(path) {
            self.tell_compressed(path);
            return;
        }
        if is_older(&metadata, self.setup.options.ignore_older.0) {
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

    /// Remembers where a file ends that is too old to be read.
    fn ignore(&mut self, path: &Path, metadata: &Metadata) {
        if self.parked.has(FileId::of(metadata)) {
            return;
        }
        let file = ParkedFile {
            row: self.new_row(),
            position: Position {
                name: path.to_owned(),
                inode: metadata.ino(),
                offset: metadata.len(),
                rotated: false,
                marker: Fingerprint::NONE,
                facts: Some(Facts {
                    origin: path.to_owned(),
                    path: std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
                    device: metadata.dev(),
                    birth: identity::birth(metadata),
                    ..Facts::default()
                }),
            },
        };
        self.write_parked(&file);
        self.parked.add(file);
    }

    /// Opens what is at `path` and begins where it was left, or where a new file begins.
    pub(super) fn open(&mut self, path: &Path, phase: Phase, now: Instant) -> Option<Number> {
        let opened = match Opened::new(path) {
            Ok(opened) => opened,
            Err(error) => {
                self.tell_unreadable(path, &error);
                return None;
            }
        };
        self.is_old_news(path, "unreadable");
        if self.by_id.contains_key(&opened.id()) {
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

    /// Where reading of a file begins of which nothing is known.
    fn first_position(&self, metadata: &Metadata, phase: Phase) -> u64 {
        let options = &self.setup.options;
        let from_head = match phase {
            Phase::Start => {
                let is_newer = |scanned| identity::last_touched(metadata) >= scanned;
                options.read_from_head || self.earlier_scan.is_some_and(is_newer)
            }
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
            watch: None,
            found: identity::file_time(),
            grown: now,
            verified: now,
            modified: opened.metadata.modified().ok(),
            bulk: BULK_FIRST,
            again: Again::default(),
            flags: Flags {
                at_start: entry.at_start,
                ..Flags::default()
            },
            origin: entry.origin,
            name: entry.name,
            file: opened.file,
            cursor,
        };
        followed.note_head();
        let number = self.next_number;
        self.next_number += 1;
        followed.watch = self.watch_file(&followed, number);
        self.by_id.insert(id, number);
        self.files.insert(number, followed);
        self.counters.opened.add(1);
        self.mark_unsaved(number);
        self.look_at(number);
        Some(number)
    }

    fn watch_file(&mut self, followed: &Followed, number: Number) -> Option<i32> {
        let log = &self.setup.log;
        let (inode, name) = (followed.id.inode, followed.name.display());
        let Some(watch) = &self.watch else {
            self.state.unwatched = true;
            return None;
        };
        let watch = match watch.add(&followed.file) {
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

    /// Watches the directories of the patterns, so that new files are found without waiting for the next scan.
    fn watch_directories(&mut self, patterns: &[String]) {
        let Some(watch) = &self.watch else {
            return;
        };
        for pattern in patterns {
            let directory = siblings::directory(Path::new(pattern)).to_owned();
            let Some(directory) = directory.to_str() else {
                continue;
            };
            for path in glob::matches(directory).unwrap_or_default() {
                // Where it does not work there is still the scan.
                if let Ok(id) = watch.add_directory(&path) {
                    self.watched_directories.insert(id);
                }
            }
        }
    }
}
