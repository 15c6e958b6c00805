//! Which files are read: `@INCLUDE`, globs, and the limits of both.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::ClassicFile;
use super::file::{FileReader, Include};
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

/// What is still to be read, the next on top. A stack rather than recursion: files may include each other a thousand deep.
enum Task {
    /// A file that was asked for at this position.
    Open(PathBuf, Position),
    /// A file that is open.
    Read(OpenFile),
}

struct OpenFile {
    path: PathBuf,
    lines: Lines,
    reader: FileReader,
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

    /// Reads a file with all that it includes. `position` is where the file was asked for.
    pub fn read_file(
        &mut self,
        path: &Path,
        position: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let mut tasks = vec![Task::Open(path.to_path_buf(), position.clone())];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Open(path, position) => {
                    tasks.extend(self.open(&path, &position, diagnostics).map(Task::Read));
                }
                Task::Read(mut file) => {
                    if let Some(include) = file.read_to_include(result, diagnostics) {
                        tasks.push(Task::Read(file));
                        let paths = self.paths(&include, diagnostics);
                        let open = |path| Task::Open(path, include.position.clone());
                        tasks.extend(paths.into_iter().rev().map(open));
                    }
                }
            }
        }
    }

    /// The paths that an `@INCLUDE` names.
    fn paths(&self, include: &Include, diagnostics: &mut Diagnostics) -> Vec<PathBuf> {
        // Other characters of patterns only work where there is a star too.
        if !include.argument.contains('*') {
            return vec![PathBuf::from(&include.argument)];
        }
        // An absolute argument replaces the folder.
        let pattern = self.folder.join(&include.argument);
        let paths = self.host.glob(&pattern);
        if paths.is_empty() {
            let message = format!("no file matches '{}'", pattern.display());
            diagnostics.push(Diagnostic::error(&include.position, message));
        }
        paths
    }

    /// Opens a file, unless it may not be read or was read before.
    fn open(
        &mut self,
        path: &Path,
        position: &Position,
        diagnostics: &mut Diagnostics,
    ) -> Option<OpenFile> {
        if self.read.len() >= FILES_MAX {
            if !self.full {
                self.full = true;
                diagnostics.push(Diagnostic::error(
                    position,
                    format!("more than {FILES_MAX} files are included"),
                ));
            }
            return None;
        }
        let (path, identity) = match self.find(path) {
            Ok(found) => found,
            Err(error) => {
                diagnostics.push(self.unreadable(path, position, &error));
                return None;
            }
        };
        if !self.read.insert(identity) {
            let message = format!("'{}' is read a second time", path.display());
            diagnostics.push(
                Diagnostic::error(position, message).with_help("a file can be included once"),
            );
            return None;
        }
        match self.host.open(&path) {
            Ok(source) => {
                let reader = FileReader::new(&path);
                Some(OpenFile {
                    path,
                    lines: Lines::new(source),
                    reader,
                })
            }
            Err(error) => {
                diagnostics.push(self.unreadable(&path, position, &error));
                None
            }
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
}

impl OpenFile {
    /// Reads lines up to the next `@INCLUDE`, which is returned, or to the end of the file.
    fn read_to_include(
        &mut self,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) -> Option<Include> {
        loop {
            match self.lines.next_line() {
                Ok(Some(line)) => {
                    if let Some(include) = self.reader.line(line, result, diagnostics) {
                        return Some(include);
                    }
                }
                Ok(None) => return None,
                Err(LineError::Unreadable(error)) => {
                    let position = Position::file(self.path.as_path());
                    diagnostics.push(Diagnostic::error(
                        &position,
                        format!("cannot read the file: {error}"),
                    ));
                    return None;
                }
                Err(LineError::TooLong(before)) => {
                    let position = Position::new(self.path.as_path(), before + 1, 1);
                    let message =
                        "the line is longer than 32 MiB; the rest of the file was not read";
                    diagnostics.push(Diagnostic::error(&position, message));
                    return None;
                }
            }
        }
    }
}
