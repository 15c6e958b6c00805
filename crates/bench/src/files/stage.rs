//! The files, the router that follows them, and the sink that it sends to.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{FilesCommand, Measured};
use crate::line::{Kind, Lines, Wrap};
use crate::process::Process;
use crate::report::{Report, Sent};
use crate::table::destination::{self, Destination};
use crate::table::usage;

/// How long a router may take to follow all files, and how long it may bring nothing new at the end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing is done before what costs nothing is measured.
const SETTLE: Duration = Duration::from_secs(5);

/// Everything of one measurement.
pub struct Stage<'a> {
    command: &'a FilesCommand,
    folder: TempDir,
    files: Vec<PathBuf>,
    sink: Destination,
}

/// The router at work.
struct Router {
    process: Process,
    pid: u32,
    peak_kib: u64,
}

impl<'a> Stage<'a> {
    /// Makes the files, each with a line from before, and starts the sink.
    pub fn new(command: &'a FilesCommand) -> Result<Stage<'a>, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let logs = folder.path().join("containers");
        std::fs::create_dir(&logs).map_err(|error| error.to_string())?;
        let mut files = Vec::new();
        for number in 0..command.count {
            // As long as the names of containers' files are.
            let id = format!("{number:064x}");
            let path = logs.join(format!("app-{number:06}_default_app-{id}.log"));
            std::fs::write(&path, "before\n").map_err(|error| error.to_string())?;
            files.push(path);
        }
        let acceptor = destination::certificate(&folder.path().join("ca.pem"))?;
        let sink = Destination::start(acceptor, false)?;
        Ok(Stage {
            command,
            folder,
            files,
            sink,
        })
    }

    /// Runs the router through all of it.
    pub fn measure(self) -> Result<Measured, String> {
        let began = Instant::now();
        let mut router = self.start()?;
        while followed(router.pid) < self.files.len() {
            if began.elapsed() > PATIENCE {
                let (followed, words) = (followed(router.pid), router.process.last_words());
                return Err(format!(
                    "it watches {followed} of {} files: {words}",
                    self.files.len()
                ));
            }
            router.watch_for(LOOK)?;
        }
        let start_seconds = began.elapsed().as_secs_f64();
        let start_cpu = usage::cpu(router.pid);
        router.watch_for(SETTLE)?;
        let (idle_kib, before) = (usage::memory(router.pid).now, usage::cpu(router.pid));
        // Looking at its memory all the time would disturb nobody but the neighbours.
        std::thread::sleep(self.command.idle);
        let idle_cpu = usage::cpu(router.pid).saturating_sub(before);
        let before = usage::cpu(router.pid);
        let sent = self.write(&mut router)?;
        let report = self.await_arrival(&mut router, &sent)?;
        let cpu = usage::cpu(router.pid).saturating_sub(before);
        let peak_kib = router.peak_kib;
        // Fluent Bit does not always end well.
        let _ = router.process.stop();
        let counts = report.sink.unwrap_or_default();
        Ok(Measured {
            files: self.command.count,
            start_seconds,
            start_cpu_seconds: start_cpu.as_secs_f64(),
            idle_vcpu: idle_cpu.as_secs_f64() / self.command.idle.as_secs_f64().max(1e-3),
            idle_kib,
            vcpu: cpu.as_secs_f64() / sent.seconds,
            peak_kib,
            lines: sent.lines,
            requests: counts.requests,
            latency: counts.latency,
            lost: report.lost,
            repeated: report.repeated,
        })
    }

    fn start(&self) -> Result<Router, String> {
        let folder = self.folder.path();
        let file = folder.join("fluent-bit.conf");
        std::fs::write(&file, self.configuration(folder)).map_err(|error| error.to_string())?;
        let program = match &self.command.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(|error| error.to_string())?,
        };
        let mut command = Command::new(program);
        command
            .arg("-c")
            .arg(&file)
            .env("AWS_ACCESS_KEY_ID", "flumen")
            .env("AWS_SECRET_ACCESS_KEY", "flumen")
            .env("STATE_DIRECTORY", folder.join("state"))
            .current_dir(folder)
            .stdout(Stdio::null());
        if let Some(descriptors) = self.command.descriptors {
            // SAFETY: setrlimit is safe to call between fork and exec, and allocates nothing.
            unsafe { command.pre_exec(move || limit_descriptors(descriptors)) };
        }
        let process = Process::spawn(command, &folder.join("router.log"))?;
        let pid = process.id();
        Ok(Router {
            process,
            pid,
            peak_kib: 0,
        })
    }

    fn configuration(&self, folder: &Path) -> String {
        let folder = folder.display();
        format!(
            "[SERVICE]\n    Flush {flush}\n[INPUT]\n    Name              tail\n    Tag               kube.*\n    \
             Path              {folder}/containers/*.log\n    DB                {folder}/flb_kube.db\n    \
             Mem_Buf_Limit     5MB\n    Skip_Long_Lines   On\n    Refresh_Interval  10\n[OUTPUT]\n    \
             Name              kinesis_firehose\n    Match             **\n    delivery_stream   flumen-bench\n    \
             region            us-west-2\n    endpoint          localhost\n    port              {port}\n    \
             tls.ca_file       {folder}/ca.pem\n",
            flush = self.command.flush,
            port = self.sink.port(),
        )
    }

    /// Writes a line to one file after the other, evenly in time.
    fn write(&self, router: &mut Router) -> Result<Sent, String> {
        let writer = fastrand::u32(..);
        let mut lines = Lines::new(Kind::Plain, Wrap::None, 200, writer).stamped(true);
        let wait = self.command.every.as_secs_f64() / self.files.len() as f64;
        let (start, mut bytes) = (Instant::now(), 0);
        let mut line = Vec::new();
        for path in self.files.iter().cycle() {
            let due = Duration::from_secs_f64(lines.made() as f64 * wait);
            if due >= self.command.duration {
                break;
            }
            let left = due.saturating_sub(start.elapsed());
            if !left.is_zero() {
                std::thread::sleep(left);
                router.look()?;
            }
            line.clear();
            lines.push(&mut line);
            let file = OpenOptions::new().append(true).open(path);
            file.and_then(|mut file: File| file.write_all(&line))
                .map_err(|error| format!("{}: {error}", path.display()))?;
            bytes += line.len() as u64;
        }
        Ok(Sent {
            writers: [(writer, lines.made())].into(),
            lines: lines.made(),
            bytes,
            seconds: start.elapsed().as_secs_f64(),
            resent: 0,
        })
    }

    /// Waits until everything has arrived; a router that brings nothing more has lost the rest.
    fn await_arrival(&self, router: &mut Router, sent: &Sent) -> Result<Report, String> {
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let report = self.sink.report(sent);
            if report.received > received {
                (received, since) = (report.received, Instant::now());
            }
            if report.lost == 0 || since.elapsed() > PATIENCE {
                return Ok(report);
            }
            router.watch_for(LOOK)?;
        }
    }
}

impl Router {
    /// Looks at its memory; fails if it has ended.
    fn look(&mut self) -> Result<(), String> {
        self.process.check()?;
        self.peak_kib = self.peak_kib.max(usage::memory(self.pid).peak);
        Ok(())
    }

    /// The same again and again for so long.
    fn watch_for(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        loop {
            self.look()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

/// How many files and directories the process `pid` has inotify watches on.
fn followed(pid: u32) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let descriptors = descriptors.into_iter().flatten().flatten();
    let is_inotify = |path: &Path| {
        std::fs::read_link(path).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify")
    };
    let inotify = descriptors.filter(|descriptor| is_inotify(&descriptor.path()));
    inotify
        .map(|descriptor| {
            let name = descriptor.file_name();
            let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", name.display()));
            let info = info.unwrap_or_default();
            info.lines()
                .filter(|line| line.starts_with("inotify "))
                .count()
        })
        .sum()
}

fn limit_descriptors(limit: u64) -> std::io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: it reads a value of ours.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
