//! Fluent Bit's health rule: too many errors or failed retries within a period.

use std::collections::VecDeque;

use crate::Pipeline;

/// `HC_Errors_Count`, `HC_Retry_Failure_Count`, `HC_Period`.
#[derive(Clone, Copy, Debug)]
pub struct HealthLimits {
    /// Unhealthy above this many errors in a period.
    pub errors: u64,
    /// Unhealthy above this many failed retries in a period.
    pub retries_failed: u64,
    /// Length of the period in seconds.
    pub period_seconds: usize,
}

/// Samples the outputs once a second and judges.
#[derive(Debug)]
pub struct Health {
    limits: HealthLimits,
    /// (errors, failed retries) at the end of each second, oldest first.
    samples: VecDeque<(u64, u64)>,
}

impl Health {
    /// A judge that has seen nothing.
    pub fn new(limits: HealthLimits) -> Health {
        Health {
            limits,
            samples: VecDeque::from([(0, 0)]),
        }
    }

    /// The limits it judges by.
    pub fn limits(&self) -> HealthLimits {
        self.limits
    }

    /// Takes the sample of one more second.
    pub fn sample(&mut self, pipeline: &Pipeline) {
        let errors = pipeline
            .outputs
            .iter()
            .map(|output| output.errors.get())
            .sum();
        let failed = pipeline
            .outputs
            .iter()
            .map(|output| output.retries_failed.get())
            .sum();
        self.samples.push_back((errors, failed));
        while self.samples.len() > self.limits.period_seconds + 1 {
            self.samples.pop_front();
        }
    }

    /// Errors and failed retries within the period.
    pub fn within_period(&self) -> (u64, u64) {
        match (self.samples.front(), self.samples.back()) {
            // An output that a reload took away takes its errors along.
            (Some(first), Some(last)) => (
                last.0.saturating_sub(first.0),
                last.1.saturating_sub(first.1),
            ),
            _ => (0, 0),
        }
    }

    /// What is above its limit, in words.
    pub fn failing(&self) -> Vec<String> {
        let (errors, failed) = self.within_period();
        let (limits, period) = (self.limits, self.limits.period_seconds);
        let mut failing = Vec::new();
        if errors > limits.errors {
            failing.push(format!(
                "{errors} errors of outputs in the last {period} seconds, more than {}",
                limits.errors
            ));
        }
        if failed > limits.retries_failed {
            failing.push(format!(
                "{failed} failed retries in the last {period} seconds, more than {}",
                limits.retries_failed
            ));
        }
        failing
    }

    /// Whether both are within the limits.
    pub fn is_healthy(&self) -> bool {
        let (errors, failed) = self.within_period();
        errors <= self.limits.errors && failed <= self.limits.retries_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputCounters;

    #[test]
    fn errors_count_within_the_period_only() {
        let output = OutputCounters::new("stdout.0".into(), Default::default());
        let pipeline = Pipeline {
            outputs: vec![output.clone()],
            ..Pipeline::default()
        };
        let mut health = Health::new(HealthLimits {
            errors: 2,
            retries_failed: 2,
            period_seconds: 3,
        });
        output.errors.add(2);
        health.sample(&pipeline);
        assert!(health.is_healthy(), "at the limit");
        output.errors.add(1);
        health.sample(&pipeline);
        assert!(!health.is_healthy());
        for _ in 0..3 {
            health.sample(&pipeline);
        }
        assert!(health.is_healthy(), "the errors are older than the period");
    }
}
