//! How many bytes of batches an output holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The bytes of the batches that an output holds.
#[derive(Debug)]
pub struct Held {
    bytes: AtomicUsize,
    /// Told when it has become less, or the output fell behind.
    changed: Notify,
    /// More waits for the output, and comes once it holds no more than this.
    room: AtomicUsize,
    asked: Notify,
}

impl Default for Held {
    fn default() -> Held {
        Held {
            bytes: AtomicUsize::new(0),
            changed: Notify::new(),
            room: AtomicUsize::new(usize::MAX),
            asked: Notify::new(),
        }
    }
}

impl Held {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Tells who waits for a change.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// Completes when it has become less since the last time, or something else is to be looked at.
    pub async fn has_changed(&self) {
        self.changed.notified().await;
    }

    /// Asks the output to hold no more than `room`, because more waits for it. `None`: nothing does.
    pub fn ask_for_room(&self, room: Option<usize>) {
        let room = room.unwrap_or(usize::MAX);
        if self.room.swap(room, Ordering::AcqRel) != room {
            self.asked.notify_one();
        }
        if self.is_wanted() {
            self.asked.notify_one();
        }
    }

    /// Completes when it is asked to hold less than it does.
    pub async fn room_is_wanted(&self) {
        while !self.is_wanted() {
            self.asked.notified().await;
        }
    }

    fn is_wanted(&self) -> bool {
        self.bytes() > self.room.load(Ordering::Acquire)
    }
}

/// Counts bytes as held until it is dropped.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    bytes: usize,
}

impl Hold {
    /// `held` has so many bytes more.
    pub fn new(held: &Arc<Held>, bytes: usize) -> Hold {
        held.bytes.fetch_add(bytes, Ordering::AcqRel);
        Hold {
            held: Arc::clone(held),
            bytes,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.held.changed();
    }
}
