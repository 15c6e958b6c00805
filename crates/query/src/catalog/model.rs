//! What the catalog stores about databases, tables and views.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::HiveType;

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry {
    Table(TableDef),
    View(ViewDef),
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        match self {
            Entry::Table(table) => &table.name,
            Entry::View(view) => &view.name,
        }
    }
}

/// An external table over the objects below a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TableDef {
    pub name: String,
    pub columns: Vec<CatalogColumn>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_keys: Vec<CatalogColumn>,
    /// `s3://bucket/prefix/`, always with the slash at its end.
    pub location: String,
    pub serde: SerDeInfo,
    pub input_format: String,
    pub output_format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// When the table was created, in seconds since 1970.
    pub created: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CatalogColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub hive_type: HiveType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// The class that reads a table's lines, and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SerDeInfo {
    pub class: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// One partition: a value for each partition key, in their order, and where its objects are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Partition {
    pub values: Vec<String>,
    pub location: String,
}

/// A view: the text of its query and the columns that it had when it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewDef {
    pub name: String,
    /// The query as the user wrote it, after `AS`.
    pub sql: String,
    /// The database in which unqualified names of `sql` are looked up.
    pub database: String,
    pub columns: Vec<ViewColumn>,
    /// When the view was created, in seconds since 1970.
    pub created: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewColumn {
    pub name: String,
    /// The type in SQL's spelling, e.g. `varchar`.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// What is known of a database besides its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct DatabaseDef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}
