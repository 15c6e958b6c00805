//! One measurement: a router, its sinks, a file or a socket.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::case::{Case, Load, grouped};
use super::configuration::{self, Place};
use super::contestant::{Contestant, Kind};
use super::destination::{self, Destination};
use super::interrupt;
use super::router::{LOOK, Router};
use crate::generate::{Address, GenerateCommand, Mode, Progress, Running};
use crate::report::{Report, Sent};

/// Lines that are sent before anything is measured: they show that the router is ready, and warm it.
const PROBE: u64 = 100;
/// How long a router may take for them, and how long it may then bring nothing new.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time without work after which memory counts as idle.
const IDLE: Duration = Duration::from_secs(1);
/// How long lines come at a rate before measuring begins.
pub const WARM_UP: Duration = Duration::from_secs(1);
/// How long lines go on coming after measuring has ended, so that it does not end with less than the rate.
const MARGIN: Duration = Duration::from_millis(200);

/// What is the same for all measurements.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// How long is measured at a rate, in seconds.
    pub seconds: u64,
    /// The lines that are drained.
    pub lines: u64,
    /// Whether record ids have one character.
    pub short_ids: bool,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// CPU time, user and system, of the router and its children in `seconds`.
    pub cpu_seconds: f64,
    /// At a rate: the time between two looks while lines come. Draining: from the start of the router, or of the sender, to
    /// the arrival of the last line.
    pub seconds: f64,
    /// Lines that were written in that time.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Resident memory before that, after a second without work; only at a rate.
    pub idle_kib: Option<u64>,
    /// The median of the resident memory in that time.
    pub steady_kib: u64,
    /// The most resident memory since the router's start.
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

    /// CPU seconds per million lines, or microseconds per line.
    pub fn cpu_per_million(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.lines.max(1) as f64
    }

    /// Lines a second.
    pub fn lines_per_second(&self) -> f64 {
        self.lines as f64 / self.seconds
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

/// Why there is no measurement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The router has no such road; this says what is missing.
    #[error("{0}")]
    Absent(String),
    /// Something went wrong.
    #[error("{0}")]
    Broken(String),
    /// A signal came.
    #[error("it was interrupted")]
    Interrupted,
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure::Broken(message)
    }
}

/// Measures `contestant` on `case`; `say` is told what is being done.
pub fn measure(
    case: &Case,
    contestant: &Contestant,
    settings: &Settings,
    say: &dyn Fn(&str),
) -> Result<Measured, Failure> {
    if let Some(what) = contestant.lacks(case) {
        return Err(Failure::Absent(what.to_owned()));
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let stage = Stage::new(case, contestant, settings, (folder.path(), say))?;
    let measured = match (case.load, case.source.forward()) {
        (Load::Rate(rate), _) => stage.at_rate(rate),
        (Load::Drain, Some(mode)) => stage.receive(mode),
        (Load::Drain, None) => stage.drain(),
    };
    measured.map_err(|failure| match failure {
        Failure::Broken(why) => match contestant.says_it_lacks(case, &why) {
            Some(what) => Failure::Absent(what.to_owned()),
            None => Failure::Broken(why),
        },
        other => other,
    })
}

/// Everything of one measurement.
struct Stage<'a> {
    case: Case,
    contestant: &'a Contestant,
    settings: &'a Settings,
    folder: &'a Path,
    say: &'a dyn Fn(&str),
    arguments: Vec<String>,
    /// The certificate of all sinks.
    ca_file: PathBuf,
    log: PathBuf,
    socket: PathBuf,
    sinks: Vec<Destination>,
}

impl<'a> Stage<'a> {
    fn new(
        case: &Case,
        contestant: &'a Contestant,
        settings: &'a Settings,
        (folder, say): (&'a Path, &'a dyn Fn(&str)),
    ) -> Result<Stage<'a>, String> {
        let logs = folder.join("logs");
        std::fs::create_dir(&logs).map_err(|error| error.to_string())?;
        let log = logs.join(format!("nginx_default_nginx-{}.log", "a".repeat(64)));
        File::create(&log).map_err(|error| error.to_string())?;
        let ca_file = folder.join("ca.pem");
        let acceptor = destination::certificate(&ca_file)?;
        let start = |_| Destination::start(acceptor.clone(), settings.short_ids);
        let sinks: Vec<Destination> = (0..case.destination.sinks())
            .map(start)
            .collect::<Result<_, String>>()?;
        let ports: Vec<u16> = sinks.iter().map(Destination::port).collect();
        let socket = folder.join("forward.sock");
        let place = Place {
            folder,
            logs: &logs,
            socket: &socket,
            ca_file: &ca_file,
            ports: &ports,
        };
        let arguments = configuration::write(contestant, case, &place)?;
        Ok(Stage {
            case: *case,
            contestant,
            settings,
            folder,
            say,
            arguments,
            ca_file,
            log,
            socket,
            sinks,
        })
    }

    /// Lines come at a rate; what is measured lies in the middle.
    fn at_rate(&self, rate: u64) -> Result<Measured, Failure> {
        (self.say)("starts");
        let mut router = self.start()?;
        let probe = self.write(|generator| GenerateCommand {
            count: Some(PROBE),
            ..generator
        })?;
        let mut sent = probe.wait(|| Ok(()))?;
        self.await_arrival(&mut router, &sent)?;
        router.watch_for(IDLE)?;
        let idle_kib = router.resident_kib();
        let time = Duration::from_secs(self.settings.seconds);
        let writing = self.write(|generator| GenerateCommand {
            rate: Some(rate as f64),
            duration: Some(WARM_UP + time + MARGIN),
            each_line: true,
            ..generator
        })?;
        router.watch_for(WARM_UP)?;
        (self.say)("measured");
        router.begin();
        let (start, cpu, before) = (Instant::now(), router.cpu(), writing.so_far());
        router.watch_for(time)?;
        let (time, cpu) = (start.elapsed(), router.cpu().saturating_sub(cpu));
        let (after, steady_kib) = (writing.so_far(), router.steady_kib());
        (self.say)("arrives");
        let written = writing.wait(|| router.watch_for(LOOK))?;
        sent.writers.extend(written.writers);
        sent.lines += written.lines;
        self.await_arrival(&mut router, &sent)?;
        let measured = Measured {
            cpu_seconds: cpu.as_secs_f64(),
            seconds: time.as_secs_f64(),
            lines: after.0 - before.0,
            bytes: after.1 - before.1,
            idle_kib: Some(idle_kib),
            steady_kib,
            peak_kib: 0,
            lost: 0,
            repeated: 0,
        };
        self.end(router, &sent, measured)
    }

    /// All lines lie there when the router starts.
    fn drain(&self) -> Result<Measured, Failure> {
        (self.say)("lines are written");
        let writing = self.write(|generator| GenerateCommand {
            count: Some(self.settings.lines),
            ..generator
        })?;
        let sent = writing.wait(|| {
            std::thread::sleep(LOOK);
            match interrupt::asked() {
                true => Err(Failure::Interrupted),
                false => Ok(()),
            }
        })?;
        let start = Instant::now();
        let mut router = self.start()?;
        self.await_arrival(&mut router, &sent)?;
        self.drained(router, &sent, start)
    }

    /// As many lines as there are, as fast as the router takes them from its socket.
    fn receive(&self, mode: Mode) -> Result<Measured, Failure> {
        (self.say)("starts");
        let mut router = self.start()?;
        let start = Instant::now();
        while std::os::unix::net::UnixStream::connect(&self.socket).is_err() {
            if start.elapsed() > PATIENCE {
                let why = format!("it does not listen: {}", router.words());
                return Err(Failure::Broken(why));
            }
            router.watch_for(LOOK)?;
        }
        router.begin();
        let start = Instant::now();
        let writing = self.write(|generator| GenerateCommand {
            count: Some(self.settings.lines),
            path: None,
            forward: Some(Address::Unix(self.socket.clone())),
            mode,
            ..generator
        })?;
        (self.say)("receives");
        let sent = writing.wait(|| router.watch_for(LOOK))?;
        self.await_arrival(&mut router, &sent)?;
        self.drained(router, &sent, start)
    }

    fn drained(&self, router: Router, sent: &Sent, start: Instant) -> Result<Measured, Failure> {
        let measured = Measured {
            cpu_seconds: router.cpu().as_secs_f64(),
            seconds: start.elapsed().as_secs_f64(),
            lines: sent.lines,
            bytes: sent.bytes,
            idle_kib: None,
            steady_kib: router.steady_kib(),
            peak_kib: 0,
            lost: 0,
            repeated: 0,
        };
        self.end(router, sent, measured)
    }

    fn start(&self) -> Result<Router, String> {
        let mut command = Command::new(&self.contestant.program);
        command
            .args(&self.arguments)
            .env("AWS_ACCESS_KEY_ID", "flumen")
            .env("AWS_SECRET_ACCESS_KEY", "flumen")
            .env("AWS_REGION", configuration::REGION)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ENDPOINT_URL")
            // Fluentd's SDK takes the certificate from here.
            .env("AWS_CA_BUNDLE", &self.ca_file)
            .env("SSL_CERT_FILE", &self.ca_file)
            // The AWS SDKs of Fluentd and Vector wrap the objects of S3 in pieces otherwise, which the sink does not undo.
            .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
            // What waits on the disk is gone with the run.
            .env("STATE_DIRECTORY", self.folder.join("state"))
            .current_dir(self.folder);
        Router::start(command, self.folder.join("router.log"))
    }

    fn write(
        &self,
        of: impl FnOnce(GenerateCommand) -> GenerateCommand,
    ) -> Result<Writing, String> {
        let (kind, wrap) = self.case.source.lines();
        let generator = of(GenerateCommand {
            kind,
            wrap,
            path: Some(self.log.clone()),
            ..GenerateCommand::plain()
        });
        let progress = Arc::new(Progress::default());
        let running = generator.start(Arc::clone(&progress))?;
        Ok(Writing {
            running: Some(running),
            progress,
        })
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
    fn await_arrival(&self, router: &mut Router, sent: &Sent) -> Result<(), Failure> {
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let report = self.report(sent);
            if report.lost == 0 {
                return Ok(());
            }
            if report.received > received {
                (received, since) = (report.received, Instant::now());
                if sent.lines > PROBE {
                    let (here, all) = (grouped(received), grouped(sent.lines));
                    (self.say)(&format!("{here} of {all} lines have arrived"));
                }
            }
            if since.elapsed() > PATIENCE {
                return match received {
                    0 => {
                        let why = format!("nothing arrives from it: {}", router.words());
                        Err(Failure::Broken(why))
                    }
                    _ => Ok(()),
                };
            }
            router.watch_for(LOOK)?;
        }
    }

    /// Stops the router and adds what only then is known.
    fn end(&self, router: Router, sent: &Sent, measured: Measured) -> Result<Measured, Failure> {
        (self.say)("ends");
        let peak_kib = router.peak_kib();
        let stopped = router.stop();
        if self.contestant.kind == Kind::Flumen {
            stopped?;
        }
        let report = self.report(sent);
        Ok(Measured {
            peak_kib,
            lost: report.lost,
            repeated: report.repeated,
            ..measured
        })
    }
}

/// Writers, which end with the value that stands for them.
struct Writing {
    running: Option<Running>,
    progress: Arc<Progress>,
}

impl Writing {
    /// Lines and bytes.
    fn so_far(&self) -> (u64, u64) {
        let Progress { lines, bytes, .. } = &*self.progress;
        (lines.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }

    /// Does `meanwhile` until everything is written.
    fn wait(mut self, mut meanwhile: impl FnMut() -> Result<(), Failure>) -> Result<Sent, Failure> {
        while self.running.as_ref().is_some_and(|it| !it.is_finished()) {
            meanwhile()?;
        }
        let sent = self.running.take().map(Running::wait);
        Ok(sent.transpose()?.unwrap_or_default())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}
