//! Which files are read: `@INCLUDE`, globs, and the limits of both.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::ClassicFile;
use super::file::FileReader;
use super::line::{LineError, Lines};
use crate::host::{FileIdentity, Host};
use crate::{Diagnostic, Diagnostics, Position};

/// The most files of one configuration, the main file included.
const FILES_MAX: usize = 1000;

/// The files of one configuration that were read so far.
pub struct Included<'a> {
    host: &'a dyn Host,
    /// The folder of the main file.
    folder: PathBuf,
    read: HashSet<FileIdentity>,
    /// The limit was reported, once.
    full: bool,
}

impl<'a> Included<'a> {
    pub fn new(host: &'a dyn Host, folder: PathBuf) -> Self {
        Self {
            host,
            folder,
            read: HashSet::new(),
            full: false,
        }
    }

    /// Reads what `@INCLUDE argument` names. `position` is that of the argument.
    pub fn include(
        &mut self,
        argument: &str,
        position: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        // Other characters of patterns only work where there is a star too.
        if !argument.contains('*') {
            self.read_file(Path::new(argument), position, result, diagnostics);
            return;
        }
        // An absolute argument replaces the folder.
        let pattern = self.folder.join(argument);
        let paths = self.host.glob(&pattern);
        if paths.is_empty() {
            let message = format!("no file matches '{}'", pattern.display());
            diagnostics.push(Diagnostic::error(position, message));
        }
        for path in paths {
            self.read_file(&path, position, result, diagnostics);
        }
    }

    /// Reads one file into `result`. `position` is where the file was asked for.
    pub fn read_file(
        &mut self,
        path: &Path,
        position: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        if self.read.len() >= FILES_MAX {
            if !self.full {
                self.full = true;
                diagnostics.push(Diagnostic::error(
                    position,
                    format!("more than {FILES_MAX} files are included"),
                ));
            }
            return;
        }
        let (path, identity) = match self.find(path) {
            Ok(found) => found,
            Err(error) => {
                diagnostics.push(self.unreadable(path, position, &error));
                return;
            }
        };
        if !self.read.insert(identity) {
            let message = format!("'{}' is read a second time", path.display());
            diagnostics.push(
                Diagnostic::error(position, message).with_help("a file can be included once"),
            );
            return;
        }
        match self.host.open(&path) {
            Ok(source) => self.read_lines(&path, Lines::new(source), result, diagnostics),
            Err(error) => diagnostics.push(self.unreadable(&path, position, &error)),
        }
    }

    /// A relative path is looked for in the current directory, then in the folder of the main file.
    fn find(&self, path: &Path) -> io::Result<(PathBuf, FileIdentity)> {
        match self.host.identity(path) {
            Ok(identity) => Ok((path.to_path_buf(), identity)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_relative() => {
                let path = self.folder.join(path);
                self.host.identity(&path).map(|identity| (path, identity))
            }
            Err(error) => Err(error),
        }
    }

    fn unreadable(&self, path: &Path, position: &Position, error: &io::Error) -> Diagnostic {
        let finding = Diagnostic::error(
            position,
            format!("cannot read '{}': {error}", path.display()),
        );
        let looked_twice = !self.read.is_empty() && path.is_relative();
        match looked_twice && error.kind() == io::ErrorKind::NotFound {
            true => finding.with_help(format!(
                "it was looked for in the current directory and in '{}'",
                self.folder.display()
            )),
            false => finding,
        }
    }

    fn read_lines(
        &mut self,
        path: &Path,
        mut lines: Lines,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let mut file = FileReader::new(path);
        loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    if let Some(include) = file.line(line, result, diagnostics) {
                        self.include(&include.argument, &include.position, result, diagnostics);
                    }
                }
                Ok(None) => return,
                Err(LineError::Unreadable(error)) => {
                    let position = Position::file(path);
                    diagnostics.push(Diagnostic::error(
                        &position,
                        format!("cannot read the file: {error}"),
                    ));
                    return;
                }
                Err(LineError::TooLong(before)) => {
                    let position = Position::new(path, before + 1, 1);
                    let message =
                        "the line is longer than 32 MiB; the rest of the file was not read";
                    diagnostics.push(Diagnostic::error(&position, message));
                    return;
                }
            }
        }
    }
}
