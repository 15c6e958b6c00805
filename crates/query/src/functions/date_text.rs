//! Dates as text and zones: `date_format`, `date_parse`, `parse_datetime`, `from_iso8601_timestamp` …
//!
//! A timestamp's zone is part of its column's type here, while in Trino each value has its own. So what is
//! parsed with a zone comes out in UTC: the same instant, printed in another zone.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Date32Array};
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMillisecondType};
use datafusion::common::ScalarValue;

use crate::error::Error;
use crate::time::civil::Civil;
use crate::time::joda::JodaPattern;
use crate::time::mysql::MysqlFormat;
use crate::time::{MILLIS_PER_SECOND, iso, zone};

use super::date_parts::Clock;
use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Double, Timestamp, Varchar};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "date_format",
        overloads: &[Overload {
            params: &[Timestamp, Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                let clock = Clock::of(call, 0)?;
                let mut formats = Last::new(MysqlFormat::parse);
                call.map_text(|row| {
                    Ok(Some(
                        formats.get(call.text(1).value(row))?.format(clock.at(row)),
                    ))
                })
            },
        }],
    },
    Definition {
        name: "date_parse",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Timestamp,
            body: |call| {
                let mut formats = Last::new(MysqlFormat::parse);
                call.map_millis(|row| {
                    let text = call.text(0).value(row);
                    let parsed = formats.get(call.text(1).value(row))?.read(text);
                    parsed
                        .map(|time| Some(time.to_millis()))
                        .ok_or_else(|| bad_format(text))
                })
            },
        }],
    },
    Definition {
        name: "parse_datetime",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::TimestampUtc,
            body: |call| {
                let mut patterns = Last::new(JodaPattern::parse);
                call.map_millis(|row| {
                    let text = call.text(0).value(row);
                    let parsed = patterns.get(call.text(1).value(row))?.read(text);
                    let (time, named) = parsed.ok_or_else(|| bad_format(text))?;
                    Ok(Some(named.map_or_else(
                        || time.to_millis(),
                        |zone| zone::instant(&zone, time),
                    )))
                })
            },
        }],
    },
    Definition {
        name: "format_datetime",
        overloads: &[Overload {
            params: &[Timestamp, Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                let clock = Clock::of(call, 0)?;
                let zone_name = zone_name(call.args[0].data_type()).unwrap_or_else(|| "UTC".into());
                let mut patterns = Last::new(JodaPattern::parse);
                call.map_text(|row| {
                    let offset = zone::offset_at(&clock.zone, clock.millis(row));
                    Ok(Some(patterns.get(call.text(1).value(row))?.format(
                        clock.at(row),
                        &zone_name,
                        offset,
                    )))
                })
            },
        }],
    },
    Definition {
        name: "from_iso8601_timestamp",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::TimestampUtc,
            body: |call| {
                call.map_millis(|row| {
                    let text = call.text(0).value(row);
                    let (time, offset) = iso::parse_iso(text).ok_or_else(|| bad_format(text))?;
                    Ok(Some(
                        time.to_millis() - i64::from(offset.unwrap_or(0)) * MILLIS_PER_SECOND,
                    ))
                })
            },
        }],
    },
    Definition {
        name: "from_iso8601_date",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Date,
            body: |call| {
                let mut days = Vec::with_capacity(call.rows);
                for row in 0..call.rows {
                    if call.any_null(row) {
                        days.push(None);
                        continue;
                    }
                    let text = call.text(0).value(row);
                    let date = iso::parse_date(text).ok_or_else(|| bad_format(text))?;
                    days.push(i32::try_from(date.days()).ok());
                }
                Ok(Arc::new(Date32Array::from(days)))
            },
        }],
    },
    Definition {
        name: "to_iso8601",
        overloads: &[Overload {
            params: &[Param::Any],
            variadic: false,
            returns: Returns::Varchar,
            body: to_iso8601,
        }],
    },
    Definition {
        name: "from_unixtime",
        overloads: &[
            Overload {
                params: &[Double],
                variadic: false,
                returns: Returns::TimestampUtc,
                body: |call| {
                    call.map_millis(|row| Ok(Some(unix_millis(call.double(0).value(row)))))
                },
            },
            Overload {
                params: &[Double, Varchar],
                variadic: false,
                returns: Returns::Computed(zone_of_second),
                body: |call| {
                    call.map_millis(|row| Ok(Some(unix_millis(call.double(0).value(row)))))
                },
            },
        ],
    },
    Definition {
        name: "to_unixtime",
        overloads: &[Overload {
            params: &[Timestamp],
            variadic: false,
            returns: Returns::Double,
            body: |call| {
                let millis = call.args[0].as_primitive::<TimestampMillisecondType>();
                call.map_double(|row| Ok(Some(millis.value(row) as f64 / 1_000.0)))
            },
        }],
    },
    Definition {
        name: "at_timezone",
        overloads: &[Overload {
            params: &[Timestamp, Varchar],
            variadic: false,
            returns: Returns::Computed(zone_of_second),
            body: |call| {
                let millis = call.args[0].as_primitive::<TimestampMillisecondType>();
                call.map_millis(|row| Ok(Some(millis.value(row))))
            },
        }],
    },
    Definition {
        name: "with_timezone",
        overloads: &[Overload {
            params: &[Timestamp, Varchar],
            variadic: false,
            returns: Returns::Computed(zone_of_second),
            body: |call| {
                let clock = Clock::of(call, 0)?;
                call.map_millis(|row| {
                    let zone = zone::named(call.text(1).value(row))
                        .ok_or_else(|| bad_zone(call.text(1).value(row)))?;
                    Ok(Some(zone::instant(&zone, clock.at(row))))
                })
            },
        }],
    },
];

/// A format that was read once, for as long as the rows name the same.
struct Last<T> {
    parse: fn(&str) -> Result<T, String>,
    last: Option<(String, T)>,
}

impl<T> Last<T> {
    fn new(parse: fn(&str) -> Result<T, String>) -> Last<T> {
        Last { parse, last: None }
    }

    fn get(&mut self, format: &str) -> Result<&T, Error> {
        let parsed = match self.last.take() {
            Some((text, parsed)) if text == format => parsed,
            _ => (self.parse)(format).map_err(invalid)?,
        };
        Ok(&self.last.insert((format.to_owned(), parsed)).1)
    }
}

fn bad_format(text: &str) -> Error {
    invalid(format!("Invalid format: \"{text}\""))
}

fn bad_zone(name: &str) -> Error {
    invalid(format!("'{name}' is not a valid time zone"))
}

fn zone_name(data_type: &DataType) -> Option<String> {
    match data_type {
        DataType::Timestamp(_, Some(name)) => Some(name.to_string()),
        _ => None,
    }
}

/// A timestamp in the zone that the second argument names, which must be a literal.
fn zone_of_second(_: &[DataType], literals: &[Option<&ScalarValue>]) -> Result<DataType, Error> {
    let zone_type = |name: &str| DataType::Timestamp(TimeUnit::Millisecond, Some(name.into()));
    match literals.get(1) {
        Some(Some(ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)))) => {
            match zone::named(name) {
                Some(_) => Ok(zone_type(name)),
                None => Err(bad_zone(name)),
            }
        }
        _ => Err(invalid(
            "the time zone must be a literal such as 'Asia/Tokyo'",
        )),
    }
}

fn unix_millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// `2019-11-22`, `2019-11-22T13:01:02.000`, `2019-11-22T13:01:02.000Z` by the type of the argument.
fn to_iso8601(call: &Call) -> Result<ArrayRef, Error> {
    let data_type = call.args[0].data_type().clone();
    call.map_text(|row| match &data_type {
        DataType::Date32 => Ok(crate::text::value_text(&call.args[0], row)),
        DataType::Timestamp(unit, zone_name) => {
            let millis = crate::text::timestamp_millis(&call.args[0], row, *unit);
            let zone = match zone_name {
                Some(name) => Some(zone::named(name).ok_or_else(|| bad_zone(name))?),
                None => None,
            };
            let time = zone.as_ref().map_or_else(|| Civil::from_millis(millis), |zone| zone::wall_clock(zone, millis));
            let suffix = match zone.map(|zone| zone::offset_at(&zone, millis)) {
                None => String::new(),
                Some(0) => "Z".into(),
                Some(offset) => zone::offset_text(offset, true),
            };
            Ok(Some(format!("{}T{}{suffix}", iso::date_text(time), iso::time_text(time))))
        }
        other => Err(Error::new(
            crate::ErrorKind::FunctionNotFound,
            format!(
                "Unexpected parameters ({}) for function to_iso8601. Expected: to_iso8601(date), to_iso8601(timestamp)",
                crate::types::sql_name(other)
            ),
        )),
    })
}
