//! Dates and times in ISO 8601 and in Hive's plain form.

use super::civil::Civil;
use super::reader::Reader;
use super::zone::offset_seconds;

/// `yyyy-M-d`, and nothing else.
pub(crate) fn parse_date(text: &str) -> Option<Civil> {
    let mut reader = Reader { rest: text };
    let date = date(&mut reader)?;
    reader.rest.is_empty().then_some(date)
}

/// `yyyy-M-d H:m:s[.fraction]`, as Hive writes timestamps.
pub(crate) fn parse_plain_timestamp(text: &str) -> Option<Civil> {
    let mut reader = Reader { rest: text };
    let date = date(&mut reader)?;
    reader.literal(" ")?;
    let civil = time(&mut reader, date, true)?;
    reader.rest.is_empty().then_some(civil)
}

/// A date with `T` and a time as in `2019-11-22T13:01:02.5+09:00`, and how many seconds its zone is
/// east of Greenwich, if it names one. Time, minutes and seconds may be left out.
pub(crate) fn parse_iso(text: &str) -> Option<(Civil, Option<i32>)> {
    let mut reader = Reader { rest: text };
    let date = date(&mut reader)?;
    if reader.rest.is_empty() {
        return Some((date, None));
    }
    reader.literal("T").or_else(|| reader.literal("t"))?;
    let civil = time(&mut reader, date, false)?;
    if reader.rest.is_empty() {
        return Some((civil, None));
    }
    Some((civil, Some(offset_seconds(reader.rest)?)))
}

fn date(reader: &mut Reader<'_>) -> Option<Civil> {
    let negative = reader.literal("-").is_some();
    let year = i64::from(reader.number(4, 5)?);
    reader.literal("-")?;
    let month = reader.number(1, 2)?;
    reader.literal("-")?;
    let day = reader.number(1, 2)?;
    Civil::date(if negative { -year } else { year }, month, day)
}

fn time(reader: &mut Reader<'_>, date: Civil, seconds_needed: bool) -> Option<Civil> {
    let hour = reader.number(1, 2)?;
    let mut minute = 0;
    let mut second = 0;
    let mut nano = 0;
    if seconds_needed || reader.rest.starts_with(':') {
        reader.literal(":")?;
        minute = reader.number(1, 2)?;
        if seconds_needed || reader.rest.starts_with(':') {
            reader.literal(":")?;
            second = reader.number(1, 2)?;
            if reader
                .literal(".")
                .or_else(|| reader.literal(","))
                .is_some()
            {
                nano = reader.fraction(usize::MAX)?;
            }
        }
    }
    date.at(hour, minute, second, nano)
}

/// `2019-11-22 13:01:02.000`, Athena's text for a timestamp.
pub(crate) fn timestamp_text(civil: Civil) -> String {
    format!("{} {}", date_text(civil), time_text(civil))
}

/// `2019-11-22`
pub(crate) fn date_text(civil: Civil) -> String {
    let Civil {
        year, month, day, ..
    } = civil;
    if (0..=9999).contains(&year) {
        return format!("{year:04}-{month:02}-{day:02}");
    }
    let sign = if year < 0 { '-' } else { '+' };
    format!("{sign}{:04}-{month:02}-{day:02}", year.abs())
}

/// `13:01:02.000`
pub(crate) fn time_text(civil: Civil) -> String {
    let Civil {
        hour,
        minute,
        second,
        nano,
        ..
    } = civil;
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", nano / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<(String, Option<i32>)> {
        parse_iso(text).map(|(civil, offset)| (timestamp_text(civil), offset))
    }

    #[test]
    fn iso_times_are_read_with_and_without_zone() {
        let at = |text: &str, offset| Some((text.to_owned(), offset));
        assert_eq!(
            millis("2019-11-22T13:01:02.5+09:00"),
            at("2019-11-22 13:01:02.500", Some(32_400))
        );
        assert_eq!(
            millis("2019-11-22T13:01:02Z"),
            at("2019-11-22 13:01:02.000", Some(0))
        );
        assert_eq!(
            millis("2019-11-22T13:01"),
            at("2019-11-22 13:01:00.000", None)
        );
        assert_eq!(millis("2019-11-22"), at("2019-11-22 00:00:00.000", None));
        assert_eq!(millis("2019-13-22"), None);
        assert_eq!(millis("2019-11-22T25:00:00"), None);
        assert_eq!(millis("2019-11-22T13:01:02 x"), None);
    }

    #[test]
    fn hive_timestamps_need_all_of_the_time() {
        assert!(parse_plain_timestamp("2019-11-22 13:01:02.123456789").is_some());
        assert!(parse_plain_timestamp("2019-11-22 13:01").is_none());
        assert!(parse_plain_timestamp("2019-11-22T13:01:02").is_none());
        assert!(parse_date("2019-1-2").is_some());
    }
}
