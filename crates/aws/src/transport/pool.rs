//! Idle connections to one endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::connection::Connection;

/// Keeps connections between calls, the last used one on top, and closes those that stay idle too long.
#[derive(Debug)]
pub(super) struct Pool {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    idle_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The longest idle first.
    idle: Vec<Idle>,
    /// Whether a task waits to close what stays idle.
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub fn new(idle_max: Duration) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                idle_max,
                state: Mutex::default(),
            }),
        }
    }

    /// A connection that was alive just now.
    pub async fn take(&self) -> Option<Connection> {
        loop {
            let idle = self.shelf.state().idle.pop()?;
            let mut connection = idle.connection;
            if idle.since.elapsed() < self.shelf.idle_max && connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection for the next call. Needs a runtime, as all of its calls do.
    pub fn put(&self, connection: Connection) {
        let since = Instant::now();
        let swept = {
            let mut state = self.shelf.state();
            state.idle.push(Idle { connection, since });
            std::mem::replace(&mut state.swept, true)
        };
        // A runtime that is ending drops the task at once, which takes the lock again.
        if !swept {
            drop(tokio::spawn(Sweeper(Arc::downgrade(&self.shelf)).run()));
        }
    }

    /// Closes all idle connections.
    pub fn clear(&self) {
        self.shelf.state().idle.clear();
    }
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has been idle too long and tells when the next one will have been.
    fn sweep(&self) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        let expired = state
            .idle
            .partition_point(|idle| idle.since + self.idle_max <= now);
        state.idle.drain(..expired);
        let next = state.idle.first().map(|idle| idle.since + self.idle_max);
        state.swept = next.is_some();
        next
    }
}

/// The task that closes idle connections; it ends when there are none, or with its runtime.
struct Sweeper(Weak<Shelf>);

impl Sweeper {
    async fn run(self) {
        while let Some(next) = self.0.upgrade().and_then(|shelf| shelf.sweep()) {
            sleep_until(next).await;
        }
    }
}

impl Drop for Sweeper {
    /// A runtime that ended must not leave the shelf believing that it is still swept.
    fn drop(&mut self) {
        if let Some(shelf) = self.0.upgrade() {
            shelf.state().swept = false;
        }
    }
}
