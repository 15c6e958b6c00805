//! What goes wrong, and how often.

use std::str::FromStr;
use std::time::Duration;

use crate::quantity;

/// Faults that a sink injects. Shares are of requests unless said otherwise.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Faults {
    /// Refuse this share of the records of each request alone, such as 30% (Firehose and Kinesis)
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = quantity::share, hide_default_value = true)]
    pub partial_failures: f64,
    /// Refuse this share of requests because there are too many
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = quantity::share, hide_default_value = true)]
    pub throttle: f64,
    /// Be out of reach for a time, from a time after the first request on: 15s@20s. May be repeated
    #[arg(long, value_name = "TIME@TIME")]
    pub outage: Vec<Outage>,
    /// Cut this share of connections: before a request is taken, after it, or in the middle of its answer
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = quantity::share, hide_default_value = true)]
    pub cut: f64,
    /// Take this share of requests and cut the connection instead of answering
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = quantity::share, hide_default_value = true)]
    pub unanswered: f64,
    /// Refuse requests with a record that contains this text, as invalid (Firehose)
    #[arg(long, value_name = "TEXT")]
    pub poison: Option<String>,
    /// Find the credentials of this share of requests expired
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = quantity::share, hide_default_value = true)]
    pub expired_credentials: f64,
    /// Let the same faults happen again
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

/// A time of being out of reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How long.
    pub length: Duration,
    /// How long after the first request it begins.
    pub start: Duration,
}

impl FromStr for Outage {
    type Err = String;

    fn from_str(text: &str) -> Result<Outage, String> {
        let (length, start) = text
            .split_once('@')
            .ok_or_else(|| format!("'{text}' is not LENGTH@START, such as 15s@20s"))?;
        Ok(Outage {
            length: quantity::duration(length)?,
            start: quantity::duration(start)?,
        })
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// The connection is cut before anything of it is taken.
    CutBefore,
    /// It is taken, and the connection cut before the answer.
    CutAfter,
    /// It is taken, and the connection cut in the middle of the answer.
    CutWithin,
    /// It is refused: too many.
    Throttled,
    /// It is refused: expired credentials.
    Expired,
}

impl Faults {
    /// Whether a service is out of reach so long after its first request.
    pub fn is_out(&self, since_start: Duration) -> bool {
        self.outage
            .iter()
            .any(|outage| (outage.start..outage.start + outage.length).contains(&since_start))
    }

    /// Draws what happens to a request.
    pub fn draw(&self, random: &mut fastrand::Rng) -> Fate {
        if random.f64() < self.cut {
            return [Fate::CutBefore, Fate::CutAfter, Fate::CutWithin][random.usize(..3)];
        }
        if random.f64() < self.unanswered {
            return Fate::CutAfter;
        }
        if random.f64() < self.throttle {
            return Fate::Throttled;
        }
        if random.f64() < self.expired_credentials {
            return Fate::Expired;
        }
        Fate::Answered
    }

    /// Whether one record of a request is refused alone.
    pub fn refuses_record(&self, random: &mut fastrand::Rng) -> bool {
        self.partial_failures > 0.0 && random.f64() < self.partial_failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outages_have_a_length_and_a_start() {
        let faults = Faults {
            outage: vec!["15s@20s".parse().unwrap()],
            ..Faults::default()
        };
        let out: Vec<u64> = (0..60)
            .filter(|s| faults.is_out(Duration::from_secs(*s)))
            .collect();
        assert_eq!(out, (20..35).collect::<Vec<_>>());
        assert!("15s".parse::<Outage>().is_err() && "a@b".parse::<Outage>().is_err());
    }

    #[test]
    fn shares_are_kept() {
        let faults = Faults {
            throttle: 0.5,
            ..Faults::default()
        };
        let mut random = fastrand::Rng::with_seed(1);
        let throttled = (0..10_000).filter(|_| faults.draw(&mut random) == Fate::Throttled);
        assert!((4_800..5_200).contains(&throttled.count()));
        assert!((0..1000).all(|_| Faults::default().draw(&mut random) == Fate::Answered));
    }
}
