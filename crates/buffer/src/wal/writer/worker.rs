//! What the thread does.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

use super::super::Durability;
use super::super::log::{Log, Stored, StoredFrames};
use super::super::progress::Progress;
use super::{
    Failure, GATHER, GATHER_BYTES, Inner, LOOK_PERIOD, NOTE_AFTER, Queue, RETRY, Read, Report,
    Route, SYNC_PERIOD, Waiting,
};

pub struct Worker<R> {
    log: Log,
    inner: Arc<Inner>,
    report: R,
    /// Not safe yet, in the order of their numbers. The first [`Worker::written`] are in the log.
    pending: Queue,
    written: usize,
    /// When the oldest of them came.
    pending_since: Option<Instant>,
    progressed_since: Option<Instant>,
    /// Whether there was progress since it was last looked for what can go.
    has_progressed: bool,
    /// When the disk was last made to have everything.
    synced_at: Instant,
    /// After a failure, when to try again.
    retry_at: Option<Instant>,
    /// When it was last looked for what can go.
    looked_at: Instant,
}

/// What came of a turn.
pub enum Turn {
    /// Nothing more until then, or until it is woken.
    Waits(Option<Instant>),
    /// The log is closed.
    Ended,
}

/// What the thread woke up for.
struct Work {
    reads: Vec<Read>,
    flushes: Vec<tokio::sync::oneshot::Sender<bool>>,
    is_closing: bool,
}

impl<R: Fn(Report<'_>)> Worker<R> {
    pub fn new(log: Log, inner: Arc<Inner>, report: R) -> Worker<R> {
        let waiting = log.waiting();
        let mut worker = Worker {
            log,
            inner,
            report,
            pending: Queue::new(),
            written: 0,
            pending_since: None,
            progressed_since: None,
            has_progressed: true,
            synced_at: Instant::now(),
            retry_at: None,
            looked_at: Instant::now(),
        };
        worker.show(&waiting);
        worker
    }

    pub fn run(mut self) {
        loop {
            match self.turn() {
                Turn::Ended => return,
                Turn::Waits(Some(due)) => std::thread::park_timeout(due - Instant::now()),
                Turn::Waits(None) => std::thread::park(),
            }
        }
    }

    /// Does what there is to do now.
    pub fn turn(&mut self) -> Turn {
        loop {
            match self.next() {
                Err(due) => return Turn::Waits(due),
                Ok(work) => {
                    if self.work(work) {
                        return Turn::Ended;
                    }
                }
            }
        }
    }

    /// Returns whether this was the last.
    fn work(&mut self, work: Work) -> bool {
        self.note_progress();
        let result = self.write(!work.flushes.is_empty());
        self.tell(&result);
        for read in work.reads {
            let answer = self.read(&read);
            let _ = read.answer.send(answer);
        }
        self.look_after(!work.flushes.is_empty());
        for flush in work.flushes {
            let _ = flush.send(result.is_ok());
        }
        if work.is_closing {
            self.note_progress();
            let closed = self.log.close();
            self.tell(&closed);
        }
        work.is_closing
    }

    /// Removes what is done with, and keeps the limits; not all the time, because that looks at every segment.
    fn look_after(&mut self, now: bool) {
        if !now && self.looked_at.elapsed() < LOOK_PERIOD {
            return;
        }
        self.looked_at = Instant::now();
        self.has_progressed = false;
        self.log.release();
        let waiting = self.log.waiting();
        self.keep_limits(&waiting);
        self.show(&waiting);
    }

    /// What there is to do now, or else when there will be something.
    fn next(&mut self) -> Result<Work, Option<Instant>> {
        let mut inbox = self.inner.lock();
        let now = Instant::now();
        if !inbox.appends.is_empty() {
            self.pending_since.get_or_insert(now);
            self.pending.extend(inbox.appends.drain(..));
        }
        if self.inner.progressed.load(Ordering::Acquire) {
            self.progressed_since.get_or_insert(now);
        }
        let is_asked = !inbox.reads.is_empty() || !inbox.flushes.is_empty() || inbox.is_closing;
        let due = self.due(now);
        if !is_asked && due.is_none_or(|due| due > now) {
            return Err(due);
        }
        Ok(Work {
            reads: std::mem::take(&mut inbox.reads),
            flushes: std::mem::take(&mut inbox.flushes),
            is_closing: inbox.is_closing,
        })
    }

    /// When the next thing has to be done.
    fn due(&self, now: Instant) -> Option<Instant> {
        let gathered = || {
            let bytes: usize = self
                .pending
                .iter()
                .map(|pending| pending.frame.body.len())
                .sum();
            bytes >= GATHER_BYTES || self.log.durability() == Durability::Process
        };
        let write = match (self.pending_since, self.retry_at) {
            (None, _) => None,
            (Some(_), Some(retry)) => Some(retry),
            (Some(_), None) if gathered() => Some(now),
            (Some(since), None) => Some(since + GATHER),
        };
        let note = self.progressed_since.map(|since| since + NOTE_AFTER);
        let sync = match self.retry_at {
            None if self.log.is_unsynced() => Some(self.synced_at + SYNC_PERIOD),
            _ => self.retry_at,
        };
        let look = self.has_progressed.then(|| self.looked_at + LOOK_PERIOD);
        [write, note, sync, look].into_iter().flatten().min()
    }

    /// Notes how far the outputs are.
    fn note_progress(&mut self) {
        if !self.inner.progressed.swap(false, Ordering::AcqRel) {
            self.progressed_since = None;
            return;
        }
        self.progressed_since = None;
        self.has_progressed = true;
        let inbox = self.inner.lock();
        let states = inbox.routes.iter().map(|state| {
            let progress = Progress {
                prefix: state.ledger.discharged(),
                beyond: state.ledger.discharged_beyond(),
            };
            (Arc::clone(&state.route.name), progress)
        });
        let states: Vec<_> = states.collect();
        drop(inbox);
        for (name, progress) in states {
            // What is not noted is noted next time, and repeated should the process end before.
            let _ = self.log.advance(&name, progress);
        }
    }

    /// Writes what is pending and lets those who wait for it know; `now` also to the disk, where the system's having it is
    /// enough.
    fn write(&mut self, now: bool) -> io::Result<()> {
        let written = self.append_pending();
        let synced = match self.log.durability() {
            Durability::Durable => self.sync(),
            Durability::Process if now || self.synced_at.elapsed() >= SYNC_PERIOD => self.sync(),
            Durability::Process => Ok(()),
        };
        // After a failed sync the system may drop what it has not written: that is not safe for anybody before it stands
        // elsewhere.
        let is_held = self.log.durability() == Durability::Process && self.log.is_held();
        if synced.is_ok() || is_held {
            for pending in self.pending.drain(..self.written) {
                self.log.chunks().keep(&pending.frame.chunks);
                (pending.settled)();
            }
            self.written = 0;
        }
        self.pending_since = (!self.pending.is_empty()).then(Instant::now);
        written.and(synced)
    }

    fn append_pending(&mut self) -> io::Result<()> {
        while let Some(pending) = self.pending.get(self.written) {
            if self.log.is_delivered(&pending.frame) {
                // Delivered before it could be written: it needs no disk any more.
                let _ = self.log.skip(&pending.frame);
                if let Some(pending) = self.pending.remove(self.written) {
                    self.log.chunks().keep(&pending.frame.chunks);
                    (pending.settled)();
                }
                continue;
            }
            self.log.append(&pending.frame)?;
            self.has_progressed = true;
            self.written += 1;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.log.sync()?;
        self.synced_at = Instant::now();
        Ok(())
    }

    fn tell(&mut self, result: &io::Result<()>) {
        match result {
            Err(error) if self.retry_at.is_none() => (self.report)(Report::Failed(error)),
            Ok(()) if self.retry_at.is_some() => (self.report)(Report::Recovered),
            _ => {}
        }
        self.retry_at = result.is_err().then(|| Instant::now() + RETRY);
        let failure = result.as_ref().err().map(|error| self.failure(error));
        self.inner.lock().failure = failure;
    }

    fn failure(&self, error: &io::Error) -> Failure {
        let unsettled = self.pending.iter();
        Failure {
            why: error.to_string(),
            unsynced: match self.log.durability() {
                Durability::Process => self.log.unsynced_records(),
                Durability::Durable => 0,
            },
            unsettled: unsettled
                .map(|pending| u64::from(pending.frame.records))
                .sum(),
        }
    }

    /// Answers from the log, and from what is not in it yet.
    fn read(&self, read: &Read) -> io::Result<StoredFrames> {
        let name = Arc::clone(&self.inner.lock().routes[read.route].route.name);
        let mut answer = self.log.read(&name, read.range.clone(), read.bytes_max)?;
        for gap in &answer.gaps {
            (self.report)(Report::Gap(gap));
        }
        let mut bytes: usize = answer
            .frames
            .iter()
            .map(|stored| stored.frame.body.len())
            .sum();
        for pending in self.pending.range(self.written..) {
            let frame = &pending.frame;
            if answer.next < frame.first && answer.next < self.log.next()
                || bytes >= read.bytes_max && !answer.frames.is_empty()
                || frame.first >= read.range.end
            {
                break;
            }
            if frame.end() > answer.next {
                answer.next = frame.end();
                if frame.routes.contains(&name) {
                    bytes += frame.body.len();
                    answer.frames.push(Stored {
                        frame: (**frame).clone(),
                        origin: self.log.origin(),
                    });
                }
            }
        }
        Ok(answer)
    }

    /// Drops the oldest records of outputs for which too many bytes wait.
    fn keep_limits(&mut self, waiting: &BTreeMap<Arc<str>, Waiting>) {
        let limits = self.limits();
        for (index, route, behind) in limits {
            let (Some(bytes_max), Some(waiting)) = (route.bytes_max, waiting.get(&route.name))
            else {
                continue;
            };
            let (mut bytes, mut from) = (waiting.bytes, behind);
            let mut gaps = Vec::new();
            while bytes > bytes_max
                && let Some(end) = self.log.end_of_oldest(&route.name, from)
                && let Ok((records, dropped)) = self.log.count(&route.name, from..end, &mut gaps)
                && self.give_up(index, from..end)
            {
                bytes = bytes.saturating_sub(dropped.max(1));
                from = end;
                (self.report)(Report::Dropped {
                    route: &route.name,
                    records,
                });
            }
            for gap in &gaps {
                (self.report)(Report::Gap(gap));
            }
        }
    }

    /// The outputs that are behind, and from where on they have claimed nothing.
    fn limits(&self) -> Vec<(usize, Route, u64)> {
        let inbox = self.inner.lock();
        let routes = inbox.routes.iter().enumerate();
        routes
            .filter_map(|(index, state)| Some((index, state.route.clone(), state.behind?)))
            .collect()
    }

    /// Takes a range from an output that is behind, unless it has claimed some of it meanwhile.
    fn give_up(&self, route: usize, range: Range<u64>) -> bool {
        let mut inbox = self.inner.lock();
        let state = &mut inbox.routes[route];
        if state.behind != Some(range.start) {
            return false;
        }
        state.ledger.skip(range.clone());
        state.behind = Some(range.end);
        true
    }

    /// Lets others see how much there is.
    fn show(&mut self, waiting: &BTreeMap<Arc<str>, Waiting>) {
        let mut inbox = self.inner.lock();
        inbox.size = self.log.size();
        let of = inbox.routes.iter().map(|state| {
            let name = &state.route.name;
            waiting.get(name).copied().unwrap_or_default()
        });
        let of: Vec<Waiting> = of.collect();
        inbox.waiting = of;
    }
}
