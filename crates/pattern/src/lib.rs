//! Regular expressions as Fluent Bit's configurations write them, which is as Ruby does.
//!
//! A [`Pattern`] is compiled once; a [`Matcher`] holds what searching needs and belongs to one thread.
//!
//! - Written bare, as `/pattern/` or as `/pattern/imx`. `^` and `$` hold at every line, `(?m)` lets the dot match newlines,
//!   `\w`, `\d`, `\s`, `\h` are ASCII, POSIX brackets are Unicode. As soon as one group has a name, only named groups capture.
//! - The match that begins first is found, and of those the one that the order of alternatives and quantifiers prefers.
//! - A text need not be UTF-8: a byte that belongs to no character counts as one character, which dots and negated classes
//!   match and nothing else does. So it is in Onigmo, except that there not even they match a character that is cut off by the
//!   end of the text.
//!
//! Each pattern gets the cheapest [`Engine`] that means exactly the same. The first three take time in proportion to the
//! text and allocate nothing once warm; the last one is for look-around, back-references and atomic groups.
//!
//! Known differences: what a group holds after a loop whose last turn was empty, as in `(a?)*`, is not what Onigmo says (the
//! match itself is). Ignoring case knows only pairs of single characters: `ß` does not match `ss`.
//!
//! Not supported, and refused when compiled: `\X`, `\k<name+level>`, `(?~…)` around a pattern without a fixed length or
//! around an assertion.

mod automaton;
mod backtrack;
mod captures;
mod error;
#[cfg(test)]
mod fuzz;
mod matcher;
mod needles;
mod pattern;
mod regular;
mod scan;
mod syntax;
mod text;

pub use captures::Captures;
pub use error::Error;
pub use matcher::Matcher;
pub use pattern::{Engine, Pattern};
