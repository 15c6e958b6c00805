//! The figures of the post *Centralized Container Logging with Fluent Bit* (2019): Fluent Bit 1.2 with the Go plugins and
//! Fluentd, on a c5.9xlarge.

use super::case::{Case, Destination, Load, Source};

/// Where the figures come from.
pub const SOURCE: &str =
    "the AWS post of 2019: Fluent Bit 1.2 with Go plugins and Fluentd on a c5.9xlarge";

/// vCPUs and resident megabytes of one program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// CPU seconds a second.
    pub vcpu: f64,
    /// Megabytes.
    pub megabytes: u64,
}

/// The post's figures for a case: Fluentd's and Fluent Bit's. It drained no files.
pub fn of(case: &Case) -> Option<(Figures, Figures)> {
    if case.source != Source::Docker {
        return None;
    }
    let figures = |vcpu, megabytes| Figures { vcpu, megabytes };
    let (fluentd, fluent_bit) = match (case.destination, case.load) {
        (Destination::CloudWatch, Load::Rate(100)) => (figures(0.013, 146), figures(0.003, 27)),
        (Destination::CloudWatch, Load::Rate(1_000)) => (figures(0.103, 303), figures(0.03, 44)),
        (Destination::CloudWatch, Load::Rate(10_000)) => (figures(1.03, 376), figures(0.19, 65)),
        (Destination::Firehose, Load::Rate(100)) => (figures(0.006, 84), figures(0.003, 27)),
        (Destination::Firehose, Load::Rate(1_000)) => (figures(0.073, 102), figures(0.033, 37)),
        (Destination::Firehose, Load::Rate(10_000)) => (figures(0.86, 438), figures(0.13, 55)),
        _ => return None,
    };
    Some((fluentd, fluent_bit))
}
