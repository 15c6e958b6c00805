//! Storage of finished batches, kept for the next ones of the same thread.

use std::cell::RefCell;

use crate::{Field, Record};

/// The vectors of a batch.
#[derive(Default)]
pub(crate) struct Storage {
    pub arena: Vec<u8>,
    pub fields: Vec<Field>,
    pub records: Vec<Record>,
    pub scratch: Vec<Field>,
    /// Bytes made from bytes of the arena, before they are appended to it.
    pub made: Vec<u8>,
}

/// What a shard keeps at most: enough for the batches that are under way while a file is drained.
const KEPT: usize = 8;
/// Larger vectors are given back to the system: one huge batch must not be remembered for ever.
const KEPT_BYTES: usize = 3 << 20;

/// So much more than it needs, and as much again as it needs, may a batch hold.
const SLACK: usize = 64 << 10;

thread_local! {
    static POOL: RefCell<Vec<Storage>> = const { RefCell::new(Vec::new()) };
}

impl Storage {
    /// Storage from the pool, or new and empty.
    pub fn take() -> Storage {
        POOL.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Bytes of memory it holds.
    pub fn footprint(&self) -> usize {
        self.arena.capacity()
            + self.made.capacity()
            + (self.fields.capacity() + self.scratch.capacity()) * size_of::<Field>()
            + self.records.capacity() * size_of::<Record>()
    }

    /// Bytes that what is in it takes.
    pub fn used(&self) -> usize {
        self.arena.len()
            + (self.fields.len() + self.scratch.len()) * size_of::<Field>()
            + self.records.len() * size_of::<Record>()
    }

    /// Gives memory back that a much larger batch has left: a small one must not hold it, nor be counted as large.
    pub fn fit(&mut self) {
        if self.footprint() > 2 * self.used() + SLACK {
            self.made = Vec::new();
            self.scratch = Vec::new();
            self.arena.shrink_to_fit();
            self.fields.shrink_to_fit();
            self.records.shrink_to_fit();
        }
    }

    /// Gives the storage back for the next batch.
    pub fn put(mut self) {
        let footprint = self.footprint();
        if footprint == 0 || footprint > KEPT_BYTES {
            return;
        }
        self.arena.clear();
        self.fields.clear();
        self.records.clear();
        self.scratch.clear();
        self.made.clear();
        // The pool is gone while its thread ends; then the storage simply goes too.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(self);
            }
        });
    }
}

/// Frees what the calling thread keeps for later batches. Called when a shard has been idle.
pub fn trim() {
    POOL.with_borrow_mut(|pool| {
        pool.clear();
        pool.shrink_to_fit();
    });
}
