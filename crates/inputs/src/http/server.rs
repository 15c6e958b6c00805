//! HTTP on one connection.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use plugin::{Emitter, Stop};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Instance, request};
use crate::listening::door::{Arrival, Guest};
use crate::listening::seats::Seat;

/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// The most bytes of the headers of a request over HTTP/2, unpacked.
const HEADER_LIST_MAX: u32 = 32 << 10;
/// Requests of one connection at once, over HTTP/2.
const STREAMS_MAX: u32 = 32;
/// Requests that a client took back and that still cost something.
const RESETS_MAX: usize = 32;
/// What a client may send over HTTP/2 before anybody reads it: for one request, and for all of a connection.
const WINDOWS: (u32, u32) = (64 << 10, 256 << 10);
/// How long a connection that is to be closed may take to get rid of its last answer.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// How long a stop waits for requests that have not arrived whole.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs what HTTP/2 needs besides on the thread of the connection.
#[derive(Clone, Copy)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Whether anything goes on on a connection.
pub struct Activity {
    seat: Seat,
    /// Requests that are not answered yet.
    requests: Cell<usize>,
    /// When there last was one.
    last: Cell<Instant>,
    changed: Notify,
}

/// One request of a connection; its end is noted when it is dropped.
pub struct Running(Rc<Activity>);

impl Activity {
    fn begin(self: &Rc<Activity>) -> Running {
        self.requests.set(self.requests.get() + 1);
        self.seat.note_heard();
        self.seat.set_busy(true);
        Running(Rc::clone(self))
    }

    /// Completes when there has been no request for so long.
    async fn ceases(&self, idle: Option<Duration>) {
        loop {
            let until = match (self.requests.get(), idle) {
                (0, Some(idle)) => self.last.get() + idle,
                _ => {
                    self.changed.notified().await;
                    continue;
                }
            };
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let left = self.0.requests.get() - 1;
        self.0.requests.set(left);
        self.0.last.set(Instant::now());
        self.0.seat.set_busy(left > 0);
        self.0.seat.note_heard();
        self.0.changed.notify_one();
    }
}

/// Lets a client in and answers its requests until it is done, idle for too long, or a stop.
pub async fn serve(arrival: Arrival, instance: Rc<Instance>, emitter: Emitter, stop: Stop) {
    let entered = tokio::select! {
        entered = arrival.enter() => entered,
        () = stop.requested() => return,
    };
    match entered {
        Ok(guest) => converse(guest, &instance, emitter, stop).await,
        Err(reason) => {
            instance.counters.turned_down.add(1);
            instance
                .notices
                .warn(format_args!("a connection is closed: {reason}"));
        }
    }
}

async fn converse(guest: Guest, instance: &Rc<Instance>, emitter: Emitter, stop: Stop) {
    let activity = Rc::new(Activity {
        seat: guest.seat,
        requests: Cell::new(0),
        last: Cell::new(Instant::now()),
        changed: Notify::new(),
    });
    let service = service_fn(|request| {
        let running = activity.begin();
        let (instance, emitter) = (Rc::clone(instance), emitter.clone());
        async move {
            let answer = request::answer(request, &instance, &emitter).await;
            drop(running);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder(instance);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(guest.stream), service));
    let idle = instance.options.idle_timeout();
    let patience = tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                instance.context.log.debug(format_args!("a connection ended: {error}"));
            }
            return;
        }
        () = activity.ceases(idle) => LAST_PATIENCE,
        () = activity.seat.must_leave() => LAST_PATIENCE,
        () = stop.requested() => STOP_PATIENCE,
    };
    // What is being answered is answered; then the connection ends.
    connection.as_mut().graceful_shutdown();
    let ceased = async {
        activity.ceases(Some(patience)).await;
    };
    tokio::select! {
        _ = connection.as_mut() => {}
        () = ceased => {}
    }
    let _ = timeout(Duration::ZERO, connection).await;
}

fn builder(instance: &Instance) -> Builder<OnThisThread> {
    let mut builder = Builder::new(OnThisThread);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(instance.options.idle_timeout())
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .max_header_list_size(HEADER_LIST_MAX)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1);
    match instance.options.http2 {
        true => builder,
        false => builder.http1_only(),
    }
}
