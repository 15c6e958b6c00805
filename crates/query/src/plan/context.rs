//! What the planner may see: the catalog's tables and views, and the registry's functions.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::view::ViewTable;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};

use crate::catalog::{CATALOG_NAME, Entry, ViewDef};
use crate::error::{Error, ErrorKind, did_you_mean};
use crate::functions;
use crate::scan::LakeTable;
use crate::trino::Rewritten;

use super::information_schema;
use super::query::Planner;

/// The planner's view of the world for one query, or for one view inside of it.
pub(super) struct PlanContext<'a> {
    pub planner: &'a Planner,
    /// Where unqualified names are looked up.
    pub database: &'a str,
    /// Where the query names its tables, for errors.
    pub found: &'a Rewritten,
    /// The views that this query is inside of, outermost first.
    pub inside: &'a [String],
    pub expr_planners: Vec<Arc<dyn ExprPlanner>>,
}

impl PlanContext<'_> {
    fn table_source(&self, reference: &TableReference) -> Result<Arc<dyn TableSource>, Error> {
        let database = reference.schema().unwrap_or(self.database);
        let name = reference.table();
        if let Some(catalog) = reference
            .catalog()
            .filter(|catalog| *catalog != CATALOG_NAME)
        {
            let message = format!("Catalog '{catalog}' does not exist");
            return Err(Error::new(ErrorKind::SchemaNotFound, message)
                .with_help(format!("the only catalog is {CATALOG_NAME}")));
        }
        let catalog = &self.planner.catalog;
        if database == information_schema::NAME {
            return Ok(provider_as_source(information_schema::table(
                catalog, name,
            )?));
        }
        if !catalog.database_exists(database) {
            let message = format!("Schema '{database}' does not exist");
            let databases = catalog.databases()?;
            let help = did_you_mean(database, databases.iter().map(String::as_str));
            return Err(Error::new(ErrorKind::SchemaNotFound, message).with_help_maybe(help));
        }
        let full_name = format!("{database}.{name}");
        match catalog.find(database, name)? {
            Some(Entry::Table(table)) => {
                let hidden = self.found.hidden_columns;
                let table =
                    LakeTable::new(full_name, table, hidden, Arc::clone(&self.planner.scan))?;
                Ok(provider_as_source(Arc::new(table)))
            }
            Some(Entry::View(view)) => self.view(&full_name, &view),
            None => Err(self.table_not_found(database, name)?),
        }
    }

    fn view(&self, full_name: &str, view: &ViewDef) -> Result<Arc<dyn TableSource>, Error> {
        let plan = self.planner.view_plan(full_name, view, self.inside)?;
        Ok(provider_as_source(Arc::new(ViewTable::new(
            plan,
            Some(view.sql.clone()),
        ))))
    }

    fn table_not_found(&self, database: &str, name: &str) -> Result<Error, Error> {
        let catalog = &self.planner.catalog;
        let message = format!("Table '{CATALOG_NAME}.{database}.{name}' does not exist");
        let names = catalog.names(database)?;
        let mut help = did_you_mean(name, names.iter().map(String::as_str));
        for other in catalog.databases()? {
            if help.is_none() && other != database && catalog.find(&other, name)?.is_some() {
                help = Some(format!("there is a '{other}.{name}'"));
            }
        }
        Ok(Error::new(ErrorKind::TableNotFound, message).with_help_maybe(help))
    }
}

impl ContextProvider for PlanContext<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.table_source(&name).map_err(|error| {
            let written: Vec<&str> = [name.catalog(), name.schema(), Some(name.table())]
                .into_iter()
                .flatten()
                .collect();
            let position = error
                .position()
                .or_else(|| self.found.tables.get(&written.join(".")).copied());
            DataFusionError::External(Box::new(error.with_position(position)))
        })
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(
            name, schema,
        ))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::registry().scalar(name)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        functions::registry().higher_order(name)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        functions::registry().aggregate(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        functions::registry().window(name)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.planner.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        functions::registry().names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
