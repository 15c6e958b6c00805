//! What is read of frames in a way of its own is the same as what is read in general.

use proptest::prelude::*;

use super::tests::{event_times, record};
use super::*;
use crate::msgpack::write;
use crate::tree::{Tree, any_map, batch};

/// Time, metadata and body of every record of a batch.
fn records(batch: &Batch) -> Vec<(Time, Marker, Tree, Tree)> {
    let map = |fields| Tree::of(batch, Value::Map(fields));
    let parts = |record: &Record| {
        (
            record.time,
            record.marker,
            map(record.metadata),
            map(record.body),
        )
    };
    batch.records().iter().map(parts).collect()
}

/// Events as they follow each other in a frame, and bytes that may be none.
fn any_entries() -> impl Strategy<Value = Vec<u8>> {
    let event = (event_times(), any_map(), any_map(), 0..3u8).prop_map(
        |((time, marker), metadata, body, form)| {
            let (batch, record) = record(time, marker, &metadata, &body);
            let mut bytes = Vec::new();
            match form {
                0 => write::event_v1(&batch, &record, &mut bytes),
                1 => write::event_legacy(&batch, &record, &mut bytes),
                _ => write::event_v2(&batch, &record, &mut bytes),
            }
            bytes
        },
    );
    let entry = prop_oneof![8 => event, 1 => prop::collection::vec(any::<u8>(), 1..4)];
    prop::collection::vec(entry, 0..6).prop_map(|entries| entries.concat())
}

proptest! {
    #[test]
    fn events_are_read_together_as_one_by_one(bytes in any_entries(), cut in any::<prop::sample::Index>(), most in 0..8usize) {
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len() + 1)]] {
            let mut single = batch(bytes);
            let mut at = 0;
            while at < bytes.len() && single.len() < most {
                let span = single.span(at..bytes.len());
                let Ok((record, taken)) = event(&mut single, span) else {
                    break;
                };
                single.push_record(record);
                at += taken;
            }
            let mut together = batch(bytes);
            let span = together.span(0..bytes.len());
            prop_assert_eq!(events(&mut together, span, most), (single.len(), at));
            prop_assert_eq!(records(&together), records(&single));
            prop_assert_eq!(together.mark(), single.mark(), "nothing is left of what is none");
        }
    }

    #[test]
    fn a_record_of_bytes_to_come_is_the_same_record(
        seconds in prop_oneof![0..=i64::from(i32::MAX), 0..1i64 << 33],
        nanoseconds in prop::option::of(0..1_100_000_000u32),
        body in any_map(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (of, record) = record(Time::new(0, 0), Marker::None, &[], &body);
        let mut bytes = b"before".to_vec();
        let at = bytes.len();
        match (nanoseconds, i32::try_from(seconds)) {
            (Some(nanoseconds), _) => {
                bytes.extend_from_slice(b"\xd7\x00");
                bytes.extend_from_slice(&(seconds as u32).to_be_bytes());
                bytes.extend_from_slice(&nanoseconds.to_be_bytes());
            }
            // As Go writes it.
            (None, Ok(seconds)) if seconds % 2 == 0 => {
                bytes.push(0xd2);
                bytes.extend_from_slice(&seconds.to_be_bytes());
            }
            (None, _) => write::int(seconds, &mut bytes),
        }
        write::value(&of, Value::Map(record.body), &mut bytes);
        for end in [bytes.len(), at + cut.index(bytes.len() - at)] {
            let bytes = &bytes[..end];
            let mut reader = Reader::new(&bytes[at..]);
            let expected = time(&mut reader).and_then(|time| {
                let mut batch = batch(bytes);
                let span = batch.span(at + reader.offset()..end);
                let (body, taken) = value(&mut batch, span)?;
                Ok((time, Tree::of(&batch, body), at + reader.offset() + taken))
            });
            let mut batch = Batch::new("t".into(), bytes::Bytes::new());
            let read = record_of_coming_source(&mut batch, bytes, at);
            let batch = batch.with_source(bytes.to_vec().into());
            let is_none = expected.is_err();
            match (read, expected) {
                (Ok(end), Ok((time, body, expected))) => {
                    prop_assert_eq!(end, expected);
                    let empty = Tree::Map(Vec::new());
                    prop_assert_eq!(records(&batch), [(time, Marker::None, empty, body)]);
                }
                (Err(_), _) => {
                    prop_assert!(batch.is_empty() && batch.mark() == 0);
                    let is_usual = matches!(bytes.get(at), Some(0xce | 0xd2 | 0xd7));
                    prop_assert!(!is_usual || is_none);
                }
                (Ok(_), Err(error)) => prop_assert!(false, "{:?}", error),
            }
        }
    }
}
