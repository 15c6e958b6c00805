//! What AWS published for its own distribution of Fluent Bit: release 2.31.6 of aws-for-fluent-bit (8 March 2023), the
//! table "Load tests" of its release notes. Later notes whose tables could be read have no other figures. Ten minutes
//! a case there: 1.8 million lines at 3 MB/s.

use super::case::{Case, Destination, Source};

/// Where the figures come from, for a table's foot.
pub const SOURCE: &str =
    "aws-for-fluent-bit 2.31.6 release notes, load tests of ten minutes on Fargate";

/// What AWS's own release lost and repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Lines lost.
    pub lost: u64,
    /// Share of lines lost, in percent.
    pub lost_percent: u64,
    /// Lines that arrived again.
    pub repeated: u64,
}

/// The figures for a case.
pub fn of(case: &Case) -> Published {
    let (lost, lost_percent) = match (case.destination, case.source, case.megabytes) {
        (Destination::CloudWatch, Source::Forward, 3) => (299_626, 16),
        (Destination::CloudWatch, Source::Tcp, 3) => (300_137, 16),
        _ => (0, 0),
    };
    let repeated = match (case.destination, case.source, case.megabytes) {
        (Destination::Firehose, Source::Tcp, 20) => 11_000,
        (Destination::Firehose, Source::Forward, 25) => 6_000,
        (Destination::Firehose, Source::Tcp, 25) => 5_500,
        (Destination::Firehose, Source::Tcp, 30) => 2_500,
        (Destination::Kinesis, Source::Forward, 25) => 3_969,
        (Destination::Kinesis, Source::Forward, 30) => 7_601,
        (Destination::Kinesis, Source::Tcp, 30) => 29_274,
        _ => 0,
    };
    Published {
        lost,
        lost_percent,
        repeated,
    }
}

impl Published {
    /// `16 % (299626)`, or `0`.
    pub fn lost_text(&self) -> String {
        match self.lost {
            0 => "0".to_owned(),
            lost => format!("{} % ({lost})", self.lost_percent),
        }
    }
}
