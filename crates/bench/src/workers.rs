//! `flumen bench workers`: the same files drained by one worker and by two (or any numbers), into `null` and into Firehose,
//! in turn. What a worker brings in wall time, and what it costs in CPU time per line.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;
use tempfile::TempDir;

use crate::generate::{GenerateCommand, Progress};
use crate::line::{Kind, Wrap};
use crate::process::Process;
use crate::report::Sent;
use crate::table::configuration::PARSERS;
use crate::table::destination::{self, Destination};
use crate::table::usage;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(2);

/// What `flumen bench workers` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkersCommand {
    /// How many files the lines are spread over
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    files: u32,
    /// How many lines there are, in all files together
    #[arg(long, value_name = "LINES", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    lines: u64,
    /// The numbers of workers that are compared
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,2", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Vec<u32>,
    /// Where lines go
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "null,firehose"
    )]
    to: Vec<To>,
    /// How often each is measured; the medians are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum To {
    /// Nowhere: the output `null`
    Null,
    /// Over TLS to a sink on the same machine, which takes CPU time, too: compare CPU time only
    Firehose,
}

/// What was measured, the medians of all runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Measured {
    to: To,
    workers: u32,
    /// From the start of the router to its end.
    seconds: f64,
    /// Its CPU time, user and system.
    cpu_seconds: f64,
    peak_kib: u64,
    lines: u64,
    /// Of the worst run; `None` where nobody counts what arrives.
    lost: Option<u64>,
    repeated: Option<u64>,
}

impl Measured {
    fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.seconds
    }

    fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.lines as f64
    }
}

impl WorkersCommand {
    /// Measures: 0 if every line arrived once where that is counted, else 1.
    pub fn run(self) -> ExitCode {
        match self.measure() {
            Ok(measured) => {
                match self.json {
                    true => println!(
                        "{}",
                        serde_json::to_string_pretty(&measured).unwrap_or_default()
                    ),
                    false => println!("{}", table(&measured)),
                }
                let counted = measured.iter().flat_map(|it| [it.lost, it.repeated]);
                let wrong: u64 = counted.flatten().sum();
                ExitCode::from(u8::from(wrong > 0))
            }
            Err(message) => {
                eprintln!("flumen bench workers: {message}");
                ExitCode::FAILURE
            }
        }
    }

    fn measure(&self) -> Result<Vec<Measured>, String> {
        let stage = Stage::new(self)?;
        let mut all = Vec::new();
        for to in &self.to {
            let mut runs: Vec<Vec<Measured>> = vec![Vec::new(); self.workers.len()];
            // In turn, so that whatever else the machine does meets all alike.
            for _ in 0..self.runs {
                for (runs, workers) in runs.iter_mut().zip(&self.workers) {
                    runs.push(stage.run(*to, *workers)?);
                }
            }
            all.extend(runs.iter().filter_map(|runs| median(runs)));
        }
        Ok(all)
    }
}

/// The medians of each figure.
fn median(runs: &[Measured]) -> Option<Measured> {
    let middle = |figure: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let worst = |figure: fn(&Measured) -> Option<u64>| runs.iter().filter_map(figure).max();
    Some(Measured {
        seconds: middle(|run| run.seconds),
        cpu_seconds: middle(|run| run.cpu_seconds),
        peak_kib: middle(|run| run.peak_kib as f64) as u64,
        lost: worst(|run| run.lost),
        repeated: worst(|run| run.repeated),
        ..runs.first()?.clone()
    })
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "to",
        "workers",
        "lines/s",
        "×",
        "µs CPU/line",
        "×",
        "MB peak",
        "lost",
        "repeated",
    ]);
    let count =
        |lines: Option<u64>| lines.map_or_else(|| "–".to_owned(), |lines| lines.to_string());
    for it in measured {
        let first = measured.iter().find(|other| other.to == it.to);
        let times = |figure: fn(&Measured) -> f64| {
            let first = first.map_or(f64::NAN, figure);
            format!("{:.2}", figure(it) / first)
        };
        table.add_row([
            format!("{:?}", it.to).to_lowercase(),
            it.workers.to_string(),
            format!("{:.0}", it.lines_per_second()),
            times(Measured::lines_per_second),
            format!("{:.3}", it.cpu_per_million()),
            times(Measured::cpu_per_million),
            format!("{:.1}", it.peak_kib as f64 / 1024.0),
            count(it.lost),
            count(it.repeated),
        ]);
    }
    table
}

/// The files, which all runs read.
struct Stage {
    folder: TempDir,
    sent: Sent,
}

impl Stage {
    fn new(command: &WorkersCommand) -> Result<Stage, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("logs");
        std::fs::create_dir(&path).map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join("parsers.conf"), PARSERS)
            .map_err(|error| error.to_string())?;
        let generator = GenerateCommand {
            kind: Kind::Nginx,
            wrap: Wrap::Docker,
            count: Some(command.lines),
            writers: command.files,
            path: Some(path.join("app.log")),
            ..GenerateCommand::plain()
        };
        let sent = generator.start(Arc::new(Progress::default()))?.wait()?;
        Ok(Stage { folder, sent })
    }

    /// Drains all files once, with a state of its own.
    fn run(&self, to: To, workers: u32) -> Result<Measured, String> {
        let state = tempfile::tempdir().map_err(|error| error.to_string())?;
        let sink = match to {
            To::Null => None,
            To::Firehose => {
                let acceptor = destination::certificate(&state.path().join("ca.pem"))?;
                Some(Destination::start(acceptor, false)?)
            }
        };
        let port = sink.as_ref().map(Destination::port);
        let file = state.path().join("fluent-bit.conf");
        let text = configuration(self.folder.path(), state.path(), port);
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let (seconds, cpu, peak_kib) = drain(&file, state.path(), workers)?;
        let report = sink.map(|sink| sink.report(&self.sent));
        Ok(Measured {
            to,
            workers,
            seconds: seconds.as_secs_f64(),
            cpu_seconds: cpu.as_secs_f64(),
            peak_kib,
            lines: self.sent.lines,
            lost: report.as_ref().map(|report| report.lost),
            repeated: report.as_ref().map(|report| report.repeated),
        })
    }
}

/// Runs the router to its end: how long it ran, what it used, and its peak memory in KiB.
fn drain(file: &Path, state: &Path, workers: u32) -> Result<(Duration, Duration, u64), String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(file)
        .args(["--workers", &workers.to_string()])
        .env("AWS_ACCESS_KEY_ID", "flumen")
        .env("AWS_SECRET_ACCESS_KEY", "flumen")
        .env("STATE_DIRECTORY", state.join("state"))
        .current_dir(state)
        .stdout(Stdio::null());
    let start = Instant::now();
    let mut process = Process::spawn(command, &state.join("router.log"))?;
    let (mut cpu, mut peak) = (Duration::ZERO, 0);
    loop {
        cpu = cpu.max(usage::cpu(process.id()));
        peak = peak.max(usage::memory(process.id()).peak);
        if let Some(status) = process.end()? {
            return match status.success() {
                true => Ok((start.elapsed(), cpu, peak)),
                false => Err(format!("it ended with {status}: {}", process.last_words())),
            };
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("it does not end: {}", process.last_words()));
        }
        std::thread::sleep(LOOK);
    }
}

fn configuration(files: &Path, state: &Path, port: Option<u16>) -> String {
    let output = match port {
        None => "    Name  null\n".to_owned(),
        Some(port) => format!(
            "    Name            kinesis_firehose\n    delivery_stream flumen-bench\n    region          us-west-2\n    \
             endpoint        localhost\n    port            {port}\n    tls.ca_file     {}/ca.pem\n",
            state.display()
        ),
    };
    format!(
        "[SERVICE]\n    Parsers_File {files}/parsers.conf\n[INPUT]\n    Name           tail\n    Tag            kube.*\n    \
         Path           {files}/logs/*.log\n    Parser         docker\n    DB             {state}/flb_kube.db\n    \
         Read_from_Head On\n    Exit_on_Eof    On\n    File_Cache_Advise Off\n[FILTER]\n    Name     parser\n    Match    **\n    \
         Parser   nginx\n    Key_Name log\n[OUTPUT]\n    Match **\n{output}",
        files = files.display(),
        state = state.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(workers: u32, seconds: f64, cpu_seconds: f64) -> Measured {
        Measured {
            to: To::Null,
            workers,
            seconds,
            cpu_seconds,
            peak_kib: 2048,
            lines: 1_000_000,
            lost: None,
            repeated: Some(workers.into()),
        }
    }

    #[test]
    fn each_figure_has_its_own_median_and_the_worst_counts() {
        let runs = [
            measured(1, 1.0, 3.0),
            measured(2, 9.0, 1.0),
            measured(1, 2.0, 2.0),
        ];
        let median = median(&runs).expect("three runs");
        let figures = (median.seconds, median.cpu_seconds);
        assert_eq!(figures, (2.0, 2.0));
        assert_eq!((median.lost, median.repeated), (None, Some(2)));
        assert_eq!(super::median(&[]), None);
    }

    #[test]
    fn ratios_are_to_the_first_of_the_same_output() {
        let mut last = measured(2, 1.0, 2.2);
        last.to = To::Firehose;
        let all = [measured(1, 2.0, 2.0), measured(2, 1.0, 2.2), last];
        let text = table(&all).to_string();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.contains("null") || line.contains("firehose"))
            .map(|line| line.split(['│', '┆']).map(str::trim).collect())
            .collect();
        assert_eq!(rows[1][3..7], ["1000000", "2.00", "2.200", "1.10"]);
        assert_eq!(rows[2][3..7], ["1000000", "1.00", "2.200", "1.00"]);
        assert_eq!(rows[2][8..10], ["–", "2"]);
    }

    #[test]
    fn the_router_gets_all_files_and_ends_with_them() {
        let text = configuration(Path::new("/f"), Path::new("/s"), Some(7));
        for part in [
            "/f/logs/*.log",
            "Exit_on_Eof    On",
            "port            7",
            "/s/ca.pem",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(configuration(Path::new("/f"), Path::new("/s"), None).contains("Name  null"));
    }
}
