//! The services behind the outputs, and the network on the way to them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use plugin::{Answer, Reason, RecordAnswer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::scenario::Faults;
use crate::text::{Id, Nature};
use crate::world::World;

/// The longest that a request is away when the network hangs.
const HANGS: Duration = Duration::from_secs(40);
/// Why records are given up.
const POISON: Reason = Reason("poison");

/// Takes records in, or refuses them, or does not answer.
pub struct Service {
    output: usize,
    calls: UnboundedSender<Call>,
    queue: RefCell<Option<UnboundedReceiver<Call>>>,
}

/// A request on its way.
pub struct Call {
    /// What it carries.
    pub ids: Vec<Id>,
    /// Whether somebody waits for the answer.
    pub state: Rc<CallState>,
    /// Where the answer goes; dropped when it gets lost.
    pub answer: oneshot::Sender<Answer>,
}

/// What both ends of a request share.
#[derive(Default)]
pub struct CallState {
    /// What the service took.
    accepted: RefCell<Vec<Id>>,
    /// Nobody waits for the answer any more.
    abandoned: Cell<bool>,
}

impl CallState {
    /// Nobody will hear the answer: what was taken may come again.
    pub fn abandon(&self, world: &World, output: usize) {
        if self.abandoned.replace(true) {
            return;
        }
        for id in self.accepted.borrow_mut().drain(..) {
            world.book.borrow_mut().unheard(output, id);
        }
    }

    /// The answer was heard.
    pub fn heard(&self) {
        self.accepted.borrow_mut().clear();
        self.abandoned.set(true);
    }
}

impl Service {
    /// The service behind output `output`.
    pub fn new(output: usize) -> Rc<Service> {
        let (calls, queue) = unbounded_channel();
        Rc::new(Service {
            output,
            calls,
            queue: RefCell::new(Some(queue)),
        })
    }

    /// Sends a request on its way.
    pub fn call(&self, call: Call) {
        // The queue is read as long as the world exists.
        let _ = self.calls.send(call);
    }

    /// Handles requests until the world ends.
    pub async fn run(self: Rc<Service>, world: Rc<World>) {
        let Some(mut queue) = self.queue.take() else {
            return;
        };
        while let Some(call) = queue.recv().await {
            let (service, world) = (Rc::clone(&self), Rc::clone(&world));
            tokio::task::spawn_local(async move { service.handle(&world, call).await });
        }
    }

    fn faults(&self, world: &World) -> Faults {
        match world.is_healed() {
            true => Faults::NONE,
            false => world.scenario.outputs[self.output].faults,
        }
    }

    fn is_away(&self, world: &World) -> bool {
        let now = world.now();
        let outages = &world.scenario.outputs[self.output].outages;
        !world.is_healed()
            && outages
                .iter()
                .any(|(start, end)| *start <= now && now < *end)
    }

    async fn handle(&self, world: &World, call: Call) {
        let faults = self.faults(world);
        let way = || world.dice(|dice| dice.time(Duration::from_micros(100)..faults.latency));
        let (there, back) = (way(), way());
        tokio::time::sleep(there).await;
        if self.is_away(world) || world.dice(|dice| dice.chance(faults.cut_before)) {
            // Nobody hears anything.
            return;
        }
        if world.dice(|dice| dice.chance(faults.hang)) {
            let hangs = world.dice(|dice| dice.time(Duration::from_secs(1)..HANGS));
            tokio::time::sleep(hangs).await;
        }
        let answer = self.take(world, &faults, &call);
        tokio::time::sleep(back).await;
        if world.dice(|dice| dice.chance(faults.cut_after)) {
            world.say(|| format!("service {}: the answer is lost", self.output));
            return;
        }
        // A router that is gone hears nothing.
        let _ = call.answer.send(answer);
    }

    /// The request is here.
    fn take(&self, world: &World, faults: &Faults, call: &Call) -> Answer {
        if world.dice(|dice| dice.chance(faults.throttle)) {
            return Answer::Again {
                after: world.dice(|dice| dice.pick(&[None, Some(Duration::from_secs(2))])),
                why: "throttled".to_owned(),
                throttled: true,
            };
        }
        let poisoned = call.ids.iter().any(|id| id.nature() == Nature::Poison);
        let refuses_whole = world.scenario.outputs[self.output].faults.refuses_whole;
        if poisoned && refuses_whole {
            return Answer::Never {
                reason: POISON,
                why: "a poisoned record".to_owned(),
            };
        }
        let is_partial = world.dice(|dice| dice.chance(faults.partial));
        let share = if is_partial {
            faults.partial_share
        } else {
            0.0
        };
        let mut exceptions = Vec::new();
        for (index, id) in (0..).zip(&call.ids) {
            if id.nature() == Nature::Poison {
                exceptions.push((index, RecordAnswer::Never(POISON)));
            } else if world.dice(|dice| dice.chance(share)) {
                exceptions.push((index, RecordAnswer::Again));
            } else {
                self.accept(world, *id, &call.state);
            }
        }
        world.say(|| {
            let (all, failed) = (call.ids.len(), exceptions.len());
            format!("service {}: takes {} of {all}", self.output, all - failed)
        });
        match exceptions.is_empty() {
            true => Answer::Done,
            false => Answer::Except {
                records: exceptions,
                why: "refused".to_owned(),
                throttled: false,
            },
        }
    }

    fn accept(&self, world: &World, id: Id, state: &CallState) {
        let is_awaited = !state.abandoned.get();
        let arrived = world.book.borrow_mut().arrived(self.output, id, is_awaited);
        if is_awaited {
            state.accepted.borrow_mut().push(id);
        }
        world.check(arrived);
    }
}
