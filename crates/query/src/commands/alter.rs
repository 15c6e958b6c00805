//! `ALTER TABLE`.

use crate::catalog::{Partition, TableDef};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::Format;
use crate::hive::ast::{AlterTable, ColumnDef, NewPartition, ObjectName, PartitionSpec};
use crate::scan::S3Location;

use super::create::{catalog_columns, check_columns};
use super::partitions::{check_keys, full_values, has_values, location, shown};
use super::{Answer, CommandContext, execution, semantic};

pub(super) fn alter(
    name: &ObjectName,
    action: AlterTable,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let (database, table) = context.table(name)?;
    let substatement = match &action {
        AlterTable::AddPartitions { .. } => "ALTER_TABLE_ADD_PARTITION",
        AlterTable::DropPartitions { .. } => "ALTER_TABLE_DROP_PARTITION",
        AlterTable::RenamePartition { .. } => "ALTER_TABLE_RENAME_PARTITION",
        AlterTable::SetLocation { .. } => "ALTER_TABLE_SET_LOCATION",
        AlterTable::SetProperties(_) => "ALTER_TABLE_SET_PROPERTIES",
        AlterTable::AddColumns(_) => "ALTER_TABLE_ADD_COLUMNS",
        AlterTable::ReplaceColumns(_) => "ALTER_TABLE_REPLACE_COLUMNS",
    };
    context
        .catalog
        .update_table(&database, &table.name, |table| change(table, action))?;
    Ok(Answer::done(substatement))
}

fn change(table: &mut TableDef, action: AlterTable) -> Result<()> {
    match action {
        AlterTable::AddPartitions {
            if_not_exists,
            partitions,
        } => partitions
            .iter()
            .try_for_each(|partition| add_partition(table, partition, if_not_exists)),
        AlterTable::DropPartitions { if_exists, specs } => specs
            .iter()
            .try_for_each(|spec| drop_partitions(table, spec, if_exists)),
        AlterTable::RenamePartition { from, to } => {
            let values = full_values(table, &to)?;
            partition_of(table, &from)?.values = values;
            Ok(())
        }
        AlterTable::SetLocation {
            partition,
            location,
        } => {
            let location = S3Location::parse(&location)
                .map_err(|fault| Error::new(ErrorKind::SemanticException, fault))?
                .to_string();
            match partition {
                Some(spec) => partition_of(table, &spec)?.location = location,
                None => table.location = location,
            }
            Ok(())
        }
        AlterTable::SetProperties(properties) => {
            table.properties.extend(properties);
            Ok(())
        }
        AlterTable::AddColumns(columns) => {
            let mut all = defined(table);
            all.extend(columns);
            set_columns(table, &all)
        }
        AlterTable::ReplaceColumns(columns) => set_columns(table, &columns),
    }
}

fn add_partition(table: &mut TableDef, new: &NewPartition, if_not_exists: bool) -> Result<()> {
    let values = full_values(table, &new.spec)?;
    if table
        .partitions
        .iter()
        .any(|partition| partition.values == values)
    {
        if if_not_exists {
            return Ok(());
        }
        let message = format!(
            "AlreadyExistsException(message:Partition already exists: {})",
            shown(&new.spec)
        );
        return Err(execution(message));
    }
    let location = location(table, &values, new.location.as_deref())?;
    table.partitions.push(Partition { values, location });
    Ok(())
}

fn drop_partitions(table: &mut TableDef, spec: &PartitionSpec, if_exists: bool) -> Result<()> {
    check_keys(table, spec)?;
    let all = std::mem::take(&mut table.partitions);
    let count = all.len();
    let kept: Vec<Partition> = all
        .into_iter()
        .filter(|partition| !has_values(table, partition, spec))
        .collect();
    let dropped = kept.len() < count;
    table.partitions = kept;
    if dropped || if_exists {
        Ok(())
    } else {
        Err(no_partition(spec))
    }
}

fn partition_of<'a>(table: &'a mut TableDef, spec: &PartitionSpec) -> Result<&'a mut Partition> {
    let values = full_values(table, spec)?;
    table
        .partitions
        .iter_mut()
        .find(|partition| partition.values == values)
        .ok_or_else(|| no_partition(spec))
}

fn no_partition(spec: &PartitionSpec) -> Error {
    let message = format!("[Error 10006]: Partition not found {}", shown(spec));
    Error::new(ErrorKind::SemanticException, message)
}

/// The columns that a table has, as if they were written again.
fn defined(table: &TableDef) -> Vec<ColumnDef> {
    let position = crate::Position { line: 1, column: 1 };
    let column = |column: &crate::catalog::CatalogColumn| ColumnDef {
        name: column.name.clone(),
        hive_type: column.hive_type.clone(),
        comment: column.comment.clone(),
        position,
    };
    table.columns.iter().map(column).collect()
}

fn set_columns(table: &mut TableDef, columns: &[ColumnDef]) -> Result<()> {
    check_columns(columns, &[])?;
    if let Some(key) = columns.iter().find(|column| {
        table
            .partition_keys
            .iter()
            .any(|key| key.name == column.name)
    }) {
        let message = format!(
            "[Error 10035]: Column repeated in partitioning columns: {}",
            key.name
        );
        return Err(semantic(message, key.position));
    }
    let format = Format::of(&table.serde)?;
    for column in columns {
        if let Some(fault) = format.column_fault(&column.hive_type) {
            return Err(semantic(
                format!("column {}: {fault}", column.name),
                column.position,
            ));
        }
    }
    table.columns = catalog_columns(columns);
    Ok(())
}
