//! A sender of chunks on the other end of a network, as Fluent Bit's forward output is one: what is not acknowledged is
//! sent again.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::scenario::SenderPlan;
use crate::text::Id;
use crate::world::World;

/// The longest wait before connecting anew.
const RECONNECT: Duration = Duration::from_secs(2);

/// Where a sender finds the router's input, if there is one.
#[derive(Default)]
pub struct Port {
    listening: Cell<bool>,
    pending: RefCell<VecDeque<Rc<Link>>>,
    open: RefCell<Vec<Rc<Link>>>,
    changed: Notify,
    accepted: Notify,
    /// Whether everything is acknowledged.
    pub done: Cell<bool>,
}

/// A connection.
#[derive(Default)]
pub struct Link {
    closed: Cell<bool>,
    chunks: RefCell<VecDeque<Chunk>>,
    acks: RefCell<VecDeque<u32>>,
    /// Tells the router of chunks and of the end.
    pub to_router: Notify,
    to_sender: Notify,
}

/// A chunk of records.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Its number: what it is acknowledged by.
    pub number: u32,
    /// Its records, which are numbered one after the other.
    pub records: Range<Id>,
}

impl Chunk {
    /// Its records.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let Id { source, number } = self.records.start;
        (number..self.records.end.number).map(move |number| Id { source, number })
    }
}

impl Port {
    /// The input listens from now on.
    pub fn listen(&self) {
        self.listening.set(true);
        self.changed.notify_one();
    }

    /// The router is gone, or listens no more.
    pub fn close(&self) {
        self.listening.set(false);
        self.pending.borrow_mut().clear();
        for link in self.open.borrow_mut().drain(..) {
            link.close();
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> Rc<Link> {
        loop {
            if let Some(link) = self.pending.borrow_mut().pop_front() {
                return link;
            }
            self.accepted.notified().await;
        }
    }

    async fn connect(&self) -> Rc<Link> {
        while !self.listening.get() {
            self.changed.notified().await;
        }
        let link: Rc<Link> = Rc::default();
        self.pending.borrow_mut().push_back(Rc::clone(&link));
        self.open.borrow_mut().push(Rc::clone(&link));
        self.accepted.notify_one();
        link
    }
}

impl Link {
    /// Both ends hear of it; what is under way is lost.
    pub fn close(&self) {
        self.closed.set(true);
        self.chunks.borrow_mut().clear();
        self.acks.borrow_mut().clear();
        self.to_router.notify_one();
        self.to_sender.notify_one();
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The next chunk that has arrived.
    pub fn next_chunk(&self) -> Option<Chunk> {
        self.chunks.borrow_mut().pop_front()
    }

    /// Acknowledges a chunk.
    pub fn acknowledge(&self, chunk: u32) {
        if !self.closed.get() {
            self.acks.borrow_mut().push_back(chunk);
            self.to_sender.notify_one();
        }
    }
}

/// The sender `index`, until everything is acknowledged.
pub async fn send(world: Rc<World>, index: usize) {
    let mut sender = Sender {
        plan: world.scenario.senders[index],
        world: Rc::clone(&world),
        index,
        made: Vec::new(),
        unacknowledged: BTreeSet::new(),
        was_sent: BTreeSet::new(),
    };
    while !sender.is_done() {
        let link = world.ports[index].connect().await;
        sender.talk(&link).await;
        link.close();
        let wait = world.dice(|dice| dice.time(Duration::from_millis(10)..RECONNECT));
        tokio::time::sleep(wait).await;
    }
    world.ports[index].done.set(true);
}

struct Sender {
    world: Rc<World>,
    index: usize,
    plan: SenderPlan,
    made: Vec<Chunk>,
    unacknowledged: BTreeSet<u32>,
    was_sent: BTreeSet<u32>,
}

impl Sender {
    fn is_done(&self) -> bool {
        self.made.len() as u32 == self.plan.chunks && self.unacknowledged.is_empty()
    }

    /// One connection, until it ends.
    async fn talk(&mut self, link: &Rc<Link>) {
        let cut_at = self.cut_at();
        for chunk in self.unacknowledged.clone() {
            self.transmit(chunk, link).await;
        }
        let mut heard = Instant::now();
        let mut next = Instant::now();
        while !self.is_done() && !link.is_closed() {
            let may_send = self.unacknowledged.len() < self.plan.window
                && (self.made.len() as u32) < self.plan.chunks;
            let waits = !self.unacknowledged.is_empty();
            tokio::select! {
                biased;
                () = link.to_sender.notified() => {
                    if self.hear(link) {
                        heard = Instant::now();
                    }
                }
                () = tokio::time::sleep_until(cut_at.unwrap_or(heard)), if cut_at.is_some() => {
                    return self.world.say(|| format!("sender {} loses its connection", self.index));
                }
                () = tokio::time::sleep_until(next), if may_send => {
                    let chunk = self.make();
                    self.transmit(chunk, link).await;
                    let pause = self.plan.pause;
                    next += self.world.dice(|dice| dice.time(Duration::from_millis(1)..pause));
                }
                () = tokio::time::sleep_until(heard.max(next) + self.plan.patience), if waits => {
                    return self.world.say(|| format!("sender {} waits no longer", self.index));
                }
            }
        }
    }

    fn cut_at(&self) -> Option<Instant> {
        let mean = self.plan.cut_after.filter(|_| !self.world.is_healed())?;
        Some(Instant::now() + self.world.dice(|dice| dice.time(mean / 10..mean * 2)))
    }

    fn make(&mut self) -> u32 {
        let source = self.world.files.len() + self.index;
        let records = self
            .world
            .dice(|dice| dice.number(1..u64::from(self.plan.records) + 1));
        let mut book = self.world.book.borrow_mut();
        let first = book.add(source);
        let last = (1..records).fold(first, |_, _| book.add(source));
        let number = self.made.len() as u32;
        let end = Id {
            number: last.number + 1,
            ..last
        };
        self.made.push(Chunk {
            number,
            records: first..end,
        });
        self.unacknowledged.insert(number);
        number
    }

    /// Puts a chunk on the wire, where it takes a moment.
    async fn transmit(&mut self, number: u32, link: &Link) {
        let chunk = self.made[number as usize].clone();
        let latency = self
            .world
            .dice(|dice| dice.time(Duration::from_micros(100)..Duration::from_millis(20)));
        tokio::time::sleep(latency).await;
        if link.is_closed() {
            return;
        }
        if !self.was_sent.insert(number) {
            self.world
                .say(|| format!("sender {} sends chunk {number} again", self.index));
            self.world.book.borrow_mut().resent(chunk.records.clone());
        }
        link.chunks.borrow_mut().push_back(chunk);
        link.to_router.notify_one();
    }

    /// Takes acknowledgements; says whether there was one.
    fn hear(&mut self, link: &Link) -> bool {
        let acks: Vec<u32> = link.acks.borrow_mut().drain(..).collect();
        for chunk in &acks {
            self.world
                .say(|| format!("sender {}: chunk {chunk} is acknowledged", self.index));
            if self.unacknowledged.remove(chunk) {
                for id in self.made[*chunk as usize].ids() {
                    self.world.check(self.world.covered(id));
                }
            }
        }
        !acks.is_empty()
    }
}
