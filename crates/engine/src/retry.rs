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

impl Backoff {
    /// The wait before retry `n`, counted from 1.
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
                upper / 2 + upper.mul_f64(fastrand::f64() / 2.0)
            }
        }
    }
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
    fn an_unset_limit_never_ends() {
        assert!(is_allowed(RetryLimit::Unset, u32::MAX));
        assert!(is_allowed(RetryLimit::Limited(2), 2) && !is_allowed(RetryLimit::Limited(2), 3));
        assert!(!is_allowed(RetryLimit::NoRetries, 1));
    }
}
