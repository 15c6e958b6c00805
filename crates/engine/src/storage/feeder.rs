//! Reads for an output what waits for it on the disk, as fast as it takes it.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use buffer::wal::{Stored, StoredFrames};
use record::{Budget, Obligation, Origin, Receipt};
use tokio::time::{Instant, sleep_until};

use super::{Open, Storage, Way, encoding};

/// How many bytes are read at a time.
const PIECE: usize = 256 << 10;
/// How often it is looked for what an output has refused, and how long a disk that cannot be read is left alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Feeds an output, without end.
pub async fn feed(storage: Rc<Storage>, way: Rc<Way>) {
    let budget = storage.memory.child(storage.settings.backlog_bytes);
    let feeder = Feeder {
        storage,
        way,
        budget,
    };
    loop {
        feeder.storage.look_after_inputs(&feeder.way);
        let open = feeder.storage.opened();
        if let Some(open) = &open
            && feeder.has_room(open)
            && feeder.step(open).await
        {
            continue;
        }
        let looks = open.is_some().then(|| Instant::now() + LOOK_EVERY);
        let next = feeder.way.next_look().or(looks);
        tokio::select! {
            biased;
            () = feeder.way.held.has_changed() => {}
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

struct Feeder {
    storage: Rc<Storage>,
    way: Rc<Way>,
    /// The memory of what is read here.
    budget: Arc<Budget>,
}

impl Feeder {
    /// Whether the output has worked off enough to get more. If it has not, and there is more, it is told so: it may hold
    /// records only to send more at once.
    fn has_room(&self, open: &Open) -> bool {
        let room = self.storage.room_to_read(&self.way);
        let has_more = open.writer.behind(self.way.index).is_some();
        self.way.held.ask_for_room(has_more.then_some(room));
        self.way.is_attached() && self.storage.has_room_to_read(&self.way)
    }

    /// Reads once. Returns whether there may be more at once.
    async fn step(&self, open: &Open) -> bool {
        let index = self.way.index;
        if let Some(range) = open.writer.refused(index).into_iter().next() {
            return self.read_refused(open, range).await;
        }
        let Some(from) = open.writer.behind(index) else {
            return false;
        };
        let Some(read) = self.read(open, from..u64::MAX).await else {
            return false;
        };
        let permits = self.permits(&read).await;
        let Some(owed) = open.writer.claim(index, from, &read) else {
            // Some of it was given up meanwhile.
            return true;
        };
        let frames = read.frames.into_iter().zip(owed).zip(permits);
        for ((stored, owed), permit) in frames {
            let range = owed.span();
            self.deliver(stored, owed, range, permit);
        }
        if open.writer.behind(index).is_none() {
            let name = &self.way.name;
            self.storage
                .log
                .info(format_args!("output {name} has caught up"));
        }
        true
    }

    /// What was refused, or was not delivered before the last stop although later records were.
    async fn read_refused(&self, open: &Open, range: Range<u64>) -> bool {
        let index = self.way.index;
        let Some(read) = self.read(open, range.clone()).await else {
            return false;
        };
        let permits = self.permits(&read).await;
        let mut at = range.start;
        for (stored, permit) in read.frames.into_iter().zip(permits) {
            let first = stored.frame.first.max(range.start);
            let end = stored.frame.end().min(range.end);
            self.pass_over(open, at..first);
            at = end;
            if let Some(owed) = open.writer.claim_refused(index, first..end) {
                self.deliver(stored, owed, first..end, permit);
            }
        }
        self.pass_over(open, at..read.next.min(range.end));
        true
    }

    /// Numbers that nothing is stored for.
    fn pass_over(&self, open: &Open, range: Range<u64>) {
        if !range.is_empty()
            && let Some(owed) = open.writer.claim_refused(self.way.index, range)
        {
            owed.settle_all();
        }
    }

    async fn read(&self, open: &Open, range: Range<u64>) -> Option<StoredFrames> {
        match open.writer.read(self.way.index, range, PIECE).await {
            Ok(read) => Some(read),
            Err(error) => {
                self.storage.log.error(format_args!(
                    "cannot read what waits for output {}: {error}",
                    self.way.name
                ));
                tokio::time::sleep(LOOK_EVERY).await;
                None
            }
        }
    }

    /// Room for the frames: their bytes, and about as much for what is made of them.
    async fn permits(&self, read: &StoredFrames) -> Vec<record::Permit> {
        let sizes = || read.frames.iter().map(|stored| 2 * stored.frame.body.len());
        // All at once: whoever holds a part and waits for the rest may wait for himself.
        let mut all = self.budget.take(sizes().sum()).await;
        sizes().map(|bytes| all.split(bytes)).collect()
    }

    /// Hands the records with the numbers of `range` to the output.
    fn deliver(&self, stored: Stored, owed: Obligation, range: Range<u64>, permit: record::Permit) {
        let Stored { frame, origin } = stored;
        let (first, records) = (frame.first, frame.records);
        let wanted = (range.start - first) as u32..(range.end - first) as u32;
        let origin = Origin::from_bytes(origin);
        match encoding::decode(frame.body, records, wanted, first, origin) {
            Ok(batch) => {
                let batch = batch.with_permit(permit);
                let (batch, _) = batch.freeze();
                let receipt = Receipt::numbered(owed, range.start);
                self.storage.deliver(&self.way, batch, receipt);
            }
            Err(why) => {
                let name = &self.way.name;
                self.storage.log.error(format_args!(
                    "{records} records for output {name} cannot be read and are dropped: {why}"
                ));
                let counters = self.way.counters.borrow();
                let count = range.end - range.start;
                counters.routed.add(count);
                counters.settled.add(count);
                counters.dropped.add(count);
                counters.own.dropped("storage_damaged").add(count);
                owed.settle_all();
            }
        }
    }
}
