//! The memory of what is being sent: bounded, counted in the process's, and used again for the next part.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::sync::Arc;

use record::{Budget, Permit};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bucket::{Failure, Piece};

/// What may be in memory at once without a limit for the process: three parts of the usual size.
const USUAL: usize = 16 << 20;
/// The unit in which it is counted.
const UNIT: usize = 1 << 10;
/// Larger memory is not kept for another piece.
const KEPT_MAX: usize = 8 << 20;

/// The memory of all uploads of an output.
///
/// What is sent counts among the bodies of requests, but does not wait for them: bodies that are made as fast as there is
/// room for them would leave none for uploads, which are what empties the disk. One piece that is larger than everything is
/// sent alone.
#[derive(Debug)]
pub struct Memory {
    units: Semaphore,
    all: usize,
    bodies: Arc<Budget>,
    /// For the next pieces, while any upload is under way.
    spare: RefCell<Vec<Vec<u8>>>,
    uploads: Cell<usize>,
}

/// Keeps memory for the next pieces until the last upload has ended.
#[derive(Debug)]
pub struct Uploading<'a>(&'a Memory);

/// Room for a piece.
#[derive(Debug)]
pub struct Room<'a> {
    memory: &'a Memory,
    _units: SemaphorePermit<'a>,
    _counted: Permit,
}

/// A piece in memory. Gives it back on drop.
#[derive(Debug)]
pub struct Held<'a> {
    piece: Piece,
    room: Room<'a>,
}

impl Memory {
    /// As much as `bodies` has.
    pub fn new(bodies: Arc<Budget>) -> Memory {
        let all = match bodies.tightest() {
            0 => USUAL,
            limit => limit.min(USUAL),
        };
        let units = (all / UNIT).max(1);
        Memory {
            units: Semaphore::new(units),
            all: units,
            bodies,
            spare: RefCell::default(),
            uploads: Cell::new(0),
        }
    }

    /// An upload begins.
    pub fn upload(&self) -> Uploading<'_> {
        self.uploads.set(self.uploads.get() + 1);
        Uploading(self)
    }

    /// Waits until there is room for so many bytes.
    pub async fn room(&self, bytes: usize) -> Result<Room<'_>, Failure> {
        let units = bytes.div_ceil(UNIT).min(self.all);
        let permit = self.units.acquire_many(units as u32).await;
        let permit = permit.map_err(|error| Failure::again(error.to_string()))?;
        let mut counted = self.bodies.nothing();
        counted.resize(bytes);
        Ok(Room {
            memory: self,
            _units: permit,
            _counted: counted,
        })
    }

    /// Memory for so many bytes, with some older ones in it.
    ///
    /// It is taken on the thread where it is given back too: every other would keep some of it for itself.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(|| Vec::with_capacity(bytes))
    }
}

impl<'a> Room<'a> {
    /// What has come into it.
    pub fn hold(self, piece: Piece) -> Held<'a> {
        Held { piece, room: self }
    }
}

impl Drop for Uploading<'_> {
    fn drop(&mut self) {
        let left = self.0.uploads.get() - 1;
        self.0.uploads.set(left);
        if left == 0 {
            self.0.spare.take();
        }
    }
}

impl Deref for Held<'_> {
    type Target = Piece;

    fn deref(&self) -> &Piece {
        &self.piece
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let Some(bytes) = self.piece.take_memory() else {
            return;
        };
        if bytes.capacity() <= KEPT_MAX && self.room.memory.uploads.get() > 0 {
            self.room.memory.spare.borrow_mut().push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::s3::object::ObjectSettings;

    const MIB: usize = 1 << 20;

    fn piece(memory: &Memory, bytes: usize) -> Piece {
        let mut taken = memory.take(bytes);
        taken.resize(bytes, 1);
        Piece::new(taken.into(), &ObjectSettings::default())
    }

    fn try_room(memory: &Memory, bytes: usize) -> Option<Room<'_>> {
        memory.room(bytes).now_or_never()?.ok()
    }

    #[test]
    fn pieces_are_bounded_and_counted() {
        let bodies = Budget::new(10 * MIB);
        let memory = Memory::new(Arc::clone(&bodies));
        // Bodies that are there already keep no piece from being sent.
        let _full = bodies.try_take(10 * MIB).expect("room");
        let rooms = [try_room(&memory, 5 * MIB), try_room(&memory, 5 * MIB)];
        assert!(rooms.iter().all(Option::is_some));
        assert_eq!(bodies.used(), 20 * MIB);
        assert!(try_room(&memory, 5 * MIB).is_none());
        drop(rooms);
        assert_eq!(bodies.used(), 10 * MIB);
        let large = try_room(&memory, 100 * MIB).expect("nothing else is there");
        assert!(bodies.used() == 110 * MIB && try_room(&memory, 1).is_none());
        drop(large);
        assert!(try_room(&memory, 1).is_some());
    }

    #[test]
    fn memory_is_used_again_while_uploads_are_under_way() {
        let memory = Memory::new(Budget::new(0));
        let uploading = memory.upload();
        let first = try_room(&memory, MIB)
            .expect("room")
            .hold(piece(&memory, MIB));
        let place = first.bytes().as_ptr();
        drop(first);
        let second = try_room(&memory, MIB)
            .expect("room")
            .hold(piece(&memory, MIB));
        assert_eq!(second.bytes().as_ptr(), place);
        drop(second);
        assert_eq!(memory.spare.borrow().len(), 1);
        drop(uploading);
        assert_eq!(memory.spare.borrow().len(), 0);
        // What somebody else has too is left to them.
        let (_uploading, shared) = (memory.upload(), Bytes::from(vec![1; MIB]));
        let piece = Piece::new(shared.clone(), &ObjectSettings::default());
        drop(try_room(&memory, MIB).expect("room").hold(piece));
        assert!(memory.spare.borrow().is_empty() && shared.len() == MIB);
    }
}
