//! Parts of a date or time: `year`, `month`, `day_of_week`, `hour` … Also what `EXTRACT` becomes.
//!
//! Of a timestamp with a time zone it is the clock of that zone that counts.

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, TimestampMillisecondType};
use jiff::tz::TimeZone;

use crate::error::Error;
use crate::time::civil::{Civil, days_in_month};
use crate::time::zone;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

macro_rules! part {
    ($($name:literal),* => $part:expr) => {
        [$(Definition {
            name: $name,
            overloads: &[Overload {
                params: &[Param::Timestamp],
                variadic: false,
                returns: Returns::Bigint,
                body: |call| {
                    let clock = Clock::of(call, 0)?;
                    let part: fn(Civil) -> i64 = $part;
                    call.map_bigint(|row| Ok(Some(part(clock.at(row)))))
                },
            }],
        }),*]
    };
}

static YEAR: [Definition; 1] = part!("year" => |time| time.year);
static QUARTER: [Definition; 1] = part!("quarter" => |time| i64::from(time.month + 2) / 3);
static MONTH: [Definition; 1] = part!("month" => |time| time.month.into());
static WEEK: [Definition; 2] = part!("week", "week_of_year" => |time| time.iso_week().1.into());
static YEAR_OF_WEEK: [Definition; 2] = part!("year_of_week", "yow" => |time| time.iso_week().0);
static DAY: [Definition; 2] = part!("day", "day_of_month" => |time| time.day.into());
static DAY_OF_WEEK: [Definition; 2] =
    part!("day_of_week", "dow" => |time| time.day_of_week().into());
static DAY_OF_YEAR: [Definition; 2] =
    part!("day_of_year", "doy" => |time| time.day_of_year().into());
static HOUR: [Definition; 1] = part!("hour" => |time| time.hour.into());
static MINUTE: [Definition; 1] = part!("minute" => |time| time.minute.into());
static SECOND: [Definition; 1] = part!("second" => |time| time.second.into());
static MILLISECOND: [Definition; 1] =
    part!("millisecond" => |time| i64::from(time.nano / 1_000_000));

static OTHERS: [Definition; 3] = [
    Definition {
        name: "last_day_of_month",
        overloads: &[Overload {
            params: &[Param::Timestamp],
            variadic: false,
            returns: Returns::Date,
            body: |call| {
                let clock = Clock::of(call, 0)?;
                let days = (0..call.rows).map(|row| {
                    let time = (!call.any_null(row)).then(|| clock.at(row))?;
                    let last =
                        Civil::date(time.year, time.month, days_in_month(time.year, time.month))?;
                    i32::try_from(last.days()).ok()
                });
                Ok(std::sync::Arc::new(
                    datafusion::arrow::array::Date32Array::from_iter(days),
                ))
            },
        }],
    },
    Definition {
        name: "timezone_hour",
        overloads: &[Overload {
            params: &[Param::Timestamp],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| offset_part(call, |seconds| seconds / 3600),
        }],
    },
    Definition {
        name: "timezone_minute",
        overloads: &[Overload {
            params: &[Param::Timestamp],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| offset_part(call, |seconds| seconds / 60 % 60),
        }],
    },
];

pub(super) fn functions() -> impl Iterator<Item = &'static Definition> {
    let singles = [
        &YEAR,
        &QUARTER,
        &MONTH,
        &HOUR,
        &MINUTE,
        &SECOND,
        &MILLISECOND,
    ];
    let pairs = [&WEEK, &YEAR_OF_WEEK, &DAY, &DAY_OF_WEEK, &DAY_OF_YEAR];
    singles
        .into_iter()
        .flatten()
        .chain(pairs.into_iter().flatten())
        .chain(&OTHERS)
}

fn offset_part(call: &Call, part: fn(i32) -> i32) -> Result<ArrayRef, Error> {
    let clock = Clock::of(call, 0)?;
    call.map_bigint(|row| {
        Ok(Some(
            part(zone::offset_at(&clock.zone, clock.millis(row))).into(),
        ))
    })
}

/// The wall clock of a column of timestamps.
pub(super) struct Clock<'a> {
    column: &'a ArrayRef,
    pub zone: TimeZone,
}

impl<'a> Clock<'a> {
    pub(super) fn of(call: &'a Call, index: usize) -> Result<Clock<'a>, Error> {
        let column = &call.args[index];
        let zone = match column.data_type() {
            DataType::Timestamp(_, Some(name)) => zone::named(name)
                .ok_or_else(|| invalid(format!("'{name}' is not a valid time zone")))?,
            _ => TimeZone::UTC,
        };
        Ok(Clock { column, zone })
    }

    pub(super) fn millis(&self, row: usize) -> i64 {
        self.column
            .as_primitive::<TimestampMillisecondType>()
            .value(row)
    }

    pub(super) fn at(&self, row: usize) -> Civil {
        zone::wall_clock(&self.zone, self.millis(row))
    }

    /// The instant at which this clock shows `time`.
    pub(super) fn instant(&self, time: Civil) -> i64 {
        zone::instant(&self.zone, time)
    }
}
