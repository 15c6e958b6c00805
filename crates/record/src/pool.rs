//! Storage of finished batches, kept for the next ones of the same thread.

use std::cell::RefCell;

use crate::{Field, Record};

/// The vectors of a batch.
#[derive(Default)]
pub(crate) struct Storage {
    pub arena: Vec<u8>,
    pub fields: Vec<Field>,
    pub records: Vec<Record>,
    /// What is only needed while records are made and changed.
    pub scratch: Vec<Field>,
    /// Bytes made from bytes of the arena, before they are appended to it.
    pub made: Vec<u8>,
}

/// What a shard keeps at most: enough for the batches that are under way while a file is drained.
const KEPT: usize = 8;
/// Larger storage is given back to the system: one huge batch must not be remembered for ever.
const KEPT_BYTES: usize = 3 << 20;
/// The same of what is only needed while a batch is made: vectors of more bytes.
const KEPT_WORKING: usize = 1 << 20;

/// So many bytes more than it needs, and a quarter of what it needs, may a vector of a batch hold.
const SLACK: usize = 16 << 10;

/// What a thread keeps.
struct Pool {
    /// Without `scratch` and `made`: a batch needs them only until it is frozen, and mostly one is made at a time.
    finished: Vec<Storage>,
    scratch: Vec<Field>,
    made: Vec<u8>,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

impl Pool {
    const fn new() -> Pool {
        Pool {
            finished: Vec::new(),
            scratch: Vec::new(),
            made: Vec::new(),
        }
    }

    fn keep_working(&mut self, storage: &mut Storage) {
        keep(&mut self.scratch, std::mem::take(&mut storage.scratch));
        keep(&mut self.made, std::mem::take(&mut storage.made));
    }
}

/// Keeps the larger one, empty, unless it is too large.
fn keep<T>(kept: &mut Vec<T>, mut vector: Vec<T>) {
    let bytes = vector.capacity() * size_of::<T>();
    if vector.capacity() > kept.capacity() && bytes <= KEPT_WORKING {
        vector.clear();
        *kept = vector;
    }
}

/// Gives back what a growing vector, or a larger batch before, has left; a little room stays for the next batch, which is
/// mostly like this one.
fn fit<T>(vector: &mut Vec<T>) {
    let (len, slack) = (vector.len(), SLACK / size_of::<T>());
    if vector.capacity() > len + len / 4 + slack {
        vector.shrink_to(len + len / 8);
    }
}

impl Storage {
    /// Storage from the pool, or new and empty.
    pub fn take() -> Storage {
        POOL.with_borrow_mut(|pool| Storage {
            scratch: std::mem::take(&mut pool.scratch),
            made: std::mem::take(&mut pool.made),
            ..pool.finished.pop().unwrap_or_default()
        })
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

    /// Gives back what a batch that is finished does not need: for what it holds others must wait.
    pub fn fit(&mut self) {
        let _ = POOL.try_with(|pool| pool.borrow_mut().keep_working(self));
        fit(&mut self.arena);
        fit(&mut self.fields);
        fit(&mut self.records);
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
        // The pool is gone while its thread ends; then the storage simply goes too.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            pool.keep_working(&mut self);
            if pool.finished.len() < KEPT {
                pool.finished.push(self);
            }
        });
    }
}

/// Frees what the calling thread keeps for later batches. Called when a shard has been idle.
pub fn trim() {
    POOL.set(Pool::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors with so many elements, one after the other, as a batch is filled.
    fn filled(mut storage: Storage, elements: usize) -> Storage {
        let field = Field::new(crate::Span::EMPTY, crate::Value::Null);
        for _ in 0..elements {
            storage.arena.push(0);
            storage.made.push(0);
            storage.fields.push(field);
            storage.scratch.push(field);
            storage.records.push(Record::default());
        }
        storage
    }

    #[test]
    fn a_finished_batch_holds_little_more_than_it_needs() {
        trim();
        for elements in [0, 1, 1000, 5000, 9000, 17_000, 300, 40_000] {
            let mut storage = filled(Storage::take(), elements);
            storage.fit();
            storage.scratch.clear();
            let (held, used) = (storage.footprint(), storage.used());
            assert!(
                held <= used + used / 4 + 3 * SLACK,
                "{elements}: {held} of {used}"
            );
            storage.put();
        }
        trim();
    }

    #[test]
    fn batches_alike_need_no_memory_beyond_the_first() {
        trim();
        let mut first = filled(Storage::take(), 10_000);
        first.fit();
        first.put();
        let kept = Storage::take();
        let before = (kept.footprint(), kept.made.as_ptr(), kept.fields.as_ptr());
        let storage = filled(kept, 10_500);
        let after = (
            storage.footprint(),
            storage.made.as_ptr(),
            storage.fields.as_ptr(),
        );
        assert_eq!(before, after);
        trim();
    }

    #[test]
    fn what_batches_are_made_with_is_kept_once_and_within_bounds() {
        trim();
        let (mut one, mut other) = (filled(Storage::take(), 2000), filled(Storage::take(), 3000));
        assert!(one.scratch.capacity() >= 2000 && other.scratch.capacity() >= 3000);
        one.fit();
        other.fit();
        assert_eq!((one.scratch.capacity(), other.made.capacity()), (0, 0));
        let next = Storage::take();
        assert!(next.scratch.capacity() >= 3000 && next.scratch.is_empty());
        assert!(next.made.capacity() >= 3000 && next.made.is_empty());
        assert_eq!(Storage::take().scratch.capacity(), 0);
        let mut huge = filled(next, KEPT_WORKING + 1);
        huge.fit();
        let after = Storage::take();
        assert_eq!((after.scratch.capacity(), after.made.capacity()), (0, 0));
        trim();
    }
}
