//! One shard at work.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::hash_range;
use super::read::{self, Batch, Cursor};
use super::records::RecordGroup;
use super::segments::{FIRST, Segment, Segments};
use crate::log::Logger;

/// A shard of a data stream.
#[derive(Debug)]
pub struct Shard {
    /// Its number among the stream's shards.
    pub index: u32,
    /// The first and the last hash whose records it takes.
    pub range: (u128, u128),
    segments: Mutex<Segments>,
}

/// Why records could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The stream was deleted, or the lake is going down.
    #[error("the stream takes no records any more")]
    Ended,
    /// The records could not be kept.
    #[error("the records cannot be kept: {0}")]
    Io(#[from] io::Error),
}

impl Shard {
    /// Shard `index` of `count`, with its files in `folder`.
    pub fn open(folder: PathBuf, (index, count): (u32, u32), logger: &Logger) -> io::Result<Self> {
        Ok(Self {
            index,
            range: hash_range::range(index, count),
            segments: Mutex::new(Segments::open(folder, logger)?),
        })
    }

    /// `shardId-000000000000`.
    pub fn id(&self) -> String {
        format!("shardId-{:012}", self.index)
    }

    /// Keeps `group` and gives the position of its first record. When this returns, its records outlive the process; if it
    /// fails, none of them is kept.
    pub fn append(&self, group: &mut RecordGroup) -> io::Result<u64> {
        self.segments().append(group, Timestamp::now())
    }

    /// The position that the next record will have.
    pub fn next(&self) -> u64 {
        self.segments().next
    }

    /// The position of the oldest record that can be there.
    pub fn oldest(&self) -> u64 {
        self.segments()
            .files
            .front()
            .map_or(FIRST, |first| first.base)
    }

    /// The position of the first record that arrived at `time` or later. Reads files.
    pub fn position_at(&self, time: Timestamp) -> io::Result<u64> {
        let (files, next) = self.snapshot(|file| file.last_arrival >= time);
        Ok(read::first_since(&files, time)?.unwrap_or(next))
    }

    /// Records from `cursor` on that arrived at `oldest` or later: at most `limit`, and no more bytes than one answer may
    /// have. Reads files.
    pub fn read(&self, cursor: Cursor, limit: usize, oldest: Timestamp) -> io::Result<Batch> {
        // The file that has the position, and those behind it.
        let (mut files, next) = self.snapshot(|_| true);
        let begun = files.partition_point(|file| file.base <= cursor.position);
        files.drain(..begun.saturating_sub(1));
        read::batch(&files, next, cursor, (limit, oldest))
    }

    /// Gives back what arrived before `oldest`, as far as whole files go.
    pub fn expire(&self, oldest: Timestamp) -> io::Result<()> {
        self.segments().expire(oldest)
    }

    fn snapshot(&self, wanted: impl Fn(&Segment) -> bool) -> (Vec<Segment>, u64) {
        let segments = self.segments();
        let files = segments.files.iter().filter(|file| wanted(file)).cloned();
        (files.collect(), segments.next)
    }

    /// A panic while the lock was held can have left the state behind the file by one frame; the next start finds it.
    fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
