//! `flumen bench files`: a router that follows many files, each of which gets a line now and then. How long until it
//! follows all of them, what it costs to do nothing, how much memory that takes, and whether the few lines of many files
//! share requests.

mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use crate::quantity;
use crate::report::Latency;
use stage::Stage;

/// What `flumen bench files` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct FilesCommand {
    /// How many files there are
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Each file gets a line as often as this
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    every: Duration,
    /// For how long lines are written
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = quantity::duration)]
    duration: Duration,
    /// For how long nothing is written before, while CPU time is measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = quantity::duration)]
    idle: Duration,
    /// The configuration's Flush, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    flush: f64,
    /// Let the router have so many descriptors (ulimit -n)
    #[arg(long, value_name = "N")]
    descriptors: Option<u64>,
    /// Measure this router instead of this program: one that reads Fluent Bit's configuration
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    /// How many files.
    files: u32,
    /// From the start of the process until it watches all of them, in seconds.
    start_seconds: f64,
    /// CPU time until then.
    start_cpu_seconds: f64,
    /// CPU seconds a second while nothing is written.
    idle_vcpu: f64,
    /// Resident memory then.
    idle_kib: u64,
    /// CPU seconds a second while lines are written.
    vcpu: f64,
    /// The most resident memory that was seen.
    peak_kib: u64,
    /// How many lines were written,
    lines: u64,
    /// in how many requests they arrived,
    requests: u64,
    /// and how long they took.
    latency: Option<Latency>,
    /// Lines that never arrived.
    lost: u64,
    /// Lines that arrived again.
    repeated: u64,
}

impl FilesCommand {
    /// Measures: 0 if every line arrived once, else 1.
    pub fn run(self) -> ExitCode {
        let outcome = Stage::new(&self).and_then(Stage::measure);
        match outcome {
            Ok(measured) => {
                match self.json {
                    true => println!(
                        "{}",
                        serde_json::to_string_pretty(&measured).unwrap_or_default()
                    ),
                    false => println!("{}", measured.table()),
                }
                match measured.lost + measured.repeated {
                    0 => ExitCode::SUCCESS,
                    _ => ExitCode::FAILURE,
                }
            }
            Err(message) => {
                eprintln!("flumen bench files: {message}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Measured {
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let megabytes = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        let mut row = |what: &str, figure: String| {
            table.add_row([what.to_owned(), figure]);
        };
        row("files", self.files.to_string());
        row(
            "s until all are followed",
            format!("{:.2}", self.start_seconds),
        );
        row(
            "s of CPU until then",
            format!("{:.2}", self.start_cpu_seconds),
        );
        row("vCPU idle", format!("{:.4}", self.idle_vcpu));
        row("MB idle", megabytes(self.idle_kib));
        row("vCPU at work", format!("{:.4}", self.vcpu));
        row("MB at the peak", megabytes(self.peak_kib));
        row("lines", self.lines.to_string());
        row("requests", self.requests.to_string());
        row(
            "lines a request",
            format!("{:.0}", self.lines as f64 / self.requests.max(1) as f64),
        );
        if let Some(latency) = self.latency {
            let text = format!(
                "p50 {:.0}, p99 {:.0}, at most {:.0}",
                latency.p50, latency.p99, latency.max
            );
            row("ms from written to received", text);
        }
        row("lost", self.lost.to_string());
        row("repeated", self.repeated.to_string());
        table
    }
}
