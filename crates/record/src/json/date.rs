//! The time of an event in JSON text.

use super::number::write_float;
use crate::Time;

/// `json_date_format`: how the time of an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateFormat {
    /// Seconds as a float of 16 digits: `1795355641.663014`.
    #[default]
    Double,
    /// `"2026-11-22T14:00:06.662928Z"`: UTC, digits beyond the sixth cut off.
    Iso8601,
    /// Whole seconds.
    Epoch,
    /// Whole milliseconds.
    EpochMs,
    /// `"2026-11-22 14:00:06.662928"`.
    JavaSqlTimestamp,
}

impl DateFormat {
    /// The words that `json_date_format` takes.
    pub const NAMES: [&str; 7] = [
        "double",
        "iso8601",
        "epoch",
        "epoch_ms",
        "epoch_millis",
        "epoch_milliseconds",
        "java_sql_timestamp",
    ];

    /// The format of this configuration word, in any case; `None` for an unknown word.
    pub fn from_name(name: &str) -> Option<DateFormat> {
        match name.to_ascii_lowercase().as_str() {
            "double" => Some(DateFormat::Double),
            "iso8601" => Some(DateFormat::Iso8601),
            "epoch" => Some(DateFormat::Epoch),
            "epoch_ms" | "epoch_millis" | "epoch_milliseconds" => Some(DateFormat::EpochMs),
            "java_sql_timestamp" => Some(DateFormat::JavaSqlTimestamp),
            _ => None,
        }
    }

    /// Appends `time` as a JSON value.
    pub fn write(self, time: Time, out: &mut Vec<u8>) {
        let integer = |value: i64, out: &mut Vec<u8>| {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        match self {
            DateFormat::Double => {
                write_float(
                    time.seconds() as f64 + f64::from(time.subsec_nanos()) / 1e9,
                    out,
                );
            }
            DateFormat::Iso8601 => timestamp(time, b'T', b"Z\"", out),
            DateFormat::Epoch => integer(time.seconds(), out),
            DateFormat::EpochMs => integer(time.millis(), out),
            DateFormat::JavaSqlTimestamp => timestamp(time, b' ', b"\"", out),
        }
    }
}

/// Appends date, `separator`, time to the microsecond, `end`.
fn timestamp(time: Time, separator: u8, end: &[u8], out: &mut Vec<u8>) {
    let (days, second) = (
        time.seconds().div_euclid(86_400),
        time.seconds().rem_euclid(86_400) as u32,
    );
    let (year, month, day) = civil(days);
    let mut text = *b"\"0000-00-00 00:00:00.000000";
    digits(&mut text[1..5], year);
    digits(&mut text[6..8], month);
    digits(&mut text[9..11], day);
    text[11] = separator;
    digits(&mut text[12..14], second / 3600);
    digits(&mut text[15..17], second / 60 % 60);
    digits(&mut text[18..20], second % 60);
    digits(&mut text[21..27], time.subsec_nanos() / 1000);
    out.extend_from_slice(&text);
    out.extend_from_slice(end);
}

fn digits(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. A [`Time`] reaches from 1677 to 2262.
fn civil(days: i64) -> (u32, u32, u32) {
    // Years that begin in March, so that the leap day is the last; eras of 400 years, which all have the same days.
    const ERA: u32 = 146_097;
    let day = (days + 719_468) as u32;
    let (era, day) = (day / ERA, day % ERA);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (
        day - (153 * month + 2) / 5 + 1,
        if month < 10 { month + 3 } else { month - 9 },
    );
    (era * 400 + year + u32::from(month <= 2), month, day)
}
