//! The storage of a running pipeline: opened with it, shown while it runs, and what outputs hold is kept at its end.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use buffer::wal::Failure;
use monitor::Watched;
use plugin::{Level, Log};

use super::{DeadLetters, Open, StateDirectory, Storage, StorageSettings, Way, encoding};
use crate::builder::Seat;
use crate::output_task::RunningOutput;
use crate::oversight::{Leftover, Order};
use crate::pipeline::{PipelineError, Running};
use crate::plan::Plan;
use crate::shards::Member;

/// How long an output may take to give back what it holds.
const PATIENCE: Duration = Duration::from_millis(200);
/// The health check that fails while nothing can be written.
const CHECK: &str = "storage";

/// Prepares the storage for inputs, and opens it if one of them needs it or an earlier run has left something.
pub fn open_storage<'a>(
    storage: Option<&Rc<Storage>>,
    inputs: impl Iterator<Item = &'a Seat>,
) -> Result<(), PipelineError> {
    let Some(storage) = storage else {
        return Ok(());
    };
    let mut is_needed = storage.has_backlog();
    for input in inputs {
        storage.note_input(&input.context.budget);
        is_needed |= input.is_stored;
    }
    if !is_needed {
        return Ok(());
    }
    storage
        .open()
        .map_err(|error| PipelineError(vec![format!("[storage] {error}")]))
}

/// Takes the folder that the configuration names, so that a second router with the same one does not start. A place that
/// nobody named is taken once something must be kept.
pub fn claim(plan: &Plan, state: &StateDirectory) -> Result<(), PipelineError> {
    if plan.service.storage_path.is_none() || plan.replays_into.is_some() {
        return Ok(());
    }
    let taken = state.claim_at_start();
    taken.map_err(|error| PipelineError(vec![format!("[storage] {error}")]))
}

/// The storage and the dead letters of a plan; no storage where dead letters are sent once more.
pub fn of_plan(
    plan: &Plan,
    level: Level,
    state: &Rc<StateDirectory>,
    member: &Member,
) -> (Option<Rc<Storage>>, DeadLetters) {
    let log = Log::new("storage", level);
    let dead_letters = DeadLetters::of(plan, state, log.clone());
    let settings = StorageSettings::new(&plan.service, state, member);
    let memory = Arc::clone(&member.shards.memory.records);
    let new = || Rc::new(Storage::new(settings, memory, log));
    (plan.replays_into.is_none().then(new), dead_letters)
}

/// What the monitor watches, with or without `storage.metrics`.
pub fn watched(counters: monitor::Pipeline, has_storage_metrics: bool) -> Watched {
    let watched = Watched::new(counters);
    watched.storage.is_shown.set(u64::from(has_storage_metrics));
    watched
}

impl Running {
    /// Shows the monitor what waits in memory and on the disk.
    pub fn show_storage(&self) {
        for input in &self.inputs {
            let (counters, budget) = (&input.seat.counters, &input.seat.context.budget);
            counters.mem_size.set(budget.used() as u64);
            counters.mem_limit.set(budget.limit() as u64);
            let is_paused = budget.is_closed() || budget.is_full();
            counters.is_paused.set(u64::from(is_paused));
        }
        let Some(storage) = &self.storage else {
            return;
        };
        let (gauges, counted) = (&self.watched.storage, &storage.counted);
        gauges.damaged_places.set(counted.damaged_places.get());
        gauges.damaged_bytes.set(counted.damaged_bytes.get());
        let Some(open) = storage.opened() else {
            return;
        };
        let (segments, _) = open.writer.size();
        gauges.segments.set(segments as u64);
        gauges.segments_open.set(u64::from(segments > 0));
        self.watch_writing(&open);
    }

    /// Lets the health checks fail while nothing can be written, on a full disk say, and say why.
    fn watch_writing(&self, open: &Open) {
        let (alarms, failure) = (&self.watched.alarms, open.writer.failure());
        let is_failing = u64::from(failure.is_some());
        self.watched.storage.is_failing.set(is_failing);
        match failure {
            Some(Failure { why, .. }) => {
                let folder = open.directory.path.display();
                alarms.raise(
                    CHECK,
                    format!("storage: nothing can be written to {folder}, and sources wait: {why}"),
                );
            }
            None => {
                alarms.clear(CHECK);
            }
        }
    }
}

impl Storage {
    /// Keeps what `outputs` hold and will not get an answer for any more, so that it is delivered after the next start
    /// and not a second time by those outputs that have delivered it. What only one output gets and its source can
    /// hand over again stays with its source. A sender who has heard of no answer by then may send its chunks again: they are
    /// known, and answered. Returns how many records are kept.
    pub async fn keep_held(&self, outputs: &[RunningOutput]) -> u64 {
        for output in outputs {
            output.oversight.order(Order::TearDown);
        }
        let mut kept = 0;
        for output in outputs {
            let given_up = async {
                output.oversight.idle().await;
                // The task puts what it gave back where it can be found.
                tokio::task::yield_now().await;
            };
            if tokio::time::timeout(PATIENCE, given_up).await.is_err() {
                continue;
            }
            let Some(way) = self.find(&output.counters.name) else {
                continue;
            };
            for left in output.oversight.take_leftovers() {
                kept += self.keep(&way, left);
            }
        }
        if let Some(open) = self.opened().filter(|_| kept > 0) {
            open.writer.flush().await;
        }
        kept
    }

    pub(super) fn keep(&self, way: &Way, left: Leftover) -> u64 {
        let must = self.outputs() > 1 || left.batch.is_awaited();
        if !must || left.receipt.is_numbered() || !encoding::is_storable(&left.batch) {
            return 0;
        }
        let Some(open) = self.log() else { return 0 };
        open.writer.fall_behind(way.index);
        let records = u64::from(left.len());
        self.spill(
            &open,
            &left.batch,
            left.receipt,
            &[way.index],
            &left.records,
        );
        records
    }
}
