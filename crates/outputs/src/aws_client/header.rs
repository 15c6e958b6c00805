//! The header `x-flumen-batch`: who sends a request, and where its records come from.
//!
//! `WRITER/EPOCH/RECORDS`: 32 hexadecimal digits, a number, and in base64
//!
//! ```text
//!  1 byte    version, 1
//!  1 byte    1 if a record of the service may hold several of the router's, else 0
//!  varint    origins, 16 bytes each
//!  varint    records of the service; if they may hold several, for each a varint: how many
//!  then runs until every record of the router has been named:
//!  varint    the origin, counted from 1; 0: it has none
//!  varint    how many records
//!            for each, unless they have no origin:
//!  varint    zigzag: first position, less the one behind the origin's last record in the request
//!  varint    number of positions
//! ```
//!
//! Varints are LEB128. Lines that follow each other in their file take two bytes or three each.

use std::collections::HashMap;
use std::fmt::Write;

use plugin::{Provenance, Request, Writer};
use record::{Origin, Position};

use crate::put_records::entry::Entries;
use crate::varint::{varint, zigzag};

/// A lake takes headers of 128 KiB in all.
const LEN_MAX: usize = 96 * 1024;

/// The header's value for a request with this provenance; none if it would be longer than a lake takes.
pub fn encode(writer: Writer, provenance: &Provenance, request: &Request) -> Option<String> {
    let mut value = String::with_capacity(64 + provenance.records().len() * 4);
    for byte in writer.id {
        let _ = write!(value, "{byte:02x}");
    }
    let _ = write!(value, "/{}/", writer.epoch);
    let bytes = records(provenance, Entries::counts(request));
    base64_simd::STANDARD.encode_append(&bytes, &mut value);
    (value.len() <= LEN_MAX).then_some(value)
}

/// The part in base64. `counts` says how many records of the router the service's hold, if that is not one each.
fn records(provenance: &Provenance, counts: Option<impl ExactSizeIterator<Item = u32>>) -> Vec<u8> {
    let all = provenance.records();
    let mut origins = Origins::default();
    let mut runs = Vec::with_capacity(all.len() * 3);
    let mut rest = all;
    while let Some((origin, _)) = rest.first() {
        let len = rest.iter().take_while(|(other, _)| other == origin).count();
        let (run, after) = rest.split_at(len);
        origins.push_run(*origin, run, &mut runs);
        rest = after;
    }
    let mut out = vec![1, u8::from(counts.is_some())];
    varint(origins.list.len() as u64, &mut out);
    origins
        .list
        .iter()
        .for_each(|(origin, _)| out.extend_from_slice(&origin.to_bytes()));
    match counts {
        None => varint(all.len() as u64, &mut out),
        Some(counts) => {
            varint(counts.len() as u64, &mut out);
            counts.for_each(|count| varint(count.into(), &mut out));
        }
    }
    out.append(&mut runs);
    out
}

/// The origins of a request, each with the position behind its last record.
#[derive(Default)]
struct Origins {
    list: Vec<(Origin, u64)>,
    index: HashMap<Origin, usize>,
}

impl Origins {
    fn push_run(&mut self, origin: Origin, run: &[(Origin, Position)], out: &mut Vec<u8>) {
        if origin.is_none() {
            varint(0, out);
            varint(run.len() as u64, out);
            return;
        }
        let at = *self.index.entry(origin).or_insert_with(|| {
            self.list.push((origin, 0));
            self.list.len() - 1
        });
        varint(at as u64 + 1, out);
        varint(run.len() as u64, out);
        let behind = &mut self.list[at].1;
        for (_, position) in run {
            zigzag(position.offset.wrapping_sub(*behind) as i64, out);
            let len = u64::from(position.len);
            varint(len, out);
            *behind = position.offset.wrapping_add(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use record::{Batch, Record, Tag};

    use super::*;

    fn batch(origin: Origin, records: &[(u64, u32)]) -> Batch {
        let mut batch = Batch::new(Tag::from("t"), Bytes::new()).with_origin(origin);
        for (offset, len) in records {
            let (offset, len) = (*offset, *len);
            batch.push_record(Record {
                position: Position { offset, len },
                ..Record::default()
            });
        }
        batch
    }

    fn provenance() -> Provenance {
        let mut provenance = Provenance::default();
        let (one, other) = (Origin::of(&[b"one"]), Origin::of(&[b"other"]));
        provenance.add(&batch(one, &[(1000, 100), (1100, 50), (1140, 5)]), 0..2);
        provenance.add(&batch(Origin::NONE, &[(0, 0)]), 0..1);
        provenance.add(&batch(other, &[(3, 1)]), 0..1);
        provenance.add(&batch(one, &[(1140, 5)]), 0..1);
        provenance
    }

    /// The bytes of version 1. The lake has the same in its tests.
    #[test]
    fn version_1_is_this() {
        let of = |name: &[u8]| Origin::of(&[&Origin::of(&[name]).to_bytes(), b"t"]).to_bytes();
        let mut expected = vec![1, 0, 2];
        expected.extend(of(b"one"));
        expected.extend(of(b"other"));
        expected.extend([5]);
        expected.extend([1, 2, 0xd0, 0x0f, 100, 0, 50]);
        expected.extend([0, 1]);
        expected.extend([2, 1, 6, 1]);
        expected.extend([1, 1, 19, 5]);
        let none: Option<std::vec::IntoIter<u32>> = None;
        assert_eq!(records(&provenance(), none), expected);
    }

    #[test]
    fn records_that_share_one_are_counted() {
        let bytes = records(&provenance(), Some(vec![3, 2].into_iter()));
        assert_eq!((bytes[1], &bytes[35..38]), (1, &[2, 3, 2][..]));
    }
}
