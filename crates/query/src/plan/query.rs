//! Planning a query, and the views inside of it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Column;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::planner::{ParserOptions, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};

use crate::catalog::{CATALOG_NAME, Catalog, ViewColumn, ViewDef};
use crate::error::{Error, ErrorKind, Result};
use crate::scan::ScanContext;
use crate::trino::{Headers, Rewritten, parse_view_query, rewrite};
use crate::types::sql_name;

use super::context::PlanContext;
use super::translate;
use super::types_check::{OperatorCheck, check_comparisons};

/// Views may be made of views, up to this depth.
const MAX_VIEW_DEPTH: usize = 32;

/// Plans the queries of one statement.
pub(crate) struct Planner {
    pub state: SessionState,
    pub catalog: Catalog,
    pub scan: Arc<ScanContext>,
}

/// A query that can be optimised and run.
pub(crate) struct PlannedQuery {
    pub plan: LogicalPlan,
    headers: Headers,
}

impl PlannedQuery {
    /// The headings of the result's columns.
    pub(crate) fn headings(&self) -> Vec<String> {
        let fields = self.plan.schema().fields().iter().enumerate();
        fields
            .map(|(position, field)| self.headers.heading(field.name(), position))
            .collect()
    }

    /// The columns as a view stores them. Each needs a name of its own.
    pub(crate) fn view_columns(&self) -> Result<Vec<ViewColumn>> {
        let mut taken = HashSet::new();
        let fields = self.plan.schema().fields().iter().enumerate();
        fields
            .map(|(position, field)| {
                let name = self.headers.heading(field.name(), position);
                let fault = if !self.headers.is_named(field.name()) {
                    Some(format!(
                        "Column name not specified at position {}",
                        position + 1
                    ))
                } else if !taken.insert(name.clone()) {
                    Some(format!("Column name '{name}' specified more than once"))
                } else if field.data_type().is_null() {
                    Some(format!(
                        "Column type is unknown at position {}",
                        position + 1
                    ))
                } else {
                    None
                };
                match fault {
                    Some(fault) => Err(Error::new(ErrorKind::SyntaxError, fault)),
                    None => Ok(ViewColumn {
                        name,
                        sql_type: sql_name(field.data_type()),
                    }),
                }
            })
            .collect()
    }
}

impl Planner {
    /// Plans a query whose unqualified names are looked up in `database`.
    pub(crate) fn plan(&self, query: Box<Query>, database: &str) -> Result<PlannedQuery> {
        self.plan_inside(query, database, &[])
    }

    fn plan_inside(
        &self,
        mut query: Box<Query>,
        database: &str,
        inside: &[String],
    ) -> Result<PlannedQuery> {
        let found = rewrite(&mut query)?;
        let plan = self
            .logical_plan(query, database, &found, inside)
            .map_err(|error| translate(error, &found))?;
        check_comparisons(&plan)?;
        Ok(PlannedQuery {
            plan,
            headers: found.headers,
        })
    }

    fn logical_plan(
        &self,
        query: Box<Query>,
        database: &str,
        found: &Rewritten,
        inside: &[String],
    ) -> datafusion::common::Result<LogicalPlan> {
        let mut expr_planners = self.state.expr_planners().to_vec();
        expr_planners.insert(0, Arc::new(OperatorCheck));
        let context = PlanContext {
            planner: self,
            database,
            found,
            inside,
            expr_planners,
        };
        let options = ParserOptions::from(&self.state.config_options().sql_parser);
        SqlToRel::new_with_options(&context, options).sql_statement_to_plan(Statement::Query(query))
    }

    /// The plan of a view, with the columns that it was created with.
    pub(super) fn view_plan(
        &self,
        name: &str,
        view: &ViewDef,
        inside: &[String],
    ) -> Result<LogicalPlan> {
        let full_name = format!("{CATALOG_NAME}.{name}");
        if inside.iter().any(|outer| outer == name) {
            return Err(Error::new(
                ErrorKind::InvalidView,
                format!("View is recursive: '{full_name}'"),
            ));
        }
        if inside.len() >= MAX_VIEW_DEPTH {
            let message = format!("views may be nested {MAX_VIEW_DEPTH} deep at most");
            return Err(Error::new(ErrorKind::QueryTooLarge, message));
        }
        let mut inside = inside.to_vec();
        inside.push(name.to_owned());
        let planned = parse_view_query(&view.sql)
            .and_then(|query| self.plan_inside(query, &view.database, &inside))
            .map_err(|error| invalid_view(&full_name, error))?;
        let headings = planned.headings();
        check_not_stale(&full_name, view, &headings)?;
        let columns = planned.plan.schema().columns();
        let renamed = columns
            .into_iter()
            .zip(&headings)
            .map(|(column, heading)| rename(column, heading));
        LogicalPlanBuilder::from(planned.plan.clone())
            .project(renamed)
            .and_then(LogicalPlanBuilder::build)
            .map_err(|error| translate(error, &Rewritten::default()))
    }
}

fn rename(column: Column, heading: &str) -> Expr {
    if column.name == heading {
        Expr::Column(column)
    } else {
        Expr::Column(column).alias(heading)
    }
}

/// The place of a fault inside of a view is a place in the view's text, so it stays in the message.
fn invalid_view(full_name: &str, error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidView | ErrorKind::QueryTooLarge | ErrorKind::ViewIsStale => {
            error.with_position(None)
        }
        _ => {
            let message = format!("Failed analyzing stored view '{full_name}': {error}");
            let help = error.help().map(str::to_owned);
            Error::new(ErrorKind::InvalidView, message).with_help_maybe(help)
        }
    }
}

fn check_not_stale(full_name: &str, view: &ViewDef, headings: &[String]) -> Result<()> {
    let stored: Vec<&str> = view
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    let fault = if stored.len() != headings.len() {
        format!(
            "stored view column count ({}) does not match column count derived from the view query analysis ({})",
            stored.len(),
            headings.len()
        )
    } else if let Some(position) =
        (0..stored.len()).find(|position| stored[*position] != headings[*position])
    {
        format!(
            "column [{}] at position {} was [{}] when the view was created",
            headings[position],
            position + 1,
            stored[position]
        )
    } else {
        return Ok(());
    };
    let message = format!("View '{full_name}' is stale or in invalid state: {fault}");
    let help = "create the view again with CREATE OR REPLACE VIEW";
    Err(Error::new(ErrorKind::ViewIsStale, message).with_help(help))
}
