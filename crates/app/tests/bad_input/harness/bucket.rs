//! A bucket that takes objects: `PUT`, each whole in one request.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::firehose::read_request;

/// Its threads end with the test.
pub struct Bucket {
    /// Objects by their path.
    objects: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Bucket {
    /// Serves on `port` of the loopback address.
    pub fn start(port: u16) -> Bucket {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let objects = Arc::default();
        let shared = Arc::clone(&objects);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let objects = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &objects));
            }
        });
        Bucket { objects }
    }

    /// All objects, one behind the other.
    pub fn text(&self) -> String {
        let objects = self.objects.lock().expect("no panic");
        objects.values().map(String::as_str).collect()
    }

    /// How many lines they have.
    pub fn records(&self) -> usize {
        self.text().lines().count()
    }
}

fn serve(stream: TcpStream, objects: &Mutex<BTreeMap<String, String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some((line, body)) = read_request(&mut reader) {
        if line.starts_with("put ") {
            let text = String::from_utf8(body).expect("text");
            objects.lock().expect("no panic").insert(line, text);
        }
        let answer = b"HTTP/1.1 200 OK\r\netag: \"e\"\r\ncontent-length: 0\r\n\r\n";
        if writer.write_all(answer).is_err() {
            return;
        }
    }
}
