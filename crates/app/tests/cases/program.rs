//! A program that a case is run on: Flumen or Fluent Bit, told of its sink by the same variables.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::case::Case;
use crate::client::{Sent, free_port};
use crate::identity::identity;
use crate::outcome::{self, Traces};
use crate::sink::Sink;

/// Longer than any case takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long the sink must hear nothing new before it is believed that all has arrived, where nobody knows how much it is.
const QUIET: Duration = Duration::from_secs(4);
/// How long a case that nothing arrives of is waited for, where nobody knows that something must.
const NOTHING: Duration = Duration::from_secs(12);
const PAUSE: Duration = Duration::from_millis(20);

/// When a program is told to end that does not do so by itself.
#[derive(Clone, Copy)]
pub enum Until {
    /// When so many records have arrived.
    Arrived(usize),
    /// When nothing has arrived for a while.
    Quiet,
}

/// Runs `program` on `case` and returns what arrived. An exit status other than 0 is in it, as `exit`; for a case about
/// configurations also that of `--dry-run`, as `dry_run`.
///
/// # Errors
///
/// When it cannot be started, does not end, or sends what no service would take; with the end of what it said.
pub fn run(program: &Path, case: &Case, until: Until) -> Result<Value, String> {
    let mut run = Run::start(program, case)?;
    let answers = case
        .requests
        .iter()
        .map(|sent: &Sent| sent.answer(run.port));
    let answers: Vec<Value> = answers
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{error}\n{}", run.log()))?;
    let ended = match (case.ends_itself, until) {
        (true, _) => run.wait_for_end(),
        (false, Until::Arrived(count)) => run.wait_for(count),
        (false, Until::Quiet) => run.wait_for_quiet(),
    };
    let status = match ended {
        Some(status) => status,
        None if case.ends_itself => {
            return Err(format!(
                "it has not ended after {PATIENCE:?}\n{}",
                run.log()
            ));
        }
        None => run.terminate()?,
    };
    let mut outcome = run.outcome()?;
    match status.code() {
        Some(0) => {}
        Some(code) => outcome["exit"] = json!(code),
        None => return Err(format!("{status}\n{}", run.log())),
    }
    if !answers.is_empty() {
        outcome["answers"] = json!(answers);
    }
    if case.name.starts_with("configuration/") {
        let status = command(program, case, &run.sink, run.folder.path(), run.port)
            .and_then(|mut command| command.arg("--dry-run").stdout(Stdio::null()).status())
            .map_err(|error| format!("--dry-run: {error}"))?;
        if !status.success() {
            outcome["dry_run"] = json!(status.code());
        }
    }
    Ok(outcome)
}

struct Run<'a> {
    case: &'a Case,
    sink: Sink,
    folder: TempDir,
    /// For the input `http`.
    port: u16,
    child: Child,
}

impl Run<'_> {
    fn start<'a>(program: &Path, case: &'a Case) -> Result<Run<'a>, String> {
        let sink = Sink::start(&case.settings.missing_groups);
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port();
        let child = prepare(folder.path())
            .and_then(|()| command(program, case, &sink, folder.path(), port)?.spawn())
            .map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Run {
            case,
            sink,
            folder,
            port,
            child,
        })
    }

    fn outcome(&self) -> Result<Value, String> {
        let stdout = fs::read(self.folder.path().join("stdout")).unwrap_or_default();
        let traces = Traces {
            requests: &self.sink.requests(),
            stdout: &stdout,
            files: &self.folder.path().join("output"),
            key_masks: &self.case.settings.key_masks,
        };
        outcome::of(&traces).map_err(|error| format!("{error}\n{}", self.log()))
    }

    fn arrived(&self) -> usize {
        self.outcome().map_or(0, |outcome| outcome::count(&outcome))
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end, at most as long as there is patience.
    fn wait_for_end(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            thread::sleep(PAUSE);
        }
        None
    }

    /// Waits for so many records, or the end.
    fn wait_for(&mut self, count: usize) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE && self.arrived() < count {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            thread::sleep(PAUSE);
        }
        None
    }

    fn wait_for_quiet(&mut self) -> Option<ExitStatus> {
        let (mut count, mut since) = (0, Instant::now());
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            let now = self.arrived();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            let patience = if count == 0 { NOTHING } else { QUIET };
            if since.elapsed() > patience {
                return None;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends SIGTERM and waits for the end.
    fn terminate(&mut self) -> Result<ExitStatus, String> {
        let id = self.child.id().to_string();
        // It may have ended a moment ago: the wait that follows finds out.
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        self.wait_for_end()
            .ok_or_else(|| format!("it does not end\n{}", self.log()))
    }

    /// The end of what the program said.
    fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Makes what the variables name.
fn prepare(folder: &Path) -> std::io::Result<()> {
    for name in ["output", "store"] {
        fs::create_dir(folder.join(name))?;
    }
    fs::write(folder.join("ca.pem"), &identity().certificate)
}

fn command(
    program: &Path,
    case: &Case,
    sink: &Sink,
    folder: &Path,
    port: u16,
) -> std::io::Result<Command> {
    let file = |name: &str| folder.join(name);
    let mut command = Command::new(program);
    // Nothing of this machine's AWS configuration may be found.
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("STATE_DIRECTORY", file("state"))
        .env("TZ", "UTC")
        .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "example");
    command
        .env("SINK_HOST", "127.0.0.1")
        .env("SINK_PORT", sink.port().to_string())
        .env("SINK_CA", file("ca.pem"))
        .env("LISTEN_PORT", port.to_string())
        .env("INPUT_DIR", &case.folder)
        .env("OUTPUT_DIR", file("output"))
        .env("STORE_DIR", file("store"));
    command
        .arg("-c")
        .arg(case.configuration())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::create(file("stdout"))?)
        .stderr(File::create(file("stderr"))?);
    Ok(command)
}
