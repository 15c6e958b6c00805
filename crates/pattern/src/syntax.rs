//! Ruby's regular expression syntax, as Onigmo reads it.

mod ast;
mod charset;
mod class;
mod delimiters;
mod escape;
mod group;
mod parser;
mod quantifier;

pub(crate) use ast::{Greed, Groups, Node};
pub(crate) use delimiters::Source;
pub(crate) use parser::{Syntax, parse};
