//! `flumen bench table`: the two tables of AWS's post (CloudWatch and Firehose at 100, 1,000 and 10,000 lines a second)
//! and a file that is drained, there and on the other common roads (CRI, JSON, stack traces, forward, three outputs, S3), for this program and for any rival whose binary is given, interleaved in one run.

mod case;
mod chart;
mod configuration;
mod contestant;
pub mod destination;
mod measure;
mod published;
mod result;
pub mod usage;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use case::Case;
use contestant::Contestant;
use measure::Settings;
use result::{Form, Results};

/// What `flumen bench table` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct TableCommand {
    /// Another router to measure on the same work: fluent-bit=PATH, vector=PATH or fluentd=PATH. Several times if wanted
    #[arg(long = "rival", value_name = "NAME=PATH")]
    rivals: Vec<Contestant>,
    /// Another build of this program to measure beside: its path
    #[arg(long, value_name = "PATH")]
    beside: Option<PathBuf>,
    /// Only cases whose name, such as firehose/1000 or cloudwatch/drain, contains this. Several, between commas, add up
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each case is measured; the medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long lines are written at each rate
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many lines the file has that is drained
    #[arg(long, value_name = "LINES", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    lines: u64,
    /// Answer with one-character record ids instead of ids as long as Firehose's
    #[arg(long)]
    short_ids: bool,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a chart to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl TableCommand {
    /// Measures everything: 0 if each run delivered every line once, else 1.
    pub fn run(self) -> ExitCode {
        match self.measure() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(message) => {
                eprintln!("flumen bench table: {message}");
                ExitCode::FAILURE
            }
        }
    }

    fn measure(&self) -> Result<bool, String> {
        let cases: Vec<Case> = case::all()
            .into_iter()
            .filter(|case| case.is_among(&self.only))
            .collect();
        if cases.is_empty() {
            let names: Vec<String> = case::all().iter().map(Case::name).collect();
            return Err(format!("no case matches; there are: {}", names.join(", ")));
        }
        let contestants = self.contestants()?;
        let settings = Settings {
            duration: Duration::from_secs(self.seconds),
            lines: self.lines,
            short_ids: self.short_ids,
        };
        let bar = bar(cases.len() * contestants.len() * self.runs as usize);
        let mut results = Results::new(&contestants, &settings, self.runs);
        for run in 1..=self.runs {
            for case in &cases {
                // Interleaved, so that whatever else the machine does meets all alike.
                for contestant in &contestants {
                    let name = format!("{} {}, run {run}", contestant.name(), case.name());
                    bar.set_message(name.clone());
                    let measured = measure::measure(case, contestant, &settings);
                    if let Err(message) = &measured {
                        bar.suspend(|| eprintln!("{name}: {message}"));
                    }
                    results.add(case, contestant, measured);
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        self.show(&results)?;
        Ok(results.are_good())
    }

    fn contestants(&self) -> Result<Vec<Contestant>, String> {
        let mut all = vec![Contestant::this_program()?];
        all.extend(self.beside.clone().map(Contestant::another_build));
        all.extend(self.rivals.iter().cloned());
        Ok(all)
    }

    fn show(&self, results: &Results) -> Result<(), String> {
        let form = match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Terminal,
        };
        println!("{}", results.render(form));
        let Some(path) = &self.svg else {
            return Ok(());
        };
        std::fs::write(path, chart::svg(results))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

fn bar(measurements: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(measurements as u64);
    match ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {pos} of {len}, {eta} left  {msg}",
    ) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
