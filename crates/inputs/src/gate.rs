//! Keeps all connections of an instance together below the memory limit, without ever bringing them to a standstill.
//!
//! A connection takes room before it reads and keeps it for what it has read of a record; a finished record takes its
//! room along in its batch. When there is no room everybody waits for deliveries. What records hold that are not finished
//! is bounded by itself: however many senders stop in the middle of one, half of the memory stays for those who finish
//! theirs, and among those who wait small records come first. But what is bounded may be held by halves of records which all wait for room, or a record may be larger
//! than all room there is: then waiting would last for ever. So one connection at a time may go beyond the limit, if
//! nothing that it sent on is still on its way: the excess is one record at most.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use record::{Budget, Permit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::listening::pace::Pace;
use crate::listening::seats::Seat;
use crate::listening::stream::Stream;

/// Unfinished records may hold one part in so many of the memory.
const SHARE_OF_UNFINISHED: usize = 2;
/// Records that need at most one part in so many of that are small: some room is kept for them.
const SHARE_OF_SMALL: usize = 16;
/// One part in so many of it is kept for small records.
const KEPT_FOR_SMALL: usize = 4;

/// The memory of one instance.
pub struct Gate {
    budget: Arc<Budget>,
    unfinished: Rc<Unfinished>,
    /// A permit of no bytes, from which others are made that may grow without waiting.
    seed: RefCell<Permit>,
    /// The right to go beyond the limit.
    excess: Arc<Semaphore>,
}

/// What all unfinished records hold together. One alone may hold any amount.
struct Unfinished {
    /// 0 is none.
    limit: usize,
    used: Cell<usize>,
    /// How many bytes those who wait need, with numbers that tell them apart.
    waiting: RefCell<BTreeSet<(usize, u64)>>,
    numbers: Cell<u64>,
    /// Somebody holds less, begins to wait or ceases to.
    changed: Notify,
}

/// What of it is one connection's.
struct Share {
    of: Rc<Unfinished>,
    bytes: usize,
}

/// What one connection holds of it.
#[derive(Default)]
pub struct Room {
    permit: Option<Permit>,
    /// What of it is for an unfinished record.
    unfinished: Option<Share>,
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
    /// A gate before `budget`, which `shards` instances share.
    pub async fn open(budget: &Arc<Budget>, shards: usize) -> Gate {
        let limit = match budget.tightest() {
            0 => 0,
            limit => (limit / SHARE_OF_UNFINISHED / shards).max(1),
        };
        Gate {
            budget: Arc::clone(budget),
            unfinished: Rc::new(Unfinished {
                limit,
                used: Cell::new(0),
                waiting: RefCell::default(),
                numbers: Cell::new(0),
                changed: Notify::new(),
            }),
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
            self.share(room).set(need.bytes);
        }
    }

    async fn widen_within_limit(&self, room: &mut Room, need: Need) {
        if need.has_begun {
            let share = self.share(room);
            Unfinished::wait_for(share, need.bytes).await;
            share.set(need.bytes);
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
            // What has been read is there, whether or not there was room.
            left => self.share(room).set(left),
        }
        let held = room.permit.as_mut()?;
        held.resize(bytes + left);
        let parted = held.split(bytes);
        if left == 0 {
            room.permit = None;
        }
        Some(parted)
    }

    fn share<'a>(&self, room: &'a mut Room) -> &'a mut Share {
        room.unfinished.get_or_insert_with(|| Share {
            of: Rc::clone(&self.unfinished),
            bytes: 0,
        })
    }
}

impl Unfinished {
    /// Waits until `share` may be `bytes`. May be cancelled.
    async fn wait_for(share: &Share, bytes: usize) {
        let all = &share.of;
        if all.has_room(share, bytes) && all.waiting.borrow().is_empty() {
            return;
        }
        let waiting = Waiting::new(all, bytes);
        while !(all.has_room(share, bytes) && waiting.is_first()) {
            all.changed.notified().await;
        }
    }

    fn has_room(&self, share: &Share, bytes: usize) -> bool {
        let others = self.used.get() - share.bytes;
        let limit = match bytes <= self.limit / SHARE_OF_SMALL {
            true => self.limit,
            false => self.limit - self.limit / KEPT_FOR_SMALL,
        };
        self.limit == 0 || others == 0 || others + bytes <= limit
    }

    /// Completes when somebody waits.
    async fn wanted(&self) {
        while self.waiting.borrow().is_empty() {
            self.changed.notified().await;
        }
    }
}

/// Somebody waits, until it is dropped.
struct Waiting<'a> {
    all: &'a Unfinished,
    need: (usize, u64),
}

impl<'a> Waiting<'a> {
    fn new(all: &'a Unfinished, bytes: usize) -> Waiting<'a> {
        let need = (bytes, all.numbers.get());
        all.numbers.set(need.1 + 1);
        all.waiting.borrow_mut().insert(need);
        all.changed.notify_waiters();
        Waiting { all, need }
    }

    /// Whether nobody who waits needs less.
    fn is_first(&self) -> bool {
        self.all.waiting.borrow().first() == Some(&self.need)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.waiting.borrow_mut().remove(&self.need);
        self.all.changed.notify_waiters();
    }
}

impl Share {
    fn set(&mut self, bytes: usize) {
        let is_less = bytes < self.bytes;
        self.of.used.set(self.of.used.get() - self.bytes + bytes);
        self.bytes = bytes;
        if is_less {
            self.of.changed.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
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
        let unfinished = self.unfinished.as_ref().map_or(0, |share| share.bytes);
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
    use std::pin::pin;
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
    async fn the_smallest_need_comes_first() {
        let gate = Gate::open(&Budget::new(1000), 1).await;
        let mut rooms: Vec<Room> = (0..4).map(|_| Room::default()).collect();
        let [holder, large, middle, small] = &mut rooms[..] else {
            unreachable!("four of them")
        };
        gate.widen(holder, need(370, true)).await;
        let order = RefCell::new(Vec::new());
        let wait = async |room: &mut Room, bytes: usize| {
            gate.widen(room, need(bytes, true)).await;
            order.borrow_mut().push(bytes);
            gate.part(room, bytes, 0);
        };
        tokio::join!(
            wait(large, 300),
            wait(middle, 200),
            wait(small, 100),
            async {
                gate.part(holder, 370, 0);
            }
        );
        assert_eq!(*order.borrow(), [100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_records_leave_most_of_the_memory_to_others() {
        let budget = Budget::new(1000);
        let gate = Gate::open(&budget, 1).await;
        let mut rooms: Vec<Room> = (0..5).map(|_| Room::default()).collect();
        let mut refused = 0;
        for room in &mut rooms {
            gate.widen(room, need(50, false)).await;
            assert!(
                gate.part(room, 0, 50)
                    .is_some_and(|permit| permit.bytes() == 0)
            );
            refused += usize::from(
                timeout(SOON, gate.widen(room, need(120, true)))
                    .await
                    .is_err(),
            );
        }
        assert_eq!(
            (refused, budget.used()),
            (2, 460),
            "half of it is theirs, less what is kept"
        );
        let mut small = Room::default();
        gate.widen(&mut small, need(20, false)).await;
        gate.part(&mut small, 0, 20);
        timeout(SOON, gate.widen(&mut small, need(31, true)))
            .await
            .expect("it is small");
        drop(small);
        timeout(SOON, gate.wanted())
            .await
            .expect_err("nobody waits any more");
        let mut good = Room::default();
        gate.widen(&mut good, need(400, false)).await;
        let mut last = rooms.pop().expect("five of them");
        {
            let mut waiting = pin!(gate.widen(&mut last, need(700, true)));
            assert!(timeout(SOON, &mut waiting).await.is_err());
            tokio::join!(
                async {
                    gate.wanted().await;
                    drop((rooms, good));
                },
                waiting
            );
        }
        assert_eq!(budget.used(), 700, "one alone may hold any amount");
    }
}
