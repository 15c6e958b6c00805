//! Lines that belong together: stack traces, messages that a container runtime has cut, whatever a `[MULTILINE_PARSER]`
//! describes (upstream `src/multiline`).
//!
//! | file | what |
//! |---|---|
//! | `joiner.rs` | a list of multiline parsers, and what becomes of one line |
//! | `rules.rs`, `parser.rs` | patterns and states; one parser as it runs |
//! | `stream.rs`, `group.rs` | the lines of one source; those that belong together and wait for more |
//! | `text.rs`, `context.rs` | the joined text, and the other fields of its first line |
//! | `owed.rs` | what is owed for lines, until it is owed for records |
//!
//! Lines are joined inside a batch without a copy where they stand side by side in its source. What waits for more at the
//! batch's end is [put aside](Stream::park); its obligations wait with it, so that a source's position stays where the
//! first open group begins. Groups are limited in bytes, lines and time.
//!
//! Invariants: no I/O, no clock of its own; how lines are divided into batches changes nothing of what is made of them.

mod context;
mod group;
mod joiner;
mod owed;
mod parser;
mod rules;
mod stream;
mod text;

pub use joiner::{Joined, Joiner, Made, Place};
pub use owed::{Owed, assign};
pub use stream::Stream;

#[cfg(test)]
mod tests;
