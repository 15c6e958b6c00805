//! The classic format: `[SECTION]` and indented keys, line by line.
//!
//! What a line means follows Fluent Bit to the letter, traps included: the first indented line fixes the indentation of its
//! file, a key ends at the first space, nothing is unquoted. Unlike Fluent Bit, the reader goes on after a mistake, so that
//! one run shows them all.

mod file;
mod include;
mod indentation;
mod line;

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::{Diagnostics, Position, Section};
use include::Included;

/// What stands in a file of the classic format and in all files that it includes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassicFile {
    /// The sections in the order of the text, several `[SERVICE]` not yet merged.
    pub sections: Vec<Section>,
    /// `@SET` and other commands, which act only after everything has been read.
    pub commands: Vec<Command>,
}

/// A line `@WORD rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The word behind the `@`.
    pub word: String,
    /// The rest of the line.
    pub argument: String,
    /// Where the line begins.
    pub position: Position,
    /// Where the rest begins.
    pub argument_position: Position,
}

/// Reads a file and what it includes. Mistakes are reported; what could be understood is returned all the same.
pub fn read_classic(host: &dyn Host, path: &Path, diagnostics: &mut Diagnostics) -> ClassicFile {
    let folder = host
        .real_folder(path)
        .unwrap_or_else(|_| PathBuf::from("."));
    let mut included = Included::new(host, folder);
    let mut result = ClassicFile::default();
    included.read_file(path, &Position::file(path), &mut result, diagnostics);
    result
}
