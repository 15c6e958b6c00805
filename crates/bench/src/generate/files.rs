//! Log files, rotated as container runtimes rotate them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::GenerateCommand;
use super::target::Block;
use crate::quantity;

/// When a file is rotated: after the write that reaches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rotation {
    /// At so many bytes.
    Bytes(u64),
    /// At so many lines.
    Lines(u64),
    /// After so long a time.
    Age(Duration),
}

impl FromStr for Rotation {
    type Err = String;

    fn from_str(text: &str) -> Result<Rotation, String> {
        if let Some(lines) = text.strip_suffix("lines") {
            return match lines.trim().parse() {
                Ok(lines) if lines > 0 => Ok(Rotation::Lines(lines)),
                _ => Err(format!("'{lines}' is no number of lines")),
            };
        }
        // `m` alone is minutes; `M` is a million bytes.
        match quantity::duration(text) {
            Ok(age) if text.ends_with(char::is_alphabetic) => Ok(Rotation::Age(age)),
            _ => quantity::bytes(text).map(Rotation::Bytes),
        }
    }
}

/// A file that lines are appended to.
pub struct LogFile {
    path: PathBuf,
    file: File,
    rotation: Option<Rotation>,
    keep: u32,
    bytes: u64,
    lines: u64,
    opened: Instant,
}

impl LogFile {
    /// Opens the file of the writer `index`: `path` itself if there is only one.
    pub fn open(path: &Path, command: &GenerateCommand, index: u32) -> io::Result<LogFile> {
        let path = match command.writers {
            0 | 1 => path.to_owned(),
            _ => numbered(path, index + 1),
        };
        let file = append_to(&path)?;
        Ok(LogFile {
            bytes: file.metadata()?.len(),
            path,
            file,
            rotation: command.rotate_every,
            keep: command.keep,
            lines: 0,
            opened: Instant::now(),
        })
    }

    /// Appends lines, and rotates if it is time.
    pub fn write(&mut self, block: &Block) -> io::Result<()> {
        self.file.write_all(&block.text)?;
        self.bytes += block.text.len() as u64;
        self.lines += block.ends.len() as u64;
        let is_due = match self.rotation {
            None => false,
            Some(Rotation::Bytes(limit)) => self.bytes >= limit,
            Some(Rotation::Lines(limit)) => self.lines >= limit,
            Some(Rotation::Age(limit)) => self.opened.elapsed() >= limit,
        };
        if is_due { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.keep).rev() {
            rename_if_there(&self.rotated(number), &self.rotated(number + 1))?;
        }
        match self.keep {
            0 => std::fs::remove_file(&self.path)?,
            _ => std::fs::rename(&self.path, self.rotated(1))?,
        }
        self.file = append_to(&self.path)?;
        (self.bytes, self.lines, self.opened) = (0, 0, Instant::now());
        Ok(())
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `app.log` → `app-3.log`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy());
    let name = match extension {
        Some(extension) => format!("{stem}-{number}.{extension}"),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_read() {
        for (text, rotation) in [
            ("64M", Rotation::Bytes(64_000_000)),
            ("1000", Rotation::Bytes(1000)),
            ("10s", Rotation::Age(Duration::from_secs(10))),
            ("2m", Rotation::Age(Duration::from_secs(120))),
            ("500lines", Rotation::Lines(500)),
        ] {
            assert_eq!(text.parse(), Ok(rotation), "{text}");
        }
        assert!("0lines".parse::<Rotation>().is_err() && "often".parse::<Rotation>().is_err());
    }

    #[test]
    fn files_of_writers_have_names_of_their_own() {
        assert_eq!(
            numbered(Path::new("/a/app.log"), 3),
            Path::new("/a/app-3.log")
        );
        assert_eq!(numbered(Path::new("app"), 1), Path::new("app-1"));
    }
}
