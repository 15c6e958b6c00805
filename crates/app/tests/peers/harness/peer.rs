//! Which programs there are, as `cargo xtask test` tells it.

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// The paths that the variables hold; `None`, once it is said which is missing and why, if one of them holds none.
pub fn peers<const N: usize>(variables: [&str; N]) -> Option<[PathBuf; N]> {
    let found = variables.map(peer);
    for (variable, path) in variables.iter().zip(&found) {
        if let Err(reason) = path {
            skip(variable, reason);
            return None;
        }
    }
    Some(found.map(Result::unwrap_or_default))
}

/// Says that this test is skipped, past libtest's capture, for `cargo xtask test` to count.
pub fn skip(peer: &str, reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // One write, so that the lines of parallel tests stay whole.
    let line = format!("skipped: {peer}: {reason} ({test})\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
}

fn peer(variable: &str) -> Result<PathBuf, String> {
    match env::var(variable) {
        Ok(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Ok(reason) => Err(reason.trim_start_matches("missing: ").to_owned()),
        Err(_) => Err("not set, as `cargo xtask test` does".to_owned()),
    }
}
