//! msgpack: how records leave the process (forward) or survive it (write-ahead log, chunks).

mod reader;

pub mod read;
pub mod write;

pub use reader::{Error, Reader, Type};
