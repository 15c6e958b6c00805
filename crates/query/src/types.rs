//! The types of Athena: Hive's spelling in table definitions, SQL's in results.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

/// A column's type as Hive's DDL and the Glue catalog spell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum HiveType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    Decimal { precision: u8, scale: u8 },
    String,
    Char(u32),
    Varchar(u32),
    Binary,
    Date,
    Timestamp,
    Array(Box<HiveType>),
    Map(Box<HiveType>, Box<HiveType>),
    Struct(Vec<StructField>),
}

/// One field of a [`HiveType::Struct`]; its name is lower-case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StructField {
    pub name: String,
    pub hive_type: HiveType,
}

impl HiveType {
    /// The Arrow type that carries values of this type. Timestamps have milliseconds and no zone.
    pub(crate) fn to_arrow(&self) -> DataType {
        match self {
            HiveType::Boolean => DataType::Boolean,
            HiveType::TinyInt => DataType::Int8,
            HiveType::SmallInt => DataType::Int16,
            HiveType::Int => DataType::Int32,
            HiveType::BigInt => DataType::Int64,
            HiveType::Float => DataType::Float32,
            HiveType::Double => DataType::Float64,
            HiveType::Decimal { precision, scale } => {
                DataType::Decimal128(*precision, *scale as i8)
            }
            HiveType::String | HiveType::Char(_) | HiveType::Varchar(_) => DataType::Utf8,
            HiveType::Binary => DataType::Binary,
            HiveType::Date => DataType::Date32,
            HiveType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            HiveType::Array(element) => DataType::List(element_field(element)),
            HiveType::Map(key, value) => map_type(key.to_arrow(), value.to_arrow()),
            HiveType::Struct(fields) => DataType::Struct(struct_fields(fields)),
        }
    }
}

pub(crate) fn element_field(element: &HiveType) -> Arc<Field> {
    Arc::new(Field::new_list_field(element.to_arrow(), true))
}

pub(crate) fn struct_fields(fields: &[StructField]) -> Fields {
    fields
        .iter()
        .map(|field| Field::new(&field.name, field.hive_type.to_arrow(), true))
        .collect()
}

/// The fields of the struct inside an Arrow map.
pub(crate) fn map_entry_fields(key: DataType, value: DataType) -> Fields {
    Fields::from(vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ])
}

fn map_type(key: DataType, value: DataType) -> DataType {
    let entries = Field::new(
        "entries",
        DataType::Struct(map_entry_fields(key, value)),
        false,
    );
    DataType::Map(Arc::new(entries), false)
}

impl fmt::Display for HiveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HiveType::Boolean => f.write_str("boolean"),
            HiveType::TinyInt => f.write_str("tinyint"),
            HiveType::SmallInt => f.write_str("smallint"),
            HiveType::Int => f.write_str("int"),
            HiveType::BigInt => f.write_str("bigint"),
            HiveType::Float => f.write_str("float"),
            HiveType::Double => f.write_str("double"),
            HiveType::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            HiveType::String => f.write_str("string"),
            HiveType::Char(length) => write!(f, "char({length})"),
            HiveType::Varchar(length) => write!(f, "varchar({length})"),
            HiveType::Binary => f.write_str("binary"),
            HiveType::Date => f.write_str("date"),
            HiveType::Timestamp => f.write_str("timestamp"),
            HiveType::Array(element) => write!(f, "array<{element}>"),
            HiveType::Map(key, value) => write!(f, "map<{key},{value}>"),
            HiveType::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{}:{}", field.name, field.hive_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

impl From<HiveType> for String {
    fn from(hive_type: HiveType) -> String {
        hive_type.to_string()
    }
}

impl TryFrom<String> for HiveType {
    type Error = crate::Error;

    fn try_from(text: String) -> Result<HiveType, crate::Error> {
        crate::hive::parse_type(&text)
    }
}

/// The name that Athena's results and `typeof` give an Arrow type, e.g. `varchar`, `array(bigint)`.
pub(crate) fn sql_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "unknown".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Int8 | DataType::UInt8 => "tinyint".into(),
        DataType::Int16 | DataType::UInt16 => "smallint".into(),
        DataType::Int32 | DataType::UInt32 => "integer".into(),
        DataType::Int64 | DataType::UInt64 => "bigint".into(),
        DataType::Float16 | DataType::Float32 => "real".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".into(),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => "varbinary".into(),
        DataType::Date32 | DataType::Date64 => "date".into(),
        DataType::Time32(_) | DataType::Time64(_) => "time".into(),
        DataType::Timestamp(_, None) => "timestamp".into(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval day to second".into(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => format!("array({})", sql_name(field.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{} {}", field.name(), sql_name(field.data_type())))
                .collect();
            format!("row({})", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let [key, value] = [0, 1].map(|index| sql_name(fields[index].data_type()));
                format!("map({key}, {value})")
            }
            _ => "map".into(),
        },
        DataType::Dictionary(_, value) => sql_name(value),
        DataType::RunEndEncoded(_, value) => sql_name(value.data_type()),
        DataType::Union(_, _) => "unknown".into(),
    }
}

/// The name in Athena's `ColumnInfo.Type`: like [`sql_name`], but without parameters, and `float` for `real`.
pub(crate) fn result_type_name(data_type: &DataType) -> String {
    let name = sql_name(data_type);
    match name.split('(').next() {
        Some("real") => "float".into(),
        Some(base) => base.to_owned(),
        None => name,
    }
}
