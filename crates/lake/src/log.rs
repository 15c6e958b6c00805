//! The lake's log lines: in Fluent Bit's format, to wherever the program that runs the lake wants them.

use std::fmt;
use std::sync::Arc;

use jiff::Zoned;

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

impl Level {
    /// The level as Fluent Bit prints it between brackets: right-aligned in five columns.
    fn label(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => " warn",
            Level::Info => " info",
        }
    }
}

/// Takes log lines. Cheap to clone.
#[derive(Clone)]
pub struct Logger(Arc<dyn Fn(Level, fmt::Arguments<'_>) + Send + Sync>);

impl Logger {
    /// Throws every line away.
    pub fn silent() -> Self {
        Self::to(|_, _| {})
    }

    /// Writes every line to standard error, as `[2026/11/22 13:00:00] [ info] …` in local time.
    pub fn stderr() -> Self {
        Self::to(|level, message| eprintln!("{}", line(&Zoned::now(), level, message)))
    }

    /// Hands every line to `sink`: its level, and the message without time and level.
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

/// One line in Fluent Bit's format, without a line end.
pub fn line(time: &Zoned, level: Level, message: fmt::Arguments<'_>) -> String {
    format!(
        "[{}] [{}] {message}",
        time.strftime("%Y/%m/%d %H:%M:%S"),
        level.label()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_fluent_bits() {
        let time: Zoned = "2026-11-22T13:04:05+00:00[UTC]".parse().unwrap();
        assert_eq!(
            line(&time, Level::Info, format_args!("up")),
            "[2026/11/22 13:04:05] [ info] up"
        );
        assert_eq!(
            line(&time, Level::Error, format_args!("lost")),
            "[2026/11/22 13:04:05] [error] lost"
        );
    }
}
