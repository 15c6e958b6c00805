//! One shard at work.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::hash_range;
use super::read::{self, Batch, Cursor};
use super::records::RecordGroup;
use super::segments::{FIRST, Segment, Segments, Unsynced};
use crate::delivered::{Claim, Fenced};
use crate::durability::{GroupCommit, Round, SyncError, SyncMode};
use crate::log::Logger;

/// A shard of a data stream.
#[derive(Debug)]
pub struct Shard {
    /// Its number among the stream's shards.
    pub index: u32,
    /// The first and the last hash whose records it takes.
    pub range: (u128, u128),
    segments: Mutex<Segments>,
    committing: GroupCommit,
}

/// Where records were written.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// The position of the first.
    pub first: u64,
    /// The file that has them, by its first position, and its length with them.
    pub end: (u64, u64),
    /// Whether the file was begun for them.
    pub is_new_file: bool,
}

/// Why records could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The stream was deleted, or the lake is going down.
    #[error("the stream takes no records any more")]
    Ended,
    /// The request comes from a router whose place another one has taken.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The records could not be kept.
    #[error("the records cannot be kept: {0}")]
    Io(#[from] io::Error),
}

impl Shard {
    /// Shard `index` of `count`, with its files in `folder`, and what their records claim from position `resume` on.
    pub fn open(
        folder: PathBuf,
        (index, count): (u32, u32),
        resume: Option<u64>,
        (logger, sync): (&Logger, SyncMode),
    ) -> io::Result<(Self, Vec<Claim>)> {
        let (segments, claims) = Segments::open(folder, resume, logger, sync)?;
        let shard = Self {
            index,
            range: hash_range::range(index, count),
            segments: Mutex::new(segments),
            committing: GroupCommit::default(),
        };
        Ok((shard, claims))
    }

    /// `shardId-000000000000`.
    pub fn id(&self) -> String {
        format!("shardId-{:012}", self.index)
    }

    /// Writes `group`, which `claim` belongs to. Its records are kept when [`Shard::wait`] for what this gives has returned;
    /// if either fails, none of them is.
    pub fn append(&self, group: &mut RecordGroup, claim: &[u8]) -> io::Result<Written> {
        let mut segments = self.segments();
        let before = segments.end().0;
        let first = segments.append(group, claim, Timestamp::now())?;
        let end = segments.end();
        Ok(Written {
            first,
            end,
            is_new_file: before != end.0,
        })
    }

    /// What has to be waited for until everything appended so far is on disk.
    pub fn round(&self) -> Arc<Round> {
        let segments = self.segments();
        match segments.unsynced() {
            Some(_) => Arc::clone(&segments.round),
            None => Round::done(),
        }
    }

    /// Waits until `round` is over; `sync` is [`Shard::sync`] with what follows from it.
    pub async fn wait(
        &self,
        round: &Round,
        sync: impl Fn() + Clone + Send + 'static,
    ) -> Result<(), SyncError> {
        self.committing.wait(round, sync).await
    }

    /// What has to be synced, and the round that this ends.
    pub fn take_unsynced(&self) -> (Arc<Round>, Option<Unsynced>) {
        let mut segments = self.segments();
        (std::mem::take(&mut segments.round), segments.unsynced())
    }

    /// What was synced is on disk.
    pub fn mark_durable(&self, synced: &Unsynced) {
        self.segments().mark_durable(synced);
    }

    /// Takes back what is not on disk, after a sync has failed. Gives the file, by its first position, with the length that
    /// is left of it, and the round of those who have written since.
    pub fn abandon_unsynced(&self) -> ((u64, u64), Arc<Round>) {
        let mut segments = self.segments();
        // Where even this fails the records may be read twice.
        let _ = segments.abandon_unsynced();
        let end = segments.end();
        (end, std::mem::take(&mut segments.round))
    }

    /// The position of the last file's first record.
    pub fn last_base(&self) -> u64 {
        self.segments().end().0
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
