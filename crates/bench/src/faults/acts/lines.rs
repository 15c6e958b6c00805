//! Lines that are unfinished, long, or too many at once.

use std::fs;
use std::time::{Duration, Instant};

use super::super::journal::{Journal, Style, all};
use super::super::stage::{Outcome, RATE, Stage, Stop};
use crate::Faults;
use crate::line::{Kind, Wrap};

/// T11: a line that is begun before a restart and ended after it.
pub fn unfinished(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let configuration = stage.post(sink.target());
    let mut router = stage.router(&configuration)?;
    for is_killed in [false, true, false] {
        journal.write(100)?;
        journal.write_beginning()?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
        match is_killed {
            true => router.kill(),
            false => router.stop()?,
        }
        router = stage.router(&configuration)?;
        // It has seen the beginning again before the end comes.
        std::thread::sleep(Duration::from_millis(300));
        journal.write(1)?;
    }
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    // The killed router may have heard of no answer since it started: the line whose beginning was there, the one behind
    // it, and the hundred.
    Ok(played.may_repeat(102))
}

/// T12: a stack trace whose end has not come when the router is killed.
pub fn open_group(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let style = Style {
        kind: Kind::Java,
        wrap: Wrap::None,
        size: 0,
    };
    let mut journal = Journal::open(stage.path("app.log"), style)?;
    let configuration = stage
        .configuration()
        .plain_tail("app.log", &["multiline.parser java"]);
    let configuration = configuration.firehose(sink.target(), &[]);
    let mut router = stage.router(&configuration)?;
    for _ in 0..5 {
        journal.write(53)?;
        std::thread::sleep(Duration::from_millis(300));
        if router.has_ended() || router.log().contains("not supported") {
            return Err(Stop::Skipped(
                "this build has no multiline parsers".to_owned(),
            ));
        }
        router.kill();
        router = stage.router(&configuration)?;
    }
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    Ok(played.may_repeat(5 * 300))
}

/// T13: lines of a megabyte, of a hundred, and one without an end: memory stays bounded, and the file is read on.
pub fn long(stage: &Stage<'_>) -> Outcome {
    const MEMORY_MAX_KIB: u64 = 128 << 10;
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(sink.target()))?;
    let piece = vec![b'x'; 1 << 20];
    for megabytes in [1, 100] {
        journal.write(1000)?;
        for _ in 0..megabytes {
            journal.write_foreign(&piece)?;
        }
        journal.write_foreign(b"\n")?;
        journal.write(1000)?;
        stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    }
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    let peak = played.peak_memory_kib;
    Ok(played.must(peak < MEMORY_MAX_KIB, || {
        format!("it took {} MiB", peak >> 10)
    }))
}

/// T14: more changes than the kernel's queue of notices holds.
pub fn too_many_notices(stage: &Stage<'_>) -> Outcome {
    const FILES: usize = 20;
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let queue: usize = queue.trim().parse().unwrap_or(16_384);
    let sink = stage.sink(Faults::default())?;
    fs::create_dir(stage.path("logs"))?;
    let mut journals = Vec::new();
    for file in 0..FILES {
        journals.push(stage.journal(&format!("logs/{file}.log"))?);
    }
    let configuration = stage.configuration().tail("logs/*.log", &[]).nginx();
    let mut router = stage.router(&configuration.firehose(sink.target(), &[]))?;
    let sent = |journals: &[Journal]| all(&journals.iter().map(Journal::sent).collect::<Vec<_>>());
    for journal in &mut journals {
        journal.write(10)?;
    }
    stage.until_arrived(&sink, &sent(&journals), &mut router)?;
    router.signal(libc::SIGSTOP);
    // Equal notices in a row are one: the files take turns.
    for _ in 0..queue / FILES + 100 {
        for journal in &mut journals {
            journal.write(1)?;
        }
    }
    let mut late = stage.journal("logs/late.log")?;
    late.write(RATE)?;
    router.signal(libc::SIGCONT);
    let others: Vec<_> = journals.iter().map(Journal::sent).collect();
    stage.settle_tails(&sink, &mut late, &others, router, Instant::now())
}
