//! Hive's type expressions, as in `struct<a:string,b:array<int>>`.

use crate::error::{Error, ErrorKind, Result};
use crate::types::{HiveType, StructField};

use super::lexer::TokenKind;
use super::parser::Parser;

/// Deepest nesting of array, map and struct that a type may have.
const MAX_DEPTH: usize = 32;

/// Reads a type from text that holds nothing else, such as a type stored in the catalog.
pub(crate) fn parse_type(text: &str) -> Result<HiveType> {
    let mut parser = Parser::new(text)?;
    let parsed = parser.hive_type()?;
    parser.expect_end()?;
    Ok(parsed)
}

impl Parser {
    pub(super) fn hive_type(&mut self) -> Result<HiveType> {
        self.hive_type_at(0)
    }

    fn hive_type_at(&mut self, depth: usize) -> Result<HiveType> {
        let token = self.peek().clone();
        if depth > MAX_DEPTH {
            let message = format!("types may be nested {MAX_DEPTH} deep at most");
            return Err(Error::at(
                ErrorKind::ParseException,
                token.position,
                message,
            ));
        }
        let TokenKind::Word { text, .. } = &token.kind else {
            return Err(self.unexpected("a type"));
        };
        self.advance();
        match text.to_ascii_lowercase().as_str() {
            "boolean" => Ok(HiveType::Boolean),
            "tinyint" => Ok(HiveType::TinyInt),
            "smallint" => Ok(HiveType::SmallInt),
            "int" | "integer" => Ok(HiveType::Int),
            "bigint" => Ok(HiveType::BigInt),
            "float" => Ok(HiveType::Float),
            "double" => {
                self.eat_word("precision");
                Ok(HiveType::Double)
            }
            "decimal" | "numeric" => self.decimal(),
            "string" => Ok(HiveType::String),
            "char" => Ok(HiveType::Char(self.length(255)?)),
            "varchar" => Ok(HiveType::Varchar(self.length(65_535)?)),
            "binary" => Ok(HiveType::Binary),
            "date" => Ok(HiveType::Date),
            "timestamp" => Ok(HiveType::Timestamp),
            "array" => {
                self.expect_sign('<')?;
                let element = self.hive_type_at(depth + 1)?;
                self.expect_sign('>')?;
                Ok(HiveType::Array(Box::new(element)))
            }
            "map" => {
                self.expect_sign('<')?;
                let key = self.hive_type_at(depth + 1)?;
                self.expect_sign(',')?;
                let value = self.hive_type_at(depth + 1)?;
                self.expect_sign('>')?;
                Ok(HiveType::Map(Box::new(key), Box::new(value)))
            }
            "struct" => self.struct_type(depth),
            other => Err(unknown_type(other).with_position(Some(token.position))),
        }
    }

    fn struct_type(&mut self, depth: usize) -> Result<HiveType> {
        self.expect_sign('<')?;
        let mut fields = Vec::new();
        loop {
            let name = self.name()?;
            self.expect_sign(':')?;
            let hive_type = self.hive_type_at(depth + 1)?;
            if self.eat_word("comment") {
                self.string()?;
            }
            fields.push(StructField { name, hive_type });
            if !self.eat_sign(',') {
                break;
            }
        }
        self.expect_sign('>')?;
        Ok(HiveType::Struct(fields))
    }

    fn decimal(&mut self) -> Result<HiveType> {
        if !self.eat_sign('(') {
            return Ok(HiveType::Decimal {
                precision: 10,
                scale: 0,
            });
        }
        let position = self.peek().position;
        let precision = self.integer()?;
        let scale = if self.eat_sign(',') {
            self.integer()?
        } else {
            0
        };
        self.expect_sign(')')?;
        if precision == 0 || precision > 38 || scale > precision {
            let message = "decimal needs a precision of 1 to 38 and a scale not above it";
            return Err(Error::at(ErrorKind::ParseException, position, message));
        }
        Ok(HiveType::Decimal {
            precision: precision as u8,
            scale: scale as u8,
        })
    }

    fn length(&mut self, longest: u32) -> Result<u32> {
        self.expect_sign('(')?;
        let position = self.peek().position;
        let length = self.integer()?;
        self.expect_sign(')')?;
        if length == 0 || length > longest {
            let message = format!("length must be 1 to {longest}, found {length}");
            return Err(Error::at(ErrorKind::ParseException, position, message));
        }
        Ok(length)
    }
}

fn unknown_type(name: &str) -> Error {
    const KNOWN: [&str; 17] = [
        "boolean",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "decimal",
        "string",
        "char",
        "varchar",
        "binary",
        "date",
        "timestamp",
        "array",
        "map",
        "struct",
    ];
    let help = match name {
        "text" => Some("the type for text is 'string'".to_owned()),
        "real" => Some("in DDL this type is called 'float'".to_owned()),
        "varbinary" => Some("in DDL this type is called 'binary'".to_owned()),
        "row" => Some("in DDL this type is written struct<name:type,…>".to_owned()),
        _ => crate::error::did_you_mean(name, KNOWN),
    };
    Error::new(ErrorKind::ParseException, format!("unknown type '{name}'")).with_help_maybe(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_written_back_as_it_was_read() {
        let types = [
            "boolean",
            "tinyint",
            "smallint",
            "int",
            "bigint",
            "float",
            "double",
            "decimal(10,2)",
            "string",
            "char(3)",
            "varchar(20)",
            "binary",
            "date",
            "timestamp",
            "array<string>",
            "map<string,int>",
            "struct<a:string,b:array<struct<c:int>>>",
        ];
        for text in types {
            assert_eq!(parse_type(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn wrong_types_say_what_is_wrong() {
        let cases = [
            ("text", "unknown type 'text'"),
            (
                "decimal(99)",
                "decimal needs a precision of 1 to 38 and a scale not above it",
            ),
            ("char(0)", "length must be 1 to 255, found 0"),
            ("array<int", "mismatched input '<EOF>' expecting '>'"),
        ];
        for (text, message) in cases {
            assert_eq!(parse_type(text).expect_err(text).message(), message);
        }
        let deep = format!("{}int{}", "array<".repeat(40), ">".repeat(40));
        assert!(
            parse_type(&deep)
                .expect_err("deep")
                .message()
                .contains("32 deep")
        );
    }
}
