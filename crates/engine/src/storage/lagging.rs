//! Which outputs fall behind, and when inputs wait for them instead.
//!
//! An output is *full* when it holds more than its share of the memory. While another output gets on, and memory is
//! scarce, inputs wait for a full one for a moment (see [`patience`](super::patience)). If that does not help, it falls
//! behind: what comes for it waits on the disk, because otherwise it would stop the other one. While none gets on there is
//! none that could be stopped: whoever hands over records then is held back, as by `Mem_Buf_Limit`, until one does.
//!
//! Memory is scarce once what is in use comes to two shares, or to half of it. Until then one output may hold much more than
//! its share, as one with large requests does. All outputs but one may be dead and hold what they may: the first of them the
//! two shares, each further one a share of its own. That leaves the last one a quarter.
//!
//! All outputs count, not only those that the records in question go to: what the input would read next may go to another
//! one.

use std::rc::Rc;
use std::sync::Arc;

use record::Budget;
use tokio::time::Instant;

use super::{SHARE_MIN, Storage, Way};

/// An output falls behind all the same when it holds so many times its share, because an input does not wait.
const FLOOD: usize = 2;

impl Storage {
    /// Before records go to `routes`: lets those fall behind that must, or holds the input back whose memory `room` is.
    pub(super) fn judge(&self, routes: &[usize], room: Option<&Arc<Budget>>) {
        // With one output back-pressure is all that is needed.
        if self.outputs() < 2 {
            return;
        }
        let mut most = 1;
        if let Some(room) = room
            && self.is_started()
            && !self.gets_any_on()
        {
            self.hold_back(room);
            most = FLOOD;
        }
        for way in routes.iter().map(|route| self.way(*route)) {
            let is_full = way.held.bytes() / most > self.share_of(&way);
            if !is_full || self.is_behind(&way) || !self.is_scarce(&way, room) {
                continue;
            }
            if most == FLOOD || !self.waits_for(&way, room) {
                self.give_up_waiting(&way);
            }
        }
    }

    /// Whether what an output holds beyond its share may be what others want. `room` is the memory of an input; that is not
    /// known of records which a filter held: then it may be any input's.
    fn is_scarce(&self, way: &Way, room: Option<&Arc<Budget>>) -> bool {
        let Some(room) = room else { return true };
        let is_scarce = |budget: &Budget| {
            let limit = budget.limit();
            let two_shares = limit / 4 * 3 / self.outputs().max(1) * 2;
            limit > 0 && budget.used() > two_shares.min(limit / 2)
        };
        is_scarce(&self.memory) || is_scarce(room) || way.held.bytes() > way.limit()
    }

    /// Lets the input wait whose memory `room` is. Returns whether it does.
    fn waits_for(&self, way: &Way, room: Option<&Arc<Budget>>) -> bool {
        let Some(room) = room.filter(|_| self.is_started()) else {
            return false;
        };
        let (now, held) = (Instant::now(), way.held.bytes());
        let excess = self.share_of(way) / 4;
        let mut patience = way.patience.borrow_mut();
        let waits = patience.wait(now, room, held, excess);
        drop(patience);
        // The feeder looks after the end of the wait.
        way.held.changed();
        waits
    }

    /// An output holds too much, and inputs no longer wait for it.
    fn give_up_waiting(&self, way: &Way) {
        if let Some(open) = self.log() {
            self.fall_behind(&open, way);
        }
        self.let_waiting_on(way);
    }

    /// Lets the inputs on that wait for this output.
    fn let_waiting_on(&self, way: &Way) {
        let rooms = way.patience.borrow_mut().end(Instant::now());
        rooms.iter().for_each(|room| self.reopen(room));
    }

    /// Ends waits for outputs that hold no more than they may now, or took too long.
    fn look_after_waits(&self) {
        let ways = self.ways.borrow().clone();
        for way in ways {
            let Some(until) = way.patience.borrow().until() else {
                continue;
            };
            let now = Instant::now();
            way.patience
                .borrow_mut()
                .note(now, self.is_another_idle(&way));
            let rooms = way.patience.borrow().rooms().to_vec();
            let must = |room: &Arc<Budget>| self.is_scarce(&way, Some(room));
            if !way.is_attached() || !self.is_full(&way) || !rooms.iter().any(must) {
                self.let_waiting_on(&way);
            } else if now >= until {
                self.give_up_waiting(&way);
            }
        }
    }

    /// Whether an output other than `way` has delivered all that it got, and may get more only from inputs.
    fn is_another_idle(&self, way: &Way) -> bool {
        let ways = self.ways.borrow();
        let mut others = ways.iter().filter(|other| other.index != way.index);
        others.any(|other| other.is_attached() && other.held.bytes() == 0 && !self.is_behind(other))
    }

    /// Whether an output takes what comes for it.
    fn gets_any_on(&self) -> bool {
        let ways = self.ways.borrow();
        let mut attached = ways.iter().filter(|way| way.is_attached());
        attached.any(|way| !self.is_full(way) && !self.is_behind(way))
    }

    /// Whether what comes for an output waits on the disk.
    pub(super) fn is_behind(&self, way: &Way) -> bool {
        self.opened()
            .is_some_and(|open| open.writer.behind(way.index).is_some())
    }

    /// Whether an output holds more than its share of the memory.
    pub(super) fn is_full(&self, way: &Way) -> bool {
        way.held.bytes() > self.share_of(way)
    }

    /// An input takes what it reads out of `budget`. An output that holds that much would stop it, and with it all others.
    pub fn note_input(&self, budget: &Budget) {
        let limit = Some(budget.limit()).filter(|limit| *limit > 0);
        let least = limit.into_iter().chain(self.input_bytes.get()).min();
        self.input_bytes.set(least);
    }

    /// How many bytes an output may hold before it is full.
    pub(super) fn share_of(&self, way: &Way) -> usize {
        let input = self.input_bytes.get();
        let input = input.map_or(usize::MAX, |bytes| bytes / 4 * 3 / self.outputs().max(1));
        let share = match self.memory.limit() {
            0 => usize::MAX,
            memory => {
                let holders = self.outputs().max(1) * self.settings.shards;
                (memory / 4 * 3 / holders).max(SHARE_MIN)
            }
        };
        share.min(way.limit()).min(input)
    }

    /// Lets all inputs on.
    pub(super) fn let_inputs_on(&self) {
        self.let_held_back_on();
        let ways = self.ways.borrow().clone();
        ways.iter().for_each(|way| self.let_waiting_on(way));
        self.resume_all();
    }

    pub(super) fn hold_back(&self, room: &Arc<Budget>) {
        let mut held_back = self.held_back.borrow_mut();
        if !held_back.iter().any(|held| Arc::ptr_eq(held, room)) {
            room.close();
            held_back.push(Arc::clone(room));
        }
    }

    /// Lets inputs on if this output has worked off enough of what it held.
    pub(super) fn look_after_inputs(&self, way: &Way) {
        self.resume();
        self.look_after_waits();
        let has_room = || way.held.bytes() <= self.share_of(way) / 2;
        if !self.held_back.borrow().is_empty()
            && way.is_attached()
            && !self.is_behind(way)
            && has_room()
        {
            self.let_held_back_on();
        }
    }

    /// Lets all inputs on that wait for an output that gets on.
    pub(super) fn let_held_back_on(&self) {
        let held_back = self.held_back.take();
        held_back.iter().for_each(|room| self.reopen(room));
    }

    /// Opens the memory of an input again, unless it waits for something else.
    pub(super) fn reopen(&self, room: &Arc<Budget>) {
        let held_back = self.held_back.borrow();
        let waits = |way: &Rc<Way>| way.patience.borrow().holds_back(room);
        if !self.is_paused(room)
            && !held_back.iter().any(|held| Arc::ptr_eq(held, room))
            && !self.ways.borrow().iter().any(waits)
        {
            room.reopen();
        }
    }

    pub(super) fn is_started(&self) -> bool {
        self.feeders.borrow().is_some()
    }
}
