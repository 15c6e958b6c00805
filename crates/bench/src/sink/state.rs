//! What a sink remembers.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::faults::{Fate, Faults};
use super::latencies::Latencies;
use super::record_id::Ids;
use crate::mark::{self, Mark};
use crate::report::{Report, Sent, SinkCounts};
use crate::scan;
use crate::tally::{Tally, Verdict};

/// Objects and uploads whose names are remembered. Beyond that one that is replaced counts as new.
const OBJECTS_MAX: usize = 1_000_000;

/// Counts, bits, and the dice.
pub struct State {
    /// What arrived.
    pub tally: Tally,
    /// What was done.
    pub counts: SinkCounts,
    /// The dice.
    pub random: fastrand::Rng,
    /// Ids for answers.
    pub ids: Ids,
    /// Room for one decoded record.
    pub scratch: Vec<u8>,
    /// Open and finished multipart uploads.
    pub uploads: HashMap<String, Upload>,
    /// What each object's content is.
    objects: HashMap<String, Fingerprint>,
    /// How long lines took.
    latencies: Latencies,
    started: Option<Instant>,
}

/// A multipart upload.
#[derive(Default)]
pub struct Upload {
    /// Parts by number.
    pub parts: BTreeMap<u32, Content>,
    /// It was completed.
    pub is_done: bool,
}

/// What an object or a part of one holds.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Consecutive lines: writer, first, how many.
    runs: Vec<(u32, u64, u64)>,
    /// Of its bytes.
    pub fingerprint: Fingerprint,
    /// Its first and its last bytes: a line may go on in the next part of an object.
    pub edges: Edges,
}

/// What of a content may belong to a mark that lies across its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Edges {
    /// One byte less than a mark.
    const BYTES: usize = mark::LEN - 1;

    /// Looks at the next piece of the content.
    pub fn feed(&mut self, piece: &[u8]) {
        let missing = Self::BYTES - self.first.len();
        self.first.extend(&piece[..piece.len().min(missing)]);
        self.last
            .extend(&piece[piece.len().saturating_sub(Self::BYTES)..]);
        let surplus = self.last.len().saturating_sub(Self::BYTES);
        self.last.drain(..surplus);
    }

    /// The mark that begins here and ends in what follows.
    fn mark_across(&self, next: &Edges) -> Option<Mark> {
        mark::find(&[&self.last[..], &next.first].concat()).next()
    }
}

/// Tells contents apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// CRC-32 of the bytes.
    pub crc: u32,
    /// How many there are.
    pub bytes: u64,
}

impl State {
    /// Nothing has come yet.
    pub fn new(faults: &Faults, short_ids: bool) -> State {
        let mut random = faults
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        State {
            tally: Tally::default(),
            counts: SinkCounts::default(),
            ids: Ids::new(short_ids, &mut random),
            random,
            scratch: Vec::new(),
            uploads: HashMap::new(),
            objects: HashMap::new(),
            latencies: Latencies::default(),
            started: None,
        }
    }

    /// What has arrived, and what was done.
    pub fn report(&self, sent: Option<&Sent>) -> Report {
        Report {
            sink: Some(SinkCounts {
                latency: self.latencies.summary(),
                ..self.counts.clone()
            }),
            ..self.tally.report(sent)
        }
    }

    /// Whether the services are out of reach now; the clock starts with the first request.
    pub fn is_out(&self, faults: &Faults) -> bool {
        self.started
            .is_some_and(|started| faults.is_out(started.elapsed()))
    }

    /// Draws what happens to the request that has come, or nothing if it meets an outage.
    pub fn draw(&mut self, faults: &Faults) -> Option<Fate> {
        self.started.get_or_insert_with(Instant::now);
        self.counts.requests += 1;
        if self.is_out(faults) {
            self.counts.outages += 1;
            return None;
        }
        let fate = faults.draw(&mut self.random);
        match fate {
            Fate::Answered => {}
            Fate::CutBefore | Fate::CutAfter | Fate::CutWithin => self.counts.cut += 1,
            Fate::Throttled => self.counts.throttled += 1,
            Fate::Expired => self.counts.expired += 1,
        }
        Some(fate)
    }

    /// Takes a record, whose bytes may hold several lines and may be packed with gzip.
    pub fn accept(&mut self, record: &[u8], verdict: Verdict) {
        self.counts.accepted += 1;
        let mut marks = 0;
        let tally = &mut self.tally;
        let mut add = |mark: Mark| {
            marks += 1;
            tally.add(mark, verdict);
        };
        match record.starts_with(b"\x1f\x8b") {
            // What cannot be unpacked has no mark, and is counted as that.
            true => scan::document(record, &mut add).unwrap_or_default(),
            false => {
                for (mark, stamp) in mark::find_stamped(record) {
                    add(mark);
                    if let Some(stamp) = stamp {
                        self.latencies.add(stamp);
                    }
                }
            }
        }
        self.counts.unmarked += u64::from(marks == 0);
    }

    /// Takes an object. One of the same name is replaced.
    pub fn accept_object(&mut self, name: &str, parts: &[Content], verdict: Verdict) {
        let mut whole = Fingerprint::default();
        for part in parts {
            whole.crc = whole.crc.rotate_left(5) ^ part.fingerprint.crc;
            whole.bytes += part.fingerprint.bytes;
        }
        match self.objects.get(name) {
            Some(known) if *known == whole => {
                self.counts.replaced += 1;
                return;
            }
            Some(_) => self.counts.overwritten += 1,
            None => {}
        }
        if self.objects.len() < OBJECTS_MAX {
            self.objects.insert(name.to_owned(), whole);
        }
        self.counts.accepted += 1;
        self.counts.unmarked += u64::from(parts.iter().all(|part| part.runs.is_empty()));
        for (writer, first, count) in parts.iter().flat_map(|part| &part.runs) {
            for seq in *first..first + count {
                let mark = Mark {
                    writer: *writer,
                    seq,
                };
                self.tally.add(mark, verdict);
            }
        }
        for pair in parts.windows(2) {
            if let Some(mark) = pair[0].edges.mark_across(&pair[1].edges) {
                self.tally.add(mark, verdict);
            }
        }
    }

    /// Whether an object of that name came.
    pub fn has_object(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    /// Notes that a request broke a rule.
    pub fn note_invalid(&mut self, why: &str) {
        self.counts.invalid += 1;
        self.counts
            .first_invalid
            .get_or_insert_with(|| why.to_owned());
    }
}

impl Content {
    /// Adds a line.
    pub fn push(&mut self, mark: Mark) {
        match self.runs.last_mut() {
            Some((writer, first, count))
                if *writer == mark.writer && *first + *count == mark.seq =>
            {
                *count += 1;
            }
            _ => self.runs.push((mark.writer, mark.seq, 1)),
        }
    }
}
