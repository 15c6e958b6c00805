//! What is still to be measured, and how long that takes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::case::{Case, Load};
use super::contestant::Contestant;
use super::measure::{Settings, WARM_UP};

/// The measurements to come.
pub struct Plan(BTreeMap<(Case, usize), Step>);

struct Step {
    /// What one takes: a guess at first, then what the last one took.
    seconds: f64,
    left: u32,
}

impl Plan {
    /// Every case, every contestant, `runs` times.
    pub fn new(cases: &[Case], contestants: &[Contestant], settings: &Settings, runs: u32) -> Plan {
        let mut steps = BTreeMap::new();
        for case in cases {
            for (index, contestant) in contestants.iter().enumerate() {
                let work = match case.load {
                    Load::Rate(_) => settings.seconds as f64 + WARM_UP.as_secs_f64(),
                    Load::Drain => settings.lines as f64 / contestant.kind.lines_per_second(case),
                };
                let (seconds, left) = match contestant.lacks(case) {
                    // To be said once.
                    Some(_) => (0.0, 1),
                    None => (work + contestant.kind.overhead(case), runs),
                };
                steps.insert((*case, index), Step { seconds, left });
            }
        }
        Plan(steps)
    }

    /// One was measured in so much time.
    pub fn took(&mut self, case: &Case, contestant: usize, time: Duration) {
        if let Some(step) = self.0.get_mut(&(*case, contestant)) {
            step.seconds = time.as_secs_f64();
            step.left = step.left.saturating_sub(1);
        }
    }

    /// There is no use in the others.
    pub fn give_up(&mut self, case: &Case, contestant: usize) {
        if let Some(step) = self.0.get_mut(&(*case, contestant)) {
            step.left = 0;
        }
    }

    /// Whether there is nothing more to measure.
    pub fn is_over(&self, case: &Case, contestant: usize) -> bool {
        let step = self.0.get(&(*case, contestant));
        step.is_none_or(|step| step.left == 0)
    }

    /// What all of it will take.
    pub fn left(&self) -> Duration {
        let seconds = |step: &Step| step.seconds * f64::from(step.left);
        Duration::from_secs_f64(self.0.values().map(seconds).sum())
    }
}

/// `40 s`, `19 min`, `1 h 20 min`.
pub fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => match (seconds + 30) / 60 {
            minutes @ 0..60 => format!("{minutes} min"),
            minutes => format!("{} h {} min", minutes / 60, minutes % 60),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::case;
    use super::*;

    #[test]
    fn what_is_measured_corrects_the_guess() {
        let settings = Settings {
            seconds: 8,
            lines: 1000,
            short_ids: false,
        };
        let rival: Contestant = "fluentd=/bin/true".parse().unwrap();
        let cases = case::all();
        let parquet = cases[15];
        assert_eq!(parquet.name(), "s3-parquet/drain");
        let mut plan = Plan::new(&[cases[0], parquet], &[rival], &settings, 3);
        let guess = plan.left().as_secs_f64();
        assert!(
            (36.0..60.0).contains(&guess),
            "{guess}: what it lacks takes no time"
        );
        plan.took(&cases[0], 0, Duration::from_secs(10));
        assert_eq!(plan.left(), Duration::from_secs(20));
        plan.give_up(&cases[0], 0);
        assert_eq!(plan.left(), Duration::ZERO);
    }

    #[test]
    fn times_are_said_roughly() {
        let said = [5, 89, 90, 1130, 3600, 4800].map(|seconds| rough(Duration::from_secs(seconds)));
        assert_eq!(
            said,
            ["5 s", "89 s", "2 min", "19 min", "1 h 0 min", "1 h 20 min"]
        );
    }
}
