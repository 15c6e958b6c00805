//! The thread that writes dead letters.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Letter, Store};

/// How long letters are gathered for one file.
const GATHER: Duration = Duration::from_millis(100);
/// So many bytes are not gathered any longer.
const GATHER_BYTES: usize = 1 << 20;
/// After a failure, how long until the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// What cannot be written takes so much memory, then more of it is not kept.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// What the owner of a [`Writer`] should tell the user.
#[derive(Debug)]
pub enum Report<'a> {
    /// Letters cannot be written; it is tried again.
    Failed(&'a io::Error),
    /// They can be written again.
    Recovered,
    /// A letter is not kept: the store has its most bytes, or cannot be written for too long.
    NotKept(&'a Letter),
}

/// A letter, and what happens once it is kept or never will be.
type Post = (Letter, Box<dyn FnOnce(bool) + Send>);

/// Writes letters on its own thread. Dropping it writes what is left and waits for that.
pub struct Writer {
    sender: Option<Sender<Post>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `report` is called from it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(store: Store, report: impl Fn(Report<'_>) + Send + 'static) -> io::Result<Writer> {
        let (sender, posts) = channel();
        let thread = std::thread::Builder::new()
            .name("dead letters".to_owned())
            .stack_size(256 << 10)
            .spawn(move || {
                let worker = Worker {
                    store,
                    posts,
                    report,
                    waiting: Vec::new(),
                    is_failing: false,
                };
                worker.run();
            })?;
        Ok(Writer {
            sender: Some(sender),
            thread: Some(thread),
        })
    }

    /// Keeps `letter` soon. `done` is called once it is on the disk (`true`), or will never be (`false`).
    pub fn put(&self, letter: Letter, done: impl FnOnce(bool) + Send + 'static) {
        if let Some(sender) = &self.sender {
            // The thread only ends with this.
            let _ = sender.send((letter, Box::new(done)));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has nothing left to harm.
            let _ = thread.join();
        }
    }
}

struct Worker<R> {
    store: Store,
    posts: Receiver<Post>,
    report: R,
    waiting: Vec<Post>,
    is_failing: bool,
}

impl<R: Fn(Report<'_>)> Worker<R> {
    fn run(mut self) {
        loop {
            let is_open = self.gather();
            if !self.waiting.is_empty() {
                self.write();
            }
            if !is_open {
                return;
            }
        }
    }

    /// Waits for letters. Returns whether more can come.
    fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.posts.recv() {
                Ok(post) => self.waiting.push(post),
                Err(_) => return false,
            }
        }
        let wait = if self.is_failing { RETRY } else { GATHER };
        let until = Instant::now() + wait;
        while self.is_failing || self.bytes() < GATHER_BYTES {
            let left = until.saturating_duration_since(Instant::now());
            match self.posts.recv_timeout(left) {
                Ok(post) if self.is_failing && self.bytes() > WAITING_BYTES_MAX => {
                    self.not_kept(post);
                }
                Ok(post) => self.waiting.push(post),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }

    fn bytes(&self) -> usize {
        self.waiting
            .iter()
            .map(|(letter, _)| letter.body.len())
            .sum()
    }

    fn write(&mut self) {
        let letters: Vec<Letter> = self
            .waiting
            .iter()
            .map(|(letter, _)| letter.clone())
            .collect();
        match self.store.put(&letters) {
            Ok(is_kept) => {
                if std::mem::take(&mut self.is_failing) {
                    (self.report)(Report::Recovered);
                }
                for (letter, done) in self.waiting.drain(..) {
                    if !is_kept {
                        (self.report)(Report::NotKept(&letter));
                    }
                    done(is_kept);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    (self.report)(Report::Failed(&error));
                }
            }
        }
    }

    fn not_kept(&self, (letter, done): Post) {
        (self.report)(Report::NotKept(&letter));
        done(false);
    }
}
