//! Keeps all connections of an instance together below the memory limit, without ever bringing them to a standstill.
//!
//! A connection takes room before it reads and keeps it for what it has read of a record; a finished record takes its
//! room along in its batch. When there is no room everybody waits for deliveries. What records hold that are not finished
//! is bounded by itself: however many senders stop in the middle of one, the larger part of the memory stays for those
//! who finish theirs. But that part may be held by halves of records which all wait for room, or a record may be larger
//! than all room there is: then waiting would last for ever. So one connection at a time may go beyond the limit, if
//! nothing that it sent on is still on its way: the excess is one record at most.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use record::{Budget, Permit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::listening::pace::Pace;
use crate::listening::seats::Seat;
use crate::listening::stream::Stream;

/// Unfinished records may hold one part in so many of the memory.
const SHARE_OF_UNFINISHED: usize = 4;

/// The memory of one instance.
pub struct Gate {
    budget: Arc<Budget>,
    /// Counts what unfinished records hold.
    unfinished: Arc<Budget>,
    /// Permits of no bytes, from which others are made that may grow without waiting.
    seed: RefCell<Permit>,
    unfinished_seed: RefCell<Permit>,
    /// The right to go beyond the limit.
    excess: Arc<Semaphore>,
}

/// What one connection holds of it.
#[derive(Default)]
pub struct Room {
    permit: Option<Permit>,
    /// What of it is for an unfinished record.
    unfinished: Option<Permit>,
    excess: Option<OwnedSemaphorePermit>,
    /// Something was read since the right to go beyond the limit was taken.
    excess_is_used: bool,
}

/// What a connection asks for.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// How many bytes it wants to hold.
    pub bytes: usize,
    /// It is in the middle of a record.
    pub has_begun: bool,
    /// Nothing that it sent on is still on its way.
    pub is_settled: bool,
}

impl Gate {
    /// A gate before `budget`.
    pub async fn open(budget: &Arc<Budget>) -> Gate {
        let unfinished = Budget::new(match budget.tightest() {
            0 => 0,
            limit => (limit / SHARE_OF_UNFINISHED).max(1),
        });
        Gate {
            budget: Arc::clone(budget),
            seed: RefCell::new(budget.take(0).await),
            unfinished_seed: RefCell::new(unfinished.take(0).await),
            unfinished,
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

    /// Completes when somebody waits for memory that an unfinished record holds.
    pub async fn wanted(&self) {
        tokio::select! {
            () = self.budget.wanted() => {}
            () = self.unfinished.wanted() => {}
        }
    }

    /// Waits until `room` is enough for what is needed. May be cancelled.
    pub async fn widen(&self, room: &mut Room, need: Need) {
        if room.is_enough(need) {
            return;
        }
        if !(need.is_settled && room.excess.is_some()) {
            tokio::select! {
                biased;
                () = self.widen_within_limit(room, need) => return,
                excess = Arc::clone(&self.excess).acquire_owned(), if need.is_settled => {
                    room.excess = excess.ok();
                    room.excess_is_used = false;
                }
            }
        }
        let permit = room.permit.get_or_insert_with(|| self.nothing());
        permit.resize(need.bytes.max(permit.bytes()));
        if need.has_begun {
            self.note_unfinished(room, need.bytes);
        }
    }

    async fn widen_within_limit(&self, room: &mut Room, need: Need) {
        if need.has_begun {
            grow(&self.unfinished, &mut room.unfinished, need.bytes).await;
        }
        grow(&self.budget, &mut room.permit, need.bytes).await;
    }

    /// Waits until there are bytes to read, and then for room; idle senders need none. May be cancelled.
    pub async fn ready(
        &self,
        stream: &mut Stream,
        room: &mut Room,
        need: Need,
        (pace, seat): (&Pace, &Seat),
    ) -> io::Result<()> {
        pace.hold_up(false);
        stream.readable().await?;
        pace.hold_up(true);
        seat.set_busy(true);
        self.widen(room, need).await;
        pace.hold_up(false);
        Ok(())
    }

    /// Gives away the room for `bytes` of what was read, keeps what `left` bytes of an unfinished record need and gives
    /// back the rest.
    pub fn part(&self, room: &mut Room, bytes: usize, left: usize) -> Option<Permit> {
        match left {
            0 => room.unfinished = None,
            left => self.note_unfinished(room, left),
        }
        let held = room.permit.as_mut()?;
        held.resize(bytes + left);
        let parted = held.split(bytes);
        if left == 0 {
            room.permit = None;
        }
        Some(parted)
    }

    /// What has been read is there, whether or not there was room.
    fn note_unfinished(&self, room: &mut Room, bytes: usize) {
        room.unfinished
            .get_or_insert_with(|| self.unfinished_seed.borrow_mut().split(0))
            .resize(bytes);
    }
}

/// Waits until `held` is for at least `bytes`.
async fn grow(budget: &Arc<Budget>, held: &mut Option<Permit>, bytes: usize) {
    let more = bytes.saturating_sub(held.as_ref().map_or(0, Permit::bytes));
    if more == 0 {
        return;
    }
    let permit = budget.take(more).await;
    match held {
        None => *held = Some(permit),
        // The room is counted twice for a moment.
        Some(held) => held.resize(bytes),
    }
}

impl Room {
    /// How many bytes it is enough for.
    pub fn held(&self) -> usize {
        self.permit.as_ref().map_or(0, Permit::bytes)
    }

    fn is_enough(&self, need: Need) -> bool {
        let unfinished = self.unfinished.as_ref().map_or(0, Permit::bytes);
        need.bytes <= self.held() && (!need.has_begun || need.bytes <= unfinished)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    fn need(bytes: usize, has_begun: bool) -> Need {
        Need {
            bytes,
            has_begun,
            is_settled: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_records_leave_most_of_the_memory_to_others() {
        let budget = Budget::new(1000);
        let gate = Gate::open(&budget).await;
        let mut rooms: Vec<Room> = (0..10).map(|_| Room::default()).collect();
        let mut refused = 0;
        for room in &mut rooms {
            gate.widen(room, need(50, false)).await;
            assert!(
                gate.part(room, 0, 50)
                    .is_some_and(|permit| permit.bytes() == 0)
            );
            refused += usize::from(
                timeout(SOON, gate.widen(room, need(100, true)))
                    .await
                    .is_err(),
            );
        }
        assert_eq!(
            (refused, budget.used()),
            (8, 600),
            "a quarter of it is theirs"
        );
        timeout(SOON, gate.wanted())
            .await
            .expect_err("nobody waits any more");
        let mut good = Room::default();
        gate.widen(&mut good, need(400, false)).await;
        let waiting = gate.widen(&mut rooms[5], need(100, true));
        tokio::pin!(waiting);
        assert!(timeout(SOON, &mut waiting).await.is_err());
        timeout(SOON, gate.wanted()).await.expect("one waits");
    }
}
