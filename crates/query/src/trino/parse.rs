//! From text to syntax tree.

use datafusion::sql::sqlparser::ast::{ObjectName, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{Error, ErrorKind, Position, Result};

use super::dialect::AthenaDialect;
use super::names;

const BACK_QUOTES: &str =
    "names are quoted with \"double quotes\" in queries, back-quotes are for DDL";

/// Deepest nesting of expressions and queries.
const MAX_DEPTH: usize = 100;

/// A statement of Trino's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TrinoStatement {
    Query(Box<Query>),
    CreateView {
        name: ObjectName,
        or_replace: bool,
        /// The text of the query, as written.
        sql: String,
        query: Box<Query>,
    },
    Explain {
        kind: ExplainKind,
        query: Box<Query>,
    },
}

/// What `EXPLAIN` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExplainKind {
    Logical,
    Distributed,
    Validate,
    /// Runs the query and shows what each step did.
    Analyze,
}

/// Parses one statement; a semicolon at its end is tolerated.
pub(crate) fn parse(text: &str) -> Result<TrinoStatement> {
    let mut parser = parser_of(text)?;
    let statement = statement(&mut parser, text).map_err(|error| translate(error, text))?;
    finish(&mut parser, text)?;
    Ok(statement)
}

/// Parses the query of a stored view.
pub(crate) fn parse_view_query(text: &str) -> Result<Box<Query>> {
    let mut parser = parser_of(text)?;
    let query = parser
        .parse_query()
        .map_err(|error| translate(error, text))?;
    finish(&mut parser, text)?;
    Ok(query)
}

fn parser_of(text: &str) -> Result<Parser<'static>> {
    let mut tokens = Tokenizer::new(&AthenaDialect, text)
        .tokenize_with_location()
        .map_err(|error| {
            let position = position(error.location);
            Error::at(ErrorKind::SyntaxError, position, error.message)
        })?;
    for token in &mut tokens {
        lower_case(token);
    }
    names::check(&tokens)?;
    Ok(Parser::new(&AthenaDialect)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens))
}

/// Names are the same in any case, also when quoted.
fn lower_case(token: &mut TokenWithSpan) {
    if let Token::Word(word) = &mut token.token {
        word.value = word.value.to_lowercase();
    }
}

fn statement(parser: &mut Parser<'_>, text: &str) -> Result<TrinoStatement, ParserError> {
    if parser.peek_keyword(Keyword::CREATE) {
        return create_view(parser, text);
    }
    if parser.parse_keyword(Keyword::EXPLAIN) {
        let kind = explain_kind(parser)?;
        return Ok(TrinoStatement::Explain {
            kind,
            query: parser.parse_query()?,
        });
    }
    let start = parser.peek_token();
    match &start.token {
        Token::LParen => {}
        Token::Word(word) if word.quote_style.is_none() => match word.keyword {
            Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE => {}
            _ => return Err(no_query(&word.value, &start)),
        },
        _ => return parser.expected("SELECT, WITH, VALUES, TABLE, EXPLAIN or CREATE VIEW", start),
    }
    Ok(TrinoStatement::Query(parser.parse_query()?))
}

/// The error for a statement that begins with a word which begins no query.
fn no_query(word: &str, start: &TokenWithSpan) -> ParserError {
    const WRITING: [&str; 8] = [
        "insert", "unload", "delete", "update", "merge", "optimize", "vacuum", "truncate",
    ];
    const PREPARED: [&str; 3] = ["prepare", "execute", "deallocate"];
    let message = if PREPARED.contains(&word) {
        format!(
            "{} is not supported: there are no prepared statements",
            word.to_uppercase()
        )
    } else if WRITING.contains(&word) {
        format!(
            "{} is not supported: tables are read-only, data comes through delivery streams",
            word.to_uppercase()
        )
    } else {
        format!("Expected: SELECT, WITH, VALUES, TABLE, EXPLAIN or a DDL statement, found: {word}")
    };
    ParserError::ParserError(format!("{message}{}", start.span.start))
}

/// `CREATE [OR REPLACE] VIEW name [COMMENT '…'] [SECURITY DEFINER | INVOKER] AS query`
fn create_view(parser: &mut Parser<'_>, text: &str) -> Result<TrinoStatement, ParserError> {
    parser.next_token();
    let or_replace = parser.parse_keywords(&[Keyword::OR, Keyword::REPLACE]);
    if !parser.parse_keyword(Keyword::VIEW) {
        return parser.expected("VIEW", parser.peek_token());
    }
    let name = parser.parse_object_name(false)?;
    if parser.parse_keyword(Keyword::COMMENT) {
        parser.parse_literal_string()?;
    }
    if parser.parse_keyword(Keyword::SECURITY)
        && !(parser.parse_keyword(Keyword::DEFINER) || parser.parse_keyword(Keyword::INVOKER))
    {
        return parser.expected("DEFINER or INVOKER", parser.peek_token());
    }
    if !parser.parse_keyword(Keyword::AS) {
        return parser.expected("AS", parser.peek_token());
    }
    let start = position(parser.peek_token_ref().span.start);
    let query = parser.parse_query()?;
    let sql = text_at(text, start)
        .trim_end()
        .trim_end_matches(';')
        .trim_end()
        .to_owned();
    Ok(TrinoStatement::CreateView {
        name,
        or_replace,
        sql,
        query,
    })
}

fn explain_kind(parser: &mut Parser<'_>) -> Result<ExplainKind, ParserError> {
    if parser.parse_keyword(Keyword::ANALYZE) {
        let _ = parser.parse_keyword(Keyword::VERBOSE);
        return Ok(ExplainKind::Analyze);
    }
    let mut kind = ExplainKind::Distributed;
    // Parentheses may also begin the query.
    let options = matches!(&parser.peek_nth_token_ref(1).token,
        Token::Word(word) if matches!(word.keyword, Keyword::FORMAT | Keyword::TYPE));
    if !(options && parser.consume_token(&Token::LParen)) {
        return Ok(kind);
    }
    loop {
        let option = parser.next_token();
        let value = parser.next_token();
        match (
            option.token.to_string().as_str(),
            value.token.to_string().as_str(),
        ) {
            ("format", "text") => {}
            ("type", "logical") => kind = ExplainKind::Logical,
            ("type", "distributed") => kind = ExplainKind::Distributed,
            ("type", "validate") => kind = ExplainKind::Validate,
            _ => {
                return parser.expected(
                    "FORMAT TEXT or TYPE LOGICAL, DISTRIBUTED or VALIDATE",
                    value,
                );
            }
        }
        if !parser.consume_token(&Token::Comma) {
            break;
        }
    }
    parser.expect_token(&Token::RParen)?;
    Ok(kind)
}

fn finish(parser: &mut Parser<'_>, text: &str) -> Result<()> {
    let _ = parser.consume_token(&Token::SemiColon);
    match parser.peek_token().token {
        Token::EOF => Ok(()),
        _ => {
            let end: Result<(), ParserError> = parser.expected("<EOF>", parser.peek_token());
            end.map_err(|error| translate(error, text))
        }
    }
}

pub(super) fn position(location: Location) -> Position {
    Position {
        line: location.line as usize,
        column: location.column as usize,
    }
}

/// The text from a position on.
fn text_at(text: &str, position: Position) -> &str {
    let line_start: usize = text
        .split_inclusive('\n')
        .take(position.line - 1)
        .map(str::len)
        .sum();
    let line = &text[line_start..];
    let column = line
        .char_indices()
        .nth(position.column.saturating_sub(1))
        .map_or(line.len(), |(offset, _)| offset);
    &line[column..]
}

/// sqlparser's errors in Trino's words. It appends the place to the message as text.
fn translate(error: ParserError, text: &str) -> Error {
    let message = match error {
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
        ParserError::RecursionLimitExceeded => {
            let message = format!("the statement is nested more than {MAX_DEPTH} deep");
            return Error::new(ErrorKind::QueryTooLarge, message);
        }
    };
    let (message, position) = split_place(&message);
    let kind = if message.contains("not supported") {
        ErrorKind::NotSupported
    } else {
        ErrorKind::SyntaxError
    };
    let expectation = message
        .strip_prefix("Expected: ")
        .or_else(|| message.strip_prefix("Expected "));
    match expectation.and_then(|rest| rest.rsplit_once(", found: ")) {
        Some((expected, "EOF")) => {
            // At the end of the text sqlparser names no place.
            let position = Position::of_offset(text, text.len());
            Error::at(
                kind,
                position,
                format!("mismatched input '<EOF>'. Expecting: {expected}"),
            )
        }
        Some((expected, found)) => {
            let (position, found) = as_written(text, position, found);
            let error = Error::new(
                kind,
                format!("mismatched input '{found}'. Expecting: {expected}"),
            );
            error
                .with_position(position)
                .with_help_maybe((found == "`").then(|| BACK_QUOTES.to_owned()))
        }
        None => Error::new(kind, message).with_position(position),
    }
}

/// The token at a position as the user wrote it, before it was lower-cased. Sometimes sqlparser names the
/// place of the token behind it; then the nearest one before that is meant.
fn as_written<'a>(
    text: &'a str,
    position: Option<Position>,
    token: &'a str,
) -> (Option<Position>, &'a str) {
    let Some(position) = position else {
        return (None, token);
    };
    let offset = text.len() - text_at(text, position).len();
    let is_token = |offset: usize| {
        text.get(offset..offset + token.len())
            .is_some_and(|written| written.to_lowercase() == token)
    };
    match (0..=offset).rev().find(|offset| is_token(*offset)) {
        Some(found) => (
            Some(Position::of_offset(text, found)),
            &text[found..found + token.len()],
        ),
        None => (Some(position), token),
    }
}

/// Cuts ` at Line: 1, Column: 8` off a message.
fn split_place(message: &str) -> (&str, Option<Position>) {
    let parts = || {
        let (text, place) = message.rsplit_once(" at Line: ")?;
        let (line, column) = place.split_once(", Column: ")?;
        Some((
            text,
            Position {
                line: line.parse().ok()?,
                column: column.trim().parse().ok()?,
            },
        ))
    };
    match parts() {
        Some((text, position)) => (text, Some(position)),
        None => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn words_that_other_dialects_reserve_are_names() {
        for name in [
            "user",
            "time",
            "date",
            "timestamp",
            "method",
            "path",
            "host",
            "size",
            "code",
            "source",
            "interval",
        ] {
            let text = format!("SELECT {name}, max({name}) FROM t GROUP BY {name}");
            let parsed = parse(&text).expect(name);
            let TrinoStatement::Query(query) = parsed else {
                panic!("no query")
            };
            assert_eq!(query.to_string(), text, "{name}");
        }
    }

    #[test]
    fn names_are_lower_case_also_when_quoted() {
        let TrinoStatement::Query(query) =
            parse(r#"SELECT T."User" AS IP FROM "Logs" AS T"#).expect("parsed")
        else {
            panic!("no query")
        };
        assert_eq!(
            query.to_string(),
            r#"SELECT t."user" AS ip FROM "logs" AS t"#
        );
    }

    #[test]
    fn a_view_keeps_its_text() {
        let text = "CREATE OR REPLACE VIEW \"V\" AS\nSELECT 'É' AS Source, * FROM T ;";
        let TrinoStatement::CreateView {
            name,
            or_replace,
            sql,
            ..
        } = parse(text).expect("parsed")
        else {
            panic!("no view")
        };
        assert_eq!((name.to_string().as_str(), or_replace), ("\"v\"", true));
        assert_eq!(sql, "SELECT 'É' AS Source, * FROM T");
    }

    #[test]
    fn faults_have_a_place_and_say_what_was_expected() {
        let cases = [
            (
                "SELECT * FORM t",
                "SYNTAX_ERROR: line 1:10: mismatched input 'FORM'. Expecting: <EOF>",
            ),
            (
                "SELECT a,\nFROM t",
                "SYNTAX_ERROR: line 2:1: mismatched input 'FROM'",
            ),
            (
                "SELECT (1",
                "SYNTAX_ERROR: line 1:10: mismatched input '<EOF>'. Expecting: )",
            ),
            (
                "FETCH x",
                "SYNTAX_ERROR: line 1:1: mismatched input 'FETCH'. Expecting: SELECT",
            ),
            (
                "INSERT INTO t SELECT 1",
                "NOT_SUPPORTED: line 1:1: INSERT is not supported: tables are read-only",
            ),
            ("SELECT `a` FROM t", "SYNTAX_ERROR: line 1:8: "),
            (
                "SELECT 'a",
                "SYNTAX_ERROR: line 1:8: Unterminated string literal",
            ),
            (
                "SELECT CAST(a AS string)",
                "SYNTAX_ERROR: line 1:18: Unknown type: string",
            ),
            (
                "SELECT 1 SELECT 2",
                "SYNTAX_ERROR: line 1:10: mismatched input 'SELECT'. Expecting: <EOF>",
            ),
        ];
        for (text, expected) in cases {
            let found = fault(text);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn nesting_has_a_limit_that_is_reached_soon() {
        let cases = [
            format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
            format!("SELECT {}", "(".repeat(5000)),
            format!("SELECT {}1", "case when ".repeat(500)),
            format!("SELECT {}1", "f(".repeat(500)),
            format!("SELECT * FROM {}", "(".repeat(500)),
            format!("SELECT {}", "cast(".repeat(40)),
            format!("SELECT {}", "case when ".repeat(40)),
            format!("SELECT {}", "extract(year from ".repeat(40)),
            format!("SELECT * FROM {}t", "(SELECT * FROM ".repeat(40)),
            format!("SELECT * FROM {}t", "(".repeat(40)),
        ];
        for text in cases {
            assert!(parse(&text).is_err(), "{}", &text[..30]);
        }
    }
}
