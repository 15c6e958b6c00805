//! One message instead of one per record.

use std::time::{Duration, Instant};

use plugin::Log;

const PERIOD: Duration = Duration::from_secs(60);

/// Warns at most once a minute, with the number of times in between.
#[derive(Debug, Default)]
pub struct Complaint {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    /// Something happened once more.
    pub fn warn(&mut self, log: &Log, message: impl FnOnce() -> String) {
        if self.last.is_some_and(|last| last.elapsed() < PERIOD) {
            self.unsaid += 1;
            return;
        }
        let more = std::mem::take(&mut self.unsaid);
        self.last = Some(Instant::now());
        match more {
            0 => log.warn(format_args!("{}", message())),
            more => log.warn(format_args!("{} (and {more} more before)", message())),
        }
    }
}
