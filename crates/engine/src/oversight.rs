//! What the pipeline knows of the runner of an output, and tells it.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use record::{Batch, Receipt};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::storage::Held;

/// Records of a batch that an output holds no more and that are not answered for.
#[derive(Debug)]
pub struct Leftover {
    pub batch: Arc<Batch>,
    pub receipt: Receipt,
    /// Which records, ascending.
    pub records: Vec<Range<u32>>,
}

impl Leftover {
    /// How many records there are.
    pub fn len(&self) -> u32 {
        self.records
            .iter()
            .map(|range| range.end - range.start)
            .sum()
    }
}

/// What a runner is told to do.
#[derive(Clone)]
pub enum Order {
    /// Give back everything now, also what is under way: it will get no answer.
    TearDown,
    /// Send nothing more, wait for what is under way, and leave the rest to the successor.
    Retire(Rc<Oversight>),
}

/// Shared by a runner and the pipeline.
pub struct Oversight {
    order: RefCell<Option<Order>>,
    leftovers: RefCell<Vec<Leftover>>,
    changed: Notify,
    /// Told when an order is carried out.
    done: Notify,
    /// Records that the runner holds, what lies here included.
    held: Cell<u64>,
    /// Requests under way.
    under_way: Cell<usize>,
    /// What is under way will get no answer.
    cut_off: Cell<bool>,
    /// No answer came since requests were given up.
    is_silent: Cell<bool>,
    /// When the last answer came, or the first of the requests under way was sent if that was later.
    answered: Cell<Instant>,
    /// How long an answer may take.
    pub deadline: Cell<Duration>,
    /// The bytes that it holds, where the storage counts them.
    bytes: RefCell<Option<Arc<Held>>>,
}

impl Oversight {
    /// Of a runner that has nothing to do.
    pub fn new() -> Rc<Oversight> {
        Rc::new(Oversight {
            order: RefCell::default(),
            leftovers: RefCell::default(),
            changed: Notify::new(),
            done: Notify::new(),
            held: Cell::new(0),
            under_way: Cell::new(0),
            cut_off: Cell::new(false),
            is_silent: Cell::new(false),
            answered: Cell::new(Instant::now()),
            deadline: Cell::new(Duration::MAX),
            bytes: RefCell::default(),
        })
    }

    /// Tells the runner.
    pub fn order(&self, order: Order) {
        *self.order.borrow_mut() = Some(order);
        self.changed.notify_one();
    }

    /// What the runner was told last.
    pub fn current_order(&self) -> Option<Order> {
        self.order.borrow().clone()
    }

    /// The order is carried out.
    pub fn order_is_done(&self) {
        *self.order.borrow_mut() = None;
        self.done.notify_waiters();
    }

    /// Completes when there is no order that is still to be carried out.
    pub async fn idle(&self) {
        loop {
            let done = self.done.notified();
            if self.current_order().is_none() {
                return;
            }
            done.await;
        }
    }

    /// Leaves records to the runner.
    pub fn leave(&self, leftovers: Vec<Leftover>) {
        let records: u64 = leftovers.iter().map(|left| u64::from(left.len())).sum();
        self.hold(records);
        self.leftovers.borrow_mut().extend(leftovers);
        self.changed.notify_one();
    }

    /// Takes the records that were left.
    pub fn take_leftovers(&self) -> Vec<Leftover> {
        std::mem::take(&mut self.leftovers.borrow_mut())
    }

    /// Completes when there is an order, or records were left.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The runner holds `records` more.
    pub fn hold(&self, records: u64) {
        self.held.set(self.held.get() + records);
    }

    /// The runner holds `records` less.
    pub fn let_go(&self, records: u64) {
        self.held.set(self.held.get().saturating_sub(records));
    }

    /// The runner broke and dropped what it held: how many records that were. What was left to it still lies here.
    pub fn forfeit(&self) -> u64 {
        let kept = self.leftovers.borrow();
        let kept: u64 = kept.iter().map(|left| u64::from(left.len())).sum();
        self.held.replace(kept).saturating_sub(kept)
    }

    /// An answer came.
    pub fn note_answer(&self) {
        self.is_silent.set(false);
        self.answered.set(Instant::now());
    }

    /// Requests are given up because no answer came.
    pub fn give_up(&self) {
        self.is_silent.set(true);
        self.under_way.set(0);
    }

    /// So many requests are under way now.
    pub fn note_under_way(&self, requests: usize) {
        if self.under_way.get() == 0 && requests > 0 {
            self.answered.set(Instant::now());
        }
        self.under_way.set(requests);
    }

    /// What the runner holds is counted in `bytes` from now on.
    pub fn count_in(&self, bytes: &Arc<Held>) {
        *self.bytes.borrow_mut() = Some(Arc::clone(bytes));
    }

    /// Completes when more waits for the runner than it gets because of all that it holds.
    pub async fn room_is_wanted(&self) {
        let bytes = self.bytes.borrow().clone();
        match bytes {
            Some(bytes) => bytes.room_is_wanted().await,
            None => std::future::pending().await,
        }
    }

    /// Gives up what is under way: it will get no answer.
    pub fn cut_off(&self) {
        self.cut_off.set(true);
        self.changed.notify_one();
    }

    /// Whether what is under way is given up.
    pub fn is_cut_off(&self) -> bool {
        self.cut_off.get()
    }

    /// Whether an answer came since the last time that requests were given up, or none is awaited.
    pub fn has_answered(&self) -> bool {
        !self.is_silent.get()
    }

    /// How many requests are under way without any answer, and for how long, if that is more than twice the deadline.
    pub fn is_stuck(&self, now: Instant) -> Option<(usize, Duration)> {
        let silent = now.saturating_duration_since(self.answered.get());
        let patience = self.deadline.get().saturating_mul(2);
        (self.under_way.get() > 0 && silent >= patience).then(|| (self.under_way.get(), silent))
    }
}
