//! Clients of the input `http` that break its rules.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, numbered, until_some};

fn configuration(port: u16) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    Name stdout\n    \
         Match *\n    Format json_lines\n"
    )
}

fn connect(port: u16) -> TcpStream {
    until_some("a connection", || {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
        Some(stream)
    })
}

/// The answer to `request`, or what of it is sent before the connection is closed.
fn exchange(port: u16, request: &[u8]) -> String {
    let mut stream = connect(port);
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let outcome = stream.read_to_end(&mut answer);
    let waited = outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!waited, "the connection is not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn deliver(port: u16, lines: &[String]) {
    let objects: Vec<String> = lines
        .iter()
        .map(|line| format!("{{\"log\":\"{line}\"}}"))
        .collect();
    let answer = exchange(
        port,
        &post("", format!("[{}]", objects.join(",")).as_bytes()),
    );
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

/// A gigabyte of zeros in gzip, as about a megabyte.
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(&vec![0; 1 << 20])
        .expect("memory takes everything");
    let member = encoder.finish().expect("memory takes everything");
    member.repeat(1024)
}

/// Requests that break the rules, and the statuses that they may be answered with; 0 is none.
fn bad_requests() -> Vec<(&'static str, Vec<u8>, &'static [u16])> {
    let object = |value: &[u8]| [b"{\"log\":\"", value, b"\"}"].concat();
    let head = |rest: &str| {
        format!("POST /in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{rest}")
            .into_bytes()
    };
    let gzip = "Content-Encoding: gzip\r\n";
    vec![
        ("a bomb", post(gzip, &bomb()), &[413]),
        ("members without end", post(gzip, &b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00".repeat(200_000)), &[400, 413]),
        ("cut gzip", post(gzip, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), &[400]),
        ("zstd of 8 GiB", post("Content-Encoding: zstd\r\n", b"\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00"), &[400, 413]),
        ("snappy that lies", post("Content-Encoding: snappy\r\n", b"\xff\x06\x00\x00sNaPpY\x00\xff\xff\xff"), &[400]),
        ("five megabytes", post("", &object(&vec![b'x'; 5 << 20])), &[413]),
        ("deep arrays", post("", &b"[".repeat(3 << 20)), &[400]),
        ("deep objects", post("", &b"{\"a\":".repeat(500_000)), &[400]),
        ("a million empty elements", post("", format!("[{}", "{},".repeat(1_000_000)).as_bytes()), &[400]),
        ("no JSON", post("", b"\xff\xfe\x00garbage"), &[400]),
        ("two lengths", head("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), &[0, 400]),
        ("a negative length", head("Content-Length: -2\r\n\r\n{}"), &[0, 400]),
        ("a length of 2^64", head("Content-Length: 18446744073709551616\r\n\r\n{}"), &[0, 400, 413]),
        ("a head of a megabyte", head(&format!("x: {}\r\n\r\n", "y".repeat(1 << 20))), &[0, 400, 431]),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello, hello, hello".to_vec(), &[0, 400]),
        ("HTTP/2 that is none", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage, garbage, garbage".to_vec(), &[0, 400]),
    ]
}

#[test]
fn bad_requests_are_answered_and_harm_nobody_else() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port));
    let mut expected = Vec::new();
    for (number, (name, request, statuses)) in bad_requests().into_iter().enumerate() {
        let answer = exchange(port, &request);
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = match answer.starts_with("HTTP/1.1 ") {
            true => status.unwrap_or(0),
            false => 0,
        };
        assert!(statuses.contains(&status), "{name}: {status} {answer}");
        let good = numbered(&format!("after {number}:"), 20);
        deliver(port, &good);
        expected.extend(good);
        router.alive();
    }
    router.until_printed(expected.len());
    let lines = router.lines();
    router.terminate();
    assert_eq!(lines, expected);
}

#[test]
fn two_hundred_clients_that_stop_in_mid_body_hold_nobody_up() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port));
    let whole = post("", &vec![b'x'; 3 << 20]);
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(port);
            stream.write_all(&whole[..30_000]).expect("sent");
            stream
        })
        .collect();
    let good = numbered("good", 5000);
    for part in good.chunks(1000) {
        deliver(port, part);
    }
    router.until_printed(good.len());
    let lines = router.lines();
    drop(idle);
    router.terminate();
    assert_eq!(lines, good);
}
