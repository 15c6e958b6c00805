//! An HTTP server on threads of its own that answers what a test's script says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request: its target (`x-amz-target`, `METHOD /path`, or the action of a form) and its body.
#[derive(Clone, Debug)]
pub struct Seen {
    pub what: String,
    pub body: String,
    pub headers: Vec<(String, String)>,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub fn reply(status: u16, body: impl ToString) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

pub fn error(status: u16, code: &str) -> Reply {
    reply(
        status,
        json!({"__type": code, "message": "said the server"}),
    )
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// Its threads end with the test.
pub struct Server {
    pub url: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log): (Arc<Script>, _) = (Arc::new(script), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, log) = (script.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &*script, &log));
            }
        });
        Self { url, seen }
    }

    pub fn asked(&self) -> Vec<String> {
        let seen = self.seen.lock().expect("no panic");
        seen.iter().map(|seen| seen.what.clone()).collect()
    }

    pub fn body_of(&self, what: &str) -> Value {
        let seen = self.seen.lock().expect("no panic");
        let found = seen.iter().find(|seen| seen.what == what).expect(what);
        serde_json::from_str(&found.body).expect("JSON")
    }
}

fn serve(stream: TcpStream, script: &Script, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some(seen) = read_request(&mut reader) {
        let answer = script(&seen);
        let is_head = seen.what.starts_with("HEAD ");
        log.lock().expect("no panic").push(seen);
        let mut head = format!("HTTP/1.1 {} Said\r\n", answer.status);
        if !is_head {
            head.push_str(&format!("content-length: {}\r\n", answer.body.len()));
        }
        if !answer.headers.iter().any(|(name, _)| *name == "date") {
            head.push_str(&format!("date: {}\r\n", date(0)));
        }
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = if is_head { "" } else { &answer.body };
        if writer
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Seen> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let header = |name: &str| {
        let found = headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.clone())
    };
    let length = header("content-length").and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let what = match header("x-amz-target") {
        Some(target) => target,
        None if body.starts_with("Action=") => body.split('&').next()?.to_owned(),
        None => format!("{method} {path}"),
    };
    Some(Seen {
        what,
        body,
        headers,
    })
}

/// The date as HTTP writes it, so many seconds from now.
pub fn date(seconds: i64) -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
