//! `SHOW CREATE TABLE` and `SHOW CREATE VIEW`: statements that Athena itself accepts.

use std::fmt::Write;

use crate::catalog::{CatalogColumn, Entry, TableDef};
use crate::error::Result;
use crate::formats::LAZY_SIMPLE;
use crate::hive::ast::ObjectName;

use super::create::DELIMITER_KEYS;
use super::{Answer, CommandContext, semantic};

pub(super) fn table(name: &ObjectName, context: &CommandContext<'_>) -> Result<Answer> {
    let (_, table) = context.table(name)?;
    let text = create_table(&table);
    Ok(Answer::lines(
        "SHOW_CREATE_TABLE",
        "createtab_stmt",
        text.lines().map(str::to_owned),
    ))
}

pub(super) fn view(name: &ObjectName, context: &CommandContext<'_>) -> Result<Answer> {
    let (database, entry) = context.entry(name)?;
    let Entry::View(view) = entry else {
        return Err(semantic(
            format!("{} is a table, not a view", name.name),
            name.position,
        ));
    };
    let text = format!(
        "CREATE VIEW \"{database}\".\"{}\" AS\n{}",
        view.name, view.sql
    );
    Ok(Answer::lines(
        "SHOW_CREATE_VIEW",
        "create view",
        text.lines().map(str::to_owned),
    ))
}

/// The statement that makes the table again.
fn create_table(table: &TableDef) -> String {
    let mut text = format!(
        "CREATE EXTERNAL TABLE `{}`(\n{})\n",
        table.name,
        column_lines(&table.columns)
    );
    if let Some(comment) = &table.comment {
        text.push_str(&format!("COMMENT {}\n", quoted(comment)));
    }
    if !table.partition_keys.is_empty() {
        text.push_str(&format!(
            "PARTITIONED BY (\n{})\n",
            column_lines(&table.partition_keys)
        ));
    }
    text.push_str(&row_format(table));
    text.push_str(&format!(
        "STORED AS INPUTFORMAT\n  {}\n",
        quoted(&table.input_format)
    ));
    text.push_str(&format!(
        "OUTPUTFORMAT\n  {}\n",
        quoted(&table.output_format)
    ));
    text.push_str(&format!("LOCATION\n  {}\n", quoted(&table.location)));
    let mut properties: Vec<(&str, String)> = table
        .properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    properties.push(("transient_lastDdlTime", table.created.to_string()));
    text.push_str(&format!(
        "TBLPROPERTIES (\n{})",
        property_lines(&properties)
    ));
    text
}

/// What `ROW FORMAT DELIMITED` can say is said so, all else by naming the SerDe.
fn row_format(table: &TableDef) -> String {
    let (delimiters, others): (Vec<_>, Vec<_>) = table
        .serde
        .properties
        .iter()
        .partition(|(key, _)| DELIMITER_KEYS.contains(&key.as_str()));
    let others: Vec<(&str, String)> = others
        .into_iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    let with_properties = |properties: &[(&str, String)]| match properties {
        [] => String::new(),
        _ => format!("WITH SERDEPROPERTIES (\n{})\n", property_lines(properties)),
    };
    if table.serde.class != LAZY_SIMPLE || delimiters.is_empty() {
        let all: Vec<(&str, String)> = table
            .serde
            .properties
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        return format!(
            "ROW FORMAT SERDE\n  {}\n{}",
            quoted(&table.serde.class),
            with_properties(&all)
        );
    }
    let mut text = String::from("ROW FORMAT DELIMITED\n");
    let clauses = [
        ("field.delim", "  FIELDS TERMINATED BY"),
        ("escape.delim", "  ESCAPED BY"),
        ("colelction.delim", "  COLLECTION ITEMS TERMINATED BY"),
        ("mapkey.delim", "  MAP KEYS TERMINATED BY"),
        ("line.delim", "  LINES TERMINATED BY"),
        ("serialization.null.format", "  NULL DEFINED AS"),
    ];
    for (key, clause) in clauses {
        if let Some(value) = table.serde.properties.get(key) {
            text.push_str(&format!("{clause} {}\n", quoted(value)));
        }
    }
    text + &with_properties(&others)
}

fn column_lines(columns: &[CatalogColumn]) -> String {
    let line = |column: &CatalogColumn| {
        let comment = column.comment.as_ref().map_or(String::new(), |comment| {
            format!(" COMMENT {}", quoted(comment))
        });
        format!(
            "  `{}` {}{comment}",
            column.name.replace('`', "``"),
            column.hive_type
        )
    };
    columns.iter().map(line).collect::<Vec<_>>().join(",\n")
}

fn property_lines(properties: &[(&str, String)]) -> String {
    let lines = properties
        .iter()
        .map(|(key, value)| format!("  {}={}", quoted(key), quoted(value)));
    lines.collect::<Vec<_>>().join(",\n")
}

/// A string literal that Hive reads back as the same text.
fn quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            '\r' => literal.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(literal, "\\{:03o}", control as u32);
            }
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}
