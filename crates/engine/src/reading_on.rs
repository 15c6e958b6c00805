//! A stop was asked for, and sources are read on for writers that are not done yet.

use std::time::Duration;

use tokio::time::Instant;

/// A source that is silent for so long has no writer any more.
const QUIET: Duration = Duration::from_millis(500);
/// The part of the grace in which sources are read on.
const PART: f64 = 0.5;
/// For how long they are read on if the grace has no end.
const MOST: Duration = Duration::from_secs(5);

/// Sources are read on for writers that are not done yet.
pub struct ReadingOn {
    pub began: Instant,
    latest: Instant,
    /// The records that were read when there was news last, and when that was.
    seen: (u64, Instant),
}

impl ReadingOn {
    pub fn new(grace: Option<Duration>, read: u64) -> ReadingOn {
        let now = Instant::now();
        let most = grace.map_or(MOST, |grace| grace.mul_f64(PART));
        ReadingOn {
            began: now,
            latest: now + most,
            seen: (read, now),
        }
    }

    pub fn look_again(&self) -> Instant {
        (self.seen.1 + QUIET).min(self.latest)
    }

    pub fn is_over(&mut self, read: u64) -> bool {
        let now = Instant::now();
        if read != self.seen.0 {
            self.seen = (read, now);
        }
        now >= self.look_again()
    }
}

/// Waits until then, if there is a time.
pub async fn sleep_until(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until).await;
    }
}
