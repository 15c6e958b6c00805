//! The cases of the matrix.

use serde::Serialize;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// CloudWatch Logs, at 1, 2 and 3 MB/s.
    CloudWatch,
    /// Firehose, at 20, 25 and 30 MB/s, as the rest.
    Firehose,
    /// Kinesis Data Streams.
    Kinesis,
    /// S3.
    S3,
}

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The unix socket that FireLens gives to Docker's log driver: AWS's `stdstream`.
    Forward,
    /// A TCP connection with a line for each record.
    Tcp,
}

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Where records go.
    pub destination: Destination,
    /// Where they come from.
    pub source: Source,
    /// Megabytes (10^6 bytes) of lines a second.
    pub megabytes: u64,
}

/// Every case, in the order of AWS's tables.
pub fn all() -> Vec<Case> {
    let rates = [
        (Destination::CloudWatch, [1, 2, 3]),
        (Destination::Firehose, [20, 25, 30]),
        (Destination::Kinesis, [20, 25, 30]),
        (Destination::S3, [20, 25, 30]),
    ];
    let mut cases = Vec::new();
    for (destination, rates) in rates {
        for source in [Source::Forward, Source::Tcp] {
            cases.extend(rates.map(|megabytes| Case {
                destination,
                source,
                megabytes,
            }));
        }
    }
    cases
}

impl Case {
    /// `firehose/tcp/20`.
    pub fn name(&self) -> String {
        let destination = match self.destination {
            Destination::CloudWatch => "cloudwatch",
            Destination::Firehose => "firehose",
            Destination::Kinesis => "kinesis",
            Destination::S3 => "s3",
        };
        let source = match self.source {
            Source::Forward => "forward",
            Source::Tcp => "tcp",
        };
        format!("{destination}/{source}/{}", self.megabytes)
    }

    /// Whether its name contains one of `filters`, or there are none.
    pub fn is_among(&self, filters: &[String]) -> bool {
        let name = self.name();
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name() {
        let chosen = |filters: &[&str]| -> Vec<String> {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            let cases = all().into_iter().filter(|case| case.is_among(&filters));
            cases.map(|case| case.name()).collect()
        };
        assert_eq!(chosen(&[]).len(), 24);
        assert_eq!(chosen(&["firehose"]).len(), 6);
        assert_eq!(
            chosen(&["firehose/tcp/20", "s3/forward/30"]),
            ["firehose/tcp/20", "s3/forward/30"]
        );
        assert!(chosen(&["nothing"]).is_empty());
    }
}
