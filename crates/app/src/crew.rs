//! The threads of the router's further shards: each builds and runs the part of the plan that is its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use config::LogLevel;
use engine::{Handovers, Member, Pipeline, PipelineError, Plan, Shards};
use monitor::Watched;
use plugin::Log;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::oneshot;

/// The exit status of a process that ends with a panic.
const PANICKED: i32 = 101;

/// Shards that run on threads of their own, beside the first one.
#[derive(Default)]
pub struct Crew(Vec<Thread>);

struct Thread {
    /// Lets it run once all are built; without that it ends.
    go: Option<oneshot::Sender<()>>,
    watched: Watched,
    ended: oneshot::Receiver<Handovers>,
    thread: JoinHandle<()>,
}

/// What a thread begins with.
struct Part {
    plan: Plan,
    level: LogLevel,
    handovers: Handovers,
    member: Member,
}

/// A runtime for one shard. Not one with a `LocalSet`: there, each task that wakes another writes to an event descriptor and
/// looks for events once more.
pub fn runtime() -> std::io::Result<LocalRuntime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build_local(LocalOptions::default())
}

impl Crew {
    /// Builds the shards of `plan` behind the first one, one after the other. `handovers` are for each what the one of its
    /// number takes over, the first one's not among them.
    ///
    /// # Errors
    /// When one cannot be built; then none runs.
    pub fn build(
        plan: &Plan,
        level: LogLevel,
        shards: &Arc<Shards>,
        handovers: Vec<Handovers>,
    ) -> Result<Crew, PipelineError> {
        let mut crew = Crew::default();
        let mut handovers = handovers.into_iter();
        for index in shards.numbers().into_iter().skip(1) {
            let part = Part {
                plan: plan.part(index, shards.count()),
                level,
                handovers: handovers.next().unwrap_or_default(),
                member: shards.member(index),
            };
            crew.0.push(Thread::start(index, part)?);
        }
        Ok(crew)
    }

    /// Lets all run. What they count is seen in `watched` too.
    pub fn go(&mut self, watched: &Watched) {
        for thread in &mut self.0 {
            watched.add(thread.watched.clone());
            if let Some(go) = thread.go.take() {
                // It waits for that.
                let _ = go.send(());
            }
        }
    }

    /// Waits until all have ended. Returns what they gave up.
    pub async fn ended(self) -> Handovers {
        let mut given_up = Handovers::new();
        for thread in self.0 {
            // One that is gone without a word has ended the process.
            given_up.extend(thread.ended.await.unwrap_or_default());
            let _ = thread.thread.join();
        }
        given_up
    }
}

impl Thread {
    fn start(index: usize, part: Part) -> Result<Thread, PipelineError> {
        let (built_sender, built) = std::sync::mpsc::channel();
        let (go, wait) = oneshot::channel();
        let (ended_sender, ended) = oneshot::channel();
        let (level, member) = (part.level, part.member.clone());
        let work = move || {
            let given_up = work(part, built_sender, wait);
            let log = Log::new("engine", level);
            if let Err(error) = member.clean_up() {
                log.warn(format_args!(
                    "the folder of shard {index}, which is empty, cannot be removed: {error}"
                ));
            }
            // Nobody listens if the process is about to end.
            let _ = ended_sender.send(given_up);
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || {
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    // As when the first one panics: what is not delivered is read again by the next start.
                    std::process::exit(PANICKED);
                }
            });
        let refused = |why: String| PipelineError(vec![format!("[engine] shard {index}: {why}")]);
        let thread = thread.map_err(|error| refused(format!("cannot start a thread: {error}")))?;
        let watched = built
            .recv()
            .map_err(|_| refused("its thread has ended".to_owned()))??;
        Ok(Thread {
            go: Some(go),
            watched,
            ended,
            thread,
        })
    }
}

/// Builds a shard, waits, and runs it to its end.
fn work(
    part: Part,
    built: std::sync::mpsc::Sender<Result<Watched, PipelineError>>,
    go: oneshot::Receiver<()>,
) -> Handovers {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = built.send(Err(PipelineError(vec![format!("cannot start: {error}")])));
            return Handovers::new();
        }
    };
    let Part {
        plan,
        level,
        handovers,
        member,
    } = part;
    runtime.block_on(async move {
        let pipeline = match Pipeline::of_shard(plan, level, handovers, member) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                let _ = built.send(Err(error));
                return Handovers::new();
            }
        };
        let _ = built.send(Ok(pipeline.watched().clone()));
        match go.await {
            Ok(()) => pipeline.run(std::future::pending()).await,
            // Another one could not be built.
            Err(_) => Handovers::new(),
        }
    })
}
