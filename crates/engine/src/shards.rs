//! The shards of a router: threads that share nothing on the road. Each has inputs, filters, outputs and a log of its own;
//! what they have together is here.
//!
//! The first shard has every input, the others those that spread their sources (`Input::SPREADS`). A shard behind the last
//! one is *left over*: it reads nothing, delivers what an earlier run with more shards kept in its folder, and ends.
//!
//! | together | each |
//! |---|---|
//! | the memory limit, the state directory's lock, who the router is | inputs, filters, outputs and their connections |
//! | what is known of chunks that may come again | the write-ahead log, in `shard-K` below the state directory |
//! | dead letters | counters (the monitor shows sums), conservation, alarms |

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plugin::{Handover, Level, Log, Shard};

use crate::memory::Memory;
use crate::pipeline::{Controller, Handovers, PipelineError, Reloaded};
use crate::plan::Plan;
use crate::storage::{ChunksOfAll, StateRoot};

/// Between the name of an instance and the number of its shard, in the names of handovers: no alias has it.
const SEPARATOR: char = '\u{1f}';

/// What the shards of one router have together, and the way to tell all of them something.
pub struct Shards {
    count: usize,
    pub(crate) memory: Memory,
    pub(crate) state: Arc<StateRoot>,
    pub(crate) chunks: ChunksOfAll,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    running: BTreeMap<usize, Controller>,
    /// In how many shards an input has come to its end and with it, once it has in all, the process.
    ended: HashMap<Arc<str>, usize>,
    /// Shards that are left over and have delivered everything.
    emptied: BTreeSet<usize>,
}

/// A shard's part in it.
#[derive(Clone)]
pub struct Member {
    pub(crate) shards: Arc<Shards>,
    pub(crate) index: usize,
}

impl Shards {
    /// `count` shards for the router of `plan`.
    pub fn new(plan: &Plan, count: usize) -> Arc<Shards> {
        Arc::new(Shards {
            count: count.max(1),
            memory: Memory::new(plan.memory_limit()),
            state: plan.state_root(),
            chunks: ChunksOfAll::default(),
            members: Mutex::default(),
        })
    }

    /// How many there are, without those that are left over.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The numbers of all that should run: of those that are left over, the ones that have a folder.
    pub fn numbers(&self) -> Vec<usize> {
        let left = self.state.shards();
        let left = left.into_iter().filter(|number| *number >= self.count);
        (0..self.count).chain(left).collect()
    }

    /// The shard with this number.
    pub fn member(self: &Arc<Shards>, index: usize) -> Member {
        Member {
            shards: Arc::clone(self),
            index,
        }
    }

    /// The same as [`Controller::shut_down`] for all.
    pub fn shut_down(&self) {
        self.all().iter().for_each(|(_, shard)| shard.shut_down());
    }

    /// The same as [`Controller::stop`] for all.
    pub fn stop(&self) {
        self.all().iter().for_each(|(_, shard)| shard.stop());
    }

    /// The same as [`Controller::hand_over`] for all.
    pub fn hand_over(&self) {
        self.all().iter().for_each(|(_, shard)| shard.hand_over());
    }

    /// The same as [`Controller::reload`] for all: if one shard cannot take `plan`, those that have go back to `former`.
    /// Returns what changed in the first one.
    ///
    /// # Errors
    /// When one cannot be built; then everything is as it was.
    pub async fn reload(
        &self,
        plan: &Plan,
        former: &Plan,
        level: Level,
    ) -> Result<Reloaded, PipelineError> {
        let mut changed: Vec<(usize, Controller)> = Vec::new();
        let mut outcome = Reloaded::default();
        // The first one last: it says that it is done.
        for (index, shard) in self.all().into_iter().rev() {
            match shard.reload(plan.part(index, self.count), level).await {
                Ok(reloaded) => {
                    outcome = reloaded;
                    changed.push((index, shard));
                }
                // It was left over, and is empty by now.
                Err(_) if index >= self.count && !self.lock().running.contains_key(&index) => {}
                Err(error) => {
                    for (index, shard) in changed {
                        // What ran a moment ago can be built again, or the shard says why not.
                        let _ = shard.reload(former.part(index, self.count), level).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(outcome)
    }

    fn all(&self) -> Vec<(usize, Controller)> {
        let running = &self.lock().running;
        running
            .iter()
            .map(|(i, shard)| (*i, shard.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// The only shard of the router of `plan`.
    pub fn only(plan: &Plan) -> Member {
        Shards::new(plan, 1).member(0)
    }

    /// Its number and how many read.
    pub(crate) fn shard(&self) -> Shard {
        Shard {
            index: self.index,
            count: self.shards.count,
        }
    }

    /// Where its messages go.
    pub(crate) fn log(&self, level: Level) -> Log {
        match self.index {
            0 => Log::new("engine", level),
            index => Log::new(&format!("engine:shard-{index}"), level),
        }
    }

    /// Whether it only delivers what is left.
    pub fn is_left_over(&self) -> bool {
        self.index >= self.shards.count
    }

    /// It runs, and hears of what is told to all.
    pub(crate) fn join(&self, controller: Controller) {
        self.shards.lock().running.insert(self.index, controller);
    }

    /// It does not run any more.
    pub(crate) fn leave(&self) {
        self.shards.lock().running.remove(&self.index);
    }

    /// The others end, because an input ended the process.
    pub(crate) fn stop_others(&self) {
        let others = self.shards.all().into_iter();
        others
            .filter(|(index, _)| *index != self.index)
            .for_each(|(_, shard)| shard.stop());
    }

    /// The input `name`, which spreads its sources or does not, has come to its end here. Whether that ends the process.
    pub(crate) fn input_ended(&self, name: &Arc<str>, spreads: bool) -> bool {
        let mut members = self.shards.lock();
        let ended = members.ended.entry(Arc::clone(name)).or_default();
        *ended += 1;
        !spreads || *ended >= self.shards.count
    }

    /// Everything that was left over is delivered.
    pub(crate) fn is_empty_now(&self) {
        self.shards.lock().emptied.insert(self.index);
    }

    /// Removes the folder of a shard that was left over and has delivered everything. Called when nothing of it runs any
    /// more.
    ///
    /// # Errors
    /// When it cannot be removed: the next start looks at it again.
    pub fn clean_up(&self) -> std::io::Result<()> {
        if !self.shards.lock().emptied.contains(&self.index) {
            return Ok(());
        }
        for place in self.shards.state.of_shard(self.index).places() {
            if !place.is_dir() {
                continue;
            }
            let (log, gone) = (place.join("wal"), place.join("wal.gone"));
            if log.is_dir() {
                // A crash in between leaves no half of a log.
                std::fs::rename(&log, &gone)?;
            }
            if gone.is_dir() {
                std::fs::remove_dir_all(&gone)?;
            }
            std::fs::remove_dir(&place)?;
        }
        Ok(())
    }
}

/// What instances of shard `shard` gave up, under names that tell it from what others did.
pub(crate) fn label(name: &str, shard: usize) -> String {
    match shard {
        0 => name.to_owned(),
        shard => format!("{name}{SEPARATOR}{shard}"),
    }
}

/// Deals what the process before gave up to `count` shards: to each what the one of its number had, and copies of what the
/// others had.
pub fn deal(handovers: Handovers, count: usize) -> Vec<Handovers> {
    let mut before: BTreeMap<usize, Handovers> = BTreeMap::new();
    for (label, handover) in handovers {
        let (name, shard) = match label.rsplit_once(SEPARATOR) {
            Some((name, number)) => (name.to_owned(), number.parse().unwrap_or(0)),
            None => (label, 0),
        };
        before.entry(shard).or_default().insert(name, handover);
    }
    let mut dealt: Vec<Handovers> = (0..count).map(|_| Handovers::new()).collect();
    for (index, own) in dealt.iter_mut().enumerate() {
        for (shard, given) in before.iter().filter(|(shard, _)| **shard != index) {
            for (name, handover) in given {
                let copy = copy(handover);
                // Half of it would not be understood.
                if copy.descriptors.len() == handover.descriptors.len() {
                    let others = &mut own.entry(name.clone()).or_default().of_others;
                    others.push((*shard, copy));
                }
            }
        }
    }
    for (shard, given) in before {
        for (name, handover) in given {
            if let Some(own) = dealt.get_mut(shard) {
                let own = own.entry(name).or_default();
                (own.descriptors, own.state) = (handover.descriptors, handover.state);
            }
        }
    }
    dealt
}

/// A second set of the same descriptors; those that cannot be had are left out.
pub(crate) fn copy(handover: &Handover) -> Handover {
    let descriptors = handover.descriptors.iter();
    Handover {
        descriptors: descriptors
            .filter_map(|(name, descriptor)| Some((name.clone(), descriptor.try_clone().ok()?)))
            .collect(),
        state: handover.state.clone(),
        of_others: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(state: u8) -> Handover {
        let (socket, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
        Handover {
            descriptors: vec![("socket".to_owned(), socket.into())],
            state: vec![state],
            ..Handover::default()
        }
    }

    fn of_three() -> Handovers {
        let mut handovers: Handovers = (0..3)
            .map(|shard| (label("tail.0", shard), given(shard as u8)))
            .collect();
        handovers.insert("stdin.0".to_owned(), given(7));
        handovers
    }

    #[test]
    fn every_shard_gets_its_own_and_copies_of_everything_else() {
        for count in [1, 2, 3, 5] {
            for (index, own) in deal(of_three(), count).into_iter().enumerate() {
                let tail = &own["tail.0"];
                let expected: &[u8] = if index < 3 { &[index as u8] } else { &[] };
                assert_eq!(
                    (&*tail.state, tail.descriptors.len()),
                    (expected, expected.len())
                );
                let mut all: Vec<u8> = tail.of_others.iter().map(|(_, h)| h.state[0]).collect();
                assert!(tail.of_others.iter().all(|(shard, handover)| {
                    handover.state == [*shard as u8] && handover.descriptors.len() == 1
                }));
                all.extend(&tail.state);
                all.sort_unstable();
                assert_eq!(all, [0, 1, 2], "shard {index} of {count}");
            }
        }
        assert!(deal(Handovers::new(), 2).iter().all(HashMap::is_empty));
    }
}
