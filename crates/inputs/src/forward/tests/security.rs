//! Who may send, and what becomes of those who may not.

use std::net::SocketAddr;
use std::rc::Rc;

use plugin::{Emitter, Input, StopHandle};
use record::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::super::Forward;
use super::super::handshake::tests::ping;
use super::rig::{Rig, Road, build_error, context, on_shard, options, soon};
use crate::test_tls::{Authority, pairs};

const MESSAGE: &[u8] = b"\x93\xa1t\x05\x81\xa3log\xa1x";
const HELO_LEN: usize = 52;

async fn helo(sender: &mut UnixStream) -> Vec<u8> {
    let mut hello = vec![0; HELO_LEN];
    soon(sender.read_exact(&mut hello)).await.expect("a HELO");
    assert!(
        hello.starts_with(b"\x92\xa4HELO\x82\xa5nonce\xb0"),
        "{hello:x?}"
    );
    hello
}

/// What comes until the connection is closed.
async fn rest(mut sender: UnixStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset is an end, too.
    let _ = soon(sender.read_to_end(&mut rest)).await;
    rest
}

#[test]
fn who_knows_the_secret_may_send() {
    for piece_len in [100, usize::MAX] {
        on_shard(async {
            let rig = Rig::start(&[
                ("shared_key", "secret"),
                ("security.users", "ann pass word"),
            ]);
            rig.road.deliver(true);
            let mut sender = rig.connect().await;
            let hello = helo(&mut sender).await;
            // A sender that does not wait for the PONG loses nothing.
            let both = [ping(&hello, "secret", "ann", "pass word"), MESSAGE.to_vec()].concat();
            for piece in both.chunks(piece_len) {
                sender.write_all(piece).await.expect("sent");
            }
            rig.road.holds(1).await;
            let mut pong = [0; 7];
            soon(sender.read_exact(&mut pong)).await.expect("a PONG");
            assert_eq!(&pong, b"\x95\xa4PONG\xc3");
            sender.write_all(MESSAGE).await.expect("sent");
            rig.road.holds(2).await;
            drop(sender);
            let road = rig.road.clone();
            rig.end().await;
            assert_eq!(road.records(), 2, "each once");
        });
    }
}

#[test]
fn nobody_else_may() {
    on_shard(async {
        let rig = Rig::start(&[("shared_key", "secret"), ("security.users", "ann pass")]);
        rig.road.deliver(true);
        let wrong_user = b"\x95\xa4PONG\xc2\xbausername/password mismatch\xa0\xa0";
        let overheard = {
            let mut sender = rig.connect().await;
            let hello = helo(&mut sender).await;
            ping(&hello, "secret", "ann", "pass")
        };
        type Answer<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;
        let cases: Vec<(&str, Answer<'_>, &[u8])> = vec![
            (
                "a wrong key",
                Box::new(|hello| ping(hello, "Secret", "ann", "pass")),
                b"",
            ),
            (
                "no key",
                Box::new(|hello| ping(hello, "", "ann", "pass")),
                b"",
            ),
            (
                "a wrong user",
                Box::new(|hello| ping(hello, "secret", "bob", "pass")),
                wrong_user,
            ),
            (
                "a wrong password",
                Box::new(|hello| ping(hello, "secret", "ann", "Pass")),
                wrong_user,
            ),
            ("what was overheard", Box::new(|_| overheard.clone()), b""),
            ("nothing but data", Box::new(|_| MESSAGE.repeat(3)), b""),
            (
                "a name of ten megabytes",
                Box::new(|_| b"\x96\xa4PING\xdb\x00\x98\x96\x80xxx".to_vec()),
                b"",
            ),
            (
                "too much",
                Box::new(|_| [&b"\x96\xa4PING\xda\x20\x00"[..], &[b'x'; 8000]].concat()),
                b"",
            ),
            ("garbage", Box::new(|_| b"\xc1\xc1".to_vec()), b""),
            (
                "HTTP",
                Box::new(|_| b"GET / HTTP/1.1\r\n\r\n".to_vec()),
                b"",
            ),
        ];
        let count = cases.len() as u64;
        for (name, answer, expected) in cases {
            let mut sender = rig.connect().await;
            let hello = helo(&mut sender).await;
            let bytes = [answer(&hello), MESSAGE.to_vec()].concat();
            // It may be closed before it is all sent.
            let _ = sender.write_all(&bytes).await;
            assert_eq!(rest(sender).await, expected, "{name}");
        }
        // The one who overheard left during the handshake.
        assert_eq!(rig.counter("turned_down_total", None), count + 1);
        assert_eq!(rig.road.records(), 0, "nothing is taken from them");
    });
}

#[test]
fn an_empty_key_must_be_meant() {
    on_shard(async {
        let rig = Rig::start(&[("empty_shared_key", "on"), ("security.users", "ann pass")]);
        rig.road.deliver(true);
        let mut sender = rig.connect().await;
        let hello = helo(&mut sender).await;
        let frame = ping(&hello, "", "ann", "pass");
        sender
            .write_all(&[&frame, MESSAGE].concat())
            .await
            .expect("sent");
        rig.road.holds(1).await;
    });
}

#[test]
fn secrets_that_cannot_be_meant_are_refused() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("security.users", "ann pass")],
            "security.users is set but no shared_key",
        ),
        (
            &[("shared_key", "s"), ("security.users", "ann")],
            "a name, a blank and a password",
        ),
        (
            &[("shared_key", "s"), ("security.users", "ann ")],
            "a name, a blank and a password",
        ),
        (
            &[("shared_key", "s"), ("empty_shared_key", "on")],
            "contradict each other",
        ),
        (&[("tls", "on")], "'tls on' needs tls.crt_file"),
        (
            &[("tls", "on"), ("tls.crt_file", "/no/where")],
            "'tls on' needs tls.key_file",
        ),
        (
            &[
                ("tls", "on"),
                ("tls.crt_file", "/no/where"),
                ("tls.key_file", "/no/where"),
            ],
            "tls.crt_file /no/where",
        ),
    ];
    for (options, expected) in cases {
        let all = [&[("listen", "127.0.0.1"), ("port", "0")], *options].concat();
        let message = build_error(&all);
        assert!(message.contains(expected), "{message}");
        assert!(
            !message.contains("pass") || !message.contains("ann"),
            "{message}"
        );
    }
    let shown = format!(
        "{:?}",
        options::<super::super::ForwardOptions>(&[
            ("shared_key", "canary"),
            ("security.users", "ann canary"),
        ])
    );
    assert!(!shown.contains("canary"), "{shown}");
}

/// Runs `test` against an input on TCP with these options.
pub async fn on_tcp<F: Future<Output = ()>>(
    pairs: &[(&str, &str)],
    test: impl FnOnce(SocketAddr, Rc<Road>) -> F,
) {
    let all = [&[("listen", "127.0.0.1"), ("port", "0")], pairs].concat();
    let input = Forward::build(
        options(&all),
        context(None, &Budget::new(0)),
        Default::default(),
    );
    let input = input.expect("it starts");
    let address = input.door.local_addr();
    let road = Rc::new(Road::default());
    road.deliver(true);
    let (stop, stopped) = StopHandle::new();
    let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
    test(address, road).await;
    stop.request();
    soon(ended).await.expect("no panic");
}

#[test]
fn frames_come_encrypted() {
    on_shard(async {
        let authority = Authority::new();
        let tls = authority.options();
        on_tcp(&pairs(&tls), |address, road| async move {
            let mut plain = tokio::net::TcpStream::connect(address)
                .await
                .expect("it listens");
            plain.write_all(MESSAGE).await.expect("sent");
            let _ = soon(plain.read_to_end(&mut Vec::new())).await;
            assert_eq!(road.records(), 0, "what is not encrypted is not taken");
            let mut sender = authority.connect(address, None).await.expect("encrypted");
            // Larger than what TLS sends in one piece.
            let large = [
                b"\x93\xa1t\x05\x81\xa3log\xdb\x00\x03\x0d\x40",
                &[b'x'; 200_000][..],
                b"\x81\xa5chunk\xa1c",
            ];
            let mut large = large.concat();
            large[0] = 0x94;
            sender
                .write_all(&[MESSAGE, &large].concat())
                .await
                .expect("sent");
            let mut ack = [0; 7];
            soon(sender.read_exact(&mut ack))
                .await
                .expect("acknowledged");
            assert_eq!(&ack, b"\x81\xa3ack\xa1c");
            assert_eq!(road.records(), 2);
        })
        .await;
    });
}

#[test]
fn senders_may_have_to_show_certificates() {
    on_shard(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        authority.issue("sender");
        stranger.issue("sender");
        // A stranger's certificate, and our authority's name.
        std::fs::copy(authority.path("ca.pem"), stranger.path("ca.pem")).expect("copied");
        let mut tls = authority.options();
        tls.push(("tls.verify_client_cert", "on".into()));
        let without = [&[("listen", "127.0.0.1"), ("port", "0")], &pairs(&tls)[..]].concat();
        assert!(build_error(&without).contains("needs tls.ca_file"));
        tls.push((
            "tls.ca_file",
            authority.path("ca.pem").to_str().expect("text").into(),
        ));
        on_tcp(&pairs(&tls), |address, road| async move {
            for (who, name) in [(&authority, None), (&stranger, Some("sender"))] {
                // With TLS 1.3 the client hears of it after its handshake.
                if let Ok(mut sender) = who.connect(address, name).await {
                    let _ = sender.write_all(MESSAGE).await;
                    let _ = soon(sender.read_to_end(&mut Vec::new())).await;
                }
            }
            assert_eq!(road.records(), 0);
            let mut sender = authority
                .connect(address, Some("sender"))
                .await
                .expect("known");
            sender.write_all(MESSAGE).await.expect("sent");
            road.holds(1).await;
        })
        .await;
    });
}

#[test]
fn handshakes_that_never_end_keep_nobody_out() {
    on_shard(async {
        let authority = Authority::new();
        let tls = authority.options();
        on_tcp(&pairs(&tls), |address, road| async move {
            let mut stuck = Vec::new();
            for number in 0..300 {
                let mut stream = tokio::net::TcpStream::connect(address)
                    .await
                    .expect("it listens");
                // The first half of a hello, or nothing.
                if number % 2 == 0 {
                    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
                    stream.write_all(hello).await.expect("sent");
                }
                stuck.push(stream);
            }
            let mut sender = authority.connect(address, None).await.expect("encrypted");
            sender.write_all(MESSAGE).await.expect("sent");
            road.holds(1).await;
        })
        .await;
    });
}
