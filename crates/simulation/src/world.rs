//! Everything outside of the router that lives on when it dies: files, senders, services, the disk, and the oracle.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use record::Budget;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::book::{Book, Finding};
use crate::dice::Dice;
use crate::disk::{DiskFaults, SimDisk};
use crate::log_file::LogFile;
use crate::mutation::Mutation;
use crate::panics;
use crate::positions::Positions;
use crate::scenario::{DiskPlan, Scenario};
use crate::sender::Port;
use crate::service::Service;
use crate::text::Id;
use crate::trace::Trace;

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of one history. One per thread at a time, because plugins are built without being told where they are.
pub struct World {
    /// What was decided before.
    pub scenario: Scenario,
    /// What is broken on purpose.
    pub mutation: Option<Mutation>,
    /// What happened.
    pub trace: Trace,
    /// What became of the records.
    pub book: RefCell<Book>,
    /// The files that are followed.
    pub files: Vec<LogFile>,
    /// The durable positions.
    pub positions: Positions,
    /// The disk of the write-ahead log.
    pub disk: Arc<SimDisk>,
    /// Where senders connect to.
    pub ports: Vec<Port>,
    /// The services behind the outputs.
    pub services: Vec<Rc<Service>>,
    /// Memory budgets of the inputs of the present life.
    pub budgets: RefCell<Vec<Arc<Budget>>>,
    dice: RefCell<Dice>,
    began: Instant,
    /// How many lives of the router have begun.
    life: Cell<u32>,
    life_began: Cell<Duration>,
    dead: Cell<bool>,
    healed: Cell<bool>,
    steps: Cell<u64>,
    dies_at: Cell<Option<u64>>,
    died: Notify,
    /// When an output last panicked in this life, as it was meant to.
    pub meant_panic: Cell<Option<Duration>>,
    violation: RefCell<Option<Finding>>,
}

impl World {
    /// The world as `seed` makes it, at the beginning; it becomes the current one of this thread.
    pub fn enter(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Rc<World> {
        let mut dice = Dice::new(seed);
        let scenario = Scenario::new(&mut dice);
        let disk = SimDisk::new(seed);
        disk.set_faults(scenario.disk.faults);
        if mutation == Some(Mutation::SyncDoesNothing) {
            disk.sync_nothing();
        }
        let services = (0..scenario.outputs.len()).map(Service::new);
        let world = Rc::new(World {
            mutation,
            trace: Trace::new(is_traced),
            book: RefCell::new(Book::new(&scenario)),
            files: scenario.tails.iter().map(|_| LogFile::default()).collect(),
            positions: Positions::new(scenario.tails.len()),
            disk,
            ports: scenario.senders.iter().map(|_| Port::default()).collect(),
            services: services.collect(),
            budgets: RefCell::default(),
            dice: RefCell::new(dice),
            began: Instant::now(),
            life: Cell::new(0),
            life_began: Cell::default(),
            dead: Cell::new(true),
            healed: Cell::new(false),
            steps: Cell::new(0),
            dies_at: Cell::new(None),
            died: Notify::new(),
            meant_panic: Cell::new(None),
            violation: RefCell::default(),
            scenario,
        });
        CURRENT.set(Some(Rc::clone(&world)));
        world
    }

    /// The present world of this thread.
    ///
    /// # Panics
    /// Outside of a history.
    pub fn current() -> Rc<World> {
        CURRENT.with_borrow(|current| Rc::clone(current.as_ref().expect("inside of a history")))
    }

    /// Forgets the present world.
    pub fn leave() {
        CURRENT.set(None);
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Uses the dice.
    pub fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.dice.borrow_mut())
    }

    /// Adds a line to the trace.
    pub fn say(&self, say: impl FnOnce() -> String) {
        self.trace.add(self.now(), say);
    }

    /// Whether `mutation` is what is broken.
    pub fn is_mutated(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// A life of the router begins; it dies at step `dies_at`.
    pub fn begin_life(&self, dies_at: Option<u64>) {
        self.life.set(self.life.get() + 1);
        self.life_began.set(self.now());
        self.meant_panic.set(None);
        self.dead.set(false);
        self.steps.set(0);
        self.dies_at.set(dies_at);
        self.budgets.borrow_mut().clear();
        self.say(|| format!("life {} begins", self.life.get()));
    }

    /// One step of the router that the world can see. `false` when the router is dead: nothing it does counts any more.
    pub fn step(&self, say: impl FnOnce() -> String) -> bool {
        if self.dead.get() {
            return false;
        }
        self.say(say);
        self.steps.set(self.steps.get() + 1);
        if self.dies_at.get() == Some(self.steps.get()) {
            self.die();
            return false;
        }
        true
    }

    /// The same for code that can wait: it waits for ever in a dead router.
    pub async fn live_step(&self, say: impl FnOnce() -> String) {
        if !self.step(say) {
            std::future::pending::<()>().await;
        }
    }

    /// The router vanishes now.
    pub fn die(&self) {
        if !self.dead.replace(true) {
            self.say(|| format!("the router dies at step {}", self.steps.get()));
            self.died.notify_one();
        }
    }

    /// Whether there is no router now.
    pub fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// Completes when the router has died, or something is wrong.
    pub async fn died(&self) {
        while !self.dead.get() && self.violation.borrow().is_none() {
            self.died.notified().await;
        }
    }

    /// No fault happens any more.
    pub fn heal(&self) {
        self.say(|| "everything heals".to_owned());
        self.healed.set(true);
        self.disk.set_faults(DiskFaults::default());
        self.disk.set_full(false);
    }

    /// Whether faults are over.
    pub fn is_healed(&self) -> bool {
        self.healed.get()
    }

    /// Something is wrong: the history ends here. The first finding counts.
    pub fn violated(&self, finding: Finding) {
        self.say(|| format!("WRONG: {finding}"));
        self.violation.borrow_mut().get_or_insert(finding);
        self.died.notify_one();
    }

    /// A durable position of a file, or an acknowledgement, covers `id` from now on.
    pub fn covered(&self, id: Id) -> Result<(), Finding> {
        let has_log = !self.disk.is_unused();
        self.book.borrow_mut().covered(id, has_log)
    }

    /// Reports what is wrong with `result`.
    pub fn check(&self, result: Result<(), Finding>) {
        if let Err(finding) = result {
            self.violated(finding);
        }
    }

    /// What was found wrong.
    pub fn violation(&self) -> Option<Finding> {
        self.violation.borrow().clone()
    }

    /// How long the present life has lasted.
    pub fn life_time(&self) -> Duration {
        self.now().saturating_sub(self.life_began.get())
    }

    /// Whether writing positions may fail.
    pub fn positions_fail(&self) -> bool {
        self.scenario
            .tails
            .iter()
            .any(|plan| plan.write_fails > 0.0)
    }

    /// Whether the disk may fail.
    pub fn disk_fails(&self) -> bool {
        let DiskPlan { faults, full, .. } = &self.scenario.disk;
        let rates = [faults.append, faults.read, faults.sync, faults.names];
        !self.healed.get() && (rates.iter().any(|rate| *rate > 0.0) || !full.is_empty())
    }

    /// A panic of the router that nobody meant is wrong.
    pub fn check_panics(&self) {
        if let Some(panic) = panics::seen() {
            self.violated(panic);
        }
    }

    /// A call of the disk is a step, on the thread of the simulation; a test of the disk alone has no world.
    pub fn step_of_disk(call: &str, path: &Path) -> bool {
        let world = CURRENT.with_borrow(|current| current.as_ref().map(Rc::clone));
        world.is_none_or(|world| world.step(|| format!("disk: {call} {}", path.display())))
    }

    /// Adds a line of the disk to the trace.
    pub fn say_of_disk(say: impl FnOnce() -> String) {
        let world = CURRENT.with_borrow(|current| current.as_ref().map(Rc::clone));
        if let Some(world) = world {
            world.say(say);
        }
    }

    /// Memory: a permit for `bytes` was just given out of `budget`. What a batch grows to while it travels is counted too, so
    /// that more than the limit may be held, but then nothing more is let in.
    pub fn check_permit(&self, budget: &Budget, bytes: usize) {
        if budget.used() > budget.limit().max(bytes) {
            self.violated(format!(
                "{} bytes are held and {bytes} more are read; {} are allowed",
                budget.used() - bytes,
                budget.limit()
            ));
        }
    }
}
