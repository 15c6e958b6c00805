//! Messages about senders: a flood of broken connections must not become a flood of messages.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use plugin::Log;

/// So many messages may follow each other at once; after that one a second.
const BURST: u32 = 20;
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes warnings, a few at once and then one a second; the others are counted in the next one.
pub struct Notices {
    log: Log,
    left: Cell<u32>,
    since: Cell<Instant>,
    withheld: Cell<u64>,
}

impl Notices {
    /// Warnings into `log`.
    pub fn new(log: &Log) -> Notices {
        Notices {
            log: log.clone(),
            left: Cell::new(BURST),
            since: Cell::new(Instant::now()),
            withheld: Cell::new(0),
        }
    }

    /// Writes `message`, or counts it.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        if !self.may_write() {
            self.withheld.set(self.withheld.get() + 1);
            return;
        }
        let log = &self.log;
        match self.withheld.take() {
            0 => log.warn(message),
            withheld => log.warn(format_args!(
                "{message} ({withheld} messages before it were left out)"
            )),
        }
    }

    fn may_write(&self) -> bool {
        let gained = self.since.get().elapsed().as_secs() / INTERVAL.as_secs();
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(BURST);
            self.left
                .set(self.left.get().saturating_add(gained).min(BURST));
            self.since.set(Instant::now());
        }
        match self.left.get() {
            0 => false,
            left => {
                self.left.set(left - 1);
                true
            }
        }
    }
}
