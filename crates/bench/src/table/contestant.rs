//! Who is measured.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

use super::case::{Case, Destination, Load, Source};

/// Whose configuration language a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// This program, which reads Fluent Bit's files.
    Flumen,
    /// Fluent Bit.
    FluentBit,
    /// Vector.
    Vector,
    /// Fluentd, with the plugins `fluent-plugin-kinesis`, `fluent-plugin-cloudwatch-logs` and `fluent-plugin-s3`.
    Fluentd,
}

impl Kind {
    /// Lines a second that it may drain, roughly and on a slow machine: the expected time is reckoned with it.
    pub fn lines_per_second(self, case: &Case) -> f64 {
        let outputs = case.destination.sinks() as f64;
        let is_light = matches!(
            case.source,
            Source::Java | Source::ForwardPacked | Source::ForwardMessage
        );
        let post = match self {
            Kind::Flumen => 250e3,
            Kind::FluentBit => 60e3,
            Kind::Vector => 60e3,
            Kind::Fluentd => 8e3,
        };
        post * if is_light { 2.0 } else { 1.0 } / (1.0 + outputs) * 2.0
    }

    /// Seconds that it takes to start, to be found ready and to end, roughly.
    pub fn overhead(self, case: &Case) -> f64 {
        let own = match self {
            Kind::Flumen => 0.5,
            Kind::FluentBit => 2.0,
            Kind::Vector => 2.0,
            Kind::Fluentd => 5.0,
        };
        // The probe and the last lines wait for the flush; objects of S3 wait for their time.
        own + match (case.load, case.destination) {
            (Load::Rate(_), _) => 3.0,
            (_, Destination::S3Gzip | Destination::S3Parquet) => 5.0,
            _ => 0.5,
        }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contestant {
    /// Whose language it speaks.
    pub kind: Kind,
    /// How it is called in the tables.
    name: String,
    /// Where it lies.
    #[serde(skip)]
    pub program: PathBuf,
}

impl Contestant {
    /// The running program itself.
    pub fn this_program() -> Result<Contestant, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        Ok(Contestant {
            kind: Kind::Flumen,
            name: "Flumen".to_owned(),
            program,
        })
    }

    /// Another build of it, named by its file.
    pub fn another_build(program: PathBuf) -> Contestant {
        Contestant {
            kind: Kind::Flumen,
            name: format!("Flumen ({})", program.display()),
            program: absolute(program),
        }
    }

    /// What it lacks for `case`, if that is known before.
    pub fn lacks(&self, case: &Case) -> Option<&'static str> {
        match (self.kind, case.destination) {
            (Kind::Fluentd, Destination::S3Parquet) => Some(
                "its S3 plugin writes Parquet only with the help of another program, columnify",
            ),
            _ => None,
        }
    }

    /// What it lacks for `case`, if what it said when it did not start tells.
    pub fn says_it_lacks(&self, case: &Case, words: &str) -> Option<&'static str> {
        let parquet = case.destination == Destination::S3Parquet;
        match self.kind {
            Kind::FluentBit if parquet && words.contains("parquet-glib") => {
                Some("this build has no Parquet: it is without Apache Arrow")
            }
            Kind::Vector if parquet && words.contains("batch_encoding") => {
                Some("this version has no Parquet")
            }
            _ => None,
        }
    }

    /// How it is called in the tables.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Programs are started in other folders.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

impl FromStr for Contestant {
    type Err = String;

    fn from_str(text: &str) -> Result<Contestant, String> {
        let (name, path) = text
            .split_once('=')
            .ok_or("a rival is NAME=PATH, as in fluent-bit=/usr/bin/fluent-bit")?;
        let (kind, name) = match name {
            "fluent-bit" => (Kind::FluentBit, "Fluent Bit"),
            "vector" => (Kind::Vector, "Vector"),
            "fluentd" => (Kind::Fluentd, "Fluentd"),
            _ => {
                return Err(format!(
                    "there is no rival '{name}'; there are: fluent-bit, vector, fluentd"
                ));
            }
        };
        let program = absolute(PathBuf::from(path));
        if !program.is_file() {
            return Err(format!("there is no program {path}"));
        }
        Ok(Contestant {
            kind,
            name: name.to_owned(),
            program,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rivals_are_named_with_their_programs() {
        let shell: Contestant = "fluent-bit=/bin/sh".parse().unwrap();
        assert_eq!(
            (shell.kind, shell.name(), shell.program.to_str()),
            (Kind::FluentBit, "Fluent Bit", Some("/bin/sh"))
        );
        let error = |text: &str| text.parse::<Contestant>().unwrap_err();
        assert!(error("fluent-bit").contains("NAME=PATH"));
        assert!(error("logstash=/bin/sh").contains("vector"));
        assert!(error("vector=/nowhere/vector").contains("/nowhere/vector"));
    }

    #[test]
    fn what_a_rival_lacks_is_told_from_what_is_broken() {
        let parquet = Case {
            source: Source::Docker,
            destination: Destination::S3Parquet,
            load: Load::Drain,
        };
        let gzip = Case {
            destination: Destination::S3Gzip,
            ..parquet
        };
        let rival = |name: &str| format!("{name}=/bin/sh").parse::<Contestant>().unwrap();
        let (fluent_bit, fluentd) = (rival("fluent-bit"), rival("fluentd"));
        let words = "[error] parquet format requires parquet-glib at compile time";
        assert!(fluent_bit.says_it_lacks(&parquet, words).is_some());
        assert!(fluent_bit.says_it_lacks(&gzip, words).is_none());
        assert!(fluent_bit.says_it_lacks(&parquet, "no room").is_none());
        assert!(fluentd.lacks(&parquet).is_some() && fluentd.lacks(&gzip).is_none());
    }
}
