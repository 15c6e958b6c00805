//! The catalog: which databases, tables and views there are. It persists in plain JSON files.
//!
//! ```text
//! DIR/catalog/.lock                      held (flock) by whoever writes
//! DIR/catalog/<database>/.database.json  comment, location and properties of a database
//! DIR/catalog/<database>/<name>.json     one table or view
//! ```
//!
//! Every change replaces a whole file by rename, so readers need no lock and see the old or the new
//! definition. Any number of processes may share a directory. Names are lower-case.

mod model;
mod store;

pub(crate) use model::{
    CatalogColumn, DatabaseDef, Entry, Partition, SerDeInfo, TableDef, ViewColumn, ViewDef,
};
pub(crate) use store::{Catalog, Existing};

/// The name of the one catalog, as it appears in qualified names and in errors.
pub(crate) const CATALOG_NAME: &str = "awsdatacatalog";

/// The database that always exists.
pub(crate) const DEFAULT_DATABASE: &str = "default";

/// Longest name in bytes. Athena's limit is 255; file names need some of it for themselves.
pub(crate) const MAX_NAME_BYTES: usize = 240;

/// What is wrong with a name for a database, table or view, if something is.
pub(crate) fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Some(format!(
            "a name has 1 to {MAX_NAME_BYTES} bytes, this one has {}",
            name.len()
        ));
    }
    let bad = name
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '$')))?;
    Some(format!(
        "name '{name}' holds '{bad}'; letters, digits, '_', '-' and '$' are allowed"
    ))
}
