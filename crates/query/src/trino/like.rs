//! `LIKE` patterns: Trino has no escape character unless told one, Arrow always has the back-slash.

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};

/// A pattern literal that means to Arrow what it means to Trino; the error is the message for the user.
pub(super) fn pattern_for_arrow(
    pattern: &Expr,
    escape: Option<&str>,
) -> Result<Option<Expr>, String> {
    let Expr::Value(ValueWithSpan {
        value: Value::SingleQuotedString(text),
        span,
    }) = pattern
    else {
        return match escape {
            // A pattern out of a column rarely has back-slashes; with ESCAPE it would be misread.
            Some(_) => Err("LIKE with ESCAPE needs a literal pattern".into()),
            None => Ok(None),
        };
    };
    let mut characters = escape.unwrap_or_default().chars();
    let escape = match (characters.next(), characters.next()) {
        (Some(sign), None) => Some(sign),
        (None, _) if escape.is_none() => None,
        _ => return Err("Escape string must be a single character".into()),
    };
    let converted = convert(text, escape)?;
    let value = Value::SingleQuotedString(converted);
    Ok(Some(Expr::Value(ValueWithSpan { value, span: *span })))
}

fn convert(text: &str, escape: Option<char>) -> Result<String, String> {
    let mut converted = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            match characters.next() {
                Some(special) if special == '%' || special == '_' => {
                    converted.extend(['\\', special])
                }
                Some(same) if Some(same) == escape => push_literal(same, &mut converted),
                _ => return Err(
                    "Escape character must be followed by '%', '_' or the escape character itself"
                        .into(),
                ),
            }
        } else if character == '\\' {
            converted.push_str("\\\\");
        } else {
            converted.push(character);
        }
    }
    Ok(converted)
}

fn push_literal(character: char, out: &mut String) {
    if matches!(character, '%' | '_' | '\\') {
        out.push('\\');
    }
    out.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_converted() {
        let cases = [
            (r"50\%", None, r"50\\%"),
            ("50#%", Some('#'), r"50\%"),
            ("a##b_", Some('#'), "a#b_"),
            (r"\%\\", Some('\\'), r"\%\\"),
            ("a%%", Some('%'), r"a\%"),
        ];
        for (text, escape, expected) in cases {
            assert_eq!(convert(text, escape), Ok(expected.to_owned()), "{text}");
        }
        assert!(convert("a#b", Some('#')).is_err());
    }
}
