//! Statements as text: cutting a file into them, and which front end each belongs to.

use crate::error::{Error, ErrorKind, Position, Result};

/// Longest statement in bytes, as in Athena's `QueryString`.
pub const MAX_STATEMENT_BYTES: usize = 262_144;

/// One statement of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The statement without its semicolon and the blanks and comments around it.
    pub text: &'a str,
    /// Where `text` begins in the file, to shift the places of errors by.
    pub position: Position,
    /// False for the last statement if no semicolon ends it.
    pub terminated: bool,
}

/// Cuts a file into its statements at semicolons outside of strings, quoted names and comments.
///
/// A string that never ends reaches to the end of the file; the parser will say so.
pub fn split_statements(file: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = skip_blanks(file, 0);
    while start < file.len() {
        let (end, terminated) = statement_end(file, start);
        let text = file[start..end].trim_end();
        if !text.is_empty() {
            statements.push(Statement {
                text,
                position: Position::of_offset(file, start),
                terminated,
            });
        }
        start = skip_blanks(file, end + usize::from(terminated));
    }
    statements
}

/// The one statement in `text`, without a semicolon at its end.
pub(crate) fn only_statement(text: &str) -> Result<&str> {
    if text.len() > MAX_STATEMENT_BYTES {
        let message = format!(
            "a statement may have {MAX_STATEMENT_BYTES} bytes, this one has {}",
            text.len()
        );
        return Err(Error::new(ErrorKind::QueryTooLarge, message));
    }
    match split_statements(text).as_slice() {
        // Kept from the start of the text, so that places stay right.
        [only] => {
            Ok(&text[..only.text.as_ptr() as usize - text.as_ptr() as usize + only.text.len()])
        }
        [] => Err(Error::new(ErrorKind::SyntaxError, "the statement is empty")),
        [_, second, ..] => Err(Error::at(
            ErrorKind::SyntaxError,
            second.position,
            "Only one sql statement is allowed.",
        )),
    }
}

/// Who parses a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrontEnd {
    Hive,
    Trino,
}

impl FrontEnd {
    /// Athena's own division: DDL and `SHOW` go to Hive, queries and views to Trino.
    pub(crate) fn of(text: &str) -> FrontEnd {
        let mut words = leading_words(text);
        let first = words.next().unwrap_or_default();
        let second = words.next().unwrap_or_default();
        match first.to_ascii_lowercase().as_str() {
            "create"
                if ["external", "table", "database", "schema"]
                    .iter()
                    .any(|word| second.eq_ignore_ascii_case(word)) =>
            {
                FrontEnd::Hive
            }
            "drop" | "show" | "describe" | "desc" | "msck" | "alter" => FrontEnd::Hive,
            _ => FrontEnd::Trino,
        }
    }

    fn escapes_with_backslash(self) -> bool {
        self == FrontEnd::Hive
    }
}

/// The words at the start of a statement, comments and blanks skipped.
fn leading_words(text: &str) -> impl Iterator<Item = &str> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        offset = skip_blanks(text, offset);
        let rest = &text[offset..];
        let length = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        offset += length;
        (length > 0).then(|| &rest[..length])
    })
}

fn skip_blanks(text: &str, mut offset: usize) -> usize {
    loop {
        let rest = &text[offset..];
        let trimmed = rest.trim_start();
        offset += rest.len() - trimmed.len();
        match comment_length(trimmed) {
            0 => return offset,
            length => offset += length,
        }
    }
}

/// The length of the comment at the start of `text`, 0 if there is none.
fn comment_length(text: &str) -> usize {
    if text.starts_with("--") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        text.find("*/").map_or(text.len(), |end| end + 2)
    } else {
        0
    }
}

/// The offset of the semicolon that ends the statement at `start`, or of the end of the file.
fn statement_end(file: &str, start: usize) -> (usize, bool) {
    let backslash = FrontEnd::of(&file[start..]).escapes_with_backslash();
    let bytes = file.as_bytes();
    let mut offset = start;
    while offset < bytes.len() {
        match bytes[offset] {
            b';' => return (offset, true),
            quote @ (b'\'' | b'"' | b'`') => {
                offset = quoted_end(bytes, offset, backslash && quote != b'`')
            }
            b'-' | b'/' => offset += comment_length(&file[offset..]).max(1),
            _ => offset += 1,
        }
    }
    (bytes.len(), false)
}

fn quoted_end(bytes: &[u8], start: usize, backslash: bool) -> usize {
    let quote = bytes[start];
    let mut offset = start + 1;
    while offset < bytes.len() {
        match bytes[offset] {
            b'\\' if backslash => offset += 2,
            byte if byte == quote => return offset + 1,
            _ => offset += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<&str> {
        split_statements(file)
            .into_iter()
            .map(|statement| statement.text)
            .collect()
    }

    #[test]
    fn semicolons_count_only_between_statements() {
        let file = "-- first; not here\nSELECT ';' AS \"a;b\" /* ; */ FROM t;\n\nDROP TABLE `x;y` ; ; SELECT 'it''s;'";
        assert_eq!(
            texts(file),
            [
                "SELECT ';' AS \"a;b\" /* ; */ FROM t",
                "DROP TABLE `x;y`",
                "SELECT 'it''s;'"
            ]
        );
        assert_eq!(
            split_statements(file)[1].position,
            Position { line: 4, column: 1 }
        );
        assert!(!split_statements(file)[2].terminated);
    }

    #[test]
    fn a_backslash_escapes_in_hive_only() {
        assert_eq!(texts(r"SELECT '\'; SELECT 2").len(), 2);
        assert_eq!(
            texts(r"ALTER TABLE t SET LOCATION 'a\';b'; SHOW TABLES").len(),
            2
        );
    }

    #[test]
    fn the_front_end_follows_from_the_first_words() {
        let cases = [
            ("create external table t (a int)", FrontEnd::Hive),
            ("/* x */ CREATE\n-- y\nDATABASE d", FrontEnd::Hive),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", FrontEnd::Trino),
            ("CREATE VIEW v AS SELECT 1", FrontEnd::Trino),
            ("SHOW TABLES", FrontEnd::Hive),
            ("WITH a AS (SELECT 1) SELECT * FROM a", FrontEnd::Trino),
            ("(SELECT 1)", FrontEnd::Trino),
        ];
        for (text, front_end) in cases {
            assert_eq!(FrontEnd::of(text), front_end, "{text}");
        }
    }

    #[test]
    fn the_api_takes_one_statement() {
        assert_eq!(only_statement(" SELECT 1 ; "), Ok(" SELECT 1"));
        assert_eq!(
            only_statement("SELECT 1; SELECT 2")
                .expect_err("two")
                .message(),
            "Only one sql statement is allowed."
        );
        assert_eq!(
            only_statement(" -- nothing").expect_err("none").message(),
            "the statement is empty"
        );
        let long = format!("SELECT '{}'", "x".repeat(MAX_STATEMENT_BYTES));
        assert_eq!(
            only_statement(&long).expect_err("long").kind(),
            ErrorKind::QueryTooLarge
        );
    }
}
