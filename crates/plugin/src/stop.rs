//! The signal that a pipeline ends, and the way back for what an input gives up early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::Handover;

/// The engine's end of the signal. Inputs have one each: a reload stops some of them and lets the others run.
#[derive(Debug)]
pub struct StopHandle {
    signal: Arc<Signal>,
    given_up: Arc<GivenUp>,
}

/// What inputs wait on: once requested they read no more, wait until what they handed over is answered for, and end.
#[derive(Clone, Debug)]
pub struct Stop {
    signal: Arc<Signal>,
    given_up: Arc<GivenUp>,
}

/// Whether a stop is requested. Who waits is woken in the order of waiting, so that a simulation can be repeated.
#[derive(Debug, Default)]
struct Signal {
    requested: AtomicBool,
    /// Somebody takes over what is given up.
    has_successor: AtomicBool,
    changed: Notify,
}

/// What an input gave up before it ended.
#[derive(Debug, Default)]
struct GivenUp {
    handover: Mutex<Option<Handover>>,
    changed: Notify,
}

impl StopHandle {
    /// A signal that has not been given.
    pub fn new() -> (StopHandle, Stop) {
        let signal = Arc::<Signal>::default();
        let given_up = Arc::<GivenUp>::default();
        let handle = StopHandle {
            signal: Arc::clone(&signal),
            given_up: Arc::clone(&given_up),
        };
        let stop = Stop { signal, given_up };
        (handle, stop)
    }

    /// Gives the signal.
    pub fn request(&self) {
        self.signal.requested.store(true, Ordering::Release);
        self.signal.changed.notify_waiters();
    }

    /// Gives the signal to an input in whose place another one starts with what it gives up.
    pub fn request_for_successor(&self) {
        self.signal.has_successor.store(true, Ordering::Release);
        self.request();
    }

    /// What the input gave up early, once; waits until it does.
    pub async fn handed_over(&self) -> Handover {
        loop {
            let changed = self.given_up.changed.notified();
            if let Some(handover) = self.given_up.take() {
                return handover;
            }
            changed.await;
        }
    }

    /// What the input has given up early and nobody has taken.
    pub fn take_handover(&self) -> Option<Handover> {
        self.given_up.take()
    }
}

impl Drop for StopHandle {
    fn drop(&mut self) {
        self.request();
    }
}

impl Stop {
    /// Whether the signal was given.
    pub fn is_requested(&self) -> bool {
        self.signal.requested.load(Ordering::Acquire)
    }

    /// Whether somebody takes over what is given up after the signal. Open connections go on there; without, their senders
    /// must be told that nobody reads any more.
    pub fn has_successor(&self) -> bool {
        self.signal.has_successor.load(Ordering::Acquire)
    }

    /// Completes when the signal is given, at once if it was already. A vanished engine counts as a stop.
    pub async fn requested(&self) {
        // It hears of every signal from here on.
        let changed = self.signal.changed.notified();
        if !self.is_requested() {
            changed.await;
        }
    }

    /// Gives up sockets, descriptors and positions before the last answers are there: what takes over reads on at once
    /// while this input only waits. Whoever cannot do that (because positions follow answers) gives them up with
    /// [`crate::Ended`]; what is given up here must not stand there again. Call it once, after the last read.
    pub fn hand_over(&self, handover: Handover) {
        *self.given_up.lock() = Some(handover);
        self.given_up.changed.notify_one();
    }
}

impl GivenUp {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Handover>> {
        self.handover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Handover> {
        self.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_early_arrives_once() {
        let (handle, stop) = StopHandle::new();
        assert!(!stop.is_requested() && handle.take_handover().is_none());
        handle.request();
        assert!(stop.is_requested() && !stop.has_successor());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut handed_over = std::pin::pin!(handle.handed_over());
        assert!(handed_over.as_mut().poll(&mut context).is_pending());
        stop.hand_over(Handover {
            state: vec![1, 7],
            ..Handover::default()
        });
        match handed_over.as_mut().poll(&mut context) {
            std::task::Poll::Ready(handover) => assert_eq!(handover.state, [1, 7]),
            std::task::Poll::Pending => panic!("it was given up"),
        }
        assert!(handle.take_handover().is_none());
        handle.request_for_successor();
        assert!(stop.has_successor());
    }
}
