//! The front end for what Athena gives to Hive: DDL and the `SHOW` family.
//!
//! A recursive-descent parser for the short list of statements that Athena documents. It knows nothing
//! of the catalog: text in, [`ast::HiveStatement`] out. Differences from Hive, on purpose: reserved
//! words are accepted bare wherever a name is expected (`user string`), names may also stand in double
//! quotes, and column numbers in errors start at 1.

pub(crate) mod ast;
mod lexer;
mod parser;
mod types;

pub(crate) use parser::parse;
pub(crate) use types::parse_type;
