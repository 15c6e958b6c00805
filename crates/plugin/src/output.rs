//! Outputs: make requests of batches, send them, answer for every record.
//!
//! Formatting ([`Format`], pure) is apart from sending ([`Deliver`]). The engine offers every batch once, sends a
//! request as soon as it is full, has open ones sealed when the oldest record waited for `Flush`, repeats what must be
//! repeated and settles each record's obligation. A request is fixed once it is sealed: a repetition sends the same
//! bytes, so the same source ranges travel under the same name.

use std::any::Any;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, OptionSpec, Options, Section};
use record::{Batch, Budget};

use crate::{Body, BuildError, LocalFuture, Log, Metrics, Provenance, WriterSource};

/// What an output is built with.
#[derive(Clone)]
pub struct OutputContext {
    /// Alias, or `firehose.0`.
    pub name: Arc<str>,
    /// For messages: scope `output:firehose:firehose.0`.
    pub log: Log,
    /// For counters beyond the common ones.
    pub metrics: Metrics,
    /// `json.escape_unicode` of `[SERVICE]`.
    pub escape_unicode: bool,
    /// `json.convert_nan_to_null` of `[SERVICE]`.
    pub nan_to_null: bool,
    /// The directory of the main configuration file.
    pub config_dir: PathBuf,
    /// Who this router is.
    pub writers: WriterSource,
    /// The part of the process's memory that is for the bodies of requests: what an output holds to be sent beside its
    /// [`Request`]s counts there too.
    pub bodies: Arc<Budget>,
}

/// Names a batch that the engine has offered to one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId(pub u32);

/// Which records a request carries, in the order in which they stand in it: consecutive ones share an entry.
#[derive(Debug, Default)]
pub struct Parts {
    ranges: Vec<(DeliveryId, Range<u32>)>,
    records: u32,
}

impl Parts {
    /// Adds one record.
    #[inline]
    pub fn push(&mut self, delivery: DeliveryId, record: u32) {
        self.records += 1;
        if let Some((last, range)) = self.ranges.last_mut()
            && *last == delivery
            && range.end == record
        {
            range.end += 1;
            return;
        }
        self.ranges.push((delivery, record..record + 1));
    }

    /// How many records there are.
    pub fn len(&self) -> u32 {
        self.records
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.ranges.clear();
        self.records = 0;
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[(DeliveryId, Range<u32>)] {
        &self.ranges
    }
}

/// A finished request.
#[derive(Debug)]
pub struct Request {
    /// What is sent.
    pub body: Body,
    /// Whose records it carries: entry `i` of an answer is for the `i`-th of them.
    pub parts: Parts,
    /// Requests of one lane (a log stream, the keys of a shard) are sent one after the other and in order: one that must
    /// be repeated holds back the later ones of its lane, and none of another. `None`: it waits for no other request.
    pub lane: Option<u64>,
    /// What the sending half needs besides (a stream's name, say).
    pub note: Option<Box<dyn Any>>,
    /// Where its records come from, if [`Deliver::wants_provenance`] says so: formatting leaves it open.
    pub provenance: Option<Provenance>,
}

/// Why a record is given up. The word is the label of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub &'static str);

/// What formatting hands to the engine.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Requests that are ready to be sent.
    pub requests: Vec<Request>,
    /// Records that leave nothing to send (an empty object, say): answered as filtered.
    pub filtered: Vec<(DeliveryId, u32)>,
    /// Records that can never be sent, with the reason.
    pub rejected: Vec<(DeliveryId, u32, Reason)>,
}

/// The pure half: batches in, request bodies out.
pub trait Format {
    /// Adds `records` of `batch` to open requests; full ones go to the outbox. Every record ends up in exactly one request,
    /// or in one of the outbox's other lists.
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    );

    /// Hands every open request over.
    fn seal(&mut self, outbox: &mut Outbox);

    /// Takes back a request that is done with, for its memory. Nothing has to be kept.
    fn recycle(&mut self, _request: Request) {}

    /// Gives memory that is kept for later requests back to the system: the output has been idle.
    fn trim(&mut self) {}
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordAnswer {
    /// Send it again.
    Again,
    /// It can never be delivered.
    Never(Reason),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Every record is delivered.
    Done,
    /// The same request must be sent again, not before `after` if the service said so. `why` is for the log.
    Again {
        /// What the service asked to wait.
        after: Option<Duration>,
        /// In a few words.
        why: String,
        /// Whether the service has too much to do: fewer requests are then under way at once.
        throttled: bool,
    },
    /// Delivered but for these records (index in the request, ascending). `why` describes the first of them.
    Except {
        /// The exceptions.
        records: Vec<(u32, RecordAnswer)>,
        /// In a few words.
        why: String,
        /// As in [`Answer::Again`].
        throttled: bool,
    },
    /// No record of it can ever be delivered as a whole: the engine takes the request apart until single records are left,
    /// which are then given up for this reason.
    Never {
        /// The metric's label.
        reason: Reason,
        /// In a few words.
        why: String,
    },
}

impl Answer {
    /// The request must be sent again, for no reason that the service gave.
    pub fn again(why: impl Into<String>) -> Answer {
        Answer::Again {
            after: None,
            why: why.into(),
            throttled: false,
        }
    }

    /// Whether the service has too much to do for as many requests at once as there are, when this one had `of` records.
    /// It has not if it took half of them: fewer requests would only be slower then.
    pub fn is_throttled(&self, of: u32) -> bool {
        match self {
            Answer::Again { throttled, .. } => *throttled,
            Answer::Except {
                records, throttled, ..
            } => *throttled && records.len() as u64 * 2 > u64::from(of),
            Answer::Done | Answer::Never { .. } => false,
        }
    }
}

/// The half that does I/O. Several requests may be under way at once.
pub trait Deliver {
    /// Sends `request` once and reports. Never retries by itself beyond what is certain not to repeat anything.
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer>;

    /// Whether requests should say where their records come from. Asked before the first attempt of each.
    fn wants_provenance(&self) -> bool {
        false
    }

    /// The longest that an answer can take while all is well. An output whose requests stay without any answer for twice
    /// this long is torn down and built anew.
    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// The last request is answered and none will follow: finishes what was answered as durable but is not at its
    /// destination yet. Is dropped when the grace ends first.
    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Both halves of a built output.
pub struct RunOutput {
    /// Formatting.
    pub format: Box<dyn Format>,
    /// Sending.
    pub deliver: Rc<dyn Deliver>,
    /// How many requests may be under way at once on one shard, as long as the service does not throttle.
    pub concurrency: usize,
}

/// The author's side of an output.
pub trait Output: Sized + 'static {
    /// What follows its name in a section.
    type Options: Options + Clone + Send + Sync + 'static;

    /// Whether one instance must get the records of all shards.
    const SHARED: bool = false;

    /// Builds an instance for one shard.
    fn build(options: Self::Options, context: &OutputContext) -> Result<RunOutput, BuildError>;
}

/// A configured output, ready to be built (once per shard).
pub type BuildOutput = Box<dyn Fn(&OutputContext) -> Result<RunOutput, BuildError> + Send + Sync>;

/// An output as the registry knows it.
pub struct OutputPlugin {
    /// The word behind `Name`.
    pub name: &'static str,
    /// Whether one instance serves all shards.
    pub shared: bool,
    /// Its options, without those of every output.
    pub options: fn() -> Vec<OptionSpec>,
    /// The text on top of its reference page.
    pub about: fn() -> &'static str,
    /// Reads a section; every mistake goes to the diagnostics.
    pub configure: fn(&Section, &mut Diagnostics) -> Option<BuildOutput>,
}

impl OutputPlugin {
    /// The registry's view of `O`.
    pub const fn new<O: Output>(name: &'static str) -> OutputPlugin {
        OutputPlugin {
            name,
            shared: O::SHARED,
            options: O::Options::table,
            about: O::Options::about,
            configure: |section, diagnostics| {
                let options = O::Options::read(section, diagnostics)?;
                Some(Box::new(move |context| O::build(options.clone(), context)))
            },
        }
    }
}
