//! One delivery stream at work: it keeps what it is given and says when something is to be delivered.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::RecordBatch;
use super::buffer::{self, Appended, Buffer, Label, Recovered, SealedSegment};
use super::definition::Definition;
use super::destination::Destination;
use crate::counters::{Meters, StreamCounters};
use crate::delivered::{Claim, Delivered, Fenced};
use crate::durability::{GroupCommit, Round, SyncMode};
use crate::failpoint;
use crate::limits;
use crate::provenance::Provenance;

/// A list of what was delivered has one delivery stream.
const SCOPE: u64 = 0;

/// A delivery stream.
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Where its records go.
    pub destination: Destination,
    /// Its numbers.
    pub meters: Meters,
    /// Held by whoever delivers: the stream's own task, or a flush.
    pub delivering: tokio::sync::Mutex<()>,
    folder: PathBuf,
    sync: SyncMode,
    committing: GroupCommit,
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    definition: Definition,
    buffer: Buffer,
    /// What routers have delivered to this stream.
    delivered: Delivered,
    /// What of that is not known to be on disk: the claim, and the segment and its length with its records.
    pending: Vec<(Claim, (u64, u64))>,
    /// What the next sync covers.
    round: Arc<Round>,
    /// When the segment that takes records is due; kept here as the clock on the wall may be set.
    due: Option<Instant>,
    life: Life,
}

/// How far a stream's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// The lake was stopped. What is buffered stays for the next time.
    Stopped,
    /// What is buffered goes with the stream.
    Deleted,
}

/// Why records could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream is being deleted.
    #[error("the delivery stream was deleted")]
    Deleted,
    /// The lake is going down.
    #[error("the lake is stopping")]
    Stopped,
    /// The request comes from a router whose place another one has taken.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// The records could not be kept.
    #[error("the buffer cannot be written: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for AppendError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl Stream {
    /// A stream in `folder`, with what an earlier run left in its buffer.
    pub fn open(
        folder: PathBuf,
        definition: Definition,
        destination: Destination,
        sync: SyncMode,
    ) -> io::Result<(Self, Recovered)> {
        let label = |time| label(&definition.name, &destination, time);
        let (buffer, mut recovered) = buffer::recover(
            &folder.join("buffer"),
            &quarantine(&folder),
            (destination.size, sync),
            label,
        )?;
        let due = buffer
            .first_arrival()
            .map(|first| Instant::now() + remaining(&destination, first, Timestamp::now()));
        let meters = Meters::default();
        meters.recovered_records.add(recovered.records);
        let mut delivered = match Delivered::load(&folder) {
            Ok((delivered, _)) => delivered,
            Err(error) => {
                recovered.notes.push(error.to_string());
                Delivered::default()
            }
        };
        let claims = recovered.claims.drain(..);
        claims.for_each(|claim| delivered.add(SCOPE, &claim));
        let name = definition.name.clone();
        let state = Mutex::new(State {
            definition,
            buffer,
            delivered,
            pending: Vec::new(),
            round: Arc::default(),
            due,
            life: Life::Running,
        });
        let delivering = tokio::sync::Mutex::default();
        Ok((
            Self {
                name,
                destination,
                meters,
                delivering,
                folder,
                sync,
                committing: GroupCommit::default(),
                state,
                wake: Notify::new(),
            },
            recovered,
        ))
    }

    /// The stream's definition now.
    pub fn definition(&self) -> Definition {
        self.state().definition.clone()
    }

    /// Its numbers now.
    pub fn counters(&self) -> StreamCounters {
        let state = self.state();
        self.meters.snapshot(state.buffer.records())
    }

    /// Where damaged parts of the buffer are set aside.
    pub fn quarantine(&self) -> PathBuf {
        quarantine(&self.folder)
    }

    /// Keeps `batch`, but for records that `provenance` shows to be repeats. When this returns, all of them will be
    /// delivered, whatever happens to the process or, with [`SyncMode::Full`], to the machine.
    pub async fn append(
        self: &Arc<Self>,
        batch: RecordBatch,
        provenance: Option<&Provenance>,
    ) -> Result<(), AppendError> {
        // What follows waits for the disk; the batch need not stay in memory for that.
        let round = self.write(batch, provenance)?;
        let stream = Arc::clone(self);
        let synced = self.committing.wait(&round, move || stream.sync_all());
        synced.await.map_err(AppendError::Io)?;
        self.meters.put_requests.add(1);
        Ok(())
    }

    /// Writes `batch`; gives what has to be waited for.
    fn write(
        &self,
        batch: RecordBatch,
        provenance: Option<&Provenance>,
    ) -> Result<Arc<Round>, AppendError> {
        let mut state = self.state();
        match state.life {
            Life::Running => {}
            Life::Stopped => return Err(AppendError::Stopped),
            Life::Deleted => return Err(AppendError::Deleted),
        }
        let provenance = provenance.filter(|one| one.len() == batch.records() as usize);
        let repeats = match provenance {
            Some(provenance) => state.delivered.admit(SCOPE, provenance)?,
            None => None,
        };
        let batch = match &repeats {
            Some(repeats) => batch.without(repeats),
            None => batch,
        };
        if batch.records() > 0 {
            let is_kept = |index: usize| repeats.as_ref().is_none_or(|repeats| !repeats[index]);
            let claim = provenance.map(|provenance| Claim::of(provenance, is_kept));
            self.keep(&mut state, &batch, claim)?;
        }
        // Counted here: whoever waits may go away, and what is written is kept all the same.
        let repeats = repeats.unwrap_or_default();
        let repeated = repeats.iter().filter(|repeated| **repeated).count();
        self.meters.records.add(batch.records().into());
        self.meters.bytes.add(batch.data_bytes());
        self.meters.repeated_records.add(repeated as u64);
        // Repeats wait as well: what they repeat may be under way to the disk.
        Ok(match self.sync {
            SyncMode::Full => Arc::clone(&state.round),
            SyncMode::Normal => Round::done(),
        })
    }

    fn keep(&self, state: &mut State, batch: &RecordBatch, claim: Option<Claim>) -> io::Result<()> {
        let label = || label(&self.name, &self.destination, Timestamp::now());
        let encoded = claim.as_ref().map(Claim::encode).unwrap_or_default();
        match state.buffer.append(batch, &encoded, label)? {
            Appended::ToSegment => {}
            Appended::ToNewSegment => {
                state.due = Some(Instant::now() + interval(&self.destination));
                self.wake.notify_one();
            }
            Appended::AndFull => {
                state.due = None;
                self.wake.notify_one();
            }
        }
        if let Some(claim) = claim {
            state.delivered.add(SCOPE, &claim);
            if self.sync == SyncMode::Full {
                let end = state.buffer.end();
                state.pending.push((claim, end));
            }
        }
        Ok(())
    }

    /// Puts everything that was appended on disk. Blocks.
    fn sync_all(&self) {
        let (round, unsynced) = {
            let mut state = self.state();
            (std::mem::take(&mut state.round), state.buffer.unsynced())
        };
        let outcome = unsynced.iter().try_for_each(buffer::Unsynced::sync);
        let outcome = outcome.map_err(Arc::new);
        {
            let mut state = self.state();
            match &outcome {
                Ok(()) => state.mark_durable(&unsynced),
                Err(error) => {
                    // What came since is gone, too.
                    let before = state.buffer.records();
                    state.abandon_unsynced();
                    let lost = before.saturating_sub(state.buffer.records());
                    self.meters.taken_back_records.add(lost);
                    std::mem::take(&mut state.round).finish(Err(Arc::clone(error)));
                    self.wake.notify_one();
                }
            }
        }
        round.finish(outcome);
    }

    /// Ends what is due by `now`, and seals what can be.
    pub async fn seal_due(self: &Arc<Self>, now: Instant) -> io::Result<()> {
        {
            let mut state = self.state();
            if state.due.is_some_and(|due| due <= now) {
                state.buffer.close();
                state.due = None;
            }
        }
        self.seal_closed().await
    }

    /// Seals whatever is buffered.
    pub async fn seal(self: &Arc<Self>) -> io::Result<()> {
        {
            let mut state = self.state();
            state.buffer.close();
            state.due = None;
        }
        self.seal_closed().await
    }

    /// Seals segments that take no more. Needs [`Stream::delivering`]: one at a time.
    async fn seal_closed(self: &Arc<Self>) -> io::Result<()> {
        let round = {
            let state = self.state();
            if state.buffer.is_sealed() {
                return Ok(());
            }
            match state.buffer.unsynced().is_empty() {
                true => Round::done(),
                false => Arc::clone(&state.round),
            }
        };
        let stream = Arc::clone(self);
        let synced = self.committing.wait(&round, move || stream.sync_all());
        // If that has failed, what is left of the segments can be sealed all the same.
        let _ = synced.await;
        let stream = Arc::clone(self);
        tokio::task::spawn_blocking(move || stream.seal_durable()).await?
    }

    /// Stores what was delivered, for when the segments that say so are gone, and seals them. Blocks.
    fn seal_durable(&self) -> io::Result<()> {
        let (sequences, delivered, folder) = {
            let state = self.state();
            let pending = state.pending.iter().map(|(claim, _)| (SCOPE, claim));
            let delivered = state.delivered.without(pending);
            let folder = state.buffer.folder().to_owned();
            (state.buffer.sealable(), delivered, folder)
        };
        if sequences.is_empty() {
            return Ok(());
        }
        if !delivered.is_empty() {
            delivered.store(&self.folder, &[], self.sync)?;
        }
        failpoint::io("buffer.seal")?;
        self.state().buffer.seal(&sequences)?;
        self.sync.folder(&folder)
    }

    /// When something will be due that is not yet.
    pub fn due(&self) -> Option<Instant> {
        self.state().due
    }

    /// The segment to deliver next; none if the stream has ended.
    pub fn oldest_sealed(&self) -> Option<SealedSegment> {
        let state = self.state();
        if state.life == Life::Running {
            state.buffer.oldest_sealed()
        } else {
            None
        }
    }

    /// Forgets a segment whose object is durable. Blocks.
    pub fn release(&self, segment: &SealedSegment) -> io::Result<()> {
        failpoint::io("buffer.release")?;
        fs::remove_file(&segment.path)?;
        self.state().buffer.forget(segment);
        self.sync
            .folder(segment.path.parent().unwrap_or(&self.folder))
    }

    /// Waits until records have come in that change what is due. May return without.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Stores other tags, which `change` makes of the present ones.
    pub fn change_tags<E: From<io::Error>>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut state = self.state();
        let mut definition = state.definition.clone();
        change(&mut definition.tags)?;
        definition.store(&self.folder)?;
        state.definition = definition;
        Ok(())
    }

    /// Takes no more records and delivers none: the lake is going down.
    pub fn stop(&self) {
        self.end(Life::Stopped);
    }

    /// Takes no more records and delivers none: the stream goes away. Whoever deletes it removes its folder.
    pub fn delete(&self) {
        self.end(Life::Deleted);
    }

    fn end(&self, life: Life) {
        self.state().life = life;
        self.wake.notify_one();
    }

    /// Whether the stream still takes records and delivers them.
    pub fn is_running(&self) -> bool {
        self.state().life == Life::Running
    }

    /// A panic while the lock was held can have left the state behind by one record at most, never the files.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn mark_durable(&mut self, synced: &[buffer::Unsynced]) {
        synced.iter().for_each(|one| self.buffer.mark_durable(one));
        self.pending.retain(|(_, (sequence, end))| {
            let covers =
                |one: &buffer::Unsynced| one.sequence == *sequence && *end <= one.size.length;
            !synced.iter().any(covers)
        });
    }

    fn abandon_unsynced(&mut self) {
        // Where even this fails the records may arrive twice; what they claim is taken back all the same.
        let _ = self.buffer.abandon_unsynced();
        self.due = None;
        for (claim, _) in self.pending.drain(..) {
            self.delivered.remove(SCOPE, &claim);
        }
    }
}

fn quarantine(folder: &Path) -> PathBuf {
    folder.join("quarantine")
}

fn label(stream: &str, destination: &Destination, first_arrival: Timestamp) -> Label {
    Label {
        bucket: destination.bucket.to_string(),
        key: destination.object_name(stream, first_arrival),
        compression: destination.compression,
        first_arrival,
    }
}

fn interval(destination: &Destination) -> Duration {
    match destination.interval_secs {
        0 => limits::ZERO_BUFFERING,
        secs => Duration::from_secs(secs.into()),
    }
}

/// What is left of the interval at `now` if it began at `first`. A clock that went back cannot prolong it.
fn remaining(destination: &Destination, first: Timestamp, now: Timestamp) -> Duration {
    let interval = interval(destination);
    match Duration::try_from(now.duration_since(first)) {
        Ok(elapsed) => interval.saturating_sub(elapsed),
        Err(_) => interval,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::configuration::{S3Configuration, Shape};

    fn destination(interval: i64) -> Destination {
        let configuration: S3Configuration = serde_json::from_value(serde_json::json!({
            "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::bucket",
            "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": interval},
        }))
        .unwrap();
        Destination::parse("s", Shape::S3, &configuration).unwrap()
    }

    #[test]
    fn an_interval_goes_on_after_a_restart() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = at("2026-11-22T13:00:00Z");
        for (interval, now, left) in [
            (300, "2026-11-22T13:00:00Z", 300),
            (300, "2026-11-22T13:04:00Z", 60),
            (300, "2026-11-22T15:00:00Z", 0),
            (300, "2026-11-22T12:00:00Z", 300),
            (0, "2026-11-22T13:00:02Z", 3),
        ] {
            assert_eq!(
                remaining(&destination(interval), first, at(now)),
                Duration::from_secs(left),
                "{now}"
            );
        }
    }
}
