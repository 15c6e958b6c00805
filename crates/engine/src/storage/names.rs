//! What batches and records are known by when they come again.

use buffer::wal::ChunkId;
use record::{Batch, Origin, Position};

/// What a batch is known by when its sender, who waits for an answer, sends it once more.
pub fn sent_as(batch: &Batch) -> Option<ChunkId> {
    let (first, last) = (batch.records().first()?, batch.records().last()?);
    if !batch.is_awaited() || batch.origin().is_none() {
        return None;
    }
    let id = Origin::of(&[
        b"batch",
        &batch.origin().to_bytes(),
        batch.tag().as_bytes(),
        &first.position.offset.to_le_bytes(),
        &last.position.offset.to_le_bytes(),
        &batch.len().to_le_bytes(),
    ]);
    Some(id.to_bytes())
}

/// What is noted when the log keeps for `output` all that it has not delivered of a batch in memory: should the sender, who
/// may have heard of no answer, send the batch again, then that output is to get nothing of it but what the log has.
pub fn kept_for(batch: &Batch, output: &str) -> Option<ChunkId> {
    let id = Origin::of(&[b"kept", &sent_as(batch)?, output.as_bytes()]);
    Some(id.to_bytes())
}

/// The batch, its records numbered from `first` on by `origin`.
pub fn numbered(mut batch: Batch, first: u64, origin: Origin) -> Batch {
    for (offset, record) in (first..).zip(batch.records_mut()) {
        record.position = Position { offset, len: 1 };
        record.extra = 0;
    }
    batch.with_origin(origin)
}
