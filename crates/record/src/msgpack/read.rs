//! msgpack → records and values of a batch, without copies.

use super::Error;
use crate::{Batch, Record, Span, Time, Value};

/// Reads one event from the start of `bytes`, a span of `batch`: the record, and how many bytes it took. The record is
/// not appended to the batch and its position is zero: that is the caller's.
///
/// Understood are `[[time, metadata], body]` (V2) and `[time, body]` (V1, and legacy with whole seconds).
pub fn event(batch: &mut Batch, bytes: Span) -> Result<(Record, usize), Error> {
    let _ = (batch, bytes);
    unimplemented!()
}

/// Reads one value of any kind from the start of `bytes`.
pub fn value(batch: &mut Batch, bytes: Span) -> Result<(Value, usize), Error> {
    let _ = (batch, bytes);
    unimplemented!()
}

/// Reads the time of an event: unsigned seconds, float seconds, or EventTime.
pub fn time(reader: &mut super::Reader<'_>) -> Result<Time, Error> {
    let _ = reader;
    unimplemented!()
}
