//! Receives records over Fluentd's forward protocol, from a unix socket or over TCP.
//!
//! Every carrier mode is understood: Message, Forward, PackedForward and CompressedPackedForward (gzip). A frame that
//! names a `chunk` is acknowledged when its records are delivered, not before, and is sent on at once. While memory is
//! used up nothing is read and senders wait; no connection is closed for it.
//!
//! With `shared_key` a sender must show first that it knows the secret (`handshake`); with `tls` it is encrypted.
//!
//! The way of a frame: `scan` finds where it ends, `frame` reads its outer parts, `events` its records, `intake` makes
//! batches of them, `connection` answers the sender; `gate` keeps all connections together below the memory limit.

mod connection;
mod events;
mod frame;
pub mod gunzip;
mod handshake;
mod intake;
mod owed;
mod scan;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::rc::Rc;

use config::{FromText, Options, Parsed, Refusal, Size, TlsOptions};
use plugin::{
    BuildError, Counter, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop,
};
use record::Tag;

use crate::gate::Gate;
use crate::listening::door::{self, Door};
use crate::listening::notices::Notices;
use crate::listening::passed_on::PassedOn;
use crate::listening::reception;
use crate::listening::socket::Place;
use crate::listening::tags;
use handshake::Secrets;

/// `forward`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Forward>("forward");

/// Receives records over Fluentd's forward protocol, as Docker's `fluentd` log driver, Fluentd, Fluent Bit and the
/// fluent-logger libraries speak it.
#[derive(Clone, Debug, Options)]
pub struct ForwardOptions {
    /// The address to listen on, unless `unix_path` is given.
    #[option(name = "listen", default = "0.0.0.0")]
    pub listen: String,
    /// The TCP port.
    #[option(name = "port", default = "24224")]
    pub port: u16,
    /// The path of a unix socket to listen on instead of TCP. A socket that is there is replaced.
    #[option(name = "unix_path")]
    pub unix_path: Option<PathBuf>,
    /// Permissions of the unix socket, in octal.
    #[option(name = "unix_perm")]
    pub unix_perm: Option<Permissions>,
    /// Text put in front of incoming tags, as it is. Without it, a configured `tag` replaces incoming tags.
    #[option(name = "tag_prefix")]
    pub tag_prefix: Option<String>,
    /// Accepted; how much is read at once is decided by what arrives and what the memory limit allows.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(name = "buffer_chunk_size", default = "1024000")]
    buffer_chunk_size: Size,
    /// The largest frame, packed or unpacked. A sender of a larger one is disconnected.
    #[option(name = "buffer_max_size", default = "6144000")]
    pub buffer_max_size: Size,
    /// Accepted; `workers` of `[SERVICE]` counts, for all inputs.
    #[option(name = "workers", default = "1")]
    pub workers: i64,
    #[option(flatten)]
    pub security: Security,
    #[option(flatten)]
    pub tls: TlsOptions,
}

/// Who may send.
#[derive(Clone, Options)]
pub struct Security {
    /// The secret that senders must know.
    #[option(name = "shared_key")]
    pub shared_key: Option<String>,
    /// Senders go through the handshake, but the secret is empty: only `security.users` keeps anybody out.
    #[option(name = "empty_shared_key", default = "false")]
    pub empty_shared_key: bool,
    /// The name under which the router proves to know the secret.
    #[option(name = "self_hostname", default = "localhost")]
    pub self_hostname: String,
    /// A name and a password that senders may use, with a blank between them. With any, a sender must use one. Needs
    /// `shared_key` or `empty_shared_key`.
    #[option(name = "security.users", multiple)]
    pub users: Vec<String>,
}

impl std::fmt::Debug for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Security")
            .field("self_hostname", &self.self_hostname)
            .finish_non_exhaustive()
    }
}

/// File permissions in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

impl FromText for Permissions {
    const FORM: config::Form = config::Form::new("permissions", "octal digits, such as `0660`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        match u32::from_str_radix(text, 8) {
            Ok(mode @ 0..=0o7777) => Ok(Permissions(mode).into()),
            _ => Err(format!("'{text}' are no permissions in octal").into()),
        }
    }
}

/// What all connections of an instance share.
struct Shared {
    options: ForwardOptions,
    context: InputContext,
    secrets: Option<Secrets>,
    gate: Gate,
    notices: Rc<Notices>,
    counters: Counters,
}

/// What is counted besides records.
struct Counters {
    /// Frames that broke the protocol.
    malformed: Counter,
    /// Frames that ended with their connection.
    cut_off: Counter,
    /// Records whose time could not be read.
    invalid_times: Counter,
    /// Frames that hold no logs.
    other_signals: Counter,
    /// Records that could not be taken on and whose sender does not wait for an answer.
    refused: Counter,
    /// Senders that could not show that they may send.
    turned_down: Counter,
    /// Tags in which something had to be replaced.
    unsafe_tags: Counter,
}

struct Forward {
    door: Door,
    secrets: Option<Secrets>,
    options: ForwardOptions,
    context: InputContext,
}

impl Input for Forward {
    type Options = ForwardOptions;

    const SPREADS: bool = true;
    const SOURCE_WAITS: bool = true;

    fn build(
        options: ForwardOptions,
        context: InputContext,
        handover: Handover,
    ) -> Result<Self, BuildError> {
        let secrets = Secrets::of(&options.security)?;
        reception::warn_of_workers(options.workers, &context.log);
        let door = Door::open(&options.place(), &options.tls, &[], &context, handover)?;
        if door.is_exposed() && secrets.is_none() && !options.tls.verify_client_cert {
            door::note_exposed(&context.log, "shared_key keeps others out");
        }
        Ok(Forward {
            door,
            secrets,
            options,
            context,
        })
    }

    async fn run(self, emitter: Emitter, stop: Stop) -> Ended {
        let Forward {
            door,
            secrets,
            options,
            context,
        } = self;
        let shared = Rc::new(Shared {
            counters: Counters::register(&context),
            gate: Gate::open(&context.budget, context.shard.count).await,
            notices: door.notices(),
            secrets,
            options,
            context,
        });
        let passed_on = PassedOn::new();
        let log = &shared.context.log;
        reception::receive(door, Some(&passed_on), (log, &stop), |arrival| {
            let (shared, emitter) = (Rc::clone(&shared), emitter.clone());
            let end = connection::End {
                stop: stop.clone(),
                reading: passed_on.reading(),
            };
            connection::serve(arrival, shared, emitter, end)
        })
        .await;
        Ended::default()
    }
}

impl ForwardOptions {
    fn place(&self) -> Place {
        match &self.unix_path {
            Some(path) => Place::Unix(path.clone(), self.unix_perm.map(|mode| mode.0)),
            None => Place::Tcp(self.listen.clone(), self.port),
        }
    }

    /// The largest frame in bytes.
    fn frame_limit(&self) -> usize {
        // A batch cannot span more, and a frame becomes one batch where it can.
        const LARGEST: usize = 512 << 20;
        usize::try_from(self.buffer_max_size.0).map_or(LARGEST, |size| size.min(LARGEST))
    }
}

impl Shared {
    /// The tag that records of a frame with the tag `incoming` get.
    fn tag(&self, incoming: &[u8]) -> Tag {
        let prefix = self.options.tag_prefix.as_deref();
        if prefix.is_none() && (self.context.tag_is_configured || incoming.is_empty()) {
            return self.context.static_tag();
        }
        let safe = tags::safe(incoming);
        if safe.as_ref() != incoming {
            self.counters.unsafe_tags.add(1);
            self.notices.warn(format_args!(
                "a sender's tag holds what a tag must not, and goes on as {}",
                String::from_utf8_lossy(&safe)
            ));
        }
        Tag::new([prefix.unwrap_or_default().as_bytes(), &safe].concat())
    }
}

impl Counters {
    fn register(context: &InputContext) -> Counters {
        let metrics = &context.metrics;
        Counters {
            malformed: metrics.counter(
                "malformed_frames_total",
                "Frames that broke the protocol; their connections were closed.",
            ),
            cut_off: metrics.counter(
                "cut_off_frames_total",
                "Frames whose sender left before their end.",
            ),
            invalid_times: metrics.counter(
                "invalid_times_total",
                "Records that got the time of their arrival, because their own was none.",
            ),
            other_signals: metrics.dropped("metrics_or_traces"),
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
