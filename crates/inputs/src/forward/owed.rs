//! What one sender is owed: an answer for the chunks that it named, when their records are delivered.

use std::sync::Arc;

use bytes::Bytes;
use record::Batch;
use record::msgpack::write;
use tokio::sync::Notify;

use crate::numbered::Numbered;

/// The records of a connection, numbered as they are sent on, and the acknowledgements that wait for them.
pub struct Owed {
    /// Records that nobody waits for.
    others: Numbered,
    chunks: Vec<Chunk>,
    changed: Arc<Notify>,
}

/// Records of a chunk: their numbers are their places in it, the same when it is sent again.
struct Chunk {
    id: Bytes,
    records: Numbered,
    /// Nothing of it is still to be sent on.
    is_complete: bool,
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
        Owed {
            others: Numbered::new(&changed),
            chunks: Vec::new(),
            changed,
        }
    }

    /// Numbers the records of `batch`, which nobody waits for, and answers for them.
    pub fn own(&mut self, batch: Batch) -> Batch {
        self.others.own(batch)
    }

    /// Begins a chunk: what follows belongs to it until it is complete.
    pub fn begin(&mut self, id: Bytes) {
        self.chunks.push(Chunk {
            id,
            records: Numbered::new(&self.changed),
            is_complete: false,
        });
    }

    /// Numbers the records of `batch`, the next ones of the chunk that was begun last, and answers for them.
    pub fn own_of_chunk(&mut self, batch: Batch) -> Batch {
        match self.chunks.last_mut() {
            Some(chunk) => chunk.records.own(batch).with_awaited(true),
            None => self.others.own(batch),
        }
    }

    /// All of the chunk that was begun last is sent on: owes an acknowledgement when it is delivered, at once if it holds
    /// nothing.
    pub fn complete(&mut self) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.is_complete = true;
        }
        self.changed.notify_one();
    }

    /// Completes when there may be something to acknowledge.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether everything is delivered. Acknowledgements may have to be sent still.
    pub fn is_settled(&self) -> bool {
        self.others.is_settled() && self.chunks.iter().all(|chunk| chunk.records.is_settled())
    }

    /// Whether an acknowledgement waits.
    pub fn is_awaited(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.is_complete)
    }

    /// The acknowledgements that are due, in the order of their frames and as they are sent: each chunk for itself, as a
    /// later one may be delivered before an earlier one.
    pub fn due(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        self.chunks.retain(|chunk| {
            let is_due = chunk.is_complete && chunk.records.is_settled();
            if is_due {
                write::map_header(1, &mut answer);
                write::str(b"ack", &mut answer);
                write::str(&chunk.id, &mut answer);
            }
            !is_due
        });
        answer
    }

    /// The records that could not be taken on since the last call. Those that nobody waits for count as answered for now.
    pub fn refused(&mut self) -> Refused {
        let chunks = self.chunks.iter();
        Refused {
            awaited: chunks.map(|chunk| chunk.records.refused()).sum(),
            lost: self.others.give_up_refused(),
        }
    }
}

#[cfg(test)]
mod tests {
    use record::{Receipt, Record, Tag};

    use super::*;

    fn acks(chunks: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(b"\x81\xa3ack");
            write::str(chunk.as_bytes(), &mut out);
        }
        out
    }

    fn batch(records: usize) -> Batch {
        let mut batch = Batch::new(Tag::from("t"), Bytes::new());
        (0..records).for_each(|_| batch.push_record(Record::default()));
        batch
    }

    /// Sends a chunk of so many records on.
    fn send(owed: &mut Owed, id: &'static str, records: usize) -> Receipt {
        owed.begin(Bytes::from(id));
        let batch = owed.own_of_chunk(batch(records));
        owed.complete();
        batch.freeze().1
    }

    #[test]
    fn chunks_are_due_when_their_own_records_are_delivered() {
        let mut owed = Owed::new();
        let one = send(&mut owed, "one", 3);
        let two = send(&mut owed, "two", 4);
        owed.begin(Bytes::from("empty"));
        assert_eq!(owed.due(), acks(&[]), "it may be going on");
        owed.complete();
        assert_eq!(owed.due(), acks(&["empty"]));
        two.settle_all();
        assert_eq!(owed.due(), acks(&["two"]), "before the one before it");
        one.settle_all();
        assert_eq!(owed.due(), acks(&["one"]));
        assert!(owed.is_settled() && !owed.is_awaited());
    }

    #[test]
    fn records_of_a_chunk_are_numbered_by_their_place_in_it() {
        let mut owed = Owed::new();
        let other = owed.own(batch(2));
        owed.begin(Bytes::from("chunk"));
        let pieces = [owed.own_of_chunk(batch(2)), owed.own_of_chunk(batch(1))];
        let offsets = pieces.iter().flat_map(|batch| batch.records());
        let offsets: Vec<u64> = offsets.map(|record| record.position.offset).collect();
        assert_eq!(offsets, [0, 1, 2]);
        assert!(pieces[0].is_awaited() && !other.is_awaited());
        assert_eq!(owed.own(batch(1)).records()[0].position.offset, 2);
    }

    #[test]
    fn refused_records_are_lost_only_if_nobody_waits_for_them() {
        let mut owed = Owed::new();
        drop(owed.own(batch(2)));
        let lost = Refused {
            awaited: 0,
            lost: 2,
        };
        assert_eq!(owed.refused(), lost);
        assert_eq!(owed.refused(), Refused::default(), "told once");
        drop(send(&mut owed, "chunk", 3));
        let awaited = Refused {
            awaited: 3,
            lost: 0,
        };
        assert_eq!(owed.refused(), awaited);
        assert_eq!(owed.due(), acks(&[]));
    }
}
