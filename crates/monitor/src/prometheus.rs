//! The Prometheus text of `/api/v1/metrics/prometheus`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use plugin::{Metrics, Number};

use crate::Watched;

/// Samples by metric name, so that the text is sorted and each name has one header.
#[derive(Default)]
struct Text {
    families: BTreeMap<String, Family>,
}

struct Family {
    kind: &'static str,
    help: String,
    samples: Vec<(String, u64)>,
}

/// All metrics of `watched`, with millisecond timestamps.
pub fn text(watched: &Watched, started: SystemTime, since_start: Duration) -> String {
    let mut text = Text::default();
    let pipeline = watched.pipeline();
    let emitter = pipeline
        .emitter
        .iter()
        .filter(|emitter| emitter.records.get() > 0);
    for input in pipeline.inputs.iter().chain(emitter) {
        let label = name_label(&input.name);
        text.counter(
            "fluentbit_input_records_total",
            "Records handed over.",
            &label,
            input.records.get(),
        );
        text.counter(
            "fluentbit_input_bytes_total",
            "Source bytes handed over.",
            &label,
            input.bytes.get(),
        );
        text.counter(
            "fluentbit_input_routed_records_total",
            "Records that matched an output, after filters.",
            &label,
            input.routed.get(),
        );
        let unrouted = "Records that matched no output.";
        text.counter(
            "fluentbit_input_unrouted_records_total",
            unrouted,
            &label,
            input.unrouted.get(),
        );
        text.gauge(
            "fluentbit_input_ingestion_paused",
            "Whether the input waits until there is room for what it reads.",
            &label,
            u64::from(input.is_waiting()),
        );
        if watched.storage.is_shown.get() != 0 {
            text.gauge(
                "fluentbit_input_storage_overlimit",
                "Whether the input's records take all the memory that they may.",
                &label,
                u64::from(input.is_over_limit()),
            );
            text.gauge(
                "fluentbit_input_storage_memory_bytes",
                "Bytes of memory that the input's records take.",
                &label,
                input.mem_size.get(),
            );
        }
        text.own("fluentbit_input", &input.name, &input.own);
    }
    for filter in &pipeline.filters {
        let label = name_label(&filter.name);
        text.counter(
            "fluentbit_filter_records_total",
            "Records seen.",
            &label,
            filter.records.get(),
        );
        text.counter(
            "fluentbit_filter_bytes_total",
            "Source bytes seen.",
            &label,
            filter.bytes.get(),
        );
        text.counter(
            "fluentbit_filter_drop_records_total",
            "Records removed.",
            &label,
            filter.dropped.get(),
        );
        text.counter(
            "fluentbit_filter_add_records_total",
            "Records added.",
            &label,
            filter.added.get(),
        );
        text.counter(
            "fluentbit_filter_returned_records_total",
            "Records that went back to their source, because the filter failed on them.",
            &label,
            filter.returned.get(),
        );
        text.own("fluentbit_filter", &filter.name, &filter.own);
    }
    for output in &pipeline.outputs {
        let label = name_label(&output.name);
        let counters = [
            ("proc_records", "Records delivered.", &output.records),
            (
                "proc_bytes",
                "Bytes of delivered request bodies.",
                &output.bytes,
            ),
            ("errors", "Requests given up.", &output.errors),
            ("retries", "Requests scheduled again.", &output.retries),
            (
                "retries_failed",
                "Requests that reached the retry limit.",
                &output.retries_failed,
            ),
            ("dropped_records", "Records given up.", &output.dropped),
            (
                "retried_records",
                "Records scheduled again.",
                &output.retried_records,
            ),
            ("routed_records", "Records routed here.", &output.routed),
            (
                "filtered_records",
                "Records that left nothing to send.",
                &output.filtered,
            ),
            (
                "settled_records",
                "Records whose source was told that they are done with.",
                &output.settled,
            ),
            (
                "returned_records",
                "Records that went back to their source without an answer.",
                &output.returned,
            ),
            (
                "rebuilds",
                "How many times the output was built anew after a fault or a standstill.",
                &output.rebuilds,
            ),
        ];
        for (name, help, counter) in counters {
            text.counter(
                &format!("fluentbit_output_{name}_total"),
                help,
                &label,
                counter.get(),
            );
        }
        text.gauge(
            "fluentbit_output_in_flight_records",
            "Records without an answer.",
            &label,
            output.in_flight(),
        );
        text.gauge(
            "fluentbit_output_held_records",
            "Records that the output holds.",
            &label,
            output.held.get(),
        );
        text.own("fluentbit_output", &output.name, &output.own);
    }
    text.counter(
        "fluentbit_hot_reloaded_times",
        "How many times the configuration was reloaded.",
        "",
        watched.reloads.get(),
    );
    text.gauge(
        "fluentbit_failing_checks",
        "How many health checks of the pipeline fail.",
        "",
        watched.failing().len() as u64,
    );
    text.gauge(
        "fluentbit_storage_write_failing",
        "Whether nothing can be written to the log of records that wait on the disk.",
        "",
        u64::from(watched.all_storage().is_failing.get() > 0),
    );
    text.counter(
        "fluentbit_storage_damaged_places_total",
        "Places of the log of records that wait on the disk where some were damaged or gone.",
        "",
        watched.all_storage().damaged_places.get(),
    );
    text.counter(
        "fluentbit_storage_damaged_bytes_total",
        "The bytes that could not be read there.",
        "",
        watched.all_storage().damaged_bytes.get(),
    );
    let start = started
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    text.counter(
        "fluentbit_uptime",
        "Seconds since the start.",
        "",
        since_start.as_secs(),
    );
    text.gauge(
        "process_start_time_seconds",
        "Start of the process in Unix time.",
        "",
        start,
    );
    let build = format!(
        "{{version=\"{}\",edition=\"Flumen\"}}",
        env!("CARGO_PKG_VERSION")
    );
    text.gauge(
        "fluentbit_build_info",
        "Build version information.",
        &build,
        1,
    );
    text.write()
}

fn name_label(name: &str) -> String {
    format!("{{name=\"{}\"}}", escape(name))
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

impl Text {
    fn counter(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.sample("counter", name, help, labels, value);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.sample("gauge", name, help, labels, value);
    }

    fn own(&mut self, prefix: &str, instance: &str, own: &Metrics) {
        for metric in own.all() {
            let labels = match metric.reason {
                None => name_label(instance),
                Some(reason) => format!(
                    "{{name=\"{}\",reason=\"{}\"}}",
                    escape(instance),
                    escape(reason)
                ),
            };
            let kind = match metric.number {
                Number::Counter(_) => "counter",
                Number::Gauge(_) => "gauge",
            };
            self.sample(
                kind,
                &format!("{prefix}_{}", metric.name),
                metric.help,
                &labels,
                metric.number.get(),
            );
        }
    }

    fn sample(&mut self, kind: &'static str, name: &str, help: &str, labels: &str, value: u64) {
        let new = || Family {
            kind,
            help: help.to_owned(),
            samples: Vec::new(),
        };
        self.families
            .entry(name.to_owned())
            .or_insert_with(new)
            .samples
            .push((labels.to_owned(), value));
    }

    fn write(&self) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let mut out = String::new();
        for (name, family) in &self.families {
            let _ = writeln!(
                out,
                "# HELP {name} {}\n# TYPE {name} {}",
                family.help, family.kind
            );
            for (labels, value) in &family.samples {
                let _ = writeln!(out, "{name}{labels} {value} {now}");
            }
        }
        out
    }
}
