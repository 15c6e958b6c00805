//! The thread that writes positions, so that no shard ever waits for a disk.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Changes, Error, RowKey, Store};

/// After a failed write, how long until the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// What the owner of a [`Writer`] should tell the user.
#[derive(Debug)]
pub enum Report<'a> {
    /// Positions cannot be written any more; it is tried again. Nothing is lost by that, but a crash now would repeat
    /// what was delivered since.
    Failed(&'a Error),
    /// They can be written again.
    Recovered,
    /// The database was taken away; a new one was made at its place and gets all positions.
    Replaced,
}

/// Writes positions on its own thread. Dropping it writes what is left and waits for that.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    next_key: AtomicU64,
    wants_all: AtomicBool,
    /// How long the last write took, in nanoseconds.
    cost: AtomicU64,
}

#[derive(Default)]
struct State {
    changes: Changes,
    waiting: Vec<oneshot::Sender<bool>>,
    closing: bool,
}

impl Writer {
    /// Starts the thread. `report` is called from it when writing begins to fail and when it works again.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(store: Store, report: impl Fn(Report<'_>) + Send + 'static) -> io::Result<Writer> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            next_key: AtomicU64::new(store.next_key()),
            wants_all: AtomicBool::new(false),
            cost: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("positions".to_owned())
            .stack_size(512 << 10)
            .spawn(move || {
                let worker = Worker {
                    store,
                    report,
                    failing: false,
                };
                worker.run(&theirs);
            })?;
        Ok(Writer {
            shared,
            thread: Some(thread),
        })
    }

    /// A key for a row that does not exist yet.
    pub fn new_key(&self) -> RowKey {
        RowKey(self.shared.next_key.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets `changes` be written soon, in one transaction with whatever else is still waiting.
    pub fn write(&self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        self.shared.lock().changes.merge(changes);
        self.shared.work.notify_one();
    }

    /// Whether the database was replaced by an empty one, so that all rows have to be written again. Asked once, it is
    /// forgotten.
    pub fn wants_all(&self) -> bool {
        self.shared.wants_all.swap(false, Ordering::AcqRel)
    }

    /// How long the last write took: who writes often should bear it in mind. Zero before the first one.
    pub fn cost(&self) -> Duration {
        Duration::from_nanos(self.shared.cost.load(Ordering::Relaxed))
    }

    /// Waits for the attempt to write everything that was given so far; tells whether it succeeded.
    pub async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().waiting.push(sender);
        self.shared.work.notify_one();
        receiver.await.unwrap_or(false)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself after one last attempt; a panic in it has nothing left to harm.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to do.
    fn next(&self) -> State {
        let idle = |state: &mut State| {
            state.changes.is_empty() && state.waiting.is_empty() && !state.closing
        };
        let mut state = self
            .work
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        State {
            changes: std::mem::take(&mut state.changes),
            waiting: std::mem::take(&mut state.waiting),
            closing: state.closing,
        }
    }

    /// Puts back what could not be written and waits a moment, less if the end is near.
    fn put_back(&self, mut changes: Changes) {
        let mut state = self.lock();
        changes.merge(std::mem::take(&mut state.changes));
        state.changes = changes;
        let calm = |state: &mut State| !state.closing && state.waiting.is_empty();
        // Whether time is up or something happened, the next attempt is due.
        let _ = self.work.wait_timeout_while(state, RETRY, calm);
    }
}

struct Worker<R> {
    store: Store,
    report: R,
    failing: bool,
}

impl<R: Fn(Report<'_>)> Worker<R> {
    fn run(mut self, shared: &Shared) {
        loop {
            let state = shared.next();
            let result = self.write(&state.changes, shared);
            self.tell(&result);
            let written = result.is_ok();
            for waiting in state.waiting {
                let _ = waiting.send(written);
            }
            if state.closing {
                return;
            }
            if !written {
                shared.put_back(state.changes);
            }
        }
    }

    fn write(&mut self, changes: &Changes, shared: &Shared) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        if self.store.is_gone() {
            self.store.reopen()?;
            shared.wants_all.store(true, Ordering::Release);
            (self.report)(Report::Replaced);
        }
        let began = Instant::now();
        self.store.apply(changes)?;
        let cost = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        shared.cost.store(cost, Ordering::Relaxed);
        Ok(())
    }

    fn tell(&mut self, result: &Result<(), Error>) {
        match result {
            Err(error) if !self.failing => (self.report)(Report::Failed(error)),
            Ok(()) if self.failing => (self.report)(Report::Recovered),
            _ => {}
        }
        self.failing = result.is_err();
    }
}

#[cfg(test)]
mod tests;
