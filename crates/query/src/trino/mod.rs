//! The front end for queries and views: Trino's SQL, parsed by sqlparser and rewritten for DataFusion.
//!
//! 1. [`parse`]: tokens with lower-cased names → syntax tree, in our own [`dialect`];
//! 2. [`rewrite`]: what DataFusion lacks or answers differently becomes something that it answers as
//!    Athena does (`if`, `max_by`, `LIKE … ESCAPE`, casts, unnamed columns …).

mod calls;
mod cast;
mod chains;
mod dialect;
mod like;
mod names;
mod naming;
mod parse;
mod rewrite;
mod sql_type;

pub(crate) use naming::Headers;
pub(crate) use parse::{ExplainKind, TrinoStatement, parse, parse_view_query};
pub(crate) use rewrite::{Rewritten, rewrite};
pub(crate) use sql_type::SqlType;
