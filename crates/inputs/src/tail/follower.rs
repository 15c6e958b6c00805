//! All files of one instance: what is done when.
//!
//! The follower is synchronous: [`Follower::round`] does what is due and says what to wait for. `tail.rs` waits.

mod copies;
mod counters;
mod discover;
mod entries;
mod handover;
mod joined;
mod notices;
mod read;
mod resume;
mod rhythm;
mod rotate;
mod save;
mod unpack;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use buffer::positions::{Changes, Position, Writer};
use plugin::{Emitter, Log, Metrics, Parsers};
use record::{Budget, Ledger, Permit};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::cursor::{Limits, Scratch};
use super::descriptor;
use super::file::Followed;
use super::glob::Exclusion;
use super::handover::Handed;
use super::identity::{self, FileId};
use super::lines::Lines;
use super::multiline::Multiline;
use super::options::Options;
use super::parked::{Parked, ParkedFile};
use super::shards::Share;
use super::tag::TagSource;
use super::watch::{Watch, WatchId};
use copies::Doubtful;
use counters::Counters;
use entries::Entries;
pub use rhythm::ROUND;
use rhythm::Rhythm;
use unpack::Archived;

/// Without the kernel's notices, idle files are looked at this often.
const POLL_MAX: Duration = Duration::from_millis(250);
/// After something appeared in a watched directory, the patterns are looked up again after this time,
const RESCAN_DELAY: Duration = Duration::from_millis(50);
/// but not more often than this.
const RESCAN_MIN: Duration = Duration::from_secs(1);
/// After so many rounds without anything to read, memory that is kept for the next one is given back.
const IDLE_ROUNDS: u32 = 16;
/// After so many bytes others have a turn.
const SLICE: usize = 1 << 20;
/// What is read at once, at most and at least; in between, a batch takes about a quarter of the memory limit.
const CHUNK: usize = 256 << 10;
const CHUNK_MIN: usize = 16 << 10;

/// Names a followed file.
pub type Number = u64;

/// What the follower was built with.
pub struct Setup {
    pub options: Options,
    pub exclusions: Vec<Exclusion>,
    pub tags: TagSource,
    pub log: Log,
    pub metrics: Metrics,
    pub parsers: Arc<dyn Parsers>,
    pub budget: Arc<Budget>,
    /// How long records may wait.
    pub flush: Duration,
    pub share: Share,
}

/// What an earlier run left.
#[derive(Default)]
pub struct Earlier {
    /// Files whose position is known.
    pub files: Vec<ParkedFile>,
    /// When files were last looked for; `None` on a first start.
    pub scanned: Option<SystemTime>,
    /// Generations that were made since then were not seen by anybody.
    pub generations_since: Option<SystemTime>,
    /// What another instance gave up.
    pub handed: Vec<Handed>,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// There is more to read: go on as soon as others had their turn.
    More,
    /// There is no room for so many bytes.
    Starved(usize),
    /// Something was read; more will have come in a moment.
    Active,
    /// Nothing to do.
    Idle,
}

/// When files are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Later,
    /// It was found before, but left alone.
    Again,
}

pub struct Follower {
    setup: Setup,
    emitter: Emitter,
    lines: Lines,
    limits: Limits,
    counters: Counters,
    /// Writes positions, if there is a database.
    writer: Option<Writer>,
    files: BTreeMap<Number, Followed>,
    next_number: Number,
    by_id: HashMap<FileId, Number>,
    by_watch: HashMap<WatchId, Number>,
    /// Files whose path leads to them.
    by_name: HashMap<PathBuf, Number>,
    parked: Parked,
    /// Contents that were replaced while something of them was still owed.
    orphans: Vec<Orphan>,
    /// Rotated paths at which a new file is expected.
    awaited: Vec<Awaited>,
    /// What the user was told once about a path.
    told: HashSet<(PathBuf, &'static str)>,
    watch: Option<Watch>,
    /// Generations of these files are looked for at the end of a scan.
    to_adopt: Vec<Found>,
    /// Positions in files that were found to be gone during this scan: copies of them may be left.
    departed: Vec<Position>,
    entries: Entries,
    doubtful: Doubtful,
    archived: Archived,
    /// How many files all instances should have open.
    descriptor_limit: usize,
    /// The first file that the next check looks at, if there are many.
    checked_to: Number,
    to_look_at: Vec<Number>,
    to_read: VecDeque<Number>,
    /// Files of which something was refused.
    refused: BTreeSet<Number>,
    /// What is to be written besides the rows of open files that are marked as unsaved.
    changes: Changes,
    answers: Arc<Answers>,
    spare_room: Option<Permit>,
    scratch: Scratch,
    earlier_scan: Option<SystemTime>,
    generations_since: Option<SystemTime>,
    handed: Vec<Handed>,
    scanned: Option<SystemTime>,
    clock: (SystemTime, Instant),
    times: Times,
    rhythm: Rhythm,
    idle_rounds: u32,
    state: State,
}

/// Yes-or-no facts about the whole.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Some row must be written.
    unsaved: bool,
    /// Something is owed.
    owing: bool,
    /// There were files at the start.
    had_files: bool,
    /// Some file has no watch.
    unwatched: bool,
    /// Nothing new is read any more.
    stopping: bool,
    /// The kernel's notices were too many: some are lost.
    overflowed: bool,
}

/// When things are due.
struct Times {
    scan: Instant,
    last_scan: Instant,
    check: Instant,
    save: Instant,
}

/// A content that is not in its file any more.
struct Orphan {
    ledger: Arc<Ledger>,
    name: PathBuf,
}

/// A path whose file went away.
struct Awaited {
    path: PathBuf,
    until: Instant,
}

/// A file's real path, the name it was found under, and since when generations of it may have been missed.
type Found = (PathBuf, Arc<Path>, SystemTime);

/// Tells from any thread that something that was handed over has been answered.
#[derive(Default)]
pub struct Answers {
    came: AtomicBool,
    waited_for: AtomicBool,
    arrived: Notify,
}

impl Answers {
    fn note(&self) {
        self.came.store(true, Ordering::Release);
        if self.waited_for.load(Ordering::Acquire) {
            self.arrived.notify_one();
        }
    }

    fn ledger(self: &Arc<Answers>, start: u64) -> Arc<Ledger> {
        let answers = Arc::clone(self);
        Ledger::with_notice(start, move || answers.note())
    }
}

impl Follower {
    /// A follower that has not looked for files yet.
    pub fn new(
        setup: Setup,
        emitter: Emitter,
        writer: Option<Writer>,
        earlier: Earlier,
    ) -> Follower {
        let now = Instant::now();
        let mut parked = Parked::default();
        earlier.files.into_iter().for_each(|file| parked.add(file));
        Follower {
            lines: lines(&setup),
            limits: Limits {
                chunk: CHUNK,
                long_lines: super::long_lines::LongLines::of(&setup.options),
            },
            counters: Counters::new(&setup.metrics),
            watch: watch(&setup),
            rhythm: Rhythm::new(setup.flush, now),
            setup,
            emitter,
            writer,
            files: BTreeMap::new(),
            next_number: 0,
            by_id: HashMap::new(),
            by_watch: HashMap::new(),
            by_name: HashMap::new(),
            parked,
            orphans: Vec::new(),
            awaited: Vec::new(),
            told: HashSet::new(),
            to_adopt: Vec::new(),
            departed: Vec::new(),
            entries: Entries::default(),
            doubtful: Doubtful::default(),
            archived: Archived::default(),
            descriptor_limit: descriptor::limit(),
            checked_to: 0,
            to_look_at: Vec::new(),
            to_read: VecDeque::new(),
            refused: BTreeSet::new(),
            changes: Changes::default(),
            answers: Arc::default(),
            spare_room: None,
            scratch: Scratch::default(),
            earlier_scan: earlier.scanned,
            generations_since: earlier.generations_since,
            handed: earlier.handed,
            clock: (identity::file_time(), now),
            scanned: None,
            times: Times {
                scan: now,
                last_scan: now,
                check: now,
                save: now,
            },
            idle_rounds: 0,
            state: State::default(),
        }
    }

    /// Looks for files the first time.
    pub fn start(&mut self) {
        let now = Instant::now();
        self.take_over(now);
        self.scan(Phase::Start, now);
        self.state.had_files = !self.files.is_empty();
        self.setup.share.note_start(self.state.had_files);
        self.times.check = now + self.check_interval();
        self.save(now);
        // The first answers are written at once: whoever crashes at each start must get on all the same.
        self.times.save = now;
    }

    /// Does what is due.
    pub fn round(&mut self) -> Pace {
        let now = Instant::now();
        let calm = self.idle_rounds > 0 && self.watch.is_some() && !self.state.unwatched;
        self.rhythm.begin(now, calm);
        self.tend(now);
        let pace = self.read_in_turns(now);
        self.spare_room = None;
        self.save_if_due(now);
        self.idle_rounds = match pace {
            Pace::Idle => self.idle_rounds.saturating_add(1),
            _ => 0,
        };
        if self.idle_rounds == IDLE_ROUNDS {
            self.scratch.trim();
        }
        pace
    }

    /// Does what is due while there is no room to read.
    pub fn bide(&mut self) {
        let now = Instant::now();
        self.tend(now);
        self.save_if_due(now);
    }

    /// Keeps track of files and answers.
    fn tend(&mut self, now: Instant) {
        self.take_notices(now);
        if now >= self.times.scan {
            self.scan(Phase::Later, now);
        }
        if now >= self.times.check {
            self.times.check = now + self.check_interval();
            self.check_all(now);
        } else if self.state.unwatched {
            self.look_at_unwatched();
        }
        self.look_for_awaited(now);
        self.emit_waiting(now);
        self.look_at_doubtful(now);
        self.look_at_archived(now);
        self.take_answers(now);
        self.keep_descriptors_few();
    }

    /// When the next round is due, whatever happens.
    pub fn deadline(&self) -> Instant {
        let now = Instant::now();
        let mut next = match self.idle_rounds == 0 && !self.state.stopping {
            // What else is due goes with the round, which is near.
            true => self.rhythm.next(),
            false => self.times.scan.min(self.times.check),
        };
        if !self.awaited.is_empty() || self.entries.is_expecting() {
            next = next.min(now + ROUND);
        }
        let later = [self.doubtful.next(), self.archived.next(now)];
        next = later.into_iter().flatten().fold(next, Instant::min);
        next = self.waiting_until().into_iter().fold(next, Instant::min);
        for number in &self.refused {
            next = next.min(self.again_at(*number).max(now + ROUND));
        }
        if self.state.unwatched && self.idle_rounds > 0 {
            let wait = ROUND * (1 << self.idle_rounds.min(4));
            next = next.min(now + wait.min(POLL_MAX));
        }
        next
    }

    /// Waits for a notice of the kernel: about a file or a name, or, while files are `read` again and again anyway, about a name.
    pub async fn notice(&self, read: bool) {
        let Some(watch) = &self.watch else {
            return std::future::pending().await;
        };
        match read {
            false => tokio::select! {
                () = watch.files.notice() => {}
                () = watch.names.any_notice() => {}
            },
            true => {
                watch.names.any_notice().await;
                tokio::time::sleep_until(self.rhythm.earliest()).await;
            }
        }
    }

    /// Takes answers and writes positions, between two rounds.
    pub fn account(&mut self) {
        let now = Instant::now();
        self.take_answers(now);
        self.save_if_due(now);
    }

    /// What permits to read are taken from.
    pub fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.setup.budget)
    }

    /// Gives the next read the room that was waited for.
    pub fn give_room(&mut self, permit: Permit) {
        self.spare_room = Some(permit);
    }

    /// Whether every file that was there at the start was read to its end and answered for.
    pub fn start_is_done(&self) -> bool {
        let mut first = self.files.values().filter(|file| file.flags.at_start);
        let had_files = self.state.had_files || self.setup.share.had_files();
        had_files && self.archived.is_idle() && first.all(Followed::is_done)
    }

    /// Whether other shards follow other files of the instance.
    pub fn has_others(&self) -> bool {
        self.setup.share.has_others()
    }

    /// No more is read from now on.
    pub fn stop_reading(&mut self) {
        self.answers.came.store(true, Ordering::Release);
        self.state.stopping = true;
        for number in std::mem::take(&mut self.to_look_at) {
            if let Some(file) = self.files.get_mut(&number) {
                file.flags.looked_for = false;
            }
        }
        self.keep_waiting();
        for file in self.files.values_mut() {
            (file.again.times, file.again.after) = (0, Some(Instant::now()));
        }
    }

    /// What there is to do after [`Follower::stop_reading`]: refused ranges are handed over once more, positions saved. Tells
    /// whether everything is answered for, or refused again: that is left to the next instance.
    pub fn drain(&mut self) -> bool {
        let now = Instant::now();
        self.take_answers(now);
        self.read_in_turns(now);
        self.save_if_due(now);
        let mut files = self.files.iter();
        let orphans = self.orphans.iter().map(|orphan| &orphan.ledger);
        files.all(|(number, file)| file.is_given_back(self.waiting_of(*number)))
            && orphans.into_iter().all(|o| o.is_settled())
    }

    /// Whether nothing is owed.
    #[cfg(test)]
    pub fn is_settled(&self) -> bool {
        let ledgers = self.files.values().map(|file| &file.ledger);
        let orphans = self.orphans.iter().map(|orphan| &orphan.ledger);
        ledgers.chain(orphans).all(|ledger| ledger.is_settled())
    }

    /// Waits until something was answered.
    pub async fn answer(&self) {
        self.answers.waited_for.store(true, Ordering::Release);
        // Before somebody waited, nobody was told.
        if !self.answers.came.load(Ordering::Acquire) {
            self.answers.arrived.notified().await;
        }
    }

    /// Writes all positions and waits for that.
    pub async fn finish(&mut self) {
        let now = Instant::now();
        self.save(now);
        // Of contents that were replaced unnoticed, the new ones are stored: they are read by the next instance.
        for number in std::mem::take(&mut self.to_look_at) {
            if let Some(file) = self.files.get_mut(&number) {
                file.flags.looked_for = false;
                if matches!(file.holds_what_was_read(), Ok(false)) {
                    self.content_replaced(number, now);
                }
            }
        }
        self.save(now);
        if let Some(writer) = &self.writer {
            // What failed was reported by the writer.
            writer.flush().await;
        }
    }

    fn mark_unsaved(&mut self, number: Number) {
        if let Some(file) = self.files.get_mut(&number) {
            file.flags.unsaved = true;
            self.state.unsaved = true;
        }
    }

    /// Whether `what` is said about `path` for the first time.
    fn is_news(&mut self, path: &std::path::Path, what: &'static str) -> bool {
        self.told.insert((path.to_owned(), what))
    }

    fn is_old_news(&mut self, path: &std::path::Path, what: &'static str) {
        if !self.told.is_empty() {
            self.told.remove(&(path.to_owned(), what));
        }
    }
}

#[cfg(test)]
impl Follower {
    /// Lets at most so many descriptors be held, counted over the whole process.
    pub fn set_descriptor_limit(&mut self, limit: usize) {
        self.descriptor_limit = limit;
    }

    /// How many descriptors are held.
    pub fn descriptors_held(&self) -> usize {
        let held = |file: &&Followed| file.descriptor.held().is_some();
        self.files.values().filter(held).count()
    }

    /// Whether the file that `path` leads to is followed.
    pub fn follows(&self, path: &Path) -> bool {
        let id = std::fs::metadata(path).map(|metadata| FileId::of(&metadata));
        id.is_ok_and(|id| self.by_id.contains_key(&id))
    }

    /// Ends as a crash does: nothing more is written than the database has.
    pub fn abandon(mut self) {
        self.writer = None;
    }
}

impl Drop for Follower {
    /// A run that is cut short leaves its positions all the same: the writer, dropped after, writes what it was given.
    fn drop(&mut self) {
        for file in self.files.values_mut() {
            file.flags.unsaved |= file.flags.owing;
        }
        self.save(Instant::now());
    }
}

fn lines(setup: &Setup) -> Lines {
    let options = &setup.options;
    let joins = options.multiline.is_used();
    let parser = options.parser.as_deref();
    let parser = parser
        .filter(|_| !joins)
        .and_then(|name| setup.parsers.make(name));
    // It was made before from the same options.
    let multiline = Multiline::new(options, &*setup.parsers, &setup.metrics, &setup.log);
    Lines::new(options, parser).joined_by(multiline.ok().flatten())
}

fn watch(setup: &Setup) -> Option<Watch> {
    if !setup.options.inotify_watcher {
        return None;
    }
    Watch::new()
        .inspect_err(|error| {
            let log = &setup.log;
            log.warn(format_args!(
                "inotify cannot be used ({error}); files are looked at several times a second instead"
            ));
        })
        .ok()
}
