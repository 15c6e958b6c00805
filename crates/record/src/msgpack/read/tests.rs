use proptest::prelude::*;

use super::*;
use crate::msgpack::write;
use crate::tree::{Tree, any_map, any_tree, batch, put_map};

/// What an event consists of.
type Parts = (Time, Marker, Tree, Tree);

fn read_event(bytes: &[u8]) -> Result<(Parts, usize), Error> {
    let mut batch = batch(bytes);
    let span = batch.span(0..bytes.len());
    let (record, len) = event(&mut batch, span)?;
    let map = |fields| Tree::of(&batch, Value::Map(fields));
    Ok((
        (
            record.time,
            record.marker,
            map(record.metadata),
            map(record.body),
        ),
        len,
    ))
}

fn read_value(bytes: &[u8]) -> Result<(Tree, usize), Error> {
    let mut batch = batch(bytes);
    let span = batch.span(0..bytes.len());
    let (value, len) = value(&mut batch, span)?;
    Ok((Tree::of(&batch, value), len))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|byte| char::from(byte).to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn small_map() -> Tree {
    Tree::Map(vec![(Tree::text("k"), Tree::Int(1))])
}

#[test]
fn the_forms_of_events() {
    let empty = || Tree::Map(Vec::new());
    let at = |seconds, nanoseconds| Time::new(seconds, nanoseconds);
    let cases: &[(&str, &str, Time, Marker, Tree)] = &[
        (
            "V2",
            "92 92 d7 00 6553f100 075bcd15 80 81 a16b 01",
            at(1_700_000_000, 123_456_789),
            Marker::None,
            empty(),
        ),
        (
            "V2 with metadata",
            "92 92 ce 6553f100 81 a16b 01 81 a16b 01",
            at(1_700_000_000, 0),
            Marker::None,
            small_map(),
        ),
        (
            "V2, EventTime as ext8",
            "92 92 c7 08 00 00000001 00000002 80 81 a16b 01",
            at(1, 2),
            Marker::None,
            empty(),
        ),
        (
            "V2, seconds as float",
            "92 92 cb 3ff8000000000000 80 81 a16b 01",
            at(1, 500_000_000),
            Marker::None,
            empty(),
        ),
        (
            "V1",
            "92 d7 00 6553f100 00000000 81 a16b 01",
            at(1_700_000_000, 0),
            Marker::None,
            empty(),
        ),
        (
            "V1, single precision",
            "92 ca 3fc00000 81 a16b 01",
            at(1, 500_000_000),
            Marker::None,
            empty(),
        ),
        (
            "V1, before 1970",
            "92 cb bff8000000000000 81 a16b 01",
            at(-2, 500_000_000),
            Marker::None,
            empty(),
        ),
        (
            "legacy",
            "92 ce 6553f100 81 a16b 01",
            at(1_700_000_000, 0),
            Marker::None,
            empty(),
        ),
        (
            "legacy in a 32 bit array",
            "dd 00000002 01 81 a16b 01",
            at(1, 0),
            Marker::None,
            empty(),
        ),
        (
            "group start",
            "92 92 d7 00 ffffffff 00000000 80 81 a16b 01",
            at(-1, 0),
            Marker::GroupStart,
            empty(),
        ),
        (
            "group end",
            "92 92 d7 00 fffffffe 00000000 80 81 a16b 01",
            at(-2, 0),
            Marker::GroupEnd,
            empty(),
        ),
        (
            "the last ordinary second",
            "92 92 d7 00 fffffffd 00000000 80 81 a16b 01",
            at(0xffff_fffd, 0),
            Marker::None,
            empty(),
        ),
    ];
    for (name, bytes, time, marker, metadata) in cases {
        let bytes = hex(bytes);
        let expected = (*time, *marker, metadata.clone(), small_map());
        assert_eq!(
            read_event(&bytes),
            Ok((expected.clone(), bytes.len())),
            "{name}"
        );
        let followed = [&bytes[..], b"rest"].concat();
        assert_eq!(
            read_event(&followed),
            Ok((expected, bytes.len())),
            "{name}, followed"
        );
    }
}

#[test]
fn what_is_no_event() {
    let cases: &[(&str, &str, usize, &str)] = &[
        ("nil", "c0", 0, "expected an event: an array of two"),
        ("a map", "80", 0, "expected an event: an array of two"),
        ("one item", "91 01", 0, "expected an event: an array of two"),
        (
            "three items",
            "93 01 80 80",
            0,
            "expected an event: an array of two",
        ),
        (
            "a header of three",
            "92 93 01 80 80 80",
            1,
            "expected an event header: an array of two",
        ),
        ("a time that is text", "92 a131 80", 1, "expected a time"),
        (
            "negative seconds",
            "92 ff 80",
            1,
            "negative seconds are no time",
        ),
        (
            "no number",
            "92 cb 7ff8000000000000 80",
            1,
            "not a number is no time",
        ),
        (
            "another extension",
            "92 d7 01 00000001 00000001 80",
            1,
            "not the extension EventTime",
        ),
        (
            "a short EventTime",
            "92 d6 00 00000001 80",
            1,
            "not the extension EventTime",
        ),
        (
            "a full second",
            "92 92 d7 00 00000001 3b9aca00 80 80",
            2,
            "nanoseconds out of range",
        ),
        (
            "a marker with nanoseconds",
            "92 92 d7 00 ffffffff 00000001 80 80",
            2,
            "nanoseconds out of range",
        ),
        (
            "metadata that is an array",
            "92 92 01 90 80",
            3,
            "expected a map as the metadata of the event",
        ),
        (
            "a body that is an array",
            "92 01 90",
            2,
            "expected a map as the body of the event",
        ),
        (
            "the byte that is no value",
            "92 01 81 a161 c1",
            5,
            "0xc1 starts no value",
        ),
    ];
    for (name, bytes, offset, reason) in cases {
        let expected = Error::Malformed {
            offset: *offset,
            reason,
        };
        assert_eq!(read_event(&hex(bytes)), Err(expected), "{name}");
    }
}

#[test]
fn all_encodings_of_values() {
    let cases: &[(&str, Tree)] = &[
        ("c0", Tree::Null),
        ("c2", Tree::Bool(false)),
        ("c3", Tree::Bool(true)),
        ("7f", Tree::Int(127)),
        ("e0", Tree::Int(-32)),
        ("cc ff", Tree::Int(255)),
        ("cd ffff", Tree::Int(65_535)),
        ("ce ffffffff", Tree::Int(4_294_967_295)),
        ("cf 7fffffffffffffff", Tree::Int(i64::MAX)),
        ("cf 8000000000000000", Tree::Uint(1 << 63)),
        ("d0 80", Tree::Int(-128)),
        ("d1 8000", Tree::Int(-32_768)),
        ("d2 80000000", Tree::Int(-2_147_483_648)),
        ("d3 8000000000000000", Tree::Int(i64::MIN)),
        ("d3 0000000000000005", Tree::Int(5)),
        ("ca 3f800000", Tree::float(1.0)),
        ("cb 3ff0000000000000", Tree::float(1.0)),
        ("a2 6869", Tree::text("hi")),
        ("d9 02 6869", Tree::text("hi")),
        ("da 0002 6869", Tree::text("hi")),
        ("db 00000002 6869", Tree::text("hi")),
        ("c4 01 ff", Tree::Bin(vec![255])),
        ("c5 0001 ff", Tree::Bin(vec![255])),
        ("c6 00000001 ff", Tree::Bin(vec![255])),
        ("d4 05 01", Tree::Ext(5, vec![1])),
        ("d5 ff 0102", Tree::Ext(-1, vec![1, 2])),
        ("c7 00 05", Tree::Ext(5, vec![])),
        ("c8 0003 05 010203", Tree::Ext(5, vec![1, 2, 3])),
        ("c9 00000003 05 010203", Tree::Ext(5, vec![1, 2, 3])),
        (
            "92 01 a161",
            Tree::Array(vec![Tree::Int(1), Tree::text("a")]),
        ),
        ("dc 0001 90", Tree::Array(vec![Tree::Array(vec![])])),
        (
            "de 0001 a161 80",
            Tree::Map(vec![(Tree::text("a"), Tree::Map(vec![]))]),
        ),
        (
            "df 00000001 07 08",
            Tree::Map(vec![(Tree::Int(7), Tree::Int(8))]),
        ),
        (
            "83 a161 91 01 92 01 02 a162 a161 81 c4 01 ff c0",
            Tree::Map(vec![
                (Tree::text("a"), Tree::Array(vec![Tree::Int(1)])),
                (
                    Tree::Array(vec![Tree::Int(1), Tree::Int(2)]),
                    Tree::text("b"),
                ),
                (
                    Tree::text("a"),
                    Tree::Map(vec![(Tree::Bin(vec![255]), Tree::Null)]),
                ),
            ]),
        ),
    ];
    for (bytes, tree) in cases {
        let bytes = hex(bytes);
        assert_eq!(
            read_value(&bytes),
            Ok((tree.clone(), bytes.len())),
            "{bytes:x?}"
        );
    }
}

#[test]
fn values_in_the_arena_are_read_too() {
    let mut batch = batch("source");
    let span = batch.put(&hex("82 a161 92 a178 a179 a162 c0"));
    let (value, len) = value(&mut batch, span).expect("valid");
    assert_eq!(len, span.len());
    let expected = Tree::Map(vec![
        (
            Tree::text("a"),
            Tree::Array(vec![Tree::text("x"), Tree::text("y")]),
        ),
        (Tree::text("b"), Tree::Null),
    ]);
    assert_eq!(Tree::of(&batch, value), expected);
}

#[test]
fn depth_is_limited() {
    let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
    assert!(read_value(&nested(MAX_DEPTH)).is_ok());
    let expected = Error::Malformed {
        offset: MAX_DEPTH,
        reason: "nested too deep",
    };
    assert_eq!(read_value(&nested(MAX_DEPTH + 1)), Err(expected));
    assert_eq!(read_value(&nested(1_000_000)), Err(expected));
    let maps = [[0x81, 0xa0].repeat(MAX_DEPTH + 1), vec![0xc0]].concat();
    assert!(matches!(
        read_value(&maps),
        Err(Error::Malformed {
            reason: "nested too deep",
            ..
        })
    ));
    let key = [vec![0x81], nested(1_000_000), vec![0xc0]].concat();
    assert!(matches!(
        read_value(&key),
        Err(Error::Malformed {
            reason: "nested too deep",
            ..
        })
    ));
}

#[test]
fn lying_lengths_only_ask_for_more() {
    let cases: &[(&str, usize)] = &[
        ("", 1),
        ("db ffffffff", u32::MAX as usize),
        ("db ffff", 2),
        ("c6 ffffffff 00", u32::MAX as usize - 1),
        ("dd ffffffff", u32::MAX as usize),
        ("dd ffffffff 01 02", u32::MAX as usize - 2),
        ("df 00000003 a161", 5),
        ("92 92 a161", 2),
        ("92 a361", 3),
        ("81 92 01", 2),
    ];
    for (bytes, needed) in cases {
        assert_eq!(
            read_value(&hex(bytes)),
            Err(Error::Incomplete { needed: *needed }),
            "{bytes}"
        );
    }
    assert_eq!(read_event(&hex("92")), Err(Error::Incomplete { needed: 2 }));
    assert_eq!(
        read_event(&hex("92 92")),
        Err(Error::Incomplete { needed: 3 })
    );
    assert_eq!(
        read_event(&hex("92 92 d7 00 0000")),
        Err(Error::Incomplete { needed: 6 + 2 })
    );
    assert_eq!(
        read_event(&hex("92 01 81")),
        Err(Error::Incomplete { needed: 2 })
    );
}

#[test]
fn nothing_is_left_of_a_value_that_fails() {
    let bytes = hex("82 a161 92 01 02 a162 c1");
    let mut batch = batch(bytes.clone());
    let before = batch.mark();
    let span = batch.span(0..bytes.len());
    assert!(value(&mut batch, span).is_err());
    assert_eq!(batch.mark(), before);
    let good = batch.put(&hex("81 a161 92 01 02"));
    let (value, _) = value(&mut batch, good).expect("valid");
    let expected = Tree::Map(vec![(
        Tree::text("a"),
        Tree::Array(vec![Tree::Int(1), Tree::Int(2)]),
    )]);
    assert_eq!(Tree::of(&batch, value), expected);
}

#[test]
fn times_of_frames() {
    let read = |bytes: &str| {
        let bytes = hex(bytes);
        let mut reader = Reader::new(&bytes);
        let time = time(&mut reader);
        (time, reader.offset())
    };
    let malformed = |reason| (Err(Error::Malformed { offset: 0, reason }), 0);
    assert_eq!(read("05 c0"), (Ok(Time::new(5, 0)), 1));
    assert_eq!(read("d7 00 00000001 00000002"), (Ok(Time::new(1, 2)), 10));
    assert_eq!(
        read("d7 00 00000001 ffffffff"),
        malformed("nanoseconds out of range")
    );
    assert_eq!(
        read("d7 00 ffffffff 00000000"),
        malformed("a group marker is no time")
    );
    assert_eq!(read("ff"), malformed("negative seconds are no time"));
}

pub fn record(
    time: Time,
    marker: Marker,
    metadata: &[(Tree, Tree)],
    body: &[(Tree, Tree)],
) -> (Batch, Record) {
    let mut batch = batch("");
    let metadata = put_map(metadata, &mut batch);
    let body = put_map(body, &mut batch);
    (
        batch,
        Record {
            time,
            marker,
            metadata,
            body,
            ..Record::default()
        },
    )
}

pub fn event_times() -> impl Strategy<Value = (Time, Marker)> {
    prop_oneof![
        8 => (0..0xffff_fffei64, 0..1_000_000_000u32).prop_map(|(s, ns)| (Time::new(s, ns), Marker::None)),
        1 => Just((Time::new(-1, 0), Marker::GroupStart)),
        1 => Just((Time::new(-2, 0), Marker::GroupEnd)),
    ]
}

proptest! {
    #[test]
    fn any_record_survives_v2((time, marker) in event_times(), metadata in any_map(), body in any_map()) {
        let (batch, record) = record(time, marker, &metadata, &body);
        let mut bytes = Vec::new();
        write::event_v2(&batch, &record, &mut bytes);
        let expected = (time, marker, Tree::Map(metadata), Tree::Map(body));
        prop_assert_eq!(read_event(&bytes), Ok((expected, bytes.len())));
    }

    #[test]
    fn any_record_survives_v1_without_metadata((time, marker) in event_times(), metadata in any_map(), body in any_map()) {
        let (batch, record) = record(time, marker, &metadata, &body);
        let mut bytes = Vec::new();
        write::event_v1(&batch, &record, &mut bytes);
        let expected = (time, marker, Tree::Map(Vec::new()), Tree::Map(body));
        prop_assert_eq!(read_event(&bytes), Ok((expected, bytes.len())));
    }

    #[test]
    fn any_record_survives_legacy_up_to_seconds(seconds in 0..0x1_ffff_ffffi64, nanoseconds in 0..1_000_000_000u32, body in any_map()) {
        let (batch, record) = record(Time::new(seconds, nanoseconds), Marker::None, &[], &body);
        let mut bytes = Vec::new();
        write::event_legacy(&batch, &record, &mut bytes);
        let expected = (Time::new(seconds, 0), Marker::None, Tree::Map(Vec::new()), Tree::Map(body));
        prop_assert_eq!(read_event(&bytes), Ok((expected, bytes.len())));
    }

    #[test]
    fn times_beyond_event_time_keep_their_microseconds(nanos: i64) {
        let (batch, record) = record(Time::from_nanos(nanos), Marker::None, &[], &[]);
        let mut bytes = Vec::new();
        write::event_v2(&batch, &record, &mut bytes);
        let ((time, marker, ..), _) = read_event(&bytes).expect("valid");
        prop_assert_eq!(marker, Marker::None);
        prop_assert!(time.nanos().abs_diff(nanos) < 3_000, "{} became {}", nanos, time.nanos());
    }

    #[test]
    fn any_value_survives(tree in any_tree()) {
        let mut batch = batch("");
        let value = tree.put(&mut batch);
        let mut bytes = Vec::new();
        write::value(&batch, value, &mut bytes);
        prop_assert_eq!(read_value(&bytes), Ok((tree, bytes.len())));
        prop_assert_eq!(Reader::new(&bytes).skip(bytes.len()), Ok(&bytes[..]));
    }

    #[test]
    fn every_prefix_is_incomplete(tree in any_tree()) {
        let mut batch = batch("");
        let value = tree.put(&mut batch);
        let mut bytes = Vec::new();
        write::value(&batch, value, &mut bytes);
        for len in 0..bytes.len() {
            let missing = bytes.len() - len;
            match read_value(&bytes[..len]) {
                Err(Error::Incomplete { needed }) => prop_assert!((1..=missing).contains(&needed)),
                other => prop_assert!(false, "{:?}", other),
            }
            match Reader::new(&bytes[..len]).skip(usize::MAX) {
                Err(Error::Incomplete { needed }) => prop_assert!((1..=missing).contains(&needed)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((tree, len)) = read_value(&bytes) {
            prop_assert_eq!(Reader::new(&bytes).skip(len), Ok(&bytes[..len]));
            let mut batch = batch("");
            let value = tree.put(&mut batch);
            write::value(&batch, value, &mut Vec::new());
        }
        if let Ok((_, len)) = read_event(&bytes) {
            prop_assert!(len <= bytes.len());
        }
    }

    #[test]
    fn damaged_events_are_harmless(body in any_map(), at in any::<prop::sample::Index>(), byte: u8) {
        let (batch, record) = record(Time::new(1, 2), Marker::None, &[], &body);
        let mut bytes = Vec::new();
        write::event_v2(&batch, &record, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok((_, len)) = read_event(&bytes) {
            prop_assert!(len <= bytes.len());
        }
    }
}
