//! Whether a sender goes on with what it has begun.
//!
//! A sender may take its time as long as nobody waits for the memory that its unfinished record holds. Who is slower than
//! [`RATE`] over a [`WINDOW`] gives way to those who wait, and after a longer time even if nobody does.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Over this time the rate is looked at.
pub const WINDOW: Duration = Duration::from_secs(5);
/// Bytes that must arrive in a window: 1 KiB a second.
const RATE: usize = 5 << 10;

/// What is known of how fast a sender sends.
pub struct Pace {
    since: Cell<Instant>,
    bytes: Cell<usize>,
    /// Since when it has been too slow.
    slow: Cell<Option<Instant>>,
    /// It is the router that does not read.
    is_held_up: Cell<bool>,
    /// How long it may be slow even if nobody waits.
    limit: Option<Duration>,
}

impl Pace {
    /// At the start of a record; `limit` is how long a sender may be slow if nobody waits.
    pub fn new(limit: Option<Duration>) -> Pace {
        Pace {
            since: Cell::new(Instant::now()),
            bytes: Cell::new(0),
            slow: Cell::new(None),
            is_held_up: Cell::new(false),
            limit,
        }
    }

    /// A record is complete, or the sender was kept waiting: counts anew.
    pub fn restart(&self) {
        self.since.set(Instant::now());
        self.bytes.set(0);
        self.slow.set(None);
    }

    /// So many bytes have come.
    pub fn note(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
        self.judge();
    }

    /// Whether from now on it is the router that keeps the sender waiting.
    pub fn hold_up(&self, is_held_up: bool) {
        if self.is_held_up.replace(is_held_up) != is_held_up {
            self.restart();
        }
    }

    /// Completes when a sender in the middle of a record must give way: it has been slow and `somebody_waits` completes,
    /// or it has been slow for too long.
    pub async fn gives_way<F: Future<Output = ()>>(&self, somebody_waits: impl Fn() -> F) {
        loop {
            match self.slow.get() {
                None => {
                    sleep_until(self.since.get() + WINDOW).await;
                    self.judge();
                }
                Some(since) => {
                    tokio::select! {
                        () = somebody_waits() => {}
                        () = over(since, self.limit) => {}
                    }
                    if !self.is_held_up.get() {
                        return;
                    }
                    self.restart();
                }
            }
        }
    }

    fn judge(&self) {
        if self.is_held_up.get() {
            return self.restart();
        }
        let now = Instant::now();
        if now < self.since.get() + WINDOW {
            return;
        }
        let slow = match self.bytes.get() < RATE {
            true => self.slow.get().or(Some(self.since.get())),
            false => None,
        };
        self.restart();
        self.slow.set(slow);
    }
}

async fn over(since: Instant, limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep_until(since + limit).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn the_slow_give_way_only_when_somebody_waits() {
        let pace = Pace::new(None);
        assert!(
            timeout(WINDOW * 100, pace.gives_way(pending))
                .await
                .is_err()
        );
        assert!(timeout(SOON, pace.gives_way(|| async {})).await.is_ok());
        pace.restart();
        assert!(
            timeout(WINDOW / 2, pace.gives_way(|| async {}))
                .await
                .is_err()
        );
        assert!(timeout(WINDOW, pace.gives_way(|| async {})).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_go_in_the_end() {
        let pace = Pace::new(Some(WINDOW * 3));
        let start = Instant::now();
        pace.gives_way(pending).await;
        assert_eq!(start.elapsed(), WINDOW * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_slow_and_a_flow_is_not() {
        for (bytes, is_slow) in [(1, true), (RATE, false)] {
            let pace = Pace::new(None);
            for _ in 0..3 {
                advance(WINDOW).await;
                pace.note(bytes);
            }
            let gives_way = timeout(SOON, pace.gives_way(|| async {})).await.is_ok();
            assert_eq!(gives_way, is_slow, "{bytes}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whom_the_router_keeps_waiting_is_not_slow() {
        let pace = Pace::new(Some(WINDOW));
        pace.hold_up(true);
        assert!(
            timeout(WINDOW * 10, pace.gives_way(|| async {}))
                .await
                .is_err()
        );
        pace.hold_up(false);
        assert!(
            timeout(WINDOW * 2, pace.gives_way(|| async {}))
                .await
                .is_ok()
        );
    }
}
