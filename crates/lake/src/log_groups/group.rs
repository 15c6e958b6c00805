//! One log group at work: it keeps what it is given.
//!
//! Put calls append to the open segment one after another and then wait until a sync covers them; one sync covers all
//! that were appended before it began ("group commit"), however many connections they came from.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::definition::Definition;
use super::events::{Events, Head, encode};
use super::index::{Entry, Index};
use super::meters::LogMeters;
use super::segment::{Open, Sealed, index_path, remove};
use super::stream_log::{Change, StreamLog};
use super::streams::Streams;
use crate::delivered::{Claim, Delivered, Fenced};
use crate::durability::SyncMode;
use crate::failpoint;
use crate::log::Logger;
use crate::provenance::Provenance;

/// A log group.
pub struct Group {
    /// Its name.
    pub name: String,
    pub(super) folder: PathBuf,
    pub(super) logger: Logger,
    pub(super) meters: Arc<LogMeters>,
    sync_mode: SyncMode,
    pub(super) state: Mutex<State>,
    /// Held while streams are created or deleted.
    stream_log: Mutex<StreamLog>,
    /// Held while the definition changes.
    defining: Mutex<()>,
    /// Held while a sync is under way.
    syncing: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of a group without reading files.
pub(super) struct State {
    pub definition: Arc<Definition>,
    pub streams: Streams,
    pub sealed: std::collections::BTreeMap<u64, Sealed>,
    /// Full segments whose index is still to be written.
    pub closing: Vec<Open>,
    pub open: Option<Open>,
    pub next_number: u64,
    pub next_sequence: u64,
    /// Streams were deleted since their room was looked at last.
    pub reclaimable: bool,
    /// Since the last look nothing was appended.
    pub idle: bool,
    /// What routers have delivered, by the numbers of the log streams.
    delivered: Delivered,
    /// What of that is not known to be on disk.
    pending: Vec<Pending>,
    round: Arc<Round>,
    life: Life,
}

/// What events claim that are not known to be on disk.
struct Pending {
    stream: u64,
    claim: Claim,
    /// Their segment, and its length with them.
    end: (u64, u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Stopped,
    Deleted,
}

/// Why something could not be kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GroupError {
    /// The group is not there any more.
    #[error("The specified log group does not exist.")]
    NoGroup,
    /// There is no such stream.
    #[error("The specified log stream does not exist.")]
    NoStream,
    /// There is such a stream.
    #[error("The specified log stream already exists")]
    StreamExists,
    /// The lake is going down.
    #[error("The lake is going down.")]
    Stopped,
    /// The request comes from a router whose place another one has taken.
    #[error(transparent)]
    Fenced(#[from] Fenced),
    /// It could not be written.
    #[error("The change cannot be stored: {0}")]
    Io(Arc<io::Error>),
}

impl From<io::Error> for GroupError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// All that one sync covers, and how it went.
#[derive(Debug, Default)]
pub struct Round(OnceLock<Result<(), GroupError>>);

/// A file to be synced.
struct Unsynced {
    number: u64,
    file: Arc<File>,
    length: u64,
    entries: usize,
    named: bool,
}

/// What was found of an earlier run.
pub(super) struct Found {
    pub definition: Definition,
    pub streams: Streams,
    pub stream_log: StreamLog,
    pub sealed: std::collections::BTreeMap<u64, Sealed>,
    pub open: Option<Open>,
    pub next_number: u64,
    pub next_sequence: u64,
    pub delivered: Delivered,
}

impl Group {
    pub(super) fn new(
        folder: PathBuf,
        found: Found,
        logger: Logger,
        (meters, sync_mode): (Arc<LogMeters>, SyncMode),
    ) -> Self {
        let state = State {
            definition: Arc::new(found.definition),
            streams: found.streams,
            sealed: found.sealed,
            closing: Vec::new(),
            open: found.open,
            next_number: found.next_number,
            next_sequence: found.next_sequence,
            reclaimable: true,
            idle: true,
            delivered: found.delivered,
            pending: Vec::new(),
            round: Arc::default(),
            life: Life::Running,
        };
        Self {
            name: state.definition.name.clone(),
            folder,
            logger,
            meters,
            sync_mode,
            state: Mutex::new(state),
            stream_log: Mutex::new(found.stream_log),
            defining: Mutex::default(),
            syncing: Arc::default(),
        }
    }

    /// The group's settings now.
    pub fn definition(&self) -> Arc<Definition> {
        Arc::clone(&self.state().definition)
    }

    /// What its events count against limits.
    pub fn billed_bytes(&self) -> u64 {
        self.state().streams.billed_bytes()
    }

    /// Looks at the streams.
    pub fn with_streams<T>(&self, look: impl FnOnce(&Streams) -> T) -> T {
        look(&self.state().streams)
    }

    /// Creates a stream. Waits for the disk.
    pub fn create_stream(&self, name: &str, now: i64) -> Result<(), GroupError> {
        let mut log = lock(&self.stream_log);
        let number = {
            let state = self.running()?;
            if state.streams.find(name).is_some() {
                return Err(GroupError::StreamExists);
            }
            state.streams.next_number()
        };
        log.append(&Change::Created {
            number,
            name: name.to_owned(),
            created: now,
        })?;
        self.running()?.streams.add(number, name, now);
        Ok(())
    }

    /// Deletes a stream with its events. Waits for the disk.
    pub fn delete_stream(&self, name: &str) -> Result<(), GroupError> {
        let mut log = lock(&self.stream_log);
        let number = match self.running()?.streams.find(name) {
            Some(stream) => stream.number,
            None => return Err(GroupError::NoStream),
        };
        log.append(&Change::Deleted { number })?;
        let mut state = self.state();
        state.streams.remove(number);
        state.delivered.forget(number);
        state.reclaimable = true;
        Ok(())
    }

    /// Stores other settings, which `change` makes of the present ones. Waits for the disk.
    pub fn redefine<E: From<GroupError>>(
        &self,
        change: impl FnOnce(&mut Definition) -> Result<(), E>,
    ) -> Result<(), E> {
        let _alone = lock(&self.defining);
        let mut definition = (*self.running()?.definition).clone();
        change(&mut definition)?;
        definition.store(&self.folder).map_err(GroupError::from)?;
        self.state().definition = Arc::new(definition);
        Ok(())
    }

    /// Appends the events in `range`, but for those that `provenance` shows to be repeats. They are kept when
    /// [`commit`](Self::commit) of what this gives has returned; if either fails, none of them is.
    pub fn append(
        &self,
        stream: &str,
        (events, range): (&Events, Range<usize>),
        now: i64,
        provenance: Option<&Provenance>,
    ) -> Result<Arc<Round>, GroupError> {
        let mut state = self.running()?;
        let (number, name) = match state.streams.find(stream) {
            Some(stream) => (stream.number, Arc::clone(&stream.name)),
            None => return Err(GroupError::NoStream),
        };
        if range.is_empty() {
            return Ok(Round::done());
        }
        let state = &mut *state;
        let provenance = provenance.filter(|one| one.len() == events.len());
        let repeats = match provenance {
            Some(provenance) => state.delivered.admit(number, provenance)?,
            None => None,
        };
        let is_new = |index: usize| {
            repeats
                .as_ref()
                .is_none_or(|repeats: &Vec<bool>| !repeats[index])
        };
        let claim = provenance.map(|provenance| {
            Claim::of(provenance, |index| range.contains(&index) && is_new(index))
        });
        let rest = repeats
            .as_ref()
            .map(|_| events.only(range.clone().filter(|index| is_new(*index))));
        if let Some(rest) = &rest {
            let repeated = range.len() - rest.len();
            self.meters.repeated_events.add(repeated as u64);
        }
        let (events, range) = match &rest {
            Some(rest) => (rest, 0..rest.len()),
            None => (events, range),
        };
        if range.is_empty() {
            // What they repeat may be under way to the disk.
            return Ok(Arc::clone(&state.round));
        }
        let head = Head {
            stream: number,
            ingested: now,
            first_sequence: state.next_sequence,
            stream_name: &name,
        };
        let payload = encode(&head, events, range.clone());
        let entry = Entry {
            offset: 0,
            length: 0,
            stream: number,
            ingested: now,
            // The events are in order of time.
            oldest: events.timestamp(range.start),
            newest: events.timestamp(range.end - 1),
            first_sequence: state.next_sequence,
            events: range.len() as u64,
            billed_bytes: events.billed_bytes(&range),
        };
        if state.open.as_ref().is_some_and(Open::is_full) {
            state.closing.extend(state.open.take());
        }
        let open = match &mut state.open {
            Some(open) => open,
            None => {
                let number = state.next_number;
                state.next_number += 1;
                state.open.insert(Open::new(number))
            }
        };
        failpoint::io("logs.append")?;
        let encoded = claim.as_ref().map(Claim::encode).unwrap_or_default();
        open.append(&self.folder, (&encoded, &payload), entry)?;
        let end = (open.number, open.length);
        if let Some(claim) = claim {
            state.delivered.add(number, &claim);
            state.pending.push(Pending {
                stream: number,
                claim,
                end,
            });
        }
        state.next_sequence += entry.events;
        state.streams.count(&entry);
        state.idle = false;
        Ok(Arc::clone(&state.round))
    }

    /// Waits until what was appended is on disk.
    pub async fn commit(self: &Arc<Self>, round: &Round) -> Result<(), GroupError> {
        match self.sync_mode {
            SyncMode::Full => self.commit_now(round).await,
            // A look at the group does it in time.
            SyncMode::Normal => Ok(()),
        }
    }

    async fn commit_now(self: &Arc<Self>, round: &Round) -> Result<(), GroupError> {
        loop {
            if let Some(outcome) = round.0.get() {
                return outcome.clone();
            }
            let alone = Arc::clone(&self.syncing).lock_owned().await;
            if round.0.get().is_none() {
                let group = Arc::clone(self);
                // Goes on to its end even if the one who waits goes away.
                let synced = tokio::task::spawn_blocking(move || {
                    group.sync();
                    drop(alone);
                });
                synced.await.map_err(io::Error::other)?;
            }
        }
    }

    /// Puts everything that was appended on disk.
    pub(super) fn sync(&self) {
        let (round, files) = {
            let mut state = self.state();
            let round = std::mem::take(&mut state.round);
            (round, state.unsynced())
        };
        let outcome = failpoint::io("logs.sync")
            .and_then(|()| files.iter().try_for_each(|file| file.sync(&self.folder)));
        let outcome = outcome.map_err(|error| {
            self.logger.error(format_args!(
                "{}: events were refused, as they cannot be synced: {error}",
                self.name
            ));
            GroupError::from(error)
        });
        {
            let mut state = self.state();
            match &outcome {
                Ok(()) => state.mark_all_durable(&files),
                Err(error) => {
                    // After a failed sync the kernel may call pages clean that are not: what came since is gone, too.
                    state.roll_back();
                    std::mem::take(&mut state.round).finish(Err(error.clone()));
                }
            }
        }
        round.finish(outcome);
        self.seal_full();
    }

    /// Writes the indexes of full segments.
    fn seal_full(&self) {
        let (full, delivered): (Vec<(u64, u64, Vec<Entry>)>, _) = {
            let state = self.state();
            let durable = state.closing.iter().filter(|open| open.is_durable());
            let full = durable.map(|open| (open.number, open.length, open.entries.clone()));
            let full: Vec<_> = full.collect();
            if full.is_empty() {
                return;
            }
            (full, state.durably_delivered())
        };
        // A segment with an index is not read at the next start: what it claims has to stand elsewhere before.
        if !delivered.is_empty()
            && let Err(error) = delivered.store(&self.folder, &[], self.sync_mode)
        {
            self.logger.warn(format_args!(
                "{}: what was delivered cannot be stored yet: {error}",
                self.name
            ));
            return;
        }
        for (number, length, entries) in full {
            let stored = if entries.is_empty() {
                remove(&self.folder, number)
            } else {
                Index::store(&index_path(&self.folder, number), length, 0, &entries)
            };
            if let Err(error) = stored {
                self.logger.warn(format_args!(
                    "{}: the index of segment {number} cannot be written yet: {error}",
                    self.name
                ));
                continue;
            }
            let mut state = self.state();
            state.closing.retain(|open| open.number != number);
            if !entries.is_empty() {
                state.sealed.insert(number, Sealed::new(&entries));
            }
        }
    }

    /// Whether something was appended that no sync has covered: with [`SyncMode::Normal`] nobody waits for one.
    pub(super) fn has_unsynced(&self) -> bool {
        self.sync_mode == SyncMode::Normal && !self.state().unsynced().is_empty()
    }

    /// Takes no more changes: the lake is going down. What was appended is put on disk.
    pub async fn stop(self: &Arc<Self>) {
        let round = {
            let mut state = self.state();
            if state.life == Life::Running {
                state.life = Life::Stopped;
            }
            Arc::clone(&state.round)
        };
        // Whoever waits for it has been told.
        let _ = self.commit_now(&round).await;
    }

    /// Takes no more changes: the group goes away. Whoever deletes it removes its folder.
    pub fn delete(&self) {
        self.state().life = Life::Deleted;
    }

    /// A panic while the lock was held can have left the state behind by one call at most, never the files.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The state of a group that takes changes.
    pub(super) fn running(&self) -> Result<MutexGuard<'_, State>, GroupError> {
        let state = self.state();
        match state.life {
            Life::Running => Ok(state),
            Life::Stopped => Err(GroupError::Stopped),
            Life::Deleted => Err(GroupError::NoGroup),
        }
    }
}

impl State {
    /// Segments that may still grow or lack an index.
    pub fn growing(&mut self) -> impl Iterator<Item = &mut Open> {
        self.closing.iter_mut().chain(&mut self.open)
    }

    fn unsynced(&mut self) -> Vec<Unsynced> {
        self.growing()
            .filter(|open| !open.is_durable())
            .filter_map(|open| {
                Some(Unsynced {
                    number: open.number,
                    file: Arc::clone(open.file.as_ref()?),
                    length: open.length,
                    entries: open.entries.len(),
                    named: open.named,
                })
            })
            .collect()
    }

    /// What was delivered and is on disk for certain.
    fn durably_delivered(&self) -> Delivered {
        let pending = self.pending.iter().map(|one| (one.stream, &one.claim));
        self.delivered.without(pending)
    }

    fn mark_all_durable(&mut self, synced: &[Unsynced]) {
        synced.iter().for_each(|file| self.mark_durable(file));
        self.pending.retain(|one| {
            let (number, end) = one.end;
            let covers = |file: &Unsynced| file.number == number && end <= file.length;
            !synced.iter().any(covers)
        });
    }

    fn mark_durable(&mut self, synced: &Unsynced) {
        if let Some(open) = self.growing().find(|open| open.number == synced.number) {
            open.durable = (synced.length, synced.entries);
            open.named = true;
        }
    }

    pub fn roll_back(&mut self) {
        let mut lost = Vec::new();
        for open in self.growing().filter(|open| !open.is_durable()) {
            lost.extend_from_slice(&open.entries[open.durable.1..]);
            open.roll_back();
        }
        lost.iter().for_each(|entry| self.streams.discount(entry));
        for one in self.pending.drain(..) {
            self.delivered.remove(one.stream, &one.claim);
        }
    }
}

impl Unsynced {
    fn sync(&self, folder: &Path) -> io::Result<()> {
        self.file.sync_data()?;
        if self.named {
            return Ok(());
        }
        File::open(folder)?.sync_all()
    }
}

impl Round {
    fn done() -> Arc<Self> {
        let round = Self::default();
        round.finish(Ok(()));
        Arc::new(round)
    }

    fn finish(&self, outcome: Result<(), GroupError>) {
        // Each round is finished once.
        let _ = self.0.set(outcome);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
