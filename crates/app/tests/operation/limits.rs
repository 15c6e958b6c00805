//! One memory limit, and what the process may do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::router::{Router, free_port, until};

/// A service that reads everything and never answers.
fn silent_service() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut bytes = vec![0; 64 << 10];
                while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
            });
        }
    });
    port
}

#[test]
fn a_flood_before_a_silent_service_stays_within_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    // Far more than the limit waits in the file, and senders push besides.
    let line = format!(
        "{{\"log\":\"{}\",\"stream\":\"stdout\"}}\n",
        "x".repeat(200)
    );
    std::fs::write(folder.path().join("in.log"), line.repeat(600_000)).expect("written");
    let (service, port) = (silent_service(), free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.envs([
        ("AWS_ACCESS_KEY_ID", "flumen"),
        ("AWS_SECRET_ACCESS_KEY", "flumen"),
    ]);
    let sections = format!(
        "[INPUT]\n    Name tail\n    Path in.log\n    Read_from_Head on\n\
         [INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n\
         [OUTPUT]\n    Name kinesis_firehose\n    Match *\n    Region us-east-1\n    Delivery_Stream s\n    \
         Endpoint http://127.0.0.1:{service}\n\
         [OUTPUT]\n    Name kinesis_streams\n    Match *\n    Region us-east-1\n    Stream s\n    \
         Endpoint http://127.0.0.1:{service}\n"
    );
    let mut router = Router::start_by(command, folder.path(), &sections, &["--memory", "40M"]);
    let mut senders: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connected"))
        .collect();
    for sender in &mut senders {
        sender
            .set_write_timeout(Some(Duration::from_millis(50)))
            .expect("a socket");
    }
    // Until nothing is taken any more.
    let (mut taken, mut since) = (0, Instant::now());
    let text = line.repeat(1000);
    until("the limit to be reached", || {
        for sender in &mut senders {
            // It stops somewhere in the middle; what it says does not matter here.
            let _ = sender.write(text.as_bytes());
        }
        let now = router.metric("fluentbit_input_bytes_total{name=\"tail.0\"} ");
        if now != taken {
            (taken, since) = (now, Instant::now());
        }
        (taken > 0 && since.elapsed() > Duration::from_secs(2)).then_some(())
    });
    let kib = |name: &str| -> u64 {
        let value = router.status(name);
        value.trim_end_matches("kB").trim().parse().expect("KiB")
    };
    // Pages of the program itself are the kernel's to take back, and an unoptimised one has 20 MiB of them: of the limit,
    // 8 MiB are left for those that an optimised one needs.
    let (peak, program) = (kib("VmHWM"), kib("RssFile"));
    let own = peak - program;
    assert!(
        own <= 32 << 10,
        "{own} KiB besides {program} KiB of the program, {taken} bytes taken"
    );
    assert!(router.ask("GET", "/api/v1/health", "").contains(" 200 OK"));
    router.signal("KILL");
    router.wait();
}

#[test]
fn no_privileges_can_be_gained() {
    let folder = tempfile::tempdir().expect("a folder");
    let sections = "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name null\n    Match *\n";
    let mut router = Router::start(folder.path(), sections, &[]);
    assert_eq!(router.status("NoNewPrivs"), "1");
    router.signal("TERM");
    assert!(router.wait().success());
}

#[test]
fn the_monitoring_server_changes_nothing_for_strangers() {
    let folder = tempfile::tempdir().expect("a folder");
    let sections = "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name null\n    Match *\n";
    let mut router = Router::start(folder.path(), sections, &[]);
    let long = format!("content-length: {}\r\n", 1 << 30);
    for (method, path, head, status) in [
        (
            "POST",
            "/api/v2/reload",
            "origin: http://evil.example\r\n",
            403,
        ),
        (
            "POST",
            "/api/v2/reload",
            "sec-fetch-site: cross-site\r\n",
            403,
        ),
        ("GET", "/api/v1/health", "origin: null\r\n", 403),
        ("GET", "/api/v1/health", "host: evil.example\r\n", 400),
        ("DELETE", "/api/v2/reload", "", 405),
        ("POST", "/api/v1/health", "", 405),
        ("PUT", "/api/v2/reload", "", 200),
        ("GET", "/api/v2/reload", "", 200),
        ("POST", "/api/v2/reload", &long, 413),
        ("POST", "/api/v2/reload", "content-length: -1\r\n", 400),
        (
            "POST",
            "/api/v2/reload",
            "content-length: 1\r\ncontent-length: 2\r\n",
            400,
        ),
    ] {
        let answer = router.ask(method, path, head);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path} {head:?}: {answer}"
        );
    }
    assert_eq!(router.metric("fluentbit_hot_reloaded_times "), 1);
    router.signal("TERM");
    assert!(router.wait().success());
}
