//! Whole numbers as the OpenX SerDe reads them: decimal, `0x` hexadecimal and `0` octal.

use super::Decimal;

/// A whole number in one of the three notations; hexadecimal and octal have no sign.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [b'0', b'x' | b'X', first, ..] if first.is_ascii_hexdigit() => {
            i64::from_str_radix(&text[2..], 16).ok()
        }
        [b'0', b'0'..=b'8', ..] => i64::from_str_radix(&text[1..], 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Like [`parse_integer`], and decimal numbers, whose fraction is cut off.
pub(crate) fn parse_long(text: &str) -> Option<i64> {
    parse_integer(text).or_else(|| Decimal::parse(text)?.truncated())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_notations_are_read() {
        let cases = [
            ("42", Some(42)),
            ("-42", Some(-42)),
            ("+7", Some(7)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("08", Some(8)),
            ("1.9", Some(1)),
            ("1e3", Some(1000)),
            ("", None),
            ("abc", None),
            (" 1", None),
            ("-0x1", None),
            ("9223372036854775808", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse_long(text), value, "{text}");
        }
    }
}
