//! Athena's SQL over the objects of a lake, on Apache DataFusion.
//!
//! A [`Session`] is opened on a lake's data directory. It takes one statement at a time and answers with an
//! [`Execution`]: columns, rows as text, and what it cost. No type of DataFusion or Arrow leaves this crate.
//!
//! The way of a statement:
//!
//! ```text
//! statement ──▶ hive ────▶ commands ─▶ catalog            DDL, SHOW, DESCRIBE
//!          └──▶ trino ───▶ plan ─────▶ DataFusion ─▶ text  queries, views, EXPLAIN
//!                            │             └─ functions
//!                            └─ catalog ─▶ scan ─▶ formats (JSON, delimited, regex)
//! ```
//!
//! Differences from Athena that a query can notice: headings are lower-case; whole literals are `bigint`
//! and literals with a point are `double`; JSON values are `varchar`; a timestamp's zone belongs to its
//! column, so what is parsed with a zone is shown in UTC; tables are read-only (no `INSERT`, CTAS, `UNLOAD`).
//! The functions that are missing are listed in the module `functions`.

mod catalog;
mod commands;
mod error;
mod execution;
mod formats;
mod functions;
#[cfg(test)]
mod fuzz;
mod hive;
mod plan;
mod run;
mod scan;
mod session;
mod statement;
mod text;
mod time;
mod trino;
mod types;

pub use error::{Error, ErrorKind, Position, Result};
pub use execution::{Column, Execution, Row, StatementKind, Statistics};
pub use session::{Session, SessionOptions};
pub use statement::{MAX_STATEMENT_BYTES, Statement, split_statements};
