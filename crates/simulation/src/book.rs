//! The oracle's book: what became of every record at every output, and whether that may be.
//!
//! The rule about repeats: an arrival at a service is a *claim* while its answer is awaited or was heard and is to be
//! remembered. Nobody may make a second claim for a record. A claim ends when its answer gets lost, and when a crash
//! comes before anything durable covers the record; a sender that sends a chunk again, and an output that panics, allow
//! one more.

use std::ops::Range;
use std::time::Duration;

use crate::scenario::{MAX_OUTPUTS, Scenario};
use crate::text::{Id, Nature, Way};

/// What was found wrong, in a sentence.
pub type Finding = String;

/// What became of all records.
pub struct Book {
    sources: Vec<Source>,
    outputs: Vec<Output>,
    filters: bool,
    /// Records of any source may wait in the log: for outputs that lag, and after a stop.
    spills: bool,
    /// The router stops: what its outputs have not delivered in time of sources that wait for an answer goes to the log.
    stops: bool,
}

struct Source {
    is_file: bool,
    is_logged: bool,
    records: Vec<Record>,
}

struct Record {
    routes: [Fate; MAX_OUTPUTS],
    /// Durable positions or an acknowledgement say that nobody has to hand it over again.
    covered: bool,
    /// It went onto the road in this life.
    emitted: bool,
    /// A copy may lie in the log while its source hands over another: which of them an answer is about nobody can tell.
    doubled: bool,
}

/// What became of a record at one output.
#[derive(Clone, Copy, Default)]
struct Fate {
    expected: bool,
    claims: u32,
    /// Claims beyond the first that are allowed.
    extra: u32,
    /// Copies that the output has and has not answered for.
    held: u32,
    /// Delivered, rejected or filtered at least once.
    done: bool,
    /// An earlier life ended with durable knowledge of a delivery.
    remembered: bool,
    /// When the last answer about it was heard.
    heard: Option<Duration>,
    /// The disk failed to write it after it was acknowledged, and lost it.
    taken: bool,
}

struct Output {
    matches: &'static str,
    gives_up: bool,
    life: Counts,
    /// Given up by a retry limit, in all lives.
    given_up: u64,
}

/// What an output answered for in one life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Delivered.
    pub delivered: u64,
    /// Dropped for a reason.
    pub dropped: u64,
    /// Left nothing to send.
    pub filtered: u64,
}

impl Book {
    /// A book without records.
    pub fn new(scenario: &Scenario) -> Book {
        let tails = scenario.tails.iter().map(|_| (true, false));
        let senders = scenario.senders.iter().map(|plan| (false, plan.logged));
        Book {
            sources: tails
                .chain(senders)
                .map(|(is_file, is_logged)| Source {
                    is_file,
                    is_logged,
                    records: Vec::new(),
                })
                .collect(),
            outputs: scenario
                .outputs
                .iter()
                .map(|plan| Output {
                    matches: plan.matches,
                    gives_up: plan.retry_limit.is_some(),
                    life: Counts::default(),
                    given_up: 0,
                })
                .collect(),
            filters: scenario.filters,
            spills: scenario.outputs.len() > 1,
            stops: false,
        }
    }

    /// A new record of `source`.
    pub fn add(&mut self, source: usize) -> Id {
        let id = Id {
            source: source as u8,
            number: self.sources[source].records.len() as u32,
        };
        let mut routes = [Fate::default(); MAX_OUTPUTS];
        for (route, output) in routes.iter_mut().zip(&self.outputs) {
            route.expected = self
                .tag(id)
                .is_some_and(|tag| is_match(output.matches, tag));
        }
        self.sources[source].records.push(Record {
            routes,
            covered: false,
            emitted: false,
            doubled: false,
        });
        id
    }

    /// The first letter of the tag that a record has behind the filters; none if it is dropped.
    fn tag(&self, id: Id) -> Option<char> {
        let own = match self.sources[usize::from(id.source)].is_file {
            true => 't',
            false => 'f',
        };
        match (self.filters, id.way()) {
            (false, _) | (_, Way::Pass) => Some(own),
            (_, Way::Drop) => None,
            (_, Way::Retag) => Some('r'),
        }
    }

    fn record(&mut self, id: Id) -> &mut Record {
        &mut self.sources[usize::from(id.source)].records[id.number as usize]
    }

    fn fate(&mut self, output: usize, id: Id) -> &mut Fate {
        &mut self.record(id).routes[output]
    }

    /// Whether `id` was ever made.
    pub fn knows(&self, id: Id) -> bool {
        let source = self.sources.get(usize::from(id.source));
        source.is_some_and(|source| (id.number as usize) < source.records.len())
    }

    /// A source put `id` onto the road.
    pub fn emitted(&mut self, id: Id) {
        let record = self.record(id);
        record.emitted = true;
        for fate in record.routes.iter_mut().filter(|fate| fate.expected) {
            fate.held += 1;
        }
    }

    /// A sender will send `ids` again, because it heard nothing.
    pub fn resent(&mut self, ids: Range<Id>) {
        for number in ids.start.number..ids.end.number {
            let record = self.record(Id {
                number,
                ..ids.start
            });
            if record.emitted {
                record.routes.iter_mut().for_each(|fate| fate.extra += 1);
            }
        }
    }

    /// The service behind `output` took `id`; `is_awaited` if somebody waits for the answer.
    pub fn arrived(&mut self, output: usize, id: Id, is_awaited: bool) -> Result<(), Finding> {
        if !self.knows(id) {
            return Err(format!("{id:?} was delivered and never written"));
        }
        let fate = self.fate(output, id);
        if !fate.expected {
            return Err(format!(
                "{id:?} was delivered to output {output}, which it does not match"
            ));
        }
        if is_awaited {
            fate.claims += 1;
        }
        if fate.claims > 1 + fate.extra {
            return Err(format!(
                "{id:?} was delivered twice to output {output}, for no reason"
            ));
        }
        Ok(())
    }

    /// The answer about `id`, which had arrived, will not be heard.
    pub fn unheard(&mut self, output: usize, id: Id) {
        let fate = self.fate(output, id);
        fate.claims = fate.claims.saturating_sub(1);
    }

    /// The output heard that `id` is delivered.
    pub fn delivered(&mut self, output: usize, id: Id, now: Duration) {
        self.outputs[output].life.delivered += 1;
        self.answered(output, id, now);
    }

    /// The output gave `id` up because of what it is.
    pub fn dropped(&mut self, output: usize, id: Id, now: Duration) -> Result<(), Finding> {
        self.outputs[output].life.dropped += 1;
        let fits = matches!(id.nature(), Nature::Rejected | Nature::Poison);
        self.answered(output, id, now);
        match fits {
            true => Ok(()),
            false => Err(format!(
                "{id:?} was given up at output {output} and could be delivered"
            )),
        }
    }

    /// The output found nothing to send in `id`.
    pub fn filtered(&mut self, output: usize, id: Id, now: Duration) {
        self.outputs[output].life.filtered += 1;
        self.answered(output, id, now);
    }

    fn answered(&mut self, output: usize, id: Id, now: Duration) {
        let fate = self.fate(output, id);
        fate.done = true;
        fate.held = fate.held.saturating_sub(1);
        fate.heard = Some(now);
    }

    /// `output` panicked: what it had goes back to the files, and comes again at all outputs.
    pub fn panicked(&mut self, output: usize) {
        let files = self.sources.iter_mut().filter(|source| source.is_file);
        for record in files.flat_map(|source| &mut source.records) {
            let mut held = std::mem::take(&mut record.routes[output].held);
            if record.doubled && !record.covered {
                // What was answered may have been the copy from the log.
                held = held.max(1);
            }
            if held == 0 {
                continue;
            }
            for (index, fate) in record.routes.iter_mut().enumerate() {
                if index != output && fate.expected {
                    fate.extra += held;
                }
            }
        }
    }

    /// The router was asked to stop.
    pub fn stops(&mut self) {
        self.stops = true;
    }

    /// A durable position of a file, or an acknowledgement, covers `id` from now on; `has_log` if anything was ever written
    /// to the disk of the log.
    pub fn covered(&mut self, id: Id, has_log: bool) -> Result<(), Finding> {
        let source = &self.sources[usize::from(id.source)];
        let is_kept = self.stops && !source.is_file;
        let may_be_logged = has_log && (self.spills || source.is_logged || is_kept);
        let gives_up: [bool; MAX_OUTPUTS] =
            std::array::from_fn(|index| self.outputs.get(index).is_some_and(|o| o.gives_up));
        let record = self.record(id);
        record.covered = true;
        let owing = record
            .routes
            .iter()
            .zip(gives_up)
            .position(|(fate, gives_up)| fate.expected && !fate.done && !gives_up);
        match owing {
            Some(output) if !may_be_logged => Err(format!(
                "{id:?} is covered by a position or an acknowledgement, and output {output} has not delivered it"
            )),
            _ => Ok(()),
        }
    }

    /// Durable positions of a file cover less than was written (the machine lost power): `is_covered` tells what.
    pub fn recover(&mut self, source: usize, is_covered: impl Fn(u32) -> bool) {
        for (number, record) in (0..).zip(&mut self.sources[source].records) {
            record.covered = is_covered(number);
        }
    }

    /// The router is gone at `now`; what no position, acknowledgement or cursor covers may come again. Cursors of the log
    /// are durable when they are older than `lag`; without it they never are for sure.
    /// With `has_log`, records of any source may lie in the log for outputs that lag.
    pub fn crashed(&mut self, now: Duration, lag: Option<Duration>, has_log: bool) {
        self.spills |= has_log;
        self.stops = false;
        for source in &mut self.sources {
            for record in &mut source.records {
                // What lies in the log comes as often as it was put there, and from its source as well if nothing tells. The
                // log knows the chunks of senders, once it is on the disk.
                let is_known = !source.is_file && lag.is_some();
                let comes_twice = has_log && record.emitted && !record.covered && !is_known;
                record.doubled |= comes_twice;
                record.emitted &= source.is_logged || has_log && !is_known;
                for fate in &mut record.routes {
                    let is_old = |heard| lag.is_some_and(|lag| heard + lag <= now);
                    let is_noted =
                        lag.is_some() && (fate.remembered || fate.heard.is_some_and(is_old));
                    let remembered = match source.is_logged {
                        true => is_noted,
                        false => record.covered && (is_noted || !self.spills),
                    };
                    fate.remembered = remembered && fate.claims > 0;
                    fate.claims = match remembered {
                        true => fate.claims.min(1),
                        false => 0,
                    };
                    if has_log && !source.is_logged {
                        fate.extra += u32::from(comes_twice) * (1 + fate.held);
                    } else if !source.is_logged {
                        fate.extra = 0;
                    }
                    (fate.held, fate.heard) = (0, None);
                }
            }
        }
        self.outputs
            .iter_mut()
            .for_each(|output| output.life = Counts::default());
    }

    /// All records that were ever made.
    pub fn ids(&self) -> Vec<Id> {
        let of = |(source, book): (u8, &Source)| {
            let numbers = 0..book.records.len() as u32;
            numbers.map(move |number| Id { source, number })
        };
        (0..).zip(&self.sources).flat_map(of).collect()
    }

    /// The disk lost `id` for `output` in a way that nobody can help.
    pub fn taken(&mut self, output: usize, id: Id) {
        self.fate(output, id).taken = true;
    }

    /// What `output` answered for since the last crash.
    pub fn life(&self, output: usize) -> Counts {
        self.outputs[output].life
    }

    /// The engine says that it gave up so many records in the life that ends, for whatever reason.
    pub fn given_up(&mut self, output: usize, dropped: u64) {
        let known = self.outputs[output].life.dropped;
        self.outputs[output].given_up += dropped.saturating_sub(known);
    }

    /// How many records wait for their first answer, besides what the engine counts as `dropped` in this life, by output.
    pub fn owed(&self, dropped: &[u64]) -> u64 {
        let owed = self.missing().map(|(output, missing)| {
            let limited = dropped[output].saturating_sub(self.outputs[output].life.dropped);
            missing.saturating_sub(limited)
        });
        owed.sum()
    }

    /// A record of a file that was delivered wherever it had to be, before `before` if that is given, and that no durable
    /// position covers. What may come from the log as well is left out: its answer may be about the copy there.
    pub fn uncovered(&self, before: Option<Duration>) -> Option<Id> {
        let files = self
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.is_file);
        files
            .flat_map(|(source, book)| (0..).zip(&book.records).map(move |record| (source, record)))
            .find(|(_, (_, record))| {
                let mut routes = record.routes.iter().filter(|fate| fate.expected).peekable();
                let is_settled = |fate: &Fate| {
                    let heard = fate
                        .heard
                        .is_some_and(|heard| before.is_none_or(|before| heard < before));
                    fate.held == 0 && heard
                };
                !record.covered
                    && !record.doubled
                    && routes.peek().is_some()
                    && routes.all(is_settled)
            })
            .map(|(source, (number, _))| Id {
                source: source as u8,
                number,
            })
    }

    /// Outputs with how many records never had an answer there, besides what a retry limit gave up.
    fn missing(&self) -> impl Iterator<Item = (usize, u64)> {
        self.outputs.iter().enumerate().map(|(index, output)| {
            let records = self.sources.iter().flat_map(|source| &source.records);
            let owing = |record: &&Record| {
                let fate = &record.routes[index];
                fate.expected && !fate.done && !fate.taken
            };
            let missing = records.filter(owing).count() as u64;
            (index, missing.saturating_sub(output.given_up))
        })
    }

    /// Records that were lost, as a sentence.
    pub fn lost(&self) -> Result<(), Finding> {
        let Some((output, missing)) = self.missing().find(|(_, missing)| *missing > 0) else {
            return Ok(());
        };
        let mut examples = Vec::new();
        for (source, book) in self.sources.iter().enumerate() {
            for (number, record) in book.records.iter().enumerate() {
                let fate = &record.routes[output];
                if fate.expected && !fate.done && !fate.taken && examples.len() < 5 {
                    examples.push(format!("{source}:{number}"));
                }
            }
        }
        Err(format!(
            "{missing} records were never delivered to output {output}, among them {}",
            examples.join(", ")
        ))
    }
}

/// Whether a pattern of a scenario matches a tag that begins with `letter`.
fn is_match(pattern: &str, letter: char) -> bool {
    pattern == "*" || pattern.starts_with(letter)
}
