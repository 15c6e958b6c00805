//! `DROP TABLE`, `DROP VIEW`, `DROP DATABASE`. Objects always stay.

use crate::catalog::{DEFAULT_DATABASE, Entry};
use crate::error::Result;
use crate::hive::ast::ObjectName;

use super::{Answer, CommandContext, execution, semantic};

pub(super) fn table(
    name: &ObjectName,
    if_exists: bool,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let database = context.database_of(name)?;
    match context.catalog.find(&database, &name.name)? {
        Some(Entry::Table(_)) => context.catalog.remove(&database, &name.name)?,
        Some(Entry::View(_)) => {
            return Err(semantic(
                "[Error 10159]: Cannot drop a view with DROP TABLE",
                name.position,
            ));
        }
        None if if_exists => {}
        None => return Err(context.not_found(&database, &name.name)?),
    }
    Ok(Answer::done("DROP_TABLE"))
}

pub(super) fn view(
    name: &ObjectName,
    if_exists: bool,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    let database = context.database_of(name)?;
    match context.catalog.find(&database, &name.name)? {
        Some(Entry::View(_)) => context.catalog.remove(&database, &name.name)?,
        Some(Entry::Table(_)) => {
            return Err(semantic(
                "[Error 10158]: Cannot drop a base table with DROP VIEW",
                name.position,
            ));
        }
        None if if_exists => {}
        None => return Err(context.not_found(&database, &name.name)?),
    }
    Ok(Answer::done("DROP_VIEW"))
}

pub(super) fn database(
    name: &str,
    if_exists: bool,
    cascade: bool,
    context: &CommandContext<'_>,
) -> Result<Answer> {
    if name == DEFAULT_DATABASE {
        return Err(execution(
            "MetaException(message:Can not drop default database)",
        ));
    }
    if if_exists && !context.catalog.database_exists(name) {
        return Ok(Answer::done("DROP_DATABASE"));
    }
    let name = context.existing_database(name)?;
    if !cascade && !context.catalog.names(&name)?.is_empty() {
        let message = format!(
            "InvalidOperationException(message:Database {name} is not empty. One or more tables exist.)"
        );
        return Err(execution(message).with_help(format!(
            "DROP DATABASE {name} CASCADE drops its tables and views too"
        )));
    }
    context.catalog.drop_database(&name)?;
    Ok(Answer::done("DROP_DATABASE"))
}
