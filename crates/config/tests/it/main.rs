//! Tests of the crate from outside, in one binary.

mod any_text;
mod classic;
mod command_line;
mod derive;
mod fuzz;
mod groups;
mod seed;
mod system;
