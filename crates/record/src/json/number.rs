//! Numbers in JSON text, both ways.

use std::fmt::Write;

use super::digits::{self, EIGHT};
use super::read::Reason;
use super::short;
use crate::Value;

/// Reads the number at the start of `text`: its value and length. Integers that fit stay integers, larger ones and
/// everything with a point or an exponent are floats.
///
/// # Errors
/// The offset and reason, when there is no number.
pub(super) fn read(text: &[u8]) -> Result<(Value, usize), (usize, Reason)> {
    let negative = text.first() == Some(&b'-');
    let start = usize::from(negative);
    let mut magnitude = Magnitude::default();
    let mut end = start + magnitude.read(&text[start..]);
    if end == start {
        return Err(missing(text, end, "a digit"));
    }
    if end > start + 1 && text[start] == b'0' {
        return Err((start, Reason::Expected("no digit after a leading zero")));
    }
    if !matches!(text.get(end), Some(b'.' | b'e' | b'E'))
        && let Some(value) = magnitude.exact().and_then(|value| integer(value, negative))
    {
        return Ok((value, end));
    }
    let mut decimals = 0;
    if text.get(end) == Some(&b'.') {
        decimals = magnitude.read(&text[end + 1..]);
        end += 1 + decimals;
        if decimals == 0 {
            return Err(missing(text, end, "a digit"));
        }
    }
    let mut has_exponent = false;
    if let Some(b'e' | b'E') = text.get(end) {
        let sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = after_digits(text, end + 1 + usize::from(sign))?;
        has_exponent = true;
    }
    let quick = magnitude.exact().filter(|_| !has_exponent);
    let value = match quick.and_then(|value| exact_float(value, decimals)) {
        Some(value) if negative => Value::Float(-value),
        Some(value) => Value::Float(value),
        None => float(&text[..end])
            .ok_or((0, Reason::Expected("a number within the range of floats")))?,
    };
    Ok((value, end))
}

/// The number at the start of `text` and its length, if it is one that most are: not negative, at most sixteen digits, or
/// fifteen around a point, no exponent. Everything else is left to [`read`], as is what ends near the end of `text`.
#[inline(always)]
pub(super) fn short(text: &[u8]) -> Option<(Value, usize)> {
    let (mut value, mut len) = digits::read(text)?;
    if len == EIGHT {
        let (more, count) = digits::read(&text[EIGHT..])?;
        value = value * POWERS[count] + more;
        len += count;
    }
    if len == 0 || len == 2 * EIGHT || len > 1 && text[0] == b'0' {
        return None;
    }
    match *text.get(len)? {
        b'.' => short_float(text, value, len),
        b'e' | b'E' => None,
        _ => Some((Value::Int(value as i64), len)),
    }
}

/// The same with a point behind the first `len` bytes, which are digits and say `whole`.
#[inline(always)]
fn short_float(text: &[u8], whole: u64, len: usize) -> Option<(Value, usize)> {
    /// So many digits make no number above 2^53.
    const DIGITS_MAX: usize = 15;
    let (decimals, count) = digits::read(&text[len + 1..])?;
    let end = len + 1 + count;
    if count == 0 || count == EIGHT || len + count > DIGITS_MAX {
        return None;
    }
    if let b'e' | b'E' = *text.get(end)? {
        return None;
    }
    let value = exact_float(whole * POWERS[count] + decimals, count)?;
    Some((Value::Float(value), end))
}

/// 10^0 and so on.
static POWERS: [u64; DIGITS] = {
    let mut powers = [1; DIGITS];
    let mut exponent = 1;
    while exponent < DIGITS {
        powers[exponent] = 10 * powers[exponent - 1];
        exponent += 1;
    }
    powers
};

/// The value of digits.
#[derive(Default)]
struct Magnitude {
    value: u64,
    is_too_large: bool,
}

impl Magnitude {
    /// Adds the digits at the start of `text`: how many there are.
    #[inline]
    fn read(&mut self, text: &[u8]) -> usize {
        let mut len = 0;
        while let Some(digit) = text
            .get(len)
            .map(|byte| byte.wrapping_sub(b'0'))
            .filter(|&digit| digit < 10)
        {
            let (tenfold, one) = self.value.overflowing_mul(10);
            let (value, other) = tenfold.overflowing_add(u64::from(digit));
            self.is_too_large |= one | other;
            self.value = value;
            len += 1;
        }
        len
    }

    /// The value, unless it exceeds 64 bits.
    fn exact(&self) -> Option<u64> {
        (!self.is_too_large).then_some(self.value)
    }
}

/// `value` / 10^`decimals`, where both are floats exactly, so that their quotient is the nearest float to the number.
fn exact_float(value: u64, decimals: usize) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    let power = POWERS.get(decimals)?;
    (value < 1 << 53).then(|| value as f64 / power)
}

fn after_digits(text: &[u8], start: usize) -> Result<usize, (usize, Reason)> {
    let len = text[start.min(text.len())..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if len == 0 {
        Err(missing(text, start, "a digit"))
    } else {
        Ok(start + len)
    }
}

fn missing(text: &[u8], at: usize, what: &'static str) -> (usize, Reason) {
    (
        at,
        if at >= text.len() {
            Reason::Incomplete
        } else {
            Reason::Expected(what)
        },
    )
}

fn integer(magnitude: u64, negative: bool) -> Option<Value> {
    match (i64::try_from(magnitude), negative) {
        (Ok(value), false) => Some(Value::Int(value)),
        (Ok(value), true) => Some(Value::Int(-value)),
        (Err(_), false) => Some(Value::Uint(magnitude)),
        (Err(_), true) => 0i64.checked_sub_unsigned(magnitude).map(Value::Int),
    }
}

fn float(text: &[u8]) -> Option<Value> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(Value::Float(value))
}

/// 2^63: from here on upstream's conversion to an integer and back does not give the same number.
const INTEGERS_END: f64 = 9_223_372_036_854_775_808.0;

/// The magnitude of a value that is whole, and printed so.
#[inline(always)]
pub(super) fn whole(value: f64) -> Option<u64> {
    let is_whole = (-INTEGERS_END..INTEGERS_END).contains(&value) && value == value as i64 as f64;
    is_whole.then_some(value.abs() as u64)
}

/// Appends `value` as upstream prints it: `%.1f` when it equals its integer truncation, else `%.16g`.
pub(super) fn write_float(value: f64, out: &mut Vec<u8>) {
    if short::write(Value::Float(value), out) {
        return;
    }
    match value.is_finite() {
        true => write_digits(value, out),
        false => write_special(value, out),
    }
}

/// Appends `nan`, `inf` or their negatives, as C prints them.
fn write_special(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
}

const DIGITS: usize = 16;

/// `%.16g` of a finite value that is not zero.
fn write_digits(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let (digits, exponent) = sixteen_digits(value.abs());
    let digits = match digits.iter().rposition(|&digit| digit != b'0') {
        Some(last) => &digits[..=last],
        None => &digits[..1],
    };
    match exponent {
        -4..=-1 => {
            out.extend_from_slice(&b"0.000"[..(1 - exponent) as usize]);
            out.extend_from_slice(digits);
        }
        0..16 => {
            let (before, after) = digits.split_at(digits.len().min(exponent as usize + 1));
            out.extend_from_slice(before);
            out.extend(std::iter::repeat_n(
                b'0',
                exponent as usize + 1 - before.len(),
            ));
            if !after.is_empty() {
                out.push(b'.');
                out.extend_from_slice(after);
            }
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.unsigned_abs() < 10 {
                out.push(b'0');
            }
            out.extend_from_slice(
                itoa::Buffer::new()
                    .format(exponent.unsigned_abs())
                    .as_bytes(),
            );
        }
    }
}

/// The sixteen significant digits of `value`, correctly rounded, and its decimal exponent.
fn sixteen_digits(value: f64) -> ([u8; DIGITS], i32) {
    let mut text = Stack {
        bytes: [0; 32],
        len: 0,
    };
    // One digit, a point, fifteen digits, `e`, the exponent: never more than 24 bytes.
    write!(text, "{value:.15e}").expect("it fits");
    let text = &text.bytes[..text.len];
    let mut digits = [text[0]; DIGITS];
    digits[1..].copy_from_slice(&text[2..DIGITS + 1]);
    let exponent = std::str::from_utf8(&text[DIGITS + 2..])
        .ok()
        .and_then(|text| text.parse().ok());
    (digits, exponent.expect("formatted as a number"))
}

/// The sixteen significant digits of `value` by exact integer arithmetic, for the values that logs have: from 1 to 2^53. Times
/// are among them.
#[inline]
pub(super) fn by_integers(value: f64) -> Option<([u8; DIGITS], i32)> {
    const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;
    const LIMIT: u64 = 10_000_000_000_000_000;
    if !(1.0..9_007_199_254_740_992.0).contains(&value) {
        return None;
    }
    let bits = value.to_bits();
    // The value is mantissa / 2^point.
    let point = MANTISSA - ((bits >> MANTISSA) as u32 - 1023);
    let mantissa = bits & ((1 << MANTISSA) - 1) | 1 << MANTISSA;
    let whole = mantissa >> point;
    let exponent = whole.ilog10();
    let scale = POWERS[DIGITS - 1 - exponent as usize];
    let scaled = u128::from(mantissa) * u128::from(scale);
    let (rounded, rest) = ((scaled >> point) as u64, scaled & ((1 << point) - 1));
    // Half to even, as the C library rounds an exact tie.
    let twice = rest << 1;
    let up = twice > 1 << point || (twice == 1 << point && rounded & 1 == 1);
    let rounded = rounded + u64::from(up);
    // Rounding 9.99… up gives one digit more, all zeros but the first.
    let (rounded, exponent) = match rounded {
        LIMIT => (LIMIT / 10, exponent + 1),
        _ => (rounded, exponent),
    };
    let halves = [rounded / 100_000_000, rounded % 100_000_000].map(digits::eight);
    let text = u128::from(halves[0]) | u128::from(halves[1]) << 64;
    Some((text.to_le_bytes(), exponent as i32))
}

struct Stack {
    bytes: [u8; 32],
    len: usize,
}

impl Write for Stack {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(std::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Appends `value` as C's `%f` prints it: six decimals.
pub(crate) fn write_fixed(value: f64, out: &mut Vec<u8>) {
    use std::io::Write;
    if value.is_finite() {
        write!(out, "{value:.6}").expect("a vector takes everything");
    } else {
        write_special(value, out);
    }
}
