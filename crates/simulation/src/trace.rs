//! What happened, for people.

use std::cell::RefCell;
use std::time::Duration;

/// The lines of a history, kept only when somebody wants to read them.
pub struct Trace {
    lines: Option<RefCell<Vec<String>>>,
}

impl Trace {
    /// A trace that is kept, or not.
    pub fn new(is_kept: bool) -> Trace {
        Trace {
            lines: is_kept.then(RefCell::default),
        }
    }

    /// Adds what `say` gives, which happened at `time`.
    pub fn add(&self, time: Duration, say: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let seconds = time.as_secs_f64();
            lines.borrow_mut().push(format!("{seconds:10.6} {}", say()));
        }
    }

    /// All lines.
    pub fn take(&self) -> Vec<String> {
        self.lines.as_ref().map(RefCell::take).unwrap_or_default()
    }
}
