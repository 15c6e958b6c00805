//! What a configuration says about records on the disk.

use std::path::PathBuf;
use std::rc::Rc;

use buffer::wal::Durability;
use config::{ServiceOptions, StorageSync, StorageType};

use super::{ChunksOfAll, StateDirectory};
use crate::shards::Member;

/// How records are kept.
#[derive(Debug)]
pub struct StorageSettings {
    /// Where.
    pub state: Rc<StateDirectory>,
    /// `storage.sync`.
    pub durability: Durability,
    /// `storage.backlog.mem_limit`: how much of what lies on the disk is read at a time.
    pub backlog_bytes: usize,
    /// `storage.backlog.flush_on_shutdown`.
    pub is_flushed_on_stop: bool,
    /// Where Fluent Bit may have left chunk files: `storage.path`.
    pub fluent_bit: Option<PathBuf>,
    /// `storage.delete_irrecoverable_chunks`.
    pub deletes_bad_chunks: bool,
    /// How many shards share the memory.
    pub shards: usize,
    /// What all their logs know of chunks.
    pub chunks: ChunksOfAll,
}

impl StorageSettings {
    /// What a configuration says.
    pub fn new(
        service: &ServiceOptions,
        state: &Rc<StateDirectory>,
        member: &Member,
    ) -> StorageSettings {
        StorageSettings {
            state: Rc::clone(state),
            durability: match service.storage_sync {
                StorageSync::Full => Durability::Durable,
                StorageSync::Normal => Durability::Process,
            },
            backlog_bytes: usize::try_from(service.backlog_mem_limit.0).unwrap_or(usize::MAX),
            is_flushed_on_stop: service.backlog_flush_on_shutdown.0,
            // One reads them.
            fluent_bit: service.storage_path.clone().filter(|_| member.index == 0),
            deletes_bad_chunks: service.delete_irrecoverable_chunks.0,
            shards: member.shards.count(),
            chunks: member.shards.chunks.clone(),
        }
    }
}

/// Where records wait of inputs that do not say so.
#[derive(Clone, Copy, Debug)]
pub struct DefaultStorage(Option<StorageType>);

impl DefaultStorage {
    /// What `[SERVICE]` says: only with `storage.inherit`.
    pub fn new(service: &ServiceOptions) -> DefaultStorage {
        DefaultStorage(service.storage_type.filter(|_| service.storage_inherit.0))
    }

    /// Whether the records of an input with this `storage.type` are kept on the disk.
    pub fn is_stored(self, own: Option<StorageType>) -> bool {
        own.or(self.0) == Some(StorageType::Filesystem)
    }
}
