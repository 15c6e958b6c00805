//! Runs targets, some at the same time, each in a process of its own: counters and memory are those of a process.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::targets::Target;

/// How targets are run.
pub struct Plan {
    /// How long each.
    pub time: Duration,
    /// How many at once.
    pub jobs: usize,
    /// Where inputs that reach something new are kept from one run to the next.
    pub corpus: Option<PathBuf>,
}

/// What became of a target.
pub struct Outcome {
    pub name: String,
    pub is_good: bool,
}

/// As many as can run at once.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runs all targets and prints what each says.
pub fn run_all(targets: &[Target], plan: &Plan) -> Vec<Outcome> {
    let waiting = Mutex::new(targets.iter().collect::<VecDeque<&Target>>());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..plan.jobs.min(targets.len()) {
            scope.spawn(|| {
                while let Some(target) = next(&waiting) {
                    let outcome = run_one(target, plan);
                    let mut all = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(outcome);
                }
            });
        }
    });
    outcomes
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

fn next<'t>(waiting: &Mutex<VecDeque<&'t Target>>) -> Option<&'t Target> {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.pop_front()
}

fn run_one(target: &Target, plan: &Plan) -> Outcome {
    let mut command = Command::new(&target.executable);
    command
        .args([&target.test, "--exact", "--nocapture"])
        .current_dir(&target.folder)
        .env("CARGO_MANIFEST_DIR", &target.folder)
        .env("FLUMEN_FUZZ_SECONDS", plan.time.as_secs_f64().to_string())
        .stdin(Stdio::null());
    if let Some(corpus) = &plan.corpus {
        command.env("FLUMEN_FUZZ_CORPUS", corpus);
    }
    let name = target.name().to_owned();
    // An input without end ends the process: the crate `fuzz` watches it.
    let is_good = match command.output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            // The runner of tests may have begun the line.
            let summary = text
                .lines()
                .find_map(|line| line.find(&format!("{name}: ")).map(|at| &line[at..]));
            println!("{}", summary.unwrap_or("it says nothing"));
            summary.is_some()
        }
        Ok(output) => {
            let (out, err) = (&output.stdout, &output.stderr);
            eprintln!("{name}: {}", output.status);
            eprintln!("{}", String::from_utf8_lossy(out));
            eprintln!("{}", String::from_utf8_lossy(err));
            false
        }
        Err(error) => {
            eprintln!("{name} cannot be started: {error}");
            false
        }
    };
    Outcome { name, is_good }
}
