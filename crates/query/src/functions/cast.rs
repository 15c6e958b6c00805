//! `CAST` and `TRY_CAST` with Trino's rules, where Arrow's differ: numbers are rounded, not cut; times
//! have their text form; a text that is no number is an error that names it.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::error::{Error, ErrorKind};
use crate::formats::json::Decimal;
use crate::text::{timestamp_millis, value_text};
use crate::time::civil::Civil;
use crate::time::{MILLIS_PER_DAY, MILLIS_PER_SECOND, iso, zone};
use crate::trino::SqlType;

use super::scalar::external;

/// The cast function of a name such as `cast(varchar(3))` or `try_cast(bigint)`.
pub(super) fn named(name: &str) -> Option<ScalarUDF> {
    let (safe, rest) = match name.strip_prefix("try_cast(") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("cast(")?),
    };
    let target = SqlType::parse(rest.strip_suffix(')')?).ok()?;
    let signature = Signature::any(1, Volatility::Immutable);
    Some(ScalarUDF::new_from_impl(Cast {
        name: name.to_owned(),
        target,
        safe,
        signature,
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Cast {
    name: String,
    target: SqlType,
    /// What cannot be converted is NULL instead of an error.
    safe: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Cast {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.to_arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let from = args.arg_fields[0].data_type();
        if !castable(from, &self.target) {
            let from = crate::types::sql_name(from);
            let message = format!("Cannot cast {from} to {}", self.target);
            return Err(external(Error::new(ErrorKind::TypeMismatch, message)));
        }
        Ok(Arc::new(Field::new(
            &self.name,
            self.target.to_arrow(),
            true,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(value) => {
                let converted = self.convert(&value.to_array()?).map_err(external)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                    &converted, 0,
                )?))
            }
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(
                self.convert(values).map_err(external)?,
            )),
        }
    }
}

/// Casts that would only go wrong silently are refused as Trino refuses them.
fn castable(from: &DataType, target: &SqlType) -> bool {
    let temporal = matches!(
        target,
        SqlType::Date | SqlType::Timestamp | SqlType::TimestampWithTimeZone
    );
    let number = from.is_numeric() || *from == DataType::Boolean;
    let to_number = matches!(
        target,
        SqlType::TinyInt
            | SqlType::SmallInt
            | SqlType::Integer
            | SqlType::BigInt
            | SqlType::Real
            | SqlType::Double
            | SqlType::Decimal(..)
            | SqlType::Boolean
    );
    let from_temporal = matches!(
        from,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
    );
    !(temporal && number || to_number && from_temporal)
}

impl Cast {
    fn convert(&self, values: &ArrayRef) -> Result<ArrayRef, Error> {
        let from = values.data_type();
        let text = matches!(
            from,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        match &self.target {
            SqlType::Varchar(limit) => Ok(to_varchar(values, *limit)),
            SqlType::TinyInt => self.to_integer(values, i8::MIN.into(), i8::MAX.into()),
            SqlType::SmallInt => self.to_integer(values, i16::MIN.into(), i16::MAX.into()),
            SqlType::Integer => self.to_integer(values, i32::MIN.into(), i32::MAX.into()),
            SqlType::BigInt => self.to_integer(values, i64::MIN, i64::MAX),
            SqlType::Double | SqlType::Real if text => {
                let doubles: Float64Array = self.each_text(values, parse_double)?;
                self.by_arrow(&(Arc::new(doubles) as ArrayRef))
            }
            SqlType::Boolean if text => {
                let booleans: BooleanArray = self.each_text(values, parse_boolean)?;
                Ok(Arc::new(booleans))
            }
            SqlType::Decimal(precision, scale) if text => {
                let parse = |text: &str| Decimal::parse(text)?.scaled(*precision, *scale);
                let decimals: Decimal128Array = self.each_text(values, parse)?;
                let typed = decimals.with_precision_and_scale(*precision, *scale as i8);
                Ok(Arc::new(
                    typed.map_err(|error| self.fault(error.to_string()))?,
                ))
            }
            SqlType::Date if text => {
                let days: Date32Array = self.each_text(values, |text| {
                    i32::try_from(iso::parse_date(text)?.days()).ok()
                })?;
                Ok(Arc::new(days))
            }
            SqlType::Date if matches!(from, DataType::Timestamp(..)) => {
                self.timestamp_to_date(values)
            }
            SqlType::Timestamp if text => {
                let millis: TimestampMillisecondArray =
                    self.each_text(values, |text| parse_timestamp(text).map(Civil::to_millis))?;
                Ok(Arc::new(millis))
            }
            SqlType::Timestamp if matches!(from, DataType::Timestamp(_, Some(_))) => {
                self.wall_clock(values)
            }
            SqlType::TimestampWithTimeZone if text => {
                let millis: TimestampMillisecondArray = self.each_text(values, parse_zoned)?;
                Ok(Arc::new(millis.with_timezone("UTC")))
            }
            _ => self.by_arrow(values),
        }
    }

    fn by_arrow(&self, values: &ArrayRef) -> Result<ArrayRef, Error> {
        let options = CastOptions {
            safe: self.safe,
            ..CastOptions::default()
        };
        cast_with_options(values, &self.target.to_arrow(), &options)
            .map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, message: String) -> Error {
        Error::new(ErrorKind::InvalidCastArgument, message)
    }

    /// Parses every text; one that does not parse is NULL or an error.
    fn each_text<T, A: FromIterator<Option<T>>>(
        &self,
        values: &ArrayRef,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<A, Error> {
        let texts = cast(values, &DataType::Utf8).map_err(|error| self.fault(error.to_string()))?;
        texts
            .as_string::<i32>()
            .iter()
            .map(|text| {
                let Some(text) = text else { return Ok(None) };
                match parse(text.trim()) {
                    None if !self.safe => Err(self.cannot_cast(text)),
                    parsed => Ok(parsed),
                }
            })
            .collect()
    }

    fn cannot_cast(&self, text: &str) -> Error {
        let target = match &self.target {
            SqlType::Integer => "INT".into(),
            other => other.to_string().to_uppercase(),
        };
        match self.target {
            SqlType::Date | SqlType::Timestamp | SqlType::TimestampWithTimeZone => self.fault(
                format!("Value cannot be cast to {}: {text}", target.to_lowercase()),
            ),
            _ => self.fault(format!("Cannot cast '{text}' to {target}")),
        }
    }

    /// Numbers are rounded half away from zero, and one out of range is an error.
    fn to_integer(&self, values: &ArrayRef, min: i64, max: i64) -> Result<ArrayRef, Error> {
        let in_range = |number: i64| (min..=max).contains(&number).then_some(number);
        let integers: Int64Array = match values.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                self.each_text(values, |text| in_range(text.parse().ok()?))?
            }
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                let doubles = cast(values, &DataType::Float64)
                    .map_err(|error| self.fault(error.to_string()))?;
                let doubles = doubles.as_primitive::<Float64Type>();
                self.each_number(doubles.iter(), |double| rounded(double).and_then(in_range))?
            }
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => {
                let number = |row| {
                    let text = value_text(values, row)?;
                    Some(
                        Decimal::parse(&text)
                            .and_then(|decimal| decimal.scaled(19, 0))
                            .and_then(|n| i64::try_from(n).ok()),
                    )
                };
                let numbers: Vec<Option<Option<i64>>> = (0..values.len()).map(number).collect();
                self.each_number(numbers.into_iter(), |number| number.and_then(in_range))?
            }
            _ => {
                let options = CastOptions {
                    safe: self.safe,
                    ..CastOptions::default()
                };
                let wide = cast_with_options(values, &DataType::Int64, &options)
                    .map_err(|error| self.fault(error.to_string()))?;
                self.each_number(wide.as_primitive::<Int64Type>().iter(), in_range)?
            }
        };
        cast(&integers, &self.target.to_arrow()).map_err(|error| self.fault(error.to_string()))
    }

    fn each_number<T>(
        &self,
        numbers: impl Iterator<Item = Option<T>>,
        convert: impl Fn(T) -> Option<i64>,
    ) -> Result<Int64Array, Error> {
        numbers
            .map(|number| {
                let Some(number) = number else {
                    return Ok(None);
                };
                match convert(number) {
                    None if !self.safe => {
                        Err(self.fault(format!("Out of range for {}", self.target)))
                    }
                    converted => Ok(converted),
                }
            })
            .collect()
    }

    fn timestamp_to_date(&self, values: &ArrayRef) -> Result<ArrayRef, Error> {
        let clock = self.wall_clock(values)?;
        let days = clock
            .as_primitive::<datafusion::arrow::datatypes::TimestampMillisecondType>()
            .iter()
            .map(|millis| i32::try_from(millis?.div_euclid(MILLIS_PER_DAY)).ok());
        Ok(Arc::new(Date32Array::from_iter(days)))
    }

    /// What the clocks of the column's zone show, as a timestamp without zone.
    fn wall_clock(&self, values: &ArrayRef) -> Result<ArrayRef, Error> {
        let DataType::Timestamp(unit, zone_name) = values.data_type() else {
            return self.by_arrow(values);
        };
        let zone = zone_name.as_ref().and_then(|name| zone::named(name));
        let shown = |row: usize| {
            let millis = (!values.is_null(row)).then(|| timestamp_millis(values, row, *unit))?;
            let offset = zone
                .as_ref()
                .map_or(0, |zone| zone::offset_at(zone, millis));
            Some(millis + i64::from(offset) * MILLIS_PER_SECOND)
        };
        Ok(Arc::new(
            (0..values.len())
                .map(shown)
                .collect::<TimestampMillisecondArray>(),
        ))
    }
}

/// The text form of any value, cut to `limit` characters.
fn to_varchar(values: &ArrayRef, limit: Option<u32>) -> ArrayRef {
    if *values.data_type() == DataType::Utf8 && limit.is_none() {
        return Arc::clone(values);
    }
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let text = |row| {
        let text = match values.data_type() {
            // As text binary values are their characters, not their hexadecimal digits.
            DataType::Binary if !values.is_null(row) => {
                Some(String::from_utf8_lossy(values.as_binary::<i32>().value(row)).into_owned())
            }
            _ => value_text(values, row),
        };
        text.map(|text| match text.char_indices().nth(limit) {
            Some((end, _)) => text[..end].to_owned(),
            None => text,
        })
    };
    Arc::new((0..values.len()).map(text).collect::<StringArray>())
}

fn rounded(double: f64) -> Option<i64> {
    let rounded = double.round();
    // The nearest doubles to the limits lie outside of them.
    (rounded >= -(2_f64.powi(63)) && rounded < 2_f64.powi(63)).then_some(rounded as i64)
}

fn parse_double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => text.parse().ok(),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "t" | "true" | "1" => Some(true),
        "f" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// A date, a time after a blank or `T`, seconds and fraction optional.
fn parse_timestamp(text: &str) -> Option<Civil> {
    match iso::parse_iso(&text.replacen(' ', "T", 1))? {
        (time, None) => Some(time),
        _ => None,
    }
}

/// A timestamp with a zone behind it; without one it is in UTC.
fn parse_zoned(text: &str) -> Option<i64> {
    if let Some((time, Some(offset))) = iso::parse_iso(&text.replacen(' ', "T", 1)) {
        return Some(time.to_millis() - i64::from(offset) * MILLIS_PER_SECOND);
    }
    if let Some(time) = parse_timestamp(text) {
        return Some(time.to_millis());
    }
    let (time, zone_name) = text.rsplit_once(' ')?;
    Some(zone::instant(
        &zone::named(zone_name)?,
        parse_timestamp(time)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::datatypes::TimeUnit;
    use datafusion::common::DataFusionError;

    fn converted(name: &str, values: ArrayRef) -> Result<Vec<Option<String>>, String> {
        let target = named(name).expect(name);
        let field = Arc::new(Field::new("v", values.data_type().clone(), true));
        let args = ScalarFunctionArgs {
            number_rows: values.len(),
            return_field: Arc::new(Field::new(
                "r",
                target
                    .return_type(&[field.data_type().clone()])
                    .expect("type"),
                true,
            )),
            args: vec![ColumnarValue::Array(values)],
            arg_fields: vec![field],
            config_options: Arc::default(),
        };
        let result = target.invoke_with_args(args).map_err(|error| match error {
            DataFusionError::External(inner) => inner.to_string(),
            other => other.to_string(),
        })?;
        let array = result.into_array(1).expect("array");
        Ok((0..array.len())
            .map(|row| value_text(&array, row))
            .collect())
    }

    fn texts(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn shown(values: &[&str]) -> Result<Vec<Option<String>>, String> {
        Ok(values
            .iter()
            .map(|value| (*value != "NULL").then(|| (*value).to_owned()))
            .collect())
    }

    #[test]
    fn texts_become_numbers_or_errors_that_name_them() {
        assert_eq!(
            converted("cast(integer)", texts(&["12", " -7 "])),
            shown(&["12", "-7"])
        );
        assert_eq!(
            converted("cast(integer)", texts(&["12", "abc"])),
            Err("INVALID_CAST_ARGUMENT: Cannot cast 'abc' to INT".into())
        );
        assert_eq!(
            converted("try_cast(integer)", texts(&["12", "abc", "3000000000"])),
            shown(&["12", "NULL", "NULL"])
        );
        assert_eq!(
            converted("cast(decimal(5,2))", texts(&["1.005"])),
            shown(&["1.01"])
        );
        assert_eq!(
            converted("cast(double)", texts(&["1.5", "NaN"])),
            shown(&["1.5", "NaN"])
        );
        assert_eq!(
            converted("try_cast(boolean)", texts(&["TRUE", "f", "x"])),
            shown(&["true", "false", "NULL"])
        );
    }

    #[test]
    fn numbers_are_rounded_and_checked() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.5, -1.5, 2.4]));
        assert_eq!(converted("cast(bigint)", doubles), shown(&["2", "-2", "2"]));
        let large: ArrayRef = Arc::new(Float64Array::from(vec![300.0]));
        assert_eq!(
            converted("cast(tinyint)", Arc::clone(&large)),
            Err("INVALID_CAST_ARGUMENT: Out of range for tinyint".into())
        );
        assert_eq!(converted("try_cast(tinyint)", large), shown(&["NULL"]));
        let integers: ArrayRef = Arc::new(Int64Array::from(vec![200]));
        assert_eq!(converted("cast(varchar(2))", integers), shown(&["20"]));
    }

    #[test]
    fn times_are_read_and_written() {
        assert_eq!(
            converted(
                "cast(timestamp)",
                texts(&["2019-11-22", "2019-11-22 13:01:02.5"])
            ),
            shown(&["2019-11-22 00:00:00.000", "2019-11-22 13:01:02.500"])
        );
        assert_eq!(
            converted(
                "cast(timestamp with time zone)",
                texts(&["2019-11-22 13:01:02 Asia/Tokyo"])
            ),
            shown(&["2019-11-22 04:01:02.000 UTC"])
        );
        assert_eq!(
            converted("cast(date)", texts(&["2019-11-31"])),
            Err("INVALID_CAST_ARGUMENT: Value cannot be cast to date: 2019-11-31".into())
        );
        let tokyo: ArrayRef = Arc::new(
            TimestampMillisecondArray::from(vec![1_574_438_400_000]).with_timezone("Asia/Tokyo"),
        );
        assert_eq!(
            converted("cast(date)", Arc::clone(&tokyo)),
            shown(&["2019-11-23"])
        );
        assert_eq!(
            converted("cast(timestamp)", Arc::clone(&tokyo)),
            shown(&["2019-11-23 01:00:00.000"])
        );
        assert_eq!(
            converted("cast(varchar)", tokyo),
            shown(&["2019-11-23 01:00:00.000 Asia/Tokyo"])
        );
        assert!(!castable(&DataType::Int64, &SqlType::Date));
        assert!(!castable(
            &DataType::Timestamp(TimeUnit::Millisecond, None),
            &SqlType::BigInt
        ));
    }
}
