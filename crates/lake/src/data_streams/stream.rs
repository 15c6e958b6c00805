//! One data stream: its settings and its shards.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::definition::Definition;
use super::hash_range;
use super::records::RecordGroup;
use super::segments::Unsynced;
use super::shard::{PutError, Shard};
use crate::delivered::{Claim, Delivered};
use crate::durability::{Round, SyncMode};
use crate::log::Logger;
use crate::provenance::Provenance;

/// A list of what was delivered has one data stream.
const SCOPE: u64 = 0;

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
    sync: SyncMode,
    known: Mutex<Known>,
    ended: AtomicBool,
}

/// What routers have delivered to a stream. Its lock is taken before a shard's.
#[derive(Debug, Default)]
struct Known {
    delivered: Delivered,
    /// What of that is not known to be on disk: the claim, the shard, the file and its length with the records.
    pending: Vec<(Claim, usize, (u64, u64))>,
    /// A file was begun since this was stored.
    is_behind: bool,
}

/// The records of one put call that go to one shard, each with its place in the call.
pub type Placed = (usize, RecordGroup, Vec<usize>);

/// Where each record of a put call is, unless its shard could not keep it.
pub type Places = Vec<Option<(usize, u64)>>;

impl DataStream {
    /// The stream in `folder`, whose records are kept as `sync` says.
    pub fn load(folder: PathBuf, logger: &Logger, sync: SyncMode) -> io::Result<Self> {
        let definition = Definition::load(&folder)?;
        let (delivered, resume) = Delivered::load(&folder).unwrap_or_else(|error| {
            logger.error(format_args!("{}: {error}", definition.name));
            Default::default()
        });
        let mut known = Known {
            delivered,
            ..Known::default()
        };
        let mut shards = Vec::with_capacity(definition.shards as usize);
        for index in 0..definition.shards {
            let place = folder.join(format!("{index:012}"));
            let resume = resume.get(index as usize).copied();
            let of = (index, definition.shards);
            let (shard, claims) = Shard::open(place, of, resume, (logger, sync))?;
            let claims = claims.iter();
            claims.for_each(|claim| known.delivered.add(SCOPE, claim));
            shards.push(shard);
        }
        Ok(Self {
            name: definition.name.clone(),
            folder,
            shards,
            definition: Mutex::new(definition),
            sync,
            known: Mutex::new(known),
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

    /// Keeps the `count` records of a put call, shard by shard, but for those that `provenance` shows to be repeats; says
    /// where each of them is. `failed` hears why a shard could not keep its records.
    pub async fn put(
        self: &Arc<Self>,
        groups: Vec<Placed>,
        count: usize,
        provenance: Option<&Provenance>,
        failed: impl Fn(usize, &io::Error),
    ) -> Result<Places, PutError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(PutError::Ended);
        }
        let (mut places, rounds) = self.write(groups, count, provenance, &failed)?;
        for (index, round) in rounds {
            let stream = Arc::clone(self);
            let sync = move || stream.sync_shard(index);
            if let Err(error) = self.shards[index].wait(&round, sync).await {
                failed(index, &error);
                let lost = |place: &&mut Option<(usize, u64)>| {
                    place.is_some_and(|(shard, _)| shard == index)
                };
                places
                    .iter_mut()
                    .filter(lost)
                    .for_each(|place| *place = None);
            }
        }
        Ok(places)
    }

    /// Writes the records of a put call; gives their places and what has to be waited for.
    fn write(
        &self,
        groups: Vec<Placed>,
        count: usize,
        provenance: Option<&Provenance>,
        failed: &impl Fn(usize, &io::Error),
    ) -> Result<(Places, Vec<(usize, Arc<Round>)>), PutError> {
        let provenance = provenance.filter(|one| one.len() == count);
        let mut known = self.known();
        let repeats = match provenance {
            Some(provenance) => known.delivered.admit(SCOPE, provenance)?,
            None => None,
        };
        let mut places = vec![None; count];
        let mut touched = Vec::with_capacity(groups.len());
        for (index, group, members) in groups {
            touched.push(index);
            let new = self.leave_out((group, members), index, (&repeats, &mut places));
            let Some((mut group, members)) = new else {
                continue;
            };
            let claim = provenance.map(|provenance| {
                let mut kept = vec![false; count];
                members.iter().for_each(|member| kept[*member] = true);
                Claim::of(provenance, |member| kept[member])
            });
            let encoded = claim.as_ref().map(Claim::encode).unwrap_or_default();
            match self.shards[index].append(&mut group, &encoded) {
                Ok(written) => {
                    let placed = members.into_iter().zip(written.first..);
                    placed.for_each(|(member, at)| places[member] = Some((index, at)));
                    known.is_behind |= written.is_new_file;
                    known.add(claim, (index, written.end), self.sync);
                }
                Err(error) => failed(index, &error),
            }
        }
        if repeats.is_some() {
            // What they repeat may be under way to the disk, in whatever shard.
            touched = (0..self.shards.len()).collect();
        }
        let rounds = touched
            .into_iter()
            .map(|index| (index, self.shards[index].round()));
        Ok((places, rounds.collect()))
    }

    /// The records of a group that are no repeats, if there are any; repeats are said to be at the shard's end.
    fn leave_out(
        &self,
        (group, members): (RecordGroup, Vec<usize>),
        index: usize,
        (repeats, places): (&Option<Vec<bool>>, &mut Places),
    ) -> Option<(RecordGroup, Vec<usize>)> {
        let Some(repeats) = repeats else {
            return Some((group, members));
        };
        let group = group.without(|place| repeats[members[place]]);
        let last = self.shards[index].next().saturating_sub(1);
        let (repeated, new): (Vec<usize>, Vec<usize>) =
            members.into_iter().partition(|member| repeats[*member]);
        repeated
            .into_iter()
            .for_each(|member| places[member] = Some((index, last)));
        (!new.is_empty()).then_some((group, new))
    }

    /// Puts on disk what was written to a shard. Blocks.
    fn sync_shard(&self, index: usize) {
        let shard = &self.shards[index];
        let (round, unsynced) = shard.take_unsynced();
        let outcome = unsynced.as_ref().map_or(Ok(()), Unsynced::sync);
        let outcome = outcome.map_err(Arc::new);
        {
            // Nobody may be told of a repeat while what it repeats is being taken back.
            let mut known = self.known();
            match (&outcome, &unsynced) {
                (Ok(()), Some(synced)) => {
                    shard.mark_durable(synced);
                    known.synced(index, (synced.base, synced.length));
                }
                (Ok(()), None) => {}
                (Err(error), _) => {
                    let (left, later) = shard.abandon_unsynced();
                    known.lost(index, left);
                    later.finish(Err(Arc::clone(error)));
                }
            }
        }
        round.finish(outcome);
    }

    /// Stores what was delivered, if files were begun since, so that they need not all be read at the next start. Blocks.
    pub fn store_delivered(&self) -> io::Result<()> {
        let (delivered, resume) = {
            let mut known = self.known();
            if !std::mem::take(&mut known.is_behind) {
                return Ok(());
            }
            let resume: Vec<u64> = self.shards.iter().map(Shard::last_base).collect();
            // What is not in its shard's last file was synced when that was begun; what is will be read again.
            let pending = known.pending.iter();
            let pending = pending.filter(|(_, shard, (base, _))| *base >= resume[*shard]);
            let pending = pending.map(|(claim, ..)| (SCOPE, claim));
            (known.delivered.without(pending), resume)
        };
        let stored = delivered.store(&self.folder, &resume, self.sync);
        if stored.is_err() {
            self.known().is_behind = true;
        }
        stored
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

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> MutexGuard<'_, Definition> {
        self.definition
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Remembers what records claim that were written to a shard.
    fn add(&mut self, claim: Option<Claim>, (shard, end): (usize, (u64, u64)), sync: SyncMode) {
        let Some(claim) = claim else {
            return;
        };
        self.delivered.add(SCOPE, &claim);
        if sync == SyncMode::Full {
            self.pending.push((claim, shard, end));
        }
    }

    /// What was written to `shard` is on disk up to a length of a file.
    fn synced(&mut self, shard: usize, (base, length): (u64, u64)) {
        self.pending.retain(|(_, of, (file, end))| {
            *of != shard || *file > base || (*file == base && *end > length)
        });
    }

    /// Of what was written to a file of `shard` only so much is left.
    fn lost(&mut self, shard: usize, (base, length): (u64, u64)) {
        let is_lost = |(_, of, (file, end)): &mut (Claim, usize, (u64, u64))| {
            *of == shard && *file == base && *end > length
        };
        for (claim, ..) in self.pending.extract_if(.., is_lost) {
            self.delivered.remove(SCOPE, &claim);
        }
        self.pending.retain(|(_, of, _)| *of != shard);
    }
}
