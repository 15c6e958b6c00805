//! Athena's SQL as a dialect of sqlparser.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::cast;

/// Trino's grammar as far as sqlparser can be told.
///
/// Being a dialect of our own keeps `user`, `time`, `date` and the like plain names: sqlparser gives
/// them meanings in its generic and PostgreSQL dialects only.
#[derive(Debug)]
pub(super) struct AthenaDialect;

impl Dialect for AthenaDialect {
    fn is_delimited_identifier_start(&self, character: char) -> bool {
        character == '"'
    }

    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || matches!(character, '_' | '$')
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }

    fn allow_extract_custom(&self) -> bool {
        true
    }

    /// Words that begin an expression of their own. Without this list a fault inside of `CASE` or
    /// `EXISTS` makes the parser try the word as a name again, at every level of nesting.
    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        matches!(
            keyword,
            Keyword::CASE
                | Keyword::CAST
                | Keyword::TRY_CAST
                | Keyword::EXISTS
                | Keyword::EXTRACT
                | Keyword::NOT
                | Keyword::NULL
                | Keyword::TRUE
                | Keyword::FALSE
                | Keyword::SUBSTRING
                | Keyword::SUBSTR
                | Keyword::TRIM
                | Keyword::CEIL
                | Keyword::FLOOR
                | Keyword::POSITION
                | Keyword::ARRAY
                | Keyword::LAMBDA
        )
    }

    /// Casts are read here, because sqlparser does not know Trino's types such as `array(varchar)`.
    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let safe = parser.peek_keyword(Keyword::TRY_CAST);
        if !(safe || parser.peek_keyword(Keyword::CAST))
            || parser.peek_nth_token_ref(1).token != Token::LParen
        {
            return None;
        }
        Some(cast::parse_cast(parser, safe))
    }
}
