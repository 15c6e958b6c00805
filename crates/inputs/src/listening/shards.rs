//! One listener for all shards: it is bound once, each shard accepts on a descriptor of its own for the same socket, and
//! connections are spread evenly. A connection stays in the shard that has accepted it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use plugin::Shard;
use tokio::sync::Notify;

/// A listener that several shards accept on.
struct Shared {
    socket: OwnedFd,
    /// How many connections each shard has that accepts.
    accepting: Mutex<BTreeMap<usize, Arc<AtomicUsize>>>,
    /// Told when a shard has more or fewer connections, begins to accept or ceases to.
    changed: Notify,
}

/// A shard's part in a listener.
pub struct Share {
    shared: Arc<Shared>,
    index: usize,
    connections: Arc<AtomicUsize>,
}

/// A connection that a shard has, until it is dropped.
pub struct Counted {
    shared: Arc<Shared>,
    connections: Arc<AtomicUsize>,
}

/// The listener `name`, which another shard has bound already or `bind` does. Returns a descriptor for this shard.
///
/// # Errors
/// When it cannot be bound, or there is no descriptor left.
pub fn join(
    name: String,
    shard: Shard,
    bind: impl FnOnce() -> io::Result<OwnedFd>,
) -> io::Result<(OwnedFd, Share)> {
    /// By the names of their instances and where they listen.
    static LISTENERS: Mutex<Option<HashMap<String, Weak<Shared>>>> = Mutex::new(None);
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    let listeners = listeners.get_or_insert_default();
    listeners.retain(|_, listener| listener.strong_count() > 0);
    let shared = match listeners.get(&name).and_then(Weak::upgrade) {
        Some(known) => known,
        None => {
            let shared = Arc::new(Shared {
                socket: bind()?,
                accepting: Mutex::default(),
                changed: Notify::new(),
            });
            listeners.insert(name, Arc::downgrade(&shared));
            shared
        }
    };
    let own = shared.socket.try_clone()?;
    let share = Share {
        shared,
        index: shard.index,
        connections: Arc::default(),
    };
    Ok((own, share))
}

impl Share {
    /// This shard accepts from now on.
    pub fn begin(&self) {
        let own = Arc::clone(&self.connections);
        self.shared.accepting().insert(self.index, own);
        self.shared.changed.notify_waiters();
    }

    /// Waits until no other shard that accepts has fewer connections.
    pub async fn turn(&self) {
        self.wait(true).await;
    }

    /// Waits until another shard that accepts has fewer connections.
    pub async fn end_of_turn(&self) {
        self.wait(false).await;
    }

    async fn wait(&self, for_turn: bool) {
        loop {
            // It hears of every change from here on.
            let changed = self.shared.changed.notified();
            if self.is_turn() == for_turn {
                return;
            }
            changed.await;
        }
    }

    fn is_turn(&self) -> bool {
        let own = self.connections.load(Ordering::Acquire);
        let accepting = self.shared.accepting();
        let mut all = accepting.values();
        !all.any(|other| other.load(Ordering::Acquire) < own)
    }

    /// Counts a connection.
    pub fn count(&self) -> Counted {
        self.connections.fetch_add(1, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
        Counted {
            shared: Arc::clone(&self.shared),
            connections: Arc::clone(&self.connections),
        }
    }
}

impl Drop for Share {
    /// Nobody waits for it to accept any more.
    fn drop(&mut self) {
        let mut accepting = self.shared.accepting();
        let known = accepting.get(&self.index);
        if known.is_some_and(|known| Arc::ptr_eq(known, &self.connections)) {
            accepting.remove(&self.index);
        }
        drop(accepting);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    fn accepting(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<AtomicUsize>>> {
        self.accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn is_ready(wait: impl Future<Output = ()>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(wait).poll(&mut context).is_ready()
    }

    fn shares(name: &str) -> [Share; 2] {
        let mut bound = 0;
        let shares = [0, 1].map(|index| {
            let shard = Shard { index, count: 2 };
            let joined = join(name.to_owned(), shard, || {
                bound += 1;
                Ok(TcpListener::bind("127.0.0.1:0")?.into())
            });
            joined.expect("bound").1
        });
        assert_eq!(bound, 1);
        shares
    }

    #[test]
    fn who_has_fewest_connections_accepts() {
        let [one, other] = shares("fewest");
        one.begin();
        let first = one.count();
        assert!(is_ready(one.turn()), "nobody else accepts");
        other.begin();
        assert!(!is_ready(one.turn()));
        assert!(is_ready(one.end_of_turn()));
        assert!(is_ready(other.turn()));
        let second = other.count();
        assert!(is_ready(one.turn()) && is_ready(other.turn()));
        drop(first);
        assert!(!is_ready(other.turn()));
        drop(one);
        assert!(is_ready(other.turn()));
        drop(second);
    }

    #[test]
    fn connections_of_an_instance_that_is_replaced_do_not_count() {
        let [one, other] = shares("replaced");
        one.begin();
        other.begin();
        let left = one.count();
        drop(one);
        let shard = Shard { index: 0, count: 2 };
        let joined = join("replaced".to_owned(), shard, || unreachable!("it is bound"));
        let (_, again) = joined.expect("known");
        again.begin();
        assert!(is_ready(again.turn()));
        drop(left);
        let _own = again.count();
        assert!(!is_ready(again.turn()));
    }
}
