//! How long inputs wait for one output, before what comes for it goes to the disk.
//!
//! What goes through the disk is encoded, written, read and decoded once more, and an output that went there once is not
//! back soon. Most outputs that hold too much have only a large request under way: to wait for its answer costs nothing
//! as long as the other outputs have something to do. How long waits may be is bounded twice: each of them, so that a dead
//! output stops no live one, and the time in all of them together during which another output has nothing to do, so that a
//! slow one does not set the pace of the others.

use std::sync::Arc;
use std::time::Duration;

use record::Budget;
use tokio::time::Instant;

/// The longest wait.
const WAIT_MAX: Duration = Duration::from_millis(250);
/// Of waits together, what they cost: so much at once, and in the long run this part of the time.
const SAVED_MAX: Duration = Duration::from_secs(5);
const EARNED_IN: u32 = 12;

/// What inputs have waited for one output and may still wait.
pub struct Patience {
    /// What waits may still cost, as it was at `since`.
    saved: Duration,
    /// When a wait began or ended last.
    since: Instant,
    wait: Option<Wait>,
}

struct Wait {
    until: Instant,
    /// The output may hold no more: an input that does not wait must not fill the memory.
    bytes_max: usize,
    /// Since when another output has nothing to do, if one has not.
    costs_since: Option<Instant>,
    /// The memory of the inputs that wait.
    rooms: Vec<Arc<Budget>>,
}

impl Patience {
    /// All that can be saved, at `now`.
    pub fn new(now: Instant) -> Patience {
        Patience {
            saved: SAVED_MAX,
            since: now,
            wait: None,
        }
    }

    /// Lets the input wait that takes what it reads from `room`, for an output that holds `held` bytes. Returns whether it
    /// does. A wait that begins with this lets the output hold `excess` bytes more.
    pub fn wait(&mut self, now: Instant, room: &Arc<Budget>, held: usize, excess: usize) -> bool {
        if self.wait.is_none() {
            let earned = now.duration_since(self.since) / EARNED_IN;
            (self.saved, self.since) = (SAVED_MAX.min(self.saved + earned), now);
            self.wait = (self.saved >= WAIT_MAX).then(|| Wait {
                until: now + WAIT_MAX,
                bytes_max: held.saturating_add(excess),
                costs_since: None,
                rooms: Vec::new(),
            });
        }
        let wait = self.wait.as_mut();
        let Some(wait) = wait.filter(|wait| now < wait.until && held <= wait.bytes_max) else {
            return false;
        };
        if !wait.rooms.iter().any(|waiting| Arc::ptr_eq(waiting, room)) {
            room.close();
            wait.rooms.push(Arc::clone(room));
        }
        true
    }

    /// When the wait ends at the latest, if there is one.
    pub fn until(&self) -> Option<Instant> {
        self.wait.as_ref().map(|wait| wait.until)
    }

    /// Whether the input waits that takes what it reads from `room`.
    pub fn holds_back(&self, room: &Arc<Budget>) -> bool {
        let mut rooms = self.rooms().iter();
        rooms.any(|waiting| Arc::ptr_eq(waiting, room))
    }

    /// The memory of the inputs that wait.
    pub fn rooms(&self) -> &[Arc<Budget>] {
        self.wait.as_ref().map_or(&[], |wait| &wait.rooms)
    }

    /// During a wait: whether another output has nothing to do from now on.
    pub fn note(&mut self, now: Instant, is_other_idle: bool) {
        let Some(wait) = &mut self.wait else { return };
        match (wait.costs_since, is_other_idle) {
            (None, true) => wait.costs_since = Some(now),
            (Some(since), false) => {
                wait.costs_since = None;
                self.saved = self.saved.saturating_sub(now.duration_since(since));
            }
            _ => {}
        }
    }

    /// Ends the wait. Returns the memory of the inputs that waited.
    pub fn end(&mut self, now: Instant) -> Vec<Arc<Budget>> {
        self.note(now, false);
        let Some(wait) = self.wait.take() else {
            return Vec::new();
        };
        self.since = now;
        wait.rooms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_short_and_few() {
        let room = Budget::new(0);
        let mut now = Instant::now();
        let mut patience = Patience::new(now);
        let mut waits = 0;
        while patience.wait(now, &room, 10, 5) {
            assert!(room.is_closed() && patience.holds_back(&room));
            assert!(!patience.wait(now + WAIT_MAX, &room, 10, 5), "it is over");
            assert!(!patience.wait(now, &room, 16, 5), "the input goes on");
            assert!(patience.wait(now, &room, 15, 0));
            patience.note(now, true);
            now = patience.until().expect("a wait");
            assert_eq!(patience.end(now).len(), 1);
            assert!(!patience.holds_back(&room));
            waits += 1;
        }
        assert_eq!(waits, SAVED_MAX.as_millis() / WAIT_MAX.as_millis());
        // It is earned again, slowly and not without end.
        now += WAIT_MAX * (EARNED_IN - 1);
        assert!(!patience.wait(now, &room, 10, 5));
        now += WAIT_MAX * 2;
        assert!(patience.wait(now, &room, 10, 5));
        patience.end(now);
        let saved = patience.saved;
        // What costs nothing may go on.
        assert!(patience.wait(now, &room, 10, 5));
        patience.note(now + WAIT_MAX / 4, true);
        patience.note(now + WAIT_MAX / 2, false);
        now += WAIT_MAX;
        patience.end(now);
        assert_eq!(patience.saved, saved - WAIT_MAX / 4);
        now += SAVED_MAX * EARNED_IN * 2;
        assert!(patience.wait(now, &room, 10, 5));
        assert_eq!(patience.saved, SAVED_MAX);
    }
}
