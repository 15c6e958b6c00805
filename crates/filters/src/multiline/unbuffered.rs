//! `buffer off`: what belongs together inside one batch.

use multiline::{Joined, Joiner, Owed, Place, Stream, assign};
use plugin::FilterCall;
use record::{Batch, Kind, Obligation, Receipt, Record, Time};

use super::Sharing;

/// Joins the records of each batch; nothing waits.
pub struct Unbuffered {
    joiner: Joiner,
    stream: Stream,
    joined: Joined,
}

impl Unbuffered {
    pub fn new(joiner: Joiner) -> Unbuffered {
        Unbuffered {
            joiner,
            stream: Stream::default(),
            joined: Joined::default(),
        }
    }

    pub fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>, sharing: &Sharing) {
        if batch.kind() != Kind::Logs {
            return;
        }
        let Unbuffered {
            joiner,
            stream,
            joined,
        } = self;
        let obligation = join(joiner, stream, batch, call, joined);
        let mut place = Place {
            batch,
            now: call.now,
            time: Time::now(),
        };
        joiner.flush(stream, &mut place, joined);
        sharing.emissions.count(joined.records.len());
        sharing.note_truncated(std::mem::take(&mut joined.truncated));
        assign(batch, obligation, &mut joined.records);
    }
}

/// Takes the records out of `batch`, and what is owed for them, and gives them to `stream`. What is complete is in `joined`.
pub fn join(
    joiner: &mut Joiner,
    stream: &mut Stream,
    batch: &mut Batch,
    call: &FilterCall<'_>,
    joined: &mut Joined,
) -> Obligation {
    let records = std::mem::take(batch.records_mut());
    let mut receipt = std::mem::replace(batch.receipt_mut(), Receipt::none());
    let mut place = Place {
        batch,
        now: call.now,
        time: Time::from_nanos(0),
    };
    for (index, record) in records.iter().enumerate() {
        let mut owed = owed(&records, index);
        for extra in receipt.detach(record.extra) {
            owed.add(extra);
        }
        joiner.record(stream, record, owed, &mut place, joined);
    }
    // So that the vector's memory is used again.
    *place.batch.records_mut() = records;
    place.batch.records_mut().clear();
    receipt.into_main()
}

/// What a record of a batch answers for: see [`Receipt`].
fn owed(records: &[Record], index: usize) -> Owed {
    let position = records[index].position;
    let offset = |index: usize| records.get(index).map(|record| record.position.offset);
    let start = if index == 0 { 0 } else { position.offset };
    let end = offset(index + 1).unwrap_or(u64::MAX).max(start);
    Owed::new(
        start..end,
        position.offset..position.offset + u64::from(position.len),
    )
}
