//! One measurement: a router, a sink, a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::case::{Case, Load, Source};
use super::configuration::{self, Place};
use super::contestant::{Contestant, Kind};
use super::destination::Destination;
use super::usage;
use crate::generate::{Address, GenerateCommand, Mode, Progress};
use crate::process::Process;
use crate::report::{Report, Sent};

/// Lines that are sent before anything is measured: they show that the router is ready, and warm it.
const PROBE: u64 = 100;
/// How long a router may take for them, and how long it may then bring nothing new.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// The time without work after which memory counts as idle.
const IDLE: Duration = Duration::from_secs(5);

/// What is the same for all measurements.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// How long lines are written at a rate.
    pub duration: Duration,
    /// The lines of a file that is drained.
    pub lines: u64,
    /// Whether record ids have one character.
    pub short_ids: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// CPU time of the router.
    pub cpu_seconds: f64,
    /// The time in which lines were written, or drained.
    pub seconds: f64,
    /// Lines that were sent.
    pub lines: u64,
    /// Resident memory before the first of them, if it was idle then.
    pub idle_kib: Option<u64>,
    /// The most resident memory that was seen.
    pub peak_kib: u64,
    /// Lines that never arrived.
    pub lost: u64,
    /// Lines that arrived again.
    pub repeated: u64,
}

impl Measured {
    /// CPU seconds a second.
    pub fn vcpu(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }

    /// CPU seconds per million lines.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.lines as f64
    }

    /// Lines a second.
    pub fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.seconds
    }
}

/// Measures `contestant` on `case`.
pub fn measure(
    case: &Case,
    contestant: &Contestant,
    settings: &Settings,
) -> Result<Measured, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let stage = Stage::new(case, contestant, settings, folder.path())?;
    match case.load {
        Load::Rate(rate) => stage.at_rate(rate),
        Load::Drain => stage.drain(),
    }
}

/// Everything of one measurement.
struct Stage<'a> {
    contestant: &'a Contestant,
    settings: &'a Settings,
    folder: &'a Path,
    arguments: Vec<String>,
    ca_file: PathBuf,
    log: PathBuf,
    socket: PathBuf,
    source: Source,
    sinks: Vec<Destination>,
}

impl<'a> Stage<'a> {
    fn new(
        case: &Case,
        contestant: &'a Contestant,
        settings: &'a Settings,
        folder: &'a Path,
    ) -> Result<Stage<'a>, String> {
        let logs = folder.join("logs");
        std::fs::create_dir(&logs).map_err(|error| error.to_string())?;
        let log = logs.join(format!("nginx_default_nginx-{}.log", "a".repeat(64)));
        File::create(&log).map_err(|error| error.to_string())?;
        let (mut sinks, mut places) = (Vec::new(), Vec::new());
        for index in 0..case.destination.sinks() {
            let ca_file = folder.join(format!("ca-{index}.pem"));
            let sink = Destination::start(&ca_file, settings.short_ids)?;
            places.push((sink.port(), ca_file));
            sinks.push(sink);
        }
        let socket = folder.join("forward.sock");
        let place = Place {
            folder,
            logs: &logs,
            socket: &socket,
            sinks: &places,
        };
        let arguments = configuration::write(contestant, case, &place)?;
        Ok(Stage {
            contestant,
            settings,
            folder,
            arguments,
            ca_file: places.swap_remove(0).1,
            log,
            socket,
            source: case.source,
            sinks,
        })
    }

    fn at_rate(&self, rate: u64) -> Result<Measured, String> {
        let mut router = Router::start(self)?;
        let probe = self.write(|generator| GenerateCommand {
            count: Some(PROBE),
            ..generator
        })?;
        let mut sent = probe.wait()?;
        self.await_arrival(&mut router, &sent)?;
        router.watch_for(IDLE)?;
        let (idle_kib, cpu_before) = (usage::resident_kib(router.pid), usage::cpu(router.pid));
        let writing = self.write(|generator| GenerateCommand {
            rate: Some(rate as f64),
            duration: Some(self.settings.duration),
            each_line: true,
            ..generator
        })?;
        while !writing.is_finished() {
            router.watch_for(LOOK)?;
        }
        let written = writing.wait()?;
        let (lines, seconds) = (written.lines, written.seconds);
        sent.writers.extend(written.writers);
        sent.lines += written.lines;
        self.await_arrival(&mut router, &sent)?;
        let cpu = usage::cpu(router.pid).saturating_sub(cpu_before);
        self.end(
            router,
            &sent,
            (cpu, Duration::from_secs_f64(seconds), lines, Some(idle_kib)),
        )
    }

    fn drain(&self) -> Result<Measured, String> {
        if let Some(mode) = self.source.forward() {
            return self.receive(mode);
        }
        let writing = self.write(|generator| GenerateCommand {
            count: Some(self.settings.lines),
            ..generator
        })?;
        let sent = writing.wait()?;
        let start = Instant::now();
        let mut router = Router::start(self)?;
        self.await_arrival(&mut router, &sent)?;
        let (time, cpu) = (start.elapsed(), usage::cpu(router.pid));
        self.end(router, &sent, (cpu, time, sent.lines, None))
    }

    /// As many lines as there are, as fast as the router takes them from its socket.
    fn receive(&self, mode: Mode) -> Result<Measured, String> {
        let mut router = Router::start(self)?;
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&self.socket).is_err() {
            if start.elapsed() > PATIENCE {
                return Err(format!(
                    "it does not listen: {}",
                    router.process.last_words()
                ));
            }
            router.watch_for(LOOK)?;
        }
        let start = Instant::now();
        let writing = self.write(|generator| GenerateCommand {
            count: Some(self.settings.lines),
            path: None,
            forward: Some(Address::Unix(self.socket.clone())),
            mode,
            ..generator
        })?;
        while !writing.is_finished() {
            router.watch_for(LOOK)?;
        }
        let sent = writing.wait()?;
        self.await_arrival(&mut router, &sent)?;
        let (time, cpu) = (start.elapsed(), usage::cpu(router.pid));
        self.end(router, &sent, (cpu, time, sent.lines, None))
    }

    fn write(
        &self,
        of: impl FnOnce(GenerateCommand) -> GenerateCommand,
    ) -> Result<crate::generate::Running, String> {
        let (kind, wrap) = self.source.lines();
        let generator = of(GenerateCommand {
            kind,
            wrap,
            path: Some(self.log.clone()),
            ..GenerateCommand::plain()
        });
        generator.start(Arc::new(Progress::default()))
    }

    /// What has arrived at the sink where the least has, and of repeats what has at the worst.
    fn report(&self, sent: &Sent) -> Report {
        let mut reports = self.sinks.iter().map(|sink| sink.report(sent));
        let first = reports.next().unwrap_or_default();
        reports.fold(first, |mut worst, report| {
            worst.received = worst.received.min(report.received);
            worst.lost = worst.lost.max(report.lost);
            worst.repeated = worst.repeated.max(report.repeated);
            worst
        })
    }

    /// Waits until everything has arrived everywhere; a router that brings nothing more has lost the rest.
    fn await_arrival(&self, router: &mut Router, sent: &Sent) -> Result<Report, String> {
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let report = self.report(sent);
            if report.lost == 0 {
                return Ok(report);
            }
            if report.received > received {
                (received, since) = (report.received, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return match received {
                    0 => Err(format!(
                        "nothing arrives from it: {}",
                        router.process.last_words()
                    )),
                    _ => Ok(report),
                };
            }
            router.watch_for(LOOK)?;
        }
    }

    fn end(
        &self,
        router: Router,
        sent: &Sent,
        (cpu, time, lines, idle_kib): (Duration, Duration, u64, Option<u64>),
    ) -> Result<Measured, String> {
        let peak_kib = router.peak_kib;
        let stopped = router.process.stop();
        if self.contestant.kind == Kind::Flumen {
            stopped?;
        }
        let report = self.report(sent);
        Ok(Measured {
            cpu_seconds: cpu.as_secs_f64(),
            seconds: time.as_secs_f64(),
            lines,
            idle_kib,
            peak_kib,
            lost: report.lost,
            repeated: report.repeated,
        })
    }
}

/// The router at work.
struct Router {
    process: Process,
    pid: u32,
    peak_kib: u64,
}

impl Router {
    fn start(stage: &Stage<'_>) -> Result<Router, String> {
        let mut command = Command::new(&stage.contestant.program);
        command
            .args(&stage.arguments)
            .env("AWS_ACCESS_KEY_ID", "flumen")
            .env("AWS_SECRET_ACCESS_KEY", "flumen")
            .env("AWS_REGION", configuration::REGION)
            .env_remove("AWS_SESSION_TOKEN")
            // Fluentd's SDK takes the certificate from here.
            .env("AWS_CA_BUNDLE", &stage.ca_file)
            .env("SSL_CERT_FILE", &stage.ca_file)
            // What waits on the disk is gone with the run.
            .env("STATE_DIRECTORY", stage.folder.join("state"))
            .current_dir(stage.folder)
            .stdout(Stdio::null());
        let process = Process::spawn(command, &stage.folder.join("router.log"))?;
        let pid = process.id();
        Ok(Router {
            process,
            pid,
            peak_kib: 0,
        })
    }

    /// Looks at its memory for so long; fails if it has ended.
    fn watch_for(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        loop {
            self.process.check()?;
            self.peak_kib = self.peak_kib.max(usage::resident_kib(self.pid));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}
