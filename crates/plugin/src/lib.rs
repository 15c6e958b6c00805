//! The contracts between the stations of the road: what an input, a parser, a filter and an output are given, what they
//! give, and how each record is answered for.
//!
//! A plugin is one file holding one static ([`InputPlugin`], [`ParserPlugin`], [`FilterPlugin`], [`OutputPlugin`]) and
//! its name in the explicit list of its crate.
//!
//! | kind | gets | gives | must not |
//! |---|---|---|---|
//! | input | options, [`Emitter`], [`Stop`], a memory [`record::Budget`] | batches with an obligation each | know filters or outputs |
//! | parser | bytes of a batch | fields, maybe a time | do I/O |
//! | filter | a batch, to change in place | batches under other tags | await |
//! | output | frozen batches | requests, then an answer for each record | retry by itself |
//!
//! Invariants: no implementation of any plugin; no knowledge of the engine that runs them.

mod body;
mod error;
mod filter;
mod input;
mod log;
mod metrics;
mod output;
mod parser;
mod provenance;
mod stop;

pub use body::Body;
pub use config::LogLevel as Level;
pub use error::BuildError;
pub use filter::{BuildFilter, Filter, FilterCall, FilterContext, FilterPlugin, RunFilter};
pub use input::{
    BuildInput, Emit, Emitter, Ended, Handover, Input, InputContext, InputPlugin, RunInput, Shard,
};
pub use log::{Log, LogSink};
pub use metrics::{Counter, Gauge, Metric, Metrics, Number};
pub use output::{
    Answer, BuildOutput, Deliver, DeliveryId, Format, Outbox, Output, OutputContext, OutputPlugin,
    Parts, Reason, RecordAnswer, Request, RunOutput,
};
pub use parser::{BuildParser, Parsed, Parser, ParserContext, ParserPlugin, Parsers};
pub use provenance::{Provenance, RecordNames, Writer, WriterSource};
pub use stop::{Stop, StopHandle};

/// A future that stays on the thread of its shard.
pub type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;
