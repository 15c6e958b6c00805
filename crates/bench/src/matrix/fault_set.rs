//! The faults of a run, by name.

use std::str::FromStr;
use std::time::Duration;

/// Some of the faults that a sink injects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultSet {
    names: Vec<&'static str>,
}

const NAMES: [&str; 6] = ["none", "partial", "throttle", "outage", "cut", "expired"];
/// How long an outage lasts, and when the first one begins, if the run is long enough.
const OUTAGE: u64 = 15;
const OUTAGE_START: u64 = 20;
/// Another one follows so long after the start of the one before.
const OUTAGE_PERIOD: u64 = 50;

impl FromStr for FaultSet {
    type Err = String;

    fn from_str(text: &str) -> Result<FaultSet, String> {
        let mut names = Vec::new();
        for word in text.split('+') {
            match NAMES.iter().find(|name| **name == word) {
                Some(&"none") => {}
                Some(name) => names.push(*name),
                None => {
                    return Err(format!(
                        "there is no fault '{word}'; there are: {}",
                        NAMES.join(", ")
                    ));
                }
            }
        }
        Ok(FaultSet { names })
    }
}

impl FaultSet {
    /// Whether nothing goes wrong.
    pub fn is_none(&self) -> bool {
        self.names.is_empty()
    }

    /// As it is written.
    pub fn name(&self) -> String {
        match self.is_none() {
            true => "none".to_owned(),
            false => self.names.join("+"),
        }
    }

    /// The sink's options for a run that writes for `duration`.
    pub fn arguments(&self, duration: Duration) -> Vec<String> {
        let mut arguments = Vec::new();
        for name in &self.names {
            let option = match *name {
                "partial" => ["--partial-failures", "30%"],
                "throttle" => ["--throttle", "50%"],
                "cut" => ["--cut", "10%"],
                "expired" => ["--expired-credentials", "5%"],
                _ => {
                    arguments.extend(outages(duration));
                    continue;
                }
            };
            arguments.extend(option.map(str::to_owned));
        }
        arguments
    }

    /// How long the router may make no progress before it is given up: retries wait for 30 seconds at most.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(if self.is_none() { 20 } else { 90 })
    }
}

/// In a run that is too short for a whole outage it is shorter.
fn outages(duration: Duration) -> Vec<String> {
    let seconds = duration.as_secs();
    if seconds < OUTAGE_START + OUTAGE {
        let milliseconds = duration.as_millis() as u64;
        return vec![
            "--outage".to_owned(),
            format!("{}ms@{}ms", milliseconds / 3, milliseconds / 3),
        ];
    }
    let starts = (OUTAGE_START..=seconds - OUTAGE).step_by(OUTAGE_PERIOD as usize);
    starts
        .flat_map(|start| ["--outage".to_owned(), format!("{OUTAGE}s@{start}s")])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str, seconds: u64) -> String {
        let faults: FaultSet = text.parse().unwrap();
        assert_eq!(faults.name(), text);
        faults.arguments(Duration::from_secs(seconds)).join(" ")
    }

    #[test]
    fn faults_become_options_of_the_sink() {
        assert_eq!(arguments("none", 120), "");
        assert_eq!(
            arguments("partial+cut", 120),
            "--partial-failures 30% --cut 10%"
        );
        assert_eq!(
            arguments("outage", 120),
            "--outage 15s@20s --outage 15s@70s"
        );
        assert_eq!(arguments("outage", 3), "--outage 1000ms@1000ms");
        let error = "flood".parse::<FaultSet>().unwrap_err();
        assert!(
            error.contains("'flood'") && error.contains("outage"),
            "{error}"
        );
    }
}
