//! Compiling with counters: cargo starts this program instead of the compiler, for the workspace's own crates only, and
//! this program starts the compiler with more flags.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::targets::{Binary, Kind};
use crate::suite;

/// Set where this program stands in for the compiler.
const VARIABLE: &str = "FLUMEN_FUZZ_COMPILER";

/// The counters, and what shows faults that a release would hide.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// What runs while others are compiled, where nobody reads counters; and what reads them.
const WITHOUT: &[&str] = &["build_script_build", "fuzz", "___"];

/// Whether cargo has started this program as its compiler.
pub fn is_compiler() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Becomes the compiler that the first argument names. Returns only if that cannot be started.
pub fn compile() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(compiler) = arguments.next() else {
        eprintln!("xtask: {VARIABLE} is set, and there is no compiler");
        return ExitCode::FAILURE;
    };
    let arguments: Vec<OsString> = arguments.collect();
    let mut command = Command::new(&compiler);
    command.args(&arguments);
    if is_counted(&arguments) {
        command.args(FLAGS);
    }
    let error = command.exec();
    eprintln!("xtask: {} cannot be started: {error}", compiler.display());
    ExitCode::FAILURE
}

fn is_counted(arguments: &[OsString]) -> bool {
    let behind = |option: &str| {
        let at = arguments.iter().position(|argument| argument == option)?;
        arguments.get(at + 1)?.to_str()
    };
    behind("--crate-name").is_some_and(|name| !WITHOUT.contains(&name))
        && behind("--crate-type") != Some("proc-macro")
}

/// The command that compiles these binaries, which are of one kind.
///
/// # Errors
///
/// When this program does not know its own path.
pub fn cargo(root: &Path, binaries: &[Binary]) -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(root)
        .env("RUSTC_WORKSPACE_WRAPPER", own)
        .env(VARIABLE, "1")
        .args(["test", "--release"]);
    for binary in binaries {
        command.args(["--package", &binary.package]);
        if suite::HEAVY.contains(&binary.package.as_str()) {
            // With its neighbour, as the tests are compiled: with the same features of DataFusion.
            suite::HEAVY.iter().for_each(|package| {
                command.args(["--package", package]);
            });
        }
    }
    match binaries.first().map(|binary| &binary.kind) {
        Some(Kind::Test(name)) => command.args(["--test", name]),
        _ => command.arg("--lib"),
    };
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_targets_run_is_counted() {
        for (line, counted) in [
            ("--crate-name record --edition=2024 --test", true),
            ("--crate-name lake --crate-type lib src/lib.rs", true),
            ("--crate-name config_derive --crate-type proc-macro", false),
            ("--crate-name build_script_build --crate-type bin", false),
            ("--crate-name fuzz --crate-type lib", false),
            ("- --crate-name ___ --print=file-names", false),
            ("-vV", false),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(is_counted(&arguments), counted, "{line}");
        }
    }
}
