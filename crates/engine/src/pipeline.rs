//! A running plan: what reads, what delivers, and how that ends or becomes another.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use config::Grace;
use monitor::{Alarms, Watched};
use plugin::{Ended, Handover, Level, Log, StopHandle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use crate::builder::{Builder, BuiltInput, BuiltOutput, Counts, Shared};
use crate::conservation::Conservation;
use crate::idle;
use crate::input_task::{InputEvent, Next, RunningInput};
use crate::output_task::{RetiringOutput, RunningOutput};
use crate::plan::Plan;
use crate::program;
use crate::read_ahead::ReadAhead;
use crate::reading_on::{ReadingOn, sleep_until};
use crate::road::Road;
use crate::shards::{self, Member};
use crate::storage::{self, Storage, open_storage};
use crate::watchdog;

pub use crate::reload::Reloaded;

/// How often health is looked at.
const SECOND: Duration = Duration::from_secs(1);

/// Instances that cannot start, all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct PipelineError(pub Vec<String>);

/// What inputs gave up, by the names of the instances.
pub type Handovers = HashMap<String, Handover>;

/// What a running pipeline can be told.
enum Command {
    Reload(
        Box<Plan>,
        Level,
        oneshot::Sender<Result<Reloaded, PipelineError>>,
    ),
    ShutDown,
    Stop,
    HandOver,
}

/// Tells a running pipeline what to do. Cheap to clone.
#[derive(Clone)]
pub struct Controller(UnboundedSender<Command>);

impl Controller {
    /// Puts `plan` in the place of what runs. Instances whose sections and surroundings are the same run on; of the others,
    /// the new ones are built first, and if one cannot be, everything stays as it was. Then inputs that change stop, and
    /// their successors start with what they give up; outputs that change leave what they have not sent to theirs.
    pub async fn reload(&self, plan: Plan, level: Level) -> Result<Reloaded, PipelineError> {
        let gone = || PipelineError(vec!["the pipeline has ended".to_owned()]);
        let (sender, answer) = oneshot::channel();
        let command = Command::Reload(Box::new(plan), level, sender);
        self.0.send(command).map_err(|_| gone())?;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends it in order: inputs read on until their writers are done, as after the `shutdown` of [`Pipeline::run`].
    pub fn shut_down(&self) {
        // It has ended already if nobody listens.
        let _ = self.0.send(Command::ShutDown);
    }

    /// Ends it: inputs read no more from now on, also if they were just reading on for their last writers.
    pub fn stop(&self) {
        // It has ended already if nobody listens.
        let _ = self.0.send(Command::Stop);
    }

    /// Ends it for another one that goes on with what the inputs give up: open connections, too.
    pub fn hand_over(&self) {
        let _ = self.0.send(Command::HandOver);
    }
}

/// Inputs, filters and outputs of one shard, built and ready to run on the current thread.
pub struct Pipeline {
    built_inputs: Vec<BuiltInput>,
    built_outputs: Vec<BuiltOutput>,
    counters: monitor::Pipeline,
    running: Running,
    commands: UnboundedReceiver<Command>,
    controller: Controller,
    events: UnboundedReceiver<InputEvent>,
}

/// What runs.
pub(crate) struct Running {
    pub level: Level,
    pub log: Log,
    pub shared: Shared,
    pub counts: Counts,
    conservation: Conservation,
    /// Where records wait on the disk, if any may.
    pub storage: Option<Rc<Storage>>,
    pub watched: Watched,
    pub road: Rc<Road>,
    /// What the filters were made from.
    pub filter_fingerprints: Vec<u64>,
    pub inputs: Vec<RunningInput>,
    pub outputs: Vec<RunningOutput>,
    pub retiring: Vec<RetiringOutput>,
    pub grace: Option<Duration>,
    pub events: UnboundedSender<InputEvent>,
    pub next_id: u64,
    pub stop_handle: StopHandle,
    pub deadlines: Option<JoinHandle<()>>,
}

impl Pipeline {
    /// Builds every instance of `plan`: listeners are bound, files opened. All failures are reported at once.
    pub fn build(plan: Plan, level: Level) -> Result<Pipeline, PipelineError> {
        Pipeline::resume(plan, level, Handovers::new())
    }

    /// The same with what inputs gave up before, by the names of the instances. What nobody takes is closed.
    pub fn resume(
        plan: Plan,
        level: Level,
        handovers: Handovers,
    ) -> Result<Pipeline, PipelineError> {
        let member = Member::only(&plan);
        Pipeline::of_shard(plan, level, handovers, member)
    }

    /// The same for the part of one shard: see [`Plan::part`]. Shards are built one after the other, the first one first.
    pub fn of_shard(
        plan: Plan,
        level: Level,
        mut handovers: Handovers,
        member: Member,
    ) -> Result<Pipeline, PipelineError> {
        idle::keep_heap();
        // What loading needed and building does not: the start would be the process's peak.
        program::release();
        let (stop_handle, stop) = StopHandle::new();
        let mut counts = Counts::new();
        let grace = grace(&plan);
        let filter_fingerprints = plan.filter_fingerprints();
        let memory = member.shards.memory.clone();
        let state = match plan.disk {
            Some(_) => plan.state_directory(),
            None => member.shards.state.of_shard(member.index),
        };
        if handovers.is_empty() && member.index == 0 {
            // A successor waits for its predecessor to let go of what both need, and no longer.
            storage::claim(&plan, &state)?;
        }
        let (storage, dead_letters) = storage::of_plan(&plan, level, &state, &member);
        let shared = Shared {
            memory,
            dead_letters,
            state,
            stop,
            read_ahead: Rc::new(ReadAhead::new()),
            member: member.clone(),
        };
        let mut builder = Builder::new(&plan, level, &shared, &mut counts);
        let outputs = plan.outputs.into_iter();
        let (built_outputs, exits): (Vec<BuiltOutput>, Vec<_>) = outputs
            .filter_map(|planned| builder.output(planned))
            .unzip();
        let filters = builder.filters(plan.filters);
        let mut built_inputs = Vec::new();
        for planned in plan.inputs {
            let seat = builder.seat(planned);
            let handover = handovers.remove(&*seat.identity.name).unwrap_or_default();
            built_inputs.extend(builder.input(&seat, handover));
        }
        if !builder.failures.is_empty() {
            return Err(PipelineError(builder.failures));
        }
        let log = member.log(level);
        // Of what others had there are only copies.
        let untaken = handovers
            .iter()
            .filter(|(_, given)| !given.state.is_empty() || !given.descriptors.is_empty());
        for (name, _) in untaken {
            log.warn(format_args!(
                "nothing takes what was handed over for '{name}': there is no such input"
            ));
        }
        let counters = monitor::Pipeline {
            inputs: built_inputs
                .iter()
                .map(|input| input.seat.counters.clone())
                .collect(),
            filters: filters
                .iter()
                .map(|station| station.counters.clone())
                .collect(),
            outputs: built_outputs
                .iter()
                .map(|output| output.counters.clone())
                .collect(),
            emitter: Some(counts.emitter.clone()),
        };
        let road =
            Road::new(filters.into(), exits, counts.emitter.clone()).with_storage(storage.as_ref());
        open_storage(
            storage.as_ref(),
            built_inputs.iter().map(|input| &input.seat),
        )?;
        let (sender, commands) = unbounded_channel();
        let (events_sender, events) = unbounded_channel();
        member.join(Controller(sender.clone()));
        Ok(Pipeline {
            built_inputs,
            built_outputs,
            running: Running {
                level,
                log,
                shared,
                counts,
                conservation: Conservation::default(),
                storage,
                watched: storage::watched(counters.clone(), plan.service.storage_metrics.0),
                road: Rc::new(road),
                filter_fingerprints,
                inputs: Vec::new(),
                outputs: Vec::new(),
                retiring: Vec::new(),
                grace,
                events: events_sender,
                next_id: 0,
                stop_handle,
                deadlines: None,
            },
            counters,
            commands,
            controller: Controller(sender),
            events,
        })
    }

    /// What is counted at the start.
    pub fn counters(&self) -> &monitor::Pipeline {
        &self.counters
    }

    /// What is counted, also after reloads, and what is wrong.
    pub fn watched(&self) -> &Watched {
        &self.running.watched
    }

    /// What tells it to do something else once it runs.
    pub fn controller(&self) -> Controller {
        self.controller.clone()
    }

    /// How many bytes the process may take, and how many of them records may.
    pub fn memory(&self) -> (usize, usize) {
        let memory = &self.running.shared.memory;
        (memory.limit, memory.records.limit())
    }

    /// Runs until `shutdown` completes, an input ends the process or it is told to stop. After `shutdown` inputs read on
    /// until their writers are done, for half the grace at most; then they read no more, what they handed over is sent, and
    /// what is not answered when the grace is over stays with its source. Returns what the inputs gave up. Runs inside a
    /// `LocalSet`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Handovers {
        let Pipeline {
            built_inputs,
            built_outputs,
            mut running,
            mut commands,
            mut events,
            ..
        } = self;
        // What building needed and reading does not: a drain would reach its peak beside it.
        program::release();
        running.start(built_inputs, built_outputs);
        let trimming = spawn_local(idle::trim_when_idle(running.watched.clone()));
        let mut second = tokio::time::interval(SECOND);
        tokio::pin!(shutdown);
        let mut reading_on: Option<ReadingOn> = None;
        let mut has_successor = false;
        let began = loop {
            let until = reading_on.as_ref().map(ReadingOn::look_again);
            tokio::select! {
                biased;
                () = &mut shutdown, if reading_on.is_none() => {
                    reading_on = Some(ReadingOn::new(running.grace, running.records_read()));
                }
                () = sleep_until(until), if until.is_some() => {}
                Some(event) = events.recv() => if running.note(event, None) {
                    running.shared.member.stop_others();
                    break Instant::now();
                },
                Some(command) = commands.recv() => match command {
                    Command::ShutDown => if reading_on.is_none() {
                        reading_on = Some(ReadingOn::new(running.grace, running.records_read()));
                    },
                    Command::HandOver => {
                        has_successor = true;
                        break Instant::now();
                    }
                    Command::Stop => break reading_on.map_or_else(Instant::now, |on| on.began),
                    Command::Reload(plan, level, answer) => {
                        // Whoever asked may have gone.
                        let _ = answer.send(running.reload(*plan, level));
                    }
                },
                _ = second.tick() => {
                    running.look();
                    if running.is_done() {
                        break Instant::now();
                    }
                }
            }
            if let Some(on) = &mut reading_on
                && on.is_over(running.records_read())
            {
                break on.began;
            }
        };
        trimming.abort();
        if has_successor {
            running
                .inputs
                .iter_mut()
                .for_each(RunningInput::stop_for_successor);
        }
        let member = running.shared.member.clone();
        let handovers = running.end(began, &mut events).await;
        member.leave();
        let label =
            |(name, handover): (String, Handover)| (shards::label(&name, member.index), handover);
        handovers.into_iter().map(label).collect()
    }
}

/// The grace of `plan`; `None`: without end.
pub(crate) fn grace(plan: &Plan) -> Option<Duration> {
    match plan.service.grace {
        Grace::Within(grace) => Some(grace),
        Grace::Unlimited => None,
    }
}

impl Running {
    fn start(&mut self, inputs: Vec<BuiltInput>, outputs: Vec<BuiltOutput>) {
        self.outputs = outputs.into_iter().map(RunningOutput::start).collect();
        self.watch_deadlines();
        if let Some(storage) = &self.storage {
            storage.start(&self.road);
        }
        for built in inputs {
            self.start_input(built);
        }
    }

    /// Lets the filters of the present road emit what they held long enough.
    pub fn watch_deadlines(&mut self) {
        if let Some(earlier) = self.deadlines.take() {
            earlier.abort();
        }
        let road = Rc::clone(&self.road);
        self.deadlines = Some(spawn_local(async move { road.watch_deadlines().await }));
    }

    pub fn start_input(&mut self, built: BuiltInput) {
        self.next_id += 1;
        let input = RunningInput::start(self.next_id, built, &self.road, self.events.clone());
        self.inputs.push(input);
    }

    /// Takes note of what happened to an input; `handovers` takes what it gave up, else its successor does. Returns whether
    /// the process should end.
    pub fn note(&mut self, event: InputEvent, handovers: Option<&mut Handovers>) -> bool {
        match event {
            InputEvent::HandedOver(id, handover) => {
                self.hand_on(id, handover, handovers);
                false
            }
            InputEvent::Ended(id, ended) => {
                let panicked = ended.is_none();
                let Ended {
                    handover,
                    ends_process,
                } = ended.unwrap_or_default();
                if panicked {
                    self.report_panic(id);
                }
                self.hand_on(id, handover, handovers);
                let ends_process = ends_process && self.ends_process(id);
                self.inputs.retain(|input| input.id != id);
                ends_process
            }
        }
    }

    /// Whether the process ends with input `id`, which wants that: one that spreads must have ended in all shards.
    fn ends_process(&self, id: u64) -> bool {
        let Some(input) = self.inputs.iter().find(|input| input.id == id) else {
            return true;
        };
        let (name, shard) = (&input.seat.identity.name, input.seat.context.shard);
        self.shared.member.input_ended(name, shard.has_others())
    }

    /// Whether this shard was left over and has delivered everything.
    fn is_done(&self) -> bool {
        let member = &self.shared.member;
        let is_empty = || {
            self.storage
                .as_ref()
                .is_none_or(|storage| storage.is_empty())
        };
        let is_done = member.is_left_over() && is_empty();
        if is_done {
            member.is_empty_now();
        }
        is_done
    }

    fn report_panic(&self, id: u64) {
        let Some(input) = self.inputs.iter().find(|input| input.id == id) else {
            return;
        };
        let name = &input.seat.identity.name;
        self.log.error(format_args!(
            "input {name} panicked and reads no more; what it had read stays with its source"
        ));
        let words = format!("input {name} broke and reads no more");
        self.watched.alarms.raise(&format!("input {name}"), words);
    }

    /// What input `id` gave up goes to its successor, which starts with it, once.
    fn hand_on(&mut self, id: u64, handover: Handover, handovers: Option<&mut Handovers>) {
        let Some(input) = self.inputs.iter_mut().find(|input| input.id == id) else {
            return;
        };
        if let Some(handovers) = handovers {
            let name = input.seat.identity.name.to_string();
            if !handover.is_empty() {
                handovers.insert(name, handover);
            }
            return;
        }
        match std::mem::replace(&mut input.next, Next::Gone) {
            Next::Runs | Next::Gone => {}
            Next::Leaves => self
                .log
                .info(format_args!("input {} has left", input.seat.identity.name)),
            Next::Replaced(seat) => {
                let former = input.seat.clone();
                self.replace_input(&former, *seat, handover);
            }
        }
    }

    /// Everything that was read so far.
    fn records_read(&self) -> u64 {
        self.inputs
            .iter()
            .map(|input| input.seat.counters.records.get())
            .sum()
    }

    /// Looks after everything, once a second.
    fn look(&mut self) {
        self.show_storage();
        self.conservation
            .check(&self.counts, &self.watched.alarms, &self.log);
        watchdog::look(&self.outputs, &self.retiring, &self.watched.alarms);
        let before = self.retiring.len();
        self.retiring.retain(|output| !output.task.is_finished());
        if self.retiring.len() != before {
            self.show();
        }
    }

    /// Shows the monitor which instances there are.
    pub fn show(&self) {
        let retiring = self.retiring.iter().map(|output| &output.counters);
        let mut outputs: Vec<_> = self
            .outputs
            .iter()
            .map(|output| output.counters.clone())
            .collect();
        for counters in retiring {
            // A successor of the same name counts on in the same counters.
            if !outputs.iter().any(|known| known.name == counters.name) {
                outputs.push(counters.clone());
            }
        }
        self.watched.replace(monitor::Pipeline {
            inputs: self
                .inputs
                .iter()
                .map(|input| input.seat.counters.clone())
                .collect(),
            filters: self.road.filter_counters(),
            outputs,
            emitter: Some(self.counts.emitter.clone()),
        });
    }

    /// The alarms, for reloads.
    pub fn alarms(&self) -> &Alarms {
        &self.watched.alarms
    }
}

#[cfg(test)]
mod tests;
