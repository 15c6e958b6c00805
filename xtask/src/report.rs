//! What the steps of a run came to: the counts, the table, and the plain closing line.

use std::time::Duration;

/// How many tests (or checks) passed, failed and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Counts {
    /// One check that passed or failed.
    pub fn one(passed: bool) -> Self {
        Counts {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            skipped: 0,
        }
    }

    /// One check that could not be made.
    pub fn skipped() -> Self {
        Counts {
            skipped: 1,
            ..Counts::default()
        }
    }

    /// Adds what one line of a test runner's output says.
    ///
    /// Read are libtest's closing lines (`test result: ok. 12 passed; 0 failed; …`), and `skipped: PEER: WHY`, which a
    /// test prints whose peer is not there. Such a test returns early, and libtest takes it for passed: [`Counts::settled`].
    pub fn read_line(&mut self, line: &str) {
        if line.starts_with("skipped: ") {
            self.skipped += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
        }
    }

    /// The counts with skipped tests no longer counted as passed, and a run that failed before any test as one failure.
    pub fn settled(mut self, good: bool) -> Self {
        self.passed = self.passed.saturating_sub(self.skipped);
        if !good && self.failed == 0 {
            self.failed = 1;
        }
        self
    }

    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

fn number_before(text: &str, word: &str) -> usize {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// One step of a run.
pub struct Step {
    pub name: &'static str,
    pub took: Duration,
    pub counts: Counts,
    /// What a person should know: why it failed or was skipped, which peers are missing. May be empty.
    pub notes: Vec<String>,
}

/// Renders the table of all steps and, last, the plain line `N passed, N failed, N skipped`.
pub fn render(steps: &[Step]) -> String {
    let mut total = Counts::default();
    let mut time = Duration::ZERO;
    let mut text = format!(
        "{:<24}{:>9}{:>8}{:>8}{:>9}\n",
        "step", "time", "passed", "failed", "skipped"
    );
    for step in steps {
        text += &row(step.name, step.took, step.counts);
        for note in &step.notes {
            text += &format!("    {note}\n");
        }
        total.add(step.counts);
        time += step.took;
    }
    text += &row("all", time, total);
    text += &format!(
        "\n{} passed, {} failed, {} skipped\n",
        total.passed, total.failed, total.skipped
    );
    text
}

/// True when nothing failed.
pub fn is_good(steps: &[Step]) -> bool {
    steps.iter().all(|step| step.counts.failed == 0)
}

fn row(name: &str, took: Duration, counts: Counts) -> String {
    let Counts {
        passed,
        failed,
        skipped,
    } = counts;
    format!(
        "{name:<24}{:>9}{passed:>8}{failed:>8}{skipped:>9}\n",
        human(took)
    )
}

fn human(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_libtest() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "skipped: docker: not root",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            counts.read_line(line);
        }
        assert_eq!(
            counts.settled(false),
            Counts {
                passed: 12,
                failed: 2,
                skipped: 1
            }
        );
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_is_a_failure() {
        assert_eq!(
            Counts::default().settled(false),
            Counts {
                passed: 0,
                failed: 1,
                skipped: 0
            }
        );
        assert_eq!(Counts::default().settled(true), Counts::default());
    }

    #[test]
    fn the_closing_line_stands_alone() {
        let step = |name, counts, note: &str| Step {
            name,
            took: Duration::from_secs(90),
            counts,
            notes: vec![note.to_owned()],
        };
        let steps = [
            step("format", Counts::one(true), "fine"),
            step("deny", Counts::skipped(), "not there"),
        ];
        let text = render(&steps);
        assert_eq!(text.lines().last(), Some("1 passed, 0 failed, 1 skipped"));
        assert!(text.contains("1.5 min"), "{text}");
        assert!(text.contains("    not there"), "{text}");
        assert!(is_good(&steps));
    }
}
