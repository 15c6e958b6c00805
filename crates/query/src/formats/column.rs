//! Columns that are filled from JSON values, with the OpenX SerDe's rules of conversion.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, MapArray,
    NullBufferBuilder, StringBuilder, StructArray, TimestampMillisecondBuilder,
};
use datafusion::arrow::buffer::{OffsetBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};

use crate::time::iso;
use crate::types::{HiveType, element_field, map_entry_fields, struct_fields};

use super::LineError;
use super::json::{
    Decimal, Malformed, Scanner, Value, canonical_literal, parse_integer, parse_long, write_value,
};
use super::openx::{FieldNames, OpenXOptions, parse_timestamp};

/// The values of one column, growing row by row.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    TinyInt(Int8Builder),
    SmallInt(Int16Builder),
    Int(Int32Builder),
    BigInt(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    /// Text, cut after this many characters if there is a limit.
    Text(StringBuilder, Option<usize>),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMillisecondBuilder),
    Array(Box<ArrayColumn>),
    Map(Box<MapColumn>),
    Struct(Box<StructColumn>),
}

pub(super) struct ArrayColumn {
    field: FieldRef,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
    elements: ColumnBuilder,
}

pub(super) struct MapColumn {
    entry_fields: Fields,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
    keys: ColumnBuilder,
    values: ColumnBuilder,
}

pub(super) struct StructColumn {
    fields: Fields,
    names: FieldNames,
    nulls: NullBufferBuilder,
    columns: Vec<ColumnBuilder>,
}

impl ColumnBuilder {
    pub(super) fn new(hive_type: &HiveType, options: &OpenXOptions) -> ColumnBuilder {
        match hive_type {
            HiveType::Boolean => ColumnBuilder::Boolean(BooleanBuilder::new()),
            HiveType::TinyInt => ColumnBuilder::TinyInt(Int8Builder::new()),
            HiveType::SmallInt => ColumnBuilder::SmallInt(Int16Builder::new()),
            HiveType::Int => ColumnBuilder::Int(Int32Builder::new()),
            HiveType::BigInt => ColumnBuilder::BigInt(Int64Builder::new()),
            HiveType::Float => ColumnBuilder::Float(Float32Builder::new()),
            HiveType::Double => ColumnBuilder::Double(Float64Builder::new()),
            HiveType::Decimal { precision, scale } => {
                let builder = Decimal128Builder::new()
                    .with_data_type(DataType::Decimal128(*precision, *scale as i8));
                ColumnBuilder::Decimal(builder, *precision, *scale)
            }
            HiveType::String => ColumnBuilder::Text(StringBuilder::new(), None),
            HiveType::Char(length) | HiveType::Varchar(length) => {
                ColumnBuilder::Text(StringBuilder::new(), Some(*length as usize))
            }
            HiveType::Binary => ColumnBuilder::Binary(BinaryBuilder::new()),
            HiveType::Date => ColumnBuilder::Date(Date32Builder::new()),
            HiveType::Timestamp => ColumnBuilder::Timestamp(TimestampMillisecondBuilder::new()),
            HiveType::Array(element) => ColumnBuilder::Array(Box::new(ArrayColumn {
                field: element_field(element),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
                elements: ColumnBuilder::new(element, options),
            })),
            HiveType::Map(key, value) => ColumnBuilder::Map(Box::new(MapColumn {
                entry_fields: map_entry_fields(key.to_arrow(), value.to_arrow()),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
                keys: ColumnBuilder::new(key, options),
                values: ColumnBuilder::new(value, options),
            })),
            HiveType::Struct(fields) => ColumnBuilder::Struct(Box::new(StructColumn {
                fields: struct_fields(fields),
                names: FieldNames::new(fields.iter().map(|field| field.name.as_str()), options),
                nulls: NullBufferBuilder::new(0),
                columns: fields
                    .iter()
                    .map(|field| ColumnBuilder::new(&field.hive_type, options))
                    .collect(),
            })),
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            ColumnBuilder::Boolean(builder) => builder.append_null(),
            ColumnBuilder::TinyInt(builder) => builder.append_null(),
            ColumnBuilder::SmallInt(builder) => builder.append_null(),
            ColumnBuilder::Int(builder) => builder.append_null(),
            ColumnBuilder::BigInt(builder) => builder.append_null(),
            ColumnBuilder::Float(builder) => builder.append_null(),
            ColumnBuilder::Double(builder) => builder.append_null(),
            ColumnBuilder::Decimal(builder, _, _) => builder.append_null(),
            ColumnBuilder::Text(builder, _) => builder.append_null(),
            ColumnBuilder::Binary(builder) => builder.append_null(),
            ColumnBuilder::Date(builder) => builder.append_null(),
            ColumnBuilder::Timestamp(builder) => builder.append_null(),
            ColumnBuilder::Array(array) => array.end_row(false),
            ColumnBuilder::Map(map) => map.end_row(false),
            ColumnBuilder::Struct(row) => {
                row.columns.iter_mut().for_each(ColumnBuilder::push_null);
                row.nulls.append_null();
            }
        }
    }

    /// Adds a value. One that the type cannot express is NULL; one of the wrong shape is an error.
    pub(super) fn push(
        &mut self,
        value: Value<'_>,
        options: &OpenXOptions,
    ) -> Result<(), LineError> {
        if value == Value::Null {
            self.push_null();
            return Ok(());
        }
        match self {
            ColumnBuilder::Text(builder, limit) => push_text(builder, *limit, value, options),
            ColumnBuilder::Boolean(builder) => {
                let text = value.text().unwrap_or_default();
                builder.append_value(text.eq_ignore_ascii_case("true"));
                Ok(())
            }
            ColumnBuilder::Array(array) => array.push(value, options),
            ColumnBuilder::Map(map) => map.push(value, options),
            ColumnBuilder::Struct(row) => row.push(value, options),
            scalar => scalar.push_scalar(value, options),
        }
    }

    fn push_scalar(&mut self, value: Value<'_>, options: &OpenXOptions) -> Result<(), LineError> {
        let Some(text) = value.text() else {
            return Err(LineError::bad_data(format!(
                "{} can not be coerced to a {}",
                shape(value),
                self.type_name()
            )));
        };
        match self {
            ColumnBuilder::TinyInt(builder) => {
                builder.append_option(parse_long(&text).and_then(|n| n.try_into().ok()))
            }
            ColumnBuilder::SmallInt(builder) => {
                builder.append_option(parse_long(&text).and_then(|n| n.try_into().ok()))
            }
            ColumnBuilder::Int(builder) => {
                builder.append_option(parse_long(&text).and_then(|n| n.try_into().ok()))
            }
            ColumnBuilder::BigInt(builder) => builder.append_option(parse_long(&text)),
            ColumnBuilder::Float(builder) => {
                builder.append_option(parse_float(&text).map(|number| number as f32))
            }
            ColumnBuilder::Double(builder) => builder.append_option(parse_float(&text)),
            ColumnBuilder::Decimal(builder, precision, scale) => {
                builder.append_option(
                    Decimal::parse(&text).and_then(|decimal| decimal.scaled(*precision, *scale)),
                );
            }
            ColumnBuilder::Date(builder) => builder.append_option(parse_days(&text)),
            ColumnBuilder::Timestamp(builder) => {
                builder.append_option(parse_timestamp(&text, &options.timestamp_formats))
            }
            ColumnBuilder::Binary(builder) => {
                let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(text.as_bytes()) else {
                    return Err(LineError::bad_data(
                        "a VARBINARY column holds text that is not base64",
                    ));
                };
                builder.append_value(bytes);
            }
            _ => {}
        }
        Ok(())
    }

    fn type_name(&self) -> &'static str {
        match self {
            ColumnBuilder::TinyInt(_) => "TINYINT",
            ColumnBuilder::SmallInt(_) => "SMALLINT",
            ColumnBuilder::Int(_) => "INTEGER",
            ColumnBuilder::BigInt(_) => "BIGINT",
            ColumnBuilder::Float(_) => "REAL",
            ColumnBuilder::Double(_) => "DOUBLE",
            ColumnBuilder::Decimal(..) => "DECIMAL",
            ColumnBuilder::Date(_) => "DATE",
            ColumnBuilder::Timestamp(_) => "TIMESTAMP",
            ColumnBuilder::Binary(_) => "VARBINARY",
            _ => "VARCHAR",
        }
    }

    pub(super) fn take(&mut self) -> ArrayRef {
        match self {
            ColumnBuilder::Boolean(builder) => Arc::new(builder.finish()),
            ColumnBuilder::TinyInt(builder) => Arc::new(builder.finish()),
            ColumnBuilder::SmallInt(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Int(builder) => Arc::new(builder.finish()),
            ColumnBuilder::BigInt(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Float(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Double(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Decimal(builder, _, _) => Arc::new(builder.finish()),
            ColumnBuilder::Text(builder, _) => Arc::new(builder.finish()),
            ColumnBuilder::Binary(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Date(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Timestamp(builder) => Arc::new(builder.finish()),
            ColumnBuilder::Array(array) => array.take(),
            ColumnBuilder::Map(map) => map.take(),
            ColumnBuilder::Struct(row) => row.take(),
        }
    }

    fn len(&self) -> usize {
        use datafusion::arrow::array::ArrayBuilder;
        match self {
            ColumnBuilder::Boolean(builder) => builder.len(),
            ColumnBuilder::TinyInt(builder) => builder.len(),
            ColumnBuilder::SmallInt(builder) => builder.len(),
            ColumnBuilder::Int(builder) => builder.len(),
            ColumnBuilder::BigInt(builder) => builder.len(),
            ColumnBuilder::Float(builder) => builder.len(),
            ColumnBuilder::Double(builder) => builder.len(),
            ColumnBuilder::Decimal(builder, _, _) => builder.len(),
            ColumnBuilder::Text(builder, _) => builder.len(),
            ColumnBuilder::Binary(builder) => builder.len(),
            ColumnBuilder::Date(builder) => builder.len(),
            ColumnBuilder::Timestamp(builder) => builder.len(),
            ColumnBuilder::Array(array) => array.nulls.len(),
            ColumnBuilder::Map(map) => map.nulls.len(),
            ColumnBuilder::Struct(row) => row.nulls.len(),
        }
    }
}

impl ArrayColumn {
    /// A value that is no array is an array of that one value; the empty string is NULL.
    fn push(&mut self, value: Value<'_>, options: &OpenXOptions) -> Result<(), LineError> {
        match value {
            Value::Array(text) => {
                let mut pushed = Ok(());
                Scanner::open(text)
                    .array(|element| {
                        if pushed.is_ok() {
                            pushed = self.elements.push(element, options);
                        }
                    })
                    .map_err(not_json)?;
                pushed?;
                self.end_row(true);
            }
            Value::Quoted { inner: [], .. } => self.end_row(false),
            other => {
                self.elements.push(other, options)?;
                self.end_row(true);
            }
        }
        Ok(())
    }

    fn end_row(&mut self, valid: bool) {
        self.ends.push(self.elements.len() as i32);
        self.nulls.append(valid);
    }

    fn take(&mut self) -> ArrayRef {
        let offsets = take_offsets(&mut self.ends);
        Arc::new(ListArray::new(
            Arc::clone(&self.field),
            offsets,
            self.elements.take(),
            self.nulls.finish(),
        ))
    }
}

impl MapColumn {
    fn push(&mut self, value: Value<'_>, options: &OpenXOptions) -> Result<(), LineError> {
        let text = match value {
            Value::Object(text) => text,
            Value::Quoted { .. } | Value::Literal(_)
                if value.text().is_some_and(|text| text.trim().is_empty()) =>
            {
                self.end_row(false);
                return Ok(());
            }
            Value::Array(_) => {
                return Err(LineError::bad_data("Array can not be coerced to a MAP"));
            }
            _ => return Err(LineError::bad_data("Primitive can not be coerced to a MAP")),
        };
        let mut members: Vec<(Value<'_>, Value<'_>)> = Vec::new();
        Scanner::open(text)
            .object(|name, value| members.push((name, value)))
            .map_err(not_json)?;
        // The last value of a repeated name counts.
        let mut seen = std::collections::HashSet::new();
        members.reverse();
        members.retain(|(name, _)| seen.insert(name.text().unwrap_or_default().into_owned()));
        members.reverse();
        for (name, value) in members {
            self.keys.push(name, options)?;
            self.values.push(value, options)?;
        }
        self.end_row(true);
        Ok(())
    }

    fn end_row(&mut self, valid: bool) {
        self.ends.push(self.values.len() as i32);
        self.nulls.append(valid);
    }

    fn take(&mut self) -> ArrayRef {
        let offsets = take_offsets(&mut self.ends);
        let entries = StructArray::new(
            self.entry_fields.clone(),
            vec![self.keys.take(), self.values.take()],
            None,
        );
        let field = Field::new(
            "entries",
            DataType::Struct(self.entry_fields.clone()),
            false,
        );
        Arc::new(MapArray::new(
            Arc::new(field),
            offsets,
            entries,
            self.nulls.finish(),
            false,
        ))
    }
}

impl StructColumn {
    fn push(&mut self, value: Value<'_>, options: &OpenXOptions) -> Result<(), LineError> {
        let mut values = vec![Value::Null; self.columns.len()];
        match value {
            Value::Object(text) => self.names.collect(text, &mut values).map_err(not_json)?,
            Value::Array(text) => {
                let mut slots = values.iter_mut();
                let fill = |element| slots.next().map_or((), |slot| *slot = element);
                Scanner::open(text).array(fill).map_err(not_json)?;
            }
            other if other.text().is_some_and(|text| text.trim().is_empty()) => {}
            _ => return Err(LineError::bad_data("Primitive can not be coerced to a ROW")),
        }
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value, options)?;
        }
        self.nulls.append_non_null();
        Ok(())
    }

    fn take(&mut self) -> ArrayRef {
        let columns = self.columns.iter_mut().map(ColumnBuilder::take).collect();
        Arc::new(StructArray::new(
            self.fields.clone(),
            columns,
            self.nulls.finish(),
        ))
    }
}

fn take_offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])))
}

fn push_text(
    builder: &mut StringBuilder,
    limit: Option<usize>,
    value: Value<'_>,
    options: &OpenXOptions,
) -> Result<(), LineError> {
    let mut nested = String::new();
    let text = match value {
        Value::Object(_) | Value::Array(_) => {
            write_value(value, options.case_insensitive, &mut nested).map_err(not_json)?;
            nested.into()
        }
        Value::Literal(literal) => {
            let literal = String::from_utf8_lossy(literal);
            match canonical_literal(&literal) {
                Some(canonical) => canonical.into_owned().into(),
                None => literal,
            }
        }
        other => other.text().unwrap_or_default(),
    };
    builder.append_value(cut(&text, limit));
    Ok(())
}

/// The first `limit` characters.
pub(super) fn cut(text: &str, limit: Option<usize>) -> &str {
    match limit.and_then(|limit| text.char_indices().nth(limit)) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// A number as java.lang.Double reads it; of words only `NaN` and `Infinity`.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.trim_start_matches(['+', '-']) {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }),
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().ok(),
        _ => None,
    }
}

fn parse_days(text: &str) -> Option<i32> {
    let days = match iso::parse_date(text) {
        Some(date) => date.days(),
        None => parse_integer(text)?,
    };
    days.try_into().ok()
}

fn shape(value: Value<'_>) -> &'static str {
    match value {
        Value::Object(_) => "Object",
        Value::Array(_) => "Array",
        _ => "Primitive",
    }
}

/// Slices that the scanner handed out have been checked; this keeps a mistake of ours from being silent.
fn not_json(malformed: Malformed) -> LineError {
    LineError::cursor(format!(
        "Row is not a valid JSON Object - {}",
        malformed.what
    ))
}
