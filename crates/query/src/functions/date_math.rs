//! Reckoning with dates: `date_add`, `date_diff`, `date_trunc`.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

use crate::error::Error;
use crate::time::MILLIS_PER_DAY;
use crate::time::civil::Civil;

use super::date_parts::Clock;
use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Any, Bigint, Timestamp, Varchar};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "date_add",
        overloads: &[Overload {
            params: &[Varchar, Bigint, Timestamp],
            variadic: false,
            returns: Returns::SameAs(2),
            body: |call| {
                let clock = Clock::of(call, 2)?;
                call.map_millis(|row| {
                    let unit = Unit::named(call.text(0).value(row))?;
                    unit.add(&clock, row, call.bigint(1).value(row)).map(Some)
                })
            },
        }],
    },
    Definition {
        name: "date_diff",
        overloads: &[Overload {
            params: &[Varchar, Timestamp, Timestamp],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                let (from, to) = (Clock::of(call, 1)?, Clock::of(call, 2)?);
                call.map_bigint(|row| {
                    let unit = Unit::named(call.text(0).value(row))?;
                    Ok(Some(unit.between(&from, &to, row)))
                })
            },
        }],
    },
    Definition {
        name: "date_trunc",
        overloads: &[Overload {
            params: &[Varchar, Any],
            variadic: false,
            returns: Returns::Computed(truncated_type),
            body: truncate,
        }],
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Of fixed length, in milliseconds.
    Fixed(i64),
    Day,
    Week,
    Months(i64),
}

impl Unit {
    fn named(name: &str) -> Result<Unit, Error> {
        Ok(match name.to_lowercase().as_str() {
            "millisecond" => Unit::Fixed(1),
            "second" => Unit::Fixed(1_000),
            "minute" => Unit::Fixed(60_000),
            "hour" => Unit::Fixed(3_600_000),
            "day" => Unit::Day,
            "week" => Unit::Week,
            "month" => Unit::Months(1),
            "quarter" => Unit::Months(3),
            "year" => Unit::Months(12),
            _ => {
                let help = "units are millisecond, second, minute, hour, day, week, month, quarter and year";
                return Err(
                    invalid(format!("'{name}' is not a valid TIMESTAMP field")).with_help(help)
                );
            }
        })
    }

    fn add(self, clock: &Clock<'_>, row: usize, count: i64) -> Result<i64, Error> {
        let overflow = || invalid("timestamp out of range");
        let day_shifted = |days: i64| {
            let millis = days
                .checked_mul(MILLIS_PER_DAY)
                .and_then(|shift| clock.at(row).to_millis().checked_add(shift));
            millis
                .filter(|millis| millis.abs() < 100_000 * 366 * MILLIS_PER_DAY)
                .map(Civil::from_millis)
        };
        match self {
            Unit::Fixed(length) => count
                .checked_mul(length)
                .and_then(|shift| clock.millis(row).checked_add(shift))
                .ok_or_else(overflow),
            Unit::Day => day_shifted(count)
                .map(|time| clock.instant(time))
                .ok_or_else(overflow),
            Unit::Week => count
                .checked_mul(7)
                .and_then(day_shifted)
                .map(|time| clock.instant(time))
                .ok_or_else(overflow),
            Unit::Months(length) => count
                .checked_mul(length)
                .and_then(|months| clock.at(row).plus_months(months))
                .map(|time| clock.instant(time))
                .ok_or_else(overflow),
        }
    }

    /// How many whole units lie between two times; negative if the second is earlier.
    fn between(self, from: &Clock<'_>, to: &Clock<'_>, row: usize) -> i64 {
        let (start, end) = (from.at(row).to_millis(), to.at(row).to_millis());
        match self {
            Unit::Fixed(length) => (to.millis(row) - from.millis(row)) / length,
            Unit::Day => (end - start) / MILLIS_PER_DAY,
            Unit::Week => (end - start) / (7 * MILLIS_PER_DAY),
            Unit::Months(length) => months_between(start, end) / length,
        }
    }

    fn truncate(self, name: &str, clock: &Clock<'_>, row: usize) -> i64 {
        let time = clock.at(row);
        let midnight = |civil: Civil| Civil {
            hour: 0,
            minute: 0,
            second: 0,
            nano: 0,
            ..civil
        };
        let truncated = match self {
            Unit::Fixed(1) => Civil {
                nano: time.nano / 1_000_000 * 1_000_000,
                ..time
            },
            Unit::Fixed(1_000) => Civil { nano: 0, ..time },
            Unit::Fixed(60_000) => Civil {
                second: 0,
                nano: 0,
                ..time
            },
            Unit::Fixed(_) => Civil {
                minute: 0,
                second: 0,
                nano: 0,
                ..time
            },
            Unit::Day => midnight(time),
            Unit::Week => Civil::from_millis(
                midnight(time).to_millis() - i64::from(time.day_of_week() - 1) * MILLIS_PER_DAY,
            ),
            Unit::Months(_) => {
                let month = match name {
                    "year" => 1,
                    "quarter" => (time.month - 1) / 3 * 3 + 1,
                    _ => time.month,
                };
                Civil {
                    month,
                    day: 1,
                    ..midnight(time)
                }
            }
        };
        clock.instant(truncated)
    }
}

/// Whole months from one time to another; a month is whole when its day and time are reached again.
fn months_between(start: i64, end: i64) -> i64 {
    let (from, to) = (
        Civil::from_millis(start.min(end)),
        Civil::from_millis(start.max(end)),
    );
    let mut months = (to.year - from.year) * 12 + i64::from(to.month) - i64::from(from.month);
    if from
        .plus_months(months)
        .is_none_or(|reached| reached.to_millis() > to.to_millis())
    {
        months -= 1;
    }
    if end < start { -months } else { months }
}

/// A date stays a date, a timestamp stays a timestamp.
fn truncated_type(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType, Error> {
    match &types[1] {
        DataType::Date32 | DataType::Date64 => Ok(DataType::Date32),
        DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(
            datafusion::arrow::datatypes::TimeUnit::Millisecond,
            zone.clone(),
        )),
        other => {
            let message = format!(
                "Unexpected parameters (varchar, {}) for function date_trunc. Expected: date_trunc(varchar, date), \
                 date_trunc(varchar, timestamp)",
                crate::types::sql_name(other)
            );
            Err(Error::new(crate::ErrorKind::FunctionNotFound, message))
        }
    }
}

fn truncate(call: &Call) -> Result<ArrayRef, Error> {
    let arrow = |error: datafusion::arrow::error::ArrowError| invalid(error.to_string());
    let in_millis = match &call.returns {
        DataType::Date32 => {
            DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Millisecond, None)
        }
        timestamp => timestamp.clone(),
    };
    let times = cast(&call.args[1], &in_millis).map_err(arrow)?;
    let inner = Call {
        args: vec![call.args[0].clone(), times],
        rows: call.rows,
        returns: in_millis,
    };
    let clock = Clock::of(&inner, 1)?;
    let truncated = inner.map_millis(|row| {
        let name = inner.text(0).value(row).to_lowercase();
        Ok(Some(Unit::named(&name)?.truncate(&name, &clock, row)))
    })?;
    cast(&truncated, &call.returns).map_err(arrow)
}
