//! The write-ahead log: records that cannot be read again from their source, or that wait for a slow output.
//!
//! ```text
//! Writer (thread) ─▶ Log ─▶ segments 0000….wal 0001….wal …      what is to be delivered
//!   ▲ append, read      └──▶ cursors.0000…                       how far each output is, which chunks were taken
//!   └ ledgers of the outputs
//! ```
//!
//! Every record has a sequence number; a frame holds the records of one batch and names the outputs that must deliver
//! them. A segment goes when all outputs named in it are past it. Whatever is found at start, there is a log after it:
//! what a cut-off write left is cut off, and what is damaged is put beside (`*.damaged`), counted and told. Two things stop
//! the start: a file of a newer version, because nobody knows what may be done to it, and a file that the system cannot
//! read now, because it may be read again later.
//!
//! A segment that is closed says at its end what is in it, once the disk has everything before that. So a start reads whole
//! only what was open when the run before it ended; what is damaged in the others is found, put beside and told when it is
//! read for an output.
//!
//! [`Log`] is the log itself: it blocks, knows no time and no threads, and can stand on a simulated file system.
//! [`Writer`] is the thread that owns one while the router runs.

mod cursors;
pub(crate) mod format;
mod log;
mod progress;
pub(crate) mod scan;
mod segment;
mod writer;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

pub use cursors::{ChunkState, Chunks};
pub use format::{ChunkId, Frame, VERSION};
pub use log::{Log, Recovered, Stored, StoredFrames, Waiting};
pub use progress::Progress;
pub use writer::{Append, Driver, Failure, Report, Route, Writer};

/// When a record counts as safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it: it survives a loss of power.
    Durable,
    /// When the system has it: it survives the end of the process. The disk has it about a second later.
    Process,
}

/// How a log works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of its files. Made if need be.
    pub folder: PathBuf,
    /// When a record counts as safe.
    pub durability: Durability,
    /// The length at which a new segment is begun.
    pub segment_bytes: u64,
    /// How many chunks are remembered.
    pub chunks_max: usize,
    /// Gives numbers that nobody gave before.
    pub new_uuid: fn() -> [u8; 16],
}

impl Settings {
    /// The usual settings for a log in `folder`.
    pub fn new(folder: PathBuf, durability: Durability) -> Settings {
        Settings {
            folder,
            durability,
            segment_bytes: 8 << 20,
            chunks_max: 16_384,
            new_uuid: random_uuid,
        }
    }
}

/// A file that a newer version of this program wrote. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} has version {version} of the log's format, and this program reads up to {VERSION}: start the newer program, or \
     set another 'storage.path'",
    path.display()
)]
pub struct NewerVersion {
    /// The file.
    pub path: PathBuf,
    /// The version that it says.
    pub version: u16,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// See [`NewerVersion`].
    #[error(transparent)]
    Newer(#[from] NewerVersion),
    /// The folder cannot be made or listed.
    #[error("{}: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file that is there cannot be read. That is no proof of damage, so nothing was changed: another start may read it.
    #[error(
        "{} cannot be read: {error}; nothing was changed, and the next start tries it again (move the file away to start \
         without the records in it)",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Records that are not where they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The file where they were, or the one behind the place.
    pub file: PathBuf,
    /// Their sequence numbers; `None` if not even those are known.
    pub numbers: Option<Range<u64>>,
    /// What could not be read of them, in bytes.
    pub bytes: u64,
    /// Where the damaged bytes were put, if that was possible.
    pub kept_in: Option<PathBuf>,
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as i64)
}

/// Sixteen bytes from the system's random numbers, which no two processes share.
pub(crate) fn random_uuid() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's source of randomness, and what tells this moment of this process from others.
    let half = || {
        let salt = (std::process::id(), SystemTime::now());
        RandomState::new().hash_one(salt).to_le_bytes()
    };
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&half());
    uuid[8..].copy_from_slice(&half());
    uuid
}

#[cfg(test)]
mod tests;
