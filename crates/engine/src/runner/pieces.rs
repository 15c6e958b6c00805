//! Records of deliveries, in ranges: put together and taken apart.

use plugin::{DeliveryId, RecordAnswer};

use super::Piece;

/// Adds one record; consecutive ones share an entry.
pub(super) fn push_record(pieces: &mut Vec<Piece>, id: DeliveryId, record: u32) {
    match pieces.last_mut() {
        Some((last, range)) if *last == id && range.end == record => range.end += 1,
        _ => pieces.push((id, record..record + 1)),
    }
}

/// The records of a request: those without an exception in ranges, the others one by one.
pub(super) fn split(
    ranges: &[Piece],
    exceptions: &[(u32, RecordAnswer)],
) -> (Vec<Piece>, Vec<(DeliveryId, u32, RecordAnswer)>) {
    let (mut delivered, mut excepted) = (Vec::new(), Vec::new());
    let mut exceptions = exceptions.iter().peekable();
    let mut index = 0;
    for (id, range) in ranges {
        let mut start = range.start;
        while let Some((at, answer)) =
            exceptions.next_if(|(at, _)| *at < index + (range.end - range.start))
        {
            let record = range.start + (at - index);
            if start < record {
                delivered.push((*id, start..record));
            }
            excepted.push((*id, record, answer.clone()));
            start = record + 1;
        }
        if start < range.end {
            delivered.push((*id, start..range.end));
        }
        index += range.end - range.start;
    }
    (delivered, excepted)
}

/// The first `count` records, and the rest.
pub(super) fn halve(pieces: Vec<Piece>, count: u32) -> (Vec<Piece>, Vec<Piece>) {
    let (mut first, mut second, mut left) = (Vec::new(), Vec::new(), count);
    for (id, range) in pieces {
        let taken = left.min(range.end - range.start);
        left -= taken;
        if taken > 0 {
            first.push((id, range.start..range.start + taken));
        }
        if range.start + taken < range.end {
            second.push((id, range.start + taken..range.end));
        }
    }
    (first, second)
}
