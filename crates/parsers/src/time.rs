//! The time of a record, from its text.

use std::ops::RangeInclusive;

use config::ParserOptions;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use record::Time;

use crate::strptime::{Format, Parts};

/// The seconds that a [`Time`] can hold. What is beyond them is no time, as is what does not fit the format.
const SECONDS: RangeInclusive<i64> = i64::MIN / 1_000_000_000 + 1..=i64::MAX / 1_000_000_000 - 1;

/// Reads times in one format. Lines of one second mostly share their text but for the fraction: the last one is kept.
#[derive(Debug)]
pub struct TimeReader {
    format: Format,
    /// Of times that name none.
    zone: TimeZone,
    strict: bool,
    /// The text of the last time, without its fraction where that is last, and its second.
    last: Option<(Vec<u8>, i64)>,
}

impl TimeReader {
    /// A reader for the format of `options`; none if they have none.
    pub fn new(options: &ParserOptions) -> Result<Option<TimeReader>, String> {
        let Some(format) = &options.time_format else {
            return Ok(None);
        };
        let zone = match (&options.time_zone, options.utc_offset()) {
            (Some(name), _) => TimeZone::get(name)
                .map_err(|_| format!("Time_Zone '{name}' is not a known zone"))?,
            (None, _) if options.time_system_timezone => TimeZone::system(),
            (None, Some(offset)) => Offset::from_seconds(offset.0)
                .map_err(|error| error.to_string())?
                .to_time_zone(),
            (None, None) => TimeZone::UTC,
        };
        let format = Format::new(format).map_err(|why| format!("Time_Format '{format}': {why}"))?;
        Ok(Some(TimeReader {
            format,
            zone,
            strict: options.time_strict,
            last: None,
        }))
    }

    /// Reads `text`; none if it is not a time in this format.
    pub fn read(&mut self, text: &[u8]) -> Option<Time> {
        if let Some(time) = self.read_cached(text) {
            return Some(time);
        }
        let (parts, used) = match self.format.parse(text) {
            Ok(read) => read,
            Err(parts) if !self.strict => (parts, 0),
            Err(_) => return None,
        };
        let seconds = match parts.epoch {
            Some(epoch) => epoch,
            None => self.seconds(&parts)?,
        };
        if !SECONDS.contains(&seconds) {
            return None;
        }
        self.remember(&text[..used], seconds);
        Some(Time::new(seconds, parts.nanos))
    }

    fn read_cached(&self, text: &[u8]) -> Option<Time> {
        let (known, seconds) = self.last.as_ref()?;
        let rest = text.strip_prefix(&known[..])?;
        if !self.format.ends_with_fraction() {
            // The last number or zone must not go on.
            let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
            let is_same = !rest.first().is_some_and(goes_on);
            return is_same.then(|| Time::new(*seconds, 0));
        }
        let digits = rest
            .iter()
            .take(9)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = rest[..digits]
            .iter()
            .fold(0, |number, byte| number * 10 + u32::from(byte - b'0'));
        (digits > 0).then(|| Time::new(*seconds, number * 10_u32.pow(9 - digits as u32)))
    }

    /// Keeps what decides the second. A fraction that is not last decides nothing and may differ: nothing is kept then.
    /// A format without a year means the running one, and would be kept over the turn of it.
    fn remember(&mut self, text: &[u8], seconds: i64) {
        let has_fraction = self.format.has_fraction() && !self.format.ends_with_fraction();
        if text.is_empty() || has_fraction || self.format.lacks_year() {
            self.last = None;
            return;
        }
        let digits = if self.format.ends_with_fraction() {
            text.iter()
                .rev()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        } else {
            0
        };
        let (known, second) = self.last.get_or_insert_default();
        known.clear();
        known.extend_from_slice(&text[..text.len() - digits]);
        *second = seconds;
    }

    fn seconds(&self, parts: &Parts) -> Option<i64> {
        // A second of 60 is the first of the next minute.
        let (second, extra) = if parts.second > 59 {
            (59, parts.second - 59)
        } else {
            (parts.second, 0)
        };
        let date = self.date(parts)?;
        let time = date.at(parts.hour as i8, parts.minute as i8, second as i8, 0);
        let seconds = match parts.offset {
            Some(offset) => Offset::from_seconds(offset)
                .ok()?
                .to_timestamp(time)
                .ok()?
                .as_second(),
            None => self.of_zone(time)?,
        };
        Some(seconds + extra)
    }

    fn of_zone(&self, time: DateTime) -> Option<i64> {
        Some(
            self.zone
                .to_ambiguous_timestamp(time)
                .compatible()
                .ok()?
                .as_second(),
        )
    }

    /// Year, month and day, each today's if the format does not name it and no year either.
    fn date(&self, parts: &Parts) -> Option<Date> {
        let today = || Timestamp::now().to_zoned(self.zone.clone()).date();
        let lacks_year = self.format.lacks_year();
        let year = parts
            .year
            .map_or_else(|| today().year(), |year| year as i16);
        if let Some(day_of_year) = parts.day_of_year {
            return Date::new(year, 1, 1)
                .ok()?
                .checked_add(Span::new().days(day_of_year - 1))
                .ok();
        }
        let other = |today: i8| if lacks_year { today } else { 1 };
        let month = parts
            .month
            .map_or_else(|| other(today().month()), |month| month as i8);
        let day = parts
            .day
            .map_or_else(|| other(today().day()), |day| day as i8);
        // As `timegm`: the 30th of February is the 2nd of March.
        let days = Span::new().days(i64::from(day) - 1);
        Date::new(year, month, 1).ok()?.checked_add(days).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};

    fn reader(options: &[(&str, &str)]) -> TimeReader {
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Parser, "PARSER", nowhere.clone());
        for (key, value) in [("name", "x"), ("format", "json")].iter().chain(options) {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        let mut diagnostics = Diagnostics::new();
        let options = ParserOptions::read(&section, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"));
        TimeReader::new(&options)
            .unwrap_or_else(|why| panic!("{why}"))
            .expect("a format")
    }

    #[test]
    fn times_are_read_in_their_zone() {
        let nginx = ("time_format", "%d/%b/%Y:%H:%M:%S %z");
        let docker = ("time_format", "%Y-%m-%dT%H:%M:%S.%L");
        let plain = ("time_format", "%Y-%m-%d %H:%M:%S");
        let cases: &[(&[(&str, &str)], &str, Option<(i64, u32)>)] = &[
            (
                &[nginx],
                "22/Nov/2026:13:05:09 +0000",
                Some((1_795_352_709, 0)),
            ),
            (
                &[nginx],
                "22/Nov/2026:13:05:09 +0100",
                Some((1_795_349_109, 0)),
            ),
            (
                &[docker],
                "2026-11-22T13:05:09.25Z",
                Some((1_795_352_709, 250_000_000)),
            ),
            (
                &[docker],
                "2026-11-22T13:05:09.000000001Z",
                Some((1_795_352_709, 1)),
            ),
            (&[docker], "2026-11-22T13:05:09Z", None),
            (&[plain], "2026-11-22 13:05:09", Some((1_795_352_709, 0))),
            (
                &[plain, ("time_offset", "+0200")],
                "2026-11-22 13:05:09",
                Some((1_795_345_509, 0)),
            ),
            (
                &[plain, ("time_zone", "Asia/Tokyo")],
                "2026-11-22 13:05:09",
                Some((1_795_320_309, 0)),
            ),
            (&[plain], "2026-02-30 13:05:09", Some((1_772_456_709, 0))),
            (&[plain], "2026-02-32 13:05:09", None),
            (
                &[("time_format", "%s")],
                "1700000000",
                Some((1_700_000_000, 0)),
            ),
            (&[("time_format", "%s")], "9300000000", None),
            (&[plain], "1600-01-01 00:00:00", None),
            (&[plain], "2300-01-01 00:00:00", None),
        ];
        for (options, text, expected) in cases {
            let mut reader = reader(options);
            // The second reading takes the cached way.
            for _ in 0..2 {
                let time = reader.read(text.as_bytes());
                assert_eq!(
                    time.map(|time| (time.seconds(), time.subsec_nanos())),
                    *expected,
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn the_cache_changes_nothing() {
        let mut cached = reader(&[("time_format", "%Y-%m-%dT%H:%M:%S.%L")]);
        let texts = [
            "2026-11-22T13:05:09.25Z",
            "2026-11-22T13:05:09.5Z",
            "2026-11-22T13:05:10.5Z",
            "2026-11-22T13:05:10.x",
        ];
        for text in texts {
            let fresh = reader(&[("time_format", "%Y-%m-%dT%H:%M:%S.%L")]).read(text.as_bytes());
            assert_eq!(cached.read(text.as_bytes()), fresh, "{text}");
        }
        // The text of the first is the beginning of the second, which says something else.
        for (format, texts) in [
            ("%s", ["1", "1574427909"]),
            (
                "%Y-%m-%d %H:%M:%S",
                ["2026-11-22 13:05:1", "2026-11-22 13:05:19"],
            ),
            ("%s %z", ["7 +01", "7 +0130"]),
            (
                "%Y-%m-%d %T%z",
                ["2026-11-22 13:05:09+01", "2026-11-22 13:05:09+01:30"],
            ),
            (
                "%Y-%m-%d %H:%M:%S%L",
                ["2026-11-22 13:05:09123", "2026-11-22 13:05:10123"],
            ),
            ("%s%L", ["1574427909123", "1574427910123"]),
        ] {
            let mut cached = reader(&[("time_format", format)]);
            for text in texts {
                let fresh = reader(&[("time_format", format)]).read(text.as_bytes());
                assert_eq!(cached.read(text.as_bytes()), fresh, "{format}: {text}");
            }
        }
    }

    #[test]
    fn a_missing_year_is_the_running_one() {
        let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
        let expected = Date::new(year, 3, 4).expect("a date").at(5, 6, 7, 0);
        let expected = Offset::UTC
            .to_timestamp(expected)
            .expect("in range")
            .as_second();
        let read = reader(&[("time_format", "%b %d %H:%M:%S")]).read(b"Mar 4 05:06:07");
        assert_eq!(read.map(Time::seconds), Some(expected));
    }
}
