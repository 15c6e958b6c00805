//! Batches as the write-ahead log keeps them: the tag, where the records come from if that is known, and the records in
//! msgpack as Fluent Bit's chunks have them.
//!
//! | bytes | |
//! |---|---|
//! | 1 | version of this layout, 1 |
//! | 1 | flags: 1 says that origin and positions follow the tag |
//! | 2 | length of the tag, little-endian |
//! | | the tag |
//! | 16 | the origin |
//! | 12 per record | its position: offset (8) and length (4), little-endian |
//! | | the records, `[[time, metadata], body]` each |

use std::ops::Range;

use bytes::Bytes;
use record::{Batch, Kind, Origin, Position, Tag, msgpack};

const VERSION: u8 = 1;
const HAS_ORIGIN: u8 = 1;

/// Whether a batch can be kept: only logs are understood.
pub fn is_storable(batch: &Batch) -> bool {
    batch.kind() == Kind::Logs && !batch.is_empty()
}

/// The bytes that are kept of some records of a batch.
pub fn encode(batch: &Batch, records: &[Range<u32>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(batch.used() + batch.used() / 4 + 64);
    let tag = batch.tag().as_bytes();
    let has_origin = !batch.origin().is_none();
    out.extend_from_slice(&[VERSION, if has_origin { HAS_ORIGIN } else { 0 }]);
    out.extend_from_slice(&(tag.len() as u16).to_le_bytes());
    out.extend_from_slice(tag);
    let chosen = || {
        let all = batch.records();
        records
            .iter()
            .flat_map(move |range| &all[range.start as usize..range.end as usize])
    };
    if has_origin {
        out.extend_from_slice(&batch.origin().to_bytes());
        for record in chosen() {
            out.extend_from_slice(&record.position.offset.to_le_bytes());
            out.extend_from_slice(&record.position.len.to_le_bytes());
        }
    }
    for record in chosen() {
        msgpack::write::event_v2(batch, record, &mut out);
    }
    out
}

/// The records number `wanted` of `count` that were kept as `body`. Without an origin of their own they are numbered from
/// `first` on, and `origin` says by whom.
///
/// # Errors
/// When that is nothing which [`encode`] makes; the words say what is wrong.
pub fn decode(
    body: Vec<u8>,
    count: u32,
    wanted: Range<u32>,
    first: u64,
    origin: Origin,
) -> Result<Batch, String> {
    let head = Head::read(&body, count).ok_or("the head of the records is damaged")?;
    let mut at = head.events;
    let tag = Tag::new(&body[head.tag.clone()]);
    let positions: Vec<Position> = match &head.positions {
        Some((_, positions)) => body[positions.clone()]
            .chunks_exact(12)
            .map(read_position)
            .collect(),
        None => (first..)
            .take(count as usize)
            .map(|offset| Position { offset, len: 1 })
            .collect(),
    };
    let origin = head.positions.map_or(origin, |(own, _)| own);
    let source = Bytes::from(body);
    let end = source.len();
    let mut batch = Batch::new(tag, source).with_origin(origin);
    for (index, position) in (0..wanted.end).zip(positions) {
        let mark = batch.mark();
        let rest = batch.span(at..end);
        let (mut record, len) = msgpack::read::event(&mut batch, rest)
            .map_err(|error| format!("record {index} is damaged: {error}"))?;
        at += len;
        if index < wanted.start {
            batch.rewind(mark);
            continue;
        }
        record.position = position;
        batch.push_record(record);
    }
    Ok(batch)
}

struct Head {
    tag: Range<usize>,
    positions: Option<(Origin, Range<usize>)>,
    /// Where the records start.
    events: usize,
}

impl Head {
    fn read(body: &[u8], count: u32) -> Option<Head> {
        let [VERSION, flags, low, high] = *body.first_chunk::<4>()? else {
            return None;
        };
        let end = 4 + usize::from(u16::from_le_bytes([low, high]));
        body.get(..end)?;
        if flags & HAS_ORIGIN == 0 {
            return Some(Head {
                tag: 4..end,
                positions: None,
                events: end,
            });
        }
        let origin = body.get(end..end + 16)?.try_into().ok()?;
        let events = end + 16 + 12 * count as usize;
        body.get(..events)?;
        Some(Head {
            tag: 4..end,
            positions: Some((Origin::from_bytes(origin), end + 16..events)),
            events,
        })
    }
}

fn read_position(bytes: &[u8]) -> Position {
    let mut offset = [0; 8];
    let mut len = [0; 4];
    offset.copy_from_slice(&bytes[..8]);
    len.copy_from_slice(&bytes[8..12]);
    Position {
        offset: u64::from_le_bytes(offset),
        len: u32::from_le_bytes(len),
    }
}

#[cfg(test)]
mod tests {
    use record::{Field, Key, Record, Time, Value};

    use super::*;

    fn batch(origin: Origin) -> Batch {
        let mut batch = Batch::new(Tag::from("kube.a"), Bytes::from_static(b"onetwothree"));
        for (index, range) in [0..3, 3..6, 6..11].into_iter().enumerate() {
            let key = batch.put(b"log");
            let mark = batch.mark();
            let value = Value::Str(batch.span(range));
            batch.push(Field {
                key: Key::text(key),
                value,
            });
            let body = batch.close(mark);
            batch.push_record(Record {
                time: Time::new(1_700_000_000 + index as i64, 123),
                body,
                position: Position {
                    offset: 100 * index as u64,
                    len: 7,
                },
                ..Record::default()
            });
        }
        batch.with_origin(origin)
    }

    fn texts(batch: &Batch) -> Vec<(i64, u64, String)> {
        let of = |record: &Record| {
            let Some(Value::Str(span)) = batch.get(record.body, b"log") else {
                panic!("no text")
            };
            let text = String::from_utf8_lossy(batch.bytes(span)).into_owned();
            (record.time.nanos(), record.position.offset, text)
        };
        batch.records().iter().map(of).collect()
    }

    #[test]
    fn records_come_back_as_they_were() {
        let origin = Origin::of(&[b"tail", b"file"]);
        for (own, other, offsets) in [
            (origin, Origin::NONE, [0, 100, 200]),
            (Origin::NONE, origin, [40, 41, 42]),
        ] {
            let before = batch(own);
            let body = encode(&before, &[0..3]);
            let after = decode(body.clone(), 3, 0..3, 40, other).expect("what was encoded");
            assert_eq!(after.tag(), before.tag());
            assert_eq!(after.origin(), origin);
            let expected: Vec<_> = texts(&before)
                .into_iter()
                .zip(offsets)
                .map(|((time, _, text), offset)| (time, offset, text))
                .collect();
            assert_eq!(texts(&after), expected);
            let part = decode(body, 3, 1..2, 40, other).expect("what was encoded");
            assert_eq!(texts(&part), expected[1..2]);
        }
    }

    #[test]
    fn some_records_can_be_kept_alone() {
        let body = encode(&batch(Origin::NONE), &[0..1, 2..3]);
        let after = decode(body, 2, 0..2, 7, Origin::NONE).expect("what was encoded");
        let texts: Vec<String> = texts(&after).into_iter().map(|(.., text)| text).collect();
        assert_eq!(texts, ["one", "three"]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let body = encode(&batch(Origin::of(&[b"x"])), &[0..3]);
        for cut in 0..body.len() {
            assert!(decode(body[..cut].to_vec(), 3, 0..3, 0, Origin::NONE).is_err());
            let mut other = body.clone();
            other[cut] ^= 0xff;
            let _ = decode(other, 3, 0..3, 0, Origin::NONE);
        }
    }
}
