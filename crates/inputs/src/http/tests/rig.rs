//! An http input on a port of its own, and the simplest client there is.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use plugin::{BuildError, Emitter, Ended, Handover, Input, Metrics, StopHandle};
use record::Budget;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::super::Http;
pub use crate::test_road::{Road, context, on_shard, options, soon};

/// A running input.
pub struct Rig {
    pub road: Rc<Road>,
    pub metrics: Metrics,
    pub budget: Arc<Budget>,
    pub address: SocketAddr,
    stop: StopHandle,
    ended: JoinHandle<Ended>,
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
        let budget = Budget::new(memory);
        let context = context(tag, &budget);
        let metrics = context.metrics.clone();
        let all = [&[("listen", "127.0.0.1"), ("port", "0")], pairs].concat();
        let input = Http::build(options(&all), context, handover).expect("it starts");
        let address = input.door.local_addr();
        let road = Rc::new(Road::default());
        let (stop, stopped) = StopHandle::new();
        let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stopped));
        Rig {
            road,
            metrics,
            budget,
            address,
            stop,
            ended,
        }
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

    pub fn counter(&self, name: &str, reason: Option<&str>) -> u64 {
        let all = self.metrics.all();
        let metric = all
            .iter()
            .find(|metric| metric.name == name && metric.reason == reason);
        metric.expect("a registered counter").number.get()
    }

    pub fn lines(&self) -> Vec<String> {
        self.road
            .lines()
            .into_iter()
            .map(|(_, line)| line)
            .collect()
    }

    pub fn stop(&self) {
        self.stop.request();
    }

    pub async fn end(self) -> Ended {
        self.stop.request();
        soon(self.ended).await.expect("no panic")
    }
}

/// Why an instance does not start.
pub fn build_error(pairs: &[(&str, &str)]) -> String {
    let all = [&[("listen", "127.0.0.1"), ("port", "0")], pairs].concat();
    let built = Http::build(
        options(&all),
        context(None, &Budget::new(0)),
        Handover::default(),
    );
    let BuildError(message) = built.err().expect("it does not start");
    message
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
