//! Inputs: read sources, hand over batches, remember what was answered.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, OptionSpec, Options, Section};
use record::{Batch, Budget, Tag};

use crate::{BuildError, LocalFuture, Log, Metrics, Parsers, Stop};

/// What an input is built with.
#[derive(Clone)]
pub struct InputContext {
    /// Alias, or `tail.0`.
    pub name: Arc<str>,
    /// The configured `tag`, unexpanded; the instance name `tail.0` if none was given.
    pub tag: String,
    /// Whether `tag` was given in the configuration.
    pub tag_is_configured: bool,
    /// For messages: scope `input:tail:tail.0`.
    pub log: Log,
    /// For counters beyond the common ones.
    pub metrics: Metrics,
    /// The parser definitions.
    pub parsers: Arc<dyn Parsers>,
    /// The memory that may be held for what this input reads (`Mem_Buf_Limit` inside the process's limit): a permit is
    /// taken before reading and travels in the batch.
    pub budget: Arc<Budget>,
    /// The longest that a record waits in an output's request that is not full (`Flush`). What was noticed for so long
    /// should be handed over.
    pub flush: Duration,
    /// The directory of the main configuration file, for relative paths that Fluent Bit resolves there.
    pub config_dir: PathBuf,
    /// The shard that it runs in.
    pub shard: Shard,
}

/// One of the threads that a router spreads its work over (`workers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub index: usize,
    /// How many shards the sources are spread over. The others that there may be read nothing.
    pub count: usize,
}

impl Shard {
    /// The only one.
    pub const ONLY: Shard = Shard { index: 0, count: 1 };

    /// Whether there are others.
    pub fn has_others(self) -> bool {
        self.count > 1
    }
}

/// Takes batches onto the road.
pub trait Emit {
    /// Runs the filters on `batch` and routes it. Never waits: what limits an input is its budget.
    fn emit(&self, batch: Batch);
}

/// An input's way onto the road.
#[derive(Clone)]
pub struct Emitter(Rc<dyn Emit>);

impl Emitter {
    /// An emitter into `road`.
    pub fn new(road: Rc<dyn Emit>) -> Emitter {
        Emitter(road)
    }

    /// Hands `batch` over: see [`Emit::emit`].
    pub fn emit(&self, batch: Batch) {
        self.0.emit(batch);
    }
}

impl Emit for Emitter {
    fn emit(&self, batch: Batch) {
        self.0.emit(batch);
    }
}

/// What an input gives up on stop and takes on start: restart, reload and upgrade are one operation.
#[derive(Debug, Default)]
pub struct Handover {
    /// Listening sockets and open files, each with a name that the same input understands.
    pub descriptors: Vec<(String, OwnedFd)>,
    /// What it wants to be told, in a form of its own that starts with a version byte.
    pub state: Vec<u8>,
    /// What the same instance gave up in other shards of the process before, by their numbers. Every shard gets copies of
    /// all of that: each takes what is its own now.
    pub of_others: Vec<(usize, Handover)>,
}

impl Handover {
    /// Whether nothing was given up.
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty() && self.state.is_empty() && self.of_others.is_empty()
    }
}

/// How an input ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// For the next start.
    pub handover: Handover,
    /// The process should end too (`exit_on_eof`, the end of `stdin`).
    pub ends_process: bool,
}

/// The author's side of an input.
pub trait Input: Sized + 'static {
    /// What follows its name in a section.
    type Options: Options + Clone + Send + Sync + 'static;

    /// Whether an instance in each shard reads its own part of the sources. Without, there is one, in the first shard.
    const SPREADS: bool = false;

    /// Whether its source keeps what is not read yet, as files do: then reading further ahead than the output can have under
    /// way gains nothing, and costs memory.
    const SOURCE_KEEPS: bool = false;

    /// Whether its sources can wait a moment, as senders on connections do, but not for long: then it reads no further ahead than
    /// the output can have under way either while that gets on, and goes beyond the window of its memory by itself
    /// ([`record::Budget::take_beyond`]) where it does not.
    const SOURCE_WAITS: bool = false;

    /// Builds the instance and binds what it listens on: after this nothing but I/O can fail. `handover` is what the same
    /// instance gave up before, empty on a first start.
    fn build(
        options: Self::Options,
        context: InputContext,
        handover: Handover,
    ) -> Result<Self, BuildError>;

    /// Reads until `stop` is requested, then waits until everything that was handed over is answered for and ends.
    /// The engine drops the future when the grace is over.
    fn run(self, emitter: Emitter, stop: Stop) -> impl Future<Output = Ended> + 'static;
}

/// The engine's side of an input.
pub trait RunInput {
    /// See [`Input::run`].
    fn run(self: Box<Self>, emitter: Emitter, stop: Stop) -> LocalFuture<'static, Ended>;
}

impl<I: Input> RunInput for I {
    fn run(self: Box<Self>, emitter: Emitter, stop: Stop) -> LocalFuture<'static, Ended> {
        Box::pin(Input::run(*self, emitter, stop))
    }
}

/// A configured input, ready to be built.
pub type BuildInput =
    Box<dyn Fn(InputContext, Handover) -> Result<Box<dyn RunInput>, BuildError> + Send + Sync>;

/// An input as the registry knows it.
pub struct InputPlugin {
    /// The word behind `Name`.
    pub name: &'static str,
    /// Whether there is an instance in each shard.
    pub spreads: bool,
    /// Whether its source keeps what is not read yet.
    pub source_keeps: bool,
    /// Whether its sources can wait a moment.
    pub source_waits: bool,
    /// Its options, without those of every input.
    pub options: fn() -> Vec<OptionSpec>,
    /// The text on top of its reference page.
    pub about: fn() -> &'static str,
    /// Reads a section; every mistake goes to the diagnostics.
    pub configure: fn(&Section, &mut Diagnostics) -> Option<BuildInput>,
}

impl InputPlugin {
    /// The registry's view of `I`.
    pub const fn new<I: Input>(name: &'static str) -> InputPlugin {
        InputPlugin {
            name,
            spreads: I::SPREADS,
            source_keeps: I::SOURCE_KEEPS,
            source_waits: I::SOURCE_WAITS,
            options: I::Options::table,
            about: I::Options::about,
            configure: |section, diagnostics| {
                let options = I::Options::read(section, diagnostics)?;
                Some(Box::new(move |context, handover| {
                    Ok(Box::new(I::build(options.clone(), context, handover)?))
                }))
            },
        }
    }
}

impl InputContext {
    /// The tag of records whose tag is not made from their source.
    pub fn static_tag(&self) -> Tag {
        Tag::new(&self.tag)
    }
}
