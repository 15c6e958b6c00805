//! `SHOW DATABASES`, `TABLES`, `VIEWS`, `COLUMNS`, `PARTITIONS` and `TBLPROPERTIES`.

use crate::catalog::{Entry, TableDef};
use crate::error::Result;
use crate::hive::ast::ObjectName;

use super::partitions::path;
use super::pattern::matches;
use super::{Answer, CommandContext, execution};

pub(super) fn databases(pattern: Option<&str>, context: &CommandContext<'_>) -> Result<Answer> {
    let names = context
        .catalog
        .databases()?
        .into_iter()
        .filter(|name| matches(pattern, name));
    Ok(Answer::lines("SHOW_DATABASES", "database_name", names))
}

pub(super) fn tables(
    database: Option<String>,
    pattern: Option<&str>,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let database = context.existing_database(database.as_deref().unwrap_or(context.database))?;
    let names = context
        .catalog
        .names(&database)?
        .into_iter()
        .filter(|name| matches(pattern, name));
    Ok(Answer::lines("SHOW_TABLES", "tab_name", names))
}

pub(super) fn views(
    database: Option<String>,
    pattern: Option<&str>,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let database = context.existing_database(database.as_deref().unwrap_or(context.database))?;
    let views = context
        .catalog
        .entries(&database)?
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::View(view) if matches(pattern, &view.name) => Some(view.name),
            _ => None,
        });
    Ok(Answer::lines("SHOW_VIEWS", "views", views))
}

pub(super) fn columns(name: &ObjectName, context: &CommandContext<'_>) -> Result<Answer> {
    let names: Vec<String> = match context.entry(name)?.1 {
        Entry::Table(table) => table
            .columns
            .into_iter()
            .chain(table.partition_keys)
            .map(|column| column.name)
            .collect(),
        Entry::View(view) => view.columns.into_iter().map(|column| column.name).collect(),
    };
    Ok(Answer::lines("SHOW_COLUMNS", "field", names))
}

pub(super) fn partitions(name: &ObjectName, context: &CommandContext<'_>) -> Result<Answer> {
    let (_, table) = context.table(name)?;
    if table.partition_keys.is_empty() {
        return Err(execution(format_args!(
            "Table {} is not a partitioned table",
            table.name
        )));
    }
    let mut paths: Vec<String> = table
        .partitions
        .iter()
        .map(|partition| path(&table, &partition.values))
        .collect();
    paths.sort();
    Ok(Answer::lines("SHOW_PARTITIONS", "partition", paths))
}

pub(super) fn properties(
    name: &ObjectName,
    key: Option<&str>,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let (_, table) = context.table(name)?;
    let all = all_properties(&table);
    let rows = match key {
        None => all
            .into_iter()
            .map(|(key, value)| vec![key, value])
            .collect(),
        Some(key) => {
            let value = all
                .into_iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value);
            let missing = || format!("Table {} does not have property: {key}", table.name);
            vec![vec![key.to_owned(), value.unwrap_or_else(missing)]]
        }
    };
    Ok(Answer::shown(
        "SHOW_TBLPROPERTIES",
        &["prpt_name", "prpt_value"],
        rows,
    ))
}

/// The properties that were given and those that Hive adds.
pub(super) fn all_properties(table: &TableDef) -> Vec<(String, String)> {
    let mut all = vec![("EXTERNAL".to_owned(), "TRUE".to_owned())];
    all.extend(
        table
            .properties
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    all.push((
        "transient_lastDdlTime".to_owned(),
        table.created.to_string(),
    ));
    all
}
