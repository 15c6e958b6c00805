//! Programs that run beside a test: ended with it, and heard when it fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::wait::{PATIENCE, until_some};

/// A running program, what it prints going to a file.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; both its streams go to `NAME.log` in `folder`, behind what an earlier one of that name wrote.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Process {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the log can be written");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of the log"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Process {
            child,
            name: name.to_owned(),
            log,
        }
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("a child can be asked for its state")
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(mut self) -> ExitStatus {
        signal(self.child.id(), "-TERM");
        let name = self.name.clone();
        until_some(&format!("{name} to end after SIGTERM"), || self.ended())
    }

    /// Sends SIGTERM, waits a while, and kills it then: for what must tidy up after itself even when a test has failed.
    pub fn end(&mut self) {
        signal(self.child.id(), "-TERM");
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait().is_ok_and(|status| status.is_none())
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!(
                "── the last lines of {} ──\n{}",
                self.name,
                last_lines(&self.log())
            );
        }
    }
}

/// Sends a signal to a process of this test's.
fn signal(pid: u32, signal: &str) {
    // It may have ended a moment ago: the wait that follows finds out.
    let _ = Command::new("kill")
        .args([signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Runs `command` to its end and returns its standard output.
///
/// # Panics
///
/// When it cannot be started, or ends other than with exit code 0: with everything that it printed.
pub fn output_of(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        both_streams(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command` to its end, which must be a failure, and returns what it printed on both streams.
pub fn failure_of(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        !output.status.success(),
        "{command:?} should have failed\n{}",
        both_streams(&output)
    );
    both_streams(&output)
}

/// Runs `command` to its end and returns all of it.
///
/// # Panics
///
/// When it cannot be started, or has not ended after three minutes: it is killed then.
pub fn run(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = child.id();
    let (sender, results) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match results.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        Err(_) => {
            signal(pid, "-KILL");
            panic!("{command:?} has not ended after {PATIENCE:?}");
        }
    }
}

fn both_streams(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
