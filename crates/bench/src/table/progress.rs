//! What is shown on the standard error while it measures: a bar on a terminal, else a line for each measurement.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::case::{Case, Load};
use super::contestant::Contestant;
use super::measure::{Failure, Measured};
use super::plan::rough;
use super::result::Results;

/// The bar, or the lines.
pub struct Display {
    bar: ProgressBar,
    is_terminal: bool,
    /// What all was expected to take, in seconds.
    expected: f64,
    /// What of it is left.
    left: Cell<Duration>,
}

impl Display {
    /// Says what comes and how long it will take.
    pub fn new(results: &Results, cases: usize, expected: Duration) -> Display {
        let display = Display {
            bar: bar(expected),
            is_terminal: std::io::stderr().is_terminal(),
            expected: expected.as_secs_f64(),
            left: Cell::new(expected),
        };
        let names: Vec<&str> = results
            .contestants
            .iter()
            .map(|named| named.name.as_str())
            .collect();
        eprintln!(
            "{}: {cases} case{}, {} run{} each, about {} in all. Ctrl-C shows what is measured by then.",
            names.join(", "),
            if cases == 1 { "" } else { "s" },
            results.runs,
            if results.runs == 1 { "" } else { "s" },
            rough(expected)
        );
        display
    }

    /// A measurement begins.
    pub fn begin(&self, case: &Case, contestant: &Contestant, run: u32) {
        let name = format!("run {run}, {}, {}", case.name(), contestant.name());
        self.bar.set_prefix(name);
        self.say("begins");
    }

    /// What it is doing.
    pub fn say(&self, what: &str) {
        let left = rough(self.left.get());
        self.bar
            .set_message(format!("{left} left  {}: {what}", self.bar.prefix()));
    }

    /// It has ended, and so much is left. The bar shows time, not cases, which take very different times.
    pub fn measured(&self, case: &Case, measured: &Result<Measured, Failure>, left: Duration) {
        self.left.set(left);
        let elapsed = self.bar.elapsed().as_secs_f64();
        let share = elapsed / (elapsed + left.as_secs_f64()).max(1e-3);
        self.bar.set_position((share * self.expected * 10.0) as u64);
        let line = format!("{}: {}", self.bar.prefix(), outcome(case, measured));
        match self.is_terminal {
            true if measured.is_err() => self.bar.suspend(|| eprintln!("{line}")),
            true => {}
            false => eprintln!("{line}; {} left", rough(left)),
        }
    }

    /// Everything has ended.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn outcome(case: &Case, measured: &Result<Measured, Failure>) -> String {
    match measured {
        Err(failure) => failure.to_string(),
        Ok(run) => format!(
            "{}, {:.1} MB at the peak{}",
            match case.load {
                Load::Rate(_) => format!("{:.4} vCPU", run.vcpu()),
                Load::Drain => format!("{:.2} µs of CPU a line", run.cpu_per_million()),
            },
            run.peak_kib as f64 * 1024.0 / 1e6,
            trouble(run)
        ),
    }
}

fn trouble(run: &Measured) -> String {
    match (run.lost, run.repeated) {
        (0, 0) => String::new(),
        (lost, repeated) => format!(", {lost} lines lost, {repeated} repeated"),
    }
}

fn bar(expected: Duration) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new((expected.as_secs_f64() * 10.0) as u64);
    let template = "{elapsed_precise} {bar:30} {percent:>3} %, {msg}";
    let bar = match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    // Measurements take seconds: the clock goes on.
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
