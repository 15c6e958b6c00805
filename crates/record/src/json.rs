//! JSON: read into batches without copies, and written as Fluent Bit writes it.

mod date;
mod digits;
mod keys;
mod number;
pub mod read;
mod room;
mod scan;
pub mod shape;
mod short;
mod text;
mod unescape;
mod values;
mod window;
pub mod write;

pub(crate) use number::write_fixed as fixed_float;
