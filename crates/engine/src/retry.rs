//! When a failed request is sent again.

use std::time::Duration;

use config::RetryLimit;

/// The waits between the attempts of a request.
///
/// With `scheduler.base` or `scheduler.cap` configured, Fluent Bit's formula (`src/flb_scheduler.c`): a uniform choice
/// of whole seconds from base to `min(cap, base * 2^n)`, and one more. Without, the waits start below a second and stay
/// below half a minute: an answered failure is mostly over soon, and unlimited retries are the default here.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// `(base, cap)` in seconds if the user named them.
    pub configured: Option<(u64, u64)>,
}

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// The longest first wait of records that were refused one by one while most of their request was taken.
const FEW_FIRST: Duration = Duration::from_millis(20);

impl Backoff {
    /// The wait before the next retry of a request after `n` in a row brought nothing.
    pub fn wait(self, n: u32) -> Duration {
        match self.configured {
            Some((base, cap)) => {
                let upper = base
                    .saturating_mul(1_u64.checked_shl(n).unwrap_or(u64::MAX))
                    .min(cap)
                    .max(base);
                Duration::from_secs(fastrand::u64(base..=upper) + 1)
            }
            None => {
                let upper = FIRST
                    .saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX))
                    .min(LONGEST);
                half_by_chance(upper)
            }
        }
    }

    /// The wait before retry `retry` (counted from 1) of records that were refused one by one while the service took most of
    /// what was sent with them, after `n` retries in a row of which it took none. It has room, and what waits holds the
    /// memory of a whole batch: the waits start far below those for whole requests. They grow with each retry, and double
    /// while nothing is taken.
    pub fn wait_of_few(self, retry: u32, n: u32) -> Duration {
        if self.configured.is_some() {
            return self.wait(n);
        }
        let doublings = n.saturating_sub(1);
        let upper = FEW_FIRST
            .saturating_mul(retry.max(1))
            .min(FIRST)
            .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
            .min(LONGEST);
        half_by_chance(upper)
    }
}

/// Half of a wait is up to chance, so that many do not come at once.
fn half_by_chance(upper: Duration) -> Duration {
    upper / 2 + upper.mul_f64(fastrand::f64() / 2.0)
}

/// Whether retry `n` (counted from 1) is allowed. Unset means without end: a listed difference from Fluent Bit's one.
pub fn is_allowed(limit: RetryLimit, n: u32) -> bool {
    match limit {
        RetryLimit::Unset | RetryLimit::Unlimited => true,
        RetryLimit::NoRetries => false,
        RetryLimit::Limited(limit) => n <= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_waits_follow_upstream() {
        let backoff = Backoff {
            configured: Some((5, 2000)),
        };
        for (n, range) in [(1, 6..=11), (2, 6..=21), (3, 6..=41), (60, 6..=2001)] {
            for _ in 0..200 {
                assert!(range.contains(&backoff.wait(n).as_secs()), "retry {n}");
            }
        }
    }

    #[test]
    fn own_waits_grow_and_stay_bounded() {
        let backoff = Backoff { configured: None };
        for n in 1..80 {
            let wait = backoff.wait(n);
            assert!(wait >= FIRST && wait <= LONGEST, "retry {n}: {wait:?}");
        }
    }

    #[test]
    fn few_records_wait_shortly_while_any_are_taken() {
        let backoff = Backoff { configured: None };
        let within = |retry, n, upper: u64| {
            let (wait, upper) = (backoff.wait_of_few(retry, n), Duration::from_millis(upper));
            assert!(wait >= upper / 2 && wait <= upper, "{retry}, {n}: {wait:?}");
        };
        for (retry, upper) in [
            (1, 20),
            (2, 40),
            (5, 100),
            (12, 240),
            (13, 250),
            (1000, 250),
        ] {
            within(retry, 1, upper);
        }
        // Nothing is taken any more: as whole requests in the end.
        for (retry, n, upper) in [(2, 2, 80), (3, 3, 240), (20, 5, 4_000), (80, 40, 30_000)] {
            within(retry, n, upper);
        }
        let configured = Backoff {
            configured: Some((5, 5)),
        };
        assert_eq!(configured.wait_of_few(1, 1), Duration::from_secs(6));
    }

    #[test]
    fn an_unset_limit_never_ends() {
        assert!(is_allowed(RetryLimit::Unset, u32::MAX));
        assert!(is_allowed(RetryLimit::Limited(2), 2) && !is_allowed(RetryLimit::Limited(2), 3));
        assert!(!is_allowed(RetryLimit::NoRetries, 1));
    }
}
