//! What can go wrong with a statement, in Athena's words.
//!
//! The text of an error is `KIND: line L:C: message`, as Athena puts it into `StateChangeReason`;
//! statements that Athena gives to Hive answer `FAILED: …` instead. Help (the nearest valid name, what
//! to write instead) is kept apart from the message, so that the message stays Athena's own.

use std::fmt;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in the text of a statement. Both numbers start at 1 and count characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line of the statement's text.
    pub line: usize,
    /// Column within that line.
    pub column: usize,
}

impl Position {
    /// The position of the byte at `offset` in `text`.
    pub fn of_offset(text: &str, offset: usize) -> Position {
        let end = text.floor_char_boundary(offset.min(text.len()));
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}:{}", self.line, self.column)
    }
}

/// The class of an error: the first word of Athena's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The statement is no SQL, or names a column that does not exist.
    SyntaxError,
    /// A table or view that does not exist.
    TableNotFound,
    /// A database that does not exist.
    SchemaNotFound,
    /// A function that does not exist, or not with these arguments.
    FunctionNotFound,
    /// An operator or function applied to types it does not take.
    TypeMismatch,
    /// Part of Athena's SQL that Flumen does not have, or does not allow.
    NotSupported,
    /// A view whose tables have changed since it was created.
    ViewIsStale,
    /// A stored view that no longer plans.
    InvalidView,
    /// A value of a function's argument that it does not take.
    InvalidFunctionArgument,
    /// A value that cannot be converted to the wanted type.
    InvalidCastArgument,
    /// An integer division by zero.
    DivisionByZero,
    /// A subquery that should give one value gives more.
    SubqueryMultipleRows,
    /// A number too large for its type.
    NumericValueOutOfRange,
    /// A line of an object that its SerDe cannot read.
    HiveCursorError,
    /// A value of an object that does not fit its column.
    HiveBadData,
    /// An object that vanished or cannot be opened.
    HiveCannotOpenSplit,
    /// A table whose definition does not make sense.
    HiveInvalidMetadata,
    /// The query needs more memory than it may have.
    ExceededMemoryLimit,
    /// The statement is longer or more deeply nested than allowed.
    QueryTooLarge,
    /// The caller stopped the query.
    Cancelled,
    /// Hive cannot parse a DDL statement.
    ParseException,
    /// A DDL statement that names something that does not exist or is of the wrong sort.
    SemanticException,
    /// A DDL statement that could not be carried out.
    ExecutionError,
    /// The catalog's or the lake's files cannot be read or written.
    Io,
    /// A fault of Flumen itself.
    Internal,
}

impl ErrorKind {
    /// The name that starts the message, e.g. `SYNTAX_ERROR`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::SyntaxError => "SYNTAX_ERROR",
            ErrorKind::TableNotFound => "TABLE_NOT_FOUND",
            ErrorKind::SchemaNotFound => "SCHEMA_NOT_FOUND",
            ErrorKind::FunctionNotFound => "FUNCTION_NOT_FOUND",
            ErrorKind::TypeMismatch => "TYPE_MISMATCH",
            ErrorKind::NotSupported => "NOT_SUPPORTED",
            ErrorKind::ViewIsStale => "VIEW_IS_STALE",
            ErrorKind::InvalidView => "INVALID_VIEW",
            ErrorKind::InvalidFunctionArgument => "INVALID_FUNCTION_ARGUMENT",
            ErrorKind::InvalidCastArgument => "INVALID_CAST_ARGUMENT",
            ErrorKind::DivisionByZero => "DIVISION_BY_ZERO",
            ErrorKind::SubqueryMultipleRows => "SUBQUERY_MULTIPLE_ROWS",
            ErrorKind::NumericValueOutOfRange => "NUMERIC_VALUE_OUT_OF_RANGE",
            ErrorKind::HiveCursorError => "HIVE_CURSOR_ERROR",
            ErrorKind::HiveBadData => "HIVE_BAD_DATA",
            ErrorKind::HiveCannotOpenSplit => "HIVE_CANNOT_OPEN_SPLIT",
            ErrorKind::HiveInvalidMetadata => "HIVE_INVALID_METADATA",
            ErrorKind::ExceededMemoryLimit => "EXCEEDED_MEMORY_LIMIT",
            ErrorKind::QueryTooLarge => "QUERY_TOO_LARGE",
            ErrorKind::Cancelled => "USER_CANCELED",
            ErrorKind::ParseException => "FAILED: ParseException",
            ErrorKind::SemanticException => "FAILED: SemanticException",
            ErrorKind::ExecutionError => "FAILED: Execution Error,",
            ErrorKind::Io => "GENERIC_IO_ERROR",
            ErrorKind::Internal => "GENERIC_INTERNAL_ERROR",
        }
    }

    fn is_hive(self) -> bool {
        matches!(
            self,
            ErrorKind::ParseException | ErrorKind::SemanticException | ErrorKind::ExecutionError
        )
    }
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    position: Option<Position>,
    message: String,
    help: Option<String>,
}

impl Error {
    /// An error without a place.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            position: None,
            message: message.into(),
            help: None,
        }))
    }

    /// An error at a place of the statement.
    pub fn at(kind: ErrorKind, position: Position, message: impl Into<String>) -> Error {
        Error::new(kind, message).with_position(Some(position))
    }

    /// The error for a file that could not be read or written; `doing` is a bare verb phrase.
    pub(crate) fn io(doing: impl fmt::Display, source: &std::io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("{doing}: {source}"))
    }

    pub(crate) fn with_position(mut self, position: Option<Position>) -> Error {
        self.0.position = position;
        self
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Error {
        self.0.help = Some(help.into());
        self
    }

    /// Adds `help` when there is some.
    pub(crate) fn with_help_maybe(mut self, help: Option<String>) -> Error {
        if help.is_some() {
            self.0.help = help;
        }
        self
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where in the statement's text the fault is, if it has a place there.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// The message alone, without kind and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do about it, if Flumen knows.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            position,
            message,
            ..
        } = &*self.0;
        match (position, kind.is_hive()) {
            (Some(position), false) => write!(f, "{}: {position}: {message}", kind.name()),
            (Some(position), true) => write!(f, "{} {position} {message}", kind.name()),
            (None, false) => write!(f, "{}: {message}", kind.name()),
            (None, true) => write!(f, "{} {message}", kind.name()),
        }
    }
}

impl std::error::Error for Error {}

/// The name out of `candidates` that is most like `wanted`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.8;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(wanted, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The usual help for a misspelt name.
pub(crate) fn did_you_mean<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(wanted, candidates).map(|name| format!("did you mean '{name}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_athena_writes_them() {
        let place = Position { line: 1, column: 8 };
        let cases = [
            (
                Error::at(
                    ErrorKind::SyntaxError,
                    place,
                    "Column 'x' cannot be resolved",
                ),
                "SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved",
            ),
            (
                Error::at(ErrorKind::ParseException, place, "mismatched input 'x'"),
                "FAILED: ParseException line 1:8 mismatched input 'x'",
            ),
            (
                Error::new(
                    ErrorKind::SemanticException,
                    "[Error 10001]: Table not found t",
                ),
                "FAILED: SemanticException [Error 10001]: Table not found t",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_position_counts_characters() {
        assert_eq!(
            Position::of_offset("a\nñb c", 4),
            Position { line: 2, column: 2 }
        );
        assert_eq!(
            Position::of_offset("abc", 99),
            Position { line: 1, column: 4 }
        );
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        assert_eq!(nearest("remot", ["agent", "remote"]), Some("remote"));
        assert_eq!(nearest("zzz", ["agent", "remote"]), None);
    }
}
