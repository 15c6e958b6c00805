//! How far connections go beyond the window of their budget: not at all while the output gets on, step by step while it does
//! not.
//!
//! A window suffices for what an output has under way. Who sends faster than that is held back, so that no more is in memory
//! than is of use. But those who send cannot wait for long: a container whose log is not taken stands still. So where an output
//! is slow, or stuck, what waits for it is taken in up to the limit.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// It is looked so often whether the output gets on.
pub(super) const PERIOD: Duration = Duration::from_millis(100);
/// Then it gives back at least so many bytes in that time. Otherwise connections that had to wait go further by as much.
pub(super) const STEP: usize = 1 << 20;

/// What connections may take beyond the window.
pub(super) struct Reach {
    now: Cell<Period>,
}

#[derive(Clone, Copy)]
struct Period {
    begin: Instant,
    /// How far beyond the window is gone.
    beyond: usize,
    /// How many bytes were held at first, and those that were taken since.
    taken: usize,
    /// Whether a connection had to wait.
    is_awaited: bool,
}

impl Reach {
    /// Nothing beyond.
    pub fn new() -> Reach {
        Reach {
            now: Cell::new(Period::new(0, 0)),
        }
    }

    /// So many bytes were taken, and so many are held with them.
    pub fn note_taken(&self, bytes: usize, held: usize) {
        self.change(held.saturating_sub(bytes), |period| period.taken += bytes);
    }

    /// A connection has to wait while so many bytes are held: how far beyond the window it may go, and until when that holds.
    pub fn wait(&self, held: usize) -> (usize, Instant) {
        let period = self.change(held, |period| period.is_awaited = true);
        (period.beyond, period.begin + PERIOD)
    }

    fn change(&self, held: usize, note: impl FnOnce(&mut Period)) -> Period {
        let mut period = self.now.get();
        if let Some(beyond) = period.next_beyond(held) {
            period = Period::new(beyond, held);
        }
        note(&mut period);
        self.now.set(period);
        period
    }
}

impl Period {
    fn new(beyond: usize, held: usize) -> Period {
        Period {
            begin: Instant::now(),
            beyond,
            taken: held,
            is_awaited: false,
        }
    }

    /// How far the next one goes, if this one is over, when so many bytes are held.
    fn next_beyond(&self, held: usize) -> Option<usize> {
        let periods = self.begin.elapsed().as_secs_f64() / PERIOD.as_secs_f64();
        let given_back = self.taken.saturating_sub(held) as f64;
        let is_slow = self.is_awaited && given_back < STEP as f64 * periods;
        (periods >= 1.0).then_some(if is_slow { self.beyond + STEP } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::Gate;
    use record::{Budget, Permit};
    use std::collections::VecDeque;
    use std::sync::Arc;
    use tokio::time::{advance, timeout};

    /// A limit of so many steps.
    const LIMIT: usize = 8;

    /// A gate whose window is one step, and its budget.
    async fn gate() -> (Gate, Arc<Budget>) {
        let budget = Budget::new(LIMIT * STEP);
        let gate = Gate::open(&budget, 1).await;
        budget.narrow(STEP);
        (gate, budget)
    }

    #[tokio::test(start_paused = true)]
    async fn before_an_output_that_is_stuck_all_is_taken_up_to_the_limit() {
        let (gate, budget) = gate().await;
        let mut held = vec![gate.take(STEP).await];
        for _ in 1..LIMIT {
            assert!(timeout(PERIOD / 2, gate.take(STEP)).await.is_err());
            // Two that wait at the same time go one step.
            let (one, other) = tokio::join!(gate.take(STEP / 2), gate.take(STEP / 2));
            held.extend([one, other]);
        }
        assert!(timeout(PERIOD * 10, gate.take(1)).await.is_err());
        assert_eq!(budget.used(), LIMIT * STEP);
    }

    /// What is held most while an output takes so many bytes each millisecond, of a sender who always has more.
    async fn held_most(each: usize) -> usize {
        const PIECE: usize = 64 << 10;
        let (gate, budget) = gate().await;
        let mut held: VecDeque<Permit> = VecDeque::new();
        let (mut most, mut owed) = (0, 0);
        for _ in 0..2000 {
            while let Ok(permit) = timeout(Duration::ZERO, gate.take(PIECE)).await {
                held.push_back(permit);
            }
            most = most.max(budget.used());
            advance(Duration::from_millis(1)).await;
            owed += each;
            while owed >= PIECE && held.pop_front().is_some() {
                owed -= PIECE;
            }
        }
        most
    }

    #[tokio::test(start_paused = true)]
    async fn before_a_quick_output_nothing_is_taken_beyond_and_before_a_slow_one_all() {
        assert_eq!(held_most(100 << 10).await, STEP);
        assert_eq!(held_most(1 << 10).await, LIMIT * STEP);
    }

    #[tokio::test(start_paused = true)]
    async fn once_nobody_waits_the_window_holds_again() {
        let (gate, budget) = gate().await;
        let first = gate.take(STEP).await;
        let beyond = gate.take(STEP).await;
        drop((first, beyond));
        advance(PERIOD).await;
        let within = gate.take(STEP).await;
        assert!(timeout(PERIOD / 2, gate.take(1)).await.is_err());
        assert_eq!(budget.used(), within.bytes());
    }
}
