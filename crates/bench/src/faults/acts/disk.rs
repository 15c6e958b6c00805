//! Disks that are full, or say that they cannot write.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::monitor;
use super::super::namespace::SmallDisk;
use super::super::sender::Sender;
use super::super::stage::{Outcome, RATE, Stage, Stop};
use crate::report::Sent;
use crate::{Faults, free_port};

/// D1: the volume of the buffer is full for a while. Acknowledged chunks and the files' lines arrive.
pub fn full(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let disk = SmallDisk::new(&stage.path("storage"), 16 << 20).map_err(Stop::Skipped)?;
    let enter = disk.enter(stage.folder());
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let socket = stage.path("fluent.sock");
    let store = format!("store_dir {}", stage.path("storage/s3").display());
    let database = format!("DB {}", stage.path("storage/tail.db").display());
    let path = format!("Unix_Path {}", socket.display());
    let configuration = super::kill::stored(stage)
        .tail("app.log", &[&database])
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .nginx()
        .s3(sink.target(), &[&store]);
    let mut router = stage.router_by(&enter, &configuration)?;
    router.until_listening(&socket)?;
    let mut journal = stage.journal("app.log")?;
    let sender = Sender::start(&socket, RATE / 4)?;
    journal.write_for(Duration::from_secs(1), RATE)?;
    disk.fill();
    journal.write_for(stage.load(), RATE)?;
    router.check()?;
    disk.make_room()?;
    let room = Instant::now();
    journal.write_for(Duration::from_secs(1), RATE)?;
    let acknowledged = sender.finish(&mut router)?;
    let sent = super::super::journal::all(&[journal.sent(), acknowledged]);
    stage.settle(&sink, &sent, router, room)
}

/// D1, the long way: the log itself fills its volume, because the destination is away. Its sources wait, and that is said;
/// when the destination is back, everything arrives.
pub fn filled_by_log(stage: &Stage<'_>) -> Outcome {
    const FULL_MAX: Duration = Duration::from_secs(60);
    const WELL_MAX: Duration = Duration::from_secs(10);
    const LOOK: Duration = Duration::from_millis(100);
    const LINES: u64 = 5 * RATE;
    let sink = stage.sink(Faults::default())?;
    let disk = SmallDisk::new(&stage.path("storage"), 16 << 20).map_err(Stop::Skipped)?;
    let enter = disk.enter(stage.folder());
    let enter: Vec<&str> = enter.iter().map(String::as_str).collect();
    let socket = stage.path("fluent.sock");
    let database = format!("DB {}", stage.path("storage/tail.db").display());
    let path = format!("Unix_Path {}", socket.display());
    let port = free_port()?;
    let configuration = super::kill::stored(stage)
        .service(&["Health_Check On"])
        .tail("app.log", &[&database, "storage.type filesystem"])
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .nginx()
        .firehose(sink.target(), &["Retry_Limit no_limits"]);
    let configuration = monitor::with(configuration, port);
    let mut router = stage.router_by(&enter, &configuration)?;
    router.until_listening(&socket)?;
    let mut journal = stage.journal("app.log")?;
    journal.write(RATE)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    sink.set_away(true);
    let sender = Sender::start(&socket, RATE / 4)?;
    let begun = Instant::now();
    while !says(port, "/api/v1/health", "nothing can be written") {
        journal.write_for(Duration::from_millis(200), LINES)?;
        router.check()?;
        if stage.is_flumen() && begun.elapsed() > FULL_MAX {
            return Err(Stop::Failed("no health check fails".to_owned()));
        }
        if !stage.is_flumen() && begun.elapsed() > stage.load() {
            break;
        }
    }
    journal.write_for(stage.load(), RATE)?;
    router.check()?;
    if stage.is_flumen() {
        let metric = "fluentbit_storage_write_failing 1";
        stage.must(
            says(port, "/api/v1/metrics/prometheus", metric),
            "no metric says that the disk is full",
        );
        stage.must(
            router.log().contains("cannot write: "),
            "no line of the log says that the disk is full",
        );
    }
    sink.set_away(false);
    let back = Instant::now();
    let acknowledged = sender.finish(&mut router)?;
    let sent = super::super::journal::all(&[journal.sent(), acknowledged.clone()]);
    stage.until_arrived(&sink, &sent, &mut router)?;
    // What has failed is tried again each second, and looked at as often.
    let arrived = Instant::now();
    while stage.is_flumen() && says(port, "/api/v1/health", "nothing can be written") {
        if arrived.elapsed() > WELL_MAX {
            return Err(Stop::Failed("the health check fails still".to_owned()));
        }
        router.check()?;
        std::thread::sleep(LOOK);
    }
    stage.settle_tails(&sink, &mut journal, &[acknowledged], router, back)
}

/// Whether the monitoring server's answer contains `words`.
fn says(port: u16, path: &str, words: &str) -> bool {
    monitor::get(port, path).is_ok_and(|answer| answer.contains(words))
}

/// D4: a sync fails now and then.
pub fn sync_fails(stage: &Stage<'_>) -> Outcome {
    super::lake::needs_strace()?;
    let sink = stage.sink(Faults::default())?;
    let socket = stage.path("fluent.sock");
    let path = format!("Unix_Path {}", socket.display());
    let configuration = super::kill::stored(stage)
        .tail("app.log", &["DB.Sync full"])
        .section("INPUT", "forward", &[&path, "storage.type filesystem"])
        .nginx()
        .s3(sink.target(), &[]);
    let trace = stage.path("strace.log").display().to_string();
    let wrapper = [
        "strace",
        "-D",
        "-f",
        "-qq",
        "-o",
        &trace,
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        "inject=fdatasync:error=EIO:when=9+7",
        "-e",
        "inject=fsync:error=EIO:when=15+9",
    ];
    let mut router = stage.router_by(&wrapper, &configuration)?;
    router.until_listening(&socket)?;
    let mut journal = stage.journal("app.log")?;
    let sender = Sender::start(&socket, RATE / 4)?;
    journal.write_for(stage.load(), RATE)?;
    let acknowledged = sender.finish(&mut router)?;
    stage.until_arrived(&sink, &journal.sent(), &mut router)?;
    let text = fs::read_to_string(&trace).unwrap_or_default();
    let failed = text.matches("(INJECTED)").count();
    stage.must(failed > 0, "no sync was made to fail");
    // The tracer keeps an orderly end from being seen as one: the rest is read by a router of its own.
    router.kill();
    let router = stage.router(&configuration)?;
    let played =
        stage.settle_tails(&sink, &mut journal, &[acknowledged], router, Instant::now())?;
    Ok(played.may_repeat(super::kill::UNNOTED_SECONDS * RATE * 5 / 4))
}

/// D7: the end of the log of acknowledged chunks is torn off. What stands before it is delivered, in order, once.
pub fn torn_log(stage: &Stage<'_>) -> Outcome {
    let sink = stage.sink(Faults::default())?;
    let socket = stage.path("fluent.sock");
    let configuration = super::kill::forward_to(stage, &socket, sink.target());
    sink.set_away(true);
    let mut router = stage.router(&configuration)?;
    router.until_listening(&socket)?;
    let sender = Sender::start(&socket, RATE)?;
    std::thread::sleep(Duration::from_secs(1));
    let sent = match sender.finish_within(&mut router, Duration::from_secs(10)) {
        Ok(sent) => sent,
        Err(_) => {
            let why = "chunks are acknowledged on delivery only: there is no log to tear";
            return Err(Stop::Skipped(why.to_owned()));
        }
    };
    router.kill();
    let Some((file, size)) = newest(&stage.path("storage")) else {
        return Err(Stop::Skipped("nothing is kept in storage.path".to_owned()));
    };
    let before = stage.path("before");
    copy(&stage.path("storage"), &before)?;
    let (mut whole, mut played) = (None, None);
    let mut cuts = vec![
        0,
        1,
        7,
        100,
        1000,
        10_000,
        size / 3,
        size / 2,
        size - 20,
        size,
    ];
    cuts.retain(|cut| *cut <= size);
    for cut in cuts {
        fs::remove_dir_all(stage.path("storage"))?;
        copy(&before, &stage.path("storage"))?;
        fs::File::options()
            .write(true)
            .open(&file)?
            .set_len(size - cut)?;
        let one = stage.sink(Faults::default())?;
        let mut router = stage.router(&super::kill::forward_to(stage, &socket, one.target()))?;
        router.until_listening(&socket)?;
        // Nothing more comes when nothing has come for a while.
        let delivered = until_quiet(&one, &sent);
        router.stop()?;
        let report = one.sink.report(Some(&sent));
        stage.must(
            report.repeated == 0,
            &format!("{cut} bytes off: {} repeated", report.repeated),
        );
        let holes = one.sink.report(None).lost;
        stage.must(
            holes == 0,
            &format!("{cut} bytes off: {holes} missing in between"),
        );
        let all = *whole.get_or_insert(delivered);
        stage.must(delivered <= all, "more with less");
        if cut <= 100 {
            stage.must(
                delivered + 2000 > all,
                &format!("{cut} bytes off: {delivered} of {all}"),
            );
        }
        if cut == 0 {
            stage.must(
                delivered == sent.lines,
                &format!("{delivered} of {}", sent.lines),
            );
            played = Some(stage.verdict(&one, &sent, Duration::ZERO)?);
        }
    }
    match played {
        Some(played) => Ok(stage.with_failures(played)),
        None => Err(Stop::Failed("nothing was played".to_owned())),
    }
}

fn until_quiet(sink: &super::super::service::SinkService, sent: &Sent) -> u64 {
    let (mut received, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        let now = sink.sink.report(Some(sent)).received;
        if now > received {
            (received, since) = (now, Instant::now());
        }
        if received == sent.lines {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    received
}

/// The file below a folder that was written last, and its size.
fn newest(folder: &Path) -> Option<(PathBuf, u64)> {
    let mut newest: Option<(std::time::SystemTime, PathBuf, u64)> = None;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let changed = metadata.modified().ok()?;
            let is_newer = newest.as_ref().is_none_or(|(known, ..)| changed >= *known);
            if metadata.len() > 1000 && is_newer {
                newest = Some((changed, entry.path(), metadata.len()));
            }
        }
    }
    newest.map(|(_, path, size)| (path, size))
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
