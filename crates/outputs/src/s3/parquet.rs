//! Parquet: a column per field of the buffered lines, typed by what they hold, compressed with zstd.
//!
//! Two passes over the data: the first finds columns and types, the second writes row groups. What is in memory is one
//! row group and one block of lines.

mod columns;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr_iter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use record::json::write::Writer;
use record::{Batch, Fields, Tag, Value, json};

use columns::{Column, Schema};

/// Lines that are parsed at once.
const BLOCK: usize = 256 << 10;
/// What a row group holds before it is encoded.
const ROW_GROUP: usize = 16 << 20;
const ZSTD_LEVEL: i32 = 3;

/// A line, and its fields if it is a JSON object.
struct Row {
    line: Range<usize>,
    fields: Option<Fields>,
}

/// Writes the lines that `open` reads, twice, as a Parquet file. Times in `time_column` become timestamps.
///
/// # Errors
/// Of reading or writing. Lines that are no JSON objects are no error: they stand whole in a column of their own.
pub fn write<R: Read>(
    open: &dyn Fn() -> io::Result<R>,
    time_column: Option<&str>,
    out: &mut (impl Write + Send),
) -> io::Result<()> {
    let mut schema = Schema::new(time_column);
    for_each_block(open()?, |batch, rows| {
        for row in rows {
            match row.fields {
                Some(fields) => observe(&mut schema, batch, fields),
                None => schema.needs_rest(),
            }
        }
        Ok(())
    })?;
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(failed)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by(concat!("flumen version ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    let mut columns = schema.finish();
    let root = columns.parquet_schema().map_err(failed)?;
    let mut file =
        SerializedFileWriter::new(out, Arc::new(root), Arc::new(properties)).map_err(failed)?;
    let mut writer = Writer::new(json::write::Options {
        escape_unicode: false,
        nan_to_null: true,
    });
    for_each_block(open()?, |batch, rows| {
        for row in rows {
            match row.fields {
                Some(fields) => columns.push_row(batch, fields, &mut writer),
                None => columns.push_rest(&batch.source()[row.line.clone()]),
            }
            if columns.size() >= ROW_GROUP {
                write_group(&mut file, &mut columns.take())?;
            }
        }
        Ok(())
    })?;
    if columns.rows() > 0 {
        write_group(&mut file, &mut columns.take())?;
    }
    file.close().map_err(failed)?;
    Ok(())
}

fn observe(schema: &mut Schema, batch: &Batch, fields: Fields) {
    for field in batch.fields(fields) {
        schema.observe(batch.bytes(field.key.span()), batch, field.value);
    }
}

fn write_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    columns: &mut [Column],
) -> io::Result<()> {
    let mut group = file.next_row_group().map_err(failed)?;
    for column in columns {
        let mut writer = group
            .next_column()
            .map_err(failed)?
            .ok_or_else(|| io::Error::other("more columns than the schema has"))?;
        column.write(writer.untyped()).map_err(failed)?;
        writer.close().map_err(failed)?;
    }
    group.close().map_err(failed)?;
    Ok(())
}

fn for_each_block<R: Read>(
    reader: R,
    mut work: impl FnMut(&Batch, &[Row]) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    loop {
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
        while block.len() < BLOCK && reader.read_until(b'\n', &mut block)? > 0 {}
        if block.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(Tag::from(""), Bytes::from(block));
        let rows = parse(&mut batch);
        work(&batch, &rows)?;
    }
}

fn parse(batch: &mut Batch) -> Vec<Row> {
    let source = batch.source().clone();
    let mut rows = Vec::new();
    let mut start = 0;
    for end in memchr_iter(b'\n', &source) {
        let line = start..end;
        start = end + 1;
        let text = batch.span(line.clone());
        let fields = match json::read::object(batch, text) {
            Ok((fields, len)) if len == line.len() => Some(fields),
            _ => None,
        };
        rows.push(Row { line, fields });
    }
    rows
}

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        error => io::Error::other(error),
    }
}

/// A value as text: text as it is, everything else as JSON.
fn text_of(batch: &Batch, value: Value, writer: &mut Writer) -> Vec<u8> {
    let mut text = Vec::new();
    match value {
        Value::Str(span) => text.extend_from_slice(batch.bytes(span)),
        other => writer.value(batch, other, &mut text),
    }
    // Columns of text are UTF-8.
    match String::from_utf8(text) {
        Ok(text) => text.into_bytes(),
        Err(error) => String::from_utf8_lossy(error.as_bytes())
            .into_owned()
            .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    fn file(lines: &str, time_column: Option<&str>) -> SerializedFileReader<Bytes> {
        let mut out = Vec::new();
        write(&|| Ok(lines.as_bytes()), time_column, &mut out).expect("written");
        SerializedFileReader::new(Bytes::from(out)).expect("Parquet")
    }

    /// Names and types, then the rows.
    fn read(lines: &str, time_column: Option<&str>) -> (String, Vec<Vec<Field>>) {
        let file = file(lines, time_column);
        let schema = file.metadata().file_metadata().schema_descr_ptr();
        let columns = schema.columns().iter().map(|column| {
            let logical = column.logical_type_ref().map(|kind| format!("{kind:?}"));
            let logical = logical.unwrap_or_else(|| column.physical_type().to_string());
            let end = logical.find('(').unwrap_or(logical.len());
            format!("{}:{}", column.name(), &logical[..end])
        });
        let columns = columns.collect::<Vec<_>>().join(" ");
        let rows = file
            .get_row_iter(None)
            .expect("rows")
            .map(|row| {
                let row = row.expect("a row");
                row.get_column_iter()
                    .map(|(_, field)| field.clone())
                    .collect()
            })
            .collect();
        (columns, rows)
    }

    fn text(text: &str) -> Field {
        Field::Str(text.to_owned())
    }

    #[test]
    fn columns_have_the_type_of_what_they_hold() {
        let lines = concat!(
            r#"{"date":"2023-11-14T22:13:20.123456Z","b":true,"i":1,"f":1.5,"s":"é\n","m":{"a":[1]},"x":1,"n":null}"#,
            "\n",
            r#"{"date":"1969-12-31T23:59:59.000000Z","i":-9223372036854775808,"f":2,"x":"two","b":false}"#,
            "\n",
            r#"{"x":null,"x2":18446744073709551615}"#,
            "\n"
        );
        let (columns, rows) = read(lines, Some("date"));
        assert_eq!(
            columns,
            "date:Timestamp b:BOOLEAN i:INT64 f:DOUBLE s:String m:String x:String n:String x2:String"
        );
        assert_eq!(
            rows[0],
            [
                Field::TimestampMicros(1_700_000_000_123_456),
                Field::Bool(true),
                Field::Long(1),
                Field::Double(1.5),
                text("é\n"),
                text(r#"{"a":[1]}"#),
                text("1"),
                Field::Null,
                Field::Null
            ]
        );
        assert_eq!(
            rows[1][..4],
            [
                Field::TimestampMicros(-1_000_000),
                Field::Bool(false),
                Field::Long(i64::MIN),
                Field::Double(2.0)
            ]
        );
        assert_eq!(rows[1][6], text("two"));
        assert_eq!(rows[2][8], text("18446744073709551615"));
        assert!(rows[2][..8].iter().all(|field| *field == Field::Null));
    }

    #[test]
    fn numbers_that_a_float_cannot_hold_become_text() {
        let (columns, rows) = read("{\"a\":9007199254740993}\n{\"a\":0.5}\n", None);
        assert_eq!(columns, "a:String");
        assert_eq!(rows, [[text("9007199254740993")], [text("0.5")]]);
    }

    #[test]
    fn a_time_column_that_holds_other_things_is_text() {
        let lines = "{\"t\":\"2023-11-14 22:13:20.123456\"}\n{\"t\":\"yesterday\"}\n";
        let (columns, rows) = read(lines, Some("t"));
        assert_eq!(columns, "t:String");
        assert_eq!(rows[0], [text("2023-11-14 22:13:20.123456")]);
        let (columns, _) = read("{\"t\":\"2023-11-14 22:13:20.123456\"}\n", Some("t"));
        assert_eq!(columns, "t:Timestamp");
        let (columns, _) = read("{\"t\":\"2023-11-14 22:13:20.123456\"}\n", None);
        assert_eq!(columns, "t:String");
    }

    #[test]
    fn nothing_is_left_out() {
        let (columns, rows) = read("{\"a\":inf}\n{\"a\":1}\n{}\n", None);
        assert_eq!(columns, "a:INT64 __more__:String");
        assert_eq!(rows[0], [Field::Null, text("{\"a\":inf}")]);
        assert_eq!(rows[1], [Field::Long(1), Field::Null]);
        assert_eq!(rows[2], [Field::Null, Field::Null]);
        let (columns, rows) = read("{}\n", None);
        assert_eq!((columns.as_str(), rows.len()), ("__more__:String", 1));
        let many: Vec<String> = (0..columns::COLUMNS_MAX + 2)
            .map(|number| format!("\"k{number}\":{number}"))
            .collect();
        let (_, rows) = read(&format!("{{{}}}\n", many.join(",")), None);
        let rest = rows[0].last().expect("a column");
        let expected = format!(
            "{{\"k{0}\":{0},\"k{1}\":{1}}}",
            columns::COLUMNS_MAX,
            columns::COLUMNS_MAX + 1
        );
        assert_eq!(*rest, text(&expected));
    }

    #[test]
    fn large_objects_have_several_row_groups() {
        let line = format!("{{\"log\":\"{}\",\"n\":7}}\n", "x".repeat(4_000));
        let lines = line.repeat(10_000);
        let file = file(&lines, None);
        assert_eq!(file.num_row_groups(), 3);
        let rows: i64 = (0..3)
            .map(|group| file.metadata().row_group(group).num_rows())
            .sum();
        assert_eq!(rows, 10_000);
        assert_eq!(file.get_row_iter(None).expect("rows").count(), 10_000);
    }
}
