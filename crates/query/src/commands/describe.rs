//! `DESCRIBE`.

use crate::catalog::{CatalogColumn, Entry, TableDef};
use crate::error::{Result, did_you_mean};
use crate::hive::ast::ObjectName;

use super::{Answer, CommandContext, semantic};

const COLUMNS: [&str; 3] = ["col_name", "data_type", "comment"];

pub(super) fn describe(
    name: &ObjectName,
    column: Option<&str>,
    detailed: bool,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let (database, entry) = context.entry(name)?;
    let mut rows = match &entry {
        Entry::Table(table) => table_rows(table),
        Entry::View(view) => {
            let row = |column: &crate::catalog::ViewColumn| row(&column.name, &column.sql_type, "");
            view.columns.iter().map(row).collect()
        }
    };
    if let Some(column) = column {
        let found = rows.iter().find(|row| row[0] == column).cloned();
        let names = rows.iter().map(|row| row[0].as_str());
        let help = did_you_mean(column, names);
        let missing =
            || semantic(format!("cannot find field {column}"), name.position).with_help_maybe(help);
        return Ok(Answer::shown(
            "DESCRIBE_TABLE",
            &COLUMNS,
            vec![found.ok_or_else(missing)?],
        ));
    }
    if let Entry::Table(table) = &entry {
        rows.extend(partition_section(&table.partition_keys));
        if detailed {
            rows.extend(details(&database, table));
        }
    }
    Ok(Answer::shown("DESCRIBE_TABLE", &COLUMNS, rows))
}

fn row(name: &str, data_type: &str, comment: &str) -> Vec<String> {
    [name, data_type, comment].map(str::to_owned).to_vec()
}

fn column_row(column: &CatalogColumn, default_comment: &str) -> Vec<String> {
    let comment = column.comment.as_deref().unwrap_or(default_comment);
    row(&column.name, &column.hive_type.to_string(), comment)
}

fn table_rows(table: &TableDef) -> Vec<Vec<String>> {
    // What Hive says of columns that a SerDe other than its own makes.
    let default_comment = if table.serde.class.contains("Json") {
        "from deserializer"
    } else {
        ""
    };
    let columns = table
        .columns
        .iter()
        .map(|column| column_row(column, default_comment));
    columns
        .chain(table.partition_keys.iter().map(|key| column_row(key, "")))
        .collect()
}

fn partition_section(keys: &[CatalogColumn]) -> Vec<Vec<String>> {
    if keys.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![
        row("", "", ""),
        row("# Partition Information", "", ""),
        row("# col_name", "data_type", "comment"),
    ];
    rows.extend(keys.iter().map(|key| column_row(key, "")));
    rows
}

fn details(database: &str, table: &TableDef) -> Vec<Vec<String>> {
    let mut rows = vec![
        row("", "", ""),
        row("# Detailed Table Information", "", ""),
        row("Database:", database, ""),
        row("Location:", &table.location, ""),
        row("Table Type:", "EXTERNAL_TABLE", ""),
        row("SerDe Library:", &table.serde.class, ""),
        row("InputFormat:", &table.input_format, ""),
        row("OutputFormat:", &table.output_format, ""),
        row("Partitions:", &table.partitions.len().to_string(), ""),
    ];
    for (key, value) in super::show::all_properties(table) {
        rows.push(row("Table Parameter:", &key, &value));
    }
    rows
}
