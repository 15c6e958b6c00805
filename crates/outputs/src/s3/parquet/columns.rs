//! Columns: which there are, of what type, and what a row group holds of them.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::schema::types::Type;
use record::json::write::Writer;
use record::{Batch, Fields, Value};

use super::text_of;

/// More names than this do not become columns: what has so many uses data as names.
pub const COLUMNS_MAX: usize = 2_000;
/// The column of what has no column of its own, as JSON, and of lines that are no JSON.
const REST: &str = "__more__";
/// Up to here a float of double precision holds every integer.
const EXACT_IN_FLOAT: u64 = 1 << 53;
/// What a value of text takes besides its bytes.
const TEXT_OVERHEAD: usize = 64;

/// What a column holds. The order has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing so far.
    Null,
    Bool,
    Int,
    /// Integers that a float cannot hold.
    LargeInt,
    Float,
    Time,
    Text,
}

impl Kind {
    fn of(batch: &Batch, value: Value, is_time: bool) -> Kind {
        match value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Int(number) if number.unsigned_abs() > EXACT_IN_FLOAT => Kind::LargeInt,
            Value::Int(_) => Kind::Int,
            Value::Float(_) => Kind::Float,
            Value::Str(span) if is_time && micros(batch.bytes(span)).is_some() => Kind::Time,
            _ => Kind::Text,
        }
    }

    fn with(self, other: Kind) -> Kind {
        use Kind::{Float, Int, LargeInt, Null, Text};
        match (self, other) {
            (a, b) if a == b => a,
            (Null, kind) | (kind, Null) => kind,
            (Int, LargeInt) | (LargeInt, Int) => LargeInt,
            (Int, Float) | (Float, Int) => Float,
            _ => Text,
        }
    }
}

/// Microseconds since 1970 of `2023-11-14T22:13:20.123456Z`, with a blank for the `T` or without the `Z`.
fn micros(text: &[u8]) -> Option<i64> {
    const SHORTEST: usize = "2023-11-14T22:13:20".len();
    let text = std::str::from_utf8(text).ok()?;
    if text.len() < SHORTEST {
        return None;
    }
    let time: DateTime = text.strip_suffix('Z').unwrap_or(text).parse().ok()?;
    Some(Offset::UTC.to_timestamp(time).ok()?.as_microsecond())
}

/// Columns and types as far as they are known.
pub struct Schema {
    names: HashMap<String, usize>,
    /// The column behind that of the field before: that of the next field, as most rows have the fields of the one before.
    next: usize,
    kinds: Vec<(String, Kind)>,
    time_column: Option<String>,
    has_rest: bool,
}

impl Schema {
    /// No columns.
    pub fn new(time_column: Option<&str>) -> Schema {
        Schema {
            names: HashMap::new(),
            next: 0,
            kinds: Vec::new(),
            time_column: time_column.map(str::to_owned),
            has_rest: false,
        }
    }

    /// A row has this field.
    pub fn observe(&mut self, key: &[u8], batch: &Batch, value: Value) {
        let index = match self.kinds.get(self.next) {
            Some((name, _)) if name.as_bytes() == key => self.next,
            _ => match self.index(&String::from_utf8_lossy(key)) {
                Some(index) => index,
                None => {
                    self.has_rest = true;
                    return;
                }
            },
        };
        let (name, known) = &mut self.kinds[index];
        let is_time = self.time_column.as_ref() == Some(name);
        *known = known.with(Kind::of(batch, value, is_time));
        self.next = index + 1;
        if self.next == self.kinds.len() {
            self.next = 0;
        }
    }

    /// The column of this name, made if there can be one.
    fn index(&mut self, key: &str) -> Option<usize> {
        if let Some(index) = self.names.get(key) {
            return Some(*index);
        }
        if self.kinds.len() == COLUMNS_MAX || key == REST {
            return None;
        }
        self.names.insert(key.to_owned(), self.kinds.len());
        self.kinds.push((key.to_owned(), Kind::Null));
        Some(self.kinds.len() - 1)
    }

    /// There is something without a column of its own.
    pub fn needs_rest(&mut self) {
        self.has_rest = true;
    }

    /// Empty columns. There is at least one.
    pub fn finish(mut self) -> Columns {
        let rest = (self.has_rest || self.kinds.is_empty()).then(|| {
            self.kinds.push((REST.to_owned(), Kind::Text));
            self.kinds.len() - 1
        });
        let columns = self.kinds.into_iter();
        Columns {
            names: self.names,
            columns: columns
                .map(|(name, kind)| Column::new(name, kind))
                .collect(),
            rest,
            rows: 0,
            size: 0,
        }
    }
}

/// The rows of a row group that is being collected.
pub struct Columns {
    names: HashMap<String, usize>,
    columns: Vec<Column>,
    rest: Option<usize>,
    rows: usize,
    size: usize,
}

/// The values of one column.
pub struct Column {
    name: String,
    kind: Kind,
    values: Values,
    /// For each row whether it has a value.
    levels: Vec<i16>,
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<ByteArray>),
}

impl Columns {
    /// The schema of the file.
    pub fn parquet_schema(&self) -> Result<Type> {
        let fields = self
            .columns
            .iter()
            .map(|column| column.parquet_type().map(Arc::new))
            .collect::<Result<_>>()?;
        Type::group_type_builder("schema")
            .with_fields(fields)
            .build()
    }

    /// Adds a record.
    pub fn push_row(&mut self, batch: &Batch, fields: Fields, writer: &mut Writer) {
        let mut rest = Vec::new();
        let mut next = 0;
        for field in batch.fields(fields) {
            let key = batch.bytes(field.key.span());
            // Mostly the fields of a row stand in the order of the columns.
            let likely = self.columns.get(next).filter(|_| self.rest != Some(next));
            let index = match likely {
                Some(column) if column.name.as_bytes() == key => Some(next),
                _ => self.names.get(&*String::from_utf8_lossy(key)).copied(),
            };
            let column = index.map(|index| &mut self.columns[index]);
            // A second key may only differ in what is not UTF-8.
            let Some(column) = column.filter(|column| column.levels.len() <= self.rows) else {
                push_member(
                    &mut rest,
                    &String::from_utf8_lossy(key),
                    batch,
                    field.value,
                    writer,
                );
                continue;
            };
            next = index.map_or(0, |index| index + 1);
            column.pad(self.rows);
            self.size += column.push(batch, field.value, writer);
        }
        if !rest.is_empty() {
            rest.push(b'}');
        }
        self.end_row(rest);
    }

    /// Adds a line that is no record.
    pub fn push_rest(&mut self, line: &[u8]) {
        self.end_row(String::from_utf8_lossy(line).into_owned().into_bytes());
    }

    fn end_row(&mut self, rest: Vec<u8>) {
        if let Some(index) = self.rest.filter(|_| !rest.is_empty()) {
            let column = &mut self.columns[index];
            column.pad(self.rows);
            self.size += column.push_text(rest);
        }
        self.rows += 1;
        self.size += self.columns.len() * size_of::<i16>();
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What they take in memory, about.
    pub fn size(&self) -> usize {
        self.size
    }

    /// All rows, and starts the next row group.
    pub fn take(&mut self) -> Vec<Column> {
        let rows = mem::take(&mut self.rows);
        self.size = 0;
        let columns = self.columns.iter_mut();
        columns
            .map(|column| {
                column.pad(rows);
                let next = Column::new(column.name.clone(), column.kind);
                mem::replace(column, next)
            })
            .collect()
    }
}

/// Appends a member of the object in the column of the rest.
fn push_member(rest: &mut Vec<u8>, key: &str, batch: &Batch, value: Value, writer: &mut Writer) {
    rest.push(if rest.is_empty() { b'{' } else { b',' });
    writer.string(key.as_bytes(), rest);
    rest.push(b':');
    let mut text = Vec::new();
    writer.value(batch, value, &mut text);
    rest.extend_from_slice(String::from_utf8_lossy(&text).as_bytes());
}

impl Column {
    fn new(name: String, kind: Kind) -> Column {
        let values = match kind {
            Kind::Bool => Values::Bool(Vec::new()),
            Kind::Int | Kind::LargeInt | Kind::Time => Values::Int(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Null | Kind::Text => Values::Text(Vec::new()),
        };
        Column {
            name,
            kind,
            values,
            levels: Vec::new(),
        }
    }

    fn parquet_type(&self) -> Result<Type> {
        let (physical, logical) = match self.kind {
            Kind::Bool => (PhysicalType::BOOLEAN, None),
            Kind::Int | Kind::LargeInt => (PhysicalType::INT64, None),
            // Microseconds are what every reader knows.
            Kind::Time => (
                PhysicalType::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            ),
            Kind::Float => (PhysicalType::DOUBLE, None),
            Kind::Null | Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    }

    /// Nulls for the rows that are missing.
    fn pad(&mut self, rows: usize) {
        self.levels.resize(rows, 0);
    }

    /// Adds a value and returns what it takes.
    fn push(&mut self, batch: &Batch, value: Value, writer: &mut Writer) -> usize {
        let is_set = match (&mut self.values, value) {
            (_, Value::Null) => false,
            (Values::Bool(values), Value::Bool(value)) => {
                values.push(value);
                true
            }
            (Values::Int(values), Value::Int(value)) => {
                values.push(value);
                true
            }
            (Values::Int(values), Value::Str(span)) => match micros(batch.bytes(span)) {
                Some(value) => {
                    values.push(value);
                    true
                }
                None => false,
            },
            (Values::Float(values), Value::Float(value)) => {
                values.push(value);
                true
            }
            (Values::Float(values), Value::Int(value)) => {
                values.push(value as f64);
                true
            }
            (Values::Text(_), value) => return self.push_text(text_of(batch, value, writer)),
            // The first pass has seen every value, so there is none of another type.
            _ => false,
        };
        self.levels.push(i16::from(is_set));
        size_of::<i64>()
    }

    fn push_text(&mut self, text: Vec<u8>) -> usize {
        let size = text.len() + TEXT_OVERHEAD;
        if let Values::Text(values) = &mut self.values {
            values.push(ByteArray::from(text));
            self.levels.push(1);
        }
        size
    }

    /// Writes all values.
    pub fn write(&self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let levels = Some(&self.levels[..]);
        match (writer, &self.values) {
            (ColumnWriter::BoolColumnWriter(writer), Values::Bool(values)) => {
                writer.write_batch(values, levels, None)?;
            }
            (ColumnWriter::Int64ColumnWriter(writer), Values::Int(values)) => {
                writer.write_batch(values, levels, None)?;
            }
            (ColumnWriter::DoubleColumnWriter(writer), Values::Float(values)) => {
                writer.write_batch(values, levels, None)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Text(values)) => {
                writer.write_batch(values, levels, None)?;
            }
            _ => {
                let why = format!("column {} has another type than its values", self.name);
                return Err(ParquetError::General(why));
            }
        }
        Ok(())
    }
}
