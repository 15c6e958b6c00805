//! What is measured: a destination and a load.

use serde::Serialize;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// CloudWatch Logs.
    CloudWatch,
    /// Firehose.
    Firehose,
}

/// How lines come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// So many a second, each with a write of its own.
    Rate(u64),
    /// All of them lie in the file when the router starts.
    Drain,
}

/// A row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Case {
    /// Where records go.
    pub destination: Destination,
    /// How lines come.
    pub load: Load,
}

/// Every case, in the order of the post's tables, each followed by its drain.
pub fn all() -> Vec<Case> {
    let loads = [
        Load::Rate(100),
        Load::Rate(1_000),
        Load::Rate(10_000),
        Load::Drain,
    ];
    let of = |destination| loads.map(|load| Case { destination, load });
    [of(Destination::CloudWatch), of(Destination::Firehose)].concat()
}

impl Case {
    /// `firehose/1000`, `cloudwatch/drain`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.destination.name(), self.load.name())
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

impl Destination {
    /// As in a case's name.
    pub fn name(self) -> &'static str {
        match self {
            Destination::CloudWatch => "cloudwatch",
            Destination::Firehose => "firehose",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name() {
        let count = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            all().iter().filter(|case| case.is_among(&filters)).count()
        };
        assert_eq!(count(&[]), 8);
        assert_eq!(count(&["drain"]), 2);
        assert_eq!(count(&["firehose/1000", "cloudwatch/drain"]), 2);
        assert_eq!(count(&["s3"]), 0);
    }
}
