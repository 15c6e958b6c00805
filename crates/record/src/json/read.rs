//! JSON text → values of a batch.

use crate::{Batch, Fields, Span, Value};

/// How deep maps and arrays may nest.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Error {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What was found there.
    pub reason: Reason,
}

/// What is wrong with a text that is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text ends inside a value; more bytes might complete it.
    #[error("the text ends inside a value")]
    Incomplete,
    /// Something else was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested more than {MAX_DEPTH} levels deep")]
    Depth,
    /// The batch cannot hold more.
    #[error("the batch is full")]
    Full,
}

impl Error {
    /// Whether more bytes might make it JSON.
    pub fn is_incomplete(self) -> bool {
        self.reason == Reason::Incomplete
    }
}

/// Reads one JSON object from the start of `text`, a span of `batch`, leading white space allowed: its fields, and how
/// many bytes it took, up to and including its closing brace. What follows is not looked at.
///
/// Text without escapes becomes a span of `text`, other text is decoded into the arena. Order and duplicates are kept.
/// No run of fields may be open: the object may nest and its inner maps are closed first.
///
/// # Errors
/// When `text` does not start with a JSON object. The batch is left without its fields.
pub fn object(batch: &mut Batch, text: Span) -> Result<(Fields, usize), Error> {
    let _ = (batch, text);
    unimplemented!()
}

/// The same for any JSON value.
///
/// # Errors
/// When `text` does not start with a JSON value.
pub fn value(batch: &mut Batch, text: Span) -> Result<(Value, usize), Error> {
    let _ = (batch, text);
    unimplemented!()
}

/// How many bytes the JSON value at the start of `text` takes, leading white space included, without keeping it.
///
/// # Errors
/// When `text` does not start with a JSON value.
pub fn skip(text: &[u8]) -> Result<usize, Error> {
    let _ = text;
    unimplemented!()
}
