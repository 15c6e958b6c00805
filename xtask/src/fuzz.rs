//! `cargo xtask fuzz`: the fuzz targets of all crates, compiled with counters on their branches, for as long as one likes.
//!
//! Everything that this takes is in the stable compiler; see the crate `fuzz`, which reads the counters.

use std::path::Path;
use std::process::Command;

use crate::run::captured;

/// What `cargo xtask fuzz` was asked to do.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// A part of the names of the targets; all if empty.
    pub target: String,
    /// How long each of them runs.
    pub seconds: u64,
}

/// The crates that have targets and are compiled in a minute.
const CRATES: &[&str] = &[
    "aws",
    "buffer",
    "config",
    "inputs",
    "lake",
    "monitor",
    "multiline",
    "outputs",
    "parsers",
    "pattern",
    "record",
];

/// The target that needs DataFusion, and its crate.
const HEAVY: (&str, &str) = ("statements", "query");

/// The counters, and what shows faults that a release would hide.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Copt-level=2",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// Reads the arguments behind `fuzz`.
pub fn parse(arguments: &[String]) -> Result<Options, String> {
    let (mut target, mut seconds) = (None, 300);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), &target) {
            ("--seconds", _) => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or("--seconds needs a number of seconds")?;
            }
            (option, _) if option.starts_with('-') => {
                return Err(format!("fuzz has no option '{option}'"));
            }
            (name, None) => target = Some(name.to_owned()),
            (name, Some(_)) => {
                return Err(format!("fuzz takes one target, and '{name}' is another"));
            }
        }
    }
    Ok(Options {
        target: target.unwrap_or_default(),
        seconds,
    })
}

/// Compiles and runs the targets; true when no input failed.
pub fn run(root: &Path, options: &Options) -> bool {
    let Some(host) = host() else {
        eprintln!("xtask: rustc does not say which machine it compiles for");
        return false;
    };
    let folder = root.join("target/fuzz");
    let packages = match options.target == HEAVY.0 {
        true => &[HEAVY.1],
        false => CRATES,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root)
        .env("FLUMEN_FUZZ_SECONDS", options.seconds.to_string())
        .env("FLUMEN_FUZZ_CORPUS", folder.join("corpus"))
        // With a target named, the flags are not for build scripts and procedural macros.
        .env(
            format!("CARGO_TARGET_{}_RUSTFLAGS", variable(&host)),
            FLAGS.join(" "),
        )
        .arg("test")
        .args(["--target", &host, "--no-fail-fast", "--lib", "--tests"])
        .arg("--target-dir")
        .arg(&folder);
    for package in packages {
        command.args(["--package", package]);
    }
    // The counters are those of the process: one target at a time.
    command.arg(format!("fuzz_{}", options.target)).args([
        "--",
        "--test-threads",
        "1",
        "--nocapture",
    ]);
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("xtask: cargo cannot be started: {error}");
            false
        }
    }
}

/// What this machine is called, as cargo names targets.
fn host() -> Option<String> {
    let told = captured(Command::new("rustc").arg("-vV")).ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "))?;
    Some(line.trim().to_owned())
}

/// A target's name as it stands in names of variables.
fn variable(target: &str) -> String {
    target.to_ascii_uppercase().replace(['-', '.'], "_")
}
