//! The lake is killed, and two routers are the same.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::sender::Sender;
use super::super::service::{Destination, LakeService};
use super::super::stage::{Outcome, Stage, Stop};
use crate::report::Sent;

/// Lines a second towards a lake.
const LAKE_RATE: u64 = 2000;

/// N19: the lake is killed in the middle of requests.
pub fn killed(stage: &Stage<'_>) -> Outcome {
    let mut lake = stage.lake()?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(&lake.target()))?;
    for _ in 0..5 {
        journal.write_for(stage.load() / 5, LAKE_RATE)?;
        lake.kill();
        std::thread::sleep(Duration::from_millis(fastrand::u64(10..300)));
        lake.start_again(&[])?;
    }
    stage.settle_tail(&lake, &mut journal, router, Instant::now())
}

/// E1: the lake is killed at one after the other of its renames and syncs, so between an object and what names it, too.
pub fn killed_at_steps(stage: &Stage<'_>) -> Outcome {
    let strace = Command::new("strace")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !strace.is_ok_and(|status| status.success()) {
        return Err(Stop::Skipped("needs strace".to_owned()));
    }
    let mut lake = stage.lake()?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(&lake.target()))?;
    let steps = stage.rounds().min(12);
    for step in 0..steps {
        lake.kill();
        let call = ["rename,renameat,renameat2,linkat", "fsync,fdatasync"][step as usize % 2];
        let inject = format!("inject={call}:signal=KILL:when={}", 1 + step / 2);
        let trace = format!("trace={call}");
        lake.start_again(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ])?;
        let end = Instant::now() + Duration::from_secs(4);
        while !lake.has_ended() && Instant::now() < end {
            journal.write_for(Duration::from_millis(100), LAKE_RATE)?;
        }
        stage.must(
            lake.has_ended() || step >= 8,
            &format!("the lake came to no {}th {call}", 1 + step / 2),
        );
    }
    lake.kill();
    lake.start_again(&[])?;
    stage.settle_tail(&lake, &mut journal, router, Instant::now())
}

/// E2: a router and its clone, with a copy of all state, deliver the same lines.
pub fn split_brain(stage: &Stage<'_>) -> Outcome {
    let lake = stage.lake()?;
    let mut journal = stage.journal("app.log")?;
    let configuration = stage.post(&lake.target());
    let mut router = stage.router(&configuration)?;
    journal.write_for(Duration::from_secs(1), LAKE_RATE)?;
    stage.until_arrived(&lake, &journal.sent(), &mut router)?;
    router.stop()?;
    for name in ["tail.db", "tail.db-wal", "tail.db-shm"] {
        let from = stage.path(name);
        if from.exists() {
            std::fs::copy(&from, stage.path(&name.replace("tail.db", "clone.db")))?;
        }
    }
    let database = format!("DB {}", stage.path("clone.db").display());
    let clone = stage.configuration().tail("app.log", &[&database]).nginx();
    let clone = clone.firehose(&lake.target(), &[]);
    let clone_router = stage.router(&clone)?;
    std::thread::sleep(Duration::from_millis(300));
    let router = stage.router(&configuration)?;
    journal.write_for(stage.load(), LAKE_RATE)?;
    std::thread::sleep(Duration::from_secs(2));
    clone_router.stop()?;
    stage.settle_tail(&lake, &mut journal, router, Instant::now())
}

/// A router that follows a file and receives frames is killed again and again while it delivers to a lake: what came of it.
pub fn killed_router(stage: &Stage<'_>, mut look: impl FnMut(u32)) -> Outcome {
    let lake = stage.lake()?;
    let socket = stage.path("fluent.sock");
    let path = format!("Unix_Path {}", socket.display());
    let configuration = super::kill::stored(stage)
        .tail("app.log", &[])
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .nginx()
        .firehose(&lake.target(), &[]);
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&configuration)?;
    router.until_listening(&socket)?;
    let sender = Sender::start(&socket, LAKE_RATE / 2)?;
    for round in 0..stage.rounds() {
        journal.write_for(Duration::from_millis(fastrand::u64(20..400)), LAKE_RATE / 2)?;
        router.kill();
        router = stage.router(&configuration)?;
        look(round + 1);
    }
    let acknowledged = sender.finish(&mut router)?;
    let others = [acknowledged];
    until_all(&lake, &[journal.sent(), others[0].clone()], &mut router)?;
    stage.settle_tails(&lake, &mut journal, &others, router, Instant::now())
}

/// The lake's objects are many: they are looked through now and then only.
fn until_all(
    lake: &LakeService,
    sent: &[Sent],
    router: &mut super::super::router::Router,
) -> Outcome<()> {
    let sent = super::super::journal::all(sent);
    for _ in 0..20 {
        if lake.report(&sent)?.lost == 0 {
            return Ok(());
        }
        router.check()?;
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// The short form of [`killed_router`] as a row.
pub fn kills_to_lake(stage: &Stage<'_>) -> Outcome {
    killed_router(stage, |_| {})
}
