//! Keeps all connections of an instance together below the memory limit, without ever bringing them to a standstill.
//!
//! A connection takes room before it reads and keeps it for what it has read of a frame; a finished frame takes its room
//! along in its batch. When there is no room everybody waits for deliveries. But room may be held by halves of frames,
//! or a frame may be larger than all room there is: then waiting would last for ever. So one connection at a time may go
//! beyond the limit, if nothing that it sent on is still on its way: the excess is one frame at most.

use std::cell::RefCell;
use std::sync::Arc;

use record::{Budget, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The memory of one instance.
pub struct Gate {
    budget: Arc<Budget>,
    /// A permit of no bytes, from which others are made that may grow without waiting.
    seed: RefCell<Permit>,
    /// The right to go beyond the limit.
    excess: Arc<Semaphore>,
}

/// What one connection holds of it.
#[derive(Default)]
pub struct Room {
    permit: Option<Permit>,
    excess: Option<OwnedSemaphorePermit>,
    /// Something was read since the right to go beyond the limit was taken.
    excess_is_used: bool,
}

impl Gate {
    /// A gate before `budget`.
    pub async fn open(budget: &Arc<Budget>) -> Gate {
        Gate {
            budget: Arc::clone(budget),
            seed: RefCell::new(budget.take(0).await),
            excess: Arc::new(Semaphore::new(1)),
        }
    }

    /// A permit of no bytes.
    pub fn nothing(&self) -> Permit {
        self.seed.borrow_mut().split(0)
    }

    /// Waits until `bytes` more may be held.
    pub async fn take(&self, bytes: usize) -> Permit {
        self.budget.take(bytes).await
    }

    /// Waits until `room` is enough for `bytes`. `is_settled`: nothing that the connection sent on is still on its way.
    /// May be cancelled.
    pub async fn widen(&self, room: &mut Room, bytes: usize, is_settled: bool) {
        let more = bytes.saturating_sub(room.held());
        if more == 0 {
            return;
        }
        if !(is_settled && room.excess.is_some()) {
            tokio::select! {
                biased;
                permit = self.budget.take(more) => match &mut room.permit {
                    None => {
                        room.permit = Some(permit);
                        return;
                    }
                    // The room is counted twice for a moment.
                    Some(held) => return held.resize(bytes),
                },
                excess = Arc::clone(&self.excess).acquire_owned(), if is_settled => {
                    room.excess = excess.ok();
                    room.excess_is_used = false;
                }
            }
        }
        room.permit
            .get_or_insert_with(|| self.nothing())
            .resize(bytes);
    }
}

impl Room {
    /// How many bytes it is enough for.
    pub fn held(&self) -> usize {
        self.permit.as_ref().map_or(0, Permit::bytes)
    }

    /// Gives away the room for `bytes` of what was read, keeps what `left` bytes need and gives back the rest.
    pub fn part_with(&mut self, bytes: usize, left: usize) -> Option<Permit> {
        let held = self.permit.as_mut()?;
        held.resize(bytes + left);
        let parted = held.split(bytes);
        if left == 0 {
            self.permit = None;
        }
        Some(parted)
    }

    /// Takes note of how much the room was used for: what goes beyond the limit for nothing is left to others.
    pub fn note_read(&mut self, bytes: usize) {
        self.excess_is_used |= bytes > 0;
        if !self.excess_is_used {
            self.end_excess();
        }
    }

    /// Whether it goes beyond the limit.
    pub fn is_in_excess(&self) -> bool {
        self.excess.is_some()
    }

    /// Lets another connection go beyond the limit.
    pub fn end_excess(&mut self) {
        self.excess = None;
    }
}
