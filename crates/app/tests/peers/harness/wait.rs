//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine: past it, a test says what it was waiting for and fails.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// How long a condition is left alone before it is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// Returns what `probe` finds, as soon as it finds something.
///
/// # Panics
///
/// When it has found nothing for three minutes.
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
///
/// # Panics
///
/// When it has said false for three minutes.
pub fn until(what: &str, mut probe: impl FnMut() -> bool) {
    until_some(what, || probe().then_some(()));
}
