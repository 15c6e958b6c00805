//! `cargo xtask cases`: asks a Fluent Bit whether it delivers what the cases under `tests/cases` say.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{COMPILING, watched};

/// What `cargo xtask cases` was asked to do.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// The program to ask.
    pub fluent_bit: PathBuf,
    /// Only cases whose name contains this; empty for all.
    pub only: String,
}

/// The variable by which the test finds the program.
const FLUENT_BIT: &str = "FLUMEN_PEER_FLUENT_BIT";

/// Runs the cases on Fluent Bit, prints the table, and returns whether it agrees on all of them. With `UPDATE=1` in the
/// environment what it delivers is written down instead.
pub fn run(root: &Path, options: &Options) -> bool {
    // The test is run in another folder.
    let program = match options.fluent_bit.canonicalize() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("{}: {error}", options.fluent_bit.display());
            return false;
        }
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).arg("test");
    // As this program was built, so that the test shares the profile's dependencies.
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo.args([
        "--package",
        "flumen",
        "--no-default-features",
        "--test",
        "cases",
        "fluent_bit",
        "--",
        "--exact",
        "--nocapture",
    ]);
    cargo.env(FLUENT_BIT, program).env("CASE", &options.only);
    match watched(&mut cargo, COMPILING, |_| ()) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("{error}");
            false
        }
    }
}
