//! Hive's statements carried out: they change the catalog or tell what is in it.

mod alter;
mod create;
mod describe;
mod drop;
mod partitions;
mod pattern;
mod repair;
mod show;
mod show_create;

use std::path::PathBuf;

use crate::catalog::{CATALOG_NAME, Catalog, Entry, TableDef};
use crate::error::{Error, ErrorKind, Position, Result, did_you_mean};
use crate::execution::{Column, Row, StatementKind};
use crate::hive::ast::{HiveStatement, ObjectName};

/// What a statement is carried out on.
pub(crate) struct CommandContext<'a> {
    pub catalog: &'a Catalog,
    pub objects_root: PathBuf,
    /// Where unqualified names are looked up.
    pub database: &'a str,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// What a statement answers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub kind: StatementKind,
    /// Athena's `SubstatementType`.
    pub substatement: &'static str,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
}

impl Answer {
    /// Of a statement that changes something and says nothing.
    fn done(substatement: &'static str) -> Answer {
        Answer {
            kind: StatementKind::Ddl,
            substatement,
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Of a statement that shows something.
    fn shown(substatement: &'static str, columns: &[&str], rows: Vec<Vec<String>>) -> Answer {
        Answer {
            kind: StatementKind::Utility,
            substatement,
            columns: columns.iter().map(|name| Column::text(name)).collect(),
            rows: rows
                .into_iter()
                .map(|row| row.into_iter().map(Some).collect())
                .collect(),
        }
    }

    fn lines(
        substatement: &'static str,
        column: &str,
        lines: impl IntoIterator<Item = String>,
    ) -> Answer {
        Answer::shown(
            substatement,
            &[column],
            lines.into_iter().map(|line| vec![line]).collect(),
        )
    }
}

/// Carries a statement out.
pub(crate) fn run(statement: HiveStatement, context: &CommandContext<'_>) -> Result<Answer> {
    match statement {
        HiveStatement::CreateTable(table) => create::table(*table, context),
        HiveStatement::CreateDatabase {
            name,
            if_not_exists,
            comment,
            location,
            properties,
        } => create::database(&name, if_not_exists, comment, location, properties, context),
        HiveStatement::DropTable { name, if_exists } => drop::table(&name, if_exists, context),
        HiveStatement::DropView { name, if_exists } => drop::view(&name, if_exists, context),
        HiveStatement::DropDatabase {
            name,
            if_exists,
            cascade,
        } => drop::database(&name, if_exists, cascade, context),
        HiveStatement::ShowDatabases { pattern } => show::databases(pattern.as_deref(), context),
        HiveStatement::ShowTables { database, pattern } => {
            show::tables(database, pattern.as_deref(), context)
        }
        HiveStatement::ShowViews { database, pattern } => {
            show::views(database, pattern.as_deref(), context)
        }
        HiveStatement::ShowColumns { table } => show::columns(&table, context),
        HiveStatement::ShowPartitions { table } => show::partitions(&table, context),
        HiveStatement::ShowProperties { table, key } => {
            show::properties(&table, key.as_deref(), context)
        }
        HiveStatement::ShowCreateTable { table } => show_create::table(&table, context),
        HiveStatement::ShowCreateView { view } => show_create::view(&view, context),
        HiveStatement::Describe {
            table,
            column,
            detailed,
        } => describe::describe(&table, column.as_deref(), detailed, context),
        HiveStatement::RepairTable { table } => repair::repair(&table, context),
        HiveStatement::AlterTable { table, action } => alter::alter(&table, action, context),
    }
}

impl CommandContext<'_> {
    /// The database that a name is in; an error if it does not exist.
    fn database_of(&self, name: &ObjectName) -> Result<String> {
        if let Some(catalog) = name
            .catalog
            .as_deref()
            .filter(|catalog| *catalog != CATALOG_NAME)
        {
            let message =
                format!("Catalog {catalog} does not exist; the only one is {CATALOG_NAME}");
            return Err(Error::at(
                ErrorKind::SemanticException,
                name.position,
                message,
            ));
        }
        let database = name.database.as_deref().unwrap_or(self.database);
        self.existing_database(database)
    }

    fn existing_database(&self, database: &str) -> Result<String> {
        if self.catalog.database_exists(database) {
            return Ok(database.to_owned());
        }
        let message = format!("[Error 10072]: Database does not exist: {database}");
        let databases = self.catalog.databases()?;
        let help = did_you_mean(database, databases.iter().map(String::as_str));
        Err(Error::new(ErrorKind::SemanticException, message).with_help_maybe(help))
    }

    /// The table or view of a name, with its database; an error if there is none.
    fn entry(&self, name: &ObjectName) -> Result<(String, Entry)> {
        let database = self.database_of(name)?;
        match self.catalog.find(&database, &name.name)? {
            Some(entry) => Ok((database, entry)),
            None => Err(self.not_found(&database, &name.name)?),
        }
    }

    fn table(&self, name: &ObjectName) -> Result<(String, TableDef)> {
        match self.entry(name)? {
            (database, Entry::Table(table)) => Ok((database, table)),
            (_, Entry::View(view)) => Err(semantic(
                format!("{} is a view, this statement needs a table", view.name),
                name.position,
            )),
        }
    }

    fn not_found(&self, database: &str, name: &str) -> Result<Error> {
        let names = self.catalog.names(database)?;
        let help = did_you_mean(name, names.iter().map(String::as_str));
        let message = format!("[Error 10001]: Table not found {name}");
        Ok(Error::new(ErrorKind::SemanticException, message).with_help_maybe(help))
    }
}

fn semantic(message: impl Into<String>, position: Position) -> Error {
    Error::at(ErrorKind::SemanticException, position, message)
}

fn execution(message: impl std::fmt::Display) -> Error {
    let message = format!("return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {message}");
    Error::new(ErrorKind::ExecutionError, message)
}
