//! `RegexSerDe`: the groups of a pattern that the whole line must match.

use std::collections::BTreeMap;

use datafusion::arrow::array::ArrayRef;
use fancy_regex::{Regex, RegexBuilder};

use super::column::ColumnBuilder;
use super::openx::OpenXOptions;
use super::{LineError, ReadColumn, RowReader};

/// The pattern of `input.regex`, compiled.
#[derive(Debug, Clone)]
pub(crate) struct RegexOptions {
    pattern: Regex,
}

impl RegexOptions {
    /// Reads `input.regex` and `input.regex.case.insensitive`; the error is the message for the user.
    pub(crate) fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<RegexOptions, String> {
        let pattern = properties
            .get("input.regex")
            .ok_or("RegexSerDe needs the property 'input.regex'")?;
        let any_case = properties
            .get("input.regex.case.insensitive")
            .is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let pattern = RegexBuilder::new(&format!("^(?:{pattern})$"))
            .case_insensitive(any_case)
            .build()
            .map_err(|fault| format!("input.regex: {fault}"))?;
        Ok(RegexOptions { pattern })
    }
}

/// Reads lines for the columns that a query needs.
pub(crate) struct RegexReader {
    pattern: Regex,
    ordinals: Vec<usize>,
    columns: Vec<ColumnBuilder>,
}

impl RegexReader {
    pub(crate) fn new(columns: &[ReadColumn], options: RegexOptions) -> RegexReader {
        let plain = OpenXOptions::default();
        RegexReader {
            pattern: options.pattern,
            ordinals: columns.iter().map(|column| column.ordinal).collect(),
            columns: columns
                .iter()
                .map(|column| ColumnBuilder::new(&column.hive_type, &plain))
                .collect(),
        }
    }
}

impl RowReader for RegexReader {
    /// A line that does not match is a row of NULLs.
    fn read_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let line = String::from_utf8_lossy(line);
        let captures = self.pattern.captures(line.as_ref()).map_err(|fault| {
            LineError::cursor(format!("input.regex cannot be applied: {fault}"))
        })?;
        for (column, ordinal) in self.columns.iter_mut().zip(&self.ordinals) {
            match captures
                .as_ref()
                .and_then(|captures| captures.get(ordinal + 1))
            {
                Some(group) => column.push_plain(group.as_str()),
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
    use crate::types::HiveType;

    #[test]
    fn groups_become_columns_and_other_lines_nulls() {
        let properties = [(
            "input.regex".to_owned(),
            r"^(\S+) (\d+)(?: (x))?".to_owned(),
        )]
        .into();
        let options = RegexOptions::from_properties(&properties).expect("pattern");
        let types = [
            HiveType::String,
            HiveType::Int,
            HiveType::String,
            HiveType::String,
        ];
        let columns: Vec<ReadColumn> = types
            .into_iter()
            .enumerate()
            .map(|(ordinal, hive_type)| ReadColumn {
                ordinal,
                name: format!("c{ordinal}"),
                hive_type,
            })
            .collect();
        let mut reader = RegexReader::new(&columns, options);
        for line in ["a 1 x", "b 2", "no match", "b 2 tail"] {
            reader.read_line(line.as_bytes()).expect(line);
        }
        let arrays = reader.take_columns();
        let row = |row: usize| {
            let values = arrays
                .iter()
                .map(|array| crate::text::value_text(array, row));
            values
                .map(|value| value.unwrap_or_else(|| "-".into()))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            [0, 1, 2, 3].map(row),
            ["a 1 x -", "b 2 - -", "- - - -", "- - - -"]
        );
    }

    #[test]
    fn a_pattern_is_needed_and_must_compile() {
        assert!(RegexOptions::from_properties(&BTreeMap::new()).is_err());
        let broken = [("input.regex".to_owned(), "(".to_owned())].into();
        assert!(
            RegexOptions::from_properties(&broken)
                .expect_err("broken")
                .starts_with("input.regex: ")
        );
    }
}
