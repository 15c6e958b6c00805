//! Files that are rotated, copied, emptied and removed.

use std::time::{Duration, Instant};

use super::super::journal::Journal;
use super::super::proxy::Toxic;
use super::super::stage::{Outcome, RATE, Stage};
use crate::Faults;

/// The post's: a file that is renamed four times a second, five of which are kept.
pub fn four_a_second(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(sink.target()))?;
    for _ in 0..4 * stage.load().as_secs() {
        journal.write_for(Duration::from_millis(250), RATE)?;
        journal.rotate(5)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// T2: ten times a second, with the older ones packed.
pub fn ten_a_second(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(sink.target()))?;
    for _ in 0..10 * stage.load().as_secs() {
        journal.write_for(Duration::from_millis(100), 2 * RATE)?;
        journal.rotate(20)?;
        journal.compress(2)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// The post's, and T3: rotated while the output is out of reach for longer than `rotate_wait`.
pub fn during_an_outage(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let configuration = stage.configuration();
    let configuration = configuration.tail("app.log", &["Rotate_Wait 1"]).nginx();
    let mut router = stage.router(&configuration.firehose(sink.target(), &[]))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    sink.set_away(true);
    for _ in 0..3 {
        journal.write_for(Duration::from_secs(1), RATE)?;
        journal.rotate(10)?;
    }
    // Longer than a rotated file is waited for, and, if there is time, longer than a retry.
    journal.write_for(2 * stage.load(), RATE)?;
    sink.set_away(false);
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// T4: removed with bytes that nobody has read.
pub fn unlinked_unread(stage: &Stage<'_>) -> Outcome {
    behind(stage, |journal| journal.unlink())
}

/// T5: copied and emptied while the router is behind.
pub fn copied_and_truncated(stage: &Stage<'_>) -> Outcome {
    behind(stage, |journal| journal.copy_and_truncate())
}

/// T20: rotated and packed while it is still read.
pub fn packed_while_read(stage: &Stage<'_>) -> Outcome {
    behind(stage, |journal| {
        journal.rotate(5)?;
        journal.compress(1)
    })
}

/// Something happens to the file while the output holds the router up.
fn behind(stage: &Stage<'_>, happens: impl FnOnce(&mut Journal) -> std::io::Result<()>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(&target))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    proxy.set(Toxic::Stall);
    // More than the memory limit of the input.
    for _ in 0..10 {
        journal.write(RATE)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    happens(&mut journal)?;
    journal.write_for(Duration::from_secs(1), RATE)?;
    proxy.set(Toxic::None);
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}
