//! Trino's types, as `CAST` names them.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, TimeUnit};

use crate::types::map_entry_fields;

/// Deepest nesting of a type.
const MAX_DEPTH: usize = 32;

/// A type that a value can be cast to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SqlType {
    Boolean,
    TinyInt,
    SmallInt,
    Integer,
    BigInt,
    Real,
    Double,
    Decimal(u8, u8),
    /// With the most characters, if limited.
    Varchar(Option<u32>),
    Varbinary,
    Date,
    Timestamp,
    TimestampWithTimeZone,
    Array(Box<SqlType>),
    Map(Box<SqlType>, Box<SqlType>),
    Row(Vec<(String, SqlType)>),
}

impl SqlType {
    /// Reads a type; the error is the message for the user.
    pub(crate) fn parse(text: &str) -> Result<SqlType, String> {
        let mut reader = TypeReader {
            rest: text.chars().peekable(),
        };
        let parsed = reader.sql_type(0)?;
        match reader.word_or_sign() {
            None => Ok(parsed),
            Some(extra) => Err(format!("unexpected '{extra}' after the type {parsed}")),
        }
    }

    pub(crate) fn to_arrow(&self) -> DataType {
        match self {
            SqlType::Boolean => DataType::Boolean,
            SqlType::TinyInt => DataType::Int8,
            SqlType::SmallInt => DataType::Int16,
            SqlType::Integer => DataType::Int32,
            SqlType::BigInt => DataType::Int64,
            SqlType::Real => DataType::Float32,
            SqlType::Double => DataType::Float64,
            SqlType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale as i8),
            SqlType::Varchar(_) => DataType::Utf8,
            SqlType::Varbinary => DataType::Binary,
            SqlType::Date => DataType::Date32,
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            SqlType::TimestampWithTimeZone => {
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
            }
            SqlType::Array(element) => {
                DataType::List(Arc::new(Field::new_list_field(element.to_arrow(), true)))
            }
            SqlType::Map(key, value) => {
                let entries = DataType::Struct(map_entry_fields(key.to_arrow(), value.to_arrow()));
                DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
            }
            SqlType::Row(fields) => DataType::Struct(
                fields
                    .iter()
                    .map(|(name, sql_type)| Field::new(name, sql_type.to_arrow(), true))
                    .collect::<Fields>(),
            ),
        }
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Boolean => f.write_str("boolean"),
            SqlType::TinyInt => f.write_str("tinyint"),
            SqlType::SmallInt => f.write_str("smallint"),
            SqlType::Integer => f.write_str("integer"),
            SqlType::BigInt => f.write_str("bigint"),
            SqlType::Real => f.write_str("real"),
            SqlType::Double => f.write_str("double"),
            SqlType::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            SqlType::Varchar(None) => f.write_str("varchar"),
            SqlType::Varchar(Some(length)) => write!(f, "varchar({length})"),
            SqlType::Varbinary => f.write_str("varbinary"),
            SqlType::Date => f.write_str("date"),
            SqlType::Timestamp => f.write_str("timestamp"),
            SqlType::TimestampWithTimeZone => f.write_str("timestamp with time zone"),
            SqlType::Array(element) => write!(f, "array({element})"),
            SqlType::Map(key, value) => write!(f, "map({key}, {value})"),
            SqlType::Row(fields) => {
                f.write_str("row(")?;
                for (index, (name, sql_type)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{name} {sql_type}")?;
                }
                f.write_str(")")
            }
        }
    }
}

struct TypeReader<'a> {
    rest: Peekable<Chars<'a>>,
}

impl TypeReader<'_> {
    /// The next word, number or sign, lower-cased.
    fn word_or_sign(&mut self) -> Option<String> {
        while self
            .rest
            .next_if(|c| c.is_whitespace() || *c == '"')
            .is_some()
        {}
        let first = self.rest.next()?;
        let mut text = String::from(first);
        if first.is_alphanumeric() || first == '_' {
            while let Some(next) = self.rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                text.push(next);
            }
        }
        Some(text.to_lowercase())
    }

    fn peek_sign(&mut self) -> Option<char> {
        while self
            .rest
            .next_if(|c| c.is_whitespace() || *c == '"')
            .is_some()
        {}
        self.rest.peek().copied()
    }

    fn eat(&mut self, sign: char) -> bool {
        let found = self.peek_sign() == Some(sign);
        if found {
            self.rest.next();
        }
        found
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.eat(sign) {
            Ok(())
        } else {
            Err(format!("expected '{sign}' in a type"))
        }
    }

    fn number(&mut self) -> Result<u32, String> {
        let word = self.word_or_sign().unwrap_or_default();
        word.parse()
            .map_err(|_| format!("expected a number in a type, found '{word}'"))
    }

    /// `(n)`, if it follows.
    fn length(&mut self) -> Result<Option<u32>, String> {
        if !self.eat('(') {
            return Ok(None);
        }
        let length = self.number()?;
        self.expect(')')?;
        Ok(Some(length))
    }

    fn sql_type(&mut self, depth: usize) -> Result<SqlType, String> {
        if depth > MAX_DEPTH {
            return Err(format!("types may be nested {MAX_DEPTH} deep at most"));
        }
        let name = self.word_or_sign().unwrap_or_default();
        match name.as_str() {
            "boolean" => Ok(SqlType::Boolean),
            "tinyint" => Ok(SqlType::TinyInt),
            "smallint" => Ok(SqlType::SmallInt),
            "int" | "integer" => Ok(SqlType::Integer),
            "bigint" => Ok(SqlType::BigInt),
            "real" => Ok(SqlType::Real),
            "double" => Ok(SqlType::Double),
            "decimal" => self.decimal(),
            "varchar" | "char" => Ok(SqlType::Varchar(self.length()?)),
            "varbinary" => Ok(SqlType::Varbinary),
            "date" => Ok(SqlType::Date),
            "timestamp" => self.timestamp(),
            "array" => {
                let close = self.open()?;
                let element = self.sql_type(depth + 1)?;
                self.expect(close)?;
                Ok(SqlType::Array(Box::new(element)))
            }
            "map" => {
                let close = self.open()?;
                let key = self.sql_type(depth + 1)?;
                self.expect(',')?;
                let value = self.sql_type(depth + 1)?;
                self.expect(close)?;
                Ok(SqlType::Map(Box::new(key), Box::new(value)))
            }
            "row" => self.row(depth),
            "json" | "time" | "interval" | "ipaddress" | "uuid" => {
                Err(format!("casts to the type {name} are not supported"))
            }
            "string" | "text" => Err(format!(
                "Unknown type: {name}; in queries this type is called varchar"
            )),
            "float" => {
                Err("Unknown type: float; in queries this type is called real or double".into())
            }
            other => Err(format!("Unknown type: {other}")),
        }
    }

    fn open(&mut self) -> Result<char, String> {
        if self.eat('<') {
            return Ok('>');
        }
        self.expect('(')?;
        Ok(')')
    }

    fn row(&mut self, depth: usize) -> Result<SqlType, String> {
        self.expect('(')?;
        let mut fields = Vec::new();
        loop {
            let name = self.word_or_sign().unwrap_or_default();
            fields.push((name, self.sql_type(depth + 1)?));
            if !self.eat(',') {
                break;
            }
        }
        self.expect(')')?;
        Ok(SqlType::Row(fields))
    }

    fn decimal(&mut self) -> Result<SqlType, String> {
        if !self.eat('(') {
            return Ok(SqlType::Decimal(38, 0));
        }
        let precision = self.number()?;
        let scale = if self.eat(',') { self.number()? } else { 0 };
        self.expect(')')?;
        if precision == 0 || precision > 38 || scale > precision {
            return Err("decimal needs a precision of 1 to 38 and a scale not above it".into());
        }
        Ok(SqlType::Decimal(precision as u8, scale as u8))
    }

    /// `timestamp [(p)] [with | without time zone]`; every precision is kept as milliseconds.
    fn timestamp(&mut self) -> Result<SqlType, String> {
        self.length()?;
        if self.peek_sign() != Some('w') {
            return Ok(SqlType::Timestamp);
        }
        let words: Vec<String> = (0..3).filter_map(|_| self.word_or_sign()).collect();
        match words.join(" ").as_str() {
            "with time zone" => Ok(SqlType::TimestampWithTimeZone),
            "without time zone" => Ok(SqlType::Timestamp),
            other => Err(format!("expected WITH TIME ZONE, found '{other}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_and_named() {
        let cases = [
            ("INT", "integer"),
            ("varchar ( 3 )", "varchar(3)"),
            ("decimal", "decimal(38,0)"),
            ("decimal(10, 2)", "decimal(10,2)"),
            ("timestamp(3) with time zone", "timestamp with time zone"),
            ("timestamp", "timestamp"),
            ("array < array(bigint) >", "array(array(bigint))"),
            (
                "map(varchar, row(a integer, b double))",
                "map(varchar, row(a integer, b double))",
            ),
        ];
        for (text, name) in cases {
            let sql_type = SqlType::parse(text).expect(text);
            assert_eq!(sql_type.to_string(), name);
            assert_eq!(SqlType::parse(name), Ok(sql_type), "{name} is read back");
        }
    }

    #[test]
    fn what_is_no_type_is_named() {
        let cases = [
            (
                "string",
                "Unknown type: string; in queries this type is called varchar",
            ),
            ("foo", "Unknown type: foo"),
            ("json", "casts to the type json are not supported"),
            ("bigint bigint", "unexpected 'bigint' after the type bigint"),
            ("array(bigint", "expected ')' in a type"),
            ("", "Unknown type: "),
        ];
        for (text, message) in cases {
            assert_eq!(SqlType::parse(text), Err(message.to_owned()), "{text}");
        }
        assert!(SqlType::parse(&"array(".repeat(50)).is_err());
    }
}
