//! Counters and gauges that a plugin adds to those that every instance has.

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

/// A number that is set.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value set last.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of a metric.
#[derive(Clone, Debug)]
pub enum Number {
    /// Only grows.
    Counter(Counter),
    /// Goes up and down.
    Gauge(Gauge),
}

impl Number {
    /// Its present value.
    pub fn get(&self) -> u64 {
        match self {
            Number::Counter(counter) => counter.get(),
            Number::Gauge(gauge) => gauge.get(),
        }
    }
}

/// A registered number.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name without the prefix of the kind, e.g. `files_opened_total`.
    pub name: &'static str,
    /// What it says, for `# HELP`.
    pub help: &'static str,
    /// The value of the label `reason`, for what was dropped.
    pub reason: Option<&'static str>,
    /// The number.
    pub number: Number,
}

/// The numbers of one plugin instance.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Vec<Metric>>>);

impl Metrics {
    /// The counter `name`, registered at the first call.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.count(name, help, None)
    }

    /// The counter of records that the instance dropped for `reason` (a few words joined by `_`).
    pub fn dropped(&self, reason: &'static str) -> Counter {
        self.count("dropped_total", "Records dropped, by reason.", Some(reason))
    }

    /// The gauge `name`, registered at the first call.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        let number = self.register(name, help, None, || Number::Gauge(Gauge::default()));
        match number {
            Number::Gauge(gauge) => gauge,
            // A name has one kind; one that nobody reads does no harm.
            Number::Counter(_) => Gauge::default(),
        }
    }

    /// All numbers registered so far.
    pub fn all(&self) -> Vec<Metric> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn count(
        &self,
        name: &'static str,
        help: &'static str,
        reason: Option<&'static str>,
    ) -> Counter {
        let number = self.register(name, help, reason, || Number::Counter(Counter::default()));
        match number {
            Number::Counter(counter) => counter,
            Number::Gauge(_) => Counter::default(),
        }
    }

    fn register(
        &self,
        name: &'static str,
        help: &'static str,
        reason: Option<&'static str>,
        new: fn() -> Number,
    ) -> Number {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = all
            .iter()
            .find(|metric| metric.name == name && metric.reason == reason)
        {
            return known.number.clone();
        }
        let number = new();
        all.push(Metric {
            name,
            help,
            reason,
            number: number.clone(),
        });
        number
    }
}
