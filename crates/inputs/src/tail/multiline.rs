//! Lines that are joined: by multiline parsers, by the parser of their first line, or because Docker has cut them.
//!
//! Lines that wait for more are not handed over: the obligation for their bytes waits with them, so that the stored position
//! stays where the first open group begins, and after a crash or a stop it is read again as a whole.

mod docker_mode;
mod first_line;
mod key_hasher;
mod options;

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ::multiline::{Joined, Joiner, Owed, Place, Stream, assign};
use plugin::{BuildError, Counter, Log, Metrics, Parsers};
use record::{Batch, Fields, Obligation, Origin, Permit, Position, Tag, Time};

use super::follower::Number;
use docker_mode::{DockerMode, Parts};
use first_line::{FirstLine, Message};
use key_hasher::KeyHasher;
pub use options::Options;

/// Whether a piece is read for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It follows what was read before.
    On,
    /// It was refused.
    Again,
    /// The same, and the piece that follows it was not.
    LastAgain,
}

/// Where path and offset stand in a joined record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The path before all other fields; no offset.
    PathFirst,
    /// Path and offset after all other fields.
    OriginLast,
}

/// Names what waits of a file: of what is read on, or of what is read again.
type Key = (Number, bool);

/// How lines are joined, and what waits of each file.
pub struct Multiline {
    way: Way,
    waiting: HashMap<Key, Waiting, BuildHasherDefault<KeyHasher>>,
    joined: Joined,
    /// Of those in `joined`, so many have their path and offset.
    changed: usize,
    current: Key,
    now: Instant,
    truncated: Counter,
    log: Log,
}

/// How lines are joined.
enum Way {
    Parsers(Joiner),
    FirstLine(FirstLine),
    Docker(DockerMode),
}

/// What waits of one file.
#[derive(Default)]
struct Waiting {
    state: State,
    /// For its memory.
    permit: Option<Permit>,
    /// Of its last batch.
    about: Option<About>,
    /// Behind its last line.
    end: u64,
}

/// What waits, by the way in which lines are joined.
#[derive(Default)]
struct State {
    stream: Stream,
    message: Message,
    parts: Parts,
}

/// What batches of a file have in common.
#[derive(Clone)]
pub struct About {
    pub tag: Tag,
    pub path: Arc<Path>,
    pub origin: Origin,
}

/// What of that which waits is complete now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// What has waited long enough.
    Due,
}

impl Multiline {
    /// What the options ask for; none if lines are not joined.
    ///
    /// # Errors
    /// When a parser that they name does not exist or does not work.
    pub fn new(
        options: &super::Options,
        parsers: &dyn Parsers,
        metrics: &Metrics,
        log: &Log,
    ) -> Result<Option<Multiline>, BuildError> {
        let own = &options.multiline;
        if own.docker_mode && own.multiline {
            return Err(
                "'docker_mode' and 'multiline' do not go together: one of them joins lines".into(),
            );
        }
        let way = if own.names_parsers() {
            let joiner = Joiner::new(own.parser_names(), None, parsers)?;
            joiner.timeout()?;
            Way::Parsers(joiner)
        } else if own.docker_mode {
            Way::Docker(DockerMode::new(options, parsers, log))
        } else if own.multiline {
            Way::FirstLine(FirstLine::new(options, parsers)?)
        } else {
            return Ok(None);
        };
        Ok(Some(Multiline {
            way,
            waiting: HashMap::default(),
            joined: Joined::default(),
            changed: 0,
            current: (0, false),
            now: Instant::now(),
            truncated: metrics.counter(
                "multiline_truncated_total",
                "Joined records that reached the limit of bytes.",
            ),
            log: log.clone(),
        }))
    }

    /// Says what of the options has no effect.
    pub fn warn(options: &super::Options, log: &Log) {
        let own = &options.multiline;
        if options.parser.is_some() && (own.names_parsers() || (own.multiline && !own.docker_mode))
        {
            let key = if own.names_parsers() {
                "multiline.parser"
            } else {
                "multiline"
            };
            log.warn(format_args!(
                "'parser' is not used: with '{key}', what joins lines takes them apart"
            ));
        }
    }

    /// The lines that follow are of this file.
    pub fn begin(&mut self, number: Number, reading: Reading) {
        self.current = (number, reading != Reading::On);
        self.now = tokio::time::Instant::now().into_std();
        // What came of lines whose batch is lost is not of this one.
        self.joined.records.clear();
        self.changed = 0;
    }

    /// Takes a line that stands at `range` of the batch's source and at `position` of the file.
    pub fn line(&mut self, batch: &mut Batch, range: Range<usize>, position: Position, time: Time) {
        let waiting = self.waiting.entry(self.current).or_default();
        let positions = position.offset..position.offset + u64::from(position.len);
        waiting.end = positions.end;
        self.joined.trigger = position.offset;
        let owed = || Owed::new(positions.clone(), positions.clone());
        let mut place = Place {
            batch,
            now: self.now,
            time,
        };
        let (state, out) = (&mut waiting.state, &mut self.joined);
        match &mut self.way {
            Way::Parsers(joiner) => {
                joiner.line(&mut state.stream, range, positions, &mut place, out)
            }
            Way::FirstLine(way) => way.line(&mut state.message, range, owed(), &mut place, out),
            Way::Docker(way) => way.line(&mut state.parts, range, owed(), &mut place, out),
        }
    }

    /// Makes records of what waits of `key`.
    fn complete(&mut self, key: Key, which: Which, batch: &mut Batch) {
        let Some(waiting) = self.waiting.get_mut(&key) else {
            return;
        };
        self.joined.trigger = waiting.end;
        let mut place = Place {
            batch,
            now: self.now,
            time: Time::now(),
        };
        let (state, out) = (&mut waiting.state, &mut self.joined);
        let is_due = which == Which::All
            || self
                .way
                .deadline(state)
                .is_some_and(|deadline| deadline <= self.now);
        match &mut self.way {
            Way::Parsers(joiner) if which == Which::Due => {
                joiner.expire(&mut state.stream, &mut place, out);
            }
            Way::Parsers(joiner) => joiner.flush(&mut state.stream, &mut place, out),
            Way::FirstLine(way) if is_due => way.flush(&mut state.message, &mut place, out),
            Way::Docker(way) if is_due => way.flush(&mut state.parts, &mut place, out),
            Way::FirstLine(_) | Way::Docker(_) => {}
        }
    }

    /// The same of the file whose lines were read last.
    pub fn complete_current(&mut self, batch: &mut Batch) {
        self.complete(self.current, Which::All, batch);
    }

    /// Where path and offset belong.
    pub fn form(&self) -> Form {
        match self.way {
            Way::FirstLine(_) => Form::PathFirst,
            Way::Parsers(_) | Way::Docker(_) => Form::OriginLast,
        }
    }

    /// Changes the fields of the records that have been made, each once. `change` gets the offset that belongs to each.
    pub fn change_bodies(
        &mut self,
        batch: &mut Batch,
        change: impl Fn(&mut Batch, Fields, u64) -> Fields,
    ) {
        for made in &mut self.joined.records[self.changed..] {
            made.record.body = change(batch, made.record.body, made.trigger);
        }
        self.changed = self.joined.records.len();
    }

    /// Appends the records that were made to `batch`, which answers for them with `obligation`, and puts aside what waits.
    pub fn finish(&mut self, batch: &mut Batch, mut obligation: Obligation, path: &Arc<Path>) {
        self.note_truncated();
        self.changed = 0;
        if let Some(waiting) = self.waiting.get_mut(&self.current) {
            waiting.state.put_aside(batch, &mut obligation);
            waiting.permit = match waiting.state.footprint() {
                0 => None,
                bytes => batch.permit_for(bytes),
            };
            waiting.about = Some(About {
                tag: batch.tag().clone(),
                path: Arc::clone(path),
                origin: batch.origin(),
            });
            if waiting.state.is_new() {
                self.waiting.remove(&self.current);
            }
        }
        assign(batch, obligation, &mut self.joined.records);
    }

    fn note_truncated(&mut self) {
        let times = std::mem::take(&mut self.joined.truncated);
        if times > 0 {
            self.truncated.add(times);
            self.log.warn(format_args!(
                "multiline message truncated due to buffer limit"
            ));
        }
    }

    /// When something will have waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.values();
        waiting
            .filter_map(|waiting| self.way.deadline(&waiting.state))
            .min()
    }

    /// How many positions of the file wait.
    pub fn waiting_of(&self, number: Number) -> u64 {
        let of = |again| self.waiting.get(&(number, again));
        let both = [of(false), of(true)].into_iter().flatten();
        both.map(|waiting| waiting.state.waiting()).sum()
    }

    /// Of which files something waits that is due.
    pub fn due(&self, which: Which, now: Instant) -> Vec<Key> {
        let is_due = |waiting: &Waiting| {
            let deadline = self.way.deadline(&waiting.state);
            deadline.is_some_and(|deadline| which == Which::All || deadline <= now)
        };
        let mut keys: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| is_due(waiting))
            .map(|(key, _)| *key)
            .collect();
        keys.sort_unstable();
        keys
    }

    /// Begins to make records of what waits of `key`: an empty batch for them, and the path of their file.
    pub fn batch_of_waiting(&mut self, key: Key) -> Option<(Batch, Arc<Path>)> {
        let waiting = self.waiting.get_mut(&key)?;
        let about = waiting.about.clone()?;
        let batch = Batch::new(about.tag, bytes::Bytes::new()).with_origin(about.origin);
        self.begin(key.0, if key.1 { Reading::Again } else { Reading::On });
        let permit = self.waiting.get_mut(&key)?.permit.take();
        Some(match permit {
            Some(permit) => (batch.with_permit(permit), about.path),
            None => (batch, about.path),
        })
    }

    /// Makes records of what waits of the present file.
    pub fn complete_waiting(&mut self, which: Which, batch: &mut Batch) {
        self.complete(self.current, which, batch);
    }
}

impl Way {
    fn deadline(&self, state: &State) -> Option<Instant> {
        match self {
            Way::Parsers(joiner) => joiner.deadline(&state.stream),
            Way::FirstLine(way) => way.deadline(&state.message),
            Way::Docker(way) => way.deadline(&state.parts),
        }
    }
}

impl State {
    /// Copies what lies in `batch`, which is about to go, and takes what is owed for it out of `obligation`.
    fn put_aside(&mut self, batch: &Batch, obligation: &mut Obligation) {
        self.stream.hold(obligation);
        self.stream.park(batch);
        self.message.owed.hold(obligation);
        self.parts.owed.hold(obligation);
    }

    fn footprint(&self) -> usize {
        self.stream.footprint() + self.message.footprint() + self.parts.footprint()
    }

    fn waiting(&self) -> u64 {
        let others = [&self.message.owed, &self.parts.owed];
        self.stream.waiting() + others.map(Owed::waiting).iter().sum::<u64>()
    }

    fn is_new(&self) -> bool {
        self.stream.is_new() && self.message.is_new() && self.parts.is_new()
    }
}
