//! The router's own messages, in Fluent Bit's format (cli-and-service reference, "Internal log lines").

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Arc, OnceLock, RwLock};

use config::LogLevel as Level;

/// The word in front of a message, five columns wide.
fn label(level: Level) -> &'static str {
    match level {
        Level::Off => "  off",
        Level::Error => "error",
        Level::Warn => " warn",
        Level::Info => " info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// Where messages go. One per process; a test may install its own.
pub trait LogSink: Send + Sync {
    /// Takes one finished line, without its newline.
    fn write(&self, level: Level, line: &str);
}

struct Stderr;

impl LogSink for Stderr {
    fn write(&self, _: Level, line: &str) {
        // A closed stderr must not stop the router.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

fn sink() -> &'static RwLock<Box<dyn LogSink>> {
    static SINK: OnceLock<RwLock<Box<dyn LogSink>>> = OnceLock::new();
    SINK.get_or_init(|| RwLock::new(Box::new(Stderr)))
}

/// A source of messages: a name that stands in front of each, and a level above which it is silent.
#[derive(Clone, Debug)]
pub struct Log {
    scope: Arc<str>,
    level: Level,
}

impl Log {
    /// A log whose messages start with `[scope] `; an empty scope adds nothing.
    pub fn new(scope: &str, level: Level) -> Log {
        let scope = if scope.is_empty() {
            String::new()
        } else {
            format!("[{scope}] ")
        };
        Log {
            scope: scope.into(),
            level,
        }
    }

    /// Sends all messages of the process to `new` from now on.
    pub fn install(new: impl LogSink + 'static) {
        *sink()
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Box::new(new);
    }

    /// The most verbose level that it writes.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Something was given up or refused: `log.error(format_args!("…"))`.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Error, message);
    }

    /// Something is wrong but work goes on.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Warn, message);
    }

    /// A milestone.
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Info, message);
    }

    /// For developers.
    pub fn debug(&self, message: fmt::Arguments<'_>) {
        self.write(Level::Debug, message);
    }

    fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let mut line = String::with_capacity(128);
        push_local_time(&mut line);
        let _ = write!(line, " [{}] {}", label(level), self.scope);
        let start = line.len();
        let _ = write!(line, "{message}");
        escape_controls(&mut line, start);
        sink()
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .write(level, &line);
    }
}

/// Text from outside may stand in a message: it must not forge lines or terminal commands.
fn escape_controls(line: &mut String, start: usize) {
    if line[start..].chars().any(char::is_control) {
        let tail: String = line[start..]
            .chars()
            .flat_map(|c| {
                if c.is_control() {
                    c.escape_default().collect::<Vec<_>>()
                } else {
                    vec![c]
                }
            })
            .collect();
        line.truncate(start);
        line.push_str(&tail);
    }
}

fn push_local_time(line: &mut String) {
    let now = record::Time::now();
    let seconds = now.seconds() as libc::time_t;
    // SAFETY: `tm` is plain data for which zero is valid; localtime_r writes only into it.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    let _ = write!(
        line,
        "[{:04}/{:02}/{:02} {:02}:{:02}:{:02}.{:03}]",
        tm.tm_year + 1900,
        tm.tm_mon + 1,
        tm.tm_mday,
        tm.tm_hour,
        tm.tm_min,
        tm.tm_sec,
        now.subsec_nanos() / 1_000_000
    );
}
