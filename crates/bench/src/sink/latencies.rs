//! How long lines took from being written to being received: a count for each millisecond.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::report::Latency;

/// Counts go as far as this; what took longer is among the last.
const MILLIS_MAX: usize = 600_000;

/// The times of all lines, to the millisecond.
#[derive(Default)]
pub struct Latencies {
    /// How many lines took so many whole milliseconds; as long as the longest needs.
    counts: Vec<u32>,
    lines: u64,
    max_micros: u64,
}

impl Latencies {
    /// A line is here that was written at `stamp`, in microseconds since 1970 by the clock of this machine.
    pub fn add(&mut self, stamp: u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_micros() as u64);
        self.add_micros(now.saturating_sub(stamp));
    }

    fn add_micros(&mut self, micros: u64) {
        let millis = usize::try_from(micros / 1000)
            .unwrap_or(MILLIS_MAX)
            .min(MILLIS_MAX);
        if self.counts.len() <= millis {
            self.counts.resize(millis + 1, 0);
        }
        self.counts[millis] = self.counts[millis].saturating_add(1);
        self.lines += 1;
        self.max_micros = self.max_micros.max(micros);
    }

    /// `None` if no line said when it was written.
    pub fn summary(&self) -> Option<Latency> {
        (self.lines > 0).then(|| Latency {
            lines: self.lines,
            p50: self.percentile(0.5),
            p99: self.percentile(0.99),
            max: self.max_micros as f64 / 1000.0,
        })
    }

    /// The end of the millisecond in which the `part` of all lines is reached.
    fn percentile(&self, part: f64) -> f64 {
        let wanted = (self.lines as f64 * part).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        });
        let end = reached.map_or(self.counts.len(), |millis| millis + 1) as f64;
        end.min(self.max_micros as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_lines() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.summary(), None);
        (1..=100).for_each(|millis| latencies.add_micros(millis * 1000 - 1));
        let summary = latencies.summary().expect("lines");
        assert_eq!((summary.lines, summary.p50, summary.p99), (100, 50.0, 99.0));
        assert_eq!(summary.max, 99.999);
        latencies.add_micros(u64::MAX);
        assert!(latencies.summary().expect("lines").max > 1e12);
    }

    #[test]
    fn a_line_from_a_clock_that_is_ahead_took_no_time() {
        let mut latencies = Latencies::default();
        latencies.add(u64::MAX);
        assert_eq!(latencies.summary().expect("a line").max, 0.0);
    }
}
