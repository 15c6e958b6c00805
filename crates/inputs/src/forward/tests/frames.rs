//! Frames of every shape, well formed and not.

use proptest::prelude::*;
use record::json::write::{Options, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::gunzip::tests::pack;
use super::rig::{Rig, on_shard, soon};

/// `tag time body` of every record that came of `bytes`, in the order of batches, and the rig after the sender left.
fn received(pairs: &[(&str, &str)], tag: Option<&str>, bytes: &[u8]) -> (Vec<String>, u64) {
    on_shard(async {
        let rig = Rig::build(pairs, tag, 0);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        // An input that has closed the connection takes no more: that is for the test to see.
        let _ = sender.write_all(bytes).await;
        let _ = sender.shutdown().await;
        let mut answer = Vec::new();
        let _ = soon(sender.read_to_end(&mut answer)).await;
        assert!(answer.is_empty(), "nothing was to be acknowledged");
        let malformed = rig.counter("malformed_frames_total", None);
        (lines(&rig), malformed)
    })
}

fn lines(rig: &Rig) -> Vec<String> {
    let mut writer = Writer::new(Options::default());
    let mut lines = Vec::new();
    for batch in rig.road.batches() {
        for record in batch.records() {
            let mut body = Vec::new();
            writer.object(&batch, record.body, &mut body);
            let seconds = record.time.nanos() as f64 / 1e9;
            lines.push(format!(
                "{} {seconds} {}",
                batch.tag(),
                String::from_utf8_lossy(&body)
            ));
        }
    }
    lines
}

fn accepted(bytes: &[u8]) -> Vec<String> {
    let (lines, malformed) = received(&[], None, bytes);
    assert_eq!(malformed, 0, "{bytes:x?}");
    lines
}

const ENTRIES: &[u8] =
    b"\x92\x05\x81\xa1k\x01\x92\xd7\x00\x00\x00\x00\x06\x1d\xcd\x65\x00\x81\xa1k\x02\
    \x92\x92\x07\x81\xa1m\xc3\x81\xa1k\x03";
const ENTRY_LINES: [&str; 3] = ["t 5 {\"k\":1}", "t 6.5 {\"k\":2}", "t 7 {\"k\":3}"];

fn packed(entries: &[u8], options: &[u8]) -> Vec<u8> {
    let size = 2 + u8::from(!options.is_empty());
    [
        &[0x90 | size, 0xa1, b't', 0xc4, entries.len() as u8],
        entries,
        options,
    ]
    .concat()
}

#[test]
fn every_carrier_is_understood() {
    assert_eq!(accepted(b"\x93\xa1t\x05\x81\xa1k\x01"), ENTRY_LINES[..1]);
    assert_eq!(
        accepted(b"\x94\xa1t\xd7\x00\0\0\0\x06\x1d\xcd\x65\x00\x81\xa1k\x02\x80"),
        ENTRY_LINES[1..2]
    );
    assert_eq!(accepted(&[b"\x92\xa1t\x93", ENTRIES].concat()), ENTRY_LINES);
    assert_eq!(accepted(&packed(ENTRIES, b"")), ENTRY_LINES);
    let old = [&[0x92, 0xa1, b't', 0xd9, ENTRIES.len() as u8], ENTRIES].concat();
    assert_eq!(accepted(&old), ENTRY_LINES, "entries as a string");
    let members = [pack(&ENTRIES[..6]), pack(&ENTRIES[6..])].concat();
    assert_eq!(
        accepted(&packed(&members, b"\x81\xaacompressed\xa4gzip")),
        ENTRY_LINES
    );
    assert_eq!(
        accepted(&packed(&pack(ENTRIES), b"\x81\xa4size\x03")),
        ENTRY_LINES,
        "its first bytes tell"
    );
}

#[test]
fn options_that_mean_nothing_here_are_passed_over() {
    for options in [
        &b"\xc0"[..],
        b"\x80",
        b"\x81\xa4size\xcd\xff\xff",
        b"\x81\xa4size\xa5wrong",
        b"\x82\xa3new\x92\x01\x81\x01\x02\xa4size\x01",
        b"\x81\xaacompressed\xa4text",
        b"\x81\xadfluent_signal\x00",
        b"\x81\xa8metadata\xc0",
    ] {
        assert_eq!(
            accepted(&packed(ENTRIES, options)),
            ENTRY_LINES,
            "{options:x?}"
        );
    }
}

#[test]
fn nothing_in_a_frame_is_nothing() {
    assert!(accepted(b"\x92\xa1t\x90").is_empty());
    assert!(accepted(b"\x92\xa1t\xa0").is_empty());
    assert!(accepted(&packed(&pack(b""), b"\x80")).is_empty());
    assert_eq!(accepted(b"\x93\xa1t\x05\x80"), ["t 5 {}"]);
}

#[test]
fn metrics_and_traces_are_dropped_and_counted() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        let frame = packed(b"anything", b"\x82\xadfluent_signal\x01\xa5chunk\xa1c");
        sender.write_all(&frame).await.expect("sent");
        let mut ack = [0; 7];
        soon(sender.read_exact(&mut ack))
            .await
            .expect("acknowledged");
        assert_eq!(&ack, b"\x81\xa3ack\xa1c");
        assert_eq!(rig.counter("dropped_total", Some("metrics_or_traces")), 1);
    });
}

/// What breaks the protocol, and how many records of it are kept all the same.
const MALFORMED: &[(&[u8], usize)] = &[
    (b"\xc0", 0),
    (b"\x05", 0),
    (b"\x80", 0),
    (b"\xc1", 0),
    (b"GET / HTTP/1.1\r\n", 0),
    (b"[\"t\",5,{}]", 0),
    (b"\x16\x03\x01\x02\x00\x01", 0),
    (b"\x90", 0),
    (b"\x91\xa1t", 0),
    (b"\x92\xa1t\x05", 0),
    (b"\x92\x05\x90", 0),
    (b"\x92\xc4\x01t\x90", 0),
    (b"\x93\xa1t\xc0\xc0", 0),
    (b"\x93\xa1t\xc0\x80", 0),
    (b"\x93\xa1t\xc3\x80", 0),
    (b"\x93\xa1t\x80\x80", 0),
    (b"\x93\xa1t\xcb\x40\x14\0\0\0\0\0\0\x80", 0),
    (b"\x93\xa1t\x05\xc0", 0),
    (b"\x93\xa1t\x05\x91\x01", 0),
    (b"\x93\xa1t\x90\x05", 0),
    (b"\x93\xa1t\x90\xa1x", 0),
    (b"\x93\xa1t\x90\x81\x01\x02", 0),
    (b"\x93\xa1t\x90\x81\xa5chunk\x05", 0),
    (b"\x93\xa1t\x90\x81\xa5chunk\xc4\x01c", 0),
    (b"\x93\xa1t\xa0\x81\xaacompressed\xa4lzma", 0),
    (b"\x93\xa1t\xa0\x81\xaacompressed\xa4gzip", 0),
    (b"\x93\xa1t\xa3\x1f\x8b\x08\x80", 0),
    (b"\x93\xa1t\xa4\x28\xb5\x2f\xfd\x80", 0),
    (b"\x92\xa1t\x92\x92\x05\x80\xc0", 1),
    (b"\x92\xa1t\x92\x92\x05\x80\x92\x05\xc0", 1),
    (b"\x92\xa1t\x92\x92\x05\x80\x93\x05\x80\x80", 1),
    (b"\x92\xa1t\x92\x92\x05\x80\x92\xa1x\x80", 1),
    (b"\x92\xa1t\xa4\x92\x05\x80\x92", 1),
    (b"\x92\xa1t\xa6\x92\x05\x80\x92\x05\x81", 1),
    (b"\x92\xa1t\xa4\x92\x05\x80\xc1", 1),
    (b"\x93\xa1t\x05\x80\xc0", 1),
    (b"\x93\xa1t\x05\x80\x92\xa1t\x05", 1),
    (b"\xdd\xff\xff\xff\xff\x00", 0),
    (b"\x92\xdf\xff\xff\xff\xff", 0),
    (b"\x92\xa1t\xc6\xff\xff\xff\xff", 0),
];

#[test]
fn what_breaks_the_protocol_closes_the_connection_and_keeps_what_came_before() {
    for (bytes, kept) in MALFORMED {
        let good = b"\x93\xa1t\x05\x81\xa1k\x01";
        let (lines, malformed) = received(&[], None, &[good, *bytes].concat());
        assert_eq!((lines.len(), malformed), (1 + kept, 1), "{bytes:x?}");
    }
}

#[test]
fn a_chunk_name_has_a_limit() {
    let chunk = |len: u8| {
        [
            b"\x93\xa1t\x90\x81\xa5chunk\xda\x01",
            &[len][..],
            &vec![b'c'; 256 + usize::from(len)],
        ]
        .concat()
    };
    assert_eq!(received(&[], None, &chunk(1)).1, 1);
    let ok = chunk(0);
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&ok).await.expect("sent");
        let mut ack = [0; 8 + 256];
        soon(sender.read_exact(&mut ack))
            .await
            .expect("acknowledged");
    });
}

#[test]
fn a_time_that_is_none_becomes_the_time_of_arrival() {
    for frame in [
        &b"\x93\xa1t\xff\x81\xa1k\x01"[..],
        b"\x93\xa1t\xd6\x00\0\0\0\x05\x81\xa1k\x01",
        b"\x93\xa1t\xd7\x00\0\0\0\x05\xff\xff\xff\xff\x81\xa1k\x01",
        b"\x93\xa1t\xd7\x07\0\0\0\x05\0\0\0\0\x81\xa1k\x01",
        b"\x92\xa1t\x91\x92\xd7\x00\0\0\0\x05\xff\xff\xff\xff\x81\xa1k\x01",
        b"\x92\xa1t\x91\x92\x92\xcb\x7f\xf8\0\0\0\0\0\0\x80\x81\xa1k\x01",
    ] {
        let lines = accepted(frame);
        assert_eq!(lines.len(), 1, "{frame:x?}");
        let time: f64 = lines[0]
            .split(' ')
            .nth(1)
            .expect("a time")
            .parse()
            .expect("a number");
        assert!(time > 1.7e9 && lines[0].ends_with("{\"k\":1}"), "{lines:?}");
    }
}

#[test]
fn tags_follow_the_options() {
    let frame = b"\x93\xa8incoming\x05\x80\x93\xa5other\x05\x80";
    let tags = |pairs: &[(&str, &str)], tag| -> Vec<String> {
        let (lines, _) = received(pairs, tag, frame);
        lines
            .iter()
            .map(|line| line.split(' ').next().expect("a tag").to_owned())
            .collect()
    };
    assert_eq!(tags(&[], None), ["incoming", "other"]);
    assert_eq!(tags(&[], Some("mine")), ["mine", "mine"]);
    assert_eq!(
        tags(&[("tag_prefix", "p.")], None),
        ["p.incoming", "p.other"]
    );
    assert_eq!(
        tags(&[("tag_prefix", "p.")], Some("mine")),
        ["p.incoming", "p.other"]
    );
}

#[test]
fn alternating_tags_share_batches() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut bytes = Vec::new();
        for index in 0..60u8 {
            bytes.extend_from_slice(&[0x93, 0xa1, b'a' + index % 3, 0x05, 0x81, 0xa1, b'n', index]);
        }
        rig.connect().await.write_all(&bytes).await.expect("sent");
        rig.road.holds(60).await;
        assert_eq!(rig.road.batches().len(), 3);
        let lines = lines(&rig);
        let of_a: Vec<_> = (0..60)
            .step_by(3)
            .map(|n| format!("a 5 {{\"n\":{n}}}"))
            .collect();
        assert_eq!(lines[..20], of_a, "in their order");
    });
}

#[test]
fn what_is_packed_twice_is_unpacked_once() {
    let twice = pack(&pack(ENTRIES));
    for options in [&b""[..], b"\x81\xaacompressed\xa4gzip"] {
        let (lines, malformed) = received(&[], None, &packed(&twice, options));
        assert_eq!((lines.len(), malformed), (0, 1), "{options:x?}");
    }
}

#[test]
fn arrays_that_claim_more_than_a_frame_may_hold_are_refused_at_their_heads() {
    // Each claims 65,535 elements, the first of which is the next: four are more than the frame may have bytes.
    let nested = [b"\x92\xa1t", &b"\xdc\xff\xff".repeat(100)[..]].concat();
    on_shard(async {
        let rig = Rig::start(&[("buffer_max_size", "200K")]);
        let mut sender = rig.connect().await;
        let _ = sender.write_all(&nested).await;
        // The sender has not left: what it claims is enough.
        let _ = soon(sender.read_to_end(&mut Vec::new())).await;
        assert_eq!(rig.counter("malformed_frames_total", None), 1);
        assert!(rig.budget.used() < 1 << 20, "{}", rig.budget.used());
    });
}

/// Frames of a record each, as senders write them and otherwise, and the line that is to come of each.
fn any_messages() -> impl Strategy<Value = Vec<(Vec<u8>, String)>> {
    let tag = prop_oneof![9 => Just("a"), 1 => Just("b")];
    let body = prop_oneof![
        6 => (0..3000usize).prop_map(text_record),
        1 => (4000..9000usize).prop_map(text_record),
        2 => Just((b"\x82\xa1n\x01\xa1m\x81\xa1l\xc0".to_vec(), r#"{"n":1,"m":{"l":null}}"#.to_owned())),
    ];
    let message = (tag, 0..8usize, body).prop_map(|(tag, form, (body, json))| {
        let (time, seconds) = TIMES[form % TIMES.len()];
        let options: &[u8] = if form == 7 { b"\x80" } else { b"" };
        let head = [0x93 + options.len() as u8, 0xa1];
        let frame = [&head, tag.as_bytes(), time, &body, options].concat();
        (frame, format!("{tag} {seconds} {json}"))
    });
    prop::collection::vec(message, 1..30)
}

const TIMES: [(&[u8], &str); 7] = [
    (b"\xce\x00\x00\x00\x05", "5"),
    (b"\xce\xff\x00\x00\x00", "4278190080"),
    (b"\xd2\x00\x00\x00\x06", "6"),
    (b"\xd7\x00\0\0\0\x06\x1d\xcd\x65\x00", "6.5"),
    (b"\xd3\0\0\0\0\0\0\0\x07", "7"),
    (b"\x08", "8"),
    (b"\xc7\x08\x00\0\0\0\x09\0\0\0\0", "9"),
];

fn text_record(len: usize) -> (Vec<u8>, String) {
    let text = "x".repeat(len);
    let mut body = b"\x81\xa3log".to_vec();
    record::msgpack::write::str(text.as_bytes(), &mut body);
    (body, format!(r#"{{"log":"{text}"}}"#))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn messages_come_whole_and_in_order_however_they_are_cut(messages in any_messages(), pieces in prop::collection::vec(1..6000usize, 1..8)) {
        on_shard(async {
            let rig = Rig::start(&[]);
            let mut sender = rig.connect().await;
            let bytes: Vec<u8> = messages.iter().flat_map(|(frame, _)| frame.clone()).collect();
            let (mut rest, mut sizes) = (&bytes[..], pieces.iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(rest.len().min(*sizes.next().expect("at least one")));
                sender.write_all(piece).await.expect("sent");
                // The input reads what is there.
                tokio::task::yield_now().await;
                rest = later;
            }
            rig.road.holds(messages.len()).await;
            let lines = lines(&rig);
            for tag in ["a ", "b "] {
                let of = |lines: Vec<String>| -> Vec<String> {
                    lines.into_iter().filter(|line| line.starts_with(tag)).collect()
                };
                let expected = messages.iter().map(|(_, line)| line.clone()).collect();
                assert_eq!(of(lines.clone()), of(expected));
            }
            assert_eq!(rig.counter("malformed_frames_total", None), 0);
        });
    }
}
