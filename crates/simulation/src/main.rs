//! Shows what happens in a seed, or looks through many:
//! `cargo run --release -p simulation -- --seed N [--mutation NAME]`, or `--seeds FIRST..END`.

use std::ops::Range;
use std::process::ExitCode;

use lexopt::prelude::{Long, ValueExt};
use simulation::{Mutation, run, sweep};

const USAGE: &str = "Usage: simulation (--seed N | --seeds FIRST..END) [--mutation NAME]";

#[derive(Default)]
struct Asked {
    seed: Option<u64>,
    seeds: Option<Range<u64>>,
    mutation: Option<Mutation>,
}

fn main() -> ExitCode {
    let asked = match read() {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("simulation: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let good = match (asked.seed, asked.seeds) {
        (Some(seed), None) => show(seed, asked.mutation),
        (None, Some(seeds)) => look_through(seeds, asked.mutation),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read() -> Result<Asked, lexopt::Error> {
    let mut asked = Asked::default();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seed") => asked.seed = Some(arguments.value()?.parse()?),
            Long("seeds") => {
                let text = arguments.value()?.string()?;
                let (first, end) = text.split_once("..").ok_or("--seeds needs FIRST..END")?;
                let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
                asked.seeds = Some(number(first)?..number(end)?);
            }
            Long("mutation") => {
                let name = arguments.value()?.string()?;
                let known = Mutation::named(&name);
                asked.mutation =
                    Some(known.ok_or_else(|| format!("there is no mutation '{name}'"))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(asked)
}

fn show(seed: u64, mutation: Option<Mutation>) -> bool {
    let outcome = run(seed, mutation, true);
    for line in &outcome.trace {
        println!("{line}");
    }
    match &outcome.finding {
        None => println!("nothing is wrong"),
        Some(finding) => println!("\n{finding}"),
    }
    outcome.finding.is_none()
}

fn look_through(seeds: Range<u64>, mutation: Option<Mutation>) -> bool {
    const MOST: usize = 20;
    let found = sweep(seeds, mutation, MOST);
    for (seed, finding) in &found {
        println!("{seed}: {finding}");
    }
    println!("{} seeds are wrong", found.len());
    found.is_empty()
}
