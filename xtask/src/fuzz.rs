//! `cargo xtask fuzz`: the fuzz targets of all crates, compiled with counters on their branches, for as long as one likes;
//! and the step of `cargo xtask test` that runs each of them for some seconds, as they are.
//!
//! Everything that this takes is in the stable compiler; see the crate `fuzz`, which reads the counters. What other crates
//! compile to is shared with the tests, so that only the workspace's own code is compiled anew.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

mod compiler;
mod runs;
mod targets;

pub use compiler::{compile, is_compiler};
pub use runs::Outcome;

use runs::run_all;
use targets::{Binary, built, sources};

/// What `cargo xtask fuzz` was asked to do.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// A part of the names of the targets; all if empty.
    pub target: String,
    /// How long each of them runs.
    pub seconds: u64,
    /// How many run at the same time; as many as there are processors if none is given.
    pub jobs: Option<usize>,
}

/// How long each target runs if nothing is said.
const SECONDS: u64 = 300;

/// Reads the arguments behind `fuzz`.
pub fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        target: String::new(),
        seconds: SECONDS,
        jobs: None,
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                options.seconds = number.ok_or("--seconds needs a number of seconds")?;
            }
            "--jobs" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                let number = number.filter(|number| *number > 0);
                options.jobs = Some(number.ok_or("--jobs needs a number from 1 on")?);
            }
            option if option.starts_with('-') => {
                return Err(format!("fuzz has no option '{option}'"));
            }
            name if options.target.is_empty() => options.target = name.to_owned(),
            name => return Err(format!("fuzz takes one target, and '{name}' is another")),
        }
    }
    Ok(options)
}

/// Compiles and runs the targets; true when no input failed.
pub fn run(root: &Path, options: &Options) -> bool {
    match chosen(root, &options.target).and_then(|binaries| guided(root, options, &binaries)) {
        Ok(is_good) => is_good,
        Err(message) => {
            eprintln!("xtask: {message}");
            false
        }
    }
}

/// The binaries with targets whose name contains `part`.
fn chosen(root: &Path, part: &str) -> Result<Vec<Binary>, String> {
    let all = sources(root)?;
    let (wanted, others): (Vec<Binary>, Vec<Binary>) =
        all.into_iter().partition(|binary| binary.has(part));
    if wanted.is_empty() {
        let mut names: Vec<String> = others.into_iter().flat_map(|other| other.names).collect();
        names.sort();
        return Err(format!(
            "there is no target '{part}'; there are: {}",
            names.join(", ")
        ));
    }
    Ok(wanted)
}

fn guided(root: &Path, options: &Options, binaries: &[Binary]) -> Result<bool, String> {
    let mut targets = Vec::new();
    // One binary of many kinds cannot be asked for without those that have no targets, and those do not link.
    for group in targets::groups(binaries) {
        targets.extend(built(&mut compiler::cargo(root, &group)?, &group)?);
    }
    targets.retain(|target| target.name().contains(&options.target));
    let corpus = root.join("target/fuzz");
    let runs = runs::Plan {
        time: Duration::from_secs(options.seconds),
        jobs: options.jobs.unwrap_or_else(runs::processors),
        corpus: Some(corpus),
    };
    let outcomes = run_all(&targets, &runs);
    for failed in outcomes.iter().filter(|outcome| !outcome.is_good) {
        eprintln!("failed: {}", failed.name);
    }
    Ok(outcomes.iter().all(|outcome| outcome.is_good))
}

/// Runs targets that are compiled as the tests are: `cargo` is the command that did it.
pub fn unguided(root: &Path, cargo: &mut Command, seconds: u64) -> Result<Vec<Outcome>, String> {
    let targets = built(cargo, &sources(root)?)?;
    let plan = runs::Plan {
        time: Duration::from_secs(seconds),
        jobs: runs::processors(),
        corpus: None,
    };
    Ok(run_all(&targets, &plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_found_once() {
        let root = crate::root();
        let binaries = sources(&root).expect("sources that can be read");
        let mut names: Vec<String> = binaries
            .into_iter()
            .flat_map(|binary| binary.names)
            .collect();
        names.sort();
        for name in ["classic", "frames", "lake_calls", "log", "statements"] {
            assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
        }
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "two targets have one name: {names:?}");
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_names_that_there_are() {
        let message = chosen(&crate::root(), "no such").expect_err("there is none");
        assert!(
            message.contains("there is no target 'no such'"),
            "{message}"
        );
        assert!(message.contains("filter_patterns"), "{message}");
    }
}
