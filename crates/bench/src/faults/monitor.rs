//! What a router's monitoring server says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::configuration::Configuration;
use super::router::Router;

/// How long a counter may take to show.
const SHOW_MAX: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// The configuration with a monitoring server.
pub fn with(configuration: Configuration, port: u16) -> Configuration {
    let port = format!("HTTP_Port {port}");
    configuration.service(&["HTTP_Server On", "HTTP_Listen 127.0.0.1", &port])
}

/// How many records all outputs have dropped, as soon as there are some.
pub fn dropped(port: u16, router: &mut Router) -> Result<u64, String> {
    let end = Instant::now() + SHOW_MAX;
    loop {
        router.check()?;
        let text = get(port, "/api/v1/metrics").unwrap_or_default();
        let metrics: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let outputs = metrics["output"].as_object();
        let counts = outputs.into_iter().flat_map(|outputs| outputs.values());
        let dropped = counts
            .filter_map(|output| output["dropped_records"].as_u64())
            .sum();
        if dropped > 0 || Instant::now() > end {
            return Ok(dropped);
        }
        std::thread::sleep(LOOK);
    }
}

/// The body of an answer.
pub fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SHOW_MAX))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(match answer.split_once("\r\n\r\n") {
        Some((_, body)) => body.to_owned(),
        None => String::new(),
    })
}
