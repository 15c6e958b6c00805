//! The thread that owns the log, so that no shard ever waits for a disk.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use record::{Ledger, Obligation};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Gap;
use super::cursors::Chunks;
use super::format::{ChunkId, Frame};
use super::log::{Log, Recovered, StoredFrames, Waiting};
use super::progress::Progress;

mod worker;

/// What the owner of a [`Writer`] should tell the user.
#[derive(Debug)]
pub enum Report<'a> {
    /// Nothing can be written any more; it is tried again. What is not safe yet stays in memory, and its sources wait.
    Failed(&'a io::Error),
    /// It works again.
    Recovered,
    /// Records are not there any more.
    Gap(&'a Gap),
    /// The oldest records of an output had to go, because it has too many.
    Dropped {
        /// The output.
        route: &'a str,
        /// How many records.
        records: u64,
    },
}

/// Why nothing can be written, and what is not safe for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the system says.
    pub why: String,
    /// So many records, at most, counted as safe when the system had them, and the disk may not have them.
    pub unsynced: u64,
    /// So many records have not been settled.
    pub unsettled: u64,
}

/// Records for the log.
pub struct Append {
    /// Which outputs must deliver them: indexes of the list that [`Writer::start`] was given.
    pub routes: Vec<usize>,
    /// How many they are.
    pub records: u32,
    /// Chunks that are complete with them.
    pub chunks: Vec<ChunkId>,
    /// What is stored.
    pub body: Vec<u8>,
    /// Called once they are safe, or delivered before they could be. Dropped if neither will come to pass.
    pub settled: Box<dyn FnOnce() + Send>,
}

/// One output of the log.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// The most bytes that may wait for it in files.
    pub bytes_max: Option<u64>,
}

/// Owns a [`Log`] on its own thread, and keeps a [`Ledger`] of sequence numbers for each output.
///
/// An output *follows* the log while its records are handed to it when they are appended: then it owes an answer for
/// them at once. One that is *behind* gets them later, by reading: it owes nothing for what it has not claimed.
pub struct Writer {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    inbox: Mutex<Inbox>,
    /// Told that a ledger changed.
    progressed: AtomicBool,
    thread: Mutex<Option<std::thread::Thread>>,
    /// Told what the thread is told, for a [`Driver`].
    woken: Notify,
    chunks: Arc<Chunks>,
    origin: [u8; 16],
}

/// Does the work of a [`Writer`] without a thread, on the caller's clock: for simulations. Calls block for the disk.
pub struct Driver<R>(worker::Worker<R>, Arc<Inner>);

impl<R: Fn(Report<'_>)> Driver<R> {
    /// Works until the writer is dropped and the log is closed; `sleep_until` waits.
    pub async fn run<S: Future<Output = ()>>(mut self, sleep_until: impl Fn(Instant) -> S) {
        loop {
            match self.0.turn() {
                worker::Turn::Ended => return,
                worker::Turn::Waits(None) => self.1.woken.notified().await,
                worker::Turn::Waits(Some(due)) => {
                    tokio::select! {
                        biased;
                        () = self.1.woken.notified() => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

#[derive(Default)]
struct Inbox {
    /// The number that the next record gets.
    next: u64,
    routes: Vec<RouteState>,
    appends: Vec<Pending>,
    reads: Vec<Read>,
    flushes: Vec<oneshot::Sender<bool>>,
    waiting: Vec<Waiting>,
    size: (usize, u64),
    /// Why nothing can be written at the moment.
    failure: Option<Failure>,
    is_closing: bool,
}

struct RouteState {
    route: Route,
    ledger: Arc<Ledger>,
    /// The number from which on it has claimed nothing, if it is behind.
    behind: Option<u64>,
}

/// What is not safe yet.
struct Pending {
    frame: Arc<Frame>,
    settled: Box<dyn FnOnce() + Send>,
}

struct Read {
    route: usize,
    range: Range<u64>,
    bytes_max: usize,
    answer: oneshot::Sender<io::Result<StoredFrames>>,
}

impl Writer {
    /// Starts the thread. Outputs with something in the log are behind, all others follow. `report` is called from the
    /// thread.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        log: Log,
        recovered: &Recovered,
        routes: Vec<Route>,
        report: impl Fn(Report<'_>) + Send + 'static,
    ) -> io::Result<Writer> {
        let inner = Inner::new(&log, recovered, routes);
        let theirs = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("storage".to_owned())
            .stack_size(512 << 10)
            .spawn(move || worker::Worker::new(log, theirs, report).run())?;
        *inner.thread.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(thread.thread().clone());
        Ok(Writer {
            inner,
            thread: Some(thread),
        })
    }

    /// The same without a thread: nothing happens but what the driver does.
    pub fn driven<R: Fn(Report<'_>)>(
        log: Log,
        recovered: &Recovered,
        routes: Vec<Route>,
        report: R,
    ) -> (Writer, Driver<R>) {
        let inner = Inner::new(&log, recovered, routes);
        let worker = worker::Worker::new(log, Arc::clone(&inner), report);
        let writer = Writer {
            inner: Arc::clone(&inner),
            thread: None,
        };
        (writer, Driver(worker, inner))
    }

    /// Adds an output, or changes the limit of one that is known by that name. Returns its number. It follows from now on.
    pub fn add_route(&self, route: Route) -> usize {
        let mut inbox = self.inner.lock();
        let known = inbox
            .routes
            .iter()
            .position(|state| state.route.name == route.name);
        if let Some(index) = known {
            inbox.routes[index].route.bytes_max = route.bytes_max;
            return index;
        }
        let next = inbox.next;
        let progress = Progress {
            prefix: next,
            ..Progress::default()
        };
        let state = self.inner.state(route, &progress, next);
        inbox.routes.push(state);
        inbox.waiting.push(Waiting::default());
        inbox.routes.len() - 1
    }

    /// Appends records. Returns the number of the first, and for each output that follows what it owes for them, in the
    /// order of [`Append::routes`].
    pub fn append(&self, append: Append) -> (u64, Vec<(usize, Obligation)>) {
        let mut inbox = self.inner.lock();
        let first = inbox.next;
        let end = first + u64::from(append.records);
        inbox.next = end;
        let mut owed = Vec::with_capacity(append.routes.len());
        for (index, state) in inbox.routes.iter().enumerate() {
            if state.behind.is_some() {
                continue;
            }
            if append.routes.contains(&index) {
                owed.push((index, state.ledger.open(first..end)));
            } else {
                state.ledger.skip(first..end);
            }
        }
        let names = append
            .routes
            .iter()
            .map(|index| Arc::clone(&inbox.routes[*index].route.name));
        let frame = Frame {
            first,
            records: append.records,
            routes: names.collect(),
            chunks: append.chunks,
            body: append.body,
        };
        self.inner.chunks.begin(&frame.chunks);
        inbox.appends.push(Pending {
            frame: Arc::new(frame),
            settled: append.settled,
        });
        drop(inbox);
        self.inner.wake();
        (first, owed)
    }

    /// Lets an output get later what is appended from now on, by reading.
    pub fn fall_behind(&self, route: usize) {
        let mut inbox = self.inner.lock();
        let next = inbox.next;
        inbox.routes[route].behind.get_or_insert(next);
    }

    /// From where on an output has to read, if it is behind.
    pub fn behind(&self, route: usize) -> Option<u64> {
        self.inner.lock().routes[route].behind
    }

    /// Ranges that an output has refused and that must be read for it again.
    pub fn refused(&self, route: usize) -> Vec<Range<u64>> {
        let inbox = self.inner.lock();
        let state = &inbox.routes[route];
        let limit = state.behind.unwrap_or(inbox.next);
        let mut refused = state.ledger.refused();
        refused.retain(|range| range.start < limit);
        refused
    }

    /// Reads frames for an output, from the disk or from what is on its way there. See [`Log::read`].
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub async fn read(
        &self,
        route: usize,
        range: Range<u64>,
        bytes_max: usize,
    ) -> io::Result<StoredFrames> {
        let (answer, receiver) = oneshot::channel();
        self.inner.lock().reads.push(Read {
            route,
            range,
            bytes_max,
            answer,
        });
        self.inner.wake();
        let gone = |_| io::Error::other("the storage thread has ended");
        receiver.await.map_err(gone)?
    }

    /// Claims what [`Writer::read`] found for an output that is behind, from `from` up to `read.next`: what it owes for
    /// each frame. Nothing if that was claimed or given up meanwhile. An output that has claimed everything follows.
    pub fn claim(&self, route: usize, from: u64, read: &StoredFrames) -> Option<Vec<Obligation>> {
        let mut inbox = self.inner.lock();
        let head = inbox.next;
        let state = &mut inbox.routes[route];
        if state.behind != Some(from) {
            return None;
        }
        let mut at = from;
        let mut owed = Vec::with_capacity(read.frames.len());
        for stored in &read.frames {
            let first = stored.frame.first.max(at);
            state.ledger.skip(at..first);
            at = stored.frame.end();
            owed.push(state.ledger.open(first..at));
        }
        let next = read.next.min(head);
        if at < next {
            state.ledger.skip(at..next);
            at = next;
        }
        state.behind = (at < head).then_some(at);
        Some(owed)
    }

    /// Claims a part of a range that was refused: what an output owes for it now. `None` where it owes that already.
    pub fn claim_refused(&self, route: usize, range: Range<u64>) -> Option<Obligation> {
        let inbox = self.inner.lock();
        let ledger = &inbox.routes[route].ledger;
        let is_free = ledger
            .refused()
            .iter()
            .any(|free| free.start <= range.start && range.end <= free.end);
        is_free.then(|| ledger.open(range))
    }

    /// Waits for the attempt to make everything safe on the disk that was given so far, and to note how far the outputs are.
    /// Tells whether it succeeded.
    pub async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.inner.lock().flushes.push(sender);
        self.inner.wake();
        receiver.await.unwrap_or(false)
    }

    /// The chunks that were taken.
    pub fn chunks(&self) -> Arc<Chunks> {
        Arc::clone(&self.inner.chunks)
    }

    /// Who numbers the records that are appended now.
    pub fn origin(&self) -> [u8; 16] {
        self.inner.origin
    }

    /// What lies in files for an output, as of a moment ago.
    pub fn waiting(&self, route: usize) -> Waiting {
        let inbox = self.inner.lock();
        inbox.waiting.get(route).copied().unwrap_or_default()
    }

    /// How many segments there are and how many bytes they have, as of a moment ago.
    pub fn size(&self) -> (usize, u64) {
        self.inner.lock().size
    }

    /// Why nothing can be written at the moment, if nothing can.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.lock().failure.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inner.lock().is_closing = true;
        self.inner.wake();
        if let Some(thread) = self.thread.take() {
            // It ends by itself after one last attempt; a panic in it has nothing left to harm.
            let _ = thread.join();
        }
    }
}

impl Inner {
    /// What writer and worker share of `log`, in which `recovered` was found.
    fn new(log: &Log, recovered: &Recovered, routes: Vec<Route>) -> Arc<Inner> {
        let inner = Arc::new(Inner {
            inbox: Mutex::default(),
            progressed: AtomicBool::new(false),
            thread: Mutex::default(),
            woken: Notify::new(),
            chunks: log.chunks(),
            origin: log.origin(),
        });
        let states = routes.into_iter().map(|route| {
            let progress = match log.progress(&route.name) {
                Some(progress) => progress.clone(),
                None if recovered.waiting.contains_key(&route.name) => Progress {
                    prefix: log.first(),
                    ..Progress::default()
                },
                None => Progress {
                    prefix: log.next(),
                    ..Progress::default()
                },
            };
            inner.state(route, &progress, log.next())
        });
        let states: Vec<RouteState> = states.collect();
        {
            let mut inbox = inner.lock();
            inbox.next = log.next();
            inbox.waiting = vec![Waiting::default(); states.len()];
            inbox.routes = states;
        }
        inner
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread {
            thread.unpark();
        }
        self.woken.notify_one();
    }

    /// The state of an output that has made `progress`, when the next number is `next`.
    fn state(self: &Arc<Inner>, route: Route, progress: &Progress, next: u64) -> RouteState {
        let inner = Arc::downgrade(self);
        let ledger = Ledger::with_notice(progress.prefix, move || {
            if let Some(inner) = inner.upgrade()
                && !inner.progressed.swap(true, Ordering::AcqRel)
            {
                inner.wake();
            }
        });
        for range in &progress.beyond {
            ledger.skip(range.clone());
        }
        let top = progress.top();
        RouteState {
            route,
            ledger,
            behind: (top < next).then_some(top),
        }
    }
}

/// How long records are gathered for one wait for the disk, when somebody waits for them.
const GATHER: Duration = Duration::from_millis(5);
/// So many bytes are not gathered any longer.
const GATHER_BYTES: usize = 256 << 10;
/// How often the disk is made to have what the system has, when nobody waits for that.
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// After a failure, how long until the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// How long answers are gathered before it is noted how far the outputs are.
const NOTE_AFTER: Duration = Duration::from_millis(5);
/// How often it is looked for what can go, while something moves.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

type Queue = VecDeque<Pending>;
