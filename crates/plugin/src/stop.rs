//! The signal that a pipeline ends.

use tokio::sync::watch;

/// The engine's end of the signal.
#[derive(Debug)]
pub struct StopHandle(watch::Sender<bool>);

/// What inputs wait on: once requested they read no more, wait until what they handed over is answered for, and end.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl StopHandle {
    /// A signal that has not been given.
    pub fn new() -> (StopHandle, Stop) {
        let (sender, receiver) = watch::channel(false);
        (StopHandle(sender), Stop(receiver))
    }

    /// Gives the signal.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Whether the signal was given.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the signal is given, at once if it was already. A vanished engine counts as a stop.
    pub async fn requested(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|requested| *requested).await;
    }
}
