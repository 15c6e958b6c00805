//! `/api/v1/storage`: what waits in memory and on the disk, in Fluent Bit's words.
//!
//! Fluent Bit counts chunks of up to 2,048,000 bytes. On the disk a chunk is a segment of the write-ahead log here; in
//! memory there are none, and as many are named as would hold the bytes.

use plugin::Gauge;
use serde_json::{Map, Value, json};

use crate::Pipeline;

/// The size at which Fluent Bit begins another chunk.
const CHUNK_BYTES: u64 = 2_048_000;

/// Set by the engine about once a second.
#[derive(Clone, Debug, Default)]
pub struct StorageGauges {
    /// `storage.metrics`: not zero if it is on.
    pub is_shown: Gauge,
    /// Segments of the write-ahead log.
    pub segments: Gauge,
    /// Those of them that are being read or written.
    pub segments_open: Gauge,
    /// Not zero while the write-ahead log cannot be written.
    pub is_failing: Gauge,
    /// Places of the write-ahead log whose records were found damaged or gone.
    pub damaged_places: Gauge,
    /// The bytes that could not be read there.
    pub damaged_bytes: Gauge,
}

impl StorageGauges {
    /// Of several shards together.
    pub(crate) fn sum(shards: &[StorageGauges]) -> StorageGauges {
        let sum = StorageGauges::default();
        for shard in shards {
            let gauges = [
                (&sum.is_shown, &shard.is_shown),
                (&sum.segments, &shard.segments),
                (&sum.segments_open, &shard.segments_open),
                (&sum.is_failing, &shard.is_failing),
                (&sum.damaged_places, &shard.damaged_places),
                (&sum.damaged_bytes, &shard.damaged_bytes),
            ];
            gauges
                .iter()
                .for_each(|(sum, gauge)| sum.set(sum.get() + gauge.get()));
        }
        sum
    }

    /// The answer.
    pub fn report(&self, pipeline: &Pipeline) -> Value {
        let mut inputs = Map::new();
        let mut in_memory = 0;
        for input in &pipeline.inputs {
            let (size, limit) = (input.mem_size.get(), input.mem_limit.get());
            let chunks = size.div_ceil(CHUNK_BYTES);
            in_memory += chunks;
            let entry = json!({
                "status": {
                    "overlimit": input.is_over_limit(),
                    "mem_size": readable(size),
                    "mem_limit": readable(limit),
                },
                "chunks": {"total": chunks, "up": chunks, "down": 0, "busy": chunks, "busy_size": readable(size)},
            });
            inputs.insert(input.name.to_string(), entry);
        }
        let (segments, open) = (self.segments.get(), self.segments_open.get());
        json!({
            "storage_layer": {"chunks": {
                "total_chunks": in_memory + segments,
                "mem_chunks": in_memory,
                "fs_chunks": segments,
                "fs_chunks_up": open.min(segments),
                "fs_chunks_down": segments.saturating_sub(open),
            }},
            "input_chunks": inputs,
        })
    }
}

/// A number of bytes as Fluent Bit prints it (`src/flb_utils.c`).
fn readable(bytes: u64) -> String {
    let units = ["b", "K", "M", "G", "T", "P", "E"];
    let (mut unit, mut scale) = (0, 1_u64);
    while bytes / scale >= 1024 && unit + 1 < units.len() {
        unit += 1;
        scale *= 1024;
    }
    match unit {
        0 => format!("{bytes}b"),
        _ => format!("{:.1}{}", bytes as f64 / scale as f64, units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use plugin::Metrics;

    use super::*;
    use crate::InputCounters;

    #[test]
    fn sizes_read_as_upstream() {
        for (bytes, text) in [
            (0, "0b"),
            (1023, "1023b"),
            (1024, "1.0K"),
            (1_500_000, "1.4M"),
            (1 << 30, "1.0G"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }

    #[test]
    fn the_answer_has_upstreams_keys() {
        let gauges = StorageGauges::default();
        gauges.segments.set(3);
        gauges.segments_open.set(1);
        let input = InputCounters::new("tail.0".into(), Metrics::default());
        input.mem_size.set(3_000_000);
        input.mem_limit.set(2_000_000);
        let pipeline = Pipeline {
            inputs: vec![input.clone()],
            ..Pipeline::default()
        };
        let expected = json!({
            "storage_layer": {"chunks": {
                "total_chunks": 5, "mem_chunks": 2, "fs_chunks": 3, "fs_chunks_up": 1, "fs_chunks_down": 2,
            }},
            "input_chunks": {"tail.0": {
                "status": {"overlimit": true, "mem_size": "2.9M", "mem_limit": "1.9M"},
                "chunks": {"total": 2, "up": 2, "down": 0, "busy": 2, "busy_size": "2.9M"},
            }},
        });
        assert_eq!(gauges.report(&pipeline), expected);
        let is_over_limit = || {
            let report = gauges.report(&pipeline);
            report["input_chunks"]["tail.0"]["status"]["overlimit"].clone()
        };
        input.mem_size.set(1_000_000);
        assert_eq!(is_over_limit(), false);
        input.waits_for_storage.set(1);
        assert_eq!(is_over_limit(), true);
    }
}
