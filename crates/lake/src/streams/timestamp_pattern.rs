//! Date patterns inside `!{timestamp:…}`: those of Java's `DateTimeFormatter`, as far as they do not depend on a locale.

use std::fmt::Write;

use jiff::Zoned;

/// The letters that are understood, for messages.
const LETTERS: &str = "y u M L d D H h K k m s S n A a E Q q X x Z z V";

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
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A checked pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampPattern(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Text(String),
    /// A letter and how often it stands there.
    Field(u8, usize),
}

impl TimestampPattern {
    /// Checks `pattern`. The error says what is wrong and what is allowed.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' => quoted(rest, &mut items)?,
                'a'..='z' | 'A'..='Z' => field(rest, &mut items)?,
                '[' | ']' | '{' | '}' | '#' => {
                    return Err(format!(
                        "'{first}' is reserved in the timestamp pattern '{pattern}'"
                    ));
                }
                _ => {
                    text(&mut items, &rest[..first.len_utf8()]);
                    first.len_utf8()
                }
            };
            rest = &rest[length..];
        }
        match items.is_empty() {
            true => Err("a timestamp expression needs a pattern, such as yyyy/MM/dd/HH".to_owned()),
            false => Ok(Self(items)),
        }
    }

    /// Appends `time`, in its own zone, to `out`.
    pub fn write(&self, time: &Zoned, out: &mut String) {
        for item in &self.0 {
            match item {
                Item::Text(text) => out.push_str(text),
                Item::Field(letter, count) => write_field(*letter, *count, time, out),
            }
        }
    }
}

/// Takes text between single quotes from the head of `rest`; two quotes are one. Gives the length taken.
fn quoted(rest: &str, items: &mut Vec<Item>) -> Result<usize, String> {
    if rest.starts_with("''") {
        text(items, "'");
        return Ok(2);
    }
    let mut at = 1;
    loop {
        let Some(end) = rest[at..].find('\'').map(|distance| at + distance) else {
            return Err(format!(
                "the quote in the timestamp pattern at \"{rest}\" is not closed"
            ));
        };
        text(items, &rest[at..end]);
        if !rest[end + 1..].starts_with('\'') {
            return Ok(end + 1);
        }
        text(items, "'");
        at = end + 2;
    }
}

/// Takes a run of one letter from the head of `rest`. Gives the length taken.
fn field(rest: &str, items: &mut Vec<Item>) -> Result<usize, String> {
    let letter = rest.as_bytes()[0];
    let count = rest.bytes().take_while(|&byte| byte == letter).count();
    let most = match letter {
        b'y' | b'u' | b'S' | b'n' | b'A' => 9,
        b'M' | b'L' | b'E' | b'X' | b'x' | b'Z' => 5,
        b'Q' | b'q' | b'D' | b'z' => 3,
        b'd' | b'H' | b'h' | b'K' | b'k' | b'm' | b's' => 2,
        b'a' => 1,
        b'V' if count != 2 => {
            return Err("the zone's name is written VV in a timestamp pattern".to_owned());
        }
        b'V' => 2,
        _ => {
            return Err(format!(
                "'{}' is not a letter of timestamp patterns that is supported here; supported are {LETTERS}, and text in single quotes",
                char::from(letter)
            ));
        }
    };
    if count > most {
        return Err(format!(
            "'{}' may stand at most {most} times in a timestamp pattern",
            char::from(letter)
        ));
    }
    items.push(Item::Field(letter, count));
    Ok(count)
}

fn text(items: &mut Vec<Item>, more: &str) {
    match items.last_mut() {
        Some(Item::Text(text)) => text.push_str(more),
        _ => items.push(Item::Text(more.to_owned())),
    }
}

fn write_field(letter: u8, count: usize, time: &Zoned, out: &mut String) {
    let hour = i64::from(time.hour());
    match letter {
        b'y' | b'u' if count == 2 => number(out, i64::from(time.year()).rem_euclid(100), 2),
        b'y' | b'u' => number(out, i64::from(time.year()), count),
        b'M' | b'L' => named(
            out,
            i64::from(time.month()),
            count,
            MONTHS[time.month() as usize - 1],
        ),
        b'd' => number(out, i64::from(time.day()), count),
        b'D' => number(out, i64::from(time.day_of_year()), count),
        b'H' => number(out, hour, count),
        b'k' => number(out, if hour == 0 { 24 } else { hour }, count),
        b'K' => number(out, hour % 12, count),
        b'h' => number(out, if hour % 12 == 0 { 12 } else { hour % 12 }, count),
        b'm' => number(out, i64::from(time.minute()), count),
        b's' => number(out, i64::from(time.second()), count),
        b'S' => out.push_str(&format!("{:09}", time.subsec_nanosecond())[..count]),
        b'n' => number(out, i64::from(time.subsec_nanosecond()), count),
        b'A' => number(out, millisecond_of_day(time), count),
        b'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        b'E' => weekday(out, time, count),
        b'Q' | b'q' if count == 3 => {
            write_into(out, format_args!("Q{}", (time.month() - 1) / 3 + 1))
        }
        b'Q' | b'q' => number(out, i64::from((time.month() - 1) / 3 + 1), count),
        b'z' => write_into(out, format_args!("{}", time.strftime("%Z"))),
        b'V' => out.push_str(time.time_zone().iana_name().unwrap_or("UTC")),
        _ => offset(out, letter, count, time.offset().seconds()),
    }
}

fn millisecond_of_day(time: &Zoned) -> i64 {
    let seconds =
        (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60 + i64::from(time.second());
    seconds * 1000 + i64::from(time.subsec_nanosecond()) / 1_000_000
}

fn weekday(out: &mut String, time: &Zoned, count: usize) {
    let name = DAYS[time.weekday().to_monday_zero_offset() as usize];
    match count {
        1..=3 => out.push_str(&name[..3]),
        4 => out.push_str(name),
        _ => out.push_str(&name[..1]),
    }
}

/// A month: a number for one or two letters, else its name in three lengths.
fn named(out: &mut String, value: i64, count: usize, name: &str) {
    match count {
        1 | 2 => number(out, value, count),
        3 => out.push_str(&name[..3]),
        4 => out.push_str(name),
        _ => out.push_str(&name[..1]),
    }
}

/// A zone offset: `X` and `x` in hours, `+hhmm` or `+hh:mm`, `X` with `Z` for zero; `Z` likewise from `+hhmm`.
fn offset(out: &mut String, letter: u8, count: usize, seconds: i32) {
    if seconds == 0 && (letter == b'X' || (letter == b'Z' && count == 5)) {
        return out.push('Z');
    }
    if letter == b'Z' && count == 4 {
        out.push_str("GMT");
        if seconds == 0 {
            return;
        }
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (
        seconds.unsigned_abs() / 3600,
        seconds.unsigned_abs() / 60 % 60,
    );
    let colon =
        if matches!(count, 3 | 5) && letter != b'Z' || matches!(count, 4 | 5) && letter == b'Z' {
            ":"
        } else {
            ""
        };
    if letter != b'Z' && count == 1 && minutes == 0 {
        return write_into(out, format_args!("{sign}{hours:02}"));
    }
    write_into(out, format_args!("{sign}{hours:02}{colon}{minutes:02}"));
}

fn number(out: &mut String, value: i64, width: usize) {
    write_into(out, format_args!("{value:0width$}"));
}

fn write_into(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(what);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pattern: &str) -> Result<String, String> {
        let time: Zoned = "2026-07-05T00:03:09.012345678+09:00[Asia/Tokyo]"
            .parse()
            .unwrap();
        let mut out = String::new();
        TimestampPattern::parse(pattern)?.write(&time, &mut out);
        Ok(out)
    }

    #[test]
    fn patterns_are_written_as_java_writes_them() {
        for (pattern, expected) in [
            ("yyyy/MM/dd/HH/", "2026/07/05/00/"),
            ("yyyy-MM-dd HH:mm:ss.SSS", "2026-07-05 00:03:09.012"),
            ("'year='yyyy'/month='MM", "year=2026/month=07"),
            ("yy y u uuuu yyyyy", "26 2026 2026 2026 02026"),
            ("M MM MMM MMMM MMMMM L", "7 07 Jul July J 7"),
            ("d dd D DDD", "5 05 186 186"),
            ("H HH k kk K KK h hh a", "0 00 24 24 0 00 12 12 AM"),
            ("E EEE EEEE EEEEE", "Sun Sun Sunday S"),
            ("Q QQ QQQ", "3 03 Q3"),
            ("S SSSSSS n A", "0 012345 12345678 189012"),
            (
                "X XX XXX x xxx Z ZZZZ ZZZZZ",
                "+09 +0900 +09:00 +09 +09:00 +0900 GMT+09:00 +09:00",
            ),
            ("VV z", "Asia/Tokyo JST"),
            ("'o''clock' ''HH''", "o'clock '00'"),
            ("'T'HH", "T00"),
            ("/", "/"),
        ] {
            assert_eq!(written(pattern).as_deref(), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn utc_is_z_where_java_says_so() {
        let time: Zoned = "2026-07-05T00:03:09+00:00[UTC]".parse().unwrap();
        let mut out = String::new();
        TimestampPattern::parse("X x xxx Z ZZZZ ZZZZZ")
            .unwrap()
            .write(&time, &mut out);
        assert_eq!(out, "Z +00 +00:00 +0000 GMT Z");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (pattern, told) in [
            ("", "needs a pattern"),
            ("YYYY", "'Y' is not a letter"),
            ("yyyy[MM]", "'[' is reserved"),
            ("'open", "is not closed"),
            ("ddd", "at most 2 times"),
            ("V", "VV"),
        ] {
            let error = written(pattern).unwrap_err();
            assert!(error.contains(told), "{pattern}: {error}");
        }
    }
}
