//! Which outputs fall behind, and when inputs wait for them instead.
//!
//! An output is *full* when it holds more than its share of the memory. While another output gets on, a full one falls
//! behind: what comes for it waits on the disk, because otherwise it would stop the other one. While none gets on there is
//! none that could be stopped: whoever hands over records then is held back, as by `Mem_Buf_Limit`, until one does.
//!
//! All outputs count, not only those that the records in question go to: what the input would read next may go to another
//! one.

use std::sync::Arc;

use record::Budget;

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
            if way.held.bytes() / most > self.share_of(&way) && !self.is_behind(&way) {
                let Some(open) = self.log() else { return };
                self.fall_behind(&open, &way);
            }
        }
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
        let limit = way.bytes_max.get();
        let limit = limit.map_or(usize::MAX, |bytes| bytes as usize / 2);
        let share = match self.memory.limit() {
            0 => usize::MAX,
            memory => {
                let holders = self.outputs().max(1) * self.settings.shards;
                (memory / 4 * 3 / holders).max(SHARE_MIN)
            }
        };
        share.min(limit).min(input)
    }

    fn hold_back(&self, room: &Arc<Budget>) {
        if !room.is_closed() {
            room.close();
            self.held_back.borrow_mut().push(Arc::clone(room));
        }
    }

    /// Lets inputs on if this output has worked off enough of what it held.
    pub(super) fn look_after_inputs(&self, way: &Way) {
        let has_room = || way.held.bytes() <= self.share_of(way) / 2;
        if !self.held_back.borrow().is_empty()
            && way.is_attached()
            && !self.is_behind(way)
            && has_room()
        {
            self.let_inputs_on();
        }
    }

    /// Lets all inputs on.
    pub(super) fn let_inputs_on(&self) {
        let held_back = self.held_back.take();
        held_back.iter().for_each(|room| room.reopen());
    }

    fn is_started(&self) -> bool {
        self.feeders.borrow().is_some()
    }
}
