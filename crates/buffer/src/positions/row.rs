//! One row: its way into the tables and out of them.

use std::ffi::OsString;
use std::fmt::Write;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, Transaction, params};

use super::{Facts, Fingerprint, Position, schema};

/// Writes a row and its facts; gives the row's id.
pub fn put(
    transaction: &Transaction<'_>,
    known: Option<i64>,
    position: &Position,
) -> rusqlite::Result<i64> {
    let id = match known {
        Some(id) if update(transaction, id, position)? => id,
        // New, or deleted by somebody else.
        _ => insert(transaction, position)?,
    };
    match &position.facts {
        Some(facts) => set_facts(transaction, id, position, facts)?,
        None => {
            transaction
                .prepare_cached(schema::DELETE_FACTS)?
                .execute([id])?;
        }
    }
    Ok(id)
}

fn update(transaction: &Transaction<'_>, id: i64, position: &Position) -> rusqlite::Result<bool> {
    let changed = transaction
        .prepare_cached(schema::UPDATE)?
        .execute(params![
            id,
            text(&position.name),
            position.offset as i64,
            position.inode as i64,
            position.rotated,
            position.marker.hash as i64,
            position.marker.size,
        ])?;
    Ok(changed > 0)
}

fn insert(transaction: &Transaction<'_>, position: &Position) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(schema::INSERT)?
        .execute(params![
            text(&position.name),
            position.offset as i64,
            position.inode as i64,
            position.rotated,
            position.marker.hash as i64,
            position.marker.size,
            nanos(SystemTime::now()) / 1_000_000_000,
        ])?;
    Ok(transaction.last_insert_rowid())
}

fn set_facts(
    transaction: &Transaction<'_>,
    id: i64,
    position: &Position,
    facts: &Facts,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(schema::SET_FACTS)?
        .execute(params![
            id,
            position.inode as i64,
            position.offset as i64,
            position.marker.hash as i64,
            text(&facts.origin),
            text(&facts.path),
            facts.device as i64,
            facts.birth,
            facts.head.hash as i64,
            facts.head.size,
            write_ranges(&facts.delivered),
            facts.tail.hash as i64,
            facts.tail.size,
            facts.generation,
            facts.source,
        ])?;
    Ok(())
}

/// Removes a row and its facts.
pub fn delete(transaction: &Transaction<'_>, known: Option<i64>) -> rusqlite::Result<()> {
    if let Some(id) = known {
        transaction.prepare_cached(schema::DELETE)?.execute([id])?;
        transaction
            .prepare_cached(schema::DELETE_FACTS)?
            .execute([id])?;
    }
    Ok(())
}

/// Reads a row of [`schema::LOAD`].
pub fn read_position(row: &Row<'_>) -> rusqlite::Result<Position> {
    let marker = Fingerprint {
        hash: number(row, 5)? as u64,
        size: number(row, 6)? as u32,
    };
    Ok(Position {
        name: path(row, 1)?,
        offset: number(row, 2)?.max(0) as u64,
        inode: number(row, 3)? as u64,
        rotated: number(row, 4)? != 0,
        marker,
        facts: read_facts(row)?,
    })
}

fn read_facts(row: &Row<'_>) -> rusqlite::Result<Option<Facts>> {
    if matches!(row.get_ref(7)?, ValueRef::Null) {
        return Ok(None);
    }
    let fingerprint = |column: usize| -> rusqlite::Result<Fingerprint> {
        Ok(Fingerprint {
            hash: number(row, column)? as u64,
            size: number(row, column + 1)? as u32,
        })
    };
    Ok(Some(Facts {
        origin: path(row, 7)?,
        path: path(row, 8)?,
        device: number(row, 9)? as u64,
        birth: row.get(10)?,
        head: fingerprint(11)?,
        tail: fingerprint(14)?,
        generation: number(row, 16)? as u32,
        source: row
            .get_ref(17)?
            .as_blob()
            .ok()
            .and_then(|b| b.try_into().ok()),
        delivered: read_ranges(row.get_ref(13)?.as_str().unwrap_or_default()),
    }))
}

/// A column that Fluent Bit lets be NULL.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    Ok(row.get::<_, Option<i64>>(column)?.unwrap_or(0))
}

/// Paths are bytes, and SQLite's texts need not be UTF-8 either.
fn path(row: &Row<'_>, column: usize) -> rusqlite::Result<PathBuf> {
    let bytes = match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    };
    Ok(PathBuf::from(OsString::from_vec(bytes)))
}

fn text(path: &Path) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(ValueRef::Text(path.as_os_str().as_bytes()))
}

/// `100-200 300-350`. How many there are is bounded by what fits into memory on its way.
fn write_ranges(ranges: &[Range<u64>]) -> String {
    let mut text = String::with_capacity(ranges.len() * 20);
    for range in ranges {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{}-{}", range.start, range.end);
    }
    text
}

/// What is not a range, or not in order, ends the list: fewer delivered ranges only mean repeats.
fn read_ranges(text: &str) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for part in text.split_ascii_whitespace() {
        let Some((Ok(start), Ok(end))) = part.split_once('-').map(|(a, b)| (a.parse(), b.parse()))
        else {
            break;
        };
        if start >= end || ranges.last().is_some_and(|last| last.end > start) {
            break;
        }
        ranges.push(start..end);
    }
    ranges
}

/// Nanoseconds since 1970; 0 before.
pub fn nanos(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_text() {
        assert_eq!(write_ranges(&[1..2, 5..9]), "1-2 5-9");
        for (text, ranges) in [
            ("1-2 5-9", vec![1..2, 5..9]),
            ("", vec![]),
            ("1-2 3-4 5-", vec![1..2, 3..4]),
            ("9-3", vec![]),
            ("1-2 5-9 3-4", vec![1..2, 5..9]),
        ] {
            assert_eq!(read_ranges(text), ranges, "{text}");
        }
    }
}
