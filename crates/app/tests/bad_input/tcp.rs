//! Senders of the input `tcp` that break its rules.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Router, folder, free_port, numbered, text, until_some};

fn configuration(port: u16, format: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format {format}\n\
         [OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    )
}

fn connect(port: u16) -> TcpStream {
    until_some("a connection", || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    })
}

/// Sends all of `bytes`, unless the connection is closed before.
fn send(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_line_of_a_hundred_megabytes_is_dropped_alone() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, "none"));
    let mut stream = connect(port);
    stream.write_all(b"before\n").expect("sent");
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        stream.write_all(&piece).expect("the connection is kept");
        router.alive();
    }
    stream.write_all(b"\nafter\n").expect("sent");
    router.until_printed(2);
    // One that never comes to an end is dropped, too.
    for _ in 0..20 {
        stream.write_all(&piece).expect("the connection is kept");
    }
    drop(stream);
    send(connect(port), b"other\n");
    router.until_printed(3);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines, ["before", "after", "other"]);
    assert!(log.contains("'Buffer_Size'"), "{log}");
}

#[test]
fn what_is_no_json_is_dropped_between_records() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, "json"));
    let good = numbered("good", 200);
    let mut bytes = Vec::new();
    for (number, line) in good.iter().enumerate() {
        bytes.extend(format!("{{\"log\":\"{line}\"}}\n").into_bytes());
        let bad: &[u8] = match number % 5 {
            0 => b"{\"log\":oops}\n",
            1 => b"\xff\xfe\x80\x00garbage\n",
            2 => b"{\"log\":\"a\",,}\n",
            3 => b"]]]]}}}\n",
            _ => b"",
        };
        bytes.extend_from_slice(bad);
    }
    send(connect(port), &bytes);
    router.until_printed(200);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines, good);
    assert!(log.contains("invalid JSON message, skipping"), "{log}");
}

#[test]
fn values_without_end_or_bottom_harm_nobody_else() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, "json"));
    let endless = [&b"{\"log\":\""[..], &vec![b'x'; 20 << 20]].concat();
    let deep = b"[".repeat(20 << 20);
    let objects = b"{\"a\":".repeat(4 << 20);
    for bad in [&endless, &deep, &objects] {
        send(connect(port), &[b"{\"log\":\"kept\"}\n", &bad[..]].concat());
        router.alive();
    }
    let good = numbered("good", 50);
    let records: Vec<String> = good
        .iter()
        .map(|line| format!("{{\"log\":\"{line}\"}}"))
        .collect();
    send(connect(port), text(&records).as_bytes());
    router.until("the good records", |router| {
        router.printed().iter().any(|line| line.contains("good 49"))
    });
    let lines = router.lines();
    let log = router.terminate();
    let kept = lines.iter().filter(|line| *line == "kept").count();
    assert_eq!(kept, 3, "{log}");
    assert!(
        log.contains("incoming data exceeds 'Buffer_Size' (32 KB)"),
        "{log}"
    );
    let found: Vec<String> = lines.into_iter().filter(|line| line != "kept").collect();
    assert_eq!(found, good);
}

#[test]
fn two_hundred_senders_that_stop_in_mid_record_hold_nobody_up() {
    let (folder, port) = (folder(), free_port());
    let mut router = Router::start(folder.path(), &configuration(port, "none"));
    let unfinished = vec![b'x'; 30_000];
    let idle: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = connect(port);
            stream.write_all(&unfinished).expect("sent");
            stream
        })
        .collect();
    let good = numbered("good", 10_000);
    send(connect(port), text(&good).as_bytes());
    router.until_printed(10_000);
    let lines = router.lines();
    assert_eq!(lines, good);
    drop(idle);
    router.until_printed(10_200);
    router.terminate();
}
