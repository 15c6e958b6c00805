//! Who is measured.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Serialize;

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
    /// Fluentd, with the plugins `fluent-plugin-kinesis` and `fluent-plugin-cloudwatch-logs`.
    Fluentd,
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
            program,
        }
    }

    /// How it is called in the tables.
    pub fn name(&self) -> &str {
        &self.name
    }
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
        let program = PathBuf::from(path);
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
}
