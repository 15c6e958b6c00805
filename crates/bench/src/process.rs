//! A process that ends with the value that stands for it: this very program as a sink, a router or a lake, or another one.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end once it is asked to.
const END_MAX: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(20);

/// A process that ends with this value.
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most resident memory it ever had, in KiB.
    pub memory_kib: u64,
}

impl Process {
    /// Starts this very program; what it says goes to `log`.
    pub fn start(
        arguments: &[String],
        variables: &[(&str, &str)],
        log: &Path,
    ) -> Result<Process, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped());
        Process::spawn(command, log)
    }

    /// Starts any program; what it says is appended to `log`.
    pub fn spawn(mut command: Command, log: &Path) -> Result<Process, String> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
        // SAFETY: prctl is safe to call between fork and exec, and allocates nothing.
        unsafe { command.pre_exec(die_with_parent) };
        let child = command
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Process {
            child,
            log: log.to_owned(),
        })
    }

    /// The first line that it prints.
    pub fn first_line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            let read = BufReader::new(stdout).read_line(&mut line);
            read.map_err(|error| error.to_string())?;
        }
        match line.trim() {
            "" => Err(format!("it did not start: {}", self.last_words())),
            line => Ok(line.to_owned()),
        }
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("it ended with {status}: {}", self.last_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child is ours and not waited for, so the number is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Whether it has ended, by itself or by a signal.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// How it has ended, if it has. What it used cannot be read any more then.
    pub fn end(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    /// What it has used so far.
    pub fn usage(&self) -> Usage {
        let read = |name: &str| {
            std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap_or_default()
        };
        let (stat, status) = (read("stat"), read("status"));
        // Behind the name in parentheses, which may hold anything; user and system time are fields 14 and 15 of all.
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<u64> = behind
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let ticks: u64 = fields.get(11..13).unwrap_or_default().iter().sum();
        // SAFETY: sysconf only reads.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        Usage {
            cpu: Duration::from_millis(ticks * 1000 / per_second),
            memory_kib: peak
                .and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok())
                .unwrap_or(0),
        }
    }

    /// Ends it as an operator would. What it used until then; an error if it did not end by itself.
    pub fn stop(mut self) -> Result<Usage, String> {
        let mut usage = self.usage();
        self.signal(libc::SIGTERM);
        let end = Instant::now() + END_MAX;
        loop {
            // What a process has used cannot be read any more once it is waited for.
            let last = self.usage();
            usage.cpu = usage.cpu.max(last.cpu);
            usage.memory_kib = usage.memory_kib.max(last.memory_kib);
            match self.child.try_wait() {
                Ok(Some(status)) => return self.ended(status).map(|()| usage),
                Ok(None) if Instant::now() < end => std::thread::sleep(LOOK),
                Ok(None) => return Err(format!("it did not end within {} s", END_MAX.as_secs())),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn ended(&self, status: ExitStatus) -> Result<(), String> {
        match status.success() {
            true => Ok(()),
            false => Err(format!("it ended with {status}: {}", self.last_words())),
        }
    }

    /// The last lines of its log.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        last.join(" / ")
    }
}

/// Whoever ends the matrix ends what it started.
fn die_with_parent() -> io::Result<()> {
    // SAFETY: it takes numbers only.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, mostly.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
