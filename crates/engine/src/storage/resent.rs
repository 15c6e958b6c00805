//! Batches that their senders send again, because they have heard of no answer.

use std::borrow::Cow;

use buffer::wal::{ChunkId, ChunkState};
use record::Batch;

use super::Storage;
use super::names::kept_for;

/// A batch that comes again is on its way to the disk.
pub struct IsPending;

impl Storage {
    /// Whether there are chunks that may come again although the log has them.
    pub(super) fn remembers(&self) -> bool {
        let open = self.opened();
        open.is_some_and(|open| !open.writer.chunks().is_empty())
    }

    /// Those of `routes` for which the log did not keep `batch` when its sender sent it before.
    pub(super) fn not_kept<'a>(
        &self,
        batch: &Batch,
        routes: &'a [usize],
    ) -> Result<Cow<'a, [usize]>, IsPending> {
        if !batch.is_awaited() || !self.remembers() {
            return Ok(Cow::Borrowed(routes));
        }
        let Some(open) = self.opened() else {
            return Ok(Cow::Borrowed(routes));
        };
        let chunks = open.writer.chunks();
        let mut receiving = Vec::with_capacity(routes.len());
        for route in routes {
            let kept = kept_for(batch, &self.way(*route).name);
            match kept.map_or(ChunkState::New, |kept| chunks.state(&kept)) {
                ChunkState::New => receiving.push(*route),
                ChunkState::Kept => {}
                ChunkState::Pending => return Err(IsPending),
            }
        }
        Ok(Cow::Owned(receiving))
    }

    /// The batch that is routed next completes a chunk, which is known from when the batch is safe.
    pub(super) fn complete_chunk(&self, chunk: ChunkId) {
        self.chunks.borrow_mut().push(chunk);
    }

    /// The batch was not routed.
    pub(super) fn forget_chunk(&self) {
        self.chunks.borrow_mut().clear();
    }
}
