//! The routers that faults are done to: this program, and rivals.

use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

/// A router.
#[derive(Clone, Debug)]
pub struct Program {
    /// As it stands in tables.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// What it says about its version.
    pub version: String,
    /// Which options it understands.
    pub dialect: Dialect,
}

/// What a program's configuration has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Endpoints without TLS, and whatever is Flumen's own.
    Flumen,
    /// Firehose is reached over TLS only.
    FluentBit,
}

impl Program {
    /// This very program.
    pub fn this() -> Result<Program, String> {
        let path = std::env::current_exe().map_err(|error| error.to_string())?;
        Program::at("Flumen".to_owned(), path)
    }

    fn at(name: String, path: PathBuf) -> Result<Program, String> {
        let output = Command::new(&path).arg("--version").output();
        let output = output.map_err(|error| format!("{}: {error}", path.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().trim().to_owned();
        let dialect = match version.contains("Flumen") {
            true => Dialect::Flumen,
            false => Dialect::FluentBit,
        };
        Ok(Program {
            name,
            path,
            version,
            dialect,
        })
    }

    /// Whether it can be the lake as well as a router.
    pub fn has_lake(&self) -> bool {
        let help = Command::new(&self.path).args(["lake", "--help"]).output();
        help.is_ok_and(|output| output.status.success())
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Program, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                let path = PathBuf::from(path);
                let path = path
                    .canonicalize()
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                Program::at(name.to_owned(), path)
            }
            _ => Err(format!("'{text}' is not NAME=PATH")),
        }
    }
}
