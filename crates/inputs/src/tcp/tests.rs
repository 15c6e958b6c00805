use std::ops::Deref;

use plugin::Handover;
use proptest::prelude::*;
use record::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Separator, Tcp};
use crate::test_road::{Running, build_error, context, on_shard, options, soon};

/// A running input on a port of its own.
struct Rig {
    port: u16,
    running: Running,
}

impl Deref for Rig {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Rig {
    fn start(pairs: &[(&str, &str)]) -> Rig {
        Rig::build(pairs, 0, Handover::default())
    }

    fn build(pairs: &[(&str, &str)], memory: usize, handover: Handover) -> Rig {
        let all = [&[("listen", "127.0.0.1"), ("port", "0")], pairs].concat();
        let port = |input: &Tcp| input.door.local_addr().port();
        let (running, port) = Running::start(&all, (Some("in"), memory), handover, port);
        Rig { port, running }
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await;
        stream.expect("it listens")
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.counter("dropped_total", Some(reason))
    }

    async fn end(self) -> Handover {
        self.running.end().await
    }
}

/// What becomes of these pieces, sent one after the other until the router has read each, and the reasons for which
/// something was dropped.
fn received(pairs: &[(&str, &str)], pieces: &[&[u8]]) -> (Vec<String>, Vec<(&'static str, u64)>) {
    on_shard(async {
        let rig = Rig::start(pairs);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        sender.set_nodelay(true).expect("set");
        for piece in pieces {
            sender.write_all(piece).await.expect("sent");
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        sender.shutdown().await.expect("ended");
        // The router closes when it is done with what came.
        soon(sender.read_to_end(&mut Vec::new()))
            .await
            .expect("closed");
        let (road, metrics) = (rig.road.clone(), rig.metrics.clone());
        rig.end().await;
        let lines = road.lines().into_iter().map(|(_, line)| line).collect();
        let all = metrics.all().into_iter();
        let dropped = all
            .filter_map(|metric| Some((metric.reason?, metric.number.get())))
            .filter(|(_, count)| *count > 0)
            .collect();
        (lines, dropped)
    })
}

fn lines(pairs: &[(&str, &str)], pieces: &[&[u8]]) -> Vec<String> {
    let (lines, dropped) = received(pairs, pieces);
    assert_eq!(dropped, [], "nothing is dropped");
    lines
}

const NONE: &[(&str, &str)] = &[("format", "none")];

#[test]
fn json_values_follow_each_other() {
    let text = b"\r\n{\"a\":1} {\"b\":{\"c\":[1]}}{\"d\":null}\n\n[1,2]\n\"text\" 12 true\n-3.5";
    assert_eq!(
        lines(&[], &[text]),
        [
            r#"in {"a":1}"#,
            r#"in {"b":{"c":[1]}}"#,
            r#"in {"d":null}"#,
            r#"in {"msg":[1,2]}"#,
            r#"in {"msg":"text"}"#,
            r#"in {"msg":12}"#,
            r#"in {"msg":true}"#,
            r#"in {"msg":-3.5}"#,
        ]
    );
}

#[test]
fn values_may_arrive_in_any_pieces() {
    assert_eq!(
        lines(&[], &[b"{\"a\":\"x}", b"y\"", b"}12", b"34 {\"b\"", b":2}"]),
        [r#"in {"a":"x}y"}"#, r#"in {"msg":1234}"#, r#"in {"b":2}"#]
    );
}

#[test]
fn what_is_no_json_takes_nothing_along_but_its_line() {
    let (lines, dropped) = received(&[], &[b"{\"a\":1}\nnonsense {\"x\":1}\n{\"b\":2}\n"]);
    assert_eq!(lines, [r#"in {"a":1}"#, r#"in {"b":2}"#]);
    assert_eq!(dropped, [("invalid_json", 1)]);
    let (lines, dropped) = received(&[], &[b"{\"a\":1}{\"b\" 2}{\"c\":3}"]);
    assert_eq!(lines, [r#"in {"a":1}"#]);
    assert_eq!(dropped, [("invalid_json", 1)]);
}

#[test]
fn the_parts_in_which_no_json_arrives_become_no_records() {
    let pieces = [
        &b"{\"a\":1}\nnonsense"[..],
        b"\"text\" [1] ",
        b"12 {\"x\":1}\n",
        b"{\"b\":2}\n]]",
        b" 3\n{\"c\":",
        b"3}",
    ];
    let (lines, dropped) = received(&[], &pieces);
    assert_eq!(lines, [r#"in {"a":1}"#, r#"in {"b":2}"#, r#"in {"c":3}"#]);
    assert_eq!(dropped, [("invalid_json", 2)]);
}

#[test]
fn half_a_value_at_the_end_is_counted() {
    let (lines, dropped) = received(&[], &[b"{\"a\":1}{\"b\":"]);
    assert_eq!(lines, [r#"in {"a":1}"#]);
    assert_eq!(dropped, [("cut_off", 1)]);
}

#[test]
fn text_is_cut_at_separators() {
    assert_eq!(
        lines(NONE, &[b"one\ntwo \"q\"\r\n\n\nthr", b"ee\nlast"]),
        [
            r#"in {"log":"one"}"#,
            r#"in {"log":"two \"q\"\r"}"#,
            r#"in {"log":"three"}"#,
            r#"in {"log":"last"}"#,
        ]
    );
    let pairs = [("format", "NONE"), ("separator", "\\r\\n--")];
    assert_eq!(
        lines(&pairs, &[b"a\r\n-b\r", b"\n-", b"-c\r\n--"]),
        [r#"in {"log":"a\r\n-b"}"#, r#"in {"log":"c"}"#]
    );
}

#[test]
fn the_sender_is_named_when_asked_for() {
    for (format, text, start) in [
        (
            "json",
            "{\"a\":1}",
            "in {\"a\":1,\"from\":\"tcp://127.0.0.1:",
        ),
        ("json", "[]", "in {\"msg\":[],\"from\":\"tcp://127.0.0.1:"),
        (
            "none",
            "a\n",
            "in {\"log\":\"a\",\"from\":\"tcp://127.0.0.1:",
        ),
    ] {
        let pairs = [("format", format), ("source_address_key", "from")];
        let lines = lines(&pairs, &[text.as_bytes()]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with(start), "{}", lines[0]);
    }
}

#[test]
fn a_long_line_is_dropped_alone() {
    let long = [b"x".repeat(3000), b"\n".to_vec()].concat();
    let pairs = [("format", "none"), ("buffer_size", "2")];
    for pieces in [
        vec![&b"before\n"[..], &long, b"after\n"],
        vec![&b"before\n"[..], &long[..2500], &long[2500..], b"after\n"],
        vec![&[b"before\n", &long[..], b"after\n"].concat()[..]],
    ] {
        let (lines, dropped) = received(&pairs, &pieces);
        assert_eq!(lines, [r#"in {"log":"before"}"#, r#"in {"log":"after"}"#]);
        assert_eq!(dropped, [("too_large", 1)]);
    }
    let just = [b"x".repeat(2048), b"\n".to_vec()].concat();
    assert_eq!(lines(&pairs, &[&just[..1000], &just[1000..]]).len(), 1);
}

#[test]
fn a_large_value_ends_its_connection() {
    on_shard(async {
        let rig = Rig::start(&[("buffer_size", "2")]);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        let text = [&b"{\"a\":1}{\"b\":\""[..], &b"x".repeat(3000)].concat();
        sender.write_all(&text).await.expect("sent");
        let _ = soon(sender.read_to_end(&mut Vec::new())).await;
        rig.road.holds(1).await;
        assert_eq!(rig.dropped("too_large"), 1);
    });
}

#[test]
fn chunk_size_stands_in_for_buffer_size_and_both_are_kib() {
    for (pairs, max) in [
        (&[][..], 32 << 10),
        (&[("chunk_size", "64")], 64 << 10),
        (&[("chunk_size", "1M")], 1 << 10),
        (&[("chunk_size", "64"), ("buffer_size", "8")], 8 << 10),
        (&[("buffer_size", "0")], 1 << 10),
    ] {
        let options: super::TcpOptions = options(pairs);
        let max_of = options.record_max(&context(None, &Budget::new(0)));
        assert_eq!(max_of, max, "{pairs:?}");
    }
}

#[test]
fn escapes_of_separators_are_understood() {
    use config::FromText;
    for (text, bytes) in [
        ("\\n", &b"\n"[..]),
        ("|", b"|"),
        ("\\r\\n", b"\r\n"),
        ("a\\tb\\\\n", b"a\tb\\n"),
        ("\\q\\", b"\\q\\"),
    ] {
        let separator = Separator::from_text(text).expect("readable").value;
        assert_eq!(separator.0, bytes, "{text}");
    }
    assert!(Separator::from_text("").is_err());
}

#[test]
fn what_is_not_supported_is_refused() {
    for (pairs, part) in [
        (&[("tls", "on")], "'tls on' needs tls.crt_file"),
        (
            &[("listen", "nowhere.invalid")],
            "cannot listen on nowhere.invalid:5170",
        ),
    ] {
        let message = build_error::<Tcp>(pairs);
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn without_room_nothing_is_read_and_nobody_is_sent_away() {
    on_shard(async {
        const LIMIT: usize = 300_000;
        let rig = Rig::build(NONE, LIMIT, Handover::default());
        let mut sender = rig.connect().await;
        let sending = tokio::task::spawn_local(async move {
            let line = [b"x".repeat(9_999), b"\n".to_vec()].concat();
            for _ in 0..2_000 {
                sender.write_all(&line).await.expect("not closed");
            }
        });
        while rig.budget.used() < LIMIT / 2 {
            rig.road.arrival().await;
        }
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert!(!sending.is_finished());
        assert!(rig.budget.used() <= 2 * LIMIT, "{}", rig.budget.used());
        let mut records = rig.road.records();
        rig.road.deliver(true);
        drop(rig.road.take());
        while records < 2_000 {
            rig.road.arrival().await;
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        soon(sending).await.expect("no panic");
    });
}

#[test]
fn what_had_arrived_at_a_stop_is_delivered_before_the_end() {
    on_shard(async {
        // Nothing is read as long as there is no room, so that all of it is in the kernel at the stop.
        let rig = Rig::build(NONE, 1, Handover::default());
        let held = rig.budget.try_take(1).expect("empty");
        let mut sender = rig.connect().await;
        sender
            .write_all(&b"line\n".repeat(5_000))
            .await
            .expect("sent");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        rig.stop.request();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!rig.ended.is_finished());
        drop(held);
        let mut records = 0;
        while records < 5_000 {
            rig.road.arrival().await;
            assert!(!rig.ended.is_finished(), "it waits for the answers");
            rig.road.deliver(false);
            records += rig
                .road
                .take()
                .iter()
                .map(|batch| batch.len())
                .sum::<usize>();
        }
        assert_eq!(records, 5_000);
        let port = rig.port;
        let handover = rig.end().await;
        assert_eq!(handover.descriptors.len(), 1);
        // The next instance takes the socket over.
        let next = Rig::build(NONE, 0, handover);
        assert_eq!(next.port, port);
        let mut sender = next.connect().await;
        sender.write_all(b"again\n").await.expect("sent");
        next.road.holds(1).await;
    });
}

#[test]
fn connections_go_on_in_the_next_instance() {
    on_shard(async {
        let rig = Rig::start(NONE);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        sender.write_all(b"one\ntw").await.expect("sent");
        rig.road.holds(1).await;
        let handover = rig.give_up().await;
        sender.write_all(b"o\nthr").await.expect("nobody closed it");
        let next = Rig::build(NONE, 0, handover);
        next.road.deliver(true);
        sender.write_all(b"ee\n").await.expect("sent");
        next.road.holds(2).await;
        let logs = |rig: &Rig| -> Vec<String> {
            let lines = rig.road.lines().into_iter();
            lines.map(|(_, line)| line).collect()
        };
        assert_eq!(logs(&rig), ["in {\"log\":\"one\"}"]);
        assert_eq!(
            logs(&next),
            ["in {\"log\":\"two\"}", "in {\"log\":\"three\"}"]
        );
        rig.running.ended().await;
    });
}

#[test]
fn what_is_refused_is_counted_and_holds_up_no_stop() {
    on_shard(async {
        let rig = Rig::start(NONE);
        let mut sender = rig.connect().await;
        sender.write_all(b"a\nb\nc\n").await.expect("sent");
        rig.road.holds(3).await;
        rig.road.refuse();
        let metrics = rig.metrics.clone();
        rig.end().await;
        let all = metrics.all();
        let refused = all
            .iter()
            .find(|metric| metric.reason == Some("refused_without_resend"));
        assert_eq!(refused.expect("registered").number.get(), 3);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn how_text_is_cut_into_pieces_makes_no_difference(cuts in prop::collection::vec(0usize..70, 0..5)) {
        let json = b"{\"a\":[1,{\"b\":\"}\"}]}\n[[],{}] \"x\\\"y\" {\"c\":-1.5e3}\n{\"d\":\"\xc3\xa4\"}";
        let text = b"one\r\ntwo\r\n\r\nthree\rfour\nfive\r\n\n\r\r\nsix six six six six six six six";
        for (pairs, all) in [(&[][..], &json[..]), (&[("format", "none"), ("separator", "\\r\\n")], text)] {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(all.len())).collect();
            cuts.extend([0, all.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(pairs, &pieces), lines(pairs, &[all]));
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(prop_oneof![Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\n'), any::<u8>()], 0..200), none in any::<bool>()) {
        on_shard(async {
            let pairs: &[(&str, &str)] = if none { NONE } else { &[] };
            let rig = Rig::build(pairs, 1 << 20, Handover::default());
            rig.road.deliver(true);
            let mut sender = rig.connect().await;
            let _ = sender.write_all(&bytes).await;
            let _ = sender.shutdown().await;
            let _ = soon(sender.read_to_end(&mut Vec::new())).await;
            let (budget, road) = (rig.budget.clone(), rig.road.clone());
            rig.end().await;
            drop(road.take());
            assert_eq!(budget.used(), 0, "everything is given back");
        });
    }
}
