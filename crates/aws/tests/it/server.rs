//! An HTTP server on a thread of its own that does what a test's script says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use aws::{Credentials, Service, Signer};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Parts,
    pub body: Bytes,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Whether the signature is the one that these credentials give for what arrived.
    pub fn is_signed_by(&self, service: Service, credentials: &Credentials) -> bool {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = self.head.method.clone();
        head.uri = self.head.uri.clone();
        head.headers = self.head.headers.clone();
        head.headers.remove("content-length");
        let Some(at) = self.header("x-amz-date").and_then(time_of) else {
            return false;
        };
        Signer::new(service, "eu-central-1").sign(&mut head, &self.body, credentials, at);
        head.headers.get("authorization") == self.head.headers.get("authorization")
    }
}

/// Reads `20261122T134500Z`.
pub fn time_of(text: &str) -> Option<SystemTime> {
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(at).ok()?;
    Some(at.into())
}

/// What the server does about a request.
pub enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Closes the connection without an answer.
    Close,
    /// Answers nothing, but keeps the connection.
    Silence,
    /// Sends pieces of a chunked body without end.
    Endless,
    /// Answers before the body has come, then reads on.
    Early(u16),
}

impl Reply {
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::Answer(200, Vec::new(), body.into())
    }

    pub fn error(status: u16, code: &str) -> Self {
        let body = format!(r#"{{"__type":"{code}","message":"said the server"}}"#);
        Self::Answer(status, Vec::new(), body.into())
    }
}

type Script = dyn Fn(&Seen, usize) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// The clients' ends, by number of the connection.
    peers: Mutex<HashMap<usize, SocketAddr>>,
    names: Mutex<Vec<Option<String>>>,
    open: AtomicUsize,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    close: watch::Sender<usize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// `script` gets each request and its number, counted from 0.
    pub fn start(script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_tls(None, script)
    }

    pub fn with_tls(
        tls: Option<rustls::ServerConfig>,
        script: impl Fn(&Seen, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            peers: Mutex::default(),
            names: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (close, closing) = watch::channel(0);
        let (bound, address) = std::sync::mpsc::channel();
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = accept(listener, tls, serving, closing) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = address.recv().unwrap();
        Self {
            address,
            shared,
            close,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The names that TLS clients asked for.
    pub fn names(&self) -> Vec<Option<String>> {
        self.shared.names.lock().unwrap().clone()
    }

    /// The addresses that clients came from.
    pub fn peers(&self) -> Vec<String> {
        let peers = self.shared.peers.lock().unwrap();
        peers.values().map(|peer| peer.ip().to_string()).collect()
    }

    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Closes all connections and waits until the client's kernel knows.
    pub fn close_connections(&self) {
        self.close.send_modify(|count| *count += 1);
        let peers: Vec<_> = self
            .shared
            .peers
            .lock()
            .unwrap()
            .values()
            .copied()
            .collect();
        until("all connections are closed", || {
            self.open_connections() == 0
                && peers
                    .iter()
                    .all(|peer| !is_established(peer.port(), self.port()))
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Waits for a condition; a test that would wait for ever fails.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(
            begin.elapsed().as_secs() < 60,
            "waited in vain until {what}"
        );
        std::thread::yield_now();
    }
}

/// Whether this machine holds a connection from `local` to `remote` that neither side has closed.
fn is_established(local: u16, remote: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = format!(":{local:04X} 0100007F:{remote:04X} 01 ");
    table.contains(&ends)
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    closing: watch::Receiver<usize>,
) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            return;
        };
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.peers.lock().unwrap().insert(connection, peer);
        shared.open.fetch_add(1, Ordering::SeqCst);
        let (tls, shared, mut closing) = (tls.clone(), shared.clone(), closing.clone());
        closing.mark_unchanged();
        tokio::spawn(async move {
            tokio::select! {
                _ = converse(stream, tls, connection, shared.clone()) => {}
                _ = closing.changed() => {}
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn converse(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: usize,
    shared: Arc<Shared>,
) -> io::Result<()> {
    match tls {
        None => serve(stream, connection, shared).await,
        Some(tls) => {
            let stream = tls.accept(stream).await?;
            let name = stream.get_ref().1.server_name().map(str::to_owned);
            shared.names.lock().unwrap().push(name);
            serve(stream, connection, shared).await
        }
    }
    Ok(())
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    connection: usize,
    shared: Arc<Shared>,
) {
    let service = service_fn(|request| answer(request, connection, shared.clone()));
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    drop(serving.await);
}

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: http::Request<Incoming>,
    connection: usize,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let (head, incoming) = request.into_parts();
    let early = Seen {
        head: head.clone(),
        body: Bytes::new(),
        connection,
    };
    let number = shared.seen.lock().unwrap().len();
    if let Reply::Early(status) = (shared.script)(&early, number) {
        shared.seen.lock().unwrap().push(early);
        tokio::spawn(incoming.collect());
        return Ok(response(
            status,
            Vec::new(),
            Full::new(Bytes::new()).boxed_unsync(),
        ));
    }
    let body = incoming
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    let seen = Seen {
        head,
        body,
        connection,
    };
    let reply = (shared.script)(&seen, number);
    shared.seen.lock().unwrap().push(seen);
    match reply {
        Reply::Answer(status, headers, body) => {
            Ok(response(status, headers, Full::new(body).boxed_unsync()))
        }
        Reply::Close => Err(io::Error::other("as the script says")),
        Reply::Silence | Reply::Early(_) => std::future::pending().await,
        Reply::Endless => {
            let pieces =
                std::iter::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'x'; 64 * 1024]))));
            Ok(response(
                200,
                Vec::new(),
                StreamBody::new(Pieces(pieces)).boxed_unsync(),
            ))
        }
    }
}

fn response(status: u16, headers: Vec<(&'static str, String)>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, value.parse().unwrap());
    }
    *response.headers_mut() = map;
    response
}

/// An iterator as a stream.
struct Pieces<I>(I);

impl<I: Iterator + Unpin> futures_util::Stream for Pieces<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
