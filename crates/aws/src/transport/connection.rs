//! One HTTP/1.1 connection and the exchanges on it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until};

use super::stream::{Metered, Stream, Traffic};
use super::{Answer, Problem, Reached};

/// hyper reads into a buffer that grows up to this; an answer to 500 records (110 kB) takes a few reads.
const READ_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The services' headers take less than 1 kB.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long and how large an exchange may get.
#[derive(Debug)]
pub(super) struct Limits {
    pub silence: Duration,
    pub whole: Duration,
    pub answer_bytes: usize,
}

/// An exchange that brought no answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub reached: Reached,
    pub problem: Problem,
}

/// A connection together with the state machine that moves its bytes, which runs only while a call waits for it.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Metered>, Full<Bytes>>>>,
    driver_ended: bool,
    traffic: Arc<Traffic>,
    exchanges: u32,
}

impl Connection {
    pub async fn over(stream: Stream) -> hyper::Result<Self> {
        let (stream, traffic) = Metered::new(stream);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_BUFFER_BYTES_MAX);
        builder.max_header_size(HEADER_BYTES_MAX);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            driver_ended: false,
            traffic,
            exchanges: 0,
        })
    }

    /// Whether the connection can carry a request: looks whether the peer has closed it meanwhile.
    pub async fn is_alive(&mut self) -> bool {
        let Self {
            sender,
            driver,
            driver_ended,
            ..
        } = self;
        if *driver_ended {
            return false;
        }
        // Lets the runtime look at its sockets first, so that a close which has arrived is seen here.
        tokio::task::yield_now().await;
        // Nothing has to come from the peer for this, so it is settled in the first look.
        let mut ready = pin!(sender.ready());
        poll_fn(|cx| {
            *driver_ended = driver.as_mut().poll(cx).is_ready();
            let ready = ready.as_mut().poll(cx).map(|ready| ready.is_ok());
            Poll::Ready(!*driver_ended && ready == Poll::Ready(true))
        })
        .await
    }

    /// Whether it may be kept after so many exchanges (0: any number).
    pub fn may_serve_again(&self, exchanges_max: u32) -> bool {
        !self.driver_ended && (exchanges_max == 0 || self.exchanges <= exchanges_max)
    }

    /// Sends a request and reads its answer. After a failure the connection is of no more use.
    pub async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limits: &Limits,
    ) -> Result<Answer, Failure> {
        let (read, written) = (self.traffic.read(), self.traffic.written());
        let reused = self.exchanges > 0;
        self.exchanges = self.exchanges.saturating_add(1);
        let Self {
            sender,
            driver,
            driver_ended,
            traffic,
            ..
        } = self;
        let mut work = pin!(async {
            let response = sender.send_request(request).await.map_err(Problem::Http)?;
            let (head, body) = response.into_parts();
            let body = collect(body, limits.answer_bytes).await?;
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        });
        let result = watched(traffic, limits, |cx| {
            let first = work.as_mut().poll(cx);
            if first.is_ready() || *driver_ended {
                return first;
            }
            // What the driver learns reaches the work through a channel, so look at the work again.
            *driver_ended = driver.as_mut().poll(cx).is_ready();
            work.as_mut().poll(cx)
        })
        .await;
        result.map_err(|problem| {
            let begun = traffic.read() > read;
            let reached = reached(&problem, traffic.written() > written, reused && !begun);
            Failure { reached, problem }
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("exchanges", &self.exchanges)
            .finish_non_exhaustive()
    }
}

fn reached(problem: &Problem, sent: bool, reused_without_answer: bool) -> Reached {
    match problem {
        _ if !sent => Reached::Unsent,
        Problem::Http(error) if reused_without_answer && is_closed(error) => {
            Reached::ClosedWhileIdle
        }
        _ => Reached::Sent,
    }
}

/// Whether the peer closed the connection, as opposed to being out of reach or talking nonsense.
fn is_closed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    let kind = cause.map(io::Error::kind);
    let reset = [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        UnexpectedEof,
    ];
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || kind.is_some_and(|kind| reset.contains(&kind))
}

/// Polls until there is a result, no byte has moved for too long, or the whole takes too long.
async fn watched<T>(
    traffic: &Traffic,
    limits: &Limits,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T, Problem>>,
) -> Result<T, Problem> {
    let begin = Instant::now();
    let end = begin + limits.whole;
    let mut moved = (begin, traffic.read() + traffic.written());
    let mut alarm = pin!(sleep_until(begin + limits.silence));
    poll_fn(|cx| {
        if let Poll::Ready(result) = poll(cx) {
            return Poll::Ready(result);
        }
        let bytes = traffic.read() + traffic.written();
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

/// Reads a body to its end. One that comes in one piece is not copied.
async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(Problem::TooLarge);
    }
    let Some(first) = next_piece(&mut body).await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = next_piece(&mut body).await? else {
        return Ok(first);
    };
    let mut whole = BytesMut::with_capacity(announced.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = next_piece(&mut body).await? {
        if whole.len() + piece.len() > bytes_max {
            return Err(Problem::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

async fn next_piece(body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(Problem::Http)?.into_data() {
            return Ok(Some(piece));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(60),
        whole: Duration::from_secs(300),
        answer_bytes: 0,
    };

    /// Watches work that never ends while a byte moves every `pause`, for so many times.
    fn watch(pause: Duration, times: u64) -> (Problem, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let traffic = Traffic::default();
            let begin = Instant::now();
            let mut left = times;
            let mut next = pin!(sleep_until(begin + pause));
            let watched = watched(&traffic, &LIMITS, |cx| {
                while left > 0 && next.as_mut().poll(cx).is_ready() {
                    left -= 1;
                    traffic.count_read(1);
                    next.as_mut().reset(Instant::now() + pause);
                }
                Poll::<Result<(), _>>::Pending
            });
            let problem = watched.await.unwrap_err();
            (problem, begin.elapsed())
        })
    }

    #[test]
    fn silence_is_counted_from_the_last_byte() {
        for (pause, times, seconds) in [(1, 0, 60), (1, 10, 70), (59, 3, 237), (61, 3, 60)] {
            let (problem, after) = watch(Duration::from_secs(pause), times);
            assert!(matches!(problem, Problem::Silence(_)), "{problem}");
            assert_eq!(
                after.as_secs(),
                seconds,
                "a byte every {pause} s, {times} times"
            );
        }
    }

    #[test]
    fn a_trickle_is_cut_off() {
        for pause in [1, 30, 59] {
            let (problem, after) = watch(Duration::from_secs(pause), u64::MAX);
            assert!(matches!(problem, Problem::TooSlow(_)), "{problem}");
            assert_eq!(after.as_secs(), 300);
        }
    }
}
