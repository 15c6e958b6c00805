//! A router that has fewer descriptors than clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Router, folder, free_port, numbered, until, until_some};

/// A request with these lines, after which the connection is closed.
fn request(lines: &[String]) -> Vec<u8> {
    let objects: Vec<String> = lines
        .iter()
        .map(|line| format!("{{\"log\":\"{line}\"}}"))
        .collect();
    let body = format!("[{}]", objects.join(","));
    let head =
        "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Whether the router took `lines`.
fn deliver(port: u16, lines: &[String]) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut answer = Vec::new();
    let _ = stream.write_all(&request(lines));
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 201 ")
}

#[test]
fn without_descriptors_it_goes_on_and_does_not_spin_or_chatter() {
    let (folder, port) = (folder(), free_port());
    let configuration = format!(
        "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name http\n    Listen 127.0.0.1\n    Port {port}\n[OUTPUT]\n    \
         Name stdout\n    Match *\n    Format json_lines\n"
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 80 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_flumen"));
    let mut router = Router::start_by(command, folder.path(), &configuration);
    until("the input", || deliver(port, &numbered("first", 1)));
    // More connections than it may have descriptors, which say nothing.
    let idle: Vec<TcpStream> = (0..300)
        .map(|_| {
            until_some("a connection", || {
                TcpStream::connect(("127.0.0.1", port)).ok()
            })
        })
        .collect();
    // Somebody who has something to say is heard while they are there.
    let good = numbered("good", 100);
    until("room for another", || {
        router.alive();
        deliver(port, &good)
    });
    drop(idle);
    router.until("all records", |router| router.printed().len() > good.len());
    let log = router.terminate();
    assert!(log.lines().count() < 200, "{} lines", log.lines().count());
}
