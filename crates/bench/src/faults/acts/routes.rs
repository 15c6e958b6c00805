//! Destinations that are dead for long.

use std::time::{Duration, Instant};

use super::super::stage::{Outcome, RATE, Stage};
use crate::Faults;
use crate::report::Report;

/// D19: one of two outputs is dead. The live one gets everything meanwhile, the dead one when it is back.
pub fn one_of_two(stage: &Stage<'_>) -> Outcome {
    let (live, dead) = (
        stage.sink(Faults::default())?,
        stage.sink(Faults::default())?,
    );
    dead.set_away(true);
    let configuration = super::kill::stored(stage)
        .tail("app.log", &["storage.type filesystem"])
        .nginx()
        .firehose(live.target(), &[])
        .firehose(dead.target(), &[]);
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&configuration)?;
    // More than the memory limit of the input.
    journal.write_for(stage.load(), 10 * RATE)?;
    let written = Instant::now();
    let is_live = |received: u64| received == journal.sent().lines;
    let arrived = router.until(
        "the live output gets everything",
        Duration::from_secs(20),
        |_| {
            let report: Report = live.sink.report(Some(&journal.sent()));
            is_live(report.received)
        },
    );
    stage.must(
        arrived.is_ok(),
        &format!(
            "the live output has {} of {} lines after {:.0} s",
            live.sink.report(Some(&journal.sent())).received,
            journal.sent().lines,
            written.elapsed().as_secs_f64()
        ),
    );
    let repeated = live.sink.report(Some(&journal.sent())).repeated;
    stage.must(
        repeated == 0,
        &format!("{repeated} repeated at the live output"),
    );
    dead.set_away(false);
    stage.settle_tail(&dead, &mut journal, router, Instant::now())
}

/// A destination that is dead for the whole of the row, at 10,000 lines a second: memory stays flat, nothing is lost.
pub fn dead_destination(stage: &Stage<'_>) -> Outcome {
    const LINES: u64 = 10_000;
    /// What memory may grow by after the first tenth.
    const GROWTH_MAX_KIB: u64 = 8 << 10;
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(sink.target()))?;
    journal.write(LINES)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    sink.set_away(true);
    let tenth = stage.load() / 10;
    journal.write_for(tenth, LINES)?;
    // What an idle router gives back in between, and takes again, is no growth.
    let first = router.resident_kib();
    let mut most = first;
    for _ in 0..90 {
        journal.write_for(tenth / 10, LINES)?;
        router.check()?;
        most = most.max(router.resident_kib());
    }
    stage.must(
        most - first <= GROWTH_MAX_KIB,
        &format!("memory went from {first} to {most} KiB"),
    );
    sink.set_away(false);
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}
