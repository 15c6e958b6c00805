//! Reloading: another plan takes the place of the one that runs.
//!
//! What is the same runs on untouched. What is new is built first, while everything still runs; only if all of it can be
//! built does anything change. Then, in this order: batches take the new road; outputs that are gone or changed get
//! nothing more, and leave what they have not sent to those that take their place; inputs that are gone or changed stop,
//! and those that take their place start with what they give up.

use std::rc::Rc;

use plugin::{Handover, Level};

use crate::builder::{Builder, BuiltInput, BuiltOutput, Seat};
use crate::input_task::Next;
use crate::output_task::RunningOutput;
use crate::pipeline::{PipelineError, Running, grace};
use crate::plan::{Identity, Plan, PlannedInput, PlannedOutput};
use crate::road::{Exit, Road};
use crate::shards::copy;
use crate::storage::open_storage;

/// What a reload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Inputs and outputs that run on.
    pub kept: usize,
    /// Inputs and outputs that were built anew in the place of others.
    pub changed: usize,
    /// New inputs and outputs.
    pub added: usize,
    /// Inputs and outputs that are gone.
    pub removed: usize,
}

/// The inputs of a plan beside those that run.
#[derive(Default)]
struct Pairs {
    /// Those that run on, by id.
    kept: Vec<u64>,
    /// What takes the place of which.
    changed: Vec<(u64, PlannedInput)>,
    added: Vec<PlannedInput>,
}

/// An output of the new plan.
enum NewOutput {
    /// The one at this place runs on.
    Kept(usize),
    Built(Box<BuiltOutput>),
}

/// Everything that was built for a new plan.
struct Prepared {
    filters: Option<Vec<crate::road::FilterStation>>,
    outputs: Vec<NewOutput>,
    exits: Vec<Exit>,
    kept: Vec<u64>,
    changed: Vec<(u64, Seat)>,
    added: Vec<BuiltInput>,
}

impl Running {
    /// Puts `plan` in the place of what runs, or says why not and changes nothing.
    pub fn reload(&mut self, plan: Plan, level: Level) -> Result<Reloaded, PipelineError> {
        self.level = level;
        let (fingerprints, grace) = (plan.filter_fingerprints(), grace(&plan));
        if plan
            .memory_limit()
            .is_some_and(|limit| limit != self.shared.memory.limit)
        {
            self.log.warn(format_args!(
                "[reload] the memory limit stays at {} bytes until the next start",
                self.shared.memory.limit
            ));
        }
        let prepared = self.prepare(plan, fingerprints != self.filter_fingerprints)?;
        self.filter_fingerprints = fingerprints;
        self.grace = grace;
        let reloaded = self.commit(prepared);
        self.watched.reloads.add(1);
        self.log_reload(reloaded);
        Ok(reloaded)
    }

    /// The first shard speaks for all.
    fn log_reload(&self, reloaded: Reloaded) {
        let words = format_args!(
            "[reload] done: {} instances run on, {} changed, {} added, {} removed",
            reloaded.kept, reloaded.changed, reloaded.added, reloaded.removed
        );
        match self.shared.member.index {
            0 => self.log.info(words),
            _ => self.log.debug(words),
        }
    }

    /// Builds what is new.
    fn prepare(&mut self, plan: Plan, filters_changed: bool) -> Result<Prepared, PipelineError> {
        let pairs = self.pair_inputs_of(&plan);
        self.warn_of_fixed_places(&plan);
        let mut builder = Builder::new(&plan, self.level, &self.shared, &mut self.counts);
        let (mut outputs, mut exits) = (Vec::new(), Vec::new());
        for planned in plan.outputs {
            let same = |output: &RunningOutput| is_same(&output.identity, &planned.identity);
            match self.outputs.iter().position(same) {
                Some(place) => {
                    exits.push(exit(&self.outputs[place], planned));
                    outputs.push(NewOutput::Kept(place));
                }
                None => {
                    if let Some((built, exit)) = builder.output(planned) {
                        outputs.push(NewOutput::Built(Box::new(built)));
                        exits.push(exit);
                    }
                }
            }
        }
        let filters = filters_changed.then(|| builder.filters(plan.filters));
        let Pairs {
            kept,
            changed,
            added,
        } = pairs.sort(plan.inputs);
        let changed = changed
            .into_iter()
            .map(|(id, planned)| (id, builder.seat(planned)))
            .collect();
        let seats: Vec<Seat> = added
            .into_iter()
            .map(|planned| builder.seat(planned))
            .collect();
        let added = seats
            .iter()
            .filter_map(|seat| builder.input(seat, Handover::default()))
            .collect();
        let changed: Vec<(u64, Seat)> = changed;
        let added: Vec<BuiltInput> = added;
        if !builder.failures.is_empty() {
            return Err(PipelineError(builder.failures));
        }
        let new = added.iter().map(|input| &input.seat);
        let seats = changed.iter().map(|(_, seat)| seat).chain(new);
        open_storage(self.storage.as_ref(), seats)?;
        Ok(Prepared {
            filters,
            outputs,
            exits,
            kept,
            changed,
            added,
        })
    }

    /// What cannot change while the process runs.
    fn warn_of_fixed_places(&self, plan: &Plan) {
        let (new, old) = (plan.state_directory(), &self.shared.state);
        if new.candidates() != old.candidates() {
            self.log.warn(format_args!(
                "[reload] what must survive stays where it is until the next start: 'storage.path' has changed"
            ));
        }
    }

    fn commit(&mut self, prepared: Prepared) -> Reloaded {
        let mut reloaded = Reloaded::default();
        self.turn_road(prepared.filters, prepared.exits);
        self.change_outputs(prepared.outputs, &mut reloaded);
        self.change_inputs(
            prepared.kept,
            prepared.changed,
            prepared.added,
            &mut reloaded,
        );
        self.show();
        reloaded
    }

    /// Batches take another road from now on. What filters held that are gone is through before.
    fn turn_road(&mut self, filters: Option<Vec<crate::road::FilterStation>>, exits: Vec<Exit>) {
        let filters = match filters {
            // Through the former road, which leads to the former outputs.
            Some(filters) => {
                self.road.expire(true);
                filters.into()
            }
            None => self.road.filters(),
        };
        let road = Road::new(filters, exits, self.counts.emitter.clone());
        self.road = Rc::new(road.with_storage(self.storage.as_ref()));
        for input in &self.inputs {
            input.road.turn_to(&self.road);
        }
        self.watch_deadlines();
    }

    fn change_outputs(&mut self, outputs: Vec<NewOutput>, reloaded: &mut Reloaded) {
        let mut former: Vec<Option<RunningOutput>> = std::mem::take(&mut self.outputs)
            .into_iter()
            .map(Some)
            .collect();
        for output in outputs {
            let output = match output {
                NewOutput::Kept(place) => {
                    reloaded.kept += 1;
                    former[place].take()
                }
                NewOutput::Built(built) => Some(RunningOutput::start(*built)),
            };
            self.outputs.extend(output);
        }
        let kept = reloaded.kept;
        for output in former.into_iter().flatten() {
            let successor = self
                .outputs
                .iter()
                .find(|new| has_same_name(&new.identity, &output.identity));
            match successor {
                Some(_) => reloaded.changed += 1,
                None => reloaded.removed += 1,
            }
            let retiring = output.retire(successor);
            self.retiring.push(retiring);
        }
        reloaded.added += self.outputs.len() - kept - reloaded.changed;
    }

    fn change_inputs(
        &mut self,
        kept: Vec<u64>,
        changed: Vec<(u64, Seat)>,
        added: Vec<BuiltInput>,
        reloaded: &mut Reloaded,
    ) {
        reloaded.kept += kept.len();
        reloaded.changed += changed.len();
        reloaded.added += added.len();
        let mut changed = changed;
        for input in &mut self.inputs {
            if kept.contains(&input.id) || matches!(input.next, Next::Gone) {
                continue;
            }
            let successor = changed.iter().position(|(id, _)| *id == input.id);
            match successor {
                Some(place) => {
                    let (_, seat) = changed.swap_remove(place);
                    input.stop(Next::Replaced(Box::new(seat)));
                }
                None => {
                    let is_news = !matches!(input.next, Next::Leaves);
                    reloaded.removed += usize::from(is_news);
                    input.stop(Next::Leaves);
                }
            }
        }
        for built in added {
            self.start_input(built);
        }
    }

    /// Starts `seat` with what `former` gave up. If it cannot be built, `former` goes on as it was.
    pub fn replace_input(&mut self, former: &Seat, seat: Seat, handover: Handover) {
        let name = seat.identity.name.to_string();
        let check = format!("input {name}");
        let spare = copy(&handover);
        let error = match seat.build(handover) {
            Ok(built) => {
                self.alarms().clear(&check);
                self.start_input(built);
                self.show();
                return;
            }
            Err(error) => error,
        };
        self.log.error(format_args!(
            "[reload] input {name} cannot start with its new options: {error}; it goes on with the former ones"
        ));
        let words = format!("input {name} could not take its new options: {error}");
        match former.build(spare) {
            Ok(built) => {
                self.alarms().raise(&check, words);
                self.start_input(built);
            }
            Err(again) => {
                self.log.error(format_args!(
                    "[reload] input {name} cannot start with its former options either: {again}"
                ));
                self.alarms()
                    .raise(&check, format!("{words}; nor its former ones: {again}"));
            }
        }
        self.show();
    }

    /// Which input of `plan` takes the place of which: the same section under the same name runs on; the same section under
    /// another name, or another section under the same name, takes over what the running one gives up.
    fn pair_inputs_of(&self, plan: &Plan) -> Places {
        let running: Vec<(u64, &Identity, bool)> = self
            .inputs
            .iter()
            .filter_map(|input| {
                let (identity, runs) = input.present()?;
                Some((input.id, identity, runs))
            })
            .collect();
        let planned: Vec<&Identity> = plan.inputs.iter().map(|input| &input.identity).collect();
        let mut places = Places(vec![Place::Added; planned.len()]);
        let mut taken: Vec<u64> = Vec::new();
        let rules: [fn(&Identity, &Identity) -> bool; 3] = [
            is_same,
            |one, other| one.plugin == other.plugin && one.fingerprint == other.fingerprint,
            has_same_name,
        ];
        for (number, rule) in rules.into_iter().enumerate() {
            for (index, new) in planned.iter().enumerate() {
                if places.0[index] != Place::Added {
                    continue;
                }
                let found = running
                    .iter()
                    .find(|(id, old, _)| !taken.contains(id) && rule(old, new));
                if let Some((id, _, runs)) = found {
                    taken.push(*id);
                    places.0[index] = match number {
                        0 if *runs => Place::Kept(*id),
                        _ => Place::Changed(*id),
                    };
                }
            }
        }
        places
    }
}

/// Where each input of a plan belongs.
struct Places(Vec<Place>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Kept(u64),
    Changed(u64),
    Added,
}

impl Places {
    fn sort(self, planned: Vec<PlannedInput>) -> Pairs {
        let mut pairs = Pairs::default();
        for (place, planned) in self.0.into_iter().zip(planned) {
            match place {
                Place::Kept(id) => pairs.kept.push(id),
                Place::Changed(id) => pairs.changed.push((id, planned)),
                Place::Added => pairs.added.push(planned),
            }
        }
        pairs
    }
}

/// The way into an output that runs on.
fn exit(output: &RunningOutput, planned: PlannedOutput) -> Exit {
    Exit {
        matcher: planned.matcher,
        deliveries: output.deliveries.clone(),
        oversight: Rc::clone(&output.oversight),
        counters: output.counters.clone(),
        bytes_max: output.bytes_max,
    }
}

fn is_same(one: &Identity, other: &Identity) -> bool {
    has_same_name(one, other) && one.fingerprint == other.fingerprint
}

fn has_same_name(one: &Identity, other: &Identity) -> bool {
    one.plugin == other.plugin && one.name == other.name
}
