//! Where in the user's text something stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a configuration: a file with line and column, or an argument of the command line.
///
/// Cheap to clone: the file name is shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The file as the user named it, or `<command line>`.
    pub file: Arc<Path>,
    /// The line, from 1. 0 when the place is not in a file.
    pub line: u32,
    /// The column in characters, from 1. On the command line, the number of the argument. 0 means the whole line.
    pub column: u32,
}

impl Position {
    /// A place in `file`; line and column count from 1.
    pub fn new(file: impl Into<Arc<Path>>, line: u32, column: u32) -> Self {
        Self {
            file: file.into(),
            line,
            column,
        }
    }

    /// The whole of a file, where no line can be named (it cannot be read, it is included twice).
    pub fn file(file: impl Into<Arc<Path>>) -> Self {
        Self::new(file, 0, 0)
    }

    /// The argument `number` (from 1, the program's name not counted) of the command line.
    pub fn argument(number: u32) -> Self {
        Self::new(PathBuf::from("<command line>"), 0, number)
    }

    /// Whether this is a place on the command line.
    pub fn is_argument(&self) -> bool {
        self.line == 0 && self.column > 0
    }

    /// The same line, another column.
    pub fn at_column(&self, column: u32) -> Self {
        Self {
            file: Arc::clone(&self.file),
            line: self.line,
            column,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, 0) => write!(f, "{}", self.file.display()),
            (0, argument) => write!(f, "{}, argument {argument}", self.file.display()),
            (line, 0) => write!(f, "{}:{line}", self.file.display()),
            (line, column) => write!(f, "{}:{line}:{column}", self.file.display()),
        }
    }
}
