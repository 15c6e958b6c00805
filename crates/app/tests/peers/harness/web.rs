//! Requests to NGINX, each with a path of its own, by which its log line is known again.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use super::wait::until;
use super::{data, free_port};

/// A server under test: the port that it is told to listen on, and its configuration.
pub struct Web {
    pub configuration: PathBuf,
    port: u16,
    visits: usize,
}

impl Web {
    /// Writes a configuration with a free port into `folder`.
    pub fn new(folder: &Path) -> Web {
        let port = free_port();
        let text =
            fs::read_to_string(data("containers/nginx/nginx.conf")).expect("NGINX's configuration");
        let configuration = folder.join("nginx.conf");
        fs::write(
            &configuration,
            text.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")),
        )
        .expect("a configuration");
        Web {
            configuration,
            port,
            visits: 0,
        }
    }

    /// Waits until the server accepts connections. That alone makes no line.
    pub fn ready(&self) {
        until("NGINX to listen", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Makes `count` requests: all that the post's pattern reads, but for one with a forwarded-for address, the last but one.
    pub fn visit(&mut self, count: usize) {
        for _ in 2..count {
            self.visits += 1;
            self.get(&self.last_path(), "");
        }
        self.get("/ok/forwarded", "X-Forwarded-For: 203.0.113.7\r\n");
        self.visits += 1;
        self.get(&self.last_path(), "");
    }

    /// The path of the last request: NGINX writes in order, so that where its line is, all others are.
    pub fn last_path(&self) -> String {
        format!("/ok/{:06}", self.visits)
    }

    fn get(&self, path: &str, header: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("NGINX accepts");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (test \"é\")\r\nConnection: close\r\n{header}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("NGINX reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("NGINX answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
