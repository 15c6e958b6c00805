//! Decimal numbers of any size, with the rules of java.math.BigDecimal that SerDes rely on.

/// A decimal number: `±digits × 10^-scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    /// Decimal digits without leading zeros; a single `0` for zero.
    digits: String,
    scale: i64,
}

/// Exponents beyond this are not numbers to us: no column could hold them, and their digits need memory.
const MAX_EXPONENT: i64 = 10_000;

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], unsigned[at + 1..].parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = whole
            .bytes()
            .chain(fraction.bytes())
            .all(|byte| byte.is_ascii_digit());
        if !all_digits || (whole.is_empty() && fraction.is_empty()) || exponent.abs() > MAX_EXPONENT
        {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let digits = match digits.trim_start_matches('0') {
            "" => "0".to_owned(),
            significant => significant.to_owned(),
        };
        Some(Decimal {
            negative,
            digits,
            scale: fraction.len() as i64 - exponent,
        })
    }

    /// The whole part, if it fits; the fraction is cut off.
    pub(crate) fn truncated(&self) -> Option<i64> {
        let digits = match usize::try_from(self.scale) {
            Ok(scale) => self.digits[..self.digits.len().saturating_sub(scale)].to_owned(),
            Err(_) => format!(
                "{}{}",
                self.digits,
                "0".repeat(self.scale.unsigned_abs() as usize)
            ),
        };
        if digits.is_empty() || digits.bytes().all(|byte| byte == b'0') {
            return Some(0);
        }
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{digits}").parse().ok()
    }

    /// The digits at `scale` places after the point, rounded half up; nothing beyond `precision` digits.
    pub(crate) fn scaled(&self, precision: u8, scale: u8) -> Option<i128> {
        let shift = i64::from(scale) - self.scale;
        let unscaled: i128 = if shift >= 0 {
            let zeros = if self.digits == "0" {
                0
            } else {
                usize::try_from(shift).ok()?
            };
            if self.digits.len() + zeros > 38 {
                return None;
            }
            format!("{}{}", self.digits, "0".repeat(zeros))
                .parse()
                .ok()?
        } else {
            let cut = usize::try_from(-shift).ok()?;
            let kept = self.digits.len().saturating_sub(cut);
            let up = self.digits.len() >= cut
                && self
                    .digits
                    .as_bytes()
                    .get(kept)
                    .is_some_and(|digit| *digit >= b'5');
            let whole: i128 = if kept == 0 {
                0
            } else {
                self.digits[..kept].parse().ok()?
            };
            whole + i128::from(up)
        };
        if unscaled >= 10_i128.pow(u32::from(precision)) {
            return None;
        }
        Some(if self.negative { -unscaled } else { unscaled })
    }
}

impl std::fmt::Display for Decimal {
    /// Java's canonical form: plain while the exponent is small, else `d.dddE±n`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let zero = self.digits == "0";
        if self.negative && !zero {
            f.write_str("-")?;
        }
        let length = self.digits.len() as i64;
        let exponent = length - 1 - self.scale;
        if self.scale == 0 {
            return f.write_str(&self.digits);
        }
        if self.scale > 0 && exponent >= -6 {
            let point = length - self.scale;
            if point > 0 {
                let (whole, fraction) = self.digits.split_at(point as usize);
                return write!(f, "{whole}.{fraction}");
            }
            return write!(
                f,
                "0.{}{}",
                "0".repeat(point.unsigned_abs() as usize),
                self.digits
            );
        }
        let (first, rest) = self.digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{point}{rest}E{exponent:+}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_writes_them() {
        let cases = [
            ("1.50", "1.50"),
            ("-0.001", "-0.001"),
            ("1e5", "1E+5"),
            ("1.23e5", "1.23E+5"),
            ("0.0000001", "1E-7"),
            ("0.000001", "0.000001"),
            ("00.5", "0.5"),
            (".5", "0.5"),
            ("5.", "5"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
            ("0.00", "0.00"),
        ];
        for (text, canonical) in cases {
            assert_eq!(
                Decimal::parse(text).expect(text).to_string(),
                canonical,
                "{text}"
            );
        }
        for text in ["", "-", ".", "1e", "1.2.3", "0x1", "1e99999", "NaN", "1_0"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn whole_parts_and_scaled_digits() {
        let decimal = |text| Decimal::parse(text).expect(text);
        assert_eq!(decimal("-1.9").truncated(), Some(-1));
        assert_eq!(decimal("0.9").truncated(), Some(0));
        assert_eq!(decimal("1e3").truncated(), Some(1000));
        assert_eq!(decimal("9223372036854775808").truncated(), None);
        assert_eq!(decimal("1.005").scaled(10, 2), Some(101));
        assert_eq!(decimal("-1.004").scaled(10, 2), Some(-100));
        assert_eq!(decimal("0.06").scaled(3, 1), Some(1));
        assert_eq!(decimal("0.006").scaled(3, 1), Some(0));
        assert_eq!(decimal("12").scaled(3, 1), Some(120));
        assert_eq!(decimal("123").scaled(3, 1), None);
        assert_eq!(decimal("1e30").scaled(38, 10), None);
    }
}
