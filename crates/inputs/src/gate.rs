//! Keeps all connections of an instance together below the memory limit, without ever bringing them to a standstill.
//!
//! A connection takes room before it reads and keeps it for what it has read of a record; a finished record takes its
//! room along in its batch. When there is no room everybody waits for deliveries. What records hold that are not finished
//! is bounded by itself: however many senders stop in the middle of one, half of the memory stays for those who finish
//! theirs, and among those who wait small records come first. But what is bounded may be held by halves of records which
//! all wait for room, or a record may be larger than all room there is: then waiting would last for ever. So one connection
//! at a time may go beyond the limit, if nothing that it sent on is still on its way: the excess is one record at most.
//! Among those who could, small records come first here, too: a sender that stops in the middle of one keeps the others
//! waiting until it is too slow, and would do so once for each such sender if they took turns. An instance that is held
//! back by others (a closed budget) goes on when they let it, so nobody goes beyond anything before.
//!
//! How far inputs read ahead of an output depends on what that has under way: the window of their budget, which connections
//! keep to while the output gets on ([`reach`]).

mod reach;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use record::{Budget, Permit};
use tokio::sync::Notify;

use crate::listening::pace::Pace;
use crate::listening::seats::Seat;
use crate::listening::stream::Stream;
use reach::Reach;

/// Unfinished records may hold one part in so many of the memory.
const SHARE_OF_UNFINISHED: usize = 2;
/// Records that need at most one part in so many of that are small: some room is kept for them.
const SHARE_OF_SMALL: usize = 16;
/// One part in so many of it is kept for small records.
const KEPT_FOR_SMALL: usize = 4;

/// The memory of one instance.
pub struct Gate {
    budget: Arc<Budget>,
    reach: Reach,
    unfinished: Rc<Unfinished>,
    /// A permit of no bytes, from which others are made that may grow without waiting.
    seed: RefCell<Permit>,
    excess: Rc<Excess>,
}

/// Those who wait, smallest need first and then who came first.
#[derive(Default)]
struct Queue {
    /// How many bytes they need, with numbers that tell them apart.
    waiting: RefCell<BTreeSet<(usize, u64)>>,
    numbers: Cell<u64>,
    /// Somebody begins to wait or ceases to, or there is more of what they wait for.
    changed: Notify,
}

/// The right to go beyond the limit, which one connection has.
#[derive(Default)]
struct Excess {
    is_taken: Cell<bool>,
    queue: Queue,
}

/// It, until this is dropped.
struct Beyond(Rc<Excess>);

/// What all unfinished records hold together. One alone may hold any amount.
struct Unfinished {
    /// 0 is none.
    limit: usize,
    used: Cell<usize>,
    queue: Queue,
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
    excess: Option<Beyond>,
    /// Something was read since the right to go beyond the limit was taken.
    excess_is_used: bool,
}

/// What a connection asks for.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// How many bytes it wants to hold.
    pub bytes: usize,
    /// How many it will want at least until its record is complete, as far as the record says so.
    pub whole: usize,
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
            reach: Reach::new(),
            unfinished: Rc::new(Unfinished {
                limit,
                used: Cell::new(0),
                queue: Queue::default(),
            }),
            seed: RefCell::new(budget.take(0).await),
            excess: Rc::default(),
        }
    }

    /// A permit of no bytes.
    pub fn nothing(&self) -> Permit {
        self.seed.borrow_mut().split(0)
    }

    /// Waits until `bytes` more may be held.
    pub async fn take(&self, bytes: usize) -> Permit {
        let permit = match self.budget.try_take(bytes) {
            Some(permit) => permit,
            None => self.wait(bytes).await,
        };
        self.reach.note_taken(bytes, self.budget.used());
        permit
    }

    async fn wait(&self, bytes: usize) -> Permit {
        loop {
            let (beyond, until) = self.reach.wait(self.budget.used());
            let permit = self.budget.take_beyond(bytes, beyond);
            if self.is_all(beyond) {
                return permit.await;
            }
            if let Ok(permit) = tokio::time::timeout_at(until, permit).await {
                return permit;
            }
        }
    }

    /// Whether the limit is reached before what lies `beyond` the window is used up.
    fn is_all(&self, beyond: usize) -> bool {
        let (limit, window) = (self.budget.tightest(), self.budget.window());
        window == 0 || (limit != 0 && window.saturating_add(beyond) >= limit)
    }

    /// Completes when somebody waits for memory that an unfinished record holds.
    pub async fn wanted(&self) {
        tokio::select! {
            () = self.budget.wanted() => {}
            () = self.unfinished.queue.wanted() => {}
        }
    }

    /// Waits until `room` is enough for what is needed. May be cancelled.
    pub async fn widen(&self, room: &mut Room, need: Need) {
        if room.is_enough(need) {
            return;
        }
        if need.is_settled && room.excess.is_some() {
            self.budget.opened().await;
        } else {
            let excess = async {
                self.budget.opened().await;
                Excess::take(&self.excess, need.whole).await
            };
            tokio::select! {
                biased;
                () = self.widen_within_limit(room, need) => return,
                excess = excess, if need.is_settled => {
                    room.excess = Some(excess);
                    room.excess_is_used = false;
                }
            }
        }
        let permit = room.permit.get_or_insert_with(|| self.nothing());
        permit.resize(need.bytes.max(permit.bytes()));
    }

    async fn widen_within_limit(&self, room: &mut Room, need: Need) {
        if need.has_begun {
            let share = self.share(room);
            Unfinished::wait_for(share, need).await;
            share.set(need.bytes);
        }
        self.grow(&mut room.permit, need.bytes).await;
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
            // What goes beyond the limit takes no room from others.
            left if room.is_in_excess() => {
                let share = self.share(room);
                share.set(left.min(share.bytes));
            }
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

    /// Waits until `held` is for at least `bytes`.
    async fn grow(&self, held: &mut Option<Permit>, bytes: usize) {
        let more = bytes.saturating_sub(held.as_ref().map_or(0, Permit::bytes));
        if more == 0 {
            return;
        }
        let permit = self.take(more).await;
        match held {
            None => *held = Some(permit),
            // The room is counted twice for a moment.
            Some(held) => held.resize(bytes),
        }
    }

    fn share<'a>(&self, room: &'a mut Room) -> &'a mut Share {
        room.unfinished.get_or_insert_with(|| Share {
            of: Rc::clone(&self.unfinished),
            bytes: 0,
        })
    }
}

impl Unfinished {
    /// Waits until `share` may be as much as is needed. May be cancelled.
    async fn wait_for(share: &Share, need: Need) {
        let all = &share.of;
        all.queue
            .wait_for(need.whole, || all.has_room(share, need))
            .await;
    }

    fn has_room(&self, share: &Share, need: Need) -> bool {
        let others = self.used.get() - share.bytes;
        let limit = match need.whole <= self.limit / SHARE_OF_SMALL {
            true => self.limit,
            false => self.limit - self.limit / KEPT_FOR_SMALL,
        };
        self.limit == 0 || others == 0 || others + need.bytes <= limit
    }
}

impl Excess {
    /// Waits until nobody has it, and nobody who needs less than `bytes` waits for it. May be cancelled.
    async fn take(this: &Rc<Excess>, bytes: usize) -> Beyond {
        this.queue.wait_for(bytes, || !this.is_taken.get()).await;
        this.is_taken.set(true);
        Beyond(Rc::clone(this))
    }
}

impl Drop for Beyond {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.queue.changed.notify_waiters();
    }
}

impl Queue {
    /// Waits for a need of `bytes` until `is_enough`, with nobody before it. May be cancelled.
    async fn wait_for(&self, bytes: usize, is_enough: impl Fn() -> bool) {
        if is_enough() && self.waiting.borrow().is_empty() {
            return;
        }
        let waiting = Waiting::new(self, bytes);
        while !(is_enough() && waiting.is_first()) {
            self.changed.notified().await;
        }
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
    queue: &'a Queue,
    need: (usize, u64),
}

impl<'a> Waiting<'a> {
    fn new(queue: &'a Queue, bytes: usize) -> Waiting<'a> {
        let need = (bytes, queue.numbers.get());
        queue.numbers.set(need.1 + 1);
        queue.waiting.borrow_mut().insert(need);
        queue.changed.notify_waiters();
        Waiting { queue, need }
    }

    /// Whether nobody who waits needs less.
    fn is_first(&self) -> bool {
        self.queue.waiting.borrow().first() == Some(&self.need)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.waiting.borrow_mut().remove(&self.need);
        self.queue.changed.notify_waiters();
    }
}

impl Share {
    fn set(&mut self, bytes: usize) {
        let is_less = bytes < self.bytes;
        self.of.used.set(self.of.used.get() - self.bytes + bytes);
        self.bytes = bytes;
        if is_less {
            self.of.queue.changed.notify_waiters();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
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
            whole: bytes,
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
    async fn the_smallest_need_goes_beyond_the_limit_first() {
        let budget = Budget::new(100);
        let gate = Gate::open(&budget, 1).await;
        let _held = budget.try_take(100).expect("empty");
        let settled = |bytes| Need {
            is_settled: true,
            ..need(bytes, true)
        };
        let mut stopped = Room::default();
        gate.widen(&mut stopped, settled(500)).await;
        assert!(stopped.is_in_excess());
        let order = RefCell::new(Vec::new());
        let wait = async |bytes: usize| {
            let mut room = Room::default();
            gate.widen(&mut room, settled(bytes)).await;
            assert!(room.is_in_excess());
            order.borrow_mut().push(bytes);
        };
        tokio::join!(wait(300), wait(100), wait(200), async {
            // They wait by now.
            timeout(SOON, std::future::pending::<()>()).await.ok();
            drop(stopped);
        });
        assert_eq!(*order.borrow(), [100, 200, 300]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_held_back_goes_beyond_no_limit() {
        let budget = Budget::new(100);
        let gate = Gate::open(&budget, 1).await;
        let (mut first, mut second) = (Room::default(), Room::default());
        let settled = |bytes| Need {
            is_settled: true,
            ..need(bytes, false)
        };
        let _held = budget.try_take(90).expect("empty");
        budget.close();
        for room in [&mut first, &mut second] {
            let waits = timeout(SOON, gate.widen(room, settled(50))).await;
            assert!(waits.is_err() && !room.is_in_excess());
        }
        budget.reopen();
        gate.widen(&mut first, settled(50)).await;
        assert!(first.is_in_excess());
        budget.close();
        let waits = timeout(SOON, gate.widen(&mut first, settled(60))).await;
        assert!(waits.is_err(), "also who was beyond it before");
        let mut waiting = pin!(gate.widen(&mut first, settled(60)));
        assert!(timeout(SOON, &mut waiting).await.is_err());
        budget.reopen();
        waiting.await;
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
        let beginning = Need {
            whole: 300,
            ..need(31, true)
        };
        timeout(SOON, gate.widen(&mut small, beginning))
            .await
            .expect_err("it will not stay small");
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
