//! What the kernel is told of a file's pages (`file_cache_advise`): that what was read need not stay in its cache.
//!
//! Pages that are not on disk yet are not dropped by that, they are written at once: at the reader's expense, and again and
//! again for a file that grows. So the kernel is told of what it has written of its own accord by then.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The kernel is told this often at most.
const EVERY: u64 = 8 << 20;
/// Within this time the kernel writes what has changed (`vm.dirty_expire_centisecs` and `vm.dirty_writeback_centisecs`, 30 s
/// and 5 s, and a moment for the disk).
const WRITTEN: Duration = Duration::from_secs(40);

/// Up to where a file was read some time ago.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    since: Instant,
    read_to: u64,
}

impl Advice {
    /// Nothing was read yet.
    pub fn new(now: Instant) -> Advice {
        Advice {
            since: now,
            read_to: 0,
        }
    }

    /// The file, last changed at `modified`, was read from one position to another: the position up to which the kernel is to
    /// be told, if it is time for that.
    pub fn after_read(
        &mut self,
        (from, to): (u64, u64),
        modified: Option<SystemTime>,
        now: Instant,
    ) -> Option<u64> {
        if from / EVERY == to / EVERY {
            return None;
        }
        if self.read_to > to {
            // Its content is another one.
            *self = Advice::new(now);
        }
        let is_written = modified
            .and_then(|modified| modified.elapsed().ok())
            .is_some_and(|age| age >= WRITTEN);
        if is_written {
            return Some(to);
        }
        if self.read_to > 0 && now.duration_since(self.since) < WRITTEN {
            return None;
        }
        let known = std::mem::replace(
            self,
            Advice {
                since: now,
                read_to: to,
            },
        );
        (known.read_to > 0).then_some(known.read_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_kernel_is_told_of_what_must_be_on_disk() {
        let fresh = Some(SystemTime::now());
        let old = Some(SystemTime::now() - WRITTEN);
        let mut advice = Advice::new(Instant::now());
        let mut read = |from: u64, to: u64, modified| {
            let range = (from * EVERY / 2, to * EVERY / 2);
            let told = advice.after_read(range, modified, Instant::now());
            told.map(|to| to * 2 / EVERY)
        };
        assert_eq!(read(0, 1, old), None, "too little");
        assert_eq!(read(1, 2, old), Some(2));
        assert_eq!(read(2, 4, fresh), None, "the first look");
        tokio::time::advance(WRITTEN / 2).await;
        assert_eq!(read(4, 6, fresh), None, "too soon");
        tokio::time::advance(WRITTEN / 2).await;
        assert_eq!(read(6, 8, fresh), Some(4));
        tokio::time::advance(WRITTEN).await;
        assert_eq!(read(8, 9, fresh), None, "too little");
        assert_eq!(read(9, 10, fresh), Some(8));
        tokio::time::advance(WRITTEN).await;
        assert_eq!(read(0, 2, fresh), None, "other content");
    }
}
