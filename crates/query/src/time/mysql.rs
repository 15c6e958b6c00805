//! The format language of `date_format` and `date_parse`: MySQL's, as Trino's documentation lists it.

use super::civil::Civil;
use super::names::{DAYS, MONTHS, short};
use super::reader::{Reader, hour_of_half};

/// Specifiers that Trino names as unsupported.
const UNSUPPORTED: [char; 7] = ['D', 'U', 'u', 'V', 'w', 'X', 'L'];

/// A format cut into its parts once, to be used for many values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MysqlFormat(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Specifier(char),
}

impl MysqlFormat {
    /// Reads a format; the error is the message for the user.
    pub(crate) fn parse(format: &str) -> Result<MysqlFormat, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                literal.push(character);
                continue;
            }
            let specifiers = match characters.next() {
                None => return Err("invalid format: '%' at its end".into()),
                Some(unsupported) if UNSUPPORTED.contains(&unsupported) => {
                    return Err(format!(
                        "%{unsupported} not supported in date format string"
                    ));
                }
                Some('T') => "H:i:s",
                Some('r') => "h:i:s p",
                Some(specifier) if "abcdefHhIijklMmpSsvWYyx".contains(specifier) => {
                    push_literal(&mut parts, &mut literal);
                    parts.push(Part::Specifier(specifier));
                    continue;
                }
                Some(other) => {
                    literal.push(other);
                    continue;
                }
            };
            push_literal(&mut parts, &mut literal);
            for part in specifiers.chars() {
                parts.push(if part.is_alphabetic() {
                    Part::Specifier(part)
                } else {
                    Part::Literal(part.into())
                });
            }
        }
        push_literal(&mut parts, &mut literal);
        Ok(MysqlFormat(parts))
    }

    /// The text of a time in this format.
    pub(crate) fn format(&self, time: Civil) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Specifier(specifier) => text.push_str(&specified(*specifier, time)),
            }
        }
        text
    }

    /// Reads a whole text in this format. Parts that the format does not name are those of 1970-01-01 00:00:00.
    pub(crate) fn read(&self, text: &str) -> Option<Civil> {
        let mut reader = Reader { rest: text };
        let mut fields = Fields::default();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => reader.literal(literal)?,
                Part::Specifier(specifier) => fields.read(*specifier, &mut reader)?,
            }
        }
        if reader.rest.is_empty() {
            fields.civil()
        } else {
            None
        }
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

fn specified(specifier: char, time: Civil) -> String {
    let hour12 = (time.hour + 11) % 12 + 1;
    let day = DAYS[time.day_of_week() as usize - 1];
    let month = MONTHS[time.month as usize - 1];
    match specifier {
        'a' => short(day).into(),
        'b' => short(month).into(),
        'c' => time.month.to_string(),
        'd' => format!("{:02}", time.day),
        'e' => time.day.to_string(),
        'f' => format!("{:06}", time.nano / 1_000),
        'H' => format!("{:02}", time.hour),
        'h' | 'I' => format!("{hour12:02}"),
        'i' => format!("{:02}", time.minute),
        'j' => format!("{:03}", time.day_of_year()),
        'k' => time.hour.to_string(),
        'l' => hour12.to_string(),
        'M' => month.into(),
        'm' => format!("{:02}", time.month),
        'p' => if time.hour < 12 { "AM" } else { "PM" }.into(),
        'S' | 's' => format!("{:02}", time.second),
        'v' => format!("{:02}", time.iso_week().1),
        'W' => day.into(),
        'x' => format!("{:04}", time.iso_week().0),
        'Y' => format!("{:04}", time.year),
        'y' => format!("{:02}", time.year.rem_euclid(100)),
        _ => String::new(),
    }
}

#[derive(Debug, Default)]
struct Fields {
    year: Option<i64>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: Option<u32>,
    hour_of_half: Option<u32>,
    afternoon: bool,
    minute: u32,
    second: u32,
    nano: u32,
}

impl Fields {
    fn read(&mut self, specifier: char, reader: &mut Reader<'_>) -> Option<()> {
        match specifier {
            'a' | 'W' => drop(reader.name(&DAYS)?),
            'b' | 'M' => self.month = Some(reader.name(&MONTHS)? + 1),
            'c' | 'm' => self.month = Some(reader.number(1, 2)?),
            'd' | 'e' => self.day = Some(reader.number(1, 2)?),
            'f' => self.nano = reader.fraction(9)?,
            'H' | 'k' => self.hour = Some(reader.number(1, 2)?),
            'h' | 'I' | 'l' => self.hour_of_half = Some(reader.number(1, 2)?),
            'i' => self.minute = reader.number(1, 2)?,
            'j' => self.day_of_year = Some(reader.number(1, 3)?),
            'p' => self.afternoon = reader.half_of_day()?,
            'S' | 's' => self.second = reader.number(1, 2)?,
            'Y' => self.year = Some(i64::from(reader.number(1, 4)?)),
            // Two digits mean 1970 to 2069.
            'y' => {
                let short = i64::from(reader.number(1, 2)?);
                self.year = Some(if short >= 70 {
                    1900 + short
                } else {
                    2000 + short
                });
            }
            'v' => drop(reader.number(1, 2)?),
            'x' => drop(reader.number(1, 4)?),
            _ => return None,
        }
        Some(())
    }

    fn civil(&self) -> Option<Civil> {
        let year = self.year.unwrap_or(1970);
        let date = match self.day_of_year {
            Some(day) if self.month.is_none() && day >= 1 => {
                let start = Civil::date(year, 1, 1)?;
                let date =
                    Civil::from_millis((start.days() + i64::from(day) - 1) * super::MILLIS_PER_DAY);
                if date.year == year { date } else { return None }
            }
            _ => Civil::date(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
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

    fn read(text: &str, format: &str) -> Option<String> {
        MysqlFormat::parse(format)
            .expect(format)
            .read(text)
            .map(timestamp_text)
    }

    /// The examples are those of Trino's documentation of MySQL date functions.
    #[test]
    fn values_are_formatted() {
        let time = Civil::date(2022, 10, 20)
            .and_then(|day| day.at(5, 10, 7, 123_456_000))
            .expect("time");
        let cases = [
            ("%m-%d-%Y %H", "10-20-2022 05"),
            ("%a %b %c %e %f", "Thu Oct 10 20 123456"),
            ("%T %r", "05:10:07 05:10:07 AM"),
            (
                "%j %v %x %W %M %y %l %k %p",
                "293 42 2022 Thursday October 22 5 5 AM",
            ),
            ("%% %q", "% q"),
        ];
        for (format, text) in cases {
            assert_eq!(
                MysqlFormat::parse(format).expect(format).format(time),
                text,
                "{format}"
            );
        }
    }

    #[test]
    fn texts_are_read() {
        let cases = [
            (
                "2022/10/20/05",
                "%Y/%m/%d/%H",
                Some("2022-10-20 05:00:00.000"),
            ),
            (
                "22/Nov/2019:13:01:02",
                "%d/%b/%Y:%H:%i:%s",
                Some("2019-11-22 13:01:02.000"),
            ),
            ("11:05 PM", "%h:%i %p", Some("1970-01-01 23:05:00.000")),
            ("70-01-02", "%y-%m-%d", Some("1970-01-02 00:00:00.000")),
            ("2019-326", "%Y-%j", Some("2019-11-22 00:00:00.000")),
            ("2019-02-30", "%Y-%m-%d", None),
            ("2019-02-03x", "%Y-%m-%d", None),
            ("13:00 PM", "%h:%i %p", None),
        ];
        for (text, format, expected) in cases {
            assert_eq!(
                read(text, format).as_deref(),
                expected,
                "{text} as {format}"
            );
        }
    }

    #[test]
    fn unsupported_specifiers_are_named() {
        assert_eq!(
            MysqlFormat::parse("%U"),
            Err("%U not supported in date format string".into())
        );
        assert!(MysqlFormat::parse("%").is_err());
    }
}
