//! Numbers as people write them: `64K`, `250ms`, `30%`.

use std::time::Duration;

/// A number of bytes: `1000`, `64K`, `1.5M`, `2G` (powers of 1000), `64KiB` (powers of 1024).
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!(
                "'{unit}' is no unit of bytes: allowed are K, M, G and KiB, MiB, GiB"
            ));
        }
    };
    Ok((number * factor) as u64)
}

/// A time: `10s`, `250ms`, `2m`, `1h`; a number alone is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "'{unit}' is no unit of time: allowed are ms, s, m, h"
            ));
        }
    };
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

/// A share: `30%` or `0.3`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    let share = match unit {
        "%" => number / 100.0,
        "" => number,
        _ => return Err(format!("'{text}' is no share, such as 30%")),
    };
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(format!("'{text}' is not between 0% and 100%")),
    }
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .parse()
        .map_err(|_| format!("'{text}' does not begin with a number"))?;
    Ok((number, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        assert_eq!(bytes("1000"), Ok(1000));
        assert_eq!(bytes("1.5M"), Ok(1_500_000));
        assert_eq!(bytes("64 KiB"), Ok(65_536));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert_eq!(share("30%"), Ok(0.3));
        assert_eq!(share("0.5"), Ok(0.5));
        assert!(bytes("x").is_err() && bytes("5 parsecs").is_err());
        assert!(duration("5 weeks").is_err() && duration("-1s").is_err());
        assert!(share("130%").is_err() && share("30 of 100").is_err());
    }
}
