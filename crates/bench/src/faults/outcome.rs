//! What came of a row.

use serde::Serialize;

use super::scenario::Scenario;
use super::stage::Stop;

/// The figures of a row that was played to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Played {
    /// Complete lines and acknowledged chunks.
    pub must_deliver: u64,
    /// Those that arrived.
    pub delivered: u64,
    /// Those that did not.
    pub lost: u64,
    /// Arrivals after the first.
    pub repeated: u64,
    /// Arrivals after the first that the service asked for, because its answer got lost.
    pub repeated_without_verdict: u64,
    /// As many may be repeated: what was in flight when the router was killed or a connection cut.
    pub may_repeat: u64,
    /// From the end of the fault until everything had arrived.
    pub drain_seconds: f64,
    /// The most resident memory of the router.
    pub peak_memory_kib: u64,
    /// The first stretches of lost lines.
    pub lost_lines: Vec<String>,
    /// What else went wrong.
    pub failures: Vec<String>,
}

impl Played {
    /// The same where so many lines may come twice.
    pub fn may_repeat(mut self, lines: u64) -> Played {
        self.may_repeat = lines;
        self
    }

    /// The same with a further condition.
    pub fn must(mut self, holds: bool, what: impl FnOnce() -> String) -> Played {
        if !holds {
            self.failures.push(what());
        }
        self
    }

    /// Nothing lost, nothing repeated but what may be, and nothing else wrong.
    pub fn is_good(&self) -> bool {
        self.lost == 0
            && self.must_deliver > 0
            && self.repeated <= self.may_repeat
            && self.failures.is_empty()
    }
}

/// How a row ended for one program.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The row.
    pub name: &'static str,
    /// Its number in the fault table.
    pub id: &'static str,
    /// What goes wrong.
    pub fault: &'static str,
    /// The program.
    pub program: String,
    /// `held`, `failed` or `skipped`.
    pub verdict: &'static str,
    /// Why, if it did not hold.
    pub reason: Option<String>,
    /// How long it took to play.
    pub seconds: f64,
    /// Its figures, if there are any.
    #[serde(flatten)]
    pub figures: Option<Played>,
}

impl Outcome {
    /// Of `scenario` with the program of that name.
    pub fn of(
        scenario: &Scenario,
        program: &str,
        played: Result<Played, Stop>,
        seconds: f64,
    ) -> Outcome {
        let (verdict, reason, figures) = match played {
            Ok(played) if played.is_good() => ("held", None, Some(played)),
            Ok(played) => ("failed", Some(reason(&played)), Some(played)),
            Err(Stop::Skipped(why)) => ("skipped", Some(why), None),
            Err(Stop::Failed(why)) => ("failed", Some(why), None),
        };
        Outcome {
            name: scenario.name,
            id: scenario.id,
            fault: scenario.fault,
            program: program.to_owned(),
            verdict,
            reason,
            seconds,
            figures,
        }
    }

    /// Whether it held, or could not be played here.
    pub fn is_good(&self) -> bool {
        self.verdict != "failed"
    }

    /// One line, said when it has ended.
    pub fn line(&self) -> String {
        let mut text = format!(
            "{:<28} {:<10} {:<8} {:>5.1} s",
            self.name, self.program, self.verdict, self.seconds
        );
        if let Some(played) = &self.figures {
            text.push_str(&format!(
                "  {} of {} delivered, {} repeated",
                played.delivered, played.must_deliver, played.repeated
            ));
        }
        if let Some(reason) = &self.reason {
            text.push_str(&format!("  ({reason})"));
        }
        text
    }
}

fn reason(played: &Played) -> String {
    let mut reasons = Vec::new();
    if played.must_deliver == 0 {
        reasons.push("nothing had to be delivered".to_owned());
    }
    if played.lost > 0 {
        let lines = played.lost_lines.join(", ");
        reasons.push(format!("{} lost: {lines}", played.lost));
    }
    if played.repeated > played.may_repeat {
        reasons.push(match played.may_repeat {
            0 => format!("{} repeated", played.repeated),
            may => format!("{} repeated where {may} may be", played.repeated),
        });
    }
    reasons.extend(played.failures.iter().cloned());
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_run_is_good() {
        let clean = Played {
            must_deliver: 10,
            delivered: 10,
            ..Played::default()
        };
        assert!(clean.is_good());
        assert!(!Played::default().is_good(), "nothing was played");
        let lost = Played {
            lost: 1,
            ..clean.clone()
        };
        let repeated = Played {
            repeated: 3,
            ..clean.clone()
        };
        assert!(!lost.is_good() && !repeated.is_good());
        assert!(repeated.clone().may_repeat(3).is_good());
        let grew = clean.must(false, || "memory grew".to_owned());
        assert!(!grew.is_good());
        assert_eq!(
            reason(&repeated.must(false, || "x".to_owned())),
            "3 repeated; x"
        );
    }
}
