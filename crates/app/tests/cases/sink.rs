//! Where the programs deliver to: a TLS server on a free port of this machine that remembers every request.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustls::{ServerConnection, StreamOwned};

use crate::answer::{Answer, LogGroups, answer};
use crate::identity::identity;
use crate::request::Request;

/// A running server; it takes no more connections once it is dropped.
pub struct Sink {
    address: SocketAddr,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    requests: Mutex<Vec<Request>>,
    groups: Mutex<LogGroups>,
    closed: AtomicBool,
}

impl Sink {
    /// Starts one that does not know the log groups `missing_groups`.
    pub fn start(missing_groups: &[String]) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Heard {
            groups: Mutex::new(LogGroups::without(missing_groups)),
            ..Heard::default()
        });
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if shared.closed.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A connection that breaks is the program's business: it shows in what is missing.
                thread::spawn(move || serve(connection, &shared));
            }
        });
        Sink { address, heard }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far that were not refused, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.heard.requests).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.heard.closed.store(true, Ordering::Release);
        // The listener wakes up and sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(connection: TcpStream, heard: &Heard) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let tls = ServerConnection::new(Arc::clone(&identity().server)).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, connection));
    while let Some(request) = Request::read(&mut stream)? {
        let answer = {
            let mut requests = locked(&heard.requests);
            let answer = answer(&request, &mut locked(&heard.groups));
            if answer.status == 200 {
                requests.push(request);
            }
            answer
        };
        stream.get_mut().write_all(&encoded(&answer))?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

fn encoded(answer: &Answer) -> Vec<u8> {
    let reason = if answer.status == 200 {
        "OK"
    } else {
        "Bad Request"
    };
    let mut text = format!(
        "HTTP/1.1 {} {reason}\r\nx-amzn-RequestId: 1\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n",
        answer.status,
        answer.body.len()
    );
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(&answer.body);
    text.into_bytes()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
