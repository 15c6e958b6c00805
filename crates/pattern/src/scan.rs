//! The engine for the patterns of log lines: literals, runs of a class, optional groups, behind an anchor or a literal.
//!
//! A pattern becomes a short program over bytes. Most of its steps need no memory of the way back: where what follows a run
//! cannot begin with a byte of the run, the run has one length only ([`compile`] proves it); where an optional part and what
//! follows it begin with different bytes, the next byte decides. The other steps leave a frame to come back to. The work that
//! a search may do is bounded: a text that needs more is left to an automaton.
//!
//! Programs with several fields are tried [straight] first: without frames, and with one pass over the text that finds the
//! ends of all fields.

mod beginning;
mod compile;
mod find;
mod first;
mod machine;
mod program;
mod straight;

pub(crate) use beginning::Beginning;
pub(crate) use machine::{Found, Stack};
pub(crate) use program::Program;
