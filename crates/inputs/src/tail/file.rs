//! A file that is followed.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use buffer::positions::{Facts, Fingerprint, Position, RowKey};
use record::{Ledger, Origin, Tag};
use tokio::time::Instant;

use super::advice::Advice;
use super::cursor::Cursor;
use super::descriptor::Descriptor;
use super::identity::{self, FileId, Marks};
use super::watch::WatchId;

/// How often the beginning of a growing file is compared with what it was.
const VERIFY: Duration = Duration::from_secs(1);

/// Whether a path leads to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The path under which it was found still does.
    Here,
    /// It was renamed, or its symbolic link leads elsewhere.
    Away(Instant),
    /// It has no name any more; it is gone once it is closed.
    Deleted(Instant),
}

/// An open file, how far it was read, and what is owed for it.
pub struct Followed {
    /// The descriptor; it stays open until everything that was read is answered for, if the process may open so many.
    pub descriptor: Descriptor,
    /// Its device and inode.
    pub id: FileId,
    /// When it was made.
    pub birth: Option<i64>,
    /// The name under which it was found.
    pub origin: Arc<Path>,
    /// Its name now.
    pub name: PathBuf,
    /// Its path without symbolic links, when it was found.
    pub real: PathBuf,
    /// The tag of its records.
    pub tag: Tag,
    /// Its row in the database.
    pub row: Option<RowKey>,
    /// What is owed for the bytes that were handed over.
    pub ledger: Arc<Ledger>,
    /// How far it was read.
    pub cursor: Cursor,
    /// Whether its path still leads to it.
    pub place: Place,
    /// What its beginning was when it was looked at last.
    pub head: Fingerprint,
    /// How often its content was replaced.
    pub generation: u32,
    /// Names its content; known as soon as something of it was handed over.
    pub source: Option<Origin>,
    /// For the kernel's notices.
    pub watch: Option<WatchId>,
    /// When it was found, by the clock of file systems; files that were made later are later generations.
    pub found: SystemTime,
    /// When it grew last.
    pub grown: Instant,
    /// When its beginning was compared last.
    pub verified: Instant,
    /// The time of its last change, as the file system tells.
    pub modified: Option<SystemTime>,
    /// Up to where the kernel need not keep it.
    pub advice: Advice,
    /// How much memory a batch of its lines takes, in relation to their bytes.
    pub bulk: f32,
    /// When what was refused may be read again, and how often that was.
    pub again: Again,
    /// What the bytes before the stored position were when the descriptor was given up.
    pub marks: Option<(u64, Marks)>,
    /// It is a copy that ends here, while more was read of the original.
    pub ends_at: Option<u64>,
    /// The position in the database that this file stands for, if it is not the file that the position is about but what
    /// was unpacked of it.
    pub stands_for: Option<Box<Position>>,
    /// What is to be done about it.
    pub flags: Flags,
}

/// The road refused something: it is read again, at once the first time, then ever later.
#[derive(Clone, Copy, Debug, Default)]
pub struct Again {
    /// How often in a row.
    pub times: u32,
    /// Not before.
    pub after: Option<Instant>,
    /// Up to here, refused ranges were handed over again this time.
    pub done_to: u64,
}

/// Yes-or-no facts about a followed file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// It stands in the queue of files to be read.
    pub queued: bool,
    /// It stands among the files to be looked at.
    pub looked_for: bool,
    /// Its row must be written.
    pub unsaved: bool,
    /// Something of it may be owed.
    pub owing: bool,
    /// Something of it was read for the first time.
    pub read_on: bool,
    /// It was there at the start.
    pub at_start: bool,
    /// Nothing was known about it when it was found.
    pub is_new: bool,
    /// The user knows that it has long lines.
    pub long_line_told: bool,
    /// The user knows that it cannot be read.
    pub trouble_told: bool,
    /// What is known of its beginning was not read yet, and may still change.
    pub unread_head: bool,
    /// It has changed since its beginning was compared last.
    pub unverified: bool,
}

/// What a look at a file has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// There may be something to read.
    Fine,
    /// Its content is not the one that was read.
    Replaced,
}

impl Followed {
    /// Learns how long the file is now, and whether it still holds what was read.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn look(&mut self, now: Instant) -> io::Result<Look> {
        let metadata = self.descriptor.metadata(&self.name)?;
        // Behind the end of a short copy there is nothing of ours.
        let size = metadata.len().min(self.ends_at.unwrap_or(u64::MAX));
        let known = self.cursor.end();
        let rewritten = size == known && self.modified != metadata.modified().ok();
        let may_differ = size > known || self.flags.unverified;
        let due = may_differ && now.duration_since(self.verified) > VERIFY;
        if size < self.cursor.position() {
            return Ok(Look::Replaced);
        }
        if size < known || rewritten || due {
            if !self.holds_what_was_read()? {
                return Ok(Look::Replaced);
            }
            self.verified = now;
        }
        self.flags.unverified = may_differ && !due;
        if rewritten || size < known {
            self.cursor.search_again();
        }
        if size > known {
            self.grown = now;
        }
        self.modified = metadata.modified().ok();
        match self.cursor.set_end(size) {
            true => Ok(Look::Fine),
            false => Ok(Look::Replaced),
        }
    }

    /// Whether its beginning and the bytes before the position are those that were read.
    ///
    /// # Errors
    /// When it cannot be opened again.
    pub fn holds_what_was_read(&self) -> io::Result<bool> {
        let file = self.descriptor.get(&self.name)?;
        Ok(self.cursor.is_unchanged(file) && identity::has_head(file, self.head))
    }

    /// Remembers its beginning as far as it was read; of a file that was not, what it begins with now.
    pub fn note_head(&mut self) {
        let known = match self.cursor.position() {
            0 => self.cursor.end(),
            position => position,
        };
        let was_unread =
            std::mem::replace(&mut self.flags.unread_head, self.cursor.position() == 0);
        if (identity::head_can_grow(self.head, known) || was_unread)
            && let Ok(file) = self.descriptor.get(&self.name)
            // What does not begin as before is not what was read: the next look finds out.
            && (was_unread || identity::has_head(file, self.head))
        {
            self.head = identity::head(file, known);
        }
    }

    /// Its position to be stored. The bytes before the delivered prefix are looked up in the file.
    pub fn position(&self) -> Position {
        let end = self.ends_at.unwrap_or(u64::MAX);
        let offset = self.ledger.discharged().min(end);
        let marks = self.marks_at(offset);
        let mut delivered = self.ledger.discharged_beyond();
        delivered.retain(|range| range.start < end);
        if let Some(last) = delivered.last_mut() {
            last.end = last.end.min(end);
        }
        if let Some(known) = &self.stands_for {
            let mut position = Position::clone(known);
            position.offset = offset;
            position.marker = marks.marker;
            if let Some(facts) = &mut position.facts {
                (facts.tail, facts.delivered) = (marks.tail, delivered);
            }
            return position;
        }
        Position {
            name: self.name.clone(),
            inode: self.id.inode,
            offset,
            rotated: self.place != Place::Here,
            marker: marks.marker,
            facts: Some(Facts {
                origin: self.origin.to_path_buf(),
                path: self.real.clone(),
                device: self.id.device,
                birth: self.birth,
                head: self.head,
                tail: marks.tail,
                generation: self.generation,
                source: self.source.map(Origin::to_bytes),
                delivered,
            }),
        }
    }

    /// Names its content: the same after a restart, another when the content was replaced. `None` when that cannot be told
    /// now; then nothing of it can be recognised later.
    pub fn source(&mut self) -> Option<Origin> {
        if self.source.is_none() {
            let file = self.descriptor.get(&self.name).ok()?;
            self.source = identity::source(self.id, self.birth, self.generation, file).ok();
        }
        self.source
    }

    fn marks_at(&self, offset: u64) -> Marks {
        if self.descriptor.held().is_none()
            && let Some((known, marks)) = self.marks
            && known == offset
        {
            return marks;
        }
        let file = self.descriptor.get(&self.name);
        file.and_then(|file| identity::marks(file, offset))
            .unwrap_or_default()
    }

    /// Does without its descriptor until it is needed again.
    pub fn give_up_descriptor(&mut self) {
        let end = self.ends_at.unwrap_or(u64::MAX);
        let offset = self.ledger.discharged().min(end);
        self.marks = Some((offset, self.marks_at(offset)));
        self.descriptor.give_up();
    }

    /// Whether everything that is there was read and is answered for.
    pub fn is_done(&self) -> bool {
        !self.cursor.has_more() && self.ledger.is_settled()
    }

    /// Whether nothing of it is on its way any more: all is answered for, was refused more than once, or is among the `waiting`
    /// positions that are not handed over yet.
    pub fn is_given_back(&self, waiting: u64) -> bool {
        if self.ledger.is_settled() {
            return true;
        }
        let len = |ranges: Vec<std::ops::Range<u64>>| -> u64 {
            ranges.iter().map(|range| range.end - range.start).sum()
        };
        let refused = len(self.ledger.refused());
        let back = refused + len(self.ledger.discharged_beyond()) + waiting;
        // Of a copy that is shorter than the original, less is known.
        let handed = self
            .cursor
            .position()
            .saturating_sub(self.ledger.discharged());
        let only_waits = waiting > 0 && refused == 0;
        (only_waits || self.again.times > 1) && back >= handed
    }

    /// Whether nothing has come for `wait` since it went away, and nothing is left to do for it.
    pub fn is_finished(&self, now: Instant, wait: Duration) -> bool {
        let (Place::Away(since) | Place::Deleted(since)) = self.place else {
            return false;
        };
        let quiet = now.duration_since(since.max(self.grown)) >= wait;
        quiet && self.is_done()
    }

    /// The name that the kernel has for the descriptor, if it is open.
    pub fn real_name(&self) -> PathBuf {
        let held = self.descriptor.held();
        held.and_then(real_name)
            .unwrap_or_else(|| self.real.clone())
    }
}

/// The path of an open file, without symbolic links, if it has one.
pub fn real_name(file: &File) -> Option<PathBuf> {
    if file.metadata().ok()?.nlink() == 0 {
        return None;
    }
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

/// Whether the file was not changed for `age`. 0 is never.
pub fn is_older(metadata: &Metadata, age: Duration) -> bool {
    let since = metadata
        .modified()
        .ok()
        .and_then(|modified| modified.elapsed().ok());
    !age.is_zero() && since.is_some_and(|since| since > age)
}
