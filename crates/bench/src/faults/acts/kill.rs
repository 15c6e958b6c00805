//! Routers that are killed.

use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::configuration::{Configuration, Target};
use super::super::proxy::Toxic;
use super::super::sender::Sender;
use super::super::stage::{Outcome, RATE, Stage};
use crate::Faults;

/// A killed router may repeat what it delivered and has not noted: it notes positions some times a second, and requests
/// are under way for no longer than that here. What it reads on after a start goes faster than it was written.
pub const UNNOTED_SECONDS: u64 = 1;

/// P1: tail to Firehose.
pub fn tail_to_firehose(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let configuration = stage.post(sink.target());
    rounds(stage, &sink, &configuration, 20..500)
}

/// P5: killed again before it has read what the one before has left.
pub fn while_starting(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let configuration = stage.post(sink.target());
    rounds(stage, &sink, &configuration, 5..60)
}

/// P1: tail to S3, whose objects have names that a replay meets again.
pub fn tail_to_s3(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let configuration = stage.configuration().tail("app.log", &[]).nginx();
    let configuration = configuration.s3(sink.target(), &[]);
    rounds(stage, &sink, &configuration, 20..500)
}

/// The post's: five times.
pub fn five_times(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let configuration = stage.post(sink.target());
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&configuration)?;
    for _ in 0..5 {
        journal.write_for(stage.load() / 5, RATE)?;
        journal.sync()?;
        router.kill();
        router = stage.router(&configuration)?;
    }
    journal.write_for(Duration::from_secs(1), RATE)?;
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    Ok(played.may_repeat(5 * UNNOTED_SECONDS * RATE))
}

fn rounds(
    stage: &Stage<'_>,
    sink: &super::super::service::SinkService,
    configuration: &Configuration,
    lives: Range<u64>,
) -> Outcome {
    let rounds = stage.rounds();
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(configuration)?;
    for _ in 0..rounds {
        let life = Duration::from_millis(fastrand::u64(lives.clone()));
        journal.write_for(life, RATE)?;
        journal.sync()?;
        router.kill();
        router = stage.router(configuration)?;
    }
    let played = stage.settle_tail(sink, &mut journal, router, Instant::now())?;
    // Objects are told apart by their names: nothing of them may come twice.
    let may = match configuration.text().contains("kinesis_firehose") {
        true => u64::from(rounds) * UNNOTED_SECONDS * RATE,
        false => 0,
    };
    Ok(played.may_repeat(may))
}

/// P2: while a sender waits for acknowledgements.
pub fn forward(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let socket = stage.path("fluent.sock");
    let configuration = forward_to(stage, &socket, sink.target());
    let mut router = stage.router(&configuration)?;
    router.until_listening(&socket)?;
    let sender = Sender::start(&socket, RATE)?;
    let rounds = stage.rounds().min(10);
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..500)));
        router.kill();
        router = stage.router(&configuration)?;
        router.until_listening(&socket)?;
    }
    let sent = sender.finish(&mut router)?;
    let played = stage.settle(&sink, &sent, router, Instant::now())?;
    // What was not acknowledged is sent again, and may have been delivered.
    Ok(played.may_repeat(u64::from(rounds) * UNNOTED_SECONDS * RATE))
}

/// The input `forward` with storage in files, to Firehose.
pub fn forward_to(stage: &Stage<'_>, socket: &std::path::Path, target: &Target) -> Configuration {
    let path = format!("Unix_Path {}", socket.display());
    stored(stage)
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .firehose(target, &[])
}

/// A configuration with storage in files, each write of which waits for the disk.
pub fn stored(stage: &Stage<'_>) -> Configuration {
    let storage: PathBuf = stage.path("storage");
    let path = format!("storage.path {}", storage.display());
    stage.configuration().service(&[&path, "storage.sync full"])
}

/// P6: SIGTERM while the output is out of reach; what is not delivered is delivered by the next run.
pub fn term_with_dead_output(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let configuration = stage.post(sink.target()).service(&["Grace 3"]);
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&configuration)?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    sink.set_away(true);
    journal.write_for(Duration::from_secs(2), RATE)?;
    let asked = Instant::now();
    router.stop()?;
    let took = asked.elapsed();
    stage.must(
        took < Duration::from_secs(6),
        &format!(
            "it ended after {:.1} s with a grace of 3",
            took.as_secs_f64()
        ),
    );
    sink.set_away(false);
    let router = stage.router(&configuration)?;
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// N17: answers come out of order, and then the router is killed.
pub fn answers_out_of_order(stage: &Stage<'_>) -> Outcome {
    const KILLS: u64 = 3;
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    proxy.set(Toxic::Delay(Duration::from_millis(400)));
    let configuration = stage.post(&target);
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&configuration)?;
    for _ in 0..KILLS {
        journal.write_for(stage.load() / KILLS as u32, 2 * RATE)?;
        router.kill();
        router = stage.router(&configuration)?;
    }
    proxy.set(Toxic::None);
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    Ok(played.may_repeat(KILLS * UNNOTED_SECONDS * 2 * RATE))
}
