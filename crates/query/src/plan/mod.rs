//! From a rewritten query to DataFusion's plan: which tables, columns, functions and types there are.

mod context;
mod engine_error;
mod information_schema;
mod query;
mod types_check;

pub(crate) use engine_error::translate;
pub(crate) use query::{PlannedQuery, Planner};
