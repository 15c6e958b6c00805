//! What services answer.

use std::time::{Duration, Instant};

use super::super::monitor;
use super::super::proxy::Moment;
use super::super::stage::{Outcome, RATE, Stage};
use crate::{Faults, free_port};

/// Text of a record that the service refuses.
const POISON: &str = "poisoned-record";

/// N7, and the post's: the service refuses 30 % of the records of each request.
pub fn partial_failures(stage: &Stage<'_>) -> Outcome {
    let faults = Faults {
        partial_failures: 0.3,
        ..Faults::default()
    };
    steady(stage, faults)
}

/// The post's: half of the requests are too many.
pub fn half_throttled(stage: &Stage<'_>) -> Outcome {
    let faults = Faults {
        throttle: 0.5,
        ..Faults::default()
    };
    steady(stage, faults)
}

/// Cut connections: before a request is taken, after it, in the middle of the answer.
pub fn cut_connections(stage: &Stage<'_>) -> Outcome {
    let faults = Faults {
        cut: 0.1,
        ..Faults::default()
    };
    steady(stage, faults)
}

/// The post's: the service is away for 15 seconds, or as long as the row writes if that is less.
pub fn outage(stage: &Stage<'_>) -> Outcome {
    let length = Duration::from_secs(15).min(stage.load());
    let faults = Faults {
        outage: vec![crate::sink::Outage {
            length,
            start: Duration::from_secs(1),
        }],
        ..Faults::default()
    };
    let sink = stage.sink(faults)?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(sink.target()))?;
    let load = length + Duration::from_secs(2);
    journal.write_for(load, RATE)?;
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

fn steady(stage: &Stage<'_>, faults: Faults) -> Outcome {
    let sink = stage.sink(faults)?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(sink.target()))?;
    journal.write_for(stage.load(), RATE)?;
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// N3: the service takes requests and its answers get lost.
pub fn answers_lost(stage: &Stage<'_>) -> Outcome {
    let faults = Faults {
        unanswered: 0.2,
        ..Faults::default()
    };
    steady(stage, faults)
}

/// N3: the same of a bucket, where a second copy can be told from the first.
pub fn answers_lost_s3(stage: &Stage<'_>) -> Outcome {
    let faults = Faults {
        unanswered: 0.2,
        ..Faults::default()
    };
    let sink = stage.sink(faults)?;
    let mut journal = stage.journal("app.log")?;
    let configuration = stage.configuration().tail("app.log", &[]).nginx();
    let router = stage.router(&configuration.s3(sink.target(), &[]))?;
    journal.write_for(stage.load(), RATE)?;
    let played = stage.settle_tail(&sink, &mut journal, router, Instant::now())?;
    let twice = played.repeated_without_verdict;
    Ok(played.must(twice == 0, || format!("{twice} lines are in two objects")))
}

/// N6: nearly every request is too many for a while; the router asks less often.
pub fn throttled_hard(stage: &Stage<'_>) -> Outcome {
    /// Requests a second that are no storm.
    const CALM: u64 = 20;
    let sink = stage.sink(Faults {
        throttle: 0.95,
        ..Faults::default()
    })?;
    let mut journal = stage.journal("app.log")?;
    let router = stage.router(&stage.post(sink.target()))?;
    let load = stage.load() + Duration::from_secs(4);
    journal.write_for(load, RATE)?;
    let requests = requests(&sink);
    let most = CALM * load.as_secs();
    stage.must(
        requests <= most,
        &format!("{requests} requests while throttled, {most} at most"),
    );
    sink.sink.set_faults(Faults::default());
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

fn requests(sink: &super::super::service::SinkService) -> u64 {
    let report = sink.sink.report(None);
    report.sink.map_or(0, |counts| counts.requests)
}

/// N8: log events that are too old are rejected in a request that is accepted; they are counted.
pub fn rejected_events(stage: &Stage<'_>) -> Outcome {
    const OLD: u64 = 500;
    let sink = stage.sink(Faults::default())?;
    let port = free_port()?;
    let mut journal = stage.journal("app.log")?;
    let configuration = monitor::with(stage.configuration(), port);
    let configuration = configuration.tail("app.log", &["Key log"]).nginx();
    let mut router = stage.router(&configuration.cloudwatch(sink.target()))?;
    for number in 0..OLD {
        let line = format!(
            "{{\"log\":\"old {number}\",\"stream\":\"stdout\",\"time\":\"2020-01-01T00:00:00.{number:09}Z\"}}\n"
        );
        journal.write_foreign(line.as_bytes())?;
    }
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    let dropped = monitor::dropped(port, &mut router)?;
    stage.must(
        dropped == OLD,
        &format!("{dropped} of {OLD} rejected events are counted as dropped"),
    );
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// N9: killed at each step of a multipart upload, before the service has it and after.
pub fn multipart(stage: &Stage<'_>) -> Outcome {
    const STEPS: [&str; 4] = ["?uploads", "partNumber=1", "partNumber=2", "?uploadId="];
    let sink = stage.plain_sink()?;
    let (proxy, target) = stage.proxy(&sink)?;
    let configuration = stage
        .configuration()
        .plain_tail("app.log", &["Mem_Buf_Limit 20M"]);
    let configuration = configuration.s3(
        &target,
        &[
            "total_file_size 11M",
            "upload_chunk_size 5242880",
            "upload_timeout 2s",
        ],
    );
    let mut journal = stage.plain_journal("app.log", 1000)?;
    let mut router = stage.router(&configuration)?;
    for step in STEPS {
        for moment in [Moment::Before, Moment::After] {
            proxy.watch(step, moment);
            journal.write(11_500)?;
            stage.must(
                proxy.wait_held(Duration::from_secs(20)),
                &format!("no request has {step}"),
            );
            router.kill();
            proxy.release();
            router = stage.router(&configuration)?;
        }
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}

/// N12: one record of a batch is refused for its content, and no other goes with it.
pub fn poison(stage: &Stage<'_>) -> Outcome {
    const POISONED: u64 = 5;
    let sink = stage.sink(Faults {
        poison: Some(POISON.to_owned()),
        ..Faults::default()
    })?;
    let port = free_port()?;
    let mut journal = stage.journal("app.log")?;
    let configuration = monitor::with(stage.post(sink.target()), port);
    let mut router = stage.router(&configuration)?;
    for _ in 0..POISONED {
        journal.write(RATE / 4)?;
        let line = format!(
            "{{\"log\":\"{POISON}\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n"
        );
        journal.write_foreign(line.as_bytes())?;
    }
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    let dropped = monitor::dropped(port, &mut router)?;
    stage.must(
        dropped == POISONED,
        &format!("{dropped} of {POISONED} poisoned records are counted as dropped"),
    );
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}
