//! What the engine counts.

use std::sync::Arc;

use plugin::{Counter, Gauge, Metrics};

/// Counters of one input.
#[derive(Clone, Debug)]
pub struct InputCounters {
    /// Alias or instance name.
    pub name: Arc<str>,
    /// Records handed over, before filters.
    pub records: Counter,
    /// Source bytes of those records.
    pub bytes: Counter,
    /// Records that matched an output, after filters.
    pub routed: Counter,
    /// Records that matched no output.
    pub unrouted: Counter,
    /// Bytes of memory that its records take now.
    pub mem_size: Gauge,
    /// The most that they may take (`Mem_Buf_Limit`); 0 is no limit of its own.
    pub mem_limit: Gauge,
    /// Not zero while it gets no memory to read into.
    pub is_paused: Gauge,
    /// Not zero while it waits because what it reads would be on the disk alone
    /// (`storage.pause_on_chunks_overlimit`).
    pub waits_for_storage: Gauge,
    /// The plugin's own counters.
    pub own: Metrics,
}

/// Counters of one filter.
#[derive(Clone, Debug)]
pub struct FilterCounters {
    /// Alias or instance name.
    pub name: Arc<str>,
    /// Records seen.
    pub records: Counter,
    /// Source bytes of the batches seen.
    pub bytes: Counter,
    /// Records removed.
    pub dropped: Counter,
    /// Records added.
    pub added: Counter,
    /// Records that went back to their source, because the filter failed on them.
    pub returned: Counter,
    /// The plugin's own counters.
    pub own: Metrics,
}

/// Counters of one output.
#[derive(Clone, Debug)]
pub struct OutputCounters {
    /// Alias or instance name.
    pub name: Arc<str>,
    /// Records routed here.
    pub routed: Counter,
    /// Records delivered.
    pub records: Counter,
    /// Bytes of the delivered request bodies.
    pub bytes: Counter,
    /// Records that left nothing to send.
    pub filtered: Counter,
    /// Requests that were given up.
    pub errors: Counter,
    /// Requests that were scheduled again.
    pub retries: Counter,
    /// Records in those requests.
    pub retried_records: Counter,
    /// Requests that reached the retry limit.
    pub retries_failed: Counter,
    /// Records given up, for whatever reason.
    pub dropped: Counter,
    /// Records whose obligation is settled: what was delivered, filtered or dropped, counted where their source is told.
    pub settled: Counter,
    /// Records that went back to their source without an answer, because the output failed on them.
    pub returned: Counter,
    /// Records that the output holds now.
    pub held: Gauge,
    /// How many times the output was built anew, after a fault or because it made no progress.
    pub rebuilds: Counter,
    /// The plugin's own counters, and what was dropped by reason.
    pub own: Metrics,
}

impl InputCounters {
    /// Counters at zero.
    pub fn new(name: Arc<str>, own: Metrics) -> InputCounters {
        let zero = Counter::default;
        InputCounters {
            name,
            records: zero(),
            bytes: zero(),
            routed: zero(),
            unrouted: zero(),
            mem_size: Gauge::default(),
            mem_limit: Gauge::default(),
            is_paused: Gauge::default(),
            waits_for_storage: Gauge::default(),
            own,
        }
    }
}

impl InputCounters {
    /// Whether it waits until there is room for what it reads.
    pub fn is_waiting(&self) -> bool {
        self.is_paused.get() > 0 || self.waits_for_storage.get() > 0
    }

    /// Whether its records take all the memory that they may, or it waits until outputs have room for them.
    pub fn is_over_limit(&self) -> bool {
        let limit = self.mem_limit.get();
        limit > 0 && self.mem_size.get() >= limit || self.waits_for_storage.get() > 0
    }
}

impl FilterCounters {
    /// Counters at zero.
    pub fn new(name: Arc<str>, own: Metrics) -> FilterCounters {
        let zero = Counter::default;
        FilterCounters {
            name,
            records: zero(),
            bytes: zero(),
            dropped: zero(),
            added: zero(),
            returned: zero(),
            own,
        }
    }
}

impl OutputCounters {
    /// Counters at zero.
    pub fn new(name: Arc<str>, own: Metrics) -> OutputCounters {
        let zero = Counter::default;
        OutputCounters {
            name,
            routed: zero(),
            records: zero(),
            bytes: zero(),
            filtered: zero(),
            errors: zero(),
            retries: zero(),
            retried_records: zero(),
            retries_failed: zero(),
            dropped: zero(),
            settled: zero(),
            returned: zero(),
            held: Gauge::default(),
            rebuilds: zero(),
            own,
        }
    }

    /// Records that were answered for: delivered, left out or given up.
    pub fn answered(&self) -> u64 {
        self.records.get() + self.filtered.get() + self.dropped.get()
    }

    /// Records routed here that have no answer yet.
    pub fn in_flight(&self) -> u64 {
        let gone = self.answered() + self.returned.get();
        self.routed.get().saturating_sub(gone)
    }
}

/// The counters of a running pipeline, in configuration order.
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    /// Inputs.
    pub inputs: Vec<InputCounters>,
    /// Filters.
    pub filters: Vec<FilterCounters>,
    /// Outputs.
    pub outputs: Vec<OutputCounters>,
    /// What filters make: records that enter the road anew.
    pub emitter: Option<InputCounters>,
}
