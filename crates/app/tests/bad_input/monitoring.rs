//! The monitoring server under a scanner: it answers those who keep the rules, in little memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, until_some};

fn start(folder: &std::path::Path, port: u16) -> Router {
    let configuration = format!(
        "[SERVICE]\n    Flush 0.2\n    HTTP_Server on\n    HTTP_Listen 127.0.0.1\n    HTTP_Port {port}\n    \
         Health_Check on\n[INPUT]\n    Name dummy\n    Samples 3\n    Rate 100\n[OUTPUT]\n    Name stdout\n    Match *\n    \
         Format json_lines\n"
    );
    let mut router = Router::start(folder, &configuration);
    router.until_printed(3);
    router
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

/// What the server answers to `bytes`, up to the end of the connection.
fn answer(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // A server that closes with unread bytes resets the connection.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(port: u16, path: &str) -> String {
    answer(
        port,
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
    )
}

fn assert_well(port: u16) {
    assert!(get(port, "/api/v1/health").ends_with("\r\n\r\nok\n"));
    let metrics = get(port, "/api/v1/metrics/prometheus");
    assert!(
        metrics.contains("fluentbit_input_records_total{name=\"dummy.0\"} 3 "),
        "{metrics}"
    );
}

#[test]
fn what_is_no_http_is_turned_away() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\x00\x00\x00\x00\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"GET / HTTP/1.1\r\nhost x\r\n\r\n",
        b"PUT /api/v1/health HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
    ] {
        let answer = answer(port, garbage);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
        router.alive();
    }
    for path in [
        "/../../etc/passwd",
        "/%00",
        "//",
        "/api/v1/health?x=%ff",
        "*",
    ] {
        let answer = get(port, path);
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
    }
    assert_well(port);
    router.terminate();
}

#[test]
fn heads_without_end_take_little_memory() {
    let (folder, port) = (folder(), free_port());
    let router = start(folder.path(), port);
    let mut head = b"GET / HTTP/1.1\r\n".to_vec();
    while head.len() < 350 << 10 {
        head.extend_from_slice(b"x-a: ");
        head.resize(head.len() + 8000, b'a');
        head.extend_from_slice(b"\r\n");
    }
    let open: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect(port);
            // It may be turned away before the end.
            let _ = stream.write_all(&head);
            stream
        })
        .collect();
    assert_well(port);
    drop(open);
    router.terminate();
}

#[test]
fn idle_connections_leave_room_for_others() {
    let (folder, port) = (folder(), free_port());
    let mut router = start(folder.path(), port);
    let idle: Vec<TcpStream> = (0..900).map(|_| connect(port)).collect();
    assert_well(port);
    // The router needs descriptors for its own work.
    let open = router.open_descriptors();
    assert!(open < 200, "{open} open descriptors");
    drop(idle);
    router.terminate();
}
