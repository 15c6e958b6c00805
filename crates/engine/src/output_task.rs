//! The task of one output: runs it, and builds it anew when it breaks or stands still.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use monitor::OutputCounters;
use plugin::{BuildError, Log};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, spawn_local};

use crate::builder::{BuiltOutput, OutputTask};
use crate::oversight::{Order, Oversight};
use crate::plan::Identity;
use crate::road::Delivery;
use crate::runner;

/// An output is not built anew more often than this.
const REBUILD_WAIT: Duration = Duration::from_secs(1);

/// An output that runs.
pub struct RunningOutput {
    pub identity: Identity,
    /// The way in; dropped to let it finish.
    pub deliveries: UnboundedSender<Delivery>,
    pub oversight: Rc<Oversight>,
    pub counters: OutputCounters,
    pub log: Log,
    /// `storage.total_limit_size`.
    pub bytes_max: Option<u64>,
    pub task: JoinHandle<()>,
}

/// An output that gets nothing more and finishes what it has.
pub struct RetiringOutput {
    pub oversight: Rc<Oversight>,
    pub counters: OutputCounters,
    pub log: Log,
    pub task: JoinHandle<()>,
}

impl RunningOutput {
    /// Starts it.
    pub fn start(built: BuiltOutput) -> RunningOutput {
        RunningOutput {
            task: spawn_local(drive(built.task)),
            identity: built.identity,
            deliveries: built.deliveries,
            oversight: built.oversight,
            counters: built.counters,
            log: built.log,
            bytes_max: built.bytes_max,
        }
    }

    /// It gets nothing more; what it has not sent goes to `successor`, if there is one.
    pub fn retire(self, successor: Option<&RunningOutput>) -> RetiringOutput {
        drop(self.deliveries);
        if let Some(successor) = successor {
            self.oversight
                .order(Order::Retire(Rc::clone(&successor.oversight)));
        }
        RetiringOutput {
            oversight: self.oversight,
            counters: self.counters,
            log: self.log,
            task: self.task,
        }
    }
}

/// Runs an output until it has nothing to do any more. What it held when it broke is refused and comes again from its
/// source; what it held when it was torn down goes into the new one.
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
        let run = AssertUnwindSafe(runner::run(output, &settings, &mut deliveries));
        match run.catch_unwind().await {
            Ok(None) => return,
            Ok(Some(leftovers)) => settings.oversight.leave(leftovers),
            Err(_) => {
                let lost = settings.oversight.forfeit();
                let counters = &settings.counters;
                counters.held.set(counters.held.get().saturating_sub(lost));
                counters.returned.add(lost);
                counters.errors.add(1);
                settings.oversight.note_under_way(0);
                settings.log.error(format_args!(
                    "panicked: it is built anew, and the {lost} records that it held are read again"
                ));
            }
        }
        settings.counters.rebuilds.add(1);
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
