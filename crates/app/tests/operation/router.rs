//! A router as a program, in a folder of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `probe` finds something.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port of the loopback address that nobody listens on at this moment.
pub fn free_port() -> u16 {
    bench::free_port().expect("a free port")
}

/// A router, ended with the test.
pub struct Router {
    child: Child,
    pub folder: PathBuf,
    pub http: u16,
}

impl Drop for Router {
    fn drop(&mut self) {
        // It has mostly ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Router {
    /// Starts a router in `folder` with `sections` behind a `[SERVICE]` with a monitoring server.
    pub fn start(folder: &Path, sections: &str, arguments: &[&str]) -> Router {
        let program = Command::new(env!("CARGO_BIN_EXE_flumen"));
        Router::start_by(program, folder, sections, arguments)
    }

    /// The same by a command that ends in the program.
    pub fn start_by(
        mut command: Command,
        folder: &Path,
        sections: &str,
        arguments: &[&str],
    ) -> Router {
        let http = free_port();
        configure(folder, http, sections);
        let log = File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .expect("a file");
        let child = command
            .args(["-c", "flumen.conf"])
            .args(arguments)
            .env("STATE_DIRECTORY", folder.join("state-directory"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("the router starts");
        let mut router = Router {
            child,
            folder: folder.to_owned(),
            http,
        };
        until("the monitoring server", || {
            let ended = router.child.try_wait().expect("a state");
            assert!(ended.is_none(), "the router ended: {}", router.log());
            TcpStream::connect(("127.0.0.1", http)).ok()
        });
        router
    }

    /// Lays another configuration in its folder.
    pub fn configure(&self, sections: &str) {
        configure(&self.folder, self.http, sections);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status();
        assert!(status.expect("kill(1)").success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the end of the router", || {
            self.child.try_wait().expect("a state")
        })
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until it has logged `text` `times` times.
    pub fn until_logged(&self, text: &str, times: usize) {
        until(&format!("{text:?} in {}", self.log()), || {
            (self.log().matches(text).count() >= times).then_some(())
        });
    }

    /// A value of `/proc/PID/status`.
    pub fn status(&self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it lives");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
            .trim_matches([':', ' ', '\t'])
            .to_owned()
    }

    /// Asks the monitoring server; `head` are further lines of the head.
    pub fn ask(&self, method: &str, path: &str, head: &str) -> String {
        // The server is away for a moment in an upgrade; its socket is not.
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost:{}\r\nconnection: close\r\n{head}\r\n",
            self.http
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    /// A number of the Prometheus text.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.ask("GET", "/api/v1/metrics/prometheus", "");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }
}

fn configure(folder: &Path, http: u16, sections: &str) {
    let text = format!(
        "[SERVICE]\n    Flush 0.2\n    Grace 5\n    Hot_Reload on\n    HTTP_Server on\n    HTTP_Port {http}\n    \
         Health_Check on\n{sections}"
    );
    let path = folder.join("flumen.conf");
    // Never half of it.
    let new = folder.join("flumen.conf.new");
    fs::write(&new, text).expect("written");
    fs::rename(new, path).expect("in place");
}

/// The lines of all files in `folder` whose names begin with `name`.
pub fn delivered(folder: &Path, name: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .filter_map(|entry| {
            let entry = entry.expect("an entry");
            let ours = entry.file_name().to_string_lossy().starts_with(name);
            ours.then(|| fs::read_to_string(entry.path()).expect("text"))
        })
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Asserts that exactly the lines `NAME 0` to `NAME COUNT - 1` were delivered, each once.
pub fn assert_all(delivered: &[String], name: &str, count: usize) {
    let mut times = vec![0; count];
    for line in delivered {
        if let Some(number) = line.strip_prefix(&format!("{name} ")) {
            times[number.parse::<usize>().expect("a number")] += 1;
        }
    }
    let lost: Vec<usize> = (0..count).filter(|n| times[*n] == 0).collect();
    let repeated: Vec<usize> = (0..count).filter(|n| times[*n] > 1).collect();
    assert!(
        lost.is_empty() && repeated.is_empty(),
        "{name}: of {count}, lost {lost:?}, repeated {repeated:?}"
    );
}
