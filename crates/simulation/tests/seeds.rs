//! Many seeds, and proof that the oracle would see what it looks for.

use std::fmt::Write as _;
use std::fs::{OpenOptions, read_to_string};
use std::io::Write as _;

use simulation::{Mutation, run, sweep};

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions.txt");
/// Seeds whose findings are known and not mended yet, each with its finding: they are left out of the many, so that what is
/// new shows. An entry goes when its seed is well.
const OPEN: &str = include_str!("../open.txt");
/// How many seeds are run; `SIMULATION_SEEDS=FIRST..END` names others.
const SEEDS: u64 = if cfg!(debug_assertions) {
    1_000
} else {
    10_000
};
/// Every mutation is to be seen within so many seeds.
const SEEN_WITHIN: u64 = 1_500;

#[test]
fn seeds_that_once_failed() {
    let text = read_to_string(REGRESSIONS).expect("readable");
    let seeds = text.lines().filter(|line| !line.starts_with('#'));
    for seed in seeds.filter_map(|line| line.split_whitespace().next()) {
        let seed = seed.parse().expect("a number");
        assert_eq!(run(seed, None, false).finding, None, "seed {seed}");
    }
}

#[test]
fn nothing_is_wrong_in_many_seeds() {
    let seeds = match std::env::var("SIMULATION_SEEDS") {
        Ok(range) => {
            let (first, end) = range.split_once("..").expect("FIRST..END");
            first.parse().expect("a number")..end.parse().expect("a number")
        }
        Err(_) => 0..SEEDS,
    };
    let open = open();
    let mut found = sweep(seeds, None, 5 + open.len());
    found.retain(|(seed, _)| !open.contains(seed));
    let Some((first, _)) = found.first() else {
        return;
    };
    let mut report = String::new();
    for (seed, finding) in &found {
        keep(*seed, finding);
        let _ = writeln!(report, "seed {seed}: {finding}");
        let _ = writeln!(
            report,
            "  cargo run --release -p simulation -- --seed {seed}"
        );
    }
    let trace = run(*first, None, true).trace;
    let last = trace.len().saturating_sub(200);
    panic!("{}\n{report}", trace[last..].join("\n"));
}

/// The first words of the lines of a list, as numbers.
fn open() -> Vec<u64> {
    let lines = OPEN.lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.filter_map(|line| line.split(':').next());
    seeds.map(|seed| seed.parse().expect("a number")).collect()
}

/// Adds a seed to those that are run first.
fn keep(seed: u64, finding: &str) {
    let line = format!("{seed} {finding}\n");
    let known = read_to_string(REGRESSIONS).unwrap_or_default();
    if !known
        .lines()
        .any(|known| known.split(' ').next() == Some(&*seed.to_string()))
    {
        let file = OpenOptions::new().append(true).open(REGRESSIONS);
        // The tree may be read-only; the report says everything.
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

#[test]
fn every_mutation_is_seen() {
    let unseen: Vec<&Mutation> = Mutation::ALL
        .iter()
        .filter(|mutation| sweep(0..SEEN_WITHIN, Some(**mutation), 1).is_empty())
        .collect();
    assert!(unseen.is_empty(), "nobody notices {unseen:?}");
}

#[test]
fn a_seed_is_always_the_same_history() {
    for seed in 0..40 {
        let (one, two) = (run(seed, None, true), run(seed, None, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
    }
}
