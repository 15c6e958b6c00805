//! Repeats single requests of an upload that the service had no time for, so that the rest of the upload does not wait for
//! them.
//!
//! A bucket that throttles refuses single requests, and an upload in parts is a dozen of them: an attempt that ended with
//! the first refusal would hardly ever get to its end. What does not pass soon ends the attempt all the same; then the
//! [queue](super::queue) waits, longer each time.

use std::time::Duration;

use plugin::{Counter, Log, OutputContext};
use tokio::time::sleep;

use super::bucket::Failure;
use super::queue::{Waits, why};

/// How single requests are repeated.
#[derive(Debug)]
pub struct Repeat {
    /// The wait after the first refusal; it doubles with each one.
    first: Duration,
    /// However many there were. A service that asks for more is left alone by the whole upload.
    longest: Duration,
    count: Counter,
    log: Log,
}

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// So often a request is sent: while half of all are refused, one in a thousand ends its attempt.
const ATTEMPTS: u32 = 10;

impl Repeat {
    /// Waits no longer than whole uploads do.
    pub fn new(waits: Waits, context: &OutputContext) -> Repeat {
        Repeat {
            first: FIRST.min(waits.first),
            longest: LONGEST.min(waits.longest),
            count: context.metrics.counter(
                "upload_requests_repeated_total",
                "Requests of uploads that were sent again at once because the service had too much to do.",
            ),
            log: context.log.clone(),
        }
    }

    /// Sends a request until it is answered, or refused for another reason than that the service has too much to do.
    pub async fn until_answered<T>(
        &self,
        mut send: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut refusals = 0;
        loop {
            let failure = match send().await {
                Err(failure) => failure,
                answered => return answered,
            };
            refusals += 1;
            let Some(wait) = self.wait_after(&failure, refusals) else {
                return Err(failure);
            };
            self.count.add(1);
            self.log.debug(format_args!(
                "a request of an upload is sent again in {} ms: {}",
                wait.as_millis(),
                why(&failure)
            ));
            sleep(wait).await;
        }
    }

    /// `None`: it is not repeated here. Half of each wait is up to chance, so that many do not come at once.
    fn wait_after(&self, failure: &Failure, refusals: u32) -> Option<Duration> {
        let Failure::Again {
            is_busy: true,
            after,
            ..
        } = failure
        else {
            return None;
        };
        let asked = after.unwrap_or_default();
        if refusals >= ATTEMPTS || asked > self.longest {
            return None;
        }
        let upper = (self.first * (1 << (refusals - 1))).min(self.longest);
        let wait = upper.mul_f64(0.5 + fastrand::f64() / 2.0);
        Some(wait.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use plugin::Level;
    use tokio::time::Instant;

    use super::*;

    fn repeat() -> Repeat {
        Repeat {
            first: FIRST,
            longest: LONGEST,
            count: Counter::default(),
            log: Log::new("", Level::Off),
        }
    }

    fn refused(is_busy: bool, after: Option<u64>) -> Failure {
        Failure::Again {
            why: "Slow down.".to_owned(),
            after: after.map(Duration::from_millis),
            progress: false,
            is_busy,
        }
    }

    /// Sends a request that is refused like this so often. Returns whether it got through, how often it was sent, and how
    /// long that took.
    async fn sent(refusals: u32, failure: impl Fn() -> Failure) -> (bool, u32, Duration) {
        let (repeat, begin, mut count) = (repeat(), Instant::now(), 0);
        let answer = repeat.until_answered(async || {
            count += 1;
            match count <= refusals {
                true => Err(failure()),
                false => Ok(()),
            }
        });
        let is_answered = answer.await.is_ok();
        assert_eq!(repeat.count.get() + 1, u64::from(count));
        (is_answered, count, begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_service_is_asked_again_soon() {
        let (is_answered, count, took) = sent(1, || refused(true, None)).await;
        assert!(is_answered && count == 2);
        assert!((FIRST / 2..=FIRST + FIRST / 2).contains(&took), "{took:?}");
        let (is_answered, count, took) = sent(5, || refused(true, None)).await;
        assert!(is_answered && count == 6);
        let upper = FIRST * 31;
        assert!((upper / 2..=upper + FIRST).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_no_more_often_than_helps() {
        let (is_answered, count, took) = sent(u32::MAX, || refused(true, None)).await;
        assert!(!is_answered && count == ATTEMPTS);
        assert!(took < LONGEST * ATTEMPTS, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_and_what_takes_long_ends_the_attempt() {
        assert!(
            matches!(sent(1, || refused(false, None)).await, (false, 1, took) if took.is_zero())
        );
        assert!(matches!(sent(1, || Failure::Exists).await, (false, 1, took) if took.is_zero()));
        let long = || refused(true, Some(5_000));
        assert!(matches!(sent(1, long).await, (false, 1, took) if took.is_zero()));
        let (is_answered, _, took) = sent(1, || refused(true, Some(900))).await;
        assert!(
            is_answered && took >= Duration::from_millis(900),
            "{took:?}"
        );
    }
}
