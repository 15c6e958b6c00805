//! Memory accounting: a permit is taken before bytes are read and given back when nothing refers to them any more.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A limit in bytes, shared by everyone who must stay below it together. Budgets nest: an input's own
/// (`Mem_Buf_Limit`) inside the process's.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    /// How much of the limit may be used for now.
    window: AtomicUsize,
    used: AtomicUsize,
    /// Nobody gets anything, however much room there is.
    is_closed: AtomicBool,
    parent: Option<Arc<Budget>>,
    waiting: Mutex<VecDeque<Waker>>,
    /// Of those who want to know when somebody begins to wait.
    watching: Mutex<Vec<Waker>>,
}

impl Budget {
    /// A budget of `limit` bytes; 0 means no limit of its own.
    pub fn new(limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            limit,
            window: AtomicUsize::new(usize::MAX),
            used: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            parent: None,
            waiting: Mutex::default(),
            watching: Mutex::default(),
        })
    }

    /// A budget of `limit` bytes (0: no limit of its own) whose use counts against `self` too.
    pub fn child(self: &Arc<Budget>, limit: usize) -> Arc<Budget> {
        Arc::new(Budget {
            limit,
            window: AtomicUsize::new(usize::MAX),
            used: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            parent: Some(Arc::clone(self)),
            waiting: Mutex::default(),
            watching: Mutex::default(),
        })
    }

    /// Bytes in use now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The limit in bytes; 0 means none.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Gives permits only up to `bytes` from now on, where the limit allows as many.
    pub fn narrow(&self, bytes: usize) {
        self.window.store(bytes, Ordering::Release);
        self.wake_waiting();
    }

    /// Up to how many bytes permits are given now; 0 means that there is no limit.
    pub fn window(&self) -> usize {
        match (self.window.load(Ordering::Acquire), self.limit) {
            (usize::MAX, limit) => limit,
            (window, 0) => window,
            (window, limit) => window.min(limit),
        }
    }

    /// The least limit in bytes of this budget and of those it counts against; 0 means that none of them has one.
    pub fn tightest(&self) -> usize {
        let above = self.parent.as_ref().map_or(0, |parent| parent.tightest());
        match (self.limit, above) {
            (0, limit) | (limit, 0) => limit,
            (own, above) => own.min(above),
        }
    }

    /// A permit for `bytes`, or none while the limit (or a parent's) is reached. One permit is always given to an
    /// empty budget, however large: a limit below one read must slow things down, not stop them.
    pub fn try_take(self: &Arc<Budget>, bytes: usize) -> Option<Permit> {
        self.try_take_beyond(bytes, 0)
    }

    /// The same with a window that is wider by `beyond` bytes.
    fn try_take_beyond(self: &Arc<Budget>, bytes: usize, beyond: usize) -> Option<Permit> {
        self.reserve(bytes, self.widened(beyond)).then(|| Permit {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// The window if it were wider by `beyond` bytes; 0 means that there is no limit.
    fn widened(&self, beyond: usize) -> usize {
        match (self.window(), self.limit) {
            (0, _) => 0,
            (window, 0) => window.saturating_add(beyond),
            (window, limit) => window.saturating_add(beyond).min(limit),
        }
    }

    /// A permit for no bytes, also while the limit is reached: for bytes that come to exist without anybody waiting
    /// ([`Permit::resize`]).
    pub fn nothing(self: &Arc<Budget>) -> Permit {
        Permit {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.limit != 0 && self.used() >= self.limit
    }

    /// Gives no permit from now on, as if the limit were reached. What bytes there are may still grow.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Gives permits again.
    pub fn reopen(&self) {
        self.is_closed.store(false, Ordering::Release);
        self.wake_waiting();
    }

    /// Whether it gives no permit until it is opened again.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Waits until it is not closed.
    pub async fn opened(&self) {
        poll_fn(|context| {
            if !self.is_closed() {
                return Poll::Ready(());
            }
            self.register(context.waker());
            // It may have been opened between the look and the registration.
            match self.is_closed() {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Waits until [`Budget::try_take`] succeeds.
    pub async fn take(self: &Arc<Budget>, bytes: usize) -> Permit {
        self.take_beyond(bytes, 0).await
    }

    /// The same with a window that is wider by `beyond` bytes, for who has waited long enough for the window as it is. The limit
    /// stays one.
    pub async fn take_beyond(self: &Arc<Budget>, bytes: usize, beyond: usize) -> Permit {
        poll_fn(|context| {
            if let Some(permit) = self.try_take_beyond(bytes, beyond) {
                return Poll::Ready(permit);
            }
            self.register(context.waker());
            // Room may have been made between the attempt and the registration.
            let permit = self.try_take_beyond(bytes, beyond);
            permit.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Completes when somebody waits for room here or in a child: whoever holds bytes only to do more at once should let
    /// go of them now.
    pub async fn wanted(&self) {
        poll_fn(|context| {
            if self.is_wanted() {
                return Poll::Ready(());
            }
            let mut watching = self.watching.lock().expect("no panic while held");
            if !watching
                .iter()
                .any(|known| known.will_wake(context.waker()))
            {
                watching.push(context.waker().clone());
            }
            drop(watching);
            // Somebody may have begun between the look and the registration.
            match self.is_wanted() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Whether somebody waits for room here or in a child.
    pub fn is_wanted(&self) -> bool {
        !self.waiting.lock().expect("no panic while held").is_empty()
    }

    fn reserve(&self, bytes: usize, limit: usize) -> bool {
        if self.is_closed() {
            return false;
        }
        let room = |used: usize| {
            let fits = limit == 0 || used == 0 || used.saturating_add(bytes) <= limit;
            fits.then_some(used + bytes)
        };
        if self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, room)
            .is_err()
        {
            return false;
        }
        if let Some(parent) = &self.parent
            && !parent.reserve(bytes, parent.window())
        {
            self.used.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        true
    }

    fn grow(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::AcqRel);
        if let Some(parent) = &self.parent {
            parent.grow(bytes);
        }
    }

    fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::AcqRel);
        if let Some(parent) = &self.parent {
            parent.release(bytes);
        }
        self.wake_waiting();
    }

    /// Wakes those who wait now, one by one so that the list keeps its memory.
    fn wake_waiting(&self) {
        let count = self.waiting.lock().expect("no panic while held").len();
        for _ in 0..count {
            let next = self
                .waiting
                .lock()
                .expect("no panic while held")
                .pop_front();
            match next {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
    }

    fn register(&self, waker: &Waker) {
        self.waiting
            .lock()
            .expect("no panic while held")
            .push_back(waker.clone());
        let watching = std::mem::take(&mut *self.watching.lock().expect("no panic while held"));
        watching.into_iter().for_each(Waker::wake);
        if let Some(parent) = &self.parent {
            parent.register(waker);
        }
    }
}

/// Bytes taken from a [`Budget`]; given back on drop.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Permit {
    /// How many bytes it stands for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves `bytes` of this permit (at most what it stands for) into one of their own.
    pub fn split(&mut self, bytes: usize) -> Permit {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Permit {
            budget: Arc::clone(&self.budget),
            bytes,
        }
    }

    /// Corrects the permit to what is really held. Growing never waits: the bytes exist already.
    pub fn resize(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.budget.grow(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.budget.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_budget_refuses_and_a_dropped_permit_makes_room() {
        let budget = Budget::new(100);
        let first = budget.try_take(80).expect("empty");
        assert!(budget.try_take(30).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(
            budget.try_take(500).is_some(),
            "an empty budget always gives one permit"
        );
    }

    #[test]
    fn a_narrow_budget_gives_less_until_it_is_wide_again() {
        let mut context = std::task::Context::from_waker(Waker::noop());
        let budget = Budget::new(100);
        assert_eq!(budget.window(), 100);
        budget.narrow(40);
        assert_eq!((budget.window(), budget.limit()), (40, 100));
        let held = budget.try_take(30).expect("empty");
        let mut more = std::pin::pin!(budget.take(30));
        assert!(more.as_mut().poll(&mut context).is_pending());
        assert!(budget.is_wanted());
        budget.narrow(1000);
        assert_eq!(budget.window(), 100, "never more than the limit");
        assert!(!budget.is_wanted(), "who waits tries again");
        assert!(more.as_mut().poll(&mut context).is_ready());
        budget.narrow(10);
        assert!(budget.try_take(1).is_none());
        drop(held);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn beyond_the_window_there_is_room_up_to_the_limit() {
        let mut context = std::task::Context::from_waker(Waker::noop());
        let budget = Budget::new(100);
        budget.narrow(40);
        let mut take = |bytes, beyond| {
            let permit = std::pin::pin!(budget.take_beyond(bytes, beyond)).poll(&mut context);
            match permit {
                Poll::Ready(permit) => Some(permit),
                Poll::Pending => None,
            }
        };
        let _held = take(40, 0).expect("empty");
        assert!(take(10, 5).is_none());
        let _more = take(10, 10).expect("so far beyond");
        assert!(take(60, usize::MAX).is_none(), "the limit stays one");
        assert_eq!(budget.used(), 50);
        let without = Budget::new(0);
        let _all = without.try_take(1 << 30).expect("no limit");
        assert!(without.try_take(1).is_some());
    }

    #[test]
    fn who_watches_hears_of_a_wait_in_a_child() {
        let mut context = std::task::Context::from_waker(Waker::noop());
        let process = Budget::new(0);
        let input = process.child(10);
        let mut wanted = std::pin::pin!(process.wanted());
        let held = input.try_take(10).expect("empty");
        assert!(wanted.as_mut().poll(&mut context).is_pending());
        let mut room = std::pin::pin!(input.take(1));
        assert!(room.as_mut().poll(&mut context).is_pending());
        assert!(wanted.as_mut().poll(&mut context).is_ready());
        drop(held);
        assert!(room.as_mut().poll(&mut context).is_ready());
        assert!(
            std::pin::pin!(process.wanted())
                .poll(&mut context)
                .is_pending(),
            "nobody waits any more"
        );
    }

    #[test]
    fn a_closed_budget_gives_nothing_and_wakes_who_waits_when_it_opens() {
        let mut context = std::task::Context::from_waker(Waker::noop());
        let process = Budget::new(100);
        let (input, other) = (process.child(0), process.child(0));
        input.close();
        assert!(input.try_take(1).is_none(), "however empty it is");
        assert!(other.try_take(1).is_some(), "the others go on");
        let mut wanted = std::pin::pin!(process.wanted());
        let mut room = std::pin::pin!(input.take(1));
        assert!(room.as_mut().poll(&mut context).is_pending());
        let mut opened = std::pin::pin!(input.opened());
        assert!(opened.as_mut().poll(&mut context).is_pending());
        assert!(
            wanted.as_mut().poll(&mut context).is_ready(),
            "who holds bytes only to do more at once lets go of them"
        );
        input.reopen();
        assert!(room.as_mut().poll(&mut context).is_ready());
        assert!(opened.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_child_counts_against_its_parent() {
        let process = Budget::new(100);
        let (one, two) = (process.child(0), process.child(50));
        assert_eq!((one.tightest(), two.tightest()), (100, 50));
        let held = one.try_take(90).expect("room");
        assert!(two.try_take(20).is_none(), "the parent is full");
        assert_eq!(two.used(), 0, "a refused reservation leaves nothing behind");
        drop(held);
        let mut permit = two.try_take(20).expect("room again");
        permit.resize(60);
        assert_eq!((process.used(), two.used()), (60, 60));
        drop(permit);
        assert_eq!((process.used(), two.used()), (0, 0));
    }
}
