//! Sends a case's requests to the input `http`, one after the other, and keeps the answers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// One of `requests.json`.
pub struct Sent {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Sent {
    /// Reads `{"method": "POST", "path": "/", "headers": {…}, "body": TEXT}`; in place of `body`, `hex` holds bytes.
    pub fn of(json: &Value) -> Sent {
        let fields = json.as_object().expect("a request is an object");
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let headers = fields.get("headers").and_then(Value::as_object);
        let headers = headers.into_iter().flatten().map(|(name, value)| {
            let value = value.as_str().expect("a header is text");
            (name.clone(), value.to_owned())
        });
        let body = match text("hex") {
            Some(digits) => bytes(digits),
            None => text("body").unwrap_or_default().as_bytes().to_vec(),
        };
        Sent {
            method: text("method").unwrap_or("POST").to_owned(),
            path: text("path").unwrap_or("/").to_owned(),
            headers: headers.collect(),
            body,
        }
    }

    /// Sends it to `port` of this machine, as soon as somebody listens there: the answer's status, its body, and those of
    /// its headers whose names begin with `x-case`.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn answer(&self, port: u16) -> Result<Value, String> {
        let mut stream = connect(port)?;
        let failed = |error: std::io::Error| format!("{} {}: {error}", self.method, self.path);
        let headers = self.headers.iter();
        let headers: String = headers
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
            self.method,
            self.path,
            self.body.len()
        );
        stream.write_all(head.as_bytes()).map_err(failed)?;
        stream.write_all(&self.body).map_err(failed)?;
        read_answer(&mut BufReader::new(stream)).map_err(failed)
    }
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    bench::free_port().expect("a free port")
}

fn connect(port: u16) -> Result<TcpStream, String> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                let timeout = stream.set_read_timeout(Some(PATIENCE));
                return timeout.map(|()| stream).map_err(|error| error.to_string());
            }
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(format!("port {port}: {error}"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn read_answer(reader: &mut impl BufRead) -> std::io::Result<Value> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status: u16 = line
        .split(' ')
        .nth(1)
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let (mut length, mut headers) = (0, Map::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-length" {
            length = value.parse().unwrap_or(0);
        } else if name.starts_with("x-case") {
            headers.insert(name, json!(value));
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut answer = json!({"status": status, "body": String::from_utf8_lossy(&body)});
    if !headers.is_empty() {
        answer["headers"] = Value::Object(headers);
    }
    Ok(answer)
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    pairs
        .map(|pair| byte(pair).expect("hexadecimal digits"))
        .collect()
}
