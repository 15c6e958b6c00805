//! One HTTP/1.1 connection and the exchanges on it.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::response::{Complete, Response};
use super::stream::Stream;
use super::{Answer, Enough, Problem, Reached};

/// Room for what is read at once; an answer to 500 records (110 kB) announces its length and is made room for.
const READ_BYTES: usize = 16 * 1024;

/// How long and how large an exchange may get, and how much of its answer matters.
#[derive(Debug)]
pub(super) struct Limits {
    pub silence: Duration,
    pub whole: Duration,
    pub answer_bytes: usize,
    pub enough: Option<Enough>,
}

/// An exchange that brought no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub reached: Reached,
    pub problem: Problem,
}

/// A connection with its buffers, which later exchanges use again. Its bytes move only while a call waits for it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// The head of the request.
    head: Vec<u8>,
    /// What was read and is not part of an answer yet.
    input: BytesMut,
    exchanges: u32,
    usable: bool,
}

impl Connection {
    pub fn over(stream: Stream) -> Self {
        Self {
            stream,
            head: Vec::new(),
            input: BytesMut::new(),
            exchanges: 0,
            usable: true,
        }
    }

    /// Whether the connection can carry a request: looks whether the peer has closed it meanwhile.
    pub async fn is_alive(&mut self) -> bool {
        // Lets the runtime look at its sockets first, so that a close which has arrived is seen here.
        tokio::task::yield_now().await;
        let mut unexpected = [0; 1];
        poll_fn(|cx| {
            let mut unexpected = ReadBuf::new(&mut unexpected);
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut unexpected);
            // The end, an error, or something that nobody asked for.
            Poll::Ready(read.is_pending())
        })
        .await
    }

    /// Whether it may be kept after so many exchanges (0: any number).
    pub fn may_serve_again(&self, exchanges_max: u32) -> bool {
        self.usable && (exchanges_max == 0 || self.exchanges <= exchanges_max)
    }

    /// Sends a request and reads its answer. After a failure the connection is of no more use.
    pub async fn exchange(
        &mut self,
        head: &Parts,
        body: &[u8],
        limits: &Limits,
    ) -> Result<Answer, Failure> {
        let reused = self.exchanges > 0;
        self.exchanges = self.exchanges.saturating_add(1);
        self.usable = false;
        self.head.clear();
        write_head(head, body.len(), &mut self.head);
        let mut exchange = Exchange {
            stream: &mut self.stream,
            input: &mut self.input,
            head: &self.head,
            body,
            written: 0,
            flushed: false,
            write_error: None,
            read: 0,
            response: Response::new(head.method == Method::HEAD, limits.answer_bytes)
                .ending_with(limits.enough),
        };
        match exchange.run(limits).await {
            Ok(Complete {
                answer,
                keeps_connection,
            }) => {
                // A request that was answered before it was sent whole leaves the connection in its middle.
                self.usable = keeps_connection && exchange.flushed && self.input.is_empty();
                Ok(answer)
            }
            Err(problem) => {
                let reached = match &problem {
                    _ if exchange.written == 0 => Reached::Unsent,
                    Problem::Closed if reused && exchange.read == 0 => Reached::ClosedWhileIdle,
                    _ => Reached::Sent,
                };
                Err(Failure { reached, problem })
            }
        }
    }
}

/// The request line and headers, with the length of the body behind them.
fn write_head(head: &Parts, body_bytes: usize, out: &mut Vec<u8>) {
    let target = head
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in &head.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if body_bytes > 0 || !matches!(head.method, Method::GET | Method::HEAD | Method::DELETE) {
        // Writing to memory does not fail.
        let _ = write!(out, "content-length: {body_bytes}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// A request on its way and the answer to it.
struct Exchange<'a> {
    stream: &'a mut Stream,
    input: &'a mut BytesMut,
    head: &'a [u8],
    body: &'a [u8],
    /// Bytes of head and body that the stream has taken.
    written: usize,
    /// Whether the request has left as a whole.
    flushed: bool,
    /// Why the rest of the request cannot be sent: an answer may have come all the same.
    write_error: Option<io::Error>,
    /// Bytes read.
    read: usize,
    response: Response,
}

impl Exchange<'_> {
    /// Ends with the answer, when no byte has moved for too long, or when the whole takes too long.
    async fn run(&mut self, limits: &Limits) -> Result<Complete, Problem> {
        let begin = Instant::now();
        let end = begin + limits.whole;
        let mut moved = (begin, 0);
        let mut alarm = pin!(sleep_until(begin + limits.silence));
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll(cx) {
                return Poll::Ready(result);
            }
            let bytes = self.written + self.read;
            if bytes != moved.1 {
                moved = (Instant::now(), bytes);
            }
            while alarm.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                if now >= end {
                    return Poll::Ready(Err(Problem::TooSlow(limits.whole)));
                }
                if now >= moved.0 + limits.silence {
                    return Poll::Ready(Err(Problem::Silence(limits.silence)));
                }
                alarm.as_mut().reset((moved.0 + limits.silence).min(end));
            }
            Poll::Pending
        })
        .await
    }

    /// Sends and reads at the same time: a service may refuse a request before it has taken all of it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Complete, Problem>> {
        if !self.flushed && self.write_error.is_none() {
            match self.poll_send(cx) {
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => {}
            }
        }
        self.poll_answer(cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.head.len() + self.body.len() {
            let head = self.head.get(self.written..).unwrap_or_default();
            let body = &self.body[self.written.saturating_sub(self.head.len())..];
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            let parts = if head.is_empty() { &parts[1..] } else { &parts };
            let written = ready!(Pin::new(&mut *self.stream).poll_write_vectored(cx, parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Complete, Problem>> {
        loop {
            let read = match self.response.unwanted() {
                0 => {
                    self.input.reserve(READ_BYTES);
                    let most = self.response.wanted();
                    ready!(poll_read(self.stream, self.input, most, cx))
                }
                unwanted => {
                    let passed = ready!(self.stream.poll_pass(unwanted, self.input, cx));
                    passed.inspect(|bytes| self.response.pass(*bytes))
                }
            };
            let closed = match read {
                Ok(0) => true,
                Ok(bytes) => {
                    self.read += bytes;
                    false
                }
                Err(error) if self.is_end(&error) => true,
                Err(error) => return Poll::Ready(Err(Problem::Io(error))),
            };
            match self.response.read(self.input, closed) {
                Ok(Some(complete)) => return Poll::Ready(Ok(complete)),
                Ok(None) => {}
                Err(Problem::Closed) => return Poll::Ready(Err(self.closed())),
                Err(problem) => return Poll::Ready(Err(problem)),
            }
        }
    }

    /// Whether this error is how the peer's closing of the connection looks.
    fn is_end(&self, error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    }

    /// The connection's end is what sending met first, if that was anything but the end, too.
    fn closed(&mut self) -> Problem {
        match self.write_error.take() {
            Some(error) if !self.is_end(&error) => Problem::Io(error),
            _ => Problem::Closed,
        }
    }
}

/// Reads into the free room of `input`, at most so many bytes.
fn poll_read(
    stream: &mut Stream,
    input: &mut BytesMut,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let room = input.spare_capacity_mut();
    let most = most.min(room.len());
    let mut read = ReadBuf::uninit(&mut room[..most]);
    ready!(Pin::new(stream).poll_read(cx, &mut read))?;
    let bytes = read.filled().len();
    // SAFETY: the stream has filled so many bytes of the free room, as `ReadBuf` keeps count.
    unsafe { input.set_len(input.len() + bytes) };
    Poll::Ready(Ok(bytes))
}
