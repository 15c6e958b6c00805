//! `LazySimpleSerDe`: fields cut at a delimiter, no quotes.

use std::collections::BTreeMap;

use datafusion::arrow::array::ArrayRef;

use super::column::ColumnBuilder;
use super::openx::OpenXOptions;
use super::{LineError, ReadColumn, RowReader};

/// How `ROW FORMAT DELIMITED` cuts a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DelimitedOptions {
    pub field: u8,
    pub escape: Option<u8>,
    /// The text that stands for NULL.
    pub null: String,
}

impl DelimitedOptions {
    /// Reads `field.delim`, `escape.delim` and `serialization.null.format`; the error is for the user.
    pub(crate) fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<DelimitedOptions, String> {
        let sign = |name: &str| {
            properties
                .get(name)
                .map(|text| single_byte(name, text))
                .transpose()
        };
        if let Some(line) = properties.get("line.delim").filter(|line| *line != "\n") {
            return Err(format!(
                "LINES TERMINATED BY only supports newline '\\n' right now, found {line:?}"
            ));
        }
        Ok(DelimitedOptions {
            field: sign("field.delim")?
                .or(sign("serialization.format")?)
                .unwrap_or(1),
            escape: sign("escape.delim")?,
            null: properties
                .get("serialization.null.format")
                .cloned()
                .unwrap_or_else(|| "\\N".into()),
        })
    }
}

/// A delimiter: one character of ASCII, or its number.
fn single_byte(name: &str, text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !byte.is_ascii_digit() => Ok(*byte),
        _ => text
            .parse()
            .map_err(|_| format!("{name} must be a single character, found {text:?}")),
    }
}

/// Reads lines for the columns that a query needs.
pub(crate) struct DelimitedReader {
    options: DelimitedOptions,
    ordinals: Vec<usize>,
    columns: Vec<ColumnBuilder>,
}

impl DelimitedReader {
    pub(crate) fn new(columns: &[ReadColumn], options: DelimitedOptions) -> DelimitedReader {
        let plain = OpenXOptions::default();
        DelimitedReader {
            options,
            ordinals: columns.iter().map(|column| column.ordinal).collect(),
            columns: columns
                .iter()
                .map(|column| ColumnBuilder::new(&column.hive_type, &plain))
                .collect(),
        }
    }

    /// The raw fields of a line; an escaped delimiter does not cut.
    fn fields<'a>(&self, line: &'a [u8]) -> Vec<&'a [u8]> {
        let mut fields = Vec::new();
        let mut start = 0;
        let mut offset = 0;
        while offset < line.len() {
            if Some(line[offset]) == self.options.escape {
                offset += 1;
            } else if line[offset] == self.options.field {
                fields.push(&line[start..offset]);
                start = offset + 1;
            }
            offset += 1;
        }
        fields.push(&line[start..]);
        fields
    }

    fn unescaped(&self, field: &[u8]) -> String {
        let Some(escape) = self.options.escape else {
            return String::from_utf8_lossy(field).into_owned();
        };
        let mut text = Vec::with_capacity(field.len());
        let mut bytes = field.iter();
        while let Some(byte) = bytes.next() {
            text.push(
                if *byte == escape {
                    bytes.next().unwrap_or(byte)
                } else {
                    byte
                }
                .to_owned(),
            );
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl RowReader for DelimitedReader {
    fn read_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let fields = self.fields(line);
        let texts: Vec<Option<String>> = self
            .ordinals
            .iter()
            .map(|ordinal| {
                let field = fields
                    .get(*ordinal)
                    .filter(|field| **field != self.options.null.as_bytes())?;
                Some(self.unescaped(field))
            })
            .collect();
        for (column, text) in self.columns.iter_mut().zip(texts) {
            match text {
                Some(text) => column.push_plain(&text),
                None => column.push_null(),
            }
        }
        Ok(())
    }

    fn take_columns(&mut self) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(ColumnBuilder::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::parse_type;

    fn rows(
        properties: &[(&str, &str)],
        columns: &[(usize, &str)],
        lines: &[&str],
    ) -> Vec<Vec<Option<String>>> {
        let properties = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let columns: Vec<ReadColumn> = columns
            .iter()
            .map(|(ordinal, hive_type)| ReadColumn {
                ordinal: *ordinal,
                name: format!("c{ordinal}"),
                hive_type: parse_type(hive_type).expect(hive_type),
            })
            .collect();
        let options = DelimitedOptions::from_properties(&properties).expect("properties");
        let mut reader = DelimitedReader::new(&columns, options);
        for line in lines {
            reader.read_line(line.as_bytes()).expect(line);
        }
        let arrays = reader.take_columns();
        (0..lines.len())
            .map(|row| {
                arrays
                    .iter()
                    .map(|array| crate::text::value_text(array, row))
                    .collect()
            })
            .collect()
    }

    fn row(values: &[Option<&str>]) -> Vec<Option<String>> {
        values
            .iter()
            .map(|value| value.map(str::to_owned))
            .collect()
    }

    #[test]
    fn fields_are_cut_converted_and_null_when_missing() {
        let lines = ["1,a,2.5", "x,,3", r"7,b\,c,\N", "08"];
        let found = rows(
            &[("field.delim", ","), ("escape.delim", "\\")],
            &[(1, "string"), (0, "int"), (2, "double")],
            &lines,
        );
        let expected = [
            row(&[Some("a"), Some("1"), Some("2.5")]),
            row(&[Some(""), None, Some("3.0")]),
            row(&[Some("b,c"), Some("7"), None]),
            row(&[None, Some("8"), None]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn delimiters_may_be_numbers_and_must_be_single() {
        assert_eq!(
            rows(&[("field.delim", "9")], &[(1, "string")], &["a\tb"]),
            [row(&[Some("b")])]
        );
        assert_eq!(
            rows(&[], &[(1, "string")], &["a\u{1}b"]),
            [row(&[Some("b")])]
        );
        let two = [("field.delim".to_owned(), "||".to_owned())].into();
        assert!(DelimitedOptions::from_properties(&two).is_err());
        let lines = [("line.delim".to_owned(), ";".to_owned())].into();
        assert!(DelimitedOptions::from_properties(&lines).is_err());
    }
}
