//! The data model: what a log record is while it travels through Flumen.
//!
//! A [`Batch`] holds the records of one tag in flat vectors; values are small [`Span`]s into the bytes that were
//! read (or into the batch's arena where something had to be made), so that the road from a file to a request body
//! copies nothing and allocates nothing per record.
//!
//! An [`Obligation`] is what the source of a record is owed: the answer that everything made from it is delivered,
//! filtered or given up by policy. It is kept as ranges of the source's positions in a [`Ledger`].
//!
//! Invariants: no I/O, no async runtime, no knowledge of any plugin or protocol but msgpack and JSON.

mod batch;
mod budget;
mod builder;
mod copy;
mod emission;
mod obligation;
mod origin;
mod pool;
mod receipt;
mod span;
mod tag;
mod time;
#[cfg(test)]
mod tree;
mod value;

pub mod accessor;
pub mod json;
pub mod msgpack;

pub use batch::{Batch, Kind, Marker, Position, Record};
pub use budget::{Budget, Permit};
pub use emission::{Emission, Emitter};
pub use obligation::{Ledger, Obligation};
pub use origin::Origin;
pub use pool::trim;
pub use receipt::Receipt;
pub use span::Span;
pub use tag::{Tag, TagFault, TagPattern};
pub use time::Time;
pub use value::{Field, Fields, Key, Value};
