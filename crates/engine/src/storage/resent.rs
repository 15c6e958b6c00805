//! Batches that their senders send again, because they have heard of no answer.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use buffer::wal::{ChunkId, ChunkState, Chunks};
use record::Batch;

use super::Storage;
use super::names::kept_for;

/// A batch that comes again is on its way to the disk.
pub struct IsPending;

/// The chunks that the logs of all shards know.
#[derive(Clone, Debug, Default)]
pub struct ChunksOfAll(Arc<Mutex<Vec<Arc<Chunks>>>>);

impl ChunksOfAll {
    /// Another log was opened.
    pub fn add(&self, chunks: Arc<Chunks>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(chunks);
    }

    fn is_any_known(&self) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().any(|chunks| !chunks.is_empty())
    }

    fn state(&self, chunk: &ChunkId) -> ChunkState {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states = all.iter().map(|chunks| chunks.state(chunk));
        states
            .find(|state| *state != ChunkState::New)
            .unwrap_or(ChunkState::New)
    }
}

impl Storage {
    /// Whether there are chunks that may come again although the log has them.
    pub(super) fn remembers(&self) -> bool {
        match self.settings.shards {
            1 => self
                .opened()
                .is_some_and(|open| !open.writer.chunks().is_empty()),
            _ => self.settings.chunks.is_any_known(),
        }
    }

    /// What is known of `chunk`. Its sender may have sent it over another connection before, to another shard.
    pub(super) fn state_of(&self, chunk: &ChunkId) -> ChunkState {
        match self.settings.shards {
            1 => self
                .opened()
                .map_or(ChunkState::New, |open| open.writer.chunks().state(chunk)),
            _ => self.settings.chunks.state(chunk),
        }
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
        let mut receiving = Vec::with_capacity(routes.len());
        for route in routes {
            let kept = kept_for(batch, &self.way(*route).name);
            match kept.map_or(ChunkState::New, |kept| self.state_of(&kept)) {
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
