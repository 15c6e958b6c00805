//! A Firehose that a test gives its manners: it may be well, or play dead in several ways.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Records are taken.
    Well,
    /// No answer at all; the connection stays open.
    Silent,
    /// Bytes that are no HTTP.
    Garbage,
    /// Status 500.
    Failing,
}

/// Its threads end with the test.
pub struct Firehose {
    state: Arc<State>,
}

struct State {
    manner: Mutex<Manner>,
    /// How many requests were met badly.
    met: Mutex<usize>,
    /// Records that were taken, each with how often it came.
    taken: Mutex<BTreeMap<String, usize>>,
}

impl Firehose {
    /// Serves on `port` of the loopback address.
    pub fn start(port: u16, manner: Manner) -> Firehose {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let state = Arc::new(State {
            manner: Mutex::new(manner),
            met: Mutex::new(0),
            taken: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Firehose { state }
    }

    /// From now on it answers like this. Who waits in vain for an answer is disconnected.
    pub fn behave(&self, manner: Manner) {
        *self.state.manner.lock().expect("no panic") = manner;
    }

    /// How many requests were not answered well.
    pub fn met(&self) -> usize {
        *self.state.met.lock().expect("no panic")
    }

    /// How many records were taken.
    pub fn count(&self) -> usize {
        let taken = self.state.taken.lock().expect("no panic");
        taken.values().sum()
    }

    /// The field `log` of the records that were taken, and how often each came.
    pub fn taken(&self) -> BTreeMap<String, usize> {
        self.state.taken.lock().expect("no panic").clone()
    }
}

fn serve(stream: TcpStream, state: &State) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some((_, body)) = read_request(&mut reader) {
        let manner = *state.manner.lock().expect("no panic");
        if manner != Manner::Well {
            *state.met.lock().expect("no panic") += 1;
        }
        let answer = match manner {
            Manner::Well => ok(&state.take(&body).to_string()),
            Manner::Silent => {
                super::until("the end of silence", || {
                    *state.manner.lock().expect("no panic") != Manner::Silent
                });
                return;
            }
            Manner::Garbage => {
                b"\x00\xff\x16\x03\x01 220 mail.example.com ESMTP\r\n\r\n\x80".to_vec()
            }
            Manner::Failing => b"HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\nno luck\r\n".to_vec(),
        };
        if writer.write_all(&answer).is_err() || manner == Manner::Garbage {
            return;
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// The first line of the next request, in lower case, and its body.
pub fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            first = line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((first, body))
}

impl State {
    /// Takes the records of a `PutRecordBatch`; the answer.
    fn take(&self, body: &[u8]) -> Value {
        let request: Value = serde_json::from_slice(body).expect("JSON");
        let records = request["Records"].as_array().expect("records");
        for record in records {
            let data = record["Data"].as_str().expect("base64");
            let data = base64_simd::STANDARD.decode_to_vec(data).expect("base64");
            let record: Value = serde_json::from_slice(&data).expect("JSON");
            let log = record["log"].as_str().expect("a field 'log'").to_owned();
            let mut taken = self.taken.lock().expect("no panic");
            *taken.entry(log).or_default() += 1;
        }
        let verdict = json!({"RecordId": "r".repeat(220)});
        json!({"FailedPutCount": 0, "RequestResponses": vec![verdict; records.len()]})
    }
}

/// Gives `command` credentials for AWS, and nothing else of AWS's settings.
pub fn point(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true");
}
