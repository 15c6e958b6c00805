//! How many requests of an output are under way at once: fewer as soon as the service throttles, slowly more again while
//! it does not (additive increase, multiplicative decrease).

use plugin::{Gauge, Metrics};

/// The part of the limit that is left after the service throttled.
const DECREASE: f64 = 0.5;

/// The limit of one output on one shard.
pub struct Pace {
    most: f64,
    limit: f64,
    /// Counts the decreases: an answer to a request that was sent before the last one says nothing new.
    generation: u32,
    limit_gauge: Gauge,
    headroom_gauge: Gauge,
}

/// When a request was sent, in decreases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u32);

impl Pace {
    /// At most `most` requests at once, all of them from the start.
    pub fn new(most: usize, metrics: &Metrics) -> Pace {
        let most = most.max(1) as f64;
        let pace = Pace {
            most,
            limit: most,
            generation: 0,
            limit_gauge: metrics.gauge(
                "concurrency_limit",
                "Requests that may be under way at once; below the configured number while the service throttles.",
            ),
            headroom_gauge: metrics.gauge(
                "concurrency_headroom",
                "Requests that could be sent at once in addition to those under way.",
            ),
        };
        pace.show(0);
        pace
    }

    /// How many requests may be under way.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// What a request that is sent now remembers.
    pub fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// A request of this generation was answered.
    pub fn answered(&mut self, sent: Generation, throttled: bool) {
        if !throttled {
            self.limit = (self.limit + 1.0 / self.limit).min(self.most);
        } else if sent.0 == self.generation {
            self.generation = self.generation.wrapping_add(1);
            self.limit = (self.limit * DECREASE).max(1.0);
        }
    }

    /// Updates the gauges.
    pub fn show(&self, under_way: usize) {
        self.limit_gauge.set(self.limit() as u64);
        self.headroom_gauge
            .set(self.limit().saturating_sub(under_way) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wave_of_refusals_halves_once() {
        let mut pace = Pace::new(10, &Metrics::default());
        let first = pace.generation();
        for _ in 0..10 {
            pace.answered(first, true);
        }
        assert_eq!(pace.limit(), 5);
        pace.answered(pace.generation(), true);
        assert_eq!(pace.limit(), 2);
        for _ in 0..10 {
            pace.answered(pace.generation(), true);
        }
        assert_eq!(pace.limit(), 1, "never none");
    }

    #[test]
    fn it_grows_by_one_in_as_many_answers_as_it_is_wide() {
        let metrics = Metrics::default();
        let mut pace = Pace::new(10, &metrics);
        pace.answered(pace.generation(), true);
        let mut answers = 0;
        while pace.limit() < 6 {
            pace.answered(pace.generation(), false);
            answers += 1;
        }
        assert!((5..=6).contains(&answers), "{answers}");
        for _ in 0..100 {
            pace.answered(pace.generation(), false);
        }
        pace.show(3);
        let gauges: Vec<_> = metrics
            .all()
            .iter()
            .map(|metric| (metric.name, metric.number.get()))
            .collect();
        assert_eq!(
            gauges,
            [("concurrency_limit", 10), ("concurrency_headroom", 7)]
        );
    }
}
