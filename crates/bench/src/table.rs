//! `flumen bench table`: the two tables of AWS's post (CloudWatch and Firehose at 100, 1,000 and 10,000 lines a second)
//! and a file that is drained, there and on the other common roads (CRI, JSON, stack traces, forward, three outputs, S3 in
//! gzip and in Parquet), for this program and for any rival whose binary is given, interleaved in one run.

mod case;
mod chart;
pub mod configuration;
mod contestant;
pub mod destination;
mod interrupt;
mod machine;
mod measure;
mod plan;
mod progress;
mod published;
mod result;
mod router;
mod text;
pub mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use case::Case;
use contestant::Contestant;
use measure::{Failure, Settings};
use plan::Plan;
use progress::Display;
use result::Results;
use text::Form;

/// What `flumen bench table` is started with.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = help())]
pub struct TableCommand {
    /// Another router to measure on the same work: fluent-bit=PATH, vector=PATH or fluentd=PATH. Several times if wanted
    #[arg(long = "rival", value_name = "NAME=PATH")]
    rivals: Vec<Contestant>,
    /// Another build of this program to measure beside: its path
    #[arg(long, value_name = "PATH")]
    beside: Option<PathBuf>,
    /// Only the case of this name, or all whose names contain it. Several, between commas, add up
    #[arg(long, value_name = "CASE", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each case is measured; the medians are shown
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How long is measured at each rate, after a second to warm up
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How many lines are drained
    #[arg(long, value_name = "LINES", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    lines: u64,
    /// Answer with one-character record ids instead of ids as long as Firehose's
    #[arg(long)]
    short_ids: bool,
    /// Measure nothing: show what an earlier call has printed with --json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rivals", "beside", "only", "runs", "seconds", "lines", "short_ids"])]
    from: Option<PathBuf>,
    /// Print tables in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON: every run, the medians, and how they came about
    #[arg(long)]
    json: bool,
    /// Write a chart to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What `--help` ends with.
fn help() -> String {
    let names: Vec<String> = case::all().iter().map(Case::name).collect();
    format!(
        "Cases: {}\n\nCtrl-C ends the routers and shows what is measured by then. The exit status is 0 if this program \
         brought every line once in every run.\n\nExample:\n  flumen bench table --rival fluent-bit=/usr/bin/fluent-bit \
         --json > table.json\n  flumen bench table --from table.json --svg table.svg --markdown",
        names.join(", ")
    )
}

impl TableCommand {
    /// Measures everything: 0 if each run delivered every line once, else 1; 130 after Ctrl-C.
    pub fn run(self) -> ExitCode {
        match self.results().and_then(|results| self.show(&results)) {
            Ok(_) if interrupt::asked() => interrupt::EXIT.into(),
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(message) => {
                eprintln!("flumen bench table: {message}");
                ExitCode::FAILURE
            }
        }
    }

    fn results(&self) -> Result<Results, String> {
        let Some(path) = &self.from else {
            return self.measure();
        };
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Results::read(&text)
            .map_err(|error| format!("{} is not what --json prints: {error}", path.display()))
    }

    fn measure(&self) -> Result<Results, String> {
        let cases: Vec<Case> = case::all()
            .into_iter()
            .filter(|case| case.is_among(&self.only))
            .collect();
        if cases.is_empty() {
            let names: Vec<String> = case::all().iter().map(Case::name).collect();
            return Err(format!("no case matches; there are: {}", names.join(", ")));
        }
        // Said now rather than when all is measured.
        let folder = self.svg.as_deref().and_then(std::path::Path::parent);
        if let Some(folder) = folder.filter(|it| !it.as_os_str().is_empty() && !it.is_dir()) {
            return Err(format!("there is no folder {}", folder.display()));
        }
        let contestants = self.contestants()?;
        let settings = Settings {
            seconds: self.seconds,
            lines: self.lines,
            short_ids: self.short_ids,
        };
        let mut results = Results::new(&contestants, &settings, self.runs)?;
        interrupt::listen()?;
        let mut plan = Plan::new(&cases, &contestants, &settings, self.runs);
        let display = Display::new(&results, cases.len(), plan.left());
        for run in 1..=self.runs {
            for case in &cases {
                // Interleaved, so that whatever else the machine does meets all alike, and now one first, now the other.
                let mut order: Vec<(usize, &Contestant)> = contestants.iter().enumerate().collect();
                if run % 2 == 0 {
                    order.reverse();
                }
                for (index, contestant) in order {
                    if plan.is_over(case, index) {
                        continue;
                    }
                    let start = Instant::now();
                    display.begin(case, contestant, run);
                    let measured =
                        measure::measure(case, contestant, &settings, &|what| display.say(what));
                    if measured == Err(Failure::Interrupted) {
                        display.end();
                        results.interrupted = true;
                        return Ok(results);
                    }
                    plan.took(case, index, start.elapsed());
                    if results.add(case, contestant, &measured).is_hopeless() {
                        plan.give_up(case, index);
                    }
                    display.measured(case, &measured, plan.left());
                }
            }
        }
        display.end();
        Ok(results)
    }

    fn contestants(&self) -> Result<Vec<Contestant>, String> {
        let mut all = vec![Contestant::this_program()?];
        all.extend(self.beside.clone().map(Contestant::another_build));
        all.extend(self.rivals.iter().cloned());
        let mut names: Vec<&str> = all.iter().map(Contestant::name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} is given twice", pair[0])),
            None => Ok(all),
        }
    }

    /// Prints and writes: whether the results are good.
    fn show(&self, results: &Results) -> Result<bool, String> {
        match (self.json, self.markdown) {
            (true, _) => println!("{}", results.json()),
            (_, true) => println!("{}", text::render(results, Form::Markdown)),
            _ => println!("{}", text::render(results, Form::Terminal)),
        }
        if let Some(path) = &self.svg {
            std::fs::write(path, chart::svg(results))
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        }
        Ok(results.are_good())
    }
}
