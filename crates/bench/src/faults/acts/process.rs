//! What happens to the process: a second one, new configurations, too little memory, another time.

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::super::configuration::Configuration;
use super::super::namespace::MemoryGroup;
use super::super::proxy::Toxic;
use super::super::sender::Sender;
use super::super::stage::{Outcome, RATE, Stage, Stop};
use crate::Faults;

/// P9: a second router on the same state refuses to start, and the first one does not notice.
pub fn second_instance(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let socket = stage.path("fluent.sock");
    let path = format!("Unix_Path {}", socket.display());
    let configuration = super::kill::stored(stage)
        .tail("app.log", &[])
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .nginx()
        .firehose(sink.target(), &[]);
    let mut router = stage.router(&configuration)?;
    router.until_listening(&socket)?;
    // Something has to be kept for there to be a state.
    let mut journal = stage.journal("app.log")?;
    let sender = Sender::start(&socket, RATE / 4)?;
    sink.set_away(true);
    journal.write_for(Duration::from_secs(1), RATE)?;
    // The second one gets a socket of its own: only the state is shared.
    let other = format!("Unix_Path {}", stage.path("other.sock").display());
    let second = super::kill::stored(stage)
        .tail("app.log", &[])
        .section("INPUT", "forward", &[&other, "storage.type filesystem"])
        .nginx()
        .firehose(sink.target(), &[]);
    let mut second = stage.router(&second)?;
    let end = Instant::now() + Duration::from_secs(5);
    while !second.has_ended() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    stage.must(second.has_ended(), "the second one runs");
    drop(second);
    sink.set_away(false);
    journal.write_for(Duration::from_secs(1), RATE)?;
    let acknowledged = sender.finish(&mut router)?;
    let sent = super::super::journal::all(&[journal.sent(), acknowledged]);
    stage.settle(&sink, &sent, router, Instant::now())
}

/// P10: a new configuration a hundred times under load, each tenth of which is none.
pub fn reloads(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let socket = stage.path("fluent.sock");
    let path = format!("Unix_Path {}", socket.display());
    let late_lines = [
        "Tag late".to_owned(),
        "Parser docker".to_owned(),
        "Read_from_Head On".to_owned(),
        format!("Path {}", stage.path("late.log").display()),
        format!("DB {}", stage.path("late.db").display()),
    ];
    let late_lines = late_lines.each_ref().map(String::as_str);
    let with = |is_late: bool| -> Configuration {
        let configuration = stage
            .configuration()
            .service(&["Hot_Reload On"])
            .tail("app.log", &[])
            .section("INPUT", "forward", &[&path])
            .nginx()
            .firehose(sink.target(), &[]);
        match is_late {
            true => configuration.section("INPUT", "tail", &late_lines),
            false => configuration,
        }
    };
    let mut router = stage.router(&with(false))?;
    router.until_listening(&socket)?;
    let mut journal = stage.journal("app.log")?;
    let mut late = stage.journal("late.log")?;
    late.write(RATE)?;
    let sender = Sender::start(&socket, RATE / 4)?;
    let rounds = stage.rounds() * 2;
    for round in 0..rounds {
        let text = match round % 10 {
            9 => "[INPUT]\n    Name nobody-has-this\n".to_owned(),
            _ => with(false).text(),
        };
        std::fs::write(stage.path("fluent-bit.conf"), text)?;
        router.signal(libc::SIGHUP);
        journal.write_for(stage.load() / rounds, RATE)?;
        router.check()?;
    }
    // The last one follows another file, too: it is delivered only if reloading does anything.
    std::fs::write(stage.path("fluent-bit.conf"), with(true).text())?;
    router.signal(libc::SIGHUP);
    let acknowledged = sender.finish(&mut router)?;
    let is_followed = router.until("the late file", Duration::from_secs(15), |_| {
        sink.sink.report(Some(&late.sent())).lost == 0
    });
    stage.must(
        is_followed.is_ok(),
        "the last configuration is not in effect",
    );
    let others = [late.sent(), acknowledged];
    stage.settle_tails(&sink, &mut journal, &others, router, Instant::now())
}

/// P12: a flood and a dead destination in a memory control group.
pub fn memory_limit(stage: &Stage<'_>) -> Outcome {
    const LIMIT: u64 = 96 << 20;
    let group = MemoryGroup::new(LIMIT).map_err(Stop::Skipped)?;
    let sink = stage.sink(Faults::default())?;
    let (proxy, target) = stage.proxy(&sink)?;
    let socket = stage.path("fluent.sock");
    let path = format!("Unix_Path {}", socket.display());
    let configuration = stage
        .configuration()
        .tail("app.log", &["Mem_Buf_Limit 64M"])
        .section("INPUT", "forward", &[&path])
        .nginx()
        .firehose(&target, &[]);
    let enter = group.enter();
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let mut router = stage.router_by(&enter, &configuration)?;
    router.until_listening(&socket)?;
    proxy.set(Toxic::Stall);
    let mut journal = stage.journal("app.log")?;
    let sender = Sender::start(&socket, 20 * RATE)?;
    journal.write_for(stage.load(), 10 * RATE)?;
    router.check()?;
    proxy.set(Toxic::None);
    let healed = Instant::now();
    let acknowledged = sender.finish(&mut router)?;
    let sent = super::super::journal::all(&[journal.sent(), acknowledged]);
    let played = stage.settle(&sink, &sent, router, healed)?;
    Ok(played.may_repeat(2 * RATE))
}

/// C1: the wall clock jumps by an hour, by ten years, and to 1970, while rotated files wait for a dead output.
pub fn clock_jumps(stage: &Stage<'_>) -> Outcome {
    const JUMPS: [i64; 5] = [3600, -3600, 315_360_000, -1_790_000_000, 0];
    let library = stage.path("clock.so");
    let source = stage.path("clock.c");
    let clock = stage.path("clock");
    std::fs::write(&source, include_str!("../clock.c"))?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output();
    if !built.is_ok_and(|output| output.status.success()) {
        return Err(Stop::Skipped("needs a C compiler".to_owned()));
    }
    let clock_file = std::fs::File::create(&clock)?;
    // In place: the program has the file in its memory.
    let jump = |seconds: i64| clock_file.write_all_at(&seconds.to_ne_bytes(), 0);
    jump(0)?;
    stage.set_variable("LD_PRELOAD", &library);
    stage.set_variable("FLUMEN_FAULTS_CLOCK", &clock);
    let sink = stage.sink(Faults::default())?;
    let mut journal = stage.journal("app.log")?;
    let mut router = stage.router(&stage.post(sink.target()))?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    for seconds in JUMPS {
        sink.set_away(true);
        journal.write_for(Duration::from_millis(300), RATE)?;
        journal.rotate(10)?;
        jump(seconds)?;
        journal.write_for(Duration::from_millis(700), RATE)?;
        sink.set_away(false);
        journal.write_for(Duration::from_millis(500), RATE)?;
    }
    stage.settle_tail(&sink, &mut journal, router, Instant::now())
}
