//! Time formats: `strptime` as Fluent Bit has it (upstream `src/flb_strptime.c`, derived from OpenBSD), compiled once.

use crate::zone_name;

/// A compiled format.
#[derive(Debug)]
pub struct Format {
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    /// This byte.
    Literal(u8),
    /// Any amount of white space, also none.
    Space,
    /// A number of at most so many digits, between the bounds.
    Number(Part, u8, i64, i64),
    /// The name of a month or a day of the week, whole or its first three letters.
    Month,
    Weekday,
    /// `AM` or `PM`.
    HalfDay,
    /// Digits of a fraction of a second.
    Fraction,
    /// An offset or the name of a zone.
    Zone,
    /// The name of a zone.
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Year,
    Century,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    HalfDayHour,
    Minute,
    Second,
    Epoch,
    /// Read and not used.
    Ignored,
}

/// What a text said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The year in full.
    pub year: Option<i64>,
    century: Option<i64>,
    year_of_century: Option<i64>,
    /// From 1.
    pub month: Option<i64>,
    /// From 1.
    pub day: Option<i64>,
    /// From 1.
    pub day_of_year: Option<i64>,
    /// From 0.
    pub hour: i64,
    half_day_hour: Option<i64>,
    is_afternoon: Option<bool>,
    /// From 0.
    pub minute: i64,
    /// From 0 to 60.
    pub second: i64,
    /// Nanoseconds.
    pub nanos: u32,
    /// Where the digits of the fraction of a second begin in the text, and how many they are.
    pub fraction: (usize, usize),
    /// Seconds east of UTC, if the text names a zone.
    pub offset: Option<i32>,
    /// Seconds since 1970, if the text names them.
    pub epoch: Option<i64>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
/// The zones that RFC 822 names, in hours.
const ZONES: [(&str, i32); 12] = [
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("GMT", 0),
    ("UTC", 0),
    ("UT", 0),
    ("Z", 0),
];

impl Format {
    /// Compiles a format; an error names the conversion that is unknown.
    pub fn new(format: &str) -> Result<Format, String> {
        let mut items = Vec::new();
        let mut characters = format.chars().peekable();
        while let Some(character) = characters.next() {
            if character.is_ascii_whitespace() {
                items.push(Item::Space);
            } else if character != '%' {
                let mut bytes = [0; 4];
                items.extend(character.encode_utf8(&mut bytes).bytes().map(Item::Literal));
            } else {
                // `%E` and `%O` ask for other digits or eras; in the C locale there are none.
                while characters
                    .next_if(|next| matches!(next, 'E' | 'O'))
                    .is_some()
                {}
                let conversion = characters.next().ok_or("the format ends with a lone '%'")?;
                push_conversion(conversion, &mut items)?;
            }
        }
        if items.iter().filter(|item| **item == Item::Fraction).count() > 1 {
            return Err("'%L' may stand once".into());
        }
        Ok(Format { items })
    }

    /// Whether the format reads a fraction of the second.
    pub fn has_fraction(&self) -> bool {
        self.items.contains(&Item::Fraction)
    }

    /// Whether the fraction is the last thing that the format reads, and set off from the digits before it.
    pub fn ends_with_fraction(&self) -> bool {
        let is_mark = |byte: &u8| !byte.is_ascii_digit();
        matches!(&self.items[..], [.., Item::Literal(byte), Item::Fraction] if is_mark(byte))
    }

    /// The same, but for a zone that follows the fraction at once.
    pub fn ends_with_fraction_and_zone(&self) -> bool {
        let is_mark = |byte: &u8| !byte.is_ascii_digit();
        matches!(&self.items[..], [.., Item::Literal(byte), Item::Fraction, Item::Zone] if is_mark(byte))
    }

    /// Whether the format names no year and no epoch, so that today's is meant.
    pub fn lacks_year(&self) -> bool {
        let names = |item: &Item| {
            matches!(
                item,
                Item::Number(Part::Year | Part::YearOfCentury | Part::Epoch, ..)
            )
        };
        !self.items.iter().any(names)
    }

    /// Reads `text`: what it said, and how many bytes were used. Text behind is not looked at. The error holds what was
    /// read before the mismatch.
    #[expect(
        clippy::result_large_err,
        reason = "what was read before a mismatch may count, and a time is read into a cache"
    )]
    pub fn parse(&self, text: &[u8]) -> Result<(Parts, usize), Parts> {
        let mut parts = Parts::default();
        let mut at = 0;
        for item in &self.items {
            match item.read(text, at, &mut parts) {
                Some(next) => at = next,
                None => return Err(parts.finished()),
            }
        }
        Ok((parts.finished(), at))
    }
}

fn push_conversion(conversion: char, items: &mut Vec<Item>) -> Result<(), String> {
    use Item::{HalfDay, Literal, Month, Number, Space, Weekday};
    let composite = |format: &str, items: &mut Vec<Item>| -> Result<(), String> {
        items.extend(Format::new(format)?.items);
        Ok(())
    };
    match conversion {
        '%' => items.push(Literal(b'%')),
        'n' | 't' => items.push(Space),
        'a' | 'A' => items.push(Weekday),
        'b' | 'B' | 'h' => items.push(Month),
        'c' => composite("%a %b %e %H:%M:%S %Y", items)?,
        'D' | 'x' => composite("%m/%d/%y", items)?,
        'F' => composite("%Y-%m-%d", items)?,
        'r' => composite("%I:%M:%S %p", items)?,
        'R' => composite("%H:%M", items)?,
        'T' | 'X' => composite("%H:%M:%S", items)?,
        'C' => items.push(Number(Part::Century, 2, 0, 99)),
        'd' | 'e' => items.extend([Space, Number(Part::Day, 2, 1, 31)]),
        'g' => items.push(Number(Part::Ignored, 2, 0, 99)),
        'G' => items.push(Number(Part::Ignored, 4, 0, 9999)),
        'H' | 'k' => items.extend([Space, Number(Part::Hour, 2, 0, 23)]),
        'I' | 'l' => items.extend([Space, Number(Part::HalfDayHour, 2, 1, 12)]),
        'j' => items.push(Number(Part::DayOfYear, 3, 1, 366)),
        'm' => items.push(Number(Part::Month, 2, 1, 12)),
        'M' => items.push(Number(Part::Minute, 2, 0, 59)),
        'p' => items.push(HalfDay),
        's' => items.push(Number(Part::Epoch, 19, 0, i64::MAX)),
        'S' => items.push(Number(Part::Second, 2, 0, 60)),
        'u' => items.push(Number(Part::Ignored, 1, 1, 7)),
        'w' => items.push(Number(Part::Ignored, 1, 0, 6)),
        'U' | 'V' | 'W' => items.push(Number(Part::Ignored, 2, 0, 53)),
        'y' => items.push(Number(Part::YearOfCentury, 2, 0, 99)),
        'Y' => items.push(Number(Part::Year, 4, 0, 9999)),
        'z' => items.push(Item::Zone),
        'Z' => items.push(Item::ZoneName),
        'L' => items.push(Item::Fraction),
        other => return Err(format!("'%{other}' is not a conversion")),
    }
    Ok(())
}

impl Item {
    /// Reads itself at `at` of `text` and gives the position behind, or none if it is not there.
    fn read(self, text: &[u8], at: usize, parts: &mut Parts) -> Option<usize> {
        let rest = &text[at..];
        match self {
            Item::Literal(byte) => (rest.first() == Some(&byte)).then_some(at + 1),
            Item::Space => Some(
                at + rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_whitespace())
                    .count(),
            ),
            Item::Number(part, digits, least, most) => {
                let (number, used) = number(rest, digits)?;
                (least..=most)
                    .contains(&number)
                    .then(|| parts.set(part, number))?;
                Some(at + used)
            }
            Item::Month => {
                let (index, used) = name(rest, &MONTHS)?;
                parts.month = Some(index as i64 + 1);
                Some(at + used)
            }
            Item::Weekday => name(rest, &WEEKDAYS).map(|(_, used)| at + used),
            Item::HalfDay => {
                let word = rest.get(..2)?;
                let is_afternoon = word.eq_ignore_ascii_case(b"PM");
                parts.is_afternoon = Some(is_afternoon);
                (is_afternoon || word.eq_ignore_ascii_case(b"AM")).then_some(at + 2)
            }
            Item::Fraction => {
                let digits = rest
                    .iter()
                    .take(9)
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                let (number, used) = number(rest, 9)?;
                parts.nanos = number as u32 * 10_u32.pow(9 - digits as u32);
                parts.fraction = (at, digits);
                Some(at + used)
            }
            Item::Zone => {
                let (offset, used) = zone(rest)?;
                parts.offset = Some(offset);
                Some(at + used)
            }
            Item::ZoneName => {
                let (offset, used) = zone_name::read(rest)?;
                parts.offset = Some(offset);
                Some(at + used)
            }
        }
    }
}

impl Parts {
    fn set(&mut self, part: Part, number: i64) {
        match part {
            Part::Year => self.year = Some(number),
            Part::Century => self.century = Some(number),
            Part::YearOfCentury => self.year_of_century = Some(number),
            Part::Month => self.month = Some(number),
            Part::Day => self.day = Some(number),
            Part::DayOfYear => self.day_of_year = Some(number),
            Part::Hour => self.hour = number,
            Part::HalfDayHour => self.half_day_hour = Some(number),
            Part::Minute => self.minute = number,
            Part::Second => self.second = number,
            Part::Epoch => self.epoch = Some(number),
            Part::Ignored => {}
        }
    }

    /// Puts together what stood in several places.
    fn finished(mut self) -> Parts {
        if let Some(year) = self.year_of_century {
            // As POSIX: 69 to 99 are 1969 to 1999.
            let century = self.century.unwrap_or(if year >= 69 { 19 } else { 20 });
            self.year = Some(century * 100 + year);
        }
        if let Some(hour) = self.half_day_hour {
            self.hour = hour % 12;
        }
        if self.is_afternoon == Some(true) && self.hour < 12 {
            self.hour += 12;
        }
        self
    }
}

fn number(text: &[u8], digits: u8) -> Option<(i64, usize)> {
    let used = text
        .iter()
        .take(usize::from(digits))
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = text[..used].iter().try_fold(0_i64, |number, byte| {
        number.checked_mul(10)?.checked_add(i64::from(byte - b'0'))
    })?;
    (used > 0).then_some((number, used))
}

/// The index of the name at the start of `text`, in any case, whole or its first three letters.
fn name(text: &[u8], names: &[&str]) -> Option<(usize, usize)> {
    let starts = |name: &str| {
        text.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    };
    names.iter().enumerate().find_map(|(index, name)| {
        [*name, &name[..3]]
            .into_iter()
            .find(|name| starts(name))
            .map(|name| (index, name.len()))
    })
}

/// An offset or the name of a zone: seconds east of UTC, and the bytes used.
fn zone(text: &[u8]) -> Option<(i32, usize)> {
    let blanks = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let rest = &text[blanks..];
    let sign = match rest.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return named_zone(rest).map(|(offset, used)| (offset, blanks + used)),
    };
    let (hours, used) = number(&rest[1..], 2).filter(|(_, used)| *used == 2)?;
    let mut at = 1 + used;
    let colon = usize::from(rest.get(at) == Some(&b':'));
    let minutes = match number(&rest[at + colon..], 2) {
        Some((minutes, 2)) => {
            at += colon + 2;
            minutes
        }
        _ => 0,
    };
    Some((sign * (hours * 3_600 + minutes * 60) as i32, blanks + at))
}

fn named_zone(text: &[u8]) -> Option<(i32, usize)> {
    let of_name = |(name, _): &&(&str, i32)| text.starts_with(name.as_bytes());
    if let Some((name, hours)) = ZONES.iter().find(of_name) {
        return Some((hours * 3_600, name.len()));
    }
    let hours = zone_name::military(*text.first()?)?;
    Some((hours * 3_600, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(format: &str, text: &str) -> Option<(Parts, usize)> {
        Format::new(format)
            .unwrap_or_else(|why| panic!("{format}: {why}"))
            .parse(text.as_bytes())
            .ok()
    }

    #[test]
    fn formats_read_their_texts() {
        let (parts, used) =
            parsed("%d/%b/%Y:%H:%M:%S %z", "22/Nov/2026:13:05:09 -0130").expect("a match");
        let read = (
            parts.year,
            parts.month,
            parts.day,
            parts.hour,
            parts.minute,
            parts.second,
            parts.offset,
            used,
        );
        assert_eq!(
            read,
            (Some(2026), Some(11), Some(22), 13, 5, 9, Some(-5_400), 26)
        );
        let (parts, used) =
            parsed("%Y-%m-%dT%H:%M:%S.%L", "2026-11-22T14:00:06.66292801Z").expect("a match");
        assert_eq!((parts.nanos, used), (662_928_010, 28));
        let (parts, _) = parsed("%b %e %I:%M:%S %p", "Feb  3 12:00:01 pm").expect("a match");
        assert_eq!((parts.month, parts.day, parts.hour), (Some(2), Some(3), 12));
        assert_eq!(
            parsed("%s.%L", "1700000000.5").expect("a match").0.epoch,
            Some(1_700_000_000)
        );
        assert_eq!(parsed("%y", "69").expect("a match").0.year, Some(1969));
        assert_eq!(
            parsed("%d/%m", "1/2").expect("a match").1,
            3,
            "one digit is enough"
        );
        for (zone, offset) in [
            ("+05:30", 19_800),
            ("Z", 0),
            ("PDT", -25_200),
            ("GMT", 0),
            ("B", 7_200),
            ("+01", 3_600),
        ] {
            assert_eq!(
                parsed("%z", zone).expect(zone).0.offset,
                Some(offset),
                "{zone}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_does_not_match() {
        for (format, text) in [
            ("%Y-%m", "2026-13"),
            ("%S", "61"),
            ("%S.%L", "01."),
            ("%b", "Nob"),
            ("%z", "+1"),
            ("a%Y", "b2026"),
            ("%d", ""),
        ] {
            assert_eq!(parsed(format, text), None, "{format} {text}");
        }
        assert!(Format::new("%q").is_err());
        assert!(Format::new("%L %L").is_err());
    }
}
