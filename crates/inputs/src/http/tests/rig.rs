//! An http input on a port of its own, and the simplest client there is.

use std::net::SocketAddr;
use std::ops::Deref;

use plugin::Handover;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::Http;
use crate::test_road::{self, Running};
pub use crate::test_road::{on_shard, soon};

const PLACE: [(&str, &str); 2] = [("listen", "127.0.0.1"), ("port", "0")];

/// A running input.
pub struct Rig {
    pub address: SocketAddr,
    running: Running,
}

impl Deref for Rig {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

impl Rig {
    pub fn start(pairs: &[(&str, &str)]) -> Rig {
        Rig::build(pairs, None, 0, Handover::default())
    }

    /// With a configured tag, a limit of memory, or what another one gave up.
    pub fn build(
        pairs: &[(&str, &str)],
        tag: Option<&str>,
        memory: usize,
        handover: Handover,
    ) -> Rig {
        let all = [&PLACE, pairs].concat();
        let place = |input: &Http| input.door.local_addr();
        let (running, address) = Running::start(&all, (tag, memory), handover, place);
        Rig { address, running }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends `request` on a connection of its own: what comes back until it is closed.
    pub async fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // It may be answered before all is sent.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub async fn end(self) -> Handover {
        self.running.end().await
    }
}

/// Why an instance does not start.
pub fn build_error(pairs: &[(&str, &str)]) -> String {
    test_road::build_error::<Http>(&[&PLACE, pairs].concat())
}

/// A POST of JSON.
pub fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    post_with(path, "Content-Type: application/json\r\n", body)
}

/// A POST with these headers, after which the connection is closed.
pub fn post_with(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Status and body of an answer.
pub fn parts(answer: &str) -> (u16, &str) {
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body)
}
