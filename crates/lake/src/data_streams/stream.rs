//! One data stream: its settings and its shards.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::definition::Definition;
use super::hash_range;
use super::records::RecordGroup;
use super::shard::{PutError, Shard};
use crate::log::Logger;

/// Decimal digits of a sequence number's parts: when the stream was created, the shard, the position there.
const SEQUENCE_DIGITS: (usize, usize, usize) = (14, 10, 30);
/// What all sequence numbers begin with, as Kinesis's do.
const SEQUENCE_START: &str = "49";

/// A data stream.
#[derive(Debug)]
pub struct DataStream {
    /// Its name.
    pub name: String,
    folder: PathBuf,
    definition: Mutex<Definition>,
    shards: Vec<Shard>,
    ended: AtomicBool,
}

impl DataStream {
    /// The stream in `folder`.
    pub fn load(folder: PathBuf, logger: &Logger) -> io::Result<Self> {
        let definition = Definition::load(&folder)?;
        let shard = |index| {
            let place = folder.join(format!("{index:012}"));
            Shard::open(place, (index, definition.shards), logger)
        };
        let shards = (0..definition.shards)
            .map(shard)
            .collect::<io::Result<_>>()?;
        Ok(Self {
            name: definition.name.clone(),
            folder,
            shards,
            definition: Mutex::new(definition),
            ended: AtomicBool::new(false),
        })
    }

    /// The stream's settings now.
    pub fn definition(&self) -> Definition {
        self.settings().clone()
    }

    /// The largest record with its partition key, in bytes.
    pub fn record_bytes(&self) -> usize {
        self.settings().max_record_kib as usize * 1024
    }

    /// All shards, by their numbers.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shard of that id.
    pub fn shard(&self, id: &str) -> Option<&Shard> {
        let index: usize = id.strip_prefix("shardId-")?.parse().ok()?;
        self.shards.get(index).filter(|shard| shard.id() == id)
    }

    /// The number of the shard that takes records of this hash.
    pub fn shard_of(&self, hash: u128) -> usize {
        // There are as many shards as the definition says, which never changes.
        hash_range::shard_of(hash, self.shards.len() as u32) as usize
    }

    /// The hash of a partition key.
    pub fn hash(partition_key: &str) -> u128 {
        hash_range::hash(partition_key)
    }

    /// Keeps `group` in shard `index`; gives the position of its first record.
    pub fn append(&self, index: usize, group: &mut RecordGroup) -> Result<u64, PutError> {
        let shard = self.shards.get(index).ok_or(PutError::Ended)?;
        match self.ended.load(Ordering::Acquire) {
            true => Err(PutError::Ended),
            false => Ok(shard.append(group)?),
        }
    }

    /// The sequence number of a position: a number of 56 digits that grows with it.
    pub fn sequence_number(&self, shard: &Shard, position: u64) -> String {
        let (_, _, digits) = SEQUENCE_DIGITS;
        format!("{}{position:0digits$}", self.sequence_prefix(shard))
    }

    /// The position that a sequence number stands for, if it is one of this shard.
    pub fn position(&self, shard: &Shard, sequence_number: &str) -> Option<u64> {
        let (_, _, digits) = SEQUENCE_DIGITS;
        let rest = sequence_number.strip_prefix(self.sequence_prefix(shard).as_str())?;
        let is_number = rest.len() == digits && rest.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| rest.parse().ok()).flatten()
    }

    fn sequence_prefix(&self, shard: &Shard) -> String {
        let (created, index, _) = SEQUENCE_DIGITS;
        let millisecond = self.settings().created.as_millisecond();
        format!(
            "{SEQUENCE_START}{millisecond:0created$}{:0index$}",
            shard.index
        )
    }

    /// When a record has to have arrived at `now` to be still there.
    pub fn oldest_kept(&self, now: Timestamp) -> Timestamp {
        let hours = self.settings().retention_hours;
        now.checked_sub(Duration::from_secs(u64::from(hours) * 3600))
            .unwrap_or(Timestamp::MIN)
    }

    /// Gives back what has expired at `now`.
    pub fn expire(&self, now: Timestamp) -> io::Result<()> {
        let oldest = self.oldest_kept(now);
        self.shards
            .iter()
            .try_for_each(|shard| shard.expire(oldest))
    }

    /// Stores other settings, which `change` makes of the present ones.
    pub fn change<E: From<io::Error>>(
        &self,
        change: impl FnOnce(&mut Definition) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut settings = self.settings();
        let mut changed = settings.clone();
        change(&mut changed)?;
        changed.store(&self.folder)?;
        *settings = changed;
        Ok(())
    }

    /// Takes no more records: the lake is going down, or the stream goes away.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn settings(&self) -> MutexGuard<'_, Definition> {
        self.definition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
