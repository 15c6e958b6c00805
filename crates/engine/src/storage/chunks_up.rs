//! `storage.max_chunks_up`: how much of what stands in the log is in memory besides, and the inputs that wait at that limit
//! (`storage.pause_on_chunks_overlimit`).
//!
//! Fluent Bit maps chunks of up to 2,048,000 bytes. Here the same number of bytes is divided among the outputs: what one of
//! them holds of such records is its part of them, beyond it records are only in the log, and read as it works them off.
//! So an output that is dead keeps nobody else from theirs.

use std::sync::Arc;

use monitor::InputCounters;
use record::Budget;

use super::{SHARE_MIN, Storage, Way};

/// The size at which Fluent Bit begins another chunk (`FLB_INPUT_CHUNK_FS_MAX_SIZE`).
const CHUNK_BYTES: usize = 2_048_000;
/// The limit when it is set to 0 (`FLB_STORAGE_MAX_CHUNKS_UP`).
const USUAL: usize = 128;
/// The limit when it is less than that, which Fluent Bit passes over (`CIO_MAX_CHUNKS_UP`).
const WITHOUT: usize = 64;

/// An input that waits until there is room in memory for what it reads.
pub struct Paused {
    room: Arc<Budget>,
    counters: InputCounters,
    /// The outputs that its last records went to.
    routes: Vec<usize>,
}

/// How many bytes so many chunks have.
pub fn bytes_of_chunks(count: i64) -> usize {
    let count = match count {
        ..0 => WITHOUT,
        0 => USUAL,
        _ => usize::try_from(count).unwrap_or(usize::MAX),
    };
    count.saturating_mul(CHUNK_BYTES)
}

impl Storage {
    /// How many bytes of records that stand in the log an output may hold.
    fn share_of_chunks(&self) -> usize {
        (self.settings.chunks_up_bytes / self.outputs().max(1)).max(SHARE_MIN)
    }

    /// Whether an output holds as much as it may for another record that stands in the log.
    pub(super) fn has_no_room(&self, way: &Way) -> bool {
        self.is_full(way) || way.up.bytes() > self.share_of_chunks()
    }

    /// How many bytes an output may hold before it gets what is read for it from the log.
    pub(super) fn room_to_read(&self, way: &Way) -> usize {
        self.share_of(way).min(self.share_of_chunks()) / 2
    }

    /// Whether an output has worked off enough to get more from the log.
    pub(super) fn has_room_to_read(&self, way: &Way) -> bool {
        way.held.bytes() <= self.share_of(way) / 2 && way.up.bytes() <= self.share_of_chunks() / 2
    }

    /// After records went to `routes`: lets their input wait if what comes next would be in the log alone.
    pub(super) fn pause(&self, input: &InputCounters, room: &Arc<Budget>, routes: &[usize]) {
        let no_room = |route: &&usize| {
            let way = self.way(**route);
            way.is_attached() && (self.has_no_room(&way) || self.is_behind(&way))
        };
        let Some(route) = routes.iter().find(no_room).filter(|_| self.is_started()) else {
            return;
        };
        if self.is_paused(room) {
            return;
        }
        let (name, output) = (&input.name, self.way(*route));
        let (up, most) = self.chunks_up();
        self.input_log.warn(format_args!(
            "{name} paused (storage buf overlimit {up}/{most}: output {})",
            output.name
        ));
        room.close();
        input.waits_for_storage.set(1);
        self.paused.borrow_mut().push(Paused {
            room: Arc::clone(room),
            counters: input.clone(),
            routes: routes.to_vec(),
        });
    }

    /// Lets those inputs on whose outputs have room again.
    pub(super) fn resume(&self) {
        if self.paused.borrow().is_empty() {
            return;
        }
        let (stay, go) = (self.paused.take().into_iter())
            .partition(|paused| paused.routes.iter().any(|route| self.keeps_waiting(*route)));
        self.paused.replace(stay);
        let go: Vec<Paused> = go;
        for paused in &go {
            let (up, most) = self.chunks_up();
            let name = &paused.counters.name;
            self.input_log.info(format_args!(
                "{name} resume (storage buf overlimit {up}/{most})"
            ));
        }
        self.release(go);
    }

    /// Lets all inputs on.
    pub(super) fn resume_all(&self) {
        let all = self.paused.take();
        self.release(all);
    }

    fn release(&self, paused: Vec<Paused>) {
        for Paused { room, counters, .. } in paused {
            counters.waits_for_storage.set(0);
            self.reopen(&room);
        }
    }

    /// Whether the input that takes what it reads from `room` waits here.
    pub(super) fn is_paused(&self, room: &Arc<Budget>) -> bool {
        let paused = self.paused.borrow();
        paused.iter().any(|paused| Arc::ptr_eq(&paused.room, room))
    }

    fn keeps_waiting(&self, route: usize) -> bool {
        let way = self.way(route);
        way.is_attached() && (self.is_behind(&way) || !self.has_room_to_read(&way))
    }

    /// How many chunks would hold what is in memory of the log, and how many there may be. The memory limit may allow
    /// fewer than are configured.
    fn chunks_up(&self) -> (usize, usize) {
        let ways = self.ways.borrow();
        let up: usize = ways.iter().map(|way| way.up.bytes()).sum();
        let attached = ways.iter().filter(|way| way.is_attached());
        let most: usize = attached
            .map(|way| self.share_of(way).min(self.share_of_chunks()))
            .fold(0, usize::saturating_add);
        (up.div_ceil(CHUNK_BYTES), most.div_ceil(CHUNK_BYTES))
    }
}
