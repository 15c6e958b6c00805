//! `flumen -c FILE` as a program, watched.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::{PAUSE, until, until_some};

/// The most memory that any bad input may make the router take, in KiB.
const MEMORY_MAX_KIB: u64 = 64 << 10;

/// A running router. What it prints goes to `err` and `out` in its folder.
pub struct Router {
    child: Child,
    folder: PathBuf,
    /// The largest `VmHWM` that was seen, in KiB.
    peak_kib: u64,
}

impl Router {
    /// Starts a router in `folder` with `configuration`, which is laid there as `flumen.conf`.
    pub fn start(folder: &Path, configuration: &str) -> Router {
        let program = Command::new(env!("CARGO_BIN_EXE_flumen"));
        Router::start_by(program, folder, configuration)
    }

    /// The same, by a command that ends in the program: with another user, say.
    pub fn start_by(mut command: Command, folder: &Path, configuration: &str) -> Router {
        fs::write(folder.join("flumen.conf"), configuration).expect("a configuration");
        let open = |name| {
            let options = File::options().create(true).append(true).clone();
            options.open(folder.join(name)).expect("a file for output")
        };
        super::point(&mut command);
        command.env("STATE_DIRECTORY", folder.join("state"));
        let child = command
            .args(["-c", "flumen.conf"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(open("out"))
            .stderr(open("err"))
            .spawn()
            .expect("the router can be started");
        Router {
            child,
            folder: folder.to_owned(),
            peak_kib: 0,
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("err")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What it has printed: records, of the output `stdout`.
    pub fn printed(&self) -> Vec<String> {
        let bytes = fs::read(self.folder.join("out")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        // A line that is still being written is none yet.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        text[..whole].lines().map(str::to_owned).collect()
    }

    /// The field `log` of the records that it has printed as JSON, in order.
    pub fn lines(&self) -> Vec<String> {
        self.printed().iter().map(|line| log_of(line)).collect()
    }

    /// Waits until it has logged `text`.
    pub fn until_logged(&mut self, text: &str) {
        self.until(&format!("the message {text:?}"), |router| {
            router.log().contains(text)
        });
    }

    /// Waits until it has printed exactly `count` records or more.
    pub fn until_printed(&mut self, count: usize) {
        self.until(&format!("{count} records"), |router| {
            router.printed().len() >= count
        });
    }

    /// Waits for a condition, the router living all the while.
    pub fn until(&mut self, what: &str, mut probe: impl FnMut(&Router) -> bool) {
        until(what, || {
            self.alive();
            probe(self)
        });
    }

    /// Asserts that it runs, and looks at its memory.
    pub fn alive(&mut self) {
        self.look();
        let ended = self.child.try_wait().expect("a child has a state");
        assert!(ended.is_none(), "the router ended: {ended:?}");
    }

    /// How many descriptors it has open.
    pub fn open_descriptors(&mut self) -> usize {
        self.alive();
        let folder = format!("/proc/{}/fd", self.child.id());
        fs::read_dir(folder).expect("a living process").count()
    }

    /// Sends SIGTERM and waits for the end, which must be one with exit code 0 and below the limit of memory. Returns what
    /// it has logged.
    pub fn terminate(mut self) -> String {
        self.alive();
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill(1)").success(), "it can be signalled");
        let status = self.wait();
        assert!(status.success(), "the router: {status}");
        self.log()
    }

    /// Starts a router that will not run for long, and waits for its end. Returns the exit code and what it has logged.
    ///
    /// It may be gone before anybody has looked at its memory; so it gets no more than the limit in the first place.
    pub fn refused(folder: &Path, configuration: &str) -> (i32, String) {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("ulimit -d {MEMORY_MAX_KIB} && exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_flumen"));
        Router::start_by(command, folder, configuration).ended()
    }

    /// Waits for an end that comes by itself. Returns the exit code and what it has logged.
    fn ended(mut self) -> (i32, String) {
        let status = self.wait();
        let code = status.code().expect("no signal has ended the router");
        (code, self.log())
    }

    fn wait(&mut self) -> ExitStatus {
        let status = until_some("the router to end", || {
            self.look();
            self.child.try_wait().expect("a child has a state")
        });
        self.assert_memory();
        status
    }

    /// Its peak of memory. A process that has ended has none any more: the last look counts.
    fn look(&mut self) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        self.peak_kib = self.peak_kib.max(peak.unwrap_or(0));
    }

    fn assert_memory(&self) {
        assert!(
            self.peak_kib < MEMORY_MAX_KIB,
            "the router took {} KiB of memory",
            self.peak_kib
        );
        if std::env::var_os("FLUMEN_SHOW_MEMORY").is_some() {
            let test = thread::current().name().unwrap_or_default().to_owned();
            eprintln!("{test}: {} KiB", self.peak_kib);
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("── the router's last lines ──\n{}", last.join("\n"));
            thread::sleep(PAUSE);
        }
    }
}

fn log_of(line: &str) -> String {
    let record: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    match &record["log"] {
        serde_json::Value::String(log) => log.clone(),
        _ => panic!("no field 'log': {line}"),
    }
}
