//! `org.openx.data.jsonserde.JsonSerDe`: one JSON document per line.
//!
//! The behaviour is that of the reader in Trino, which Athena's engine version 3 derives from: lines that
//! begin with neither `{` nor `[` are rows of NULLs, missing keys are NULL, keys match in any case.

use std::collections::BTreeMap;

use datafusion::arrow::array::ArrayRef;

use crate::time::civil::Civil;
use crate::time::joda::JodaPattern;
use crate::time::{MILLIS_PER_SECOND, iso, zone};

use super::column::ColumnBuilder;
use super::json::{Decimal, Malformed, Scanner, Value};
use super::{LineError, ReadColumn, RowReader};

/// The SerDe's properties.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenXOptions {
    /// `ignore.malformed.json`: a malformed line is a row of NULLs instead of an error.
    pub ignore_malformed: bool,
    /// `case.insensitive`, on unless switched off.
    pub case_insensitive: bool,
    /// `dots.in.keys`: the key `a.b` belongs to the column `a_b`.
    pub dots_in_keys: bool,
    /// `timestamp.formats`, tried before the built-in ones.
    pub timestamp_formats: Vec<JodaPattern>,
    /// `mapping.<column>`: the key that a column reads.
    pub mappings: BTreeMap<String, String>,
}

impl OpenXOptions {
    /// Reads the properties; the error is the message for the user. Unknown ones are ignored, as Hive does.
    pub(crate) fn from_properties(
        properties: &BTreeMap<String, String>,
    ) -> Result<OpenXOptions, String> {
        let flag = |name: &str, default: bool| {
            properties
                .get(name)
                .map_or(default, |value| value.eq_ignore_ascii_case("true"))
        };
        let timestamp_formats = properties
            .get("timestamp.formats")
            .map(|formats| {
                formats
                    .split(',')
                    .map(JodaPattern::parse)
                    .collect::<Result<_, _>>()
            })
            .transpose()
            .map_err(|fault| format!("timestamp.formats: {fault}"))?;
        let mappings = properties
            .iter()
            .filter_map(|(name, key)| {
                Some((name.strip_prefix("mapping.")?.to_lowercase(), key.clone()))
            })
            .collect();
        Ok(OpenXOptions {
            ignore_malformed: flag("ignore.malformed.json", false),
            case_insensitive: flag("case.insensitive", true),
            dots_in_keys: flag("dots.in.keys", false),
            timestamp_formats: timestamp_formats.unwrap_or_default(),
            mappings,
        })
    }
}

impl Default for OpenXOptions {
    /// What holds without any property.
    fn default() -> OpenXOptions {
        OpenXOptions {
            ignore_malformed: false,
            case_insensitive: true,
            dots_in_keys: false,
            timestamp_formats: Vec::new(),
            mappings: BTreeMap::new(),
        }
    }
}

/// Reads lines for the columns that a query needs.
pub(crate) struct OpenXReader {
    options: OpenXOptions,
    /// For each column its place in the table, for lines that are arrays.
    ordinals: Vec<usize>,
    names: FieldNames,
    columns: Vec<ColumnBuilder>,
}

impl OpenXReader {
    pub(crate) fn new(columns: &[ReadColumn], options: OpenXOptions) -> OpenXReader {
        OpenXReader {
            ordinals: columns.iter().map(|column| column.ordinal).collect(),
            names: FieldNames::new(columns.iter().map(|column| column.name.as_str()), &options),
            columns: columns
                .iter()
                .map(|column| ColumnBuilder::new(&column.hive_type, &options))
                .collect(),
            options,
        }
    }

    fn collect<'a>(&mut self, line: &'a [u8], values: &mut [Value<'a>]) -> Result<(), Malformed> {
        let mut scanner = Scanner::open(line);
        if line.starts_with(b"{") {
            return self.names.collect(line, values);
        }
        let mut ordinal = 0;
        scanner.array(|element| {
            for (slot, _) in values
                .iter_mut()
                .zip(&self.ordinals)
                .filter(|(_, wanted)| **wanted == ordinal)
            {
                *slot = element;
            }
            ordinal += 1;
        })
    }
}

impl RowReader for OpenXReader {
    fn read_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let line = line.trim_ascii();
        let mut values = vec![Value::Null; self.columns.len()];
        if matches!(line.first(), Some(b'{' | b'['))
            && let Err(malformed) = self.collect(line, &mut values)
        {
            if !self.options.ignore_malformed {
                let Malformed { what, offset } = malformed;
                let message = format!(
                    "Row is not a valid JSON Object - JSONException: {what} at character {offset}"
                );
                return Err(LineError::cursor(message));
            }
            values.fill(Value::Null);
        }
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.push(value, &self.options)?;
        }
        Ok(())
    }

    fn take_columns(&mut self) -> Vec<ArrayRef> {
        self.columns.iter_mut().map(ColumnBuilder::take).collect()
    }
}

/// Which keys belong to which fields of a row or struct.
///
/// Log lines repeat the same keys in the same order, so what the n-th key of the last object meant is
/// looked at first.
pub(super) struct FieldNames {
    fields: Vec<FieldName>,
    case_insensitive: bool,
    dots_in_keys: bool,
    recent: Vec<(Vec<u8>, Matches)>,
}

struct FieldName {
    name: String,
    /// The key it reads: its own name unless mapped.
    key: String,
}

/// The fields that a key is for, and those that it stands for with its dots replaced.
#[derive(Debug, Clone, Default)]
struct Matches {
    exact: Vec<usize>,
    dotted: Vec<usize>,
}

/// Keys beyond this many are looked up one by one; it bounds what a strange object leaves behind.
const MAX_RECENT: usize = 256;

impl FieldNames {
    pub(super) fn new<'a>(
        names: impl Iterator<Item = &'a str>,
        options: &OpenXOptions,
    ) -> FieldNames {
        let field = |name: &str| FieldName {
            name: name.to_owned(),
            key: options
                .mappings
                .get(name)
                .cloned()
                .unwrap_or_else(|| name.to_owned()),
        };
        FieldNames {
            fields: names.map(field).collect(),
            case_insensitive: options.case_insensitive,
            dots_in_keys: options.dots_in_keys,
            recent: Vec::new(),
        }
    }

    /// Puts the values of an object into the slots of its fields.
    pub(super) fn collect<'a>(
        &mut self,
        object: &'a [u8],
        values: &mut [Value<'a>],
    ) -> Result<(), Malformed> {
        let mut found = vec![false; if self.dots_in_keys { values.len() } else { 0 }];
        let mut index = 0;
        Scanner::open(object).object(|name, value| {
            let matches = self.matches(index, name);
            for &field in &matches.exact {
                values[field] = value;
                if let Some(found) = found.get_mut(field) {
                    *found = true;
                }
            }
            for &field in &matches.dotted {
                if !found[field] && values[field] == Value::Null {
                    values[field] = value;
                }
            }
            index += 1;
        })
    }

    fn matches(&mut self, index: usize, name: Value<'_>) -> &Matches {
        let raw: &[u8] = match name {
            Value::Quoted { inner, .. } => inner,
            Value::Literal(literal) => literal,
            _ => &[],
        };
        let slot = index.min(MAX_RECENT);
        if self
            .recent
            .get(slot)
            .is_none_or(|(recent, _)| recent != raw)
        {
            let found = (raw.to_vec(), self.look_up(&name.text().unwrap_or_default()));
            match self.recent.get_mut(slot) {
                Some(recent) => *recent = found,
                None => self.recent.push(found),
            }
        }
        let slot = slot.min(self.recent.len() - 1);
        &self.recent[slot].1
    }

    fn look_up(&self, key: &str) -> Matches {
        let same = |a: &str, b: &str| {
            if self.case_insensitive {
                equal_in_any_case(a, b)
            } else {
                a == b
            }
        };
        let fields_where = |accept: &dyn Fn(&FieldName) -> bool| {
            let accepted = self
                .fields
                .iter()
                .enumerate()
                .filter(|(_, field)| accept(field));
            accepted.map(|(index, _)| index).collect()
        };
        let exact: Vec<usize> = fields_where(&|field| same(&field.key, key));
        let mut dotted: Vec<usize> = Vec::new();
        if self.dots_in_keys && key.contains('.') {
            let underscored = key.replace('.', "_");
            dotted = fields_where(&|field| same(&field.name, &underscored));
            dotted.retain(|field| !exact.contains(field));
        }
        Matches { exact, dotted }
    }
}

fn equal_in_any_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// Milliseconds since 1970 for the text of a timestamp: the given formats, ISO with zone (turned into
/// UTC), Hive's plain form, seconds with a fraction, or an integer of milliseconds (13 digits or more) or
/// seconds.
pub(super) fn parse_timestamp(text: &str, formats: &[JodaPattern]) -> Option<i64> {
    for format in formats {
        if let Some((civil, named_zone)) = format.read(text) {
            return Some(
                named_zone.map_or_else(|| civil.to_millis(), |zone| zone::instant(&zone, civil)),
            );
        }
    }
    if text.contains(':') {
        if let Some((civil, Some(offset))) = iso::parse_iso(text) {
            return Some(civil.to_millis() - i64::from(offset) * MILLIS_PER_SECOND);
        }
        return iso::parse_plain_timestamp(text).map(Civil::to_millis);
    }
    if text.contains('.') {
        return Decimal::parse(&format!("{text}e3"))?.truncated();
    }
    const SHORTEST_MILLIS: usize = 13;
    let number: i64 = text.parse().ok()?;
    if text.len() >= SHORTEST_MILLIS {
        Some(number)
    } else {
        number.checked_mul(MILLIS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hive::parse_type;
    use datafusion::arrow::array::RecordBatch;
    use datafusion::arrow::datatypes::{Field, Schema};
    use std::sync::Arc;

    fn reader(columns: &[(&str, &str)], properties: &[(&str, &str)]) -> OpenXReader {
        let columns: Vec<ReadColumn> = columns
            .iter()
            .enumerate()
            .map(|(ordinal, (name, hive_type))| ReadColumn {
                ordinal,
                name: (*name).to_owned(),
                hive_type: parse_type(hive_type).expect(hive_type),
            })
            .collect();
        let properties = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        OpenXReader::new(
            &columns,
            OpenXOptions::from_properties(&properties).expect("properties"),
        )
    }

    /// The rows that lines give, in Athena's text form, NULL as `NULL`.
    fn rows(
        columns: &[(&str, &str)],
        properties: &[(&str, &str)],
        lines: &[&str],
    ) -> Result<Vec<String>, LineError> {
        let mut reader = reader(columns, properties);
        for line in lines {
            reader.read_line(line.as_bytes())?;
        }
        let arrays = reader.take_columns();
        let fields: Vec<Field> = columns
            .iter()
            .zip(&arrays)
            .map(|((name, _), array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("batch");
        let shown = |row: usize| {
            let values = batch
                .columns()
                .iter()
                .map(|column| crate::text::value_text(column, row));
            values
                .map(|value| value.unwrap_or_else(|| "NULL".into()))
                .collect::<Vec<_>>()
                .join("|")
        };
        Ok((0..batch.num_rows()).map(shown).collect())
    }

    fn one(hive_type: &str, json: &str) -> Result<String, LineError> {
        rows(&[("v", hive_type)], &[], &[&format!(r#"{{"v":{json}}}"#)]).map(|rows| rows[0].clone())
    }

    #[test]
    fn string_columns_take_every_value_as_text() {
        let cases = [
            (r#""a\nb""#, "a\nb"),
            ("200", "200"),
            ("1.50", "1.50"),
            ("true", "true"),
            ("null", "NULL"),
            (r#"{"b": [1, "x"]}"#, r#"{"b":[1,"x"]}"#),
            ("[ ]", "[]"),
        ];
        for (json, text) in cases {
            assert_eq!(one("string", json).as_deref(), Ok(text), "{json}");
        }
        assert_eq!(one("varchar(2)", r#""äöü""#).as_deref(), Ok("äö"));
    }

    #[test]
    fn numbers_that_do_not_fit_are_null() {
        let cases = [
            ("int", r#""12""#, "12"),
            ("int", "1.9", "1"),
            ("int", "0x10", "16"),
            ("int", "3000000000", "NULL"),
            ("bigint", "3000000000", "3000000000"),
            ("tinyint", "200", "NULL"),
            ("int", r#""abc""#, "NULL"),
            ("double", "1.5", "1.5"),
            ("double", r#""x""#, "NULL"),
            ("decimal(5,2)", "1.005", "1.01"),
            ("decimal(3,2)", "123", "NULL"),
            ("boolean", r#""TRUE""#, "true"),
            ("boolean", "1", "false"),
            ("date", r#""2019-11-22""#, "2019-11-22"),
            ("date", "18222", "2019-11-22"),
            ("binary", r#""aGk=""#, "68 69"),
        ];
        for (hive_type, json, text) in cases {
            assert_eq!(
                one(hive_type, json).as_deref(),
                Ok(text),
                "{json} as {hive_type}"
            );
        }
        let error = one("int", r#"{"a":1}"#).expect_err("an object is no number");
        assert_eq!(error.message, "Object can not be coerced to a INTEGER");
    }

    #[test]
    fn timestamps_are_read_in_all_built_in_forms() {
        let cases = [
            (r#""2019-11-22 13:01:02.5""#, "2019-11-22 13:01:02.500"),
            (r#""2019-11-22T13:01:02Z""#, "2019-11-22 13:01:02.000"),
            (r#""2019-11-22T13:01:02+09:00""#, "2019-11-22 04:01:02.000"),
            (r#""2019-11-22T13:01:02+0900""#, "2019-11-22 04:01:02.000"),
            ("1574427662", "2019-11-22 13:01:02.000"),
            ("1574427662123", "2019-11-22 13:01:02.123"),
            ("1574427662.5", "2019-11-22 13:01:02.500"),
            (r#""22/Nov/2019""#, "NULL"),
        ];
        for (json, text) in cases {
            assert_eq!(one("timestamp", json).as_deref(), Ok(text), "{json}");
        }
        let formats = [("timestamp.formats", "dd/MMM/yyyy:HH:mm:ss Z,yyyy")];
        let line = r#"{"v":"22/Nov/2019:13:01:02 +0900"}"#;
        assert_eq!(
            rows(&[("v", "timestamp")], &formats, &[line]),
            Ok(vec!["2019-11-22 04:01:02.000".into()])
        );
    }

    #[test]
    fn nested_columns() {
        let cases = [
            ("array<int>", "[1,null,\"3\"]", "[1, null, 3]"),
            ("array<int>", "7", "[7]"),
            ("array<string>", r#""""#, "NULL"),
            (
                "map<string,int>",
                r#"{"a":1,"b":null,"a":2}"#,
                "{b=null, a=2}",
            ),
            (
                "struct<a:string,b:int>",
                r#"{"B":"2","x":0}"#,
                "{a=null, b=2}",
            ),
            ("struct<a:string,b:int>", r#"["x",1,2]"#, "{a=x, b=1}"),
            (
                "array<struct<k:array<string>>>",
                r#"[{"k":["x"]},{}]"#,
                "[{k=[x]}, {k=null}]",
            ),
        ];
        for (hive_type, json, text) in cases {
            assert_eq!(
                one(hive_type, json).as_deref(),
                Ok(text),
                "{json} as {hive_type}"
            );
        }
        assert!(one("map<string,int>", "[1]").is_err());
        assert!(one("struct<a:int>", "5").is_err());
    }

    #[test]
    fn lines_that_are_no_object_are_rows_of_nulls() {
        let lines = [
            "",
            "  ",
            "just text",
            "42",
            "\"x\"",
            r#"{"b":1}"#,
            r#"["x","y"]"#,
            "  {\"a\":\"z\"}\r",
        ];
        let expected: Vec<String> = ["NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "x", "z"]
            .map(String::from)
            .into();
        assert_eq!(rows(&[("a", "string")], &[], &lines), Ok(expected));
    }

    #[test]
    fn a_malformed_line_is_an_error_or_a_row_of_nulls() {
        let columns = [("a", "string")];
        let error = rows(&columns, &[], &[r#"{"a":1"#]).expect_err("malformed");
        assert_eq!(
            error.message,
            "Row is not a valid JSON Object - JSONException: unterminated object at character 6"
        );
        let ignoring = [("ignore.malformed.json", "TRUE")];
        assert_eq!(
            rows(&columns, &ignoring, &[r#"{"a":1"#, r#"{"a":2}"#]),
            Ok(vec!["NULL".into(), "2".into()])
        );
    }

    #[test]
    fn keys_find_their_columns() {
        let line = r#"{"USER":"u","a.b":"dot","Host.Name":"mapped"}"#;
        let columns = [("user", "string"), ("a_b", "string"), ("host", "string")];
        let properties = [("dots.in.keys", "true"), ("mapping.host", "host.name")];
        assert_eq!(
            rows(&columns, &properties, &[line, line]),
            Ok(vec!["u|dot|mapped".into(); 2])
        );
        let strict = [("case.insensitive", "false")];
        assert_eq!(
            rows(&columns, &strict, &[line]),
            Ok(vec!["NULL|NULL|NULL".into()])
        );
        // Same keys in another order, and more of them than before.
        let lines = [
            r#"{"user":"1","a_b":"2"}"#,
            r#"{"a_b":"2","x":0,"user":"1"}"#,
        ];
        assert_eq!(rows(&columns, &[], &lines), Ok(vec!["1|2|NULL".into(); 2]));
    }
}
