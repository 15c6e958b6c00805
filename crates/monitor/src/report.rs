//! The JSON answers of `/api/v1`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Pipeline;

/// `/api/v1/metrics`.
pub fn metrics(pipeline: &Pipeline) -> Value {
    let mut inputs = Map::new();
    for input in &pipeline.inputs {
        let mut entry = Map::new();
        entry.insert("records".into(), input.records.get().into());
        entry.insert("bytes".into(), input.bytes.get().into());
        for metric in input
            .own
            .all()
            .iter()
            .filter(|metric| metric.reason.is_none())
        {
            entry.insert(
                metric.name.trim_end_matches("_total").into(),
                metric.number.get().into(),
            );
        }
        inputs.insert(input.name.to_string(), entry.into());
    }
    let mut filters = Map::new();
    for filter in &pipeline.filters {
        let entry = json!({
            "drop_records": filter.dropped.get(),
            "add_records": filter.added.get(),
            "records": filter.records.get(),
            "bytes": filter.bytes.get(),
        });
        filters.insert(filter.name.to_string(), entry);
    }
    let mut outputs = Map::new();
    for output in &pipeline.outputs {
        let entry = json!({
            "proc_records": output.records.get(),
            "proc_bytes": output.bytes.get(),
            "errors": output.errors.get(),
            "retries": output.retries.get(),
            "retries_failed": output.retries_failed.get(),
            "dropped_records": output.dropped.get(),
            "retried_records": output.retried_records.get(),
        });
        outputs.insert(output.name.to_string(), entry);
    }
    json!({"input": inputs, "filter": filters, "output": outputs})
}

/// `/api/v1/uptime`.
pub fn uptime(since_start: Duration) -> Value {
    let seconds = since_start.as_secs();
    let part = |n: u64, unit: &str| format!("{n} {unit}{}", if n > 1 { "s" } else { "" });
    let text = format!(
        "Fluent Bit has been running:  {}, {}, {} and {}",
        part(seconds / 86_400, "day"),
        part(seconds / 3_600 % 24, "hour"),
        part(seconds / 60 % 60, "minute"),
        part(seconds % 60, "second")
    );
    json!({"uptime_sec": seconds, "uptime_hr": text})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_reads_as_upstream() {
        let text = "Fluent Bit has been running:  0 day, 0 hour, 0 minute and 3 seconds";
        assert_eq!(
            uptime(Duration::from_secs(3)),
            json!({"uptime_sec": 3, "uptime_hr": text})
        );
    }
}
