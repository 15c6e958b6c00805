//! Memory: its limit holds, slows senders down, and brings nothing to a standstill.

use proptest::prelude::*;
use record::msgpack::write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::gunzip::tests::pack;
use super::rig::{Rig, on_shard, soon};

/// A message of about `len` bytes.
fn message(len: usize) -> Vec<u8> {
    let mut frame = b"\x93\xa1t\x05\x81\xa3log".to_vec();
    write::str(&vec![b'x'; len], &mut frame);
    frame
}

#[test]
fn a_limit_below_one_frame_slows_down_but_stops_nothing() {
    on_shard(async {
        let rig = Rig::build(&[], None, 1);
        let senders: Vec<_> = (0..4)
            .map(|_| {
                let path = rig.path.clone();
                tokio::task::spawn_local(async move {
                    let mut sender = tokio::net::UnixStream::connect(path)
                        .await
                        .expect("it listens");
                    for _ in 0..5 {
                        sender.write_all(&message(200_000)).await.expect("sent");
                    }
                })
            })
            .collect();
        let mut records = 0;
        while records < 20 {
            rig.road.arrival().await;
            assert!(rig.budget.used() < 2_000_000, "{}", rig.budget.used());
            rig.road.deliver(false);
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        for sender in senders {
            soon(sender).await.expect("no panic");
        }
    });
}

#[test]
fn a_sender_that_is_stuck_in_mid_frame_holds_up_nobody() {
    on_shard(async {
        let rig = Rig::build(&[], None, 1);
        rig.road.deliver(true);
        let mut stuck = rig.connect().await;
        stuck.write_all(&message(1000)[..600]).await.expect("sent");
        soon(async {
            while rig.budget.used() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        rig.connect()
            .await
            .write_all(&message(10))
            .await
            .expect("sent");
        rig.road.holds(1).await;
        stuck.write_all(&message(1000)[600..]).await.expect("sent");
        rig.road.holds(2).await;
    });
}

#[test]
fn without_room_nothing_is_read_and_nobody_is_sent_away() {
    on_shard(async {
        const LIMIT: usize = 300_000;
        let rig = Rig::build(&[], None, LIMIT);
        let path = rig.path.clone();
        let sender = tokio::task::spawn_local(async move {
            let mut sender = tokio::net::UnixStream::connect(path)
                .await
                .expect("it listens");
            for _ in 0..400 {
                sender
                    .write_all(&message(10_000))
                    .await
                    .expect("not closed");
            }
            sender
        });
        // Nobody delivers: at some point the sender cannot get rid of more.
        soon(async {
            while rig.budget.used() < LIMIT / 2 {
                rig.road.arrival().await;
            }
        })
        .await;
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(!sender.is_finished());
        assert!(
            rig.budget.used() <= LIMIT + 300_000,
            "{}",
            rig.budget.used()
        );
        let mut records = rig.road.records();
        rig.road.deliver(true);
        drop(rig.road.take());
        while records < 400 {
            rig.road.arrival().await;
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        soon(sender).await.expect("no panic");
    });
}

#[test]
fn many_small_entries_go_on_in_pieces() {
    const ENTRIES: usize = 300_000;
    on_shard(async {
        let rig = Rig::build(&[], None, 8 << 20);
        let entries = b"\x92\x05\x80".repeat(ENTRIES);
        let packed = pack(&entries);
        let mut frame = b"\x93\xa1t".to_vec();
        write::bin(&packed, &mut frame);
        frame.extend_from_slice(b"\x81\xa5chunk\xa1c");
        let mut sender = rig.connect().await;
        sender.write_all(&frame).await.expect("sent");
        let mut records = 0;
        while records < ENTRIES {
            rig.road.arrival().await;
            assert!(rig.budget.used() < 24 << 20, "{}", rig.budget.used());
            rig.road.deliver(false);
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        assert_eq!(records, ENTRIES);
        let mut ack = [0; 7];
        soon(sender.read_exact(&mut ack))
            .await
            .expect("acknowledged");
    });
}

#[test]
fn what_is_too_large_is_refused() {
    let bomb = pack(&vec![0; 2 << 20]);
    let mut packed = b"\x93\xa1t".to_vec();
    write::bin(&bomb, &mut packed);
    packed.push(0x80);
    let mut keys = b"\x93\xa1t\x05".to_vec();
    write::map_header(300_000, &mut keys);
    keys.extend(b"\xa0\xc0".repeat(300_000));
    for frame in [
        packed,
        keys,
        message(1_000_001),
        b"\x93\xa1t\xdb\x7f\xff\xff\xff".to_vec(),
    ] {
        on_shard(async {
            let rig = Rig::start(&[("buffer_max_size", "1M")]);
            let mut sender = rig.connect().await;
            let _ = sender.write_all(&frame).await;
            let _ = soon(sender.read_to_end(&mut Vec::new())).await;
            assert_eq!(rig.counter("malformed_frames_total", None), 1);
            assert_eq!(rig.road.records(), 0);
        });
    }
}

/// Bytes that look like frames more often than chance has it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\x93\xa1t\x05\x81\xa1k\x01".to_vec()),
        Just(b"\x92\xa1t\x92\x92\x05\x80\x92\x06\x80".to_vec()),
        Just(b"\x93\xa1t\xa3\x92\x05\x80\x81\xa5chunk\xa1c".to_vec()),
        Just(b"\x92\xa1t".to_vec()),
        Just(b"\x1f\x8b\x08".to_vec()),
        Just(b"\xdd\xff\xff\xff\xff".to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_do_harm(bytes in hostile()) {
        on_shard(async {
            let rig = Rig::build(&[("buffer_max_size", "64K")], None, 1 << 20);
            rig.road.deliver(true);
            let mut sender = rig.connect().await;
            let _ = sender.write_all(&bytes).await;
            let _ = sender.shutdown().await;
            let _ = soon(sender.read_to_end(&mut Vec::new())).await;
            assert!(rig.budget.used() < 2 << 20);
            drop(rig.road.take());
            let budget = rig.budget.clone();
            drop(sender);
            rig.end().await;
            assert_eq!(budget.used(), 0, "everything is given back");
        });
    }
}
