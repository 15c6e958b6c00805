//! The end: inputs read no more, what they handed over is sent, and what stays where is said.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::builder::Seat;
use crate::input_task::{InputEvent, Next};
use crate::pipeline::{Handovers, Running};
use crate::road::Road;

/// How long inputs may take to end when all outputs have been given up.
const LAST_WORDS: Duration = Duration::from_millis(300);

impl Running {
    /// Ends it: see [`Pipeline::run`]. The stop was asked for at `began`.
    pub async fn end(
        mut self,
        began: Instant,
        events: &mut UnboundedReceiver<InputEvent>,
    ) -> Handovers {
        self.log_stop();
        let seats: Vec<Seat> = self.inputs.iter().map(|input| input.seat.clone()).collect();
        for input in &mut self.inputs {
            input.stop(Next::Leaves);
        }
        self.stop_handle.request();
        self.road.expire(true);
        if let Some(storage) = &self.storage {
            storage.stop();
        }
        let mut handovers = Handovers::new();
        // The process must be gone when the grace is over, and its last words take a moment.
        let deadline = self
            .grace
            .map(|grace| began + grace.saturating_sub(LAST_WORDS * 2).max(grace / 2));
        let mut drained = self.drain(deadline, events, &mut handovers).await;
        let mut kept = 0;
        if let Some(storage) = self.storage.clone().filter(|_| !drained) {
            kept = storage.keep_held(&self.outputs).await;
            let last = Some(Instant::now() + LAST_WORDS);
            drained = kept > 0 && self.drain(last, events, &mut handovers).await;
        }
        if !drained {
            self.log.warn(format_args!(
                "the grace is over: {} inputs still wait for answers",
                self.inputs.len()
            ));
        }
        if let Some(deadlines) = self.deadlines.take() {
            deadlines.abort();
        }
        if let Some(storage) = &self.storage {
            storage.leave_outputs();
        }
        let tasks = self.close_outputs();
        if drained && kept == 0 {
            for task in tasks {
                let _ = within(deadline, task).await;
            }
        } else {
            // What they held is refused: inputs hear of it and can note how far they came.
            tasks.iter().for_each(JoinHandle::abort);
            let last = Some(Instant::now() + LAST_WORDS);
            self.drain(last, events, &mut handovers).await;
        }
        if let Some(storage) = &self.storage {
            // What was answered meanwhile has its moment, too.
            let last = deadline.map(|deadline| deadline.max(Instant::now() + LAST_WORDS));
            storage.close(last).await;
        }
        self.log_end(&seats, kept);
        handovers
    }

    fn log_stop(&self) {
        match self.grace {
            Some(grace) => self.log.warn(format_args!(
                "service will shutdown in max {} seconds",
                grace.as_secs()
            )),
            None => self.log.warn(format_args!(
                "service will shutdown when all remaining tasks are flushed"
            )),
        }
    }

    /// Waits until every input has ended. Returns whether they all did in time.
    async fn drain(
        &mut self,
        deadline: Option<Instant>,
        events: &mut UnboundedReceiver<InputEvent>,
        handovers: &mut Handovers,
    ) -> bool {
        while !self.inputs.is_empty() {
            match within(deadline, events.recv()).await {
                Some(Some(event)) => {
                    self.note(event, Some(handovers));
                }
                Some(None) => return true,
                None => return false,
            }
        }
        true
    }

    /// Closes the way into every output, so that each ends when it is done.
    fn close_outputs(&mut self) -> Vec<JoinHandle<()>> {
        for input in &self.inputs {
            input.road.close();
        }
        // It has the other ends of the ways.
        let nowhere = Road::new(Rc::new([]), Vec::new(), self.counts.emitter.clone());
        self.road = Rc::new(nowhere);
        let retiring = self.retiring.drain(..).map(|output| output.task);
        let running = self.outputs.drain(..).map(|output| output.task);
        running.chain(retiring).collect()
    }

    /// Says what stays, and where.
    fn log_end(&self, seats: &[Seat], kept: u64) {
        let all = self.counts.all();
        let left: u64 = all
            .outputs
            .iter()
            .map(|output| output.in_flight() + output.returned.get())
            .sum();
        let left = left.saturating_sub(kept);
        for output in all.outputs.iter().filter(|output| output.in_flight() > 0) {
            self.log.info(format_args!(
                "output {}: {} records without an answer",
                output.name,
                output.in_flight()
            ));
        }
        for seat in seats.iter().filter(|_| left > 0) {
            let name = &seat.identity.name;
            match &seat.database {
                Some(path) => self.log.info(format_args!(
                    "input {name}: how far everything is delivered is in {path}; the next start reads on from there"
                )),
                None => self.log.info(format_args!(
                    "input {name}: nothing of it stays on disk; what was not acknowledged is its senders' to send again"
                )),
            }
        }
        self.log.info(format_args!(
            "service has stopped ({left} records without an answer, left with their sources)"
        ));
    }
}

async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}
