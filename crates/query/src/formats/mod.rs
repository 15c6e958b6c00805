//! How the lines of an object become columns: one reader per SerDe.

mod column;
mod delimited;
pub(crate) mod json;
mod openx;
mod plain;
mod regex;
mod setup;

use datafusion::arrow::array::ArrayRef;

use crate::error::ErrorKind;
use crate::types::HiveType;

pub(crate) use setup::{Format, LAZY_SIMPLE};

/// A column that a query needs: its place among the table's columns, its name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadColumn {
    pub ordinal: usize,
    pub name: String,
    pub hive_type: HiveType,
}

/// Why a line cannot be read; the place is added by whoever knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineError {
    pub kind: ErrorKind,
    pub message: String,
}

impl LineError {
    /// The line is not what the SerDe reads.
    pub(crate) fn cursor(message: impl Into<String>) -> LineError {
        LineError {
            kind: ErrorKind::HiveCursorError,
            message: message.into(),
        }
    }

    /// A value does not fit the type of its column.
    pub(crate) fn bad_data(message: impl Into<String>) -> LineError {
        LineError {
            kind: ErrorKind::HiveBadData,
            message: message.into(),
        }
    }
}

/// Collects the rows of a batch, column by column.
pub(crate) trait RowReader: Send {
    /// Adds one row to every column. After an error the reader is of no further use.
    fn read_line(&mut self, line: &[u8]) -> Result<(), LineError>;

    /// The columns read so far, in the order asked for; the reader is empty afterwards.
    fn take_columns(&mut self) -> Vec<ArrayRef>;
}

/// A column of values given as plain text, such as the values of partitions.
pub(crate) fn plain_column<'a>(
    hive_type: &HiveType,
    values: impl Iterator<Item = Option<&'a str>>,
) -> ArrayRef {
    let mut column = column::ColumnBuilder::new(hive_type, &openx::OpenXOptions::default());
    for value in values {
        match value {
            Some(text) => column.push_plain(text),
            None => column.push_null(),
        }
    }
    column.take()
}
