//! Values in Athena's text form: what results hold and what `CAST(… AS varchar)` gives.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericBinaryArray, OffsetSizeTrait, PrimitiveArray,
};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalUnit, TimeUnit, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::time::civil::Civil;
use crate::time::{MILLIS_PER_DAY, iso, zone};

/// The text of one value; nothing for NULL.
pub(crate) fn value_text(array: &ArrayRef, row: usize) -> Option<String> {
    // An array of the type Null has no bits that say so.
    if array.is_null(row) || array.data_type().is_null() {
        return None;
    }
    Some(non_null_text(array, row))
}

fn non_null_text(array: &ArrayRef, row: usize) -> String {
    match array.data_type() {
        DataType::Boolean => bool_text(array.as_boolean(), row),
        DataType::Int8 => number::<Int8Type>(array, row),
        DataType::Int16 => number::<Int16Type>(array, row),
        DataType::Int32 => number::<Int32Type>(array, row),
        DataType::Int64 => number::<Int64Type>(array, row),
        DataType::UInt8 => number::<UInt8Type>(array, row),
        DataType::UInt16 => number::<UInt16Type>(array, row),
        DataType::UInt32 => number::<UInt32Type>(array, row),
        DataType::UInt64 => number::<UInt64Type>(array, row),
        DataType::Float16 => real_text(f32::from(array.as_primitive::<Float16Type>().value(row))),
        DataType::Float32 => real_text(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => double_text(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, row),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, row),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, row),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, row),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Binary => binary::<i32>(array.as_binary(), row),
        DataType::LargeBinary => binary::<i64>(array.as_binary(), row),
        DataType::BinaryView => hex_pairs(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex_pairs(array.as_fixed_size_binary().value(row)),
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            iso::date_text(Civil::from_millis(days * MILLIS_PER_DAY))
        }
        DataType::Date64 => iso::date_text(Civil::from_millis(
            array.as_primitive::<Date64Type>().value(row),
        )),
        DataType::Timestamp(unit, zone_name) => timestamp(array, row, *unit, zone_name.as_deref()),
        DataType::Time32(unit) | DataType::Time64(unit) => time_of_day(array, row, *unit),
        DataType::Interval(unit) => interval(array, row, *unit),
        DataType::List(_) => list_text(&array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => list_text(&array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => list_text(&array.as_fixed_size_list().value(row)),
        DataType::Map(..) => map_text(array, row),
        DataType::Struct(_) => struct_text(array, row),
        _ => plain(array, row),
    }
}

fn bool_text(array: &BooleanArray, row: usize) -> String {
    array.value(row).to_string()
}

fn number<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> String
where
    T::Native: std::fmt::Display,
{
    array.as_primitive::<T>().value(row).to_string()
}

fn decimal<T: DecimalType>(array: &ArrayRef, row: usize) -> String {
    let decimals: &PrimitiveArray<T> = array.as_primitive();
    T::format_decimal(decimals.value(row), decimals.precision(), decimals.scale())
}

fn binary<O: OffsetSizeTrait>(array: &GenericBinaryArray<O>, row: usize) -> String {
    hex_pairs(array.value(row))
}

/// `68 69`
fn hex_pairs(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// A double as java.lang.Double.toString writes it: `1.0`, `1.0E10`, `NaN`, `Infinity`.
pub(crate) fn double_text(value: f64) -> String {
    java_text(
        value,
        value.abs(),
        |value| format!("{value}"),
        |value| format!("{value:e}"),
    )
}

fn real_text(value: f32) -> String {
    java_text(
        value,
        f64::from(value.abs()),
        |value| format!("{value}"),
        |value| format!("{value:e}"),
    )
}

/// Java turns to scientific notation below 10⁻³ and from 10⁷ on; Rust's shortest digits are the same.
fn java_text<T: Copy>(
    value: T,
    size: f64,
    plain: impl Fn(T) -> String,
    scientific: impl Fn(T) -> String,
) -> String {
    if size.is_nan() {
        return "NaN".into();
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let text = plain(value);
        return if text.contains('.') {
            text
        } else {
            format!("{text}.0")
        };
    }
    if size.is_infinite() {
        return if plain(value).starts_with('-') {
            "-Infinity"
        } else {
            "Infinity"
        }
        .into();
    }
    let text = scientific(value);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

/// Milliseconds since 1970 of a value of any timestamp type; finer parts are cut off.
pub(crate) fn timestamp_millis(array: &ArrayRef, row: usize, unit: TimeUnit) -> i64 {
    use datafusion::arrow::datatypes::{
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType,
    };
    match unit {
        TimeUnit::Second => array
            .as_primitive::<TimestampSecondType>()
            .value(row)
            .saturating_mul(1_000),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row),
        TimeUnit::Microsecond => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .div_euclid(1_000),
        TimeUnit::Nanosecond => array
            .as_primitive::<TimestampNanosecondType>()
            .value(row)
            .div_euclid(1_000_000),
    }
}

fn timestamp(array: &ArrayRef, row: usize, unit: TimeUnit, zone_name: Option<&str>) -> String {
    let millis = timestamp_millis(array, row, unit);
    match zone_name {
        None => iso::timestamp_text(Civil::from_millis(millis)),
        Some(name) => zoned_text(millis, name),
    }
}

/// `2019-11-22 13:01:02.000 Asia/Tokyo`
pub(crate) fn zoned_text(millis: i64, zone_name: &str) -> String {
    let wall_clock = match zone::named(zone_name) {
        Some(zone) => zone::wall_clock(&zone, millis),
        None => Civil::from_millis(millis),
    };
    let shown = if zone_name == "+00:00" {
        "UTC"
    } else {
        zone_name
    };
    format!("{} {shown}", iso::timestamp_text(wall_clock))
}

fn time_of_day(array: &ArrayRef, row: usize, unit: TimeUnit) -> String {
    use datafusion::arrow::datatypes::{
        Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    };
    let millis = match unit {
        TimeUnit::Second => i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000,
        TimeUnit::Millisecond => {
            i64::from(array.as_primitive::<Time32MillisecondType>().value(row))
        }
        TimeUnit::Microsecond => array.as_primitive::<Time64MicrosecondType>().value(row) / 1_000,
        TimeUnit::Nanosecond => array.as_primitive::<Time64NanosecondType>().value(row) / 1_000_000,
    };
    iso::time_text(Civil::from_millis(millis))
}

/// `2 03:04:05.000` for days and times, `1-2` for years and months, as Trino writes them.
fn interval(array: &ArrayRef, row: usize, unit: IntervalUnit) -> String {
    use datafusion::arrow::datatypes::{
        IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType,
    };
    let (months, days, millis) = match unit {
        IntervalUnit::YearMonth => (
            array.as_primitive::<IntervalYearMonthType>().value(row),
            0,
            0,
        ),
        IntervalUnit::DayTime => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            (0, value.days, i64::from(value.milliseconds))
        }
        IntervalUnit::MonthDayNano => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            (value.months, value.days, value.nanoseconds / 1_000_000)
        }
    };
    if months != 0 && days == 0 && millis == 0 {
        return format!(
            "{}{}-{}",
            if months < 0 { "-" } else { "" },
            months.abs() / 12,
            months.abs() % 12
        );
    }
    let total = i64::from(days) * MILLIS_PER_DAY + millis;
    let size = total.unsigned_abs() as i64;
    let time = iso::time_text(Civil::from_millis(size % MILLIS_PER_DAY));
    format!(
        "{}{} {time}",
        if total < 0 { "-" } else { "" },
        size / MILLIS_PER_DAY
    )
}

fn element_text(array: &ArrayRef, row: usize) -> String {
    value_text(array, row).unwrap_or_else(|| "null".into())
}

/// `[a, b, null]`
fn list_text(elements: &ArrayRef) -> String {
    let texts: Vec<String> = (0..elements.len())
        .map(|row| element_text(elements, row))
        .collect();
    format!("[{}]", texts.join(", "))
}

/// `{k=v, k2=v2}`
fn map_text(array: &ArrayRef, row: usize) -> String {
    let entries = array.as_map().value(row);
    let [keys, values] = [entries.column(0), entries.column(1)];
    let texts: Vec<String> = (0..entries.len())
        .map(|row| format!("{}={}", element_text(keys, row), element_text(values, row)))
        .collect();
    format!("{{{}}}", texts.join(", "))
}

/// `{a=1, b=x}`
fn struct_text(array: &ArrayRef, row: usize) -> String {
    let fields = array.as_struct();
    let texts: Vec<String> = fields
        .fields()
        .iter()
        .zip(fields.columns())
        .enumerate()
        .map(|(index, (field, column))| {
            let anonymous = field.name().is_empty() || field.name() == &format!("c{index}");
            let name = if anonymous {
                format!("field{index}")
            } else {
                field.name().clone()
            };
            format!("{name}={}", element_text(column, row))
        })
        .collect();
    format!("{{{}}}", texts.join(", "))
}

/// Types that no statement of Athena's can give a column.
fn plain(array: &ArrayRef, row: usize) -> String {
    match ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default()) {
        Ok(formatter) => formatter.value(row).to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Decimal128Array, TimestampNanosecondArray};
    use std::sync::Arc;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        let cases = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (100.0, "100.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in cases {
            assert_eq!(double_text(value), text);
        }
        assert_eq!(real_text(0.1), "0.1");
    }

    #[test]
    fn decimals_and_timestamps_keep_their_digits() {
        let decimals: ArrayRef = Arc::new(
            Decimal128Array::from(vec![150])
                .with_precision_and_scale(5, 2)
                .expect("decimal"),
        );
        assert_eq!(value_text(&decimals, 0).as_deref(), Some("1.50"));
        let times = TimestampNanosecondArray::from(vec![1_574_427_662_123_456_789]);
        let plain: ArrayRef = Arc::new(times.clone());
        assert_eq!(
            value_text(&plain, 0).as_deref(),
            Some("2019-11-22 13:01:02.123")
        );
        let tokyo: ArrayRef = Arc::new(times.clone().with_timezone("Asia/Tokyo"));
        assert_eq!(
            value_text(&tokyo, 0).as_deref(),
            Some("2019-11-22 22:01:02.123 Asia/Tokyo")
        );
        let utc: ArrayRef = Arc::new(times.with_timezone("+00:00"));
        assert_eq!(
            value_text(&utc, 0).as_deref(),
            Some("2019-11-22 13:01:02.123 UTC")
        );
    }
}
