//! Finds marks in Parquet: every value of text is decoded and looked through, so that rows are counted as exactly as lines.

use std::io;

use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::mark::{self, Mark};

/// What a file in Parquet begins and ends with.
pub const MAGIC: &[u8] = b"PAR1";
/// The largest file that is looked through: its end tells where things are, so that all of it has to be kept.
pub const BYTES_MAX: usize = 256 << 20;
/// Rows that are decoded at once.
const ROWS: usize = 4096;

/// The marks of a whole file, column by column; the part of one, as in a multipart upload, has none. An error says that it
/// is not Parquet, or is compressed otherwise than with zstd.
pub fn marks(file: Bytes, mut found: impl FnMut(Mark)) -> io::Result<()> {
    if !file.ends_with(MAGIC) {
        return Ok(());
    }
    let file = SerializedFileReader::new(file).map_err(failed)?;
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(failed)?;
        for column in 0..group.num_columns() {
            let reader = group.get_column_reader(column).map_err(failed)?;
            // Marks are text; numbers and times hold none.
            let ColumnReader::ByteArrayColumnReader(mut reader) = reader else {
                continue;
            };
            loop {
                values.clear();
                levels.clear();
                let read = reader.read_records(ROWS, Some(&mut levels), None, &mut values);
                let (records, _, _) = read.map_err(failed)?;
                if records == 0 {
                    break;
                }
                let texts = values.iter().map(ByteArray::data);
                texts.flat_map(mark::find).for_each(&mut found);
            }
        }
    }
    Ok(())
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use parquet::basic::{Compression, ZstdLevel};
    use parquet::data_type::{ByteArrayType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;

    /// A file of two row groups: a number, and a text with a mark in every row but each fifth, where it is null.
    pub fn file(rows: u64) -> Vec<u8> {
        let schema = "message row { required int32 code; optional binary path (STRING); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let level = ZstdLevel::try_new(3).unwrap();
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level));
        let mut out = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut out, schema, Arc::new(properties.build())).unwrap();
        for half in [0..rows / 2, rows / 2..rows] {
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            let codes = vec![200; half.clone().count()];
            let typed = column.typed::<Int32Type>();
            typed.write_batch(&codes, None, None).unwrap();
            column.close().unwrap();
            let text = |seq: u64| {
                let mut text = b"/?id=".to_vec();
                Mark { writer: 9, seq }.write(&mut text);
                ByteArray::from(text)
            };
            let texts: Vec<ByteArray> = half
                .clone()
                .filter(|seq| !seq.is_multiple_of(5))
                .map(text)
                .collect();
            let levels: Vec<i16> = half.map(|seq| i16::from(!seq.is_multiple_of(5))).collect();
            let mut column = group.next_column().unwrap().unwrap();
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&texts, Some(&levels), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
        }
        writer.close().unwrap();
        out
    }

    #[test]
    fn every_mark_of_every_row_group_is_found() {
        let mut found = Vec::new();
        marks(file(20_000).into(), |mark| found.push(mark.seq)).unwrap();
        let expected: Vec<u64> = (0..20_000_u64)
            .filter(|seq| !seq.is_multiple_of(5))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let file = file(100);
        let torn = [&file[..file.len() / 2], MAGIC].concat();
        assert!(marks(torn.into(), |_| {}).is_err());
        assert!(marks(Bytes::from_static(b"PAR1nonsensePAR1"), |_| {}).is_err());
    }
}
