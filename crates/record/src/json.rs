//! JSON: read into batches without copies, and written as Fluent Bit writes it.

pub mod read;
pub mod write;
