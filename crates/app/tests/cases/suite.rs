//! Running cases, and saying what is wrong.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::case::Case;
use crate::outcome;
use crate::program::{Until, run};

/// How many cases run at once: most of their time they wait.
const AT_ONCE: usize = 4;

/// Does something with every case, a few at once, and returns what came of it in the cases' order.
pub fn each<T: Send>(cases: &[Case], what: impl Fn(&Case) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(cases.len()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = what(case);
                    let mut results = results.lock().expect("no case panics");
                    results.push((&case.name, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no case panics");
    results.sort_by_key(|(name, _)| *name);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Whether what arrives from Flumen is what must.
///
/// # Errors
///
/// Says what differs.
pub fn flumen_agrees(flumen: &Path, case: &Case) -> Result<(), String> {
    compare(flumen, case, &case.expected_of_flumen()?)
}

/// Asks Fluent Bit whether it agrees, and returns a word for the table. With `update`, writes down what it does.
///
/// # Errors
///
/// Says what differs, or why it could not be run.
pub fn ask(program: &Path, case: &Case, update: bool) -> Result<&'static str, String> {
    if !update {
        return compare(program, case, &case.expected()?).map(|()| "agrees");
    }
    let now = run(program, case, Until::Quiet)?;
    if case.expected().is_ok_and(|before| before == now) {
        return Ok("as before");
    }
    std::fs::write(case.expected_file(), format!("{now:#}\n"))
        .map_err(|error| error.to_string())?;
    Ok("WRITTEN")
}

fn compare(program: &Path, case: &Case, expected: &Value) -> Result<(), String> {
    let until = match outcome::count(expected) {
        // That nothing arrives takes time to be sure of.
        0 => Until::Quiet,
        count => Until::Arrived(count),
    };
    let arrived = run(program, case, until)?;
    if arrived == *expected {
        return Ok(());
    }
    let (arrived, expected) = (format!("{arrived:#}"), format!("{expected:#}"));
    Err(differences(&expected, &arrived))
}

/// The lines that are not in both, `-` for what was expected and `+` for what arrived.
fn differences(expected: &str, arrived: &str) -> String {
    let (expected, arrived): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), arrived.lines().collect());
    let only = |these: &[&str], others: &[&str], sign: char| -> Vec<String> {
        let missing = these.iter().filter(|line| !others.contains(line));
        missing.map(|line| format!("{sign} {line}")).collect()
    };
    let mut lines = only(&expected, &arrived, '-');
    lines.extend(only(&arrived, &expected, '+'));
    if lines.is_empty() {
        // The same lines in another order, or another number of them.
        lines.extend(expected.iter().map(|line| format!("- {line}")));
        lines.extend(arrived.iter().map(|line| format!("+ {line}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_shown() {
        assert_eq!(differences("a\nb\nc", "a\nx\nc"), "- b\n+ x");
        assert_eq!(differences("a\nb", "b\na"), "- a\n- b\n+ b\n+ a");
    }
}
