//! What is counted of files, beyond the counters of every input.

use plugin::{Counter, Metrics};

/// The counters of one instance.
pub struct Counters {
    pub opened: Counter,
    pub closed: Counter,
    pub rotated: Counter,
    pub long_skipped: Counter,
    pub long_truncated: Counter,
    pub long_split: Counter,
    pub dropped_long: Counter,
    pub dropped_truncated: Counter,
    pub dropped_deleted: Counter,
}

impl Counters {
    /// Counters of which nothing is counted yet.
    pub fn new(metrics: &Metrics) -> Counters {
        Counters {
            opened: metrics.counter("files_opened_total", "Files that were opened."),
            closed: metrics.counter("files_closed_total", "Files that were closed."),
            rotated: metrics.counter("files_rotated_total", "Files that were rotated."),
            long_skipped: metrics
                .counter("long_line_skipped_total", "Long lines that were dropped."),
            long_truncated: metrics
                .counter("long_line_truncated_total", "Long lines that were cut."),
            long_split: metrics.counter(
                "long_line_split_total",
                "Records that are parts of a long line.",
            ),
            dropped_long: metrics.dropped("long_line"),
            dropped_truncated: metrics.dropped("truncated"),
            dropped_deleted: metrics.dropped("deleted"),
        }
    }
}
