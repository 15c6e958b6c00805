//! Writing values back as JSON text, which is what a string column holds of an object or array.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{Decimal, Malformed, Scanner, Value, parse_integer};

/// Appends a value in the SerDe's canonical form: no blanks, numbers normalised, names unique (the last
/// value of a repeated name counts; with `fold_case` names that differ in case only are the same).
pub(crate) fn write_value(
    value: Value<'_>,
    fold_case: bool,
    out: &mut String,
) -> Result<(), Malformed> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Literal(literal) => match canonical_literal(&String::from_utf8_lossy(literal)) {
            Some(canonical) => out.push_str(&canonical),
            None => write_string(&String::from_utf8_lossy(literal), out),
        },
        Value::Quoted { .. } => write_string(&value.text().unwrap_or_default(), out),
        Value::Array(text) => {
            let mut elements = Vec::new();
            Scanner::open(text).array(|element| elements.push(element))?;
            out.push('[');
            for (index, element) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(element, fold_case, out)?;
            }
            out.push(']');
        }
        Value::Object(text) => {
            out.push('{');
            for (index, (name, value)) in unique_members(text, fold_case)?.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(&name, out);
                out.push(':');
                write_value(value, fold_case, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn unique_members(
    text: &[u8],
    fold_case: bool,
) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, Malformed> {
    let mut members = Vec::new();
    Scanner::open(text)
        .object(|name, value| members.push((name.text().unwrap_or_default(), value)))?;
    let mut seen = HashSet::new();
    members.reverse();
    members.retain(|(name, _)| {
        seen.insert(if fold_case {
            name.to_lowercase()
        } else {
            name.to_string()
        })
    });
    members.reverse();
    Ok(members)
}

/// The canonical text of an unquoted number or boolean; nothing if it is some other unquoted text.
pub(crate) fn canonical_literal(literal: &str) -> Option<Cow<'_, str>> {
    // What most literals look like is canonical already.
    if matches!(literal.as_bytes(), [b'1'..=b'9', rest @ ..] if rest.len() < 18 && rest.iter().all(u8::is_ascii_digit))
    {
        return Some(Cow::Borrowed(literal));
    }
    for boolean in ["true", "false"] {
        if literal.eq_ignore_ascii_case(boolean) {
            return Some(Cow::Borrowed(boolean));
        }
    }
    if let Some(integer) = parse_integer(literal) {
        return Some(Cow::Owned(integer.to_string()));
    }
    Decimal::parse(literal).map(|decimal| Cow::Owned(decimal.to_string()))
}

/// Appends a JSON string; like the original, `/` after `<` is escaped.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut previous = '\0';
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '/' if previous == '<' => out.push_str("\\/"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
        previous = character;
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_are_written_canonically() {
        let cases = [
            (
                r#"{ "a" : 1.0 , "b" : [ true , null, 'x' ] }"#,
                r#"{"a":1.0,"b":[true,null,"x"]}"#,
            ),
            (r#"{"a":1,"b":2,"A":3}"#, r#"{"b":2,"A":3}"#),
            (
                r#"[0x10, 010, TRUE, yes, 1e2]"#,
                r#"[16,8,true,"yes",1E+2]"#,
            ),
            ("[\"a\\tb\\u0001</p>\"]", r#"["a\tb\u0001<\/p>"]"#),
        ];
        for (text, expected) in cases {
            let mut out = String::new();
            let value = Scanner::new(text.as_bytes()).value().expect(text);
            write_value(value, true, &mut out).expect(text);
            assert_eq!(out, expected);
        }
    }
}
