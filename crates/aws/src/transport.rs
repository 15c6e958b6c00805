//! HTTP/1.1 to one endpoint over kept-alive connections: requests go in, answers come out, and when there is none it
//! is told how far the request got.
//!
//! Connections are driven by the call that uses them and belong to nobody else, so a dropped call closes its
//! connection, and no task has to be woken per request. Only the closing of idle ones is left to a task, which ends
//! when there are none.

mod connection;
mod pool;
mod response;
mod stream;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::endpoint::Endpoint;
use crate::net::{self, NetOptions};
use crate::proxy::Proxy;
use crate::tls::Tls;
use connection::{Connection, Limits};
use pool::Pool;
use stream::Stream;

/// A larger body is not an answer of any call made here.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// So much is encrypted ahead of the socket: most requests to Firehose go with one call.
const ENCRYPTED_BYTES: usize = 256 * 1024;
/// Stands in for a `net.io_timeout` of zero.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest time for a request and its answer, however busily bytes trickle: 5 MiB at 17 kB/s.
const EXCHANGE_MAX: Duration = Duration::from_secs(300);

/// What a service answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// Status line and headers as they came.
    head: Bytes,
    /// The body, at most 8 MiB.
    pub body: Bytes,
}

impl Answer {
    /// The answer that a service gives with this status, these headers and this body: for tests of what reads answers.
    ///
    /// # Panics
    /// When `status` is no HTTP status.
    pub fn of(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            head: format!("HTTP/1.1 {status} \r\n{lines}\r\n").into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    /// The value of the first header of this name, in any case, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        // Found line by line when somebody asks, since mostly nobody does.
        self.head.split(|byte| *byte == b'\n').find_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            if !line[..colon].eq_ignore_ascii_case(name.as_bytes()) {
                return None;
            }
            std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()
        })
    }
}

/// Whether the beginning of the body of an answer with status 2xx, which need not be cut at any particular place, says all that
/// matters of it.
pub type Enough = fn(&[u8]) -> bool;

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint}: {problem}")]
pub struct ExchangeError {
    endpoint: String,
    /// How far the request got.
    pub(crate) reached: Reached,
    #[source]
    problem: Problem,
}

/// How far a request got that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There was no connection to send it on.
    NoConnection,
    /// No byte of it left this process.
    Unsent,
    /// A connection that had been idle was closed before a byte of the answer came: the peer closed it when it grew
    /// too old, before it saw the request.
    ClosedWhileIdle,
    /// It was sent, in part or whole; whether it was processed is unknown.
    Sent,
}

/// What went wrong on the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    #[error("no encrypted connection: {0}")]
    Tls(#[source] io::Error),
    #[error("no tunnel through the proxy: {0}")]
    Proxy(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    #[error("the connection was closed before the answer was complete")]
    Closed,
    #[error("the answer is no HTTP/1.1: {0}")]
    Malformed(String),
    #[error("the answer's headers are too large")]
    HeadTooLarge,
    #[error("silence for {0:?} while an answer was awaited (net.io_timeout)")]
    Silence(Duration),
    #[error("no complete answer within {0:?}")]
    TooSlow(Duration),
    #[error("the answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
}

/// Sends requests to one endpoint. May be shared between tasks; each call has a connection for itself.
#[derive(Debug)]
pub(crate) struct Transport {
    endpoint: Endpoint,
    net: NetOptions,
    tls: Option<Tls>,
    proxy: Option<Proxy>,
    pool: Pool,
}

/// Whether a call may use a connection that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    KeptAlive,
    /// None of the idle ones: one of them was just found dead.
    Fresh,
}

impl Transport {
    /// `tls` is used if the endpoint asks for it.
    pub fn new(endpoint: Endpoint, net: NetOptions, tls: Tls, proxy: Option<Proxy>) -> Self {
        let tls = endpoint.tls().then_some(tls);
        let pool = Pool::new(net.keepalive_idle_timeout);
        Self {
            endpoint,
            net,
            tls,
            proxy,
            pool,
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends one request, complete with its `host` header, and reads the whole answer.
    pub async fn exchange(
        &self,
        head: &Parts,
        body: &[u8],
        connections: Connections,
    ) -> Result<Answer, ExchangeError> {
        self.exchange_for(head, body, connections, None).await
    }

    /// The same; once `enough` of the body is there, its rest is received and left out.
    pub async fn exchange_for(
        &self,
        head: &Parts,
        body: &[u8],
        connections: Connections,
        enough: Option<Enough>,
    ) -> Result<Answer, ExchangeError> {
        let idle = match connections {
            Connections::KeptAlive => self.pool.take().await,
            Connections::Fresh => {
                self.pool.clear();
                None
            }
        };
        let mut connection = match idle {
            Some(connection) => connection,
            None => self
                .open()
                .await
                .map_err(|problem| self.error(Reached::NoConnection, problem))?,
        };
        let answer = connection.exchange(head, body, &self.limits(enough)).await;
        let answer = answer.map_err(|failure| self.error(failure.reached, failure.problem))?;
        if self.net.keepalive && connection.may_serve_again(self.net.keepalive_max_recycle) {
            self.pool.put(connection);
        }
        Ok(answer)
    }

    fn limits(&self, enough: Option<Enough>) -> Limits {
        let silence = if self.net.io_timeout.is_zero() {
            SILENCE_MAX
        } else {
            self.net.io_timeout
        };
        Limits {
            silence,
            whole: EXCHANGE_MAX.max(silence),
            answer_bytes: ANSWER_BYTES_MAX,
            enough,
        }
    }

    async fn open(&self) -> Result<Connection, Problem> {
        let deadline = Instant::now() + self.net.connect_max();
        self.open_stream(deadline).await.map(Connection::over)
    }

    async fn open_stream(&self, deadline: Instant) -> Result<Stream, Problem> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (self.endpoint.host(), self.endpoint.port()),
        };
        let tcp = net::connect(host, port, &self.net, deadline)
            .await
            .map_err(Problem::Connect)?;
        if let Some(proxy) = &self.proxy {
            let target = self.endpoint.host_and_port();
            let tunnel = proxy.tunnel(&tcp, &target);
            net::in_time(tunnel, &self.net, deadline)
                .await
                .map_err(Problem::Proxy)?;
        }
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let (config, name) = tls
            .for_host(self.endpoint.host())
            .map_err(|error| Problem::Tls(io::Error::other(error)))?;
        let handshake = TlsConnector::from(config).connect(name, tcp);
        let mut stream = net::in_time(handshake, &self.net, deadline)
            .await
            .map_err(Problem::Tls)?;
        stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED_BYTES));
        Ok(Stream::Tls(Box::new(stream)))
    }

    fn error(&self, reached: Reached, problem: Problem) -> ExchangeError {
        ExchangeError {
            endpoint: self.endpoint.host_and_port(),
            reached,
            problem,
        }
    }
}
