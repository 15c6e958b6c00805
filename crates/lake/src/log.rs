//! The lake's log lines, which the program that runs the lake writes wherever it writes its own.

use std::fmt;
use std::sync::Arc;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Data was lost, or someone has to act.
    Error,
    /// Degraded; the lake goes on by itself.
    Warn,
    /// The ordinary course of things.
    Info,
}

/// Takes log lines. Cheap to clone.
#[derive(Clone)]
pub struct Logger(Arc<dyn Fn(Level, fmt::Arguments<'_>) + Send + Sync>);

impl Logger {
    /// Throws every line away.
    pub fn silent() -> Self {
        Self::to(|_, _| {})
    }

    /// Hands every line to `sink`: its level, and the message without time, level and line end.
    pub fn to(sink: impl Fn(Level, fmt::Arguments<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    pub(crate) fn error(&self, message: fmt::Arguments<'_>) {
        (self.0)(Level::Error, message);
    }

    pub(crate) fn warn(&self, message: fmt::Arguments<'_>) {
        (self.0)(Level::Warn, message);
    }

    pub(crate) fn info(&self, message: fmt::Arguments<'_>) {
        (self.0)(Level::Info, message);
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Logger")
    }
}
