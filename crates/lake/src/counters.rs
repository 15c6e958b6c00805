//! What a lake has done so far, in numbers.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the lake's numbers. Delivery streams that were deleted are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// The numbers of each delivery stream, by its name.
    pub streams: BTreeMap<String, StreamCounters>,
    /// The numbers of all log groups together.
    pub logs: LogCounters,
}

/// The numbers of CloudWatch Logs since the lake was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// PutLogEvents calls that were acknowledged.
    pub put_requests: u64,
    /// Events acknowledged.
    pub events: u64,
    /// Events among them that were not kept again, as a router had sent them before.
    pub repeated_events: u64,
    /// Their messages' bytes.
    pub bytes: u64,
    /// Events not taken because they were more than 14 days old.
    pub too_old_events: u64,
    /// Events not taken because they were more than 2 hours ahead of the clock.
    pub too_new_events: u64,
    /// Events not taken because they were older than their group keeps events.
    pub expired_events: u64,
    /// Bytes of damaged files that were set aside, or passed over when they were read.
    pub damaged_bytes: u64,
}

impl Counters {
    /// The sums over all delivery streams.
    pub fn total(&self) -> StreamCounters {
        self.streams
            .values()
            .fold(StreamCounters::default(), |mut total, stream| {
                total += *stream;
                total
            })
    }
}

/// The numbers of one delivery stream since the lake was opened.
///
/// Nothing goes missing between them: `recovered_records + records = delivered_records + buffered_records`, as long as
/// `quarantined_bytes` is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamCounters {
    /// PutRecord and PutRecordBatch calls that were acknowledged.
    pub put_requests: u64,
    /// Records kept; acknowledged, or about to be put on the disk for that.
    pub records: u64,
    /// Their bytes, before base64 and without delimiters.
    pub bytes: u64,
    /// Records answered as delivered and not kept again, as a router had sent them before.
    pub repeated_records: u64,
    /// Records found in the buffer when the lake was opened.
    pub recovered_records: u64,
    /// Records acknowledged and not yet in an object.
    pub buffered_records: u64,
    /// Records that are in an object.
    pub delivered_records: u64,
    /// Objects written.
    pub objects: u64,
    /// Bytes of these objects, after compression.
    pub object_bytes: u64,
    /// Attempts to write an object that failed and will be made again.
    pub failed_deliveries: u64,
    /// Bytes of damaged buffer files that were set aside instead of delivered.
    pub quarantined_bytes: u64,
}

impl AddAssign for StreamCounters {
    fn add_assign(&mut self, other: Self) {
        self.put_requests += other.put_requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.repeated_records += other.repeated_records;
        self.recovered_records += other.recovered_records;
        self.buffered_records += other.buffered_records;
        self.delivered_records += other.delivered_records;
        self.objects += other.objects;
        self.object_bytes += other.object_bytes;
        self.failed_deliveries += other.failed_deliveries;
        self.quarantined_bytes += other.quarantined_bytes;
    }
}

/// Where a stream's numbers are kept while it runs.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub put_requests: Meter,
    pub records: Meter,
    pub bytes: Meter,
    pub repeated_records: Meter,
    /// Records that were written, could not be synced and are not kept.
    pub taken_back_records: Meter,
    pub recovered_records: Meter,
    pub delivered_records: Meter,
    pub objects: Meter,
    pub object_bytes: Meter,
    pub failed_deliveries: Meter,
    pub quarantined_bytes: Meter,
}

impl Meters {
    /// The numbers now; what is buffered is counted by the buffer itself.
    pub fn snapshot(&self, buffered_records: u64) -> StreamCounters {
        StreamCounters {
            put_requests: self.put_requests.read(),
            records: self
                .records
                .read()
                .saturating_sub(self.taken_back_records.read()),
            bytes: self.bytes.read(),
            repeated_records: self.repeated_records.read(),
            recovered_records: self.recovered_records.read(),
            buffered_records,
            delivered_records: self.delivered_records.read(),
            objects: self.objects.read(),
            object_bytes: self.object_bytes.read(),
            failed_deliveries: self.failed_deliveries.read(),
            quarantined_bytes: self.quarantined_bytes.read(),
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Meter(AtomicU64);

impl Meter {
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
