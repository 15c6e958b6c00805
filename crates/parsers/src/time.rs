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
    /// How far that zone is east of UTC, if it is so always.
    zone_offset: Option<i32>,
    strict: bool,
    /// Where a fraction of the second stands in the text.
    fraction: Fraction,
    last: Option<Last>,
}

/// What decided the second of the last time.
#[derive(Debug, Default)]
struct Last {
    /// The text before the fraction, or all of it.
    before: Vec<u8>,
    /// The text behind the fraction.
    behind: Vec<u8>,
    seconds: i64,
}

/// Where a fraction of the second stands in a format.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fraction {
    Nowhere,
    Last,
    /// Only a zone follows.
    BeforeZone,
    /// Where nothing can be told without reading all of it.
    Elsewhere,
}

impl Fraction {
    fn of(format: &Format) -> Fraction {
        if format.ends_with_fraction() {
            Fraction::Last
        } else if format.ends_with_fraction_and_zone() {
            Fraction::BeforeZone
        } else if format.has_fraction() {
            Fraction::Elsewhere
        } else {
            Fraction::Nowhere
        }
    }
}

/// Offsets of zones that are real, in seconds.
const OFFSETS: RangeInclusive<i32> = -93_599..=93_599;

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
            fraction: Fraction::of(&format),
            format,
            zone_offset: zone.to_fixed_offset().ok().map(|offset| offset.seconds()),
            zone,
            strict: options.time_strict,
            last: None,
        }))
    }

    /// Reads `text`; none if it is not a time in this format.
    #[inline]
    pub fn read(&mut self, text: &[u8]) -> Option<Time> {
        match self.read_cached(text) {
            Some(time) => Some(time),
            None => self.read_new(text),
        }
    }

    #[inline(never)]
    fn read_new(&mut self, text: &[u8]) -> Option<Time> {
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
        self.remember(&text[..used], parts.fraction, seconds);
        Some(Time::new(seconds, parts.nanos))
    }

    #[inline]
    fn read_cached(&self, text: &[u8]) -> Option<Time> {
        let last = self.last.as_ref()?;
        let rest = behind_prefix(text, &last.before)?;
        // The last number or zone must not go on.
        let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
        if self.fraction == Fraction::Nowhere {
            let is_same = !rest.first().is_some_and(goes_on);
            return is_same.then(|| Time::new(last.seconds, 0));
        }
        let (mut number, mut digits) = eight_digits(rest).map_or((0, 0), |number| (number, 8));
        while digits < 9
            && let Some(byte @ b'0'..=b'9') = rest.get(digits)
        {
            number = number * 10 + u32::from(byte - b'0');
            digits += 1;
        }
        if self.fraction == Fraction::BeforeZone {
            let behind = behind_prefix(&rest[digits..], &last.behind)?;
            if behind.first().is_some_and(goes_on) {
                return None;
            }
        }
        const TENS: [u32; 10] = {
            let mut tens = [1; 10];
            let mut digits = 9;
            while digits > 0 {
                digits -= 1;
                tens[digits] = 10 * tens[digits + 1];
            }
            tens
        };
        (digits > 0).then(|| Time::new(last.seconds, number * TENS[digits]))
    }

    /// Keeps what decides the second. A fraction that is elsewhere than at the end decides nothing and may differ: nothing is
    /// kept then. A format without a year means the running one, and would be kept over the turn of it.
    fn remember(&mut self, text: &[u8], fraction: (usize, usize), seconds: i64) {
        if text.is_empty() || self.fraction == Fraction::Elsewhere || self.format.lacks_year() {
            self.last = None;
            return;
        }
        let (before, behind) = match self.fraction {
            Fraction::Nowhere => (text, &[][..]),
            _ => (&text[..fraction.0], &text[fraction.0 + fraction.1..]),
        };
        let last = self.last.get_or_insert_default();
        last.before.clear();
        last.before.extend_from_slice(before);
        last.behind.clear();
        last.behind.extend_from_slice(behind);
        last.seconds = seconds;
    }

    fn seconds(&self, parts: &Parts) -> Option<i64> {
        let offset = parts.offset.or(self.zone_offset);
        if let (Some(offset), Some(days)) = (offset, days(parts)) {
            let hours = days * 24 + parts.hour;
            let seconds = (hours * 60 + parts.minute) * 60 + parts.second;
            return OFFSETS
                .contains(&offset)
                .then(|| seconds - i64::from(offset));
        }
        self.seconds_of_calendar(parts)
    }

    /// The same for what needs today's date or a zone with rules.
    #[inline(never)]
    fn seconds_of_calendar(&self, parts: &Parts) -> Option<i64> {
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

/// What stands behind `prefix`. Texts of times are compared here rather than by a call.
#[inline(always)]
fn behind_prefix<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (text, rest) = text.split_at_checked(prefix.len())?;
    let word = |text: &[u8], at: usize| {
        let bytes = text.get(at..at + 8)?.first_chunk()?;
        Some(u64::from_ne_bytes(*bytes))
    };
    let is_equal = match text.len() {
        // From the end on, where they differ if they do. The words may overlap.
        len @ 16..=32 => [len - 8, len - 16, 8, 0]
            .into_iter()
            .all(|at| word(text, at) == word(prefix, at)),
        _ => text.iter().eq(prefix),
    };
    is_equal.then_some(rest)
}

/// The number that `text` begins with, if it has eight digits at least: of those.
#[inline(always)]
fn eight_digits(text: &[u8]) -> Option<u32> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let bytes = u64::from_le_bytes(*text.first_chunk::<8>()?);
    // The high half of each byte says 3, also if six more than its low half are added.
    let highs = bytes & (ONES * 0xf0) | (bytes.wrapping_add(ONES * 6) & (ONES * 0xf0)) >> 4;
    if highs != ONES * 0x33 {
        return None;
    }
    // Neighbours become numbers of two, four and eight digits. The first digit is the lowest byte.
    let digits = bytes & (ONES * 0x0f);
    let twos = (digits.wrapping_mul((10 << 8) + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul((100 << 16) + 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul((10_000 << 32) + 1) >> 32) as u32)
}

/// The day that the parts name in full, counted from 1970-01-01, in the Gregorian calendar. As `timegm`: the 30th of February
/// is the 2nd of March.
fn days(parts: &Parts) -> Option<i64> {
    let (year, month, day) = match (parts.day_of_year, parts.month, parts.day) {
        (Some(day), ..) => (parts.year?, 1, day),
        (None, Some(month), Some(day)) => (parts.year?, month, day),
        _ => return None,
    };
    // Years that begin in March, so that the leap day is the last; the first of them begins before any that can be named.
    let (year, month) = match month {
        1 | 2 => (year + 399, month + 9),
        _ => (year + 400, month - 3),
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let before_month = (153 * month + 2) / 5;
    // From the first of March of the year -400.
    Some(365 * year + leaps + before_month + day - 1 - 865_565)
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
    use proptest::prelude::*;

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
            (
                "%Y-%m-%dT%H:%M:%S.%L%z",
                ["2026-11-22T13:05:09.5+01", "2026-11-22T13:05:09.75+01:30"],
            ),
            (
                "%Y-%m-%dT%H:%M:%S.%L%z",
                ["2026-11-22T13:05:09.5Z", "2026-11-22T13:05:09.Z"],
            ),
            (
                "%Y-%m-%dT%H:%M:%S.%L%z",
                [
                    "2026-11-22T13:05:09.123456789Z",
                    "2026-11-22T13:05:09.1234567890Z",
                ],
            ),
            (
                "%Y-%m-%dT%H:%M:%S.%L%z",
                ["2026-11-22T13:05:09.5Z", "2026-11-22T13:05:09.5+0100"],
            ),
        ] {
            let mut cached = reader(&[("time_format", format)]);
            for text in texts {
                let fresh = reader(&[("time_format", format)]).read(text.as_bytes());
                assert_eq!(cached.read(text.as_bytes()), fresh, "{format}: {text}");
            }
        }
    }

    #[test]
    fn digits_are_counted_by_eight() {
        for text in ["12345678", "00000000", "99999999", "123456789", "90817263x"] {
            assert_eq!(
                eight_digits(text.as_bytes()),
                text[..8].parse().ok(),
                "{text}"
            );
        }
        for at in 0..8 {
            for other in (0..=255_u8).filter(|other| !other.is_ascii_digit()) {
                let mut text = *b"12345678";
                text[at] = other;
                assert_eq!(eight_digits(&text), None, "{}", text.escape_ascii());
            }
        }
        assert_eq!(eight_digits(b"1234567"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn numbers_are_read_by_eight_digits(number in 0..100_000_000_u32) {
            prop_assert_eq!(eight_digits(format!("{number:08}").as_bytes()), Some(number));
        }

        #[test]
        fn prefixes_are_those_of_the_library(text in "[ab]{0,3}a{0,40}[ab]{0,3}", len in 0..44_usize, at in 0..44_usize) {
            let mut prefix = text.as_bytes()[..len.min(text.len())].to_vec();
            prop_assert_eq!(behind_prefix(text.as_bytes(), &prefix), text.as_bytes().strip_prefix(&prefix[..]));
            if let Some(byte) = prefix.get_mut(at) {
                *byte ^= 1;
                prop_assert_eq!(behind_prefix(text.as_bytes(), &prefix), None);
            }
            prefix.resize(text.len() + 1, b'a');
            prop_assert_eq!(behind_prefix(text.as_bytes(), &prefix), None);
        }

        #[test]
        fn the_cache_changes_no_fraction(fractions in prop::collection::vec("[0-9]{0,12}[Z:+x]?", 2..8)) {
            let docker = [("time_format", "%Y-%m-%dT%H:%M:%S.%L")];
            let zoned = [("time_format", "%Y-%m-%dT%H:%M:%S.%L%z")];
            for format in [docker, zoned] {
                let mut cached = reader(&format);
                for fraction in &fractions {
                    let text = format!("2026-11-22T13:05:09.{fraction}");
                    let fresh = reader(&format).read(text.as_bytes());
                    prop_assert_eq!(cached.read(text.as_bytes()), fresh, "{}", text);
                }
            }
        }

        #[test]
        fn seconds_are_those_of_the_calendar(
            date in (0..=9999_i64, 1..=12_i64, 1..=31_i64),
            day_of_year in prop::option::of(1..=366_i64),
            time in (0..=23_i64, 0..=59_i64, 0..=60_i64),
            offset in prop::option::of(-200_000..200_000),
        ) {
            let reader = reader(&[("time_format", "%s"), ("time_offset", "+0200")]);
            let mut parts = Parts::default();
            (parts.year, parts.month, parts.day) = (Some(date.0), Some(date.1), Some(date.2));
            (parts.hour, parts.minute, parts.second) = time;
            (parts.day_of_year, parts.offset) = (day_of_year, offset);
            let real = |seconds: &i64| SECONDS.contains(seconds);
            let expected = reader.seconds_of_calendar(&parts).filter(real);
            prop_assert_eq!(reader.seconds(&parts).filter(real), expected);
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
