//! What is measured: a source, a destination and a load.

use serde::{Deserialize, Serialize};

use crate::generate::Mode;
use crate::line::{Kind, Wrap};

/// Where records come from, and what is made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The post's: files of Docker, whose JSON is read, with NGINX's lines in it, which are parsed.
    Docker,
    /// Files of containerd or CRI-O, split by a pattern.
    Cri,
    /// Files of an application that logs JSON.
    Json,
    /// Files with stack traces of Java, joined.
    Java,
    /// The forward protocol with packed entries, as Fluent Bit and Fluentd send them.
    ForwardPacked,
    /// The forward protocol with single messages, as Docker's log driver sends them.
    ForwardMessage,
}

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// CloudWatch Logs.
    #[serde(rename = "cloudwatch")]
    CloudWatch,
    /// Firehose.
    Firehose,
    /// Firehose, CloudWatch Logs and Kinesis, all records to each.
    FanOut,
    /// Objects of S3 in gzip.
    S3Gzip,
    /// Objects of S3 in Parquet.
    S3Parquet,
}

/// How lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// So many a second, each with a write of its own.
    Rate(u64),
    /// All of them lie in the file when the router starts.
    Drain,
}

/// A row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    /// Where records come from.
    pub source: Source,
    /// Where records go.
    pub destination: Destination,
    /// How lines come.
    pub load: Load,
}

/// Every case: those of the post's tables in their order, each followed by its drain, then the other common roads, and
/// Parquet apart.
pub fn all() -> Vec<Case> {
    let loads = [
        Load::Rate(100),
        Load::Rate(1_000),
        Load::Rate(10_000),
        Load::Drain,
    ];
    let post = |destination| loads.map(|load| Case::new(Source::Docker, destination, load));
    let sources = [
        Source::Cri,
        Source::Json,
        Source::Java,
        Source::ForwardPacked,
        Source::ForwardMessage,
    ];
    let sources = sources.map(|source| Case::new(source, Destination::Firehose, Load::Drain));
    let destinations = [
        Destination::FanOut,
        Destination::S3Gzip,
        Destination::S3Parquet,
    ];
    let destinations = destinations.map(|to| Case::new(Source::Docker, to, Load::Drain));
    [
        &post(Destination::CloudWatch)[..],
        &post(Destination::Firehose),
        &sources,
        &destinations,
    ]
    .concat()
}

impl Case {
    fn new(source: Source, destination: Destination, load: Load) -> Case {
        Case {
            source,
            destination,
            load,
        }
    }

    /// `firehose/1000`, `cloudwatch/drain`, `cri/drain`.
    pub fn name(&self) -> String {
        let road = self.source.name().unwrap_or(self.destination.name());
        format!("{road}/{}", self.load.name())
    }

    /// What a person calls it: `10,000 lines/s`, `drained`, `CRI lines`.
    pub fn title(&self) -> String {
        let road = match (self.source, self.destination) {
            (Source::Cri, _) => "CRI lines",
            (Source::Json, _) => "JSON of applications",
            (Source::Java, _) => "Java stack traces",
            (Source::ForwardPacked, _) => "forward, packed entries",
            (Source::ForwardMessage, _) => "forward, single messages",
            (_, Destination::CloudWatch) => "to CloudWatch Logs",
            (_, Destination::Firehose) => "to Firehose",
            (_, Destination::FanOut) => "to three outputs",
            (_, Destination::S3Gzip) => "to S3 in gzip",
            (_, Destination::S3Parquet) => "to S3 in Parquet",
        };
        match self.load {
            Load::Rate(rate) => format!("{} lines/s", grouped(rate)),
            Load::Drain => road.to_owned(),
        }
    }

    /// Whether one of `filters` is its name or, naming no case, a part of it; or whether there are none.
    pub fn is_among(&self, filters: &[String]) -> bool {
        let name = self.name();
        let fits = |filter: &String| match all().iter().any(|case| case.name() == *filter) {
            true => name == *filter,
            false => name.contains(filter.as_str()),
        };
        filters.is_empty() || filters.iter().any(fits)
    }
}

impl Source {
    /// As in a case's name; that of the post goes without.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Source::Docker => None,
            Source::Cri => Some("cri"),
            Source::Json => Some("json"),
            Source::Java => Some("java"),
            Source::ForwardPacked => Some("forward-packed"),
            Source::ForwardMessage => Some("forward-message"),
        }
    }

    /// What its applications write, and how that is stored.
    pub fn lines(self) -> (Kind, Wrap) {
        match self {
            Source::Docker => (Kind::Nginx, Wrap::Docker),
            Source::Cri => (Kind::Nginx, Wrap::Cri),
            Source::Json => (Kind::Json, Wrap::None),
            Source::Java => (Kind::Java, Wrap::None),
            Source::ForwardPacked | Source::ForwardMessage => (Kind::Nginx, Wrap::None),
        }
    }

    /// How records travel, if they come over the forward protocol.
    pub fn forward(self) -> Option<Mode> {
        match self {
            Source::ForwardPacked => Some(Mode::Packed),
            Source::ForwardMessage => Some(Mode::Message),
            _ => None,
        }
    }
}

impl Destination {
    /// How many sinks stand for it.
    pub fn sinks(self) -> usize {
        match self {
            Destination::FanOut => 3,
            _ => 1,
        }
    }

    /// As in a case's name.
    pub fn name(self) -> &'static str {
        match self {
            Destination::CloudWatch => "cloudwatch",
            Destination::Firehose => "firehose",
            Destination::FanOut => "fan-out",
            Destination::S3Gzip => "s3-gzip",
            Destination::S3Parquet => "s3-parquet",
        }
    }
}

impl Load {
    /// As in a case's name.
    pub fn name(self) -> String {
        match self {
            Load::Rate(rate) => rate.to_string(),
            Load::Drain => "drain".to_owned(),
        }
    }
}

/// A number with commas between its thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name() {
        let count = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            all().iter().filter(|case| case.is_among(&filters)).count()
        };
        assert_eq!(count(&[]), 16);
        assert_eq!(count(&["drain"]), 10);
        assert_eq!(count(&["firehose/1000", "cloudwatch/drain"]), 2);
        assert_eq!(count(&["forward", "s3-gzip/drain"]), 3);
        assert_eq!(count(&["lambda"]), 0);
    }
}
