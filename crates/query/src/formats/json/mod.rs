//! JSON as log lines have it: read in place, without a tree.

mod decimal;
mod number;
mod scan;
mod write;

pub(crate) use decimal::Decimal;
pub(crate) use number::{parse_integer, parse_long};
pub(crate) use scan::{Malformed, Scanner, Value};
pub(crate) use write::{canonical_literal, write_value};
