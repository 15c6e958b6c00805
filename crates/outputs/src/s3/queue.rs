//! Objects that wait for their upload: tried in order until they are in the bucket, however long that takes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::bucket::Failure;

/// How long to wait after failures.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// After the first one.
    pub first: Duration,
    /// However many there were.
    pub longest: Duration,
}

impl Default for Waits {
    fn default() -> Waits {
        Waits {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(30),
        }
    }
}

/// The longest wait while stopping.
const STOPPING_WAIT: Duration = Duration::from_secs(1);

/// Something with a tag.
pub trait Tagged {
    /// What orders it.
    fn tag(&self) -> &[u8];
}

/// The queue.
#[derive(Debug)]
pub struct Queue<T> {
    entries: RefCell<Vec<Entry<T>>>,
    /// Entries of one tag go one after the other.
    ordered: bool,
    waits: Waits,
    hurried: Cell<bool>,
    changed: Notify,
}

#[derive(Debug)]
struct Entry<T> {
    object: Rc<T>,
    failures: u32,
    /// `None`: under way.
    not_before: Option<Instant>,
}

impl<T: Tagged> Queue<T> {
    /// An empty queue.
    pub fn new(ordered: bool, waits: Waits) -> Queue<T> {
        Queue {
            entries: RefCell::new(Vec::new()),
            ordered,
            waits,
            hurried: Cell::new(false),
            changed: Notify::new(),
        }
    }

    /// Adds an object at the end.
    pub fn push(&self, object: T) {
        self.entries.borrow_mut().push(Entry {
            object: Rc::new(object),
            failures: 0,
            not_before: Some(Instant::now()),
        });
        self.changed.notify_waiters();
    }

    /// The next object that may be tried; it is under way then.
    pub async fn next(&self) -> Rc<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait = match self.take() {
                Ok(object) => return object,
                Err(wait) => wait,
            };
            match wait {
                None => changed.await,
                Some(at) => {
                    let _ = timeout_at(at, changed).await;
                }
            }
        }
    }

    /// An object, or when there may be one.
    fn take(&self) -> Result<Rc<T>, Option<Instant>> {
        let mut entries = self.entries.borrow_mut();
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        let mut before = std::collections::HashSet::new();
        let mut found = None;
        for (index, entry) in entries.iter().enumerate() {
            if self.ordered && !before.insert(entry.object.tag()) {
                continue;
            }
            match entry.not_before {
                Some(at) if at <= now => {
                    found = Some(index);
                    break;
                }
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        drop(before);
        let entry = found.map(|index| &mut entries[index]).ok_or(next)?;
        entry.not_before = None;
        Ok(Rc::clone(&entry.object))
    }

    /// The object is in the bucket.
    pub fn done(&self, object: &Rc<T>) {
        self.entries
            .borrow_mut()
            .retain(|entry| !Rc::ptr_eq(&entry.object, object));
        self.changed.notify_waiters();
    }

    /// The object must be tried again, not before `after`. Returns how often it has failed since the last attempt that
    /// made `progress`, and the wait: as long as some parts get through, waiting longer each time would only hold the
    /// rest up.
    pub fn postpone(
        &self,
        object: &Rc<T>,
        after: Option<Duration>,
        progress: bool,
    ) -> (u32, Duration) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries
            .iter_mut()
            .find(|entry| Rc::ptr_eq(&entry.object, object));
        let Some(entry) = entry else {
            return (0, Duration::ZERO);
        };
        entry.failures = if progress { 1 } else { entry.failures + 1 };
        let mut wait = self
            .waits
            .after(entry.failures)
            .max(after.unwrap_or_default());
        if self.hurried.get() {
            wait = wait.min(STOPPING_WAIT);
        }
        entry.not_before = Some(Instant::now() + wait);
        let failures = entry.failures;
        drop(entries);
        self.changed.notify_waiters();
        (failures, wait)
    }

    /// Waits only shortly from now on.
    pub fn hurry(&self) {
        self.hurried.set(true);
        let now = Instant::now();
        for entry in self.entries.borrow_mut().iter_mut() {
            entry.not_before = entry.not_before.map(|at| at.min(now));
        }
        self.changed.notify_waiters();
    }

    /// Until nothing waits and nothing is under way.
    pub async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.entries.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// How many objects wait or are under way.
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }
}

impl Waits {
    /// Doubles with each failure; up to a quarter less by chance, so that many do not come at once.
    fn after(self, failures: u32) -> Duration {
        let factor = 1 << failures.saturating_sub(1).min(16);
        let wait = (self.first * factor).min(self.longest);
        wait.mul_f64(1.0 - fastrand::f64() / 4.0)
    }
}

/// A failure in a few words.
pub fn why(failure: &Failure) -> String {
    match failure {
        Failure::Again { why, .. } | Failure::BadParts(why) => why.clone(),
        Failure::Exists => "an object of this name exists".to_owned(),
        Failure::NoSuchUpload => "the upload in parts is not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits {
        first: Duration::from_millis(250),
        longest: Duration::from_secs(30),
    };

    struct Object(&'static str, u32);

    impl Tagged for Object {
        fn tag(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn objects_of_a_tag_wait_for_each_other() {
        let queue = Queue::new(true, WAITS);
        for (tag, number) in [("a", 1), ("a", 2), ("b", 3)] {
            queue.push(Object(tag, number));
        }
        let first = queue.next().await;
        let other = queue.next().await;
        assert_eq!((first.1, other.1), (1, 3));
        queue.done(&other);
        let before = Instant::now();
        let (failures, wait) = queue.postpone(&first, None, false);
        assert!(failures == 1 && wait <= WAITS.first);
        let again = queue.next().await;
        assert!(
            again.1 == 1 && before.elapsed() >= wait,
            "the second one waits for the first"
        );
        queue.done(&again);
        let last = queue.next().await;
        assert_eq!((last.1, queue.len()), (2, 1));
        queue.done(&last);
        queue.empty().await;
    }

    #[tokio::test(start_paused = true)]
    async fn without_order_nothing_waits_for_another() {
        let queue = Queue::new(false, WAITS);
        queue.push(Object("a", 1));
        queue.push(Object("a", 2));
        let first = queue.next().await;
        assert_eq!((first.1, queue.next().await.1), (1, 2));
        let (_, wait) = queue.postpone(&first, Some(Duration::from_secs(100)), false);
        assert_eq!(wait, Duration::from_secs(100), "the service's wish counts");
        queue.hurry();
        let before = Instant::now();
        assert_eq!(queue.next().await.1, 1);
        assert_eq!(before.elapsed(), Duration::ZERO, "a stop does not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_do_not_grow_while_parts_get_through() {
        let queue = Queue::new(false, WAITS);
        queue.push(Object("a", 1));
        for (progress, failures) in [(false, 1), (false, 2), (true, 1), (true, 1), (false, 2)] {
            let object = queue.next().await;
            assert_eq!(queue.postpone(&object, None, progress).0, failures);
        }
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let waits: Vec<Duration> = (1..=40).map(|failures| WAITS.after(failures)).collect();
        assert!(waits[0] <= WAITS.first && waits[39] > WAITS.longest / 2);
        assert!(waits.iter().all(|wait| *wait <= WAITS.longest));
    }
}
