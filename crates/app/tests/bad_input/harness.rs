//! What the cases stand on: a router, a destination, conditions to wait for.

mod bucket;
mod firehose;
mod router;

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

pub use bucket::Bucket;
pub use firehose::{Firehose, Manner, point};
pub use router::Router;

/// Longer than anything here takes on a busy machine: past it, a case says what it was waiting for and fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a condition is left alone before it is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// Returns what `probe` finds, as soon as it finds something.
///
/// # Panics
///
/// When it has found nothing for two minutes.
pub fn until_some<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "waited {PATIENCE:?} in vain for {what}"
        );
        thread::sleep(PAUSE);
    }
}

/// Returns as soon as `probe` says true.
pub fn until(what: &str, mut probe: impl FnMut() -> bool) {
    until_some(what, || probe().then_some(()));
}

/// A folder of the test's own, removed at its end. Its path is short, because sockets lie in it.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("flumen-")
        .tempdir_in("/tmp")
        .expect("a folder in /tmp")
}

/// A TCP port of the loopback address that nobody listens on at this moment.
pub fn free_port() -> u16 {
    bench::free_port().expect("a free port")
}

/// Says that this case is skipped, past libtest's capture.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // One write, so that the lines of parallel tests stay whole.
    let line = format!("skipped: {reason} ({test})\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
}

/// Numbered lines, `NAME 0` and on.
pub fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{name} {number}"))
        .collect()
}

/// The lines as the text of a file.
pub fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
