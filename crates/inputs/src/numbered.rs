//! Records of one source that has no positions of its own, numbered as they are sent on.

use std::sync::Arc;

use record::{Batch, Ledger, Position};
use tokio::sync::Notify;

/// Numbers records, and knows which of them are answered for.
pub struct Numbered {
    ledger: Arc<Ledger>,
    next: u64,
}

impl Numbered {
    /// Numbers from 0 on; `changed` hears of every answer.
    pub fn new(changed: &Arc<Notify>) -> Numbered {
        let notice = Arc::clone(changed);
        Numbered {
            ledger: Ledger::with_notice(0, move || notice.notify_one()),
            next: 0,
        }
    }

    /// Numbers the records of `batch` and answers for them.
    pub fn own(&mut self, mut batch: Batch) -> Batch {
        let first = self.next;
        self.next += batch.len() as u64;
        for (offset, record) in (first..).zip(batch.records_mut()) {
            record.position = Position { offset, len: 1 };
        }
        batch.with_obligation(self.ledger.open(first..self.next))
    }

    /// Whether everything is answered for and nothing was refused.
    pub fn is_settled(&self) -> bool {
        self.ledger.is_settled()
    }

    /// How many records were refused, and that nobody holds any more.
    pub fn refused(&self) -> u64 {
        let refused = self.ledger.refused();
        refused.iter().map(|range| range.end - range.start).sum()
    }

    /// The same, and counts them as answered for: nobody will send them again.
    pub fn give_up_refused(&self) -> u64 {
        let refused = self.ledger.refused();
        let count = refused.iter().map(|range| range.end - range.start).sum();
        for range in refused {
            self.ledger.skip(range);
        }
        count
    }
}
