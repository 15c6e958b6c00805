//! A sender of forward frames that waits for acknowledgements, and sends again what got none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::router::Router;
use super::stage::Outcome;
use crate::generate::{Address, GenerateCommand, Mode, Progress, Running};
use crate::report::Sent;

/// How long acknowledgements may take in the end.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// A running sender.
pub struct Sender {
    running: Running,
    progress: Arc<Progress>,
}

impl Sender {
    /// Sends `rate` lines a second to a unix socket.
    pub fn start(socket: &Path, rate: u64) -> Outcome<Sender> {
        Sender::to(Address::Unix(socket.to_owned()), rate)
    }

    /// Sends `rate` lines a second to an address.
    pub fn to(address: Address, rate: u64) -> Outcome<Sender> {
        let progress = Arc::new(Progress::default());
        let command = GenerateCommand {
            size: 200,
            rate: Some(rate as f64),
            forward: Some(address),
            mode: Mode::Packed,
            acks: true,
            ..GenerateCommand::plain()
        };
        let running = command.start(Arc::clone(&progress))?;
        Ok(Sender { running, progress })
    }

    /// Ends, once every frame is acknowledged: what was.
    pub fn finish(self, router: &mut Router) -> Outcome<Sent> {
        self.finish_within(router, ACKNOWLEDGED_MAX)
    }

    /// The same, if it takes no longer than that.
    pub fn finish_within(self, router: &mut Router, longest: Duration) -> Outcome<Sent> {
        self.progress.stop.store(true, Ordering::Relaxed);
        router.until("every frame is acknowledged", longest, |_| {
            self.running.is_finished()
        })?;
        let sent = self.running.wait();
        Ok(sent.map_err(|error| format!("the sender: {error}"))?)
    }
}
