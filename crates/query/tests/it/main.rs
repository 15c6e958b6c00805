//! The crate from outside: statements in, rows and errors out.

mod seed;
mod session;
mod slt;
