//! The clock that requests are dated with: this machine's, corrected by what the service says when it finds the date
//! wrong.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::environment::Environment;

/// AWS takes dates up to five minutes off; what is closer than this is not the reason for a refusal.
const SKEW_SECS_MIN: i64 = 4 * 60;

#[derive(Debug)]
pub(crate) struct Clock {
    environment: Environment,
    skew_secs: AtomicI64,
}

impl Clock {
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            skew_secs: AtomicI64::new(0),
        }
    }

    pub fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew_secs.load(Ordering::Relaxed));
        let now = self.environment.now();
        now.checked_add(skew).unwrap_or(now)
    }

    /// Goes by the service's date from now on, if it is far from ours; tells whether it was.
    pub fn correct(&self, service: Timestamp) -> bool {
        if service.duration_since(self.now()).as_secs().abs() < SKEW_SECS_MIN {
            return false;
        }
        let skew = service.duration_since(self.environment.now()).as_secs();
        self.skew_secs.store(skew, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn only_a_large_difference_is_corrected_and_only_once() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let clock =
            Clock::new(Environment::fixed::<&str, &str>([]).with_clock(move || at(100_000)));
        assert!(!clock.correct(Timestamp::from_second(100_200).unwrap()));
        assert!(clock.correct(Timestamp::from_second(90_000).unwrap()));
        assert_eq!(clock.now().as_second(), 90_000);
        assert!(!clock.correct(Timestamp::from_second(90_010).unwrap()));
        assert!(clock.correct(Timestamp::from_second(100_000).unwrap()));
        assert_eq!(clock.now().as_second(), 100_000);
    }
}
