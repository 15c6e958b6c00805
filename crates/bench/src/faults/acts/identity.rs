//! Files that become others under the same name or the same inode.

use std::time::Instant;

use super::super::stage::{Outcome, Stage, Stop};
use crate::Faults;

/// Lines of the first and of the second content: fewer, as many, more.
const SIZES: [(u64, u64); 3] = [(2000, 500), (2000, 2000), (2000, 6000)];
/// Lines that end alike, so that the bytes before every position are the same.
const LINE: usize = 200;

/// T6: emptied and filled again between two looks.
pub fn truncated_between_looks(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.plain_journal("app.log", LINE)?;
    let configuration = stage.configuration().plain_tail("app.log", &[]);
    let mut router = stage.router(&configuration.firehose(sink.target(), &[]))?;
    for (first, second) in SIZES {
        journal.truncate()?;
        journal.write(first)?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
        router.signal(libc::SIGSTOP);
        journal.truncate()?;
        journal.write(second)?;
        router.signal(libc::SIGCONT);
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// T7: emptied and filled again while the router is stopped.
pub fn truncated_while_stopped(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.plain_journal("app.log", LINE)?;
    let configuration = stage.configuration().plain_tail("app.log", &[]);
    let configuration = configuration.firehose(sink.target(), &[]);
    let mut router = stage.router(&configuration)?;
    for (first, second) in SIZES {
        journal.truncate()?;
        journal.write(first)?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
        router.stop()?;
        journal.truncate()?;
        journal.write(second)?;
        router = stage.router(&configuration)?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// T8: another file with the inode of one that is gone, while the router is stopped.
pub fn inode_reused_while_stopped(stage: &Stage<'_>) -> Outcome {
    inode_reused(stage, false)
}

/// T8: the same while it runs.
pub fn inode_reused_while_running(stage: &Stage<'_>) -> Outcome {
    inode_reused(stage, true)
}

fn inode_reused(stage: &Stage<'_>, is_running: bool) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.plain_journal("app.log", LINE)?;
    let configuration = stage.configuration();
    let configuration = configuration.plain_tail("app.log", &["Rotate_Wait 1"]);
    let configuration = configuration.firehose(sink.target(), &[]);
    let mut router = stage.router(&configuration)?;
    for (first, second) in SIZES {
        journal.write(first)?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
        let is_same = match is_running {
            true => {
                let is_same = journal.unlink_and_reuse_inode()?;
                journal.write(second)?;
                is_same
            }
            false => {
                router.stop()?;
                let is_same = journal.unlink_and_reuse_inode()?;
                journal.write(second)?;
                router = stage.router(&configuration)?;
                is_same
            }
        };
        if !is_same {
            let why = "the file system gives no inode out again";
            return Err(Stop::Skipped(why.to_owned()));
        }
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}
