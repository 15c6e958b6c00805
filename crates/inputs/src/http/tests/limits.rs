//! When requests are answered, how much they may take, and who gives way.

use std::time::Duration;

use plugin::Handover;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, on_shard, parts, post, post_with, soon};
use crate::forward::gunzip::tests::pack;

/// Lets everything go on that can.
async fn settle_down() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn success_is_answered_when_all_is_delivered() {
    on_shard(async {
        let rig = Rig::start(&[("tag_key", "t")]);
        let mut stream = rig.connect().await;
        let request = post("/", r#"[{"t":"a"},{"t":"b"},{"t":"a"}]"#);
        stream.write_all(&request).await.expect("sent");
        rig.road.holds(3).await;
        assert!(rig.road.batches().iter().all(|batch| batch.is_awaited()));
        rig.road.answer_one(0);
        settle_down().await;
        let mut byte = [0];
        let early = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
        assert!(early.is_err(), "one of two batches is delivered");
        rig.road.answer_one(1);
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer))
            .await
            .expect("answered");
        assert_eq!(parts(&answer), (201, ""));
    });
}

#[test]
fn what_is_refused_is_said_to_who_waits_and_counted_for_who_does_not() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut stream = rig.connect().await;
        stream.write_all(&post("/", "{}")).await.expect("sent");
        rig.road.holds(1).await;
        rig.road.refuse();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer))
            .await
            .expect("answered");
        assert_eq!(parts(&answer).0, 503);
        assert_eq!(
            rig.counter("dropped_total", Some("refused_without_resend")),
            0
        );
        let mut gone = rig.connect().await;
        gone.write_all(&post("/", "[{},{}]")).await.expect("sent");
        rig.road.holds(2).await;
        drop(gone);
        settle_down().await;
        rig.road.refuse();
        soon(async {
            while rig.counter("dropped_total", Some("refused_without_resend")) < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    });
}

#[test]
fn a_client_that_vanishes_in_its_body_leaves_nothing_behind() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let whole = post("/", r#"[{"a":1},{"a":2}]"#);
        for end in [whole.len() - 1, whole.len() - 8] {
            let mut stream = rig.connect().await;
            stream.write_all(&whole[..end]).await.expect("sent");
            drop(stream);
        }
        let answer = rig.exchange(&whole).await;
        assert_eq!(parts(&answer), (201, ""));
        assert_eq!(rig.lines().len(), 2);
        drop(rig.road.take());
        assert_eq!(rig.budget.used(), 0);
    });
}

#[test]
fn a_stop_waits_for_clients_that_are_gone() {
    on_shard(async {
        let rig = Rig::start(&[]);
        let mut stream = rig.connect().await;
        stream.write_all(&post("/", "{}")).await.expect("sent");
        rig.road.holds(1).await;
        drop(stream);
        rig.stop.request();
        let road = rig.road.clone();
        let ended = tokio::task::spawn_local(rig.end());
        settle_down().await;
        assert!(!ended.is_finished(), "a record is still on its way");
        road.deliver(true);
        let ended = soon(ended).await.expect("no panic");
        assert_eq!(ended.descriptors.len(), 1);
    });
}

#[test]
fn the_socket_goes_from_one_to_the_next_and_refuses_nobody() {
    on_shard(async {
        let first = Rig::start(&[]);
        let address = first.address;
        let handover = first.end().await;
        // Nobody accepts now.
        let mut between = tokio::net::TcpStream::connect(address)
            .await
            .expect("it listens");
        between.write_all(&post("/", "{}")).await.expect("sent");
        let second = Rig::build(&[], None, 0, handover);
        assert_eq!(second.address, address);
        second.road.deliver(true);
        let mut answer = String::new();
        soon(between.read_to_string(&mut answer))
            .await
            .expect("answered");
        assert_eq!(parts(&answer), (201, ""));
        let moved = Rig::build(&[("listen", "127.0.0.2")], None, 0, second.end().await);
        assert_ne!(
            moved.address, address,
            "another address is not taken from it"
        );
    });
}

#[test]
fn bodies_have_a_limit_packed_and_unpacked() {
    on_shard(async {
        let rig = Rig::start(&[("buffer_max_size", "2k")]);
        rig.road.deliver(true);
        let object = |len: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(len));
        let gzip = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
        let chunked = format!(
            "POST / HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n",
            3000,
            "x".repeat(3000)
        );
        for (request, status) in [
            (post("/", object(1900)), 201),
            (post("/", object(3000)), 413),
            (post_with("/", gzip, pack(object(10_000).as_bytes())), 201),
            (post_with("/", gzip, pack(object(100_000).as_bytes())), 413),
            (chunked.into_bytes(), 413),
        ] {
            assert_eq!(parts(&rig.exchange(&request).await).0, status);
        }
        drop(rig.road.take());
        settle_down().await;
        assert_eq!(rig.budget.used(), 0);
    });
}

#[test]
fn large_bodies_go_on_in_pieces_as_far_as_there_is_room() {
    on_shard(async {
        const LIMIT: usize = 8 << 20;
        let rig = Rig::build(&[], None, LIMIT, Handover::default());
        let body = format!("[{}]", "{},".repeat(500_000));
        let mut stream = rig.connect().await;
        let request = post("/", body);
        let sender = tokio::task::spawn_local(async move {
            stream.write_all(&request).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("answered");
            answer
        });
        let mut records = 0;
        while records < 500_000 {
            rig.road.arrival().await;
            assert!(rig.budget.used() < 3 * LIMIT, "{}", rig.budget.used());
            rig.road.deliver(false);
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        assert_eq!(records, 500_000);
        assert_eq!(parts(&soon(sender).await.expect("no panic")), (201, ""));
    });
}

#[test]
fn bad_http_costs_its_client_the_connection() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let json = "Content-Type: application/json\r\n";
        let many = (0..200)
            .map(|n| format!("x-{n}: y\r\n"))
            .collect::<String>();
        let cases = [
            ("garbage", "garbage\r\n\r\n".to_owned()),
            (
                "two lengths",
                format!(
                    "POST / HTTP/1.1\r\n{json}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"
                ),
            ),
            (
                "a negative length",
                format!("POST / HTTP/1.1\r\n{json}Content-Length: -1\r\n\r\n{{}}"),
            ),
            (
                "a huge length",
                format!(
                    "POST / HTTP/1.1\r\n{json}Content-Length: 99999999999999999999\r\n\r\n{{}}"
                ),
            ),
            (
                "a bad chunk",
                format!(
                    "POST / HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"
                ),
            ),
            (
                "a huge chunk",
                format!(
                    "POST / HTTP/1.1\r\n{json}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
                ),
            ),
            (
                "a long path",
                format!(
                    "POST /{} HTTP/1.1\r\n{json}Content-Length: 2\r\n\r\n{{}}",
                    "x".repeat(1 << 20)
                ),
            ),
            (
                "many headers",
                format!("POST / HTTP/1.1\r\n{json}{many}Content-Length: 2\r\n\r\n{{}}"),
            ),
            (
                "a long header",
                format!(
                    "POST / HTTP/1.1\r\n{json}x: {}\r\nContent-Length: 2\r\n\r\n{{}}",
                    "y".repeat(1 << 20)
                ),
            ),
            (
                "TLS",
                "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 and a lot more of it".to_owned(),
            ),
        ];
        for (name, request) in cases {
            let (status, _) = parts(&rig.exchange(request.as_bytes()).await.clone()).to_owned();
            assert!(
                matches!(status, 0 | 400 | 413 | 414 | 431),
                "{name}: {status}"
            );
            let answer = rig.exchange(&post("/", "{}")).await;
            assert_eq!(parts(&answer), (201, ""), "after {name}");
        }
        assert!(rig.lines().iter().all(|line| line == "dummy.0 {}"));
        assert_eq!(rig.lines().len(), 10);
    });
}

#[test]
fn a_body_that_trickles_gives_way() {
    on_shard(async {
        tokio::time::pause();
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let mut stream = rig.connect().await;
        let request = post("/", "x".repeat(100_000));
        stream.write_all(&request[..1000]).await.expect("sent");
        let mut answer = String::new();
        let start = tokio::time::Instant::now();
        stream.read_to_string(&mut answer).await.expect("closed");
        assert_eq!(parts(&answer).0, 408, "{answer}");
        assert!(start.elapsed() < Duration::from_secs(90));
        assert_eq!(rig.budget.used(), 0);
    });
}

#[test]
fn idle_connections_are_closed_and_busy_ones_are_not() {
    on_shard(async {
        tokio::time::pause();
        let rig = Rig::start(&[]);
        let mut silent = rig.connect().await;
        let mut half = rig.connect().await;
        half.write_all(b"POST / HTTP/1.1\r\nHost")
            .await
            .expect("sent");
        let mut waiting = rig.connect().await;
        waiting.write_all(&post("/", "{}")).await.expect("sent");
        rig.road.holds(1).await;
        for stream in [&mut silent, &mut half] {
            let start = tokio::time::Instant::now();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            assert!(start.elapsed() < Duration::from_secs(30));
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        rig.road.deliver(true);
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).await.expect("answered");
        assert_eq!(parts(&answer), (201, ""));
    });
}

#[test]
fn above_the_limit_of_connections_the_idle_give_way() {
    on_shard(async {
        let rig = Rig::start(&[
            ("http_server.max_connections", "4"),
            ("http_server.idle_timeout", "0"),
        ]);
        rig.road.deliver(true);
        let mut idle = Vec::new();
        for _ in 0..20 {
            idle.push(rig.connect().await);
        }
        for _ in 0..5 {
            let answer = rig.exchange(&post("/", "{}")).await;
            assert_eq!(parts(&answer), (201, ""));
        }
    });
}
