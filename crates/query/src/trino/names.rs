//! How many parts a name may have.
//!
//! Behind each dot sqlparser tries what follows as one expression and, where that fails, as a name: an error behind a name of
//! many parts takes twice as long with each of them.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, ErrorKind, Result};

use super::parse::position;

/// The most dots in a name and in the names that it stands in, as in `a.b[c.d]`.
const DOTS_MAX: usize = 16;

/// Refuses a statement with a name of too many parts.
///
/// # Errors
/// Where the first one has too many.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    // The dots of the name that is read, and of those around it.
    let (mut dots, mut around) = (0, Vec::new());
    let mut is_complete = false;
    for token in tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::Period => {
                dots += 1;
                is_complete = false;
            }
            Token::LParen | Token::LBracket => {
                around.push(if is_complete { dots } else { 0 });
                dots = 0;
                is_complete = false;
            }
            Token::RParen | Token::RBracket => {
                dots = around.pop().unwrap_or(0);
                is_complete = true;
            }
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) => {
                if is_complete {
                    dots = 0;
                }
                is_complete = true;
            }
            _ => {
                dots = 0;
                is_complete = false;
            }
        }
        if dots + around.iter().sum::<usize>() > DOTS_MAX {
            let message = format!("a name has more than {} parts", DOTS_MAX + 1);
            let position = position(token.span.start);
            return Err(Error::at(ErrorKind::QueryTooLarge, position, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;

    fn refused(text: &str) -> bool {
        parse(text).is_err_and(|error| error.to_string().contains("more than 17 parts"))
    }

    #[test]
    fn a_name_has_seventeen_parts_at_most() {
        let name = |parts: usize| vec!["part"; parts].join(".");
        assert!(parse(&format!("SELECT {} FROM t", name(17))).is_ok());
        for text in [
            format!("SELECT {}", name(18)),
            format!("SELECT {}[1", name(70)),
            format!("SELECT {}.x[1].{}", name(9), name(9)),
            format!("SELECT {}[{}[", name(10), name(10)),
        ] {
            assert!(refused(&text), "{text}");
        }
    }

    #[test]
    fn many_names_are_no_long_one() {
        let many = |between: &str| vec!["a.b.c"; 40].join(between);
        for text in [
            format!("SELECT {} FROM t", many(", ")),
            format!("SELECT {} FROM t", many(" + ")),
            format!("SELECT f({}) FROM t.u x", many(", ")),
            format!("SELECT 1 FROM {}", many(" x, ")),
            format!(
                "SELECT a.b {}",
                "IN (SELECT a.b FROM t.u WHERE a.b ".repeat(20)
            ),
        ] {
            assert!(!refused(&text), "{text}");
        }
    }
}
