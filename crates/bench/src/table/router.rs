//! A router at work: a process and its children, which end with the value that stands for them.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::interrupt;
use super::measure::Failure;
use super::usage::{self, Memory};
use crate::process::Process;

/// How often memory is looked at, and arrival.
pub const LOOK: Duration = Duration::from_millis(10);
/// How many lines of what it said are shown when it fails, and how many characters of each.
const WORDS: usize = 3;
const LINE: usize = 300;

/// A running router.
pub struct Router {
    process: Process,
    log: PathBuf,
    pid: u32,
    resident: Vec<u64>,
    peak_kib: u64,
    // Behind the process, so that it goes last: what the process has started and left behind.
    _group: Group,
}

struct Group(libc::pid_t);

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: it takes numbers only. Mostly there is no such group any more.
        unsafe { libc::kill(-self.0, libc::SIGKILL) };
    }
}

impl Router {
    /// Starts it in a group of its own, so that Ctrl-C comes to this program alone; what it says goes to `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Result<Router, String> {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&log);
        let file = file.map_err(|error| format!("{}: {error}", log.display()))?;
        command.process_group(0).stdout(file);
        let process = Process::spawn(command, &log)?;
        let pid = process.id();
        Ok(Router {
            process,
            log,
            pid,
            resident: Vec::new(),
            peak_kib: 0,
            _group: Group(pid as libc::pid_t),
        })
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        usage::cpu(self.pid)
    }

    /// What it keeps in memory now, in KiB.
    pub fn resident_kib(&self) -> u64 {
        usage::memory(self.pid).now
    }

    /// Looks at its memory for so long; fails if it has ended, or if a signal came.
    pub fn watch_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            if interrupt::asked() {
                return Err(Failure::Interrupted);
            }
            if let Err(why) = self.process.check() {
                let status = why.strip_suffix(&self.process.last_words());
                let status = status.unwrap_or("it has ended: ");
                return Err(Failure::Broken(format!("{status}{}", self.words())));
            }
            let Memory { now, peak } = usage::memory(self.pid);
            self.resident.push(now);
            self.peak_kib = self.peak_kib.max(peak);
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    /// Forgets what was resident until now.
    pub fn begin(&mut self) {
        self.resident.clear();
    }

    /// The median of what was resident since the last [`begin`](Router::begin), in KiB.
    pub fn steady_kib(&self) -> u64 {
        let mut resident = self.resident.clone();
        resident.sort_unstable();
        resident.get(resident.len() / 2).copied().unwrap_or(0)
    }

    /// The most that ever was resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.peak_kib.max(usage::memory(self.pid).peak)
    }

    /// All that it said.
    pub fn log(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// What it said first of errors, where the cause is as a rule, else what it said last.
    pub fn words(&self) -> String {
        words(&self.log())
    }

    /// Ends it as an operator would; an error if it does not end in order.
    pub fn stop(self) -> Result<(), String> {
        self.process.stop().map(|_| ())
    }
}

fn words(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let is_error = |line: &&&str| {
        let line = line.to_lowercase();
        ["error", "fatal", "panic"]
            .iter()
            .any(|word| line.contains(word))
    };
    let errors: Vec<&str> = lines.iter().filter(is_error).copied().collect();
    let shown = match errors.len() {
        0 => &lines[lines.len().saturating_sub(WORDS)..],
        count => &errors[..count.min(WORDS)],
    };
    let cut = |line: &&str| line.chars().take(LINE).collect::<String>();
    let shown: Vec<String> = shown.iter().map(cut).collect();
    match shown.is_empty() {
        true => "it said nothing".to_owned(),
        false => shown.join(" / "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_what_is_shown() {
        assert_eq!(words(""), "it said nothing");
        assert_eq!(words("a\n\nb\nc\nd\n"), "b / c / d");
        let log = "banner\n[error] no parquet\n[info] stopping\n[ error] giving up\n[info] bye\n";
        assert_eq!(words(log), "[error] no parquet / [ error] giving up");
        let log = (0..9).map(|line| format!("error {line}\n"));
        let log: String = log.collect();
        assert_eq!(words(&log), "error 0 / error 1 / error 2");
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]);
        let mut router = Router::start(command, folder.path().join("log")).unwrap();
        // Just after its start a process may have nothing resident yet, as the kernel counts.
        while router.log().is_empty() || router.steady_kib() == 0 {
            router.watch_for(LOOK).unwrap();
        }
        assert!(router.peak_kib() >= router.steady_kib());
        let child: libc::pid_t = router.log().trim().parse().unwrap();
        drop(router);
        // Once it is gone or a zombie that nobody waits for.
        let is_gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z"))
        };
        let end = Instant::now() + Duration::from_secs(20);
        while !is_gone() {
            assert!(Instant::now() < end, "{child} lives on");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_program_that_ends_is_an_error_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'error: no such plugin'; exit 3"]);
        let mut router = Router::start(command, folder.path().join("log")).unwrap();
        let failure = router.watch_for(Duration::from_secs(20)).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "it ended with exit status: 3: error: no such plugin"
        );
    }
}
