//! Receives records over HTTP: POST requests whose bodies are JSON or a form, as Fluent Bit 5.1.1's `in_http` takes them.
//!
//! A request is answered with success when its records are delivered or durable, not before; when they cannot be taken
//! on, with 503. A body is taken whole or not at all. While memory is used up bodies are not read and clients wait.
//!
//! The way of a request: `server` speaks HTTP, `request` decides what becomes of it, `body` reads it as far as there is
//! room, `unpack` decompresses, `elements` and `form` find the records, `intake` makes batches of them.

mod body;
mod elements;
mod form;
mod intake;
mod request;
mod server;
mod unpack;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use config::{BlankList, Options, Seconds, Size, TlsOptions};
use http::{HeaderName, HeaderValue, StatusCode};
use plugin::{
    BuildError, Counter, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop,
};
use record::accessor::Accessor;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::gate::Gate;
use crate::listening::door::{self, Door};
use crate::listening::notices::Notices;
use crate::listening::socket::Place;

/// `http`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Http>("http");

/// A body may unpack to so many times `buffer_max_size`.
const UNPACKED_PER_BUFFER: usize = 8;
/// A batch cannot span more than twice this.
const BODY_LARGEST: usize = 512 << 20;

/// Receives records over HTTP: POST requests whose bodies are JSON (`application/json`) or a form
/// (`application/x-www-form-urlencoded`), plain or compressed (`gzip`, `zstd`, `snappy`).
///
/// The path of a request becomes the tag of its records: `/app.log` is `app.log`, and what is neither a letter, a digit,
/// `_` nor `.` becomes `_`. Requests for `/` get the configured tag. A request is answered with success when its records
/// are delivered, or durable with `storage.type filesystem`.
#[derive(Clone, Debug, Options)]
pub struct HttpOptions {
    /// The address to listen on.
    #[option(name = "listen", default = "0.0.0.0")]
    pub listen: String,
    /// The TCP port.
    #[option(name = "port", default = "9880")]
    pub port: u16,
    /// The field whose text becomes the tag, as a record accessor (`$kubernetes['app']`) or the name of a key. It comes
    /// before the path.
    #[option(name = "tag_key")]
    pub tag_key: Option<String>,
    /// Add the client's address to each record: the first one in the header `X-Forwarded-For`. Requests without that
    /// header get none.
    #[option(name = "add_remote_addr", default = "false")]
    pub add_remote_addr: bool,
    /// The key of the client's address. A record that has the key keeps it.
    #[option(name = "remote_addr_key", default = "REMOTE_ADDR")]
    pub remote_addr_key: String,
    /// A header of answers that mean success: `NAME VALUE`.
    #[option(name = "success_header", multiple)]
    pub success_header: Vec<BlankList<1>>,
    /// The status of answers that mean success: 200, 201 or 204.
    #[option(name = "successful_response_code", default = "201")]
    pub successful_response_code: i64,
    /// Answer `GET /health`.
    #[option(name = "enable_health_endpoint", default = "false")]
    pub enable_health_endpoint: bool,
    /// Whether HTTP/2 is understood besides HTTP/1.
    #[option(name = "http_server.http2", alias = "http2", default = "true")]
    pub http2: bool,
    /// How long a connection without a request is kept; 0 is for ever.
    #[option(name = "http_server.idle_timeout", default = "10s")]
    pub idle_timeout: Seconds,
    /// The largest body as it is sent. Unpacked it may be eight times as large. Larger ones are answered with 413.
    #[option(
        name = "http_server.buffer_max_size",
        alias = "buffer_max_size",
        default = "4M"
    )]
    pub buffer_max_size: Size,
    /// Accepted; how much is read at once is decided by what arrives and what the memory limit allows.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(
        name = "http_server.buffer_chunk_size",
        alias = "buffer_chunk_size",
        default = "512K"
    )]
    buffer_chunk_size: Size,
    /// How many connections there may be; 0 leaves it to how many files the process may have open. When there are more,
    /// the one that has been idle longest is closed.
    #[option(
        name = "http_server.max_connections",
        alias = "max_connections",
        default = "0"
    )]
    pub max_connections: Size,
    /// Accepted; `workers` of `[SERVICE]` counts, for all inputs.
    #[option(name = "http_server.workers", alias = "workers", default = "1")]
    pub workers: i64,
    /// Accepted; there is no such queue here.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(name = "http_server.ingress_queue_event_limit", default = "8192")]
    ingress_queue_event_limit: Size,
    /// Accepted; there is no such queue here.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(name = "http_server.ingress_queue_byte_limit", default = "256M")]
    ingress_queue_byte_limit: Size,
    /// Settings of OAuth 2. `oauth2.validate` is not supported yet, and is refused.
    #[option(name = "oauth2", prefix)]
    pub oauth2: Vec<(String, String)>,
    #[option(flatten)]
    pub tls: TlsOptions,
}

/// What all connections of an instance share.
struct Instance {
    options: HttpOptions,
    answers: Answers,
    tag_key: Option<Accessor>,
    context: InputContext,
    gate: Gate,
    notices: Rc<Notices>,
    counters: Counters,
    unanswered: Unanswered,
}

/// What an answer that means success is made of.
struct Answers {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Requests whose records are sent on and not answered for, whether or not their clients still wait.
#[derive(Default)]
struct Unanswered {
    requests: Cell<usize>,
    changed: Notify,
}

/// What is counted besides records.
struct Counters {
    /// Requests that were answered with an error of the client's.
    refused_requests: Counter,
    /// Elements of arrays that are no objects.
    not_an_object: Counter,
    /// Records that could not be taken on, of clients that are gone.
    refused: Counter,
    /// Connections that never came to send.
    turned_down: Counter,
    /// Tags in which something had to be replaced.
    unsafe_tags: Counter,
}

struct Http {
    door: Door,
    options: HttpOptions,
    answers: Answers,
    tag_key: Option<Accessor>,
    context: InputContext,
}

impl Input for Http {
    type Options = HttpOptions;

    const SPREADS: bool = true;

    fn build(
        options: HttpOptions,
        context: InputContext,
        handover: Handover,
    ) -> Result<Self, BuildError> {
        options.check(&context)?;
        let answers = Answers::of(&options, &context)?;
        let tag_key = options.tag_key.as_deref().map(Accessor::new).transpose();
        let tag_key = tag_key.map_err(|error| BuildError(format!("tag_key: {error}")))?;
        let place = Place::Tcp(options.listen.clone(), options.port);
        let protocols: &[&[u8]] = match options.http2 {
            true => &[b"h2", b"http/1.1"],
            false => &[b"http/1.1"],
        };
        let door = Door::open(&place, &options.tls, protocols, &context, handover)?;
        let door = door.with_limit(options.connections_max());
        if door.is_exposed() && !options.tls.verify_client_cert {
            door::note_exposed(
                &context.log,
                "'tls on' with tls.verify_client_cert keeps others out",
            );
        }
        Ok(Http {
            door,
            options,
            answers,
            tag_key,
            context,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        let instance = Rc::new(Instance {
            counters: Counters::register(&self.context),
            gate: Gate::open(&self.context.budget, self.context.shard.count).await,
            notices: self.door.notices(),
            options: self.options,
            answers: self.answers,
            tag_key: self.tag_key,
            context: self.context,
            unanswered: Unanswered::default(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = self.door.accept() => {
                    let (instance, emitter) = (Rc::clone(&instance), emitter.clone());
                    connections.spawn_local(server::serve(arrival, instance, emitter, stop.clone()));
                }
                Some(ended) = connections.join_next() => instance.note_end(ended),
                () = stop.requested() => break,
            }
        }
        // Who takes over accepts from now on; what is here only waits.
        stop.hand_over(self.door.into_handover());
        // Every connection waits until what it received is answered for, and so do those whose clients are gone.
        while let Some(ended) = connections.join_next().await {
            instance.note_end(ended);
        }
        instance.unanswered.none_left().await;
        Ended::default()
    }
}

impl HttpOptions {
    fn check(&self, context: &InputContext) -> Result<(), BuildError> {
        let is_validated = self.oauth2.iter().any(|(key, value)| {
            let is_on = matches!(
                value.to_ascii_lowercase().as_str(),
                "on" | "true" | "yes" | "1"
            );
            key.trim_start_matches('.').eq_ignore_ascii_case("validate") && is_on
        });
        if is_validated {
            return Err(
                "'oauth2.validate' is not supported by this input yet, and without it anybody could send: remove it, \
                 and let 'tls on' with tls.verify_client_cert decide who may"
                    .into(),
            );
        }
        if self.workers > 1 {
            context.log.warn(format_args!(
                "workers {} has no effect: 'workers' of [SERVICE] says how many threads serve all inputs",
                self.workers
            ));
        }
        Ok(())
    }

    /// The largest body in bytes, as it is sent.
    fn body_max(&self) -> usize {
        let size = usize::try_from(self.buffer_max_size.0).unwrap_or(BODY_LARGEST);
        size.clamp(1, BODY_LARGEST)
    }

    /// The largest body in bytes, unpacked.
    fn unpacked_max(&self) -> usize {
        (self.body_max() * UNPACKED_PER_BUFFER).min(BODY_LARGEST)
    }

    fn connections_max(&self) -> usize {
        match usize::try_from(self.max_connections.0) {
            Ok(0) | Err(_) => usize::MAX,
            Ok(limit) => limit,
        }
    }

    /// How long a connection without a request is kept.
    fn idle_timeout(&self) -> Option<Duration> {
        let timeout = Duration::from(self.idle_timeout);
        (!timeout.is_zero()).then_some(timeout)
    }
}

impl Answers {
    fn of(options: &HttpOptions, context: &InputContext) -> Result<Answers, BuildError> {
        let status = match options.successful_response_code {
            200 => StatusCode::OK,
            204 => StatusCode::NO_CONTENT,
            201 => StatusCode::CREATED,
            other => {
                context.log.error(format_args!(
                    "{other} is not supported response code. Use default 201"
                ));
                StatusCode::CREATED
            }
        };
        let headers = options.success_header.iter().map(|BlankList(parts)| {
            let (Some(name), Some(value)) = (parts.first(), parts.get(1)) else {
                return Err(BuildError(
                    "success_header: expected a name and a value".to_owned(),
                ));
            };
            let fault = |what: &str| BuildError(format!("success_header {name}: {what}"));
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| fault("no name of a header"))?;
            let value = HeaderValue::from_str(value.trim())
                .map_err(|_| fault("its value holds what no header may"))?;
            Ok((header, value))
        });
        Ok(Answers {
            status,
            headers: headers.collect::<Result<_, _>>()?,
        })
    }
}

impl Instance {
    fn note_end(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err() {
            self.context.log.error(format_args!(
                "a connection is closed after a fault in the router"
            ));
        }
    }
}

impl Unanswered {
    fn begin(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    fn end(&self) {
        self.requests.set(self.requests.get() - 1);
        self.changed.notify_one();
    }

    async fn none_left(&self) {
        while self.requests.get() > 0 {
            self.changed.notified().await;
        }
    }
}

impl Counters {
    fn register(context: &InputContext) -> Counters {
        let metrics = &context.metrics;
        Counters {
            refused_requests: metrics.counter(
                "refused_requests_total",
                "Requests that were answered with an error because of what they hold.",
            ),
            not_an_object: metrics.dropped("not_an_object"),
            refused: metrics.dropped("refused_without_resend"),
            turned_down: metrics.counter(
                "turned_down_total",
                "Connections whose senders could not show that they may send.",
            ),
            unsafe_tags: metrics.counter(
                "unsafe_tags_total",
                "Tags in which characters that a tag must not hold were replaced.",
            ),
        }
    }
}
