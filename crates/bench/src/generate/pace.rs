//! How much is due when.

use std::time::{Duration, Instant};

use super::GenerateCommand;

/// Lines that are due together go out together, unless each is to have a write of its own.
const TICK: Duration = Duration::from_millis(5);

/// The pace of one writer: lines or bytes from a start on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: Instant,
    per_second: Option<f64>,
    in_bytes: bool,
    each_line: bool,
}

impl Pace {
    /// A writer's share of the whole pace.
    pub fn new(command: &GenerateCommand, start: Instant) -> Pace {
        let bytes = command.bytes_per_second.map(|bytes| bytes as f64);
        let all = command.rate.or(bytes);
        Pace {
            start,
            per_second: all.map(|all| all / f64::from(command.writers.max(1))),
            in_bytes: bytes.is_some(),
            each_line: command.each_line,
        }
    }

    /// What a line of `bytes` counts.
    pub fn units(&self, bytes: usize) -> u64 {
        if self.in_bytes { bytes as u64 } else { 1 }
    }

    /// How many units should be written by `now`. The first is due at the start.
    pub fn due(&self, now: Instant) -> u64 {
        match self.per_second {
            None => u64::MAX,
            Some(rate) => {
                let elapsed = now.saturating_duration_since(self.start);
                (elapsed.as_secs_f64() * rate) as u64 + 1
            }
        }
    }

    /// How long to wait at `now` until more than `done` units are due.
    pub fn wait(&self, done: u64, now: Instant) -> Duration {
        let Some(rate) = self.per_second.filter(|rate| *rate > 0.0) else {
            return if self.per_second.is_some() {
                TICK
            } else {
                Duration::ZERO
            };
        };
        let at = Duration::try_from_secs_f64(done as f64 / rate).unwrap_or(Duration::MAX);
        let at = self.start.checked_add(at).unwrap_or(now + TICK);
        let wait = at.saturating_duration_since(now);
        if self.each_line { wait } else { wait.max(TICK) }
    }

    /// Whether lines are written one by one.
    pub fn is_each_line(&self) -> bool {
        self.each_line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_follows_the_clock_and_nothing_is_made_up() {
        let start = Instant::now();
        let pace = Pace {
            start,
            per_second: Some(100.0),
            in_bytes: false,
            each_line: true,
        };
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            (pace.due(at(0)), pace.due(at(9)), pace.due(at(1000))),
            (1, 1, 101)
        );
        assert_eq!(pace.wait(1, at(4)), Duration::from_millis(6));
        assert_eq!(pace.wait(1, at(40)), Duration::ZERO);
        let together = Pace {
            each_line: false,
            ..pace
        };
        assert_eq!(together.wait(1, at(9)), TICK);
        let unlimited = Pace {
            per_second: None,
            ..pace
        };
        assert_eq!(
            (unlimited.due(start), unlimited.wait(5, start)),
            (u64::MAX, Duration::ZERO)
        );
    }
}
