//! What log groups have done so far, in numbers.

use crate::counters::{LogCounters, Meter};

/// Where the numbers of all log groups are kept while the lake runs.
#[derive(Debug, Default)]
pub struct LogMeters {
    pub put_requests: Meter,
    pub events: Meter,
    pub repeated_events: Meter,
    pub bytes: Meter,
    pub too_old_events: Meter,
    pub too_new_events: Meter,
    pub expired_events: Meter,
    pub damaged_bytes: Meter,
}

impl LogMeters {
    /// The numbers now.
    pub fn snapshot(&self) -> LogCounters {
        LogCounters {
            put_requests: self.put_requests.read(),
            events: self.events.read(),
            repeated_events: self.repeated_events.read(),
            bytes: self.bytes.read(),
            too_old_events: self.too_old_events.read(),
            too_new_events: self.too_new_events.read(),
            expired_events: self.expired_events.read(),
            damaged_bytes: self.damaged_bytes.read(),
        }
    }
}
