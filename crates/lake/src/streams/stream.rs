//! One delivery stream at work: it keeps what it is given and says when something is to be delivered.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::batch::RecordBatch;
use super::buffer::{self, Appended, Buffer, Label, Recovered, SealedSegment};
use super::definition::Definition;
use super::destination::Destination;
use crate::counters::{Meters, StreamCounters};
use crate::limits;

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
    state: Mutex<State>,
    wake: Notify,
}

struct State {
    definition: Definition,
    buffer: Buffer,
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
    /// The records could not be kept.
    #[error("the buffer cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Stream {
    /// A stream in `folder`, with what an earlier run left in its buffer.
    pub fn open(
        folder: PathBuf,
        definition: Definition,
        destination: Destination,
    ) -> io::Result<(Self, Recovered)> {
        let label = |time| label(&definition.name, &destination, time);
        let (buffer, recovered) = buffer::recover(
            &folder.join("buffer"),
            &quarantine(&folder),
            destination.size,
            label,
        )?;
        let due = buffer
            .first_arrival()
            .map(|first| Instant::now() + remaining(&destination, first, Timestamp::now()));
        let meters = Meters::default();
        meters.recovered_records.add(recovered.records);
        let name = definition.name.clone();
        let state = Mutex::new(State {
            definition,
            buffer,
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

    /// Keeps `batch`. When this returns, its records will be delivered, whatever happens to the process.
    pub fn append(&self, batch: &RecordBatch) -> Result<(), AppendError> {
        let mut state = self.state();
        match state.life {
            Life::Running => {}
            Life::Stopped => return Err(AppendError::Stopped),
            Life::Deleted => return Err(AppendError::Deleted),
        }
        let label = || label(&self.name, &self.destination, Timestamp::now());
        match state.buffer.append(batch, label)? {
            Appended::ToSegment => {}
            Appended::ToNewSegment => {
                state.due = Some(Instant::now() + interval(&self.destination));
                self.wake.notify_one();
            }
            Appended::AndSealed => {
                state.due = None;
                self.wake.notify_one();
            }
        }
        self.meters.put_requests.add(1);
        self.meters.records.add(batch.records().into());
        self.meters.bytes.add(batch.data_bytes());
        Ok(())
    }

    /// Seals what is due by `now`.
    pub fn seal_due(&self, now: Instant) -> io::Result<()> {
        let mut state = self.state();
        if state.due.is_some_and(|due| due <= now) {
            state.buffer.seal()?;
            state.due = None;
        }
        Ok(())
    }

    /// Seals whatever is buffered.
    pub fn seal(&self) -> io::Result<()> {
        let mut state = self.state();
        state.buffer.seal()?;
        state.due = None;
        Ok(())
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

    /// Forgets a segment whose object is durable.
    pub fn release(&self, segment: &SealedSegment) -> io::Result<()> {
        self.state().buffer.release(segment)
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
