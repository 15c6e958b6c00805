//! A running plan.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::{Grace, RetryLimit};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use monitor::{FilterCounters, InputCounters, OutputCounters};
use plugin::{
    BuildError, BuildOutput, Emitter, Ended, FilterContext, Handover, InputContext, Level, Log,
    Metrics, OutputContext, Parsers, RunInput, RunOutput, Stop, StopHandle,
};
use record::Budget;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use crate::plan::{Identity, Plan, PlannedFilter, PlannedInput, PlannedOutput};
use crate::retry::Backoff;
use crate::road::{Delivery, Exit, FilterStation, InputRoad, Road};
use crate::runner::{self, RunnerSettings};
use crate::storage::{DefaultStorage, Storage, StorageSettings, Way};

/// Bytes of records that may be between inputs and answers, when nothing else limits them.
const MEMORY: usize = 16 << 20;
/// After a panic an output is built anew, but not more often than this.
const REBUILD_WAIT: Duration = Duration::from_secs(1);
/// How often an idle process gives memory back.
const TRIM_PERIOD: Duration = Duration::from_secs(5);

/// Instances that cannot start, all of them.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct PipelineError(pub Vec<String>);

/// Inputs, filters and outputs of one shard, built and ready to run on the current thread.
pub struct Pipeline {
    counters: monitor::Pipeline,
    road: Rc<Road>,
    storage: Option<Rc<Storage>>,
    inputs: Vec<BuiltInput>,
    outputs: Vec<OutputTask>,
    stop_handle: StopHandle,
    stop: Stop,
    /// Told to the runners: inputs have ended or are about to, nothing should wait.
    log: Log,
    grace: Option<Duration>,
}

/// Its name, itself, what it counts, and whether what it hands over is kept on the disk.
type BuiltInput = (Rc<str>, Box<dyn RunInput>, InputCounters, bool);

/// What one output's task owns.
struct OutputTask {
    settings: RunnerSettings,
    build: Rc<BuildOutput>,
    context: OutputContext,
    first: RunOutput,
    deliveries: UnboundedReceiver<Delivery>,
}

impl Pipeline {
    /// Builds every instance of `plan`: listeners are bound, files opened. All failures are reported at once.
    pub fn build(plan: Plan, level: Level) -> Result<Pipeline, PipelineError> {
        let (stop_handle, stop) = StopHandle::new();
        let mut builder = Builder::new(&plan, level, stop.clone());
        let storage_settings = StorageSettings::new(&plan);
        let (outputs, exits, ways) = builder.outputs(plan.outputs);
        let filters = builder.filters(plan.filters);
        let inputs = builder.inputs(plan.inputs);
        if !builder.failures.is_empty() {
            return Err(PipelineError(builder.failures));
        }
        let storage = Storage::for_pipeline(
            storage_settings,
            ways,
            inputs.iter().any(|(.., is_stored)| *is_stored),
            Arc::clone(&builder.memory),
            Log::new("storage", level),
        )
        .map_err(|error| PipelineError(vec![format!("[storage] {error}")]))?;
        let emitter = InputCounters::new("emitter".into(), Metrics::default());
        let log = Log::new("engine", level);
        let grace = match plan.service.grace {
            Grace::Within(grace) => Some(grace),
            Grace::Unlimited => None,
        };
        Ok(Pipeline {
            counters: builder.counters,
            road: Rc::new(Road::new(filters, exits, emitter).with_storage(storage.clone())),
            storage,
            inputs,
            outputs,
            stop_handle,
            stop,
            log,
            grace,
        })
    }

    /// What is counted, for the monitor.
    pub fn counters(&self) -> &monitor::Pipeline {
        &self.counters
    }

    /// Runs until `shutdown` completes or an input ends the process, then stops: inputs read no more, what they handed over
    /// is sent, and what is not answered when the grace is over stays with its source. Runs inside a `LocalSet`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Pipeline {
            road,
            storage,
            inputs,
            outputs,
            stop_handle,
            stop,
            log,
            grace,
            counters,
        } = self;
        let feeders = storage.as_ref().map_or_else(Vec::new, Storage::feed);
        let runners: Vec<JoinHandle<()>> = outputs
            .into_iter()
            .map(|output| spawn_local(drive(output)))
            .collect();
        let deadlines = spawn_local({
            let road = Rc::clone(&road);
            async move { road.watch_deadlines().await }
        });
        let trimming = spawn_local(trim_when_idle(counters.clone()));
        let mut running = start_inputs(inputs, &road, &stop);
        tokio::pin!(shutdown);
        let mut pending = running.len();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some((name, ended)) = running.next() => {
                    pending -= 1;
                    if report_end(&name, ended, &log) {
                        break;
                    }
                }
            }
        }
        stop_handle.request();
        road.expire(true);
        if storage.as_ref().is_none_or(|storage| !storage.is_flushed_on_stop()) {
            feeders.iter().for_each(JoinHandle::abort);
        }
        log_stop(&log, grace);
        let deadline = grace.map(|grace| Instant::now() + grace);
        let drained = drain(&mut running, &mut pending, deadline, &log).await;
        deadlines.abort();
        trimming.abort();
        // Inputs are gone; without them nothing can wait for an answer any more.
        drop(running);
        drop(road);
        feeders.iter().for_each(JoinHandle::abort);
        if let Some(storage) = &storage {
            storage.detach();
        }
        if drained {
            for runner in runners {
                let _ = within(deadline, runner).await;
            }
        } else {
            runners.into_iter().for_each(|runner| runner.abort());
        }
        if let Some(storage) = &storage {
            storage.close().await;
        }
        let left: u64 = counters.outputs.iter().map(OutputCounters::in_flight).sum();
        log.info(format_args!(
            "service has stopped ({left} records without an answer, left with their sources)"
        ));
    }
}

type RunningInputs =
    FuturesUnordered<std::pin::Pin<Box<dyn Future<Output = (Rc<str>, Option<Ended>)>>>>;

fn start_inputs(
    inputs: Vec<BuiltInput>,
    road: &Rc<Road>,
    stop: &Stop,
) -> RunningInputs {
    inputs
        .into_iter()
        .map(|(name, input, counters, is_stored)| {
            let emitter = Emitter::new(Rc::new(InputRoad {
                road: Rc::clone(road),
                counters,
                is_stored,
            }));
            let task = spawn_local(input.run(emitter, stop.clone()));
            let abort = AbortOnDrop(task);
            Box::pin(async move { (name, abort.wait().await) }) as _
        })
        .collect()
}

/// A task that ends when nobody waits for it any more.
struct AbortOnDrop(JoinHandle<Ended>);

impl AbortOnDrop {
    async fn wait(mut self) -> Option<Ended> {
        (&mut self.0).await.ok()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether the end of this input ends the process.
fn report_end(name: &str, ended: Option<Ended>, log: &Log) -> bool {
    match ended {
        Some(ended) => ended.ends_process,
        None => {
            log.error(format_args!(
                "input {name} panicked and reads no more; what it had read stays with its source"
            ));
            false
        }
    }
}

fn log_stop(log: &Log, grace: Option<Duration>) {
    match grace {
        Some(grace) => log.warn(format_args!(
            "service will shutdown in max {} seconds",
            grace.as_secs()
        )),
        None => log.warn(format_args!(
            "service will shutdown when all remaining tasks are flushed"
        )),
    }
}

/// Waits until every input has ended. Returns whether they all did in time.
async fn drain(
    running: &mut RunningInputs,
    pending: &mut usize,
    deadline: Option<Instant>,
    log: &Log,
) -> bool {
    while *pending > 0 {
        match within(deadline, running.next()).await {
            Some(Some((name, ended))) => {
                *pending -= 1;
                report_end(&name, ended, log);
            }
            Some(None) => return true,
            None => {
                log.warn(format_args!(
                    "the grace is over: {} inputs still wait for answers",
                    *pending
                ));
                return false;
            }
        }
    }
    true
}

async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Runs an output, and builds it anew should it panic: what it held is refused and comes again.
async fn drive(task: OutputTask) {
    let OutputTask {
        settings,
        build,
        context,
        first,
        mut deliveries,
    } = task;
    let mut output = first;
    loop {
        let run = runner::run(output, &settings, &mut deliveries);
        if std::panic::AssertUnwindSafe(run)
            .catch_unwind()
            .await
            .is_ok()
        {
            return;
        }
        settings.counters.errors.add(1);
        settings.log.error(format_args!(
            "panicked: it is built anew, and what it held is read again"
        ));
        tokio::time::sleep(REBUILD_WAIT).await;
        output = loop {
            match build(&context) {
                Ok(output) => break output,
                Err(BuildError(why)) => settings
                    .log
                    .error(format_args!("cannot be built anew: {why}")),
            }
            tokio::time::sleep(REBUILD_WAIT).await;
        };
    }
}

/// Gives memory back to the system when a period passed without a record.
async fn trim_when_idle(counters: monitor::Pipeline) {
    let mut period = tokio::time::interval(TRIM_PERIOD);
    let (mut last, mut trimmed) = (0, true);
    loop {
        period.tick().await;
        let now: u64 = counters
            .inputs
            .iter()
            .map(|input| input.records.get())
            .sum();
        if now != last {
            (last, trimmed) = (now, false);
        } else if !trimmed {
            trimmed = true;
            record::trim();
            #[cfg(target_env = "gnu")]
            // SAFETY: malloc_trim has no preconditions.
            unsafe {
                libc::malloc_trim(0);
            }
        }
    }
}

/// Builds instances and collects what fails.
struct Builder {
    level: Level,
    stop: Stop,
    memory: Arc<Budget>,
    parsers: Arc<dyn Parsers>,
    config_dir: PathBuf,
    flush: Duration,
    backoff: Backoff,
    escape_unicode: bool,
    nan_to_null: bool,
    counters: monitor::Pipeline,
    default_storage: DefaultStorage,
    failures: Vec<String>,
}

impl Builder {
    fn new(plan: &Plan, level: Level, stop: Stop) -> Builder {
        let service = &plan.service;
        let (base, cap) = (
            service.scheduler_base.0.as_secs(),
            service.scheduler_cap.0.as_secs(),
        );
        let configured = plan.scheduler_is_configured.then_some((base, cap));
        Builder {
            level,
            stop,
            memory: Budget::new(MEMORY),
            parsers: Arc::clone(&plan.parsers),
            config_dir: plan.config_dir.clone(),
            flush: service.flush.0,
            backoff: Backoff { configured },
            escape_unicode: service.escape_unicode.0,
            nan_to_null: service.nan_to_null.0,
            counters: monitor::Pipeline::default(),
            default_storage: DefaultStorage::new(service),
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

    fn outputs(
        &mut self,
        planned: Vec<PlannedOutput>,
    ) -> (Vec<OutputTask>, Vec<Exit>, Vec<Rc<Way>>) {
        let (mut tasks, mut exits, mut ways) = (Vec::new(), Vec::new(), Vec::new());
        for PlannedOutput {
            identity,
            common,
            matcher,
            build,
        } in planned
        {
            let metrics = Metrics::default();
            let log = self.log("output", &identity, common.log_level);
            let context = OutputContext {
                name: Arc::clone(&identity.name),
                log: log.clone(),
                metrics: metrics.clone(),
                escape_unicode: self.escape_unicode,
                nan_to_null: self.nan_to_null,
                config_dir: self.config_dir.clone(),
            };
            let first = match build(&context) {
                Ok(output) => output,
                Err(error) => {
                    self.failed("output", &identity, &error);
                    continue;
                }
            };
            let counters = OutputCounters::new(Arc::clone(&identity.name), metrics);
            self.counters.outputs.push(counters.clone());
            let (sender, deliveries) = unbounded_channel();
            ways.push(Way::new(
                Arc::clone(&identity.name),
                ways.len(),
                sender.clone(),
                counters.clone(),
                common.total_limit_size.0,
            ));
            exits.push(Exit {
                matcher,
                deliveries: sender,
                routed: counters.routed.clone(),
            });
            let settings = self.runner_settings(common.retry_limit, counters, log);
            tasks.push(OutputTask {
                settings,
                build: Rc::new(build),
                context,
                first,
                deliveries,
            });
        }
        (tasks, exits, ways)
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
            stop: self.stop.clone(),
            memory: Arc::clone(&self.memory),
        }
    }

    fn filters(&mut self, planned: Vec<PlannedFilter>) -> Vec<FilterStation> {
        let mut stations = Vec::new();
        for PlannedFilter {
            identity,
            common,
            matcher,
            build,
        } in planned
        {
            let metrics = Metrics::default();
            let log = self.log("filter", &identity, common.log_level);
            let context = FilterContext {
                name: Arc::clone(&identity.name),
                log: log.clone(),
                metrics: metrics.clone(),
                parsers: Arc::clone(&self.parsers),
            };
            match build(&context) {
                Ok(filter) => {
                    let counters = FilterCounters::new(Arc::clone(&identity.name), metrics);
                    self.counters.filters.push(counters.clone());
                    stations.push(FilterStation {
                        matcher,
                        filter: filter.into(),
                        counters,
                        log,
                    });
                }
                Err(error) => self.failed("filter", &identity, &error),
            }
        }
        stations
    }

    fn inputs(&mut self, planned: Vec<PlannedInput>) -> Vec<BuiltInput> {
        let mut inputs = Vec::new();
        for PlannedInput {
            identity,
            common,
            build,
        } in planned
        {
            let metrics = Metrics::default();
            let log = self.log("input", &identity, common.log_level);
            log.info(format_args!("initializing"));
            let context = InputContext {
                name: Arc::clone(&identity.name),
                tag: common
                    .tag
                    .clone()
                    .unwrap_or_else(|| identity.instance.clone()),
                tag_is_configured: common.tag.is_some(),
                log,
                metrics: metrics.clone(),
                parsers: Arc::clone(&self.parsers),
                budget: self.memory.child(common.mem_buf_limit.0 as usize),
                config_dir: self.config_dir.clone(),
            };
            match build(context, Handover::default()) {
                Ok(input) => {
                    let counters = InputCounters::new(Arc::clone(&identity.name), metrics);
                    self.counters.inputs.push(counters.clone());
                    let is_stored = self.default_storage.is_stored(common.storage_type);
                    inputs.push((Rc::from(&*identity.name), input, counters, is_stored));
                }
                Err(error) => self.failed("input", &identity, &error),
            }
        }
        inputs
    }
}
