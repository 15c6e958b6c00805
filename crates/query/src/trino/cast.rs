//! `CAST(x AS type)` and `TRY_CAST`, read as calls of a function that is named after the type.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::Token;

use super::calls::call;
use super::sql_type::SqlType;

/// Reads a cast whose first word is next. The function's name is e.g. `cast(varchar)`.
pub(super) fn parse_cast(parser: &mut Parser<'_>, safe: bool) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.expect_token(&Token::LParen)?;
    let value = parser.parse_expr()?;
    if !parser.parse_keyword(Keyword::AS) {
        return parser.expected("AS", parser.peek_token());
    }
    let start = parser.peek_token();
    let type_text = type_text(parser)?;
    parser.expect_token(&Token::RParen)?;
    match SqlType::parse(&type_text) {
        Ok(sql_type) => Ok(call(&cast_name(&sql_type, safe), vec![value])),
        Err(fault) => Err(ParserError::ParserError(format!(
            "{fault}{}",
            start.span.start
        ))),
    }
}

/// The name of the function that casts to a type.
pub(super) fn cast_name(sql_type: &SqlType, safe: bool) -> String {
    format!("{}({sql_type})", if safe { "try_cast" } else { "cast" })
}

/// The tokens up to the parenthesis that closes the cast.
fn type_text(parser: &mut Parser<'_>) -> Result<String, ParserError> {
    let mut text = String::new();
    let mut depth = 0;
    loop {
        match &parser.peek_token_ref().token {
            Token::RParen if depth == 0 => return Ok(text),
            Token::EOF => return parser.expected(")", parser.peek_token()),
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        text.push_str(&parser.next_token().token.to_string());
        text.push(' ');
    }
}
