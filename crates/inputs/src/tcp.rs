//! Receives records over plain TCP: JSON values that follow each other, or lines of text.
//!
//! The protocol has no acknowledgement. What was read is delivered before the router leaves, and what had arrived at a
//! stop is read; while memory is used up nothing is read and senders wait, so that nothing has to be thrown away.
//!
//! The way of bytes: `connection` reads them as far as there is room, `lines` or `values` cut them into records.

mod connection;
mod lines;
mod values;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use config::{FromText, Options, Parsed, Refusal, TlsOptions};
use plugin::{
    BuildError, Counter, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop,
};
use tokio::task::JoinSet;

use crate::gate::Gate;
use crate::listening::door::{self, Door};
use crate::listening::notices::Notices;
use crate::listening::passed_on::PassedOn;
use crate::listening::socket::Place;
use lines::Lines;
use values::Values;

/// `tcp`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Tcp>("tcp");

const KIB: u64 = 1024;
/// A batch cannot span more than four times this.
const RECORD_MAX: u64 = 256 << 20;

/// Receives records over plain TCP: JSON values that follow each other, or lines of text.
#[derive(Clone, Debug, Options)]
pub struct TcpOptions {
    /// The address to listen on.
    #[option(name = "listen", default = "0.0.0.0")]
    pub listen: String,
    /// The TCP port.
    #[option(name = "port", default = "5170")]
    pub port: u16,
    /// What senders send.
    #[option(name = "format", default = "json")]
    pub format: Format,
    /// What ends a record of the format `none`. `\n`, `\r`, `\t`, `\a`, `\b`, `\f`, `\v` and `\\` are understood.
    #[option(name = "separator", default = "\\n")]
    pub separator: Separator,
    /// A number of KiB; other units are not understood. How much is read at once is decided by what arrives and what the
    /// memory limit allows; here it only stands in for `buffer_size`.
    #[option(name = "chunk_size", default = "32")]
    pub chunk_size: i64,
    /// The largest record, as a number of KiB; `chunk_size` by default. A longer line is dropped, a sender of a larger
    /// JSON value is disconnected.
    #[option(name = "buffer_size")]
    pub buffer_size: Option<i64>,
    /// Add the sender's address under this key, as `tcp://ADDRESS:PORT`.
    #[option(name = "source_address_key")]
    pub source_address_key: Option<String>,
    /// The parser that takes lines apart, for the format `none`. A line that it rejects stays as it is.
    #[option(name = "parser")]
    pub parser: Option<String>,
    /// Accepted; `workers` of `[SERVICE]` counts, for all inputs.
    #[option(name = "workers", default = "1")]
    pub workers: i64,
    #[option(flatten)]
    pub tls: TlsOptions,
}

/// What senders send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, config::Choice)]
pub enum Format {
    /// JSON values that follow each other: an object is a record, any other value becomes the field `msg` of one.
    Json,
    /// Text: what stands between separators becomes the field `log`.
    None,
}

/// The text between two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separator(pub Vec<u8>);

impl FromText for Separator {
    const FORM: config::Form =
        config::Form::new("text", "text that is not empty, with escapes such as `\\n`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        if text.is_empty() {
            return Err("the separator is empty".to_owned().into());
        }
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            match rest.next() {
                Some(b'n') => bytes.push(b'\n'),
                Some(b'r') => bytes.push(b'\r'),
                Some(b't') => bytes.push(b'\t'),
                Some(b'a') => bytes.push(7),
                Some(b'b') => bytes.push(8),
                Some(b'v') => bytes.push(11),
                Some(b'f') => bytes.push(12),
                Some(b'\\') => bytes.push(b'\\'),
                Some(other) => bytes.extend([b'\\', other]),
                None => bytes.push(b'\\'),
            }
        }
        Ok(Separator(bytes).into())
    }
}

/// What all connections of an instance share.
struct Instance {
    options: TcpOptions,
    /// The largest record in bytes.
    record_max: usize,
    context: InputContext,
    gate: Gate,
    notices: Rc<Notices>,
    counters: Counters,
}

/// What is counted besides records.
struct Counters {
    /// Stretches of bytes that are no JSON.
    invalid: Counter,
    /// Records above the limit.
    too_large: Counter,
    /// JSON values that ended with their connection.
    cut_off: Counter,
    /// Records that could not be taken on: their sender cannot be told.
    refused: Counter,
    /// Lines that the parser rejected.
    unparsed: Counter,
    /// Connections that never came to send.
    turned_down: Counter,
}

/// How the bytes of a connection become records.
enum Framing {
    Lines(Box<Lines>),
    Values(Values),
}

impl Framing {
    /// Whether everything that is known of the bytes to come stands in the buffer.
    fn is_plain(&self) -> bool {
        match self {
            Framing::Lines(lines) => lines.is_plain(),
            Framing::Values(values) => values.is_plain(),
        }
    }
}

struct Tcp {
    door: Door,
    options: TcpOptions,
    record_max: usize,
    context: InputContext,
}

impl Input for Tcp {
    type Options = TcpOptions;

    const SPREADS: bool = true;

    fn build(
        options: TcpOptions,
        context: InputContext,
        handover: Handover,
    ) -> Result<Self, BuildError> {
        options.check(&context)?;
        let place = Place::Tcp(options.listen.clone(), options.port);
        let door = Door::open(&place, &options.tls, &[], &context, handover)?;
        if door.is_exposed() && !options.tls.verify_client_cert {
            door::note_exposed(
                &context.log,
                "'tls on' with tls.verify_client_cert keeps others out",
            );
        }
        Ok(Tcp {
            door,
            record_max: options.record_max(&context),
            options,
            context,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        let instance = Rc::new(Instance {
            counters: Counters::register(&self.context),
            gate: Gate::open(&self.context.budget, self.context.shard.count).await,
            notices: self.door.notices(),
            options: self.options,
            record_max: self.record_max,
            context: self.context,
        });
        let passed_on = PassedOn::new();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                arrival = self.door.accept() => {
                    let (instance, emitter) = (Rc::clone(&instance), emitter.clone());
                    let end = connection::End { stop: stop.clone(), reading: passed_on.reading() };
                    connections.spawn_local(connection::serve(arrival, instance, emitter, end));
                }
                Some(ended) = connections.join_next() => instance.note_end(ended),
                () = stop.requested() => break,
            }
        }
        // Who takes over accepts from now on; what is here only waits.
        let mut handover = self.door.into_handover();
        if stop.has_successor() {
            passed_on.hand_over(&mut handover).await;
        }
        stop.hand_over(handover);
        // Every connection waits until what it received is answered for.
        while let Some(ended) = connections.join_next().await {
            instance.note_end(ended);
        }
        Ended::default()
    }
}

impl TcpOptions {
    fn check(&self, context: &InputContext) -> Result<(), BuildError> {
        if self.workers > 1 {
            context.log.warn(format_args!(
                "workers {} has no effect: 'workers' of [SERVICE] says how many threads serve all inputs",
                self.workers
            ));
        }
        match &self.parser {
            Some(_) if self.format == Format::Json => context.log.warn(format_args!(
                "parser has no effect: it takes lines apart, and format is json"
            )),
            Some(name) if context.parsers.make(name).is_none() => {
                return Err(BuildError(context.parsers.missing(name)));
            }
            _ => {}
        }
        Ok(())
    }

    /// The largest record in bytes: at least 1 KiB.
    fn record_max(&self, context: &InputContext) -> usize {
        let kib = self.buffer_size.unwrap_or(self.chunk_size);
        if kib < 1 {
            context.log.warn(format_args!(
                "buffer_size is {kib} KiB; 1 KiB is taken, since nothing fits into less"
            ));
        }
        let bytes = u64::try_from(kib.max(1))
            .unwrap_or(1)
            .saturating_mul(KIB)
            .min(RECORD_MAX);
        usize::try_from(bytes).unwrap_or(RECORD_MAX as usize)
    }
}

impl Instance {
    fn framing(&self) -> Framing {
        match self.options.format {
            Format::Json => Framing::Values(Values::default()),
            Format::None => {
                let parser = self.options.parser.as_deref();
                let parser = parser.and_then(|name| self.context.parsers.make(name));
                Framing::Lines(Box::new(Lines::new(&self.options.separator.0, parser)))
            }
        }
    }

    fn note_end(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err() {
            self.context.log.error(format_args!(
                "a connection is closed after a fault in the router"
            ));
        }
    }
}

impl Counters {
    fn register(context: &InputContext) -> Counters {
        let metrics = &context.metrics;
        Counters {
            invalid: metrics.dropped("invalid_json"),
            too_large: metrics.dropped("too_large"),
            cut_off: metrics.dropped("cut_off"),
            refused: metrics.dropped("refused_without_resend"),
            unparsed: metrics.counter(
                "parser_mismatches_total",
                "Lines that the parser rejected; they were sent on as they are.",
            ),
            turned_down: metrics.counter(
                "turned_down_total",
                "Connections whose senders could not show that they may send.",
            ),
        }
    }
}
