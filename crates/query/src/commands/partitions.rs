//! Partition specifications against the keys of a table.

use crate::catalog::{Partition, TableDef};
use crate::error::{Error, ErrorKind, Result};
use crate::hive::ast::PartitionSpec;
use crate::scan::{S3Location, partition_folder_name};

/// The values of a specification that names every key of the table, in the order of the keys.
pub(super) fn full_values(table: &TableDef, spec: &PartitionSpec) -> Result<Vec<String>> {
    check_keys(table, spec)?;
    let value = |key: &str| {
        spec.iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
    };
    let values: Option<Vec<String>> = table
        .partition_keys
        .iter()
        .map(|key| value(&key.name))
        .collect();
    values.ok_or_else(|| {
        let keys: Vec<&str> = table
            .partition_keys
            .iter()
            .map(|key| key.name.as_str())
            .collect();
        let message = format!(
            "partition spec {} doesn't contain all ({}) partition columns",
            shown(spec),
            keys.join(", ")
        );
        Error::new(ErrorKind::SemanticException, message)
    })
}

/// Whether a partition has the values that a specification names, which may be some of the keys.
pub(super) fn has_values(table: &TableDef, partition: &Partition, spec: &PartitionSpec) -> bool {
    spec.iter().all(|(name, value)| {
        let index = table
            .partition_keys
            .iter()
            .position(|key| key.name == *name);
        index.and_then(|index| partition.values.get(index)) == Some(value)
    })
}

/// An error if a specification names something that is no key of the table.
pub(super) fn check_keys(table: &TableDef, spec: &PartitionSpec) -> Result<()> {
    if table.partition_keys.is_empty() {
        let message = "table is not partitioned but partition spec exists";
        return Err(Error::new(
            ErrorKind::SemanticException,
            format!("{message}: {}", shown(spec)),
        ));
    }
    match spec
        .iter()
        .find(|(name, _)| table.partition_keys.iter().all(|key| key.name != *name))
    {
        Some(_) => {
            let message = format!(
                "Partition spec {} contains non-partition columns",
                shown(spec)
            );
            Err(Error::new(ErrorKind::SemanticException, message))
        }
        None => Ok(()),
    }
}

/// `{dt=2019-11-22, hour=13}`
pub(super) fn shown(spec: &PartitionSpec) -> String {
    let pairs: Vec<String> = spec
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// `dt=2019-11-22/hour=13`
pub(super) fn path(table: &TableDef, values: &[String]) -> String {
    let names = table
        .partition_keys
        .iter()
        .zip(values)
        .map(|(key, value)| partition_folder_name(&key.name, value));
    names.collect::<Vec<_>>().join("/")
}

/// The location of a partition: the one given, or its folder below the table.
pub(super) fn location(table: &TableDef, values: &[String], given: Option<&str>) -> Result<String> {
    let parsed = |text: &str| {
        S3Location::parse(text).map_err(|fault| Error::new(ErrorKind::SemanticException, fault))
    };
    match given {
        Some(text) => Ok(parsed(text)?.to_string()),
        None => Ok(parsed(&table.location)?
            .child(&path(table, values))
            .to_string()),
    }
}
