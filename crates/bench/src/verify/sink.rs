//! The report of a running sink.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::report::{Report, Sent};

const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Asks a sink what has arrived of what was sent.
pub fn report(url: &str, sent: Option<&Sent>) -> Result<Report, String> {
    let question = match sent {
        Some(sent) => serde_json::to_string(sent).unwrap_or_default(),
        None => String::new(),
    };
    let answer = post(url, &question).map_err(|error| format!("{url}: {error}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("{url} does not speak HTTP"))?;
    match head.split(' ').nth(1) {
        Some("200") => {
            serde_json::from_str(body).map_err(|error| format!("{url} gives no report: {error}"))
        }
        _ => Err(format!("{url}: {}", body.trim())),
    }
}

/// One request over a connection of its own, so that the answer ends with it.
fn post(url: &str, question: &str) -> std::io::Result<String> {
    let host = url.strip_prefix("http://").ok_or_else(|| {
        std::io::Error::other(
            "only http:// is understood: a sink with TLS prints its report at its end",
        )
    })?;
    let host = host.trim_end_matches("/report").trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    let length = question.len();
    write!(
        stream,
        "POST /report HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{question}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
