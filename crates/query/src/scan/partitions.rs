//! Partitions: their folders' names, their values as columns, and which of them a query needs.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::Expr;

use crate::catalog::{CatalogColumn, Partition};
use crate::formats::plain_column;

/// The value of a partition without one, as Hive writes it into paths.
const NULL_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// Characters that Hive writes as `%XX` in the names of partition folders.
const ESCAPED: &[u8] = b"\"#%'*/:=?\\\x7f{}[]^";

/// `key=value`, as Hive names the folder of a partition.
pub(crate) fn partition_folder_name(key: &str, value: &str) -> String {
    let mut name = format!("{key}=");
    for character in value.chars() {
        match u8::try_from(character) {
            Ok(byte) if byte < b' ' || ESCAPED.contains(&byte) => {
                name.push_str(&format!("%{byte:02X}"))
            }
            _ => name.push(character),
        }
    }
    name
}

/// The value that a folder's name writes with `%XX`.
pub(crate) fn unescape_partition_value(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut value = Vec::with_capacity(bytes.len());
    let mut offset = 0;
    while offset < bytes.len() {
        let escaped = text
            .get(offset + 1..offset + 3)
            .filter(|_| bytes[offset] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                value.push(byte);
                offset += 3;
            }
            None => {
                value.push(bytes[offset]);
                offset += 1;
            }
        }
    }
    String::from_utf8_lossy(&value).into_owned()
}

/// The values of all partitions, one column per key. A value that its type cannot express is NULL.
fn value_columns(keys: &[CatalogColumn], partitions: &[Partition]) -> Vec<ArrayRef> {
    let column = |(index, key): (usize, &CatalogColumn)| {
        let values = partitions.iter().map(|partition| {
            partition
                .values
                .get(index)
                .map(String::as_str)
                .filter(|value| *value != NULL_VALUE)
        });
        plain_column(&key.hive_type, values)
    };
    keys.iter().enumerate().map(column).collect()
}

/// A partition that a query needs, with its values.
pub(super) struct NeededPartition<'a> {
    pub partition: &'a Partition,
    pub values: Vec<ScalarValue>,
}

/// The partitions for which all filters may be true. The filters name partition keys only.
pub(super) fn needed<'a>(
    keys: &[CatalogColumn],
    partitions: &'a [Partition],
    filters: &[Expr],
    state: &dyn Session,
) -> Result<Vec<NeededPartition<'a>>> {
    let columns = value_columns(keys, partitions);
    let fields: Vec<Field> = keys
        .iter()
        .map(|key| Field::new(&key.name, key.hive_type.to_arrow(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let mut keep = vec![true; partitions.len()];
    if !partitions.is_empty() {
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns.clone())?;
        let df_schema = DFSchema::try_from(schema)?;
        for filter in filters {
            let predicate = state.create_physical_expr(filter.clone(), &df_schema)?;
            let answers = predicate.evaluate(&batch)?.into_array(partitions.len())?;
            for (keep, answer) in keep.iter_mut().zip(answers.as_boolean()) {
                *keep &= answer == Some(true);
            }
        }
    }
    let mut kept = Vec::new();
    for (index, partition) in partitions
        .iter()
        .enumerate()
        .filter(|(index, _)| keep[*index])
    {
        let values = columns
            .iter()
            .map(|column| ScalarValue::try_from_array(column, index))
            .collect::<Result<_>>()?;
        kept.push(NeededPartition { partition, values });
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_escape_and_unescape() {
        let cases = [
            ("dt", "2019-11-22", "dt=2019-11-22"),
            ("h", "a/b:c=d%", "h=a%2Fb%3Ac%3Dd%25"),
            ("x", "é", "x=é"),
        ];
        for (key, value, name) in cases {
            assert_eq!(partition_folder_name(key, value), name);
            assert_eq!(unescape_partition_value(&name[key.len() + 1..]), value);
        }
        assert_eq!(unescape_partition_value("100%"), "100%");
    }
}
