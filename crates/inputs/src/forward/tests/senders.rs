//! Acknowledgements, refusals, stops, sockets.

use std::os::unix::fs::PermissionsExt;

use plugin::{Emitter, Input, StopHandle};
use record::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::super::Forward;
use super::rig::{Rig, Road, build_error, context, on_shard, options, soon};

/// A message that is acknowledged as `chunk`.
fn message(tag: u8, chunk: u8) -> Vec<u8> {
    [
        &[0x94, 0xa1, tag][..],
        b"\x05\x81\xa1k\x01\x81\xa5chunk\xa1",
        &[chunk],
    ]
    .concat()
}

async fn next_ack(sender: &mut UnixStream) -> u8 {
    let mut ack = [0; 7];
    soon(sender.read_exact(&mut ack))
        .await
        .expect("an acknowledgement");
    assert_eq!(&ack[..6], b"\x81\xa3ack\xa1");
    ack[6]
}

/// Nothing came, and nothing will come of what is under way: an answer to an empty frame overtakes it.
async fn no_ack_before(sender: &mut UnixStream, empty: u8) {
    let frame = [&b"\x93\xa1t\x90\x81\xa5chunk\xa1"[..], &[empty]].concat();
    sender.write_all(&frame).await.expect("sent");
    assert_eq!(next_ack(sender).await, empty);
}

#[test]
fn a_chunk_is_acknowledged_when_it_is_delivered_and_not_before() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        assert!(rig.road.batches()[0].is_awaited());
        no_ack_before(&mut sender, b'e').await;
        rig.road.deliver(false);
        assert_eq!(next_ack(&mut sender).await, b'1');
    });
}

#[test]
fn chunks_of_one_read_are_acknowledged_in_the_order_of_their_delivery() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        let both = [
            message(b'a', b'1'),
            message(b'b', b'2'),
            message(b'a', b'3'),
        ]
        .concat();
        sender.write_all(&both).await.expect("sent");
        rig.road.holds(3).await;
        assert_eq!(rig.road.batches().len(), 3);
        rig.road.answer_one(1);
        assert_eq!(next_ack(&mut sender).await, b'2');
        no_ack_before(&mut sender, b'e').await;
        rig.road.answer_one(2);
        assert_eq!(next_ack(&mut sender).await, b'3');
        rig.road.answer_one(0);
        assert_eq!(next_ack(&mut sender).await, b'1');
    });
}

#[test]
fn what_is_refused_is_not_acknowledged_and_its_sender_is_sent_away() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        rig.road.refuse();
        let mut answer = Vec::new();
        soon(sender.read_to_end(&mut answer)).await.expect("closed");
        assert!(answer.is_empty());
        assert_eq!(
            rig.counter("dropped_total", Some("refused_without_resend")),
            0
        );
    });
}

#[test]
fn what_is_refused_and_cannot_come_again_is_counted_and_the_sender_stays() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender
            .write_all(b"\x93\xa1a\x05\x80\x93\xa1a\x05\x80")
            .await
            .expect("sent");
        rig.road.holds(2).await;
        rig.road.refuse();
        no_ack_before(&mut sender, b'e').await;
        assert_eq!(
            rig.counter("dropped_total", Some("refused_without_resend")),
            2
        );
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        rig.road.deliver(false);
        assert_eq!(next_ack(&mut sender).await, b'1');
    });
}

#[test]
fn a_malformed_frame_is_never_acknowledged_but_those_before_it_are() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        let broken = b"\x93\xa1t\x92\x92\x05\x80\xc0\x81\xa5chunk\xa12";
        let bytes = [&message(b'a', b'1')[..], broken].concat();
        sender.write_all(&bytes).await.expect("sent");
        rig.road.holds(2).await;
        rig.road.deliver(false);
        let mut answer = Vec::new();
        soon(sender.read_to_end(&mut answer)).await.expect("closed");
        assert_eq!(answer, b"\x81\xa3ack\xa11");
    });
}

#[test]
fn a_sender_that_leaves_in_mid_frame_is_counted() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        let whole = message(b'a', b'1');
        sender
            .write_all(&[&whole[..], &whole[..7]].concat())
            .await
            .expect("sent");
        drop(sender);
        rig.road.holds(1).await;
        rig.road.deliver(true);
        let metrics = rig.metrics.clone();
        rig.end().await;
        let count = |name| {
            metrics
                .all()
                .iter()
                .find(|m| m.name == name)
                .expect("registered")
                .number
                .get()
        };
        assert_eq!(
            (
                count("cut_off_frames_total"),
                count("malformed_frames_total")
            ),
            (1, 0)
        );
    });
}

#[test]
fn a_stop_takes_what_was_sent_waits_for_answers_and_hands_the_socket_on() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        // Not read yet when the stop comes.
        sender.write_all(&message(b'a', b'2')).await.expect("sent");
        rig.stop.request();
        rig.road.holds(2).await;
        soon(async {
            while sender.try_write(&message(b'a', b'3')).is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        rig.road.deliver(false);
        let mut acks = Vec::new();
        soon(sender.read_to_end(&mut acks)).await.expect("closed");
        assert_eq!(acks, b"\x81\xa3ack\xa11\x81\xa3ack\xa12");

        let path = rig.path.clone();
        let (handover, _folder) = rig.end().await;
        let mut early = UnixStream::connect(&path)
            .await
            .expect("the socket waits for the next instance");
        early.write_all(&message(b'a', b'4')).await.expect("sent");
        let road = std::rc::Rc::new(Road::default());
        let (_stop, stopped) = StopHandle::new();
        let pairs = [("unix_path", path.to_str().expect("text"))];
        let next = Forward::build(options(&pairs), context(None, &Budget::new(0)), handover)
            .expect("it starts");
        tokio::task::spawn_local(next.run(Emitter::new(road.clone()), stopped));
        road.holds(1).await;
    });
}

#[test]
fn a_connection_goes_on_in_the_next_instance() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        let two = message(b'a', b'2');
        let (begun, rest) = two.split_at(7);
        let first = [&message(b'a', b'1')[..], begun].concat();
        sender.write_all(&first).await.expect("sent");
        rig.road.holds(1).await;
        let next = rig.successor(&[]).await;
        sender.write_all(rest).await.expect("nobody closed it");
        next.road.holds(1).await;
        next.road.deliver(false);
        assert_eq!(next_ack(&mut sender).await, b'2');
        // The former instance owes an acknowledgement, and gives it.
        rig.road.deliver(false);
        assert_eq!(next_ack(&mut sender).await, b'1');
        rig.ended().await;
        sender.write_all(&message(b'a', b'3')).await.expect("sent");
        next.road.holds(2).await;
    });
}

#[test]
fn a_sender_whose_chunk_the_former_instance_loses_is_let_go_by_both() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        let _next = rig.successor(&[]).await;
        rig.road.refuse();
        let mut acks = Vec::new();
        soon(sender.read_to_end(&mut acks)).await.expect("closed");
        assert_eq!(acks, b"");
    });
}

#[test]
fn who_has_not_shown_that_he_may_send_does_not_slip_in_with_a_reload() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut sender = rig.connect().await;
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        rig.road.holds(1).await;
        rig.road.deliver(false);
        assert_eq!(next_ack(&mut sender).await, b'1');
        let next = rig.successor(&[("shared_key", "secret")]).await;
        // It may be closed before.
        let _ = sender.write_all(&message(b'a', b'2')).await;
        let ended = soon(sender.read_to_end(&mut Vec::new())).await;
        assert!(matches!(ended, Ok(0) | Err(_)));
        assert_eq!(next.road.records(), 0);
    });
}

#[test]
fn hundreds_of_senders_at_once() {
    on_shard(async {
        let rig = Rig::build(&[], None, 100_000);
        rig.road.deliver(true);
        let mut senders = Vec::new();
        for _ in 0..300 {
            senders.push(rig.connect().await);
        }
        for sender in &mut senders {
            sender.write_all(&message(b'a', b'1')).await.expect("sent");
        }
        for sender in &mut senders {
            assert_eq!(next_ack(sender).await, b'1');
        }
        assert_eq!(rig.road.records(), 300);
        drop(rig.road.take());
        assert_eq!(rig.budget.used(), 0, "idle senders hold nothing");
    });
}

#[test]
fn it_listens_on_tcp() {
    on_shard(async {
        let pairs = [("listen", "127.0.0.1"), ("port", "0")];
        let input = Forward::build(
            options(&pairs),
            context(None, &Budget::new(0)),
            Default::default(),
        )
        .expect("it starts");
        let address = input.door.local_addr();
        let road = std::rc::Rc::new(Road::default());
        road.deliver(true);
        let (stop, stopped) = StopHandle::new();
        let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
        let mut sender = TcpStream::connect(address).await.expect("it listens");
        sender.write_all(&message(b'a', b'1')).await.expect("sent");
        let mut ack = [0; 7];
        soon(sender.read_exact(&mut ack))
            .await
            .expect("acknowledged");
        stop.request();
        soon(ended).await.expect("no panic");
        let handover = stop.take_handover().expect("it gives its socket up");
        assert_eq!(handover.descriptors.len(), 1);
    });
}

#[test]
fn the_socket_is_checked_and_gets_its_permissions() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    std::fs::write(&path, "precious").expect("written");
    let message = build_error(&[("unix_path", path.to_str().expect("text"))]);
    assert!(message.contains("not a socket"), "{message}");
    assert!(path.is_file());
    let nowhere = folder.path().join("no/where");
    let message = build_error(&[("unix_path", nowhere.to_str().expect("text"))]);
    assert!(message.contains("there is no folder"), "{message}");
    on_shard(async {
        let rig = Rig::start(&[("unix_perm", "0620")]);
        let mode = std::fs::metadata(&rig.path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o620);
        // A socket that nobody handed over is in the way of nobody.
        let pairs = [("unix_path", rig.path.to_str().expect("text"))];
        Forward::build(
            options(&pairs),
            context(None, &Budget::new(0)),
            Default::default(),
        )
        .expect("it is replaced");
    });
}

#[test]
fn a_chunk_that_is_sent_again_is_known_by_its_origin() {
    let origins = |tag: u8, chunk: &[u8], time: &[u8]| {
        let frame = [
            &[0x94, 0xa1, tag],
            time,
            b"\x81\xa3log\xa1x\x81\xa5chunk\xb8",
            chunk,
        ]
        .concat();
        on_shard(async move {
            let rig = Rig::start(&[]);
            let mut sender = rig.connect().await;
            sender.write_all(&frame.repeat(2)).await.expect("sent");
            rig.road.holds(2).await;
            let batches = rig.road.batches();
            assert_eq!(batches[0].origin(), batches[1].origin());
            assert_eq!(batches[1].records()[0].position.offset, 0);
            batches[0].origin()
        })
    };
    let time = b"\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01";
    let one = origins(b'a', b"0123456789abcdefghijk1==", time);
    assert!(!one.is_none());
    assert_eq!(
        one,
        origins(b'a', b"0123456789abcdefghijk1==", time),
        "in another run"
    );
    assert_ne!(one, origins(b'a', b"0123456789abcdefghijk2==", time));
    assert_ne!(one, origins(b'b', b"0123456789abcdefghijk1==", time));
    // The id may be a digest of the chunk, and another chunk may hold the same within a second.
    assert!(origins(b'a', b"0123456789abcdefghijk1==", b"\x05").is_none());
}

#[test]
fn tags_are_made_safe() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        for tag in ["../../etc/x", "app/one", "a\nb", ""] {
            let mut frame = vec![0x93];
            record::msgpack::write::str(tag.as_bytes(), &mut frame);
            frame.extend(b"\x05\x81\xa3log\xa1x");
            sender.write_all(&frame).await.expect("sent");
        }
        rig.road.holds(4).await;
        let batches = rig.road.batches();
        let tags: Vec<String> = batches
            .iter()
            .map(|batch| batch.tag().to_string())
            .collect();
        assert_eq!(tags, ["__/__/etc/x", "app/one", "a_b", "dummy.0"]);
        assert_eq!(rig.counter("unsafe_tags_total", None), 2);
    });
}

#[test]
fn a_sender_that_never_reads_its_answers_is_sent_away() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        // Many frames that hold nothing, so that only the answers take room.
        let frame = [&b"\x93\xa1t\x90\x81\xa5chunk\xd9\xc8"[..], &[b'c'; 200]].concat();
        let flood = frame.repeat(200);
        tokio::time::pause();
        soon(async { while sender.write_all(&flood).await.is_ok() {} }).await;
    });
}
