//! A router that faults are done to.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::configuration::{Configuration, PARSERS, REGION};
use super::program::Program;
use crate::process::Process;

const START_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);
/// The key that the lake expects, public and secret part alike.
pub const KEY: &str = "flumen";

/// A running router. It is killed with this value.
pub struct Router {
    process: Process,
    log: PathBuf,
    /// The most resident memory that any router of the run has had, in KiB.
    peak: Rc<Cell<u64>>,
}

/// How a router is started.
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Program,
    /// The run's folder, which it works in.
    pub folder: &'a Path,
    /// Whatever starts it, with arguments: `strace …`.
    pub wrapper: Vec<String>,
    /// Further variables of its environment.
    pub variables: Vec<(String, String)>,
    /// The most resident memory so far.
    pub peak: Rc<Cell<u64>>,
}

impl Launch<'_> {
    /// Starts it.
    pub fn start(self, configuration: &Configuration) -> Result<Router, String> {
        let file = self.folder.join("fluent-bit.conf");
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        write(&file, &configuration.text())?;
        write(&self.folder.join("parsers.conf"), PARSERS)?;
        self.start_again()
    }

    /// Starts it with the configuration that is there.
    pub fn start_again(self) -> Result<Router, String> {
        let file = self.folder.join("fluent-bit.conf");
        let log = self.folder.join("router.log");
        let process = Process::spawn(self.command(&file), &log)?;
        Ok(Router {
            process,
            log,
            peak: self.peak,
        })
    }

    fn command(&self, file: &Path) -> Command {
        let program = self.program.path.clone().into_os_string();
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        // Nothing of the caller's credentials and endpoints may get in.
        command.env_clear();
        for name in ["PATH", "LANG", "SSL_CERT_DIR", "SSL_CERT_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .args(["-c".as_ref(), file.as_os_str()])
            .current_dir(self.folder)
            .env("HOME", self.folder)
            .env("TMPDIR", self.folder)
            .env("STATE_DIRECTORY", self.folder.join("state"))
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", KEY)
            .env("AWS_REGION", REGION)
            .envs(self.variables.iter().cloned())
            .stdout(Stdio::null());
        command
    }
}

impl Router {
    /// Waits until it listens on a unix socket.
    pub fn until_listening(&mut self, socket: &Path) -> Result<(), String> {
        self.until("it listens", START_MAX, |_| {
            UnixStream::connect(socket).is_ok()
        })
    }

    /// Waits for a condition, the router living all the while.
    pub fn until(
        &mut self,
        what: &str,
        longest: Duration,
        mut probe: impl FnMut(&Router) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + longest;
        while !probe(self) {
            self.check()?;
            if Instant::now() > end {
                return Err(format!("not within {} s: {what}", longest.as_secs()));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<(), String> {
        self.note_memory();
        self.process
            .check()
            .map_err(|error| format!("the router: {error}"))
    }

    /// All that routers of this run have logged.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let resident = self.status("VmRSS:");
        resident.trim_end_matches(" kB").parse().unwrap_or(0)
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        self.process.usage().cpu
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) {
        self.process.signal(signal);
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.note_memory();
    }

    /// SIGTERM, and the wait for its end, which has to be an orderly one.
    pub fn stop(mut self) -> Result<(), String> {
        // One that has only just started would end at once, as any program.
        self.until("it catches SIGTERM", START_MAX, Router::catches_termination)?;
        let Router { process, peak, .. } = self;
        let usage = process
            .stop()
            .map_err(|error| format!("the router: {error}"))?;
        peak.set(peak.get().max(usage.memory_kib));
        Ok(())
    }

    fn catches_termination(&self) -> bool {
        let caught = self.status("SigCgt:");
        let caught = u64::from_str_radix(&caught, 16).unwrap_or(0);
        caught >> (libc::SIGTERM - 1) & 1 == 1
    }

    /// A field of what the system says about the process.
    fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_default().trim().to_owned()
    }

    fn note_memory(&self) {
        let usage = self.process.usage();
        self.peak.set(self.peak.get().max(usage.memory_kib));
    }
}
