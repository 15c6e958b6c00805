//! From planned instances to built ones, and what every instance is counted in.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::RetryLimit;
use monitor::{FilterCounters, InputCounters, OutputCounters};
use plugin::{
    BuildError, BuildInput, BuildOutput, FilterContext, Handover, InputContext, Level, Log,
    Metrics, OutputContext, Parsers, RunInput, RunOutput, Shard, Stop, WriterSource,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::identity;
use crate::memory::Memory;
use crate::oversight::Oversight;
use crate::plan::{Identity, Plan, PlannedFilter, PlannedInput, PlannedOutput};
use crate::read_ahead::{self, ReadAhead};
use crate::retry::Backoff;
use crate::road::{Delivery, Exit, FilterStation};
use crate::runner::RunnerSettings;
use crate::shards::Member;
use crate::storage::{DeadLetters, DefaultStorage, StateDirectory};

/// An input that can be built, also a second time.
#[derive(Clone)]
pub struct Seat {
    pub identity: Identity,
    pub context: InputContext,
    pub counters: InputCounters,
    /// Where it keeps how far it came, if it does.
    pub database: Option<String>,
    /// Whether what it hands over is kept on the disk until it is delivered.
    pub is_stored: bool,
    /// Whether it waits where its records would be on the disk alone.
    pub pauses: bool,
    build: Arc<BuildInput>,
}

/// An input that is built.
pub struct BuiltInput {
    pub seat: Seat,
    pub input: Box<dyn RunInput>,
}

/// An output that is built.
pub struct BuiltOutput {
    pub identity: Identity,
    pub deliveries: UnboundedSender<Delivery>,
    pub oversight: Rc<Oversight>,
    pub counters: OutputCounters,
    pub log: Log,
    /// `storage.total_limit_size`.
    pub bytes_max: Option<u64>,
    pub task: OutputTask,
}

/// What the task of an output owns.
pub struct OutputTask {
    pub settings: RunnerSettings,
    pub build: Arc<BuildOutput>,
    pub context: OutputContext,
    pub first: RunOutput,
    pub deliveries: UnboundedReceiver<Delivery>,
}

/// What all instances share, from the start to the end of the process.
pub struct Shared {
    pub memory: Memory,
    /// Where what must survive is kept.
    pub state: Rc<StateDirectory>,
    /// Takes what outputs give up.
    pub dead_letters: DeadLetters,
    /// Tells outputs of the end.
    pub stop: Stop,
    /// How far inputs read ahead of a single output.
    pub read_ahead: Rc<ReadAhead>,
    /// Which shard it is, and what it has together with the others.
    pub member: Member,
}

/// The counters of every instance there ever was, by plugin and name: one that is built anew goes on where the one before
/// it stopped.
pub struct Counts {
    inputs: HashMap<String, InputCounters>,
    filters: HashMap<String, FilterCounters>,
    outputs: HashMap<String, OutputCounters>,
    pub emitter: InputCounters,
}

impl Counts {
    /// Of nothing.
    pub fn new() -> Counts {
        Counts {
            inputs: HashMap::new(),
            filters: HashMap::new(),
            outputs: HashMap::new(),
            emitter: InputCounters::new("emitter".into(), Metrics::default()),
        }
    }

    /// Everything that was ever counted.
    pub fn all(&self) -> monitor::Pipeline {
        monitor::Pipeline {
            inputs: self.inputs.values().cloned().collect(),
            filters: self.filters.values().cloned().collect(),
            outputs: self.outputs.values().cloned().collect(),
            emitter: Some(self.emitter.clone()),
        }
    }

    fn input(&mut self, identity: &Identity) -> InputCounters {
        let new = || InputCounters::new(Arc::clone(&identity.name), Metrics::default());
        self.inputs.entry(key(identity)).or_insert_with(new).clone()
    }

    fn filter(&mut self, identity: &Identity) -> FilterCounters {
        let new = || FilterCounters::new(Arc::clone(&identity.name), Metrics::default());
        self.filters
            .entry(key(identity))
            .or_insert_with(new)
            .clone()
    }

    fn output(&mut self, identity: &Identity) -> OutputCounters {
        let new = || OutputCounters::new(Arc::clone(&identity.name), Metrics::default());
        self.outputs
            .entry(key(identity))
            .or_insert_with(new)
            .clone()
    }
}

fn key(identity: &Identity) -> String {
    format!("{} {}", identity.plugin, identity.name)
}

impl Seat {
    /// Builds the instance with what the one before it gave up.
    pub fn build(&self, handover: Handover) -> Result<BuiltInput, BuildError> {
        let input = (self.build)(self.context.clone(), handover)?;
        Ok(BuiltInput {
            seat: self.clone(),
            input,
        })
    }
}

/// Builds instances of one plan and collects what fails.
pub struct Builder<'a> {
    level: Level,
    shared: &'a Shared,
    default_storage: DefaultStorage,
    counts: &'a mut Counts,
    parsers: Arc<dyn Parsers>,
    config_dir: PathBuf,
    writers: WriterSource,
    flush: Duration,
    backoff: Backoff,
    escape_unicode: bool,
    nan_to_null: bool,
    /// Whether back-pressure of the output is all that inputs need to heed.
    has_one_output: bool,
    /// What could not be built, and why.
    pub failures: Vec<String>,
}

impl<'a> Builder<'a> {
    /// A builder for `plan`.
    pub fn new(
        plan: &Plan,
        level: Level,
        shared: &'a Shared,
        counts: &'a mut Counts,
    ) -> Builder<'a> {
        let service = &plan.service;
        let (base, cap) = (
            service.scheduler_base.0.as_secs(),
            service.scheduler_cap.0.as_secs(),
        );
        Builder {
            level,
            shared,
            default_storage: DefaultStorage::new(service),
            counts,
            parsers: Arc::clone(&plan.parsers),
            config_dir: plan.config_dir.clone(),
            writers: identity::source(
                shared.state.candidates().to_vec(),
                Log::new("engine", level),
            ),
            flush: service.flush.0,
            backoff: Backoff {
                configured: plan.scheduler_is_configured.then_some((base, cap)),
            },
            escape_unicode: service.escape_unicode.0,
            nan_to_null: service.nan_to_null.0,
            has_one_output: plan.outputs.len() == 1,
            failures: Vec::new(),
        }
    }

    fn log(&self, kind: &str, identity: &Identity, level: Option<Level>) -> Log {
        Log::new(
            &format!("{kind}:{}:{}", identity.plugin, identity.name),
            level.unwrap_or(self.level),
        )
    }

    fn failed(&mut self, kind: &str, identity: &Identity, error: &BuildError) {
        self.failures.push(format!(
            "[{kind}:{}:{}] {error}",
            identity.plugin, identity.name
        ));
    }

    /// Builds an output and the way into it; `None` is noted as a failure.
    pub fn output(&mut self, planned: PlannedOutput) -> Option<(BuiltOutput, Exit)> {
        let PlannedOutput {
            identity,
            common,
            matcher,
            build,
            ..
        } = planned;
        let counters = self.counts.output(&identity);
        let log = self.log("output", &identity, common.log_level);
        let context = OutputContext {
            name: Arc::clone(&identity.name),
            log: log.clone(),
            metrics: counters.own.clone(),
            escape_unicode: self.escape_unicode,
            nan_to_null: self.nan_to_null,
            config_dir: self.config_dir.clone(),
            writers: self.writers.clone(),
            bodies: Arc::clone(&self.shared.memory.bodies),
        };
        let first = match build(&context) {
            Ok(output) => output,
            Err(error) => {
                self.failed("output", &identity, &error);
                return None;
            }
        };
        let (sender, deliveries) = unbounded_channel();
        let settings = self.runner_settings(common.retry_limit, counters.clone(), log.clone());
        let exit = Exit {
            matcher,
            deliveries: sender.clone(),
            oversight: Rc::clone(&settings.oversight),
            counters: counters.clone(),
            bytes_max: self.part_of_limit(common.total_limit_size.0),
        };
        let built = BuiltOutput {
            identity,
            deliveries: sender,
            oversight: Rc::clone(&settings.oversight),
            counters,
            log,
            bytes_max: exit.bytes_max,
            task: OutputTask {
                settings,
                build,
                context,
                first,
                deliveries,
            },
        };
        Some((built, exit))
    }

    /// A shard's part of a limit for the router.
    fn part_of_limit(&self, limit: Option<u64>) -> Option<u64> {
        let shards = self.shared.member.shard().count as u64;
        limit.map(|limit| (limit / shards).max(1))
    }

    fn runner_settings(
        &self,
        retry_limit: RetryLimit,
        counters: OutputCounters,
        log: Log,
    ) -> RunnerSettings {
        RunnerSettings {
            flush: self.flush,
            retry_limit,
            backoff: self.backoff,
            counters,
            log,
            stop: self.shared.stop.clone(),
            memory: Arc::clone(&self.shared.memory.records),
            bodies: Arc::clone(&self.shared.memory.bodies),
            dead_letters: self.shared.dead_letters.clone(),
            read_ahead: Rc::clone(&self.shared.read_ahead),
            oversight: Oversight::new(),
        }
    }

    /// Builds all filters; those that fail are noted and left out.
    pub fn filters(&mut self, planned: Vec<PlannedFilter>) -> Vec<FilterStation> {
        let mut stations = Vec::new();
        for PlannedFilter {
            identity,
            common,
            matcher,
            build,
            ..
        } in planned
        {
            let counters = self.counts.filter(&identity);
            let log = self.log("filter", &identity, common.log_level);
            let context = FilterContext {
                name: Arc::clone(&identity.name),
                log: log.clone(),
                metrics: counters.own.clone(),
                parsers: Arc::clone(&self.parsers),
            };
            match build(&context) {
                Ok(filter) => stations.push(FilterStation {
                    matcher,
                    filter: filter.into(),
                    counters,
                    log,
                }),
                Err(error) => self.failed("filter", &identity, &error),
            }
        }
        stations
    }

    /// An input that is not built yet.
    pub fn seat(&mut self, planned: PlannedInput) -> Seat {
        let PlannedInput {
            identity,
            database,
            common,
            spreads,
            source_keeps,
            source_waits,
            build,
        } = planned;
        let counters = self.counts.input(&identity);
        let is_stored = self.default_storage.is_stored(common.storage_type);
        let shard = match spreads {
            true => self.shared.member.shard(),
            false => Shard::ONLY,
        };
        let bytes_max = common.mem_buf_limit.0 as usize;
        // With several outputs each may hold its share, which is more; what is stored need not be held at all.
        let can_follow = self.has_one_output && !is_stored;
        let limit = match bytes_max {
            0 if can_follow && source_keeps => read_ahead::MOST,
            0 => 0,
            all => (all / shard.count).max(1),
        };
        let budget = self.shared.memory.records.child(limit);
        if can_follow && (source_keeps || source_waits) {
            self.shared.read_ahead.govern(&budget);
        }
        let context = InputContext {
            name: Arc::clone(&identity.name),
            tag: common
                .tag
                .clone()
                .unwrap_or_else(|| identity.instance.clone()),
            tag_is_configured: common.tag.is_some(),
            log: self.log("input", &identity, common.log_level),
            metrics: counters.own.clone(),
            parsers: Arc::clone(&self.parsers),
            budget,
            flush: self.flush,
            config_dir: self.config_dir.clone(),
            shard,
        };
        Seat {
            identity,
            context,
            counters,
            database,
            is_stored,
            pauses: common.pause_on_chunks_overlimit,
            build,
        }
    }

    /// Builds an input; `None` is noted as a failure.
    pub fn input(&mut self, seat: &Seat, handover: Handover) -> Option<BuiltInput> {
        seat.context.log.info(format_args!("initializing"));
        match seat.build(handover) {
            Ok(built) => Some(built),
            Err(error) => {
                self.failed("input", &seat.identity, &error);
                None
            }
        }
    }
}
