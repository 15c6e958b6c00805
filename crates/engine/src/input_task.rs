//! The task of one input, and what follows when it has ended.

use std::rc::Rc;

use plugin::{Emitter, Ended, Handover, StopHandle};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, spawn_local};

use crate::builder::{BuiltInput, Seat};
use crate::plan::Identity;
use crate::road::{InputRoad, Road};

/// What happened to an input.
pub enum InputEvent {
    /// It gave up what it has before its last answers are there.
    HandedOver(u64, Handover),
    /// It ended; `None`: it panicked.
    Ended(u64, Option<Ended>),
}

/// What becomes of an input that is told to stop.
pub enum Next {
    /// It is not told to stop.
    Runs,
    /// Nothing takes its place.
    Leaves,
    /// This takes its place.
    Replaced(Box<Seat>),
    /// It has given up what it had, and only waits for its last answers.
    Gone,
}

/// An input that runs, or waits for its last answers.
pub struct RunningInput {
    pub id: u64,
    pub seat: Seat,
    pub road: Rc<InputRoad>,
    pub next: Next,
    stop: Rc<StopHandle>,
    task: JoinHandle<()>,
}

impl RunningInput {
    /// Starts it on `road`.
    pub fn start(
        id: u64,
        built: BuiltInput,
        road: &Rc<Road>,
        events: UnboundedSender<InputEvent>,
    ) -> RunningInput {
        let BuiltInput { seat, input } = built;
        let (stop_handle, stop) = StopHandle::new();
        let stop_handle = Rc::new(stop_handle);
        let road = InputRoad::new(road, &seat);
        let emitter = Emitter::new(Rc::clone(&road) as _);
        let run = AbortOnDrop(spawn_local(input.run(emitter, stop)));
        let task = spawn_local(supervise(id, run, Rc::clone(&stop_handle), events));
        RunningInput {
            id,
            seat,
            road,
            next: Next::Runs,
            stop: stop_handle,
            task,
        }
    }

    /// Tells it to read no more.
    pub fn stop(&mut self, next: Next) {
        match next {
            Next::Replaced(_) => self.stop.request_for_successor(),
            _ => self.stop.request(),
        }
        self.next = next;
    }

    /// Tells it to read no more, and that another process goes on with what it gives up.
    pub fn stop_for_successor(&mut self) {
        self.next = Next::Leaves;
        self.stop.request_for_successor();
    }

    /// What a later reload compares with: what runs, or is about to; whether that is this very input.
    pub fn present(&self) -> Option<(&Identity, bool)> {
        match &self.next {
            Next::Runs => Some((&self.seat.identity, true)),
            Next::Replaced(seat) => Some((&seat.identity, true)),
            // It still has what another one could take over, but it cannot run on.
            Next::Leaves => Some((&self.seat.identity, false)),
            Next::Gone => None,
        }
    }
}

impl Drop for RunningInput {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn supervise(
    id: u64,
    mut run: AbortOnDrop,
    stop: Rc<StopHandle>,
    events: UnboundedSender<InputEvent>,
) {
    let early = tokio::select! {
        biased;
        handover = stop.handed_over() => Some(handover),
        ended = &mut run.0 => {
            let _ = events.send(InputEvent::Ended(id, ended.ok()));
            return;
        }
    };
    if let Some(handover) = early {
        // Nobody listens any more when the pipeline is gone; then the descriptors are closed.
        let _ = events.send(InputEvent::HandedOver(id, handover));
    }
    let ended = (&mut run.0).await.ok();
    let _ = events.send(InputEvent::Ended(id, ended));
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop(JoinHandle<Ended>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
