//! What one sender is owed: an answer for the chunks that it named, when their records are delivered.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use record::msgpack::write;
use record::{Ledger, Obligation};
use tokio::sync::Notify;

/// The records of a connection, numbered as they are sent on, and the acknowledgements that wait for them.
pub struct Owed {
    ledger: Arc<Ledger>,
    changed: Arc<Notify>,
    next: u64,
    acks: Vec<Ack>,
}

struct Ack {
    records: Range<u64>,
    chunk: Bytes,
}

/// Records that could not be taken on.
#[derive(Debug, Default, PartialEq)]
pub struct Refused {
    /// Their sender waits for an answer; it will send them again when none comes.
    pub awaited: u64,
    /// Nobody has them any more.
    pub lost: u64,
}

impl Owed {
    /// Nothing is owed.
    pub fn new() -> Owed {
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        Owed {
            ledger: Ledger::with_notice(0, move || notice.notify_one()),
            changed,
            next: 0,
            acks: Vec::new(),
        }
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Numbers `records` more records and answers for them.
    pub fn open(&mut self, records: usize) -> Obligation {
        let first = self.next;
        self.next += records as u64;
        self.ledger.open(first..self.next)
    }

    /// Owes an acknowledgement of `chunk` when `records` are delivered, at once if there are none.
    pub fn expect(&mut self, records: Range<u64>, chunk: Bytes) {
        self.acks.push(Ack { records, chunk });
        self.changed.notify_one();
    }

    /// Completes when there may be something to acknowledge.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether everything is delivered. Acknowledgements may have to be sent still.
    pub fn is_settled(&self) -> bool {
        self.ledger.is_settled()
    }

    /// Whether an acknowledgement waits.
    pub fn is_awaited(&self) -> bool {
        !self.acks.is_empty()
    }

    /// The acknowledgements that are due, in the order of their frames and as they are sent: each chunk for itself, as a
    /// later one may be delivered before an earlier one.
    pub fn due(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        if self.acks.is_empty() {
            return answer;
        }
        let delivered = self.ledger.discharged();
        let beyond = self.ledger.discharged_beyond();
        self.acks.retain(|Ack { records, chunk }| {
            let candidate = beyond.partition_point(|range| range.end < records.end);
            let is_due = records.is_empty()
                || records.end <= delivered
                || beyond
                    .get(candidate)
                    .is_some_and(|range| range.start <= records.start.max(delivered));
            if is_due {
                write::map_header(1, &mut answer);
                write::str(b"ack", &mut answer);
                write::str(chunk, &mut answer);
            }
            !is_due
        });
        answer
    }

    /// The records that could not be taken on since the last call. Those that nobody waits for count as answered for now.
    pub fn refused(&mut self) -> Refused {
        let mut refused = Refused::default();
        for range in self.ledger.refused() {
            let awaited: u64 = self
                .acks
                .iter()
                .map(|ack| {
                    let end = range.end.min(ack.records.end);
                    end.saturating_sub(range.start.max(ack.records.start))
                })
                .sum();
            refused.awaited += awaited;
            refused.lost += range.end - range.start - awaited;
            if awaited == 0 {
                self.ledger.skip(range);
            }
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acks(chunks: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(b"\x81\xa3ack");
            write::str(chunk.as_bytes(), &mut out);
        }
        out
    }

    #[test]
    fn chunks_are_due_when_their_own_records_are_delivered() {
        let mut owed = Owed::new();
        let one = owed.open(3);
        owed.expect(0..3, Bytes::from("one"));
        let mut two = owed.open(4);
        owed.expect(3..7, Bytes::from("two"));
        owed.expect(7..7, Bytes::from("empty"));
        assert_eq!(owed.due(), acks(&["empty"]));
        two.settle(4..7);
        assert_eq!(owed.due(), acks(&[]));
        two.settle_all();
        assert_eq!(owed.due(), acks(&["two"]), "before the one before it");
        one.settle_all();
        assert_eq!(owed.due(), acks(&["one"]));
        assert!(owed.is_settled() && !owed.is_awaited());
    }

    #[test]
    fn refused_records_are_lost_only_if_nobody_waits_for_them() {
        let mut owed = Owed::new();
        drop(owed.open(2));
        assert_eq!(
            owed.refused(),
            Refused {
                awaited: 0,
                lost: 2
            }
        );
        assert_eq!(owed.refused(), Refused::default(), "told once");
        let chunk = owed.open(3);
        owed.expect(2..5, Bytes::from("chunk"));
        drop(chunk);
        assert_eq!(
            owed.refused(),
            Refused {
                awaited: 3,
                lost: 0
            }
        );
        assert_eq!(owed.due(), acks(&[]));
    }
}
