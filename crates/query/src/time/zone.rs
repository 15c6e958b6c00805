//! Time zones by the names that SQL uses.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::MILLIS_PER_SECOND;
use super::civil::Civil;

/// A zone by name: `UTC`, `Z`, `Asia/Tokyo`, `+09:00`, `+0900`, `+09`.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("utc")
        || name.eq_ignore_ascii_case("z")
        || name.eq_ignore_ascii_case("gmt")
    {
        return Some(TimeZone::UTC);
    }
    if let Some(seconds) = offset_seconds(name) {
        return Offset::from_seconds(seconds).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}

/// The seconds east of Greenwich in `+09:00`, `+0900`, `+09`, `+9` or `Z`.
pub(crate) fn offset_seconds(text: &str) -> Option<i32> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || text[1..].matches(':').count() > 1 {
        return None;
    }
    let (hours, minutes): (i32, i32) = match digits.len() {
        1 | 2 => (digits.parse().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    (hours <= 18 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// How many seconds east of Greenwich `zone` is at an instant.
pub(crate) fn offset_at(zone: &TimeZone, epoch_millis: i64) -> i32 {
    Timestamp::from_millisecond(epoch_millis).map_or(0, |instant| zone.to_offset(instant).seconds())
}

/// The date and time that clocks in `zone` show at an instant.
pub(crate) fn wall_clock(zone: &TimeZone, epoch_millis: i64) -> Civil {
    Civil::from_millis(epoch_millis + i64::from(offset_at(zone, epoch_millis)) * MILLIS_PER_SECOND)
}

/// The instant at which clocks in `zone` show `civil`, in milliseconds since 1970.
///
/// In the hour that a zone repeats the earlier instant is meant, in the hour that it leaves out the
/// clock is put forward, as java.time does.
pub(crate) fn instant(zone: &TimeZone, civil: Civil) -> i64 {
    let local = civil.to_millis();
    let shifted = || {
        let date = jiff::civil::DateTime::new(
            i16::try_from(civil.year).ok()?,
            civil.month as i8,
            civil.day as i8,
            civil.hour as i8,
            civil.minute as i8,
            civil.second as i8,
            civil.nano as i32,
        )
        .ok()?;
        let instant = zone.to_ambiguous_timestamp(date).compatible().ok()?;
        Some(instant.as_millisecond())
    };
    shifted().unwrap_or(local - i64::from(offset_at(zone, local)) * MILLIS_PER_SECOND)
}

/// `+09:00` for 32400.
pub(crate) fn offset_text(seconds: i32, colon: bool) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    let separator = if colon { ":" } else { "" };
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_in_every_form() {
        let cases = [
            ("+09:00", Some(32_400)),
            ("-0330", Some(-12_600)),
            ("+9", Some(32_400)),
            ("Z", Some(0)),
            ("09:00", None),
            ("+25:00", None),
            ("+0:9:0", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(offset_seconds(text), seconds, "{text}");
        }
    }

    #[test]
    fn a_zone_tells_its_wall_clock_and_back() {
        let tokyo = named("Asia/Tokyo").expect("zone");
        let noon = Civil::date(2019, 11, 22)
            .and_then(|day| day.at(12, 0, 0, 0))
            .expect("time");
        let millis = instant(&tokyo, noon);
        assert_eq!(millis, noon.to_millis() - 9 * 3_600_000);
        assert_eq!(wall_clock(&tokyo, millis), noon);
        assert!(named("Middle/Earth").is_none());
    }
}
