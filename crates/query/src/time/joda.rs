//! The format language of `parse_datetime` and `format_datetime` (Joda-Time's), which is also close enough
//! to java.time's for the patterns of `timestamp.formats`.
//!
//! Letters: `y Y x M d D e E a h H k K m s S Z z`, text in single quotes, other signs as they are.

use jiff::tz::TimeZone;

use super::civil::Civil;
use super::names::{DAYS, MONTHS, short};
use super::reader::{Reader, hour_of_half};
use super::zone;

/// A pattern cut into its parts once, to be used for many values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JodaPattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A letter and how often it is repeated.
    Field(char, usize),
}

impl JodaPattern {
    /// Reads a pattern; the error is the message for the user.
    pub(crate) fn parse(pattern: &str) -> Result<JodaPattern, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut characters = pattern.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\'' => parts.push(Part::Literal(quoted(&mut characters, pattern)?)),
                letter if letter.is_ascii_alphabetic() => {
                    if !"yYxMdDeEahHkKmsSZz".contains(letter) {
                        return Err(format!("Illegal pattern component: {letter}"));
                    }
                    match parts.last_mut() {
                        Some(Part::Field(last, count)) if *last == letter => *count += 1,
                        _ => parts.push(Part::Field(letter, 1)),
                    }
                    continue;
                }
                other => parts.push(Part::Literal(other.into())),
            }
        }
        Ok(JodaPattern(parts))
    }

    /// The text of the instant whose wall clock in its zone shows `time`.
    pub(crate) fn format(&self, time: Civil, zone_name: &str, offset_seconds: i32) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Field('Z', 1) => text.push_str(&zone::offset_text(offset_seconds, false)),
                Part::Field('Z', 2) => text.push_str(&zone::offset_text(offset_seconds, true)),
                Part::Field('Z' | 'z', _) => text.push_str(zone_name),
                Part::Field(letter, count) => text.push_str(&field_text(*letter, *count, time)),
            }
        }
        text
    }

    /// Reads a whole text: the wall clock it shows and the zone it names, if it does.
    pub(crate) fn read(&self, text: &str) -> Option<(Civil, Option<TimeZone>)> {
        let mut reader = Reader { rest: text };
        let mut fields = Fields::default();
        for (index, part) in self.0.iter().enumerate() {
            match part {
                Part::Literal(literal) => reader.literal(literal)?,
                Part::Field(letter, count) => {
                    // Digits that stand next to each other are told apart by their number.
                    let fixed = matches!(self.0.get(index + 1), Some(Part::Field(..)));
                    fields.read(*letter, *count, fixed, &mut reader)?;
                }
            }
        }
        if !reader.rest.is_empty() {
            return None;
        }
        Some((fields.civil()?, fields.zone))
    }
}

/// The text up to the closing quote; two quotes are one, also outside of quotes.
fn quoted(
    characters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    pattern: &str,
) -> Result<String, String> {
    if characters.next_if_eq(&'\'').is_some() {
        return Ok("'".into());
    }
    let mut literal = String::new();
    loop {
        match characters.next() {
            Some('\'') if characters.next_if_eq(&'\'').is_some() => literal.push('\''),
            Some('\'') => return Ok(literal),
            Some(character) => literal.push(character),
            None => return Err(format!("quote without end in pattern: {pattern}")),
        }
    }
}

fn field_text(letter: char, count: usize, time: Civil) -> String {
    let hour12 = (time.hour + 11) % 12 + 1;
    let number = |value: i64| format!("{value:0count$}");
    let named = |name: &'static str| if count >= 4 { name } else { short(name) }.to_owned();
    match letter {
        'y' | 'Y' if count == 2 => format!("{:02}", time.year.rem_euclid(100)),
        'y' | 'Y' => number(time.year),
        'x' => number(time.iso_week().0),
        'M' if count >= 3 => named(MONTHS[time.month as usize - 1]),
        'M' => number(time.month.into()),
        'd' => number(time.day.into()),
        'D' => number(time.day_of_year().into()),
        'e' => number(time.day_of_week().into()),
        'E' => named(DAYS[time.day_of_week() as usize - 1]),
        'a' => if time.hour < 12 { "AM" } else { "PM" }.into(),
        'h' => number(hour12.into()),
        'K' => number((time.hour % 12).into()),
        'H' => number(time.hour.into()),
        'k' => number(((time.hour + 23) % 24 + 1).into()),
        'm' => number(time.minute.into()),
        's' => number(time.second.into()),
        'S' => {
            let digits = format!("{:09}", time.nano);
            if count <= 9 {
                digits[..count].into()
            } else {
                format!("{digits:0<count$}")
            }
        }
        _ => String::new(),
    }
}

#[derive(Debug, Default)]
struct Fields {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    afternoon: bool,
    minute: u32,
    second: u32,
    nano: u32,
    zone: Option<TimeZone>,
}

impl Fields {
    fn read(
        &mut self,
        letter: char,
        count: usize,
        fixed: bool,
        reader: &mut Reader<'_>,
    ) -> Option<()> {
        let digits = |most: usize| {
            if fixed {
                (count, count.max(1))
            } else {
                (1, most.max(count))
            }
        };
        let number = |reader: &mut Reader<'_>, most: usize| {
            let (min, max) = digits(most);
            reader.number(min, max)
        };
        match letter {
            'y' | 'Y' if count == 2 => {
                // Joda's pivot: within fifty years of now, with 2020 as a fixed now.
                let short = i64::from(reader.number(2, 2)?);
                self.year = Some(if short >= 70 {
                    1900 + short
                } else {
                    2000 + short
                });
            }
            'y' | 'Y' | 'x' => self.year = Some(i64::from(number(reader, 5)?)),
            'M' if count >= 3 => self.month = Some(reader.name(&MONTHS)? + 1),
            'M' => self.month = Some(number(reader, 2)?),
            'd' => self.day = Some(number(reader, 2)?),
            'D' => drop(number(reader, 3)?),
            'e' => drop(number(reader, 1)?),
            'E' => drop(reader.name(&DAYS)?),
            'a' => self.afternoon = reader.half_of_day()?,
            'h' => self.hour_of_half = Some(number(reader, 2)?),
            'K' => {
                self.hour_of_half =
                    Some(number(reader, 2)?).map(|hour| if hour == 0 { 12 } else { hour })
            }
            'H' => self.hour = Some(number(reader, 2)?),
            'k' => self.hour = Some(number(reader, 2)? % 24),
            'm' => self.minute = number(reader, 2)?,
            's' => self.second = number(reader, 2)?,
            'S' => self.nano = reader.fraction(if fixed { count } else { 9 })?,
            _ => {
                let name = reader.take_while(|c| c.is_ascii_alphanumeric() || "+-:/_".contains(c));
                self.zone = Some(zone::named(name)?);
            }
        }
        Some(())
    }

    fn civil(&self) -> Option<Civil> {
        let date = Civil::date(
            self.year.unwrap_or(1970),
            self.month.unwrap_or(1),
            self.day.unwrap_or(1),
        )?;
        let hour = match (self.hour, self.hour_of_half) {
            (Some(hour), _) => hour,
            (None, Some(hour)) => hour_of_half(hour, self.afternoon)?,
            (None, None) => 0,
        };
        date.at(hour, self.minute, self.second, self.nano)
    }
}

#[cfg(test)]
mod tests {
    use super::super::iso::timestamp_text;
    use super::*;

    #[test]
    fn texts_are_read_with_their_zone() {
        let cases = [
            (
                "22/Nov/2019:13:01:02 +0900",
                "dd/MMM/yyyy:HH:mm:ss Z",
                Some(("2019-11-22 13:01:02.000", 32_400)),
            ),
            (
                "2019-11-22T13:01:02.250Z",
                "yyyy-MM-dd'T'HH:mm:ss.SSSZ",
                Some(("2019-11-22 13:01:02.250", 0)),
            ),
            (
                "20191122130102",
                "yyyyMMddHHmmss",
                Some(("2019-11-22 13:01:02.000", 0)),
            ),
            (
                "Friday, November 22 2019 1 PM",
                "EEEE, MMMM dd yyyy h a",
                Some(("2019-11-22 13:00:00.000", 0)),
            ),
            (
                "2019-11-22 13 Asia/Tokyo",
                "yyyy-MM-dd HH z",
                Some(("2019-11-22 13:00:00.000", 32_400)),
            ),
            ("2019-11-31", "yyyy-MM-dd", None),
        ];
        for (text, pattern, expected) in cases {
            let read = JodaPattern::parse(pattern).expect(pattern).read(text);
            let shown = read.map(|(civil, zone)| {
                let offset = zone.map_or(0, |zone| zone::offset_at(&zone, civil.to_millis()));
                (timestamp_text(civil), offset)
            });
            assert_eq!(
                shown,
                expected.map(|(time, offset)| (time.to_owned(), offset)),
                "{text}"
            );
        }
    }

    #[test]
    fn times_are_written() {
        let time = Civil::date(2019, 11, 2)
            .and_then(|day| day.at(13, 1, 2, 250_000_000))
            .expect("time");
        let cases = [
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSS ZZ",
                "2019-11-02T13:01:02.250 +09:00",
            ),
            ("yy/M/d h:mm a", "19/11/2 1:01 PM"),
            ("EEE, d MMM yyyy z", "Sat, 2 Nov 2019 Asia/Tokyo"),
            ("''yyyy'' 'o''clock'", "'2019' o'clock"),
        ];
        for (pattern, text) in cases {
            assert_eq!(
                JodaPattern::parse(pattern)
                    .expect(pattern)
                    .format(time, "Asia/Tokyo", 32_400),
                text
            );
        }
        assert!(JodaPattern::parse("yyyy-qq").is_err());
    }
}
