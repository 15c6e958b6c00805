//! `Types`: fields that are not text.

use config::FieldType;
use record::{Batch, Span, Value};

/// What `text` becomes as a `kind`: as C's conversions do it, garbage is 0. Text that is no boolean stays text.
pub fn convert(batch: &Batch, text: Span, kind: FieldType) -> Value {
    let bytes = batch.bytes(text).trim_ascii_start();
    match kind {
        FieldType::String => Value::Str(text),
        FieldType::Integer => Value::Int(integer(bytes)),
        FieldType::Float => Value::Float(float(bytes)),
        FieldType::Hex => hex(bytes),
        FieldType::Bool if starts_with(bytes, b"true") => Value::Bool(true),
        FieldType::Bool if starts_with(bytes, b"false") => Value::Bool(false),
        FieldType::Bool => Value::Str(text),
    }
}

fn starts_with(bytes: &[u8], word: &[u8]) -> bool {
    bytes
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// As `atoll`: leading digits with a sign, saturating.
fn integer(bytes: &[u8]) -> i64 {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: i64, byte| {
        let digit = i64::from(byte - b'0');
        let number = number.saturating_mul(10);
        if negative {
            number.saturating_sub(digit)
        } else {
            number.saturating_add(digit)
        }
    })
}

/// As `atof`: the longest start that is a number.
fn float(bytes: &[u8]) -> f64 {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let longest = bytes.iter().take(64).take_while(is_part).count();
    let text = std::str::from_utf8(&bytes[..longest]).unwrap_or_default();
    (1..=text.len())
        .rev()
        .find_map(|end| text[..end].parse().ok())
        .unwrap_or(0.0)
}

/// As `strtoull` in base 16: what is negative is taken from 2^64.
fn hex(bytes: &[u8]) -> Value {
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let bytes = bytes
        .strip_prefix(b"0x")
        .or(bytes.strip_prefix(b"0X"))
        .unwrap_or(bytes);
    let mut digits = bytes
        .iter()
        .map_while(|byte| char::from(*byte).to_digit(16));
    let number = digits.try_fold(0_u64, |number, digit| {
        number.checked_mul(16).map(|n| n | u64::from(digit))
    });
    let number = match number {
        // Out of range is the largest, whatever the sign.
        None => u64::MAX,
        Some(number) if negative => number.wrapping_neg(),
        Some(number) => number,
    };
    i64::try_from(number).map_or(Value::Uint(number), Value::Int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use record::Tag;

    #[test]
    fn conversions_are_those_of_c() {
        let cases = [
            (FieldType::Integer, "42", Value::Int(42)),
            (FieldType::Integer, " -7x", Value::Int(-7)),
            (FieldType::Integer, "x", Value::Int(0)),
            (
                FieldType::Integer,
                "99999999999999999999",
                Value::Int(i64::MAX),
            ),
            (FieldType::Float, "1.5e3 s", Value::Float(1500.0)),
            (FieldType::Float, "x", Value::Float(0.0)),
            (FieldType::Hex, "0xff", Value::Int(255)),
            (FieldType::Hex, "ffffffffffffffff", Value::Uint(u64::MAX)),
            (FieldType::Hex, "-1", Value::Uint(u64::MAX)),
            (FieldType::Hex, "+0X1f", Value::Int(31)),
            (FieldType::Hex, "-10000000000000000", Value::Uint(u64::MAX)),
            (FieldType::Bool, "TRUE!", Value::Bool(true)),
        ];
        for (kind, text, expected) in cases {
            let batch = Batch::new(Tag::from("t"), Bytes::from_static(text.as_bytes()));
            assert_eq!(
                convert(&batch, batch.span(0..text.len()), kind),
                expected,
                "{text}"
            );
        }
        let batch = Batch::new(Tag::from("t"), Bytes::from_static(b"maybe"));
        let text = batch.span(0..5);
        assert_eq!(convert(&batch, text, FieldType::Bool), Value::Str(text));
    }
}
