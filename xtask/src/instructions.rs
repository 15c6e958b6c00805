//! `cargo xtask instructions`: what the hot paths cost in instructions, compared with what is written down.
//!
//! The crate `instructions` runs each path once under callgrind, through gungraun. Counts depend on the compiler, and on
//! valgrind, whose own processor decides which instructions there are: with others than those that made the recorded
//! counts nothing is compared.

mod recorded;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::peers;
use crate::report::{Counts, Step};
use crate::run::{COMPILING, captured, watched};
use crate::suite;
use recorded::Recorded;

/// The recorded counts, from the root of the workspace.
const RECORDED: &str = "crates/instructions/counts.txt";
/// The crate's bench target.
const BENCH: &str = "hot_paths";
/// The release of gungraun's other half; the library in `Cargo.lock` wants the same.
const RUNNER: &str = "0.20.0";
const NAME: &str = "instructions";

/// Counts, compares and prints; with UPDATE=1 in the environment writes down what was counted. True if nothing grew.
pub fn run(root: &Path) -> bool {
    let update = std::env::var_os("UPDATE").is_some();
    let outcome = match update {
        true => update_recorded(root),
        false => compare(root).map(|(counts, notes)| (counts.failed == 0, notes)),
    };
    let (good, lines) = outcome.unwrap_or_else(|why| (false, vec![why]));
    for line in lines {
        println!("{line}");
    }
    good
}

/// The step of `cargo xtask test`; skipped where counts cannot be had or compared.
pub fn step(root: &Path, valgrind: Result<PathBuf, String>) -> Step {
    eprintln!("\n── {NAME} ──");
    let start = Instant::now();
    let (counts, notes) = match valgrind.and_then(|_| can_compare(root)) {
        Err(why) => {
            eprintln!("skipped: {NAME}: {why}");
            (Counts::skipped(), vec![why])
        }
        Ok(()) => compare(root).unwrap_or_else(|why| (Counts::one(false), vec![why])),
    };
    Step {
        name: NAME,
        took: start.elapsed(),
        counts,
        notes,
    }
}

/// Says why not, if compiler or valgrind are others than those of the recorded counts, or gungraun cannot be installed.
fn can_compare(root: &Path) -> Result<(), String> {
    let (recorded, here) = (read(root)?.made_with, made_with()?);
    if recorded != here {
        return Err(format!(
            "the recorded counts were made with {recorded}, and here is {here}: UPDATE=1 cargo xtask instructions makes new ones"
        ));
    }
    runner(root).map(|_| ())
}

fn compare(root: &Path) -> Result<(Counts, Vec<String>), String> {
    can_compare(root)?;
    let recorded = read(root)?;
    Ok(recorded.compare(&measure(root)?))
}

fn update_recorded(root: &Path) -> Result<(bool, Vec<String>), String> {
    let note = std::env::var("NOTE").ok().filter(|note| !note.is_empty());
    // A file that is not there yet is an empty one.
    let mut recorded = read(root).unwrap_or_default();
    let here = made_with()?;
    if recorded.made_with != here {
        recorded = recorded.with_other_tools(here);
    }
    match recorded.update(&measure(root)?, note.as_deref()) {
        Err(grown) => Ok((false, grown)),
        Ok((recorded, changes)) => {
            let path = root.join(RECORDED);
            fs::write(&path, recorded.to_string())
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Ok((true, changes))
        }
    }
}

fn read(root: &Path) -> Result<Recorded, String> {
    let text =
        fs::read_to_string(root.join(RECORDED)).map_err(|error| format!("{RECORDED}: {error}"))?;
    text.parse().map_err(|error| format!("{RECORDED}: {error}"))
}

/// What the counts depend on beside the code.
fn made_with() -> Result<String, String> {
    let rustc = captured(Command::new("rustc").arg("--version"))?;
    let valgrind = captured(Command::new("valgrind").arg("--version"))?;
    Ok(format!(
        "{}, {}, {}",
        rustc.trim(),
        valgrind.trim(),
        processor()
    ))
}

#[cfg(target_arch = "x86_64")]
fn processor() -> &'static str {
    match std::is_x86_feature_detected!("avx2") {
        true => "x86_64 with AVX2",
        false => "x86_64",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> &'static str {
    std::env::consts::ARCH
}

/// Runs every path once and gives the instructions of each.
fn measure(root: &Path) -> Result<BTreeMap<String, u64>, String> {
    let home = peers::target(root).join("gungraun");
    // What an earlier run has left would be taken for a path that there is still.
    let _ = fs::remove_dir_all(&home);
    let mut bench = suite::cargo(root);
    bench.arg("bench");
    // As the tests are built, so that both share one build.
    bench.args(suite::light_packages());
    bench
        .args(["--bench", BENCH])
        .env("GUNGRAUN_RUNNER", runner(root)?)
        .env("GUNGRAUN_HOME", &home);
    watched(&mut bench, COMPILING, |_| ())?;
    let mut counts = BTreeMap::new();
    collect(&home, &mut counts).map_err(|error| format!("{}: {error}", home.display()))?;
    match counts.is_empty() {
        true => Err(format!("no counts are under {}", home.display())),
        false => Ok(counts),
    }
}

/// The sums of all callgrind files under `folder`, by the name of the path.
fn collect(folder: &Path, counts: &mut BTreeMap<String, u64>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, counts)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = path_of(&name)
            && let Some(count) = total(&fs::read_to_string(&path)?)
        {
            counts.insert(name.to_owned(), count);
        }
    }
    Ok(())
}

/// The path's name in that of a file: `tail` of `callgrind.hot_path.tail.out`.
fn path_of(file: &str) -> Option<&str> {
    let (_, name) = file
        .strip_prefix("callgrind.")?
        .strip_suffix(".out")?
        .rsplit_once('.')?;
    Some(name)
}

/// The instructions that a callgrind file counts.
fn total(text: &str) -> Option<u64> {
    let line = text.lines().rev().find_map(|line| {
        line.strip_prefix("totals: ")
            .or_else(|| line.strip_prefix("summary: "))
    });
    line?.split_whitespace().next()?.parse().ok()
}

/// The path of gungraun's runner, which is built under the target folder where it is missing.
fn runner(root: &Path) -> Result<PathBuf, String> {
    let tool = suite::tool(root, "gungraun-runner", RUNNER);
    tool.map_err(|why| format!("gungraun-runner cannot be installed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_callgrind_are_read() {
        assert_eq!(path_of("callgrind.hot_path.tail.out"), Some("tail"));
        assert_eq!(path_of("callgrind.hot_path.tail.log"), None);
        assert_eq!(path_of("summary.json"), None);
        assert_eq!(
            total("events: Ir\nfn=(1) a\n16 5\ntotals: 12345 7\n"),
            Some(12345)
        );
        assert_eq!(total("events: Ir\n"), None);
    }
}
