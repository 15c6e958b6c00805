//! Counters that a plugin adds to those that every instance has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A registered counter.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name without the prefix of the kind, e.g. `files_opened_total`.
    pub name: &'static str,
    /// What it counts, for `# HELP`.
    pub help: &'static str,
    /// The value of the label `reason`, for what was dropped.
    pub reason: Option<&'static str>,
    /// The number.
    pub counter: Counter,
}

/// The counters of one plugin instance.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Vec<Metric>>>);

impl Metrics {
    /// The counter `name`, registered at the first call.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.register(name, help, None)
    }

    /// The counter of records that the instance dropped for `reason` (a few words joined by `_`).
    pub fn dropped(&self, reason: &'static str) -> Counter {
        self.register("dropped_total", "Records dropped, by reason.", Some(reason))
    }

    /// All counters registered so far.
    pub fn all(&self) -> Vec<Metric> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn register(
        &self,
        name: &'static str,
        help: &'static str,
        reason: Option<&'static str>,
    ) -> Counter {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = all
            .iter()
            .find(|metric| metric.name == name && metric.reason == reason)
        {
            return known.counter.clone();
        }
        let counter = Counter::default();
        all.push(Metric {
            name,
            help,
            reason,
            counter: counter.clone(),
        });
        counter
    }
}
