//! Numbers, sizes and times as Fluent Bit's C code reads them: the longest prefix that is a number counts, and what follows
//! is silently ignored. We read the same value and say so.

use std::time::Duration;

use crate::table::Form;
use crate::text::{FromText, Parsed, Refusal};

/// Splits a whole number off the front of `text`, as C's `atoi` finds it: blanks, a sign, digits. `None` without digits.
fn leading_integer(text: &str) -> Option<(i64, &str)> {
    let start = text.trim_start();
    let (negative, digits) = match start.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, start.strip_prefix('+').unwrap_or(start)),
    };
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(i64::MAX);
    Some((if negative { -magnitude } else { magnitude }, rest))
}

/// Splits a decimal number off the front of `text`, as C's `atof` finds it. `None` without digits.
fn leading_float(text: &str) -> Option<(f64, &str)> {
    let start = text.trim_start();
    let bytes = start.as_bytes();
    let digits = |from: usize| {
        bytes
            .iter()
            .skip(from)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };

    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + exponent_sign);
        if exponent > 0 {
            end += 1 + exponent_sign + exponent;
        }
    }
    let (number, rest) = start.split_at(end);
    // The prefix was cut so that it is a number; `.` at its end is the one form that needs no digit after it.
    number.parse().ok().map(|value| (value, rest))
}

/// Garbage is 0 and what follows the number is ignored, both with a warning.
impl FromText for i64 {
    const FORM: Form = Form::new("integer", "a whole number");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(match leading_integer(text) {
            Some((value, "")) => value.into(),
            Some((value, _)) => Parsed::doubtful(
                value,
                format!("'{text}' is not a whole number and is read as {value}"),
            ),
            None => Parsed::doubtful(
                0,
                format!("'{text}' is not a whole number and is read as 0"),
            ),
        })
    }
}

/// As an `i64`; what does not fit is refused.
macro_rules! narrower_integer {
    ($($type:ty: $allowed:literal),+) => {$(
        impl FromText for $type {
            const FORM: Form = Form::new("integer", $allowed);

            fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
                let Parsed { value, warning } = i64::from_text(text)?;
                match <$type>::try_from(value) {
                    Ok(value) => Ok(Parsed { value, warning }),
                    Err(_) => Err(format!("{value} is out of range").into()),
                }
            }
        }
    )+};
}

narrower_integer!(
    u16: "a whole number from 0 to 65535",
    i32: "a whole number",
    u32: "a whole number from 0 to 4294967295",
    u64: "a whole number, not negative",
    usize: "a whole number, not negative"
);

/// Garbage is 0 and what follows the number is ignored, both with a warning.
impl FromText for f64 {
    const FORM: Form = Form::new("number", "a number");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(match leading_float(text) {
            Some((value, "")) => value.into(),
            Some((value, _)) => Parsed::doubtful(
                value,
                format!("'{text}' is not a number and is read as {value}"),
            ),
            None => Parsed::doubtful(0.0, format!("'{text}' is not a number and is read as 0")),
        })
    }
}

/// A number of bytes; `K`, `M`, `G` are powers of 1000.
///
/// What Fluent Bit cannot read becomes -1 in its code, which it then takes for the largest size there is. So do we, with a
/// warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl FromText for Size {
    const FORM: Form = Form::new(
        "size",
        "a number of bytes, with `K`, `M` or `G` (powers of 1000; `KB` … too), no blank between",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        // Everything after the last digit is the unit, except that the first character is always part of the number.
        let number_end = text
            .rfind(|c: char| c.is_ascii_digit())
            .map_or(first_char_len(text), |last| last + 1);
        Ok(size(text, number_end, &["", "B"], 1000).map(Self))
    }
}

/// A number of bytes for the few options where `K`, `M`, `G` are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BinarySize(pub u64);

impl FromText for BinarySize {
    const FORM: Form = Form::new(
        "size",
        "a number of bytes, with `K`, `M` or `G` (powers of 1024; `KB`, `KiB` … too)",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number_end = text
            .rfind(|c: char| !c.is_ascii_alphabetic())
            .map_or(0, |last| {
                last + text[last..].chars().next().map_or(1, char::len_utf8)
            });
        Ok(size(text, number_end, &["", "B", "IB"], 1024).map(Self))
    }
}

fn first_char_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Reads `text`, whose unit begins at `number_end`; `tails` are what may follow the letter of the unit.
fn size(text: &str, number_end: usize, tails: &[&str], base: u64) -> Parsed<u64> {
    let nonsense = || {
        Parsed::doubtful(
            u64::MAX,
            format!(
                "'{text}' is not a size; it counts as {}, which is no limit",
                u64::MAX
            ),
        )
    };
    if text.eq_ignore_ascii_case("false") {
        return 0.into();
    }
    let (number, unit) = text.split_at(number_end);
    let Some(factor) = unit_factor(unit, tails, base) else {
        return nonsense();
    };
    if text.is_empty() {
        return nonsense();
    }
    let Some((value, rest)) = leading_float(number) else {
        return Parsed::doubtful(0, format!("'{text}' is not a size and is read as 0"));
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "the factors are powers that f64 holds exactly"
    )]
    let bytes = value * factor as f64;
    if bytes < 0.0 || bytes >= i64::MAX as f64 {
        return nonsense();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked above"
    )]
    let bytes = bytes as u64;
    match rest {
        "" => bytes.into(),
        _ => Parsed::doubtful(
            bytes,
            format!("'{text}' is not a size and is read as {bytes} bytes"),
        ),
    }
}

/// What a unit multiplies by; `None` for a unit that does not exist.
fn unit_factor(unit: &str, tails: &[&str], base: u64) -> Option<u64> {
    if unit.is_empty() {
        return Some(1);
    }
    let unit = unit.to_ascii_uppercase();
    let power = ['K', 'M', 'G']
        .iter()
        .position(|letter| unit.starts_with(*letter))?;
    let factor = [base, base * base, base * base * base][power];
    tails.contains(&&unit[1..]).then_some(factor)
}

/// A time in whole seconds: `10`, `10s`, `5m`, `2h`, `1d`. A fraction is cut off and any other ending means seconds, so that
/// `500ms` is 500 seconds; both get a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub Duration);

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl FromText for Seconds {
    const FORM: Form = Form::new(
        "time",
        "whole seconds, or with `m`, `h` or `d` for minutes, hours or days",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        if text.is_empty() {
            return Ok(Self(Duration::ZERO).into());
        }
        let (number, rest) = leading_integer(text).unwrap_or((0, text));
        let factor = match text
            .chars()
            .next_back()
            .map(|last| last.to_ascii_lowercase())
        {
            Some('d') => 86_400,
            Some('h') => 3_600,
            Some('m') => 60,
            _ => 1,
        };
        let seconds = number.saturating_mul(factor);
        let Ok(positive) = u64::try_from(seconds) else {
            return Ok(Parsed::doubtful(
                Self(Duration::ZERO),
                format!("'{text}' is negative and counts as 0 seconds"),
            ));
        };
        let value = Self(Duration::from_secs(positive));
        let known = ["", "s", "m", "h", "d"]
            .iter()
            .any(|unit| unit.eq_ignore_ascii_case(rest));
        Ok(match known {
            true if rest.len() < text.len() => value.into(),
            _ => Parsed::doubtful(value, format!("'{text}' is read as {seconds} seconds")),
        })
    }
}

/// A time in whole milliseconds, written as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milliseconds(pub Duration);

impl FromText for Milliseconds {
    const FORM: Form = Form::new(
        "milliseconds",
        "a whole number of milliseconds, without a unit",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let parsed = u64::from_text(text)?;
        Ok(parsed.map(|milliseconds| Self(Duration::from_millis(milliseconds))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: FromText + PartialEq + std::fmt::Debug>(text: &str, value: T, warns: bool) {
        let parsed = T::from_text(text).unwrap_or_else(|refusal| panic!("{text}: {}", refusal.why));
        assert_eq!(parsed.value, value, "{text}");
        assert_eq!(
            parsed.warning.is_some(),
            warns,
            "{text}: {:?}",
            parsed.warning
        );
    }

    #[test]
    fn sizes_are_decimal_and_take_fractions() {
        for (text, bytes) in [
            ("0", 0),
            ("32768", 32_768),
            ("32k", 32_000),
            ("5MB", 5_000_000),
            ("1.5M", 1_500_000),
            ("2g", 2_000_000_000),
            ("1.5Gb", 1_500_000_000),
            ("1e3", 1000),
            ("False", 0),
        ] {
            check(text, Size(bytes), false);
        }
    }

    #[test]
    fn sizes_that_fluent_bit_turns_into_nonsense_are_no_limit() {
        for text in [
            "5 MB",
            "5B",
            "5KiB",
            "5T",
            "abc",
            "",
            "-5",
            "5.",
            "5MX",
            "99999999999G",
            "5é",
        ] {
            check(text, Size(u64::MAX), true);
        }
        check("M", Size(0), true);
        check("é", Size(0), true);
        check("1x2", Size(1), true);
    }

    #[test]
    fn binary_sizes_know_kib() {
        check("2MB", BinarySize(2 * 1024 * 1024), false);
        check("2MiB", BinarySize(2 * 1024 * 1024), false);
        check("1k", BinarySize(1024), false);
        check("5TB", BinarySize(u64::MAX), true);
        check("kib", BinarySize(0), true);
        check("3é", BinarySize(3), true);
    }

    #[test]
    fn times_take_one_letter_and_whole_numbers() {
        for (text, seconds) in [
            ("60", 60),
            ("10s", 10),
            ("5m", 300),
            ("2H", 7200),
            ("1D", 86_400),
            ("", 0),
        ] {
            check(text, Seconds(Duration::from_secs(seconds)), false);
        }
        for (text, seconds) in [
            ("500ms", 500),
            ("1.5h", 3600),
            ("abc", 0),
            ("-5", 0),
            ("1 m", 60),
            ("m", 0),
        ] {
            check(text, Seconds(Duration::from_secs(seconds)), true);
        }
    }

    #[test]
    fn integers_read_like_atoi() {
        check("42", 42_i64, false);
        check("-1", -1_i64, false);
        check("12abc", 12_i64, true);
        check("abc", 0_i64, true);
        check("99999999999999999999", i64::MAX, false);
        check("2020", 2020_u16, false);
        assert!(u16::from_text("70000").is_err());
        assert!(u64::from_text("-1").is_err());
    }

    #[test]
    fn floats_read_like_atof() {
        check("0.5", 0.5, false);
        check(".5", 0.5, false);
        check("5.", 5.0, false);
        check("1e3", 1000.0, false);
        check("1e", 1.0, true);
        check("2s", 2.0, true);
        check("s", 0.0, true);
        check(".", 0.0, true);
    }
}
