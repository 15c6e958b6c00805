//! Bytes on the wire of the input `http` that are no good HTTP, in both of its versions.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, numbered, until_some};

fn start(folder: &std::path::Path, port: u16) -> Router {
    let configuration = format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    \
         Name stdout\n    Match *\n    Format json_lines\n"
    );
    Router::start(folder, &configuration)
}

fn connect(port: u16) -> TcpStream {
    let stream = until_some("a connection", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("a socket");
    stream.set_write_timeout(patience).expect("a socket");
    stream
}

/// Sends `first`, then `piece` until the connection is closed or it was sent `times` times, and gives what was answered.
/// The connection must be closed.
fn send(port: u16, first: &[u8], piece: &[u8], times: usize) -> Vec<u8> {
    let mut stream = connect(port);
    let mut sent = stream.write_all(first);
    for _ in 0..times {
        if sent.is_err() {
            break;
        }
        sent = stream.write_all(piece);
    }
    let _ = stream.shutdown(std::net::Shutdown::Write);
    rest(stream)
}

/// What comes until the connection is closed.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let outcome = stream.read_to_end(&mut answer);
    let waited = outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!waited, "the connection is not closed");
    answer
}

fn deliver(port: u16, line: &str) {
    let body = format!("{{\"log\":\"{line}\"}}");
    let request = format!(
        "POST /in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).expect("sent");
    let answer = String::from_utf8_lossy(&rest(stream)).into_owned();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{line}: {answer}");
}

const JSON: &str = "POST /in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn what_two_readers_could_read_differently_is_read_by_neither() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    let smuggled = "POST /in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n\
                    {\"log\":\"smuggled\"}";
    let record = "e\r\n{\"log\":\"once\"}\r\n";
    let cases = [
        (
            "length and chunks",
            format!("{JSON}Content-Length: 2\r\n{CHUNKED}\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "chunks and length",
            format!("{JSON}{CHUNKED}Content-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a length and chunks that hold a record",
            format!("{JSON}Content-Length: 4\r\n{CHUNKED}\r\n{record}0\r\n\r\n{smuggled}"),
        ),
        (
            "chunks that hold a record, and a length",
            format!("{JSON}{CHUNKED}Content-Length: 4\r\n\r\n{record}0\r\n\r\n{smuggled}"),
        ),
        (
            "two codings",
            format!(
                "{JSON}Transfer-Encoding: identity, chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (
            "a folded length",
            format!("{JSON}Content-Length:\r\n 2\r\n\r\n{{}}{smuggled}"),
        ),
        (
            "a blank before the colon",
            format!("{JSON}Content-Length : 0\r\n\r\n{smuggled}"),
        ),
        (
            "a length in hexadecimal",
            format!("{JSON}Content-Length: 0x12\r\n\r\n{smuggled}"),
        ),
        (
            "a signed length",
            format!("{JSON}Content-Length: +0\r\n\r\n{smuggled}"),
        ),
        (
            "a NUL in a header",
            format!("{JSON}x: a\0b\r\nContent-Length: 0\r\n\r\n{smuggled}"),
        ),
        (
            "a line end in a header",
            format!("{JSON}x: a\rContent-Length: 0\r\n\r\n{smuggled}"),
        ),
    ];
    for (name, request) in &cases {
        let mut stream = connect(port);
        // Who reads more than one request into it would go on with the second: its end ends the connection.
        let end = "GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let bytes = [request.as_bytes(), end.as_bytes()].concat();
        stream.write_all(&bytes).expect("sent");
        let text = String::from_utf8_lossy(&rest(stream)).into_owned();
        // One answer, or a refusal: never two successes of what was one request.
        assert!(text.matches("HTTP/1.1 2").count() <= 1, "{name}: {text}");
        deliver(port, name);
    }
    router.until_printed(cases.len() + 2);
    let mut lines = router.lines();
    router.terminate();
    // Chunks count where there is a length, too, and the connection ends behind them.
    lines.retain(|line| line != "once");
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    assert_eq!(lines, names, "nothing was smuggled in");
}

#[test]
fn heads_chunks_and_trailers_without_end_are_cut_off() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    let mebibyte = vec![b'y'; 1 << 20];
    let chunk = [b"10000\r\n", &[b'y'; 1 << 16][..], b"\r\n"].concat();
    let tiny = b"1\r\n \r\n".repeat(10_000);
    let trailer = b"x-trailer: yyyyyyyy\r\n".repeat(1000);
    let header = b"x-header: yyyyyyyy\r\n".repeat(1000);
    let chunked = format!("{JSON}{CHUNKED}\r\n");
    let extension = format!("{JSON}{CHUNKED}\r\n1;");
    let trailers = format!("{chunked}0\r\n");
    let cases: [(&str, &str, &[u8], usize); 7] = [
        ("a path", "GET /", &mebibyte, 64),
        ("a header", "GET / HTTP/1.1\r\nHost: ", &mebibyte, 64),
        ("headers", "GET / HTTP/1.1\r\n", &header, 1000),
        ("chunks", &chunked, &chunk, 1000),
        ("chunks of a byte", &chunked, &tiny, 60),
        ("an extension of a chunk", &extension, &mebibyte, 64),
        ("trailers", &trailers, &trailer, 1000),
    ];
    for (name, first, piece, times) in cases {
        let answer = send(port, first.as_bytes(), piece, times);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 4"),
            "{name}: {text}"
        );
        router.alive();
        deliver(port, name);
    }
    router.until_printed(7);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines.len(), 7);
    assert!(log.lines().count() < 200, "{} lines", log.lines().count());
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `POST http /` and a field that goes into the dynamic table: its name `a`, its value of 4,000 bytes.
fn head_with_large_field() -> Vec<u8> {
    // The length 4,000 as an integer with a prefix of seven bits.
    let value = [&[0x7f, 0xa1, 0x1e][..], &[b'v'; 4000]].concat();
    [&[0x83, 0x86, 0x84, 0x40, 0x01, b'a'][..], &value].concat()
}

#[test]
fn floods_of_http_2_end_their_connection_and_harm_nobody_else() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    let preface = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(SETTINGS, 0, 0, b"")[..],
    ]
    .concat();
    let head = [0x83, 0x86, 0x84];
    let resets: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let open = frame(HEADERS, END_HEADERS, stream, &head);
            [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let streams: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &head))
        .collect();
    // A table entry of four kilobytes that one byte names.
    let bomb = [head_with_large_field(), vec![0xbe; 12_000]].concat();
    let unfinished = frame(HEADERS, END_STREAM, 1, &head);
    let more = frame(CONTINUATION, 0, 1, &b"\x00\x01a\x01b".repeat(3000)).repeat(10);
    let empty = frame(CONTINUATION, 0, 1, b"").repeat(1000);
    let cases: [(&str, Vec<u8>, Vec<u8>, usize); 9] = [
        ("resets", preface.clone(), resets, 1),
        ("streams", preface.clone(), streams, 1),
        (
            "continuations",
            [&preface[..], &unfinished].concat(),
            more,
            100,
        ),
        (
            "empty continuations",
            [&preface[..], &unfinished].concat(),
            empty,
            100,
        ),
        (
            "a bomb of headers",
            preface.clone(),
            frame(HEADERS, END_HEADERS, 1, &bomb),
            1,
        ),
        (
            "settings",
            preface.clone(),
            frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]).repeat(1000),
            100,
        ),
        (
            "pings",
            preface.clone(),
            frame(PING, 0, 0, &[0; 8]).repeat(1000),
            100,
        ),
        (
            "a frame of 16 MiB",
            preface.clone(),
            b"\xff\xff\xff\x00\x00\x00\x00\x00\x01".to_vec(),
            1,
        ),
        ("noise", preface.clone(), vec![0xa5; 100_000], 1),
    ];
    let count = cases.len();
    for (name, first, piece, times) in cases {
        let _ = send(port, &first, &piece, times);
        router.alive();
        deliver(port, name);
    }
    router.until_printed(count);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines.len(), count);
    assert!(log.lines().count() < 200, "{} lines", log.lines().count());
}

#[test]
fn lines_of_a_good_client_on_the_same_port_arrive_in_order() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    // While somebody else sends a body that never ends.
    let endless = connect(port);
    let mut writer = endless.try_clone().expect("a second handle");
    let head = format!("{JSON}{CHUNKED}\r\n");
    writer.write_all(head.as_bytes()).expect("sent");
    let good = numbered("good", 50);
    for line in &good {
        let _ = writer.write_all(b"1\r\n \r\n");
        deliver(port, line);
    }
    router.until_printed(good.len());
    let lines = router.lines();
    drop(endless);
    router.terminate();
    assert_eq!(lines, good);
}
