//! Those who write while the router changes.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Writes numbered lines until it is told to stop.
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Sender {
    /// Appends `tail N` to a file, a few every millisecond.
    pub fn to_file(path: PathBuf) -> Sender {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .expect("a file");
        Sender::start(move |number| {
            writeln!(file, "tail {number}").expect("written");
        })
    }

    /// Sends `tcp N`, each over a connection of its own that is closed when the router has taken it.
    pub fn to_port(port: u16) -> Sender {
        Sender::start(move |number| {
            let stream = TcpStream::connect(("127.0.0.1", port));
            let mut stream = stream.expect("no connection is refused");
            writeln!(stream, "tcp {number}").expect("no connection is reset");
            stream.shutdown(Shutdown::Write).expect("open");
            let mut rest = Vec::new();
            stream
                .read_to_end(&mut rest)
                .expect("it is closed in order");
        })
    }

    /// Sends what `text` makes of each number, all over one connection, which nobody may close.
    pub fn over_one_connection(port: u16, text: fn(usize) -> Vec<u8>) -> Sender {
        let stream = TcpStream::connect(("127.0.0.1", port));
        let mut stream = stream.expect("it listens");
        Sender::start(move |number| {
            stream
                .write_all(&text(number))
                .expect("the connection stays");
        })
    }

    fn start(mut send: impl FnMut(usize) + Send + 'static) -> Sender {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut number = 0;
            while !told.load(Ordering::Relaxed) {
                send(number);
                number += 1;
                thread::sleep(Duration::from_millis(1));
            }
            number
        });
        Sender { stop, thread }
    }

    /// How many lines it has sent.
    pub fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sender did not fail")
    }
}
