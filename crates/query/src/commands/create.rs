//! `CREATE EXTERNAL TABLE` and `CREATE DATABASE`.

use std::collections::{BTreeMap, HashSet};

use crate::catalog::{
    CatalogColumn, DatabaseDef, Entry, Existing, SerDeInfo, TableDef, name_fault,
};
use crate::error::{Error, ErrorKind, Position, Result};
use crate::formats::{Format, LAZY_SIMPLE};
use crate::hive::ast::{ColumnDef, CreateTable, Delimiters, Properties, RowFormat, StoredAs};
use crate::scan::S3Location;

use super::{Answer, CommandContext, execution, semantic};

pub(super) const TEXT_INPUT: &str = "org.apache.hadoop.mapred.TextInputFormat";
pub(super) const TEXT_OUTPUT: &str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat";

pub(super) fn table(statement: CreateTable, context: &CommandContext<'_>) -> Result<Answer> {
    let database = context.database_of(&statement.name)?;
    let existing = if statement.if_not_exists {
        Existing::Keep
    } else {
        Existing::Refuse
    };
    let definition = definition(statement, context.now)?;
    context
        .catalog
        .create(&database, &Entry::Table(definition), existing)?;
    Ok(Answer::done("CREATE_TABLE"))
}

pub(super) fn database(
    name: &str,
    if_not_exists: bool,
    comment: Option<String>,
    location: Option<String>,
    properties: Properties,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    if let Some(fault) = name_fault(name) {
        return Err(Error::new(ErrorKind::SemanticException, fault));
    }
    let definition = DatabaseDef {
        comment,
        location,
        properties: properties.into_iter().collect(),
    };
    if !context.catalog.create_database(name, &definition)? && !if_not_exists {
        return Err(execution(format_args!(
            "AlreadyExistsException(message:Database {name} already exists)"
        )));
    }
    Ok(Answer::done("CREATE_DATABASE"))
}

/// The table that a statement describes, checked as far as the statement alone allows.
fn definition(statement: CreateTable, now: i64) -> Result<TableDef> {
    let CreateTable {
        name,
        columns,
        partitioned_by,
        stored_as,
        location,
        ..
    } = &statement;
    if let Some(fault) = name_fault(&name.name) {
        return Err(semantic(fault, name.position));
    }
    check_columns(columns, partitioned_by)?;
    check_storage(stored_as.as_ref(), name.position)?;
    let location = match location {
        Some((text, position)) => S3Location::parse(text)
            .map_err(|fault| semantic(fault, *position))?
            .to_string(),
        None => {
            let message = "No location was specified for table. An S3 location must be specified";
            return Err(
                semantic(message, name.position).with_help("add LOCATION 's3://bucket/folder/'")
            );
        }
    };
    let serde = serde_info(&statement);
    let format = Format::of(&serde)?;
    for column in columns {
        if let Some(fault) = format.column_fault(&column.hive_type) {
            return Err(semantic(
                format!("column {}: {fault}", column.name),
                column.position,
            ));
        }
    }
    Ok(TableDef {
        name: name.name.clone(),
        columns: catalog_columns(columns),
        partition_keys: catalog_columns(partitioned_by),
        location,
        serde,
        input_format: TEXT_INPUT.into(),
        output_format: TEXT_OUTPUT.into(),
        comment: statement.comment,
        properties: statement.properties.into_iter().collect(),
        created: now,
        partitions: Vec::new(),
    })
}

pub(super) fn catalog_columns(columns: &[ColumnDef]) -> Vec<CatalogColumn> {
    let column = |column: &ColumnDef| CatalogColumn {
        name: column.name.clone(),
        hive_type: column.hive_type.clone(),
        comment: column.comment.clone(),
    };
    columns.iter().map(column).collect()
}

pub(super) fn check_columns(columns: &[ColumnDef], partition_keys: &[ColumnDef]) -> Result<()> {
    let mut taken = HashSet::new();
    for column in columns {
        if column.name.is_empty() || column.name.starts_with('$') {
            return Err(semantic(
                format!("'{}' cannot be the name of a column", column.name),
                column.position,
            ));
        }
        if !taken.insert(&column.name) {
            let message = format!("[Error 10036]: Duplicate column name: {}", column.name);
            return Err(semantic(message, column.position));
        }
    }
    for key in partition_keys {
        if !taken.insert(&key.name) {
            let message = format!(
                "[Error 10035]: Column repeated in partitioning columns: {}",
                key.name
            );
            return Err(semantic(message, key.position));
        }
        let scalar = !key.hive_type.to_string().contains('<');
        if !scalar {
            return Err(semantic(
                format!("partition key {} must have a scalar type", key.name),
                key.position,
            ));
        }
    }
    Ok(())
}

/// Lines of text are all that is read so far.
fn check_storage(stored_as: Option<&StoredAs>, position: Position) -> Result<()> {
    let found = match stored_as {
        None => return Ok(()),
        Some(StoredAs::Format(format)) if format == "textfile" => return Ok(()),
        Some(StoredAs::Classes { input, .. }) if input == TEXT_INPUT => return Ok(()),
        Some(StoredAs::Format(format)) => format.to_uppercase(),
        Some(StoredAs::Classes { input, .. }) => format!("INPUTFORMAT '{input}'"),
    };
    let message = format!("STORED AS {found} is not supported");
    Err(semantic(message, position)
        .with_help("Flumen reads lines of text: STORED AS TEXTFILE, or nothing at all"))
}

fn serde_info(statement: &CreateTable) -> SerDeInfo {
    let given: BTreeMap<String, String> = statement.serde_properties.iter().cloned().collect();
    match &statement.row_format {
        Some(RowFormat::SerDe { class }) => SerDeInfo {
            class: class.clone(),
            properties: given,
        },
        Some(RowFormat::Delimited(delimiters)) => {
            let mut properties = delimiter_properties(delimiters);
            properties.extend(given);
            SerDeInfo {
                class: LAZY_SIMPLE.into(),
                properties,
            }
        }
        None => SerDeInfo {
            class: LAZY_SIMPLE.into(),
            properties: given,
        },
    }
}

/// The names under which Hive keeps delimiters, one of them misspelt for ever.
pub(super) const DELIMITER_KEYS: [&str; 6] = [
    "field.delim",
    "escape.delim",
    "colelction.delim",
    "mapkey.delim",
    "line.delim",
    "serialization.null.format",
];

fn delimiter_properties(delimiters: &Delimiters) -> BTreeMap<String, String> {
    let values = [
        &delimiters.field,
        &delimiters.escape,
        &delimiters.collection,
        &delimiters.map_key,
        &delimiters.line,
        &delimiters.null,
    ];
    DELIMITER_KEYS
        .iter()
        .zip(values)
        .filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?)))
        .collect()
}
