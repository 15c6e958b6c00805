//! A service that answers what a test's script says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A call as the service saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The operation, without the service's version.
    pub operation: String,
    pub body: serde_json::Value,
    /// All headers, in lower case.
    pub head: String,
}

type Script = Box<dyn FnMut(&Seen) -> (u16, String) + Send>;

struct Shared {
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Runs on the test's own runtime until it is dropped.
    pub async fn start(script: impl FnMut(&Seen) -> (u16, String) + Send + 'static) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            seen: Mutex::default(),
        });
        let address = listener.local_addr().expect("bound");
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Server {
            address,
            shared,
            accepting,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("no panic").clone()
    }

    /// The operations in the order in which they came.
    pub fn operations(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.operation).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An error of the service.
pub fn error(code: &str) -> (u16, String) {
    (
        400,
        format!(r#"{{"__type":"{code}","message":"says the test"}}"#),
    )
}

pub fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if matches!(stream.read_buf(&mut buffer).await, Ok(0) | Err(_)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        let length: usize = header("content-length")
            .expect("a length")
            .parse()
            .expect("a number");
        while buffer.len() < end + length {
            if matches!(stream.read_buf(&mut buffer).await, Ok(0) | Err(_)) {
                return;
            }
        }
        let target = header("x-amz-target").expect("an operation");
        let seen = Seen {
            operation: target.split('.').next_back().expect("a name").to_owned(),
            body: serde_json::from_slice(&buffer[end..end + length]).expect("JSON"),
            head: head.to_ascii_lowercase(),
        };
        buffer.drain(..end + length);
        let (status, body) = shared.script.lock().expect("no panic")(&seen);
        shared.seen.lock().expect("no panic").push(seen);
        let answer = format!(
            "HTTP/1.1 {status} Status\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: r\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
