//! Positions in followed files, kept in the SQLite database that Fluent Bit's `DB` option names.
//!
//! The table `in_tail_files` is Fluent Bit's, so that a user can go from one router to the other and back. Its `offset`
//! is the contiguous delivered prefix of a file. What Fluent Bit does not know stands in two tables of our own beside it:
//!
//! | table | holds |
//! |---|---|
//! | `in_tail_files` | name, inode, offset, and a hash of the up to 32 bytes before the offset |
//! | `flumen_tail_files` | the file's first name, real path, device and birth; hashes of its head and of more bytes before the offset; what was delivered beyond the offset |
//! | `flumen_tail_scans` | when the files of an instance were last looked for |
//!
//! A row of `flumen_tail_files` repeats the inode, offset and marker of its partner. When they differ, Fluent Bit has
//! written since, and the row is ignored: it may even be about another file.
//!
//! [`Store`] is the database, [`Writer`] the thread that owns it while the router runs.

mod fingerprint;
mod row;
mod schema;
mod store;
mod writer;

use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

pub use fingerprint::Fingerprint;
pub use store::{Error, JournalMode, Location, Store, Synchronous};
pub use writer::{Report, Writer};

/// Names a row while the process runs. The database's own id of the row may change when the database is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(pub(crate) u64);

/// How far a file was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where the file is, as its pattern found it; where it went, once it was rotated.
    pub name: PathBuf,
    /// Its inode.
    pub inode: u64,
    /// Every byte below was delivered, filtered or given up by policy.
    pub offset: u64,
    /// Whether the file was renamed since it was found.
    pub rotated: bool,
    /// Of the up to [`MARKER_SIZE`] bytes before `offset`.
    pub marker: Fingerprint,
    /// What Fluent Bit does not keep; absent in rows that it wrote last.
    pub facts: Option<Facts>,
}

/// How many bytes before the offset Fluent Bit hashes.
pub const MARKER_SIZE: usize = 32;

/// How many bytes before the offset are hashed besides: lines that repeat often look alike over 32 bytes.
pub const TAIL_SIZE: usize = 4096;

/// What tells a file from others and what else was delivered of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Facts {
    /// The name under which its pattern found it: what its tag is made from, also after it was renamed.
    pub origin: PathBuf,
    /// The file's path without symbolic links, when it was found.
    pub path: PathBuf,
    /// The device that the file is on.
    pub device: u64,
    /// When the file was made, in nanoseconds since 1970, if the file system knows.
    pub birth: Option<i64>,
    /// Of the first bytes of the file.
    pub head: Fingerprint,
    /// Of the up to [`TAIL_SIZE`] bytes before the offset.
    pub tail: Fingerprint,
    /// How often its content was replaced.
    pub generation: u32,
    /// Names this content wherever it lies, also in a copy.
    pub source: Option<[u8; 16]>,
    /// Delivered ranges beyond the offset: ascending, without overlap.
    pub delivered: Vec<Range<u64>>,
}

/// What shall be written: the newest state of some rows, and when files were looked for.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New content of rows; `None` removes the row.
    pub rows: std::collections::HashMap<RowKey, Option<Position>>,
    /// Who looked for files (any text that stays the same over restarts), and when the last complete look began.
    pub scan: Option<(String, SystemTime)>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.scan.is_none()
    }

    /// Adds what `newer` says; it wins where both speak of the same row.
    pub fn merge(&mut self, newer: Changes) {
        self.rows.extend(newer.rows);
        if newer.scan.is_some() {
            self.scan = newer.scan;
        }
    }
}
