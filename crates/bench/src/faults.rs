//! `flumen bench faults`: what goes wrong in production, done to a router as a process of its own, and what was lost and
//! what came twice. Each row has a folder, a router, a sink or a lake, and a writer that keeps account of what it wrote.

mod acts;
mod configuration;
mod document;
mod journal;
mod kill;
mod monitor;
mod namespace;
mod outcome;
mod program;
mod proxy;
mod router;
mod scenario;
mod sender;
mod service;
mod stage;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

pub use kill::KillCommand;
use outcome::Outcome;
use program::Program;
use scenario::Scenario;
use stage::{Length, Stage, Stop};
use table::Form;

/// What `flumen bench faults` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct FaultsCommand {
    /// Only rows whose name contains this, or whose number in the fault table it is. Several, between commas, add up
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Another router that understands the same configuration, to stand beside. May be repeated
    #[arg(long, value_name = "NAME=PATH")]
    rival: Vec<Program>,
    /// How long lines are written in rows that write for a time
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    seconds: u64,
    /// How often a router is killed in rows that are about that
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: u32,
    /// How many rows are played at the same time
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
    /// Leave the folders of rows that failed, with the router's log, and say where they are
    #[arg(long)]
    keep: bool,
    /// Name the rows and do nothing
    #[arg(long)]
    list: bool,
    /// Print a table in Markdown, or write it into this document
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "json")]
    markdown: Option<Option<PathBuf>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A row for one program.
struct Turn<'a> {
    scenario: &'a Scenario,
    program: &'a Program,
}

impl FaultsCommand {
    /// Plays the rows: 0 if every row held for this program, or could not be played here; else 1.
    pub fn run(self) -> ExitCode {
        let rows: Vec<&Scenario> = scenario::ALL
            .iter()
            .filter(|row| row.is_among(&self.only))
            .collect();
        if rows.is_empty() || self.list {
            return list(self.list);
        }
        let this = match Program::this() {
            Ok(this) => this,
            Err(message) => {
                eprintln!("flumen bench faults: {message}");
                return ExitCode::FAILURE;
            }
        };
        let name = this.name.clone();
        let mut programs = vec![this];
        programs.extend(self.rival.iter().cloned());
        let outcomes = self.play(&rows, &programs);
        if let Err(message) = self.print(&outcomes, &programs) {
            eprintln!("flumen bench faults: {message}");
            return ExitCode::FAILURE;
        }
        // What becomes of a rival is shown, and is no failure of ours.
        let mut ours = outcomes.iter().filter(|outcome| outcome.program == name);
        match ours.all(Outcome::is_good) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    /// Plays every row for every program, some at the same time, and those that would be disturbed by others at the end.
    fn play(&self, rows: &[&Scenario], programs: &[Program]) -> Vec<Outcome> {
        let turns: Vec<Turn<'_>> = rows
            .iter()
            .flat_map(|scenario| {
                let turn = move |program| Turn { scenario, program };
                programs.iter().map(turn)
            })
            .collect();
        let outcomes: Vec<Mutex<Option<Outcome>>> =
            turns.iter().map(|_| Mutex::default()).collect();
        for (is_alone, jobs) in [(false, self.jobs.max(1)), (true, 1)] {
            let next = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..jobs {
                    scope.spawn(|| {
                        while let Some(turn) = turns.get(next.fetch_add(1, Ordering::Relaxed)) {
                            if turn.scenario.is_alone == is_alone {
                                let outcome = self.take(turn);
                                eprintln!("{}", outcome.line());
                                let index = outcome_index(&turns, turn);
                                *lock(&outcomes[index]) = Some(outcome);
                            }
                        }
                    });
                }
            });
        }
        let all = outcomes.iter().filter_map(|outcome| lock(outcome).take());
        all.collect()
    }

    fn take(&self, turn: &Turn<'_>) -> Outcome {
        let start = Instant::now();
        let length = Length {
            seconds: self.seconds.max(1),
            rounds: self.rounds.max(1),
        };
        let name = &turn.program.name;
        let outcome = |played| {
            let seconds = start.elapsed().as_secs_f64();
            Outcome::of(turn.scenario, name, played, seconds)
        };
        let stage = match Stage::new(turn.program, length) {
            Ok(stage) => stage,
            Err(error) => return outcome(Err(Stop::from(error))),
        };
        let mut outcome = outcome((turn.scenario.play)(&stage));
        // Nobody else has this folder.
        let folder = stage.folder().display().to_string();
        outcome.reason = outcome.reason.map(|why| why.replace(&folder, "FOLDER"));
        if self.keep && !outcome.is_good() {
            eprintln!("{}: {}", turn.scenario.name, stage.keep().display());
        }
        outcome
    }

    fn print(&self, outcomes: &[Outcome], programs: &[Program]) -> Result<(), String> {
        match &self.markdown {
            Some(Some(path)) => {
                let text = format!(
                    "## Faults\n\n{}\n\n{}\n{}",
                    document::circumstances(programs),
                    HOW_TO_READ,
                    table::render(outcomes, Form::Markdown)
                );
                document::put(path, "faults", &text)
            }
            Some(None) => {
                println!("{}", table::render(outcomes, Form::Markdown));
                Ok(())
            }
            None => {
                let form = if self.json {
                    Form::Json
                } else {
                    Form::Terminal
                };
                println!("{}", table::render(outcomes, form));
                Ok(())
            }
        }
    }
}

const HOW_TO_READ: &str = "\"Must deliver\" are the complete lines of files, each written before its file was rotated, emptied or removed, \
and the acknowledged chunks of senders. \"Repeated\" are arrivals after the first; \"7 of 900\" says that 900 may be, because a killed \
router, or one whose connection was cut, cannot know what of the last second was taken. \"No verdict\" are repetitions that the \
service asked for: it took the lines and its answer got lost. \"Drained\" is the time from the end of the fault until everything had \
arrived; \"peak\" is the most resident memory of the router. Rows without a number are not of the design's fault table.\n";

fn list(is_asked: bool) -> ExitCode {
    let names = scenario::ALL
        .iter()
        .map(|row| format!("{:<4} {:<18} {}", row.id, row.name, row.fault));
    let names: Vec<String> = names.collect();
    match is_asked {
        true => {
            println!("{}", names.join("\n"));
            ExitCode::SUCCESS
        }
        false => {
            eprintln!(
                "flumen bench faults: no row matches; there are:\n{}",
                names.join("\n")
            );
            ExitCode::FAILURE
        }
    }
}

fn outcome_index(turns: &[Turn<'_>], turn: &Turn<'_>) -> usize {
    turns
        .iter()
        .position(|other| std::ptr::eq(other, turn))
        .unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
