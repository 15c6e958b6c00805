//! msgpack: how records leave the process (forward) or survive it (write-ahead log, chunks).

mod head;
mod reader;

pub mod read;
pub mod write;

pub use reader::{Error, Reader, Type};

/// How deep maps and arrays may nest.
pub const MAX_DEPTH: usize = 128;
