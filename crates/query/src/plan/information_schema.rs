//! `information_schema`: the catalog as tables.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;

use crate::catalog::{CATALOG_NAME, Catalog, Entry};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::trino::Rewritten;
use crate::types::sql_name;

use super::translate;

/// The name of the schema.
pub(super) const NAME: &str = "information_schema";

const TABLES: [&str; 4] = ["schemata", "tables", "columns", "views"];

/// One of the tables, as the catalog is now.
pub(super) fn table(catalog: &Catalog, name: &str) -> Result<Arc<dyn TableProvider>> {
    let rows = match name {
        "schemata" => schemata(catalog)?,
        "tables" => tables(catalog)?,
        "columns" => columns(catalog)?,
        "views" => views(catalog)?,
        _ => {
            let message = format!("Table '{CATALOG_NAME}.{NAME}.{name}' does not exist");
            return Err(Error::new(ErrorKind::TableNotFound, message)
                .with_help_maybe(did_you_mean(name, TABLES)));
        }
    };
    rows.provider()
        .map_err(|error| translate(error, &Rewritten::default()))
}

/// Columns of text; the one called `ordinal_position` holds numbers.
struct Rows {
    names: &'static [&'static str],
    rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn provider(self) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let column = |(index, name): (usize, &&str)| {
            let texts = self.rows.iter().map(|row| row[index].as_deref());
            let values: ArrayRef = match *name {
                "ordinal_position" => Arc::new(Int64Array::from_iter(
                    texts.map(|text| text?.parse::<i64>().ok()),
                )),
                _ => Arc::new(StringArray::from_iter(texts)),
            };
            values
        };
        let columns: Vec<ArrayRef> = self.names.iter().enumerate().map(column).collect();
        let fields: Vec<Field> = self
            .names
            .iter()
            .zip(&columns)
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn schemata(catalog: &Catalog) -> Result<Rows> {
    let databases = catalog.databases()?;
    let names = databases.iter().map(String::as_str).chain([NAME]);
    let rows = names
        .map(|name| vec![some(CATALOG_NAME), some(name)])
        .collect();
    Ok(Rows {
        names: &["catalog_name", "schema_name"],
        rows,
    })
}

/// Every table and view with its database.
fn all_entries(catalog: &Catalog) -> Result<Vec<(String, Entry)>> {
    let mut all = Vec::new();
    for database in catalog.databases()? {
        all.extend(
            catalog
                .entries(&database)?
                .into_iter()
                .map(|entry| (database.clone(), entry)),
        );
    }
    Ok(all)
}

fn tables(catalog: &Catalog) -> Result<Rows> {
    let row = |(database, entry): (String, Entry)| {
        let sort = if matches!(entry, Entry::View(_)) {
            "VIEW"
        } else {
            "BASE TABLE"
        };
        vec![
            some(CATALOG_NAME),
            Some(database),
            some(entry.name()),
            some(sort),
        ]
    };
    let rows = all_entries(catalog)?.into_iter().map(row).collect();
    Ok(Rows {
        names: &["table_catalog", "table_schema", "table_name", "table_type"],
        rows,
    })
}

fn views(catalog: &Catalog) -> Result<Rows> {
    let row = |(database, entry): (String, Entry)| match entry {
        Entry::View(view) => Some(vec![
            some(CATALOG_NAME),
            Some(database),
            Some(view.name),
            Some(view.sql),
        ]),
        Entry::Table(_) => None,
    };
    let rows = all_entries(catalog)?.into_iter().filter_map(row).collect();
    Ok(Rows {
        names: &[
            "table_catalog",
            "table_schema",
            "table_name",
            "view_definition",
        ],
        rows,
    })
}

fn columns(catalog: &Catalog) -> Result<Rows> {
    const NAMES: &[&str] = &[
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
    ];
    let mut rows = Vec::new();
    for (database, entry) in all_entries(catalog)? {
        let columns: Vec<(&str, String)> = match &entry {
            Entry::Table(table) => table
                .columns
                .iter()
                .chain(&table.partition_keys)
                .map(|column| {
                    (
                        column.name.as_str(),
                        data_type_name(&column.hive_type.to_arrow()),
                    )
                })
                .collect(),
            Entry::View(view) => view
                .columns
                .iter()
                .map(|column| (column.name.as_str(), column.sql_type.clone()))
                .collect(),
        };
        for (index, (column, data_type)) in columns.into_iter().enumerate() {
            rows.push(vec![
                some(CATALOG_NAME),
                some(&database),
                some(entry.name()),
                some(column),
                Some((index + 1).to_string()),
                None,
                some("YES"),
                Some(data_type),
            ]);
        }
    }
    Ok(Rows { names: NAMES, rows })
}

/// Trino shows the precision of timestamps here, and nowhere else in Athena.
fn data_type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Timestamp(_, None) => "timestamp(3)".into(),
        other => sql_name(other),
    }
}
