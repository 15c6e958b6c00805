//! `[SERVICE]`: settings of the whole process.

use std::path::PathBuf;
use std::time::Duration;

use crate::instance::{LogLevel, StorageType};
use crate::network::{DnsMode, DnsResolver};
use crate::number::{BinarySize, Size};
use crate::section_reader::SectionReader;
use crate::table::Form;
use crate::text::{FromText, Parsed, Refusal, Switch};
use crate::{Choice, Diagnostic, Options};

/// Settings of the whole process. Keys that are not listed here are ignored, with a warning.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "last", bad_value = "default", check = check_telemetry)]
pub struct ServiceOptions {
    /// The longest time in seconds that records wait before they are sent. A full request goes at once.
    #[option(name = "flush", default = "1", bad_value = "refused_at_load")]
    pub flush: FlushInterval,
    /// Whether the flush period follows the filling of the buffers.
    #[option(name = "flush.adaptive", default = "off")]
    pub flush_adaptive: Switch,
    /// The shortest adaptive period in seconds.
    #[option(name = "flush.adaptive.min_interval", default = "0.5")]
    pub flush_adaptive_min_interval: f64,
    /// The longest adaptive period in seconds.
    #[option(name = "flush.adaptive.max_interval", default = "2.0")]
    pub flush_adaptive_max_interval: f64,
    /// Percentage of chunks in use below which the pressure is low.
    #[option(name = "flush.adaptive.low_pressure", default = "25")]
    pub flush_adaptive_low_pressure: f64,
    /// Percentage of chunks in use below which the pressure is medium.
    #[option(name = "flush.adaptive.medium_pressure", default = "50")]
    pub flush_adaptive_medium_pressure: f64,
    /// Percentage of chunks in use above which the pressure is high.
    #[option(name = "flush.adaptive.high_pressure", default = "75")]
    pub flush_adaptive_high_pressure: f64,
    /// Observations in a row before the period becomes longer.
    #[option(name = "flush.adaptive.up_steps", default = "2")]
    pub flush_adaptive_up_steps: i64,
    /// Observations in a row before the period becomes shorter.
    #[option(name = "flush.adaptive.down_steps", default = "3")]
    pub flush_adaptive_down_steps: i64,
    /// How many seconds the router tries to deliver what it has when it is told to stop; -1 is without limit.
    #[option(name = "grace", default = "5")]
    pub grace: Grace,
    /// Whether the process goes to the background.
    #[option(name = "daemon", default = "off")]
    pub daemon: Switch,
    /// A file that the router's own messages are appended to, instead of the standard error output.
    #[option(name = "log_file")]
    pub log_file: Option<PathBuf>,
    /// How much the router says. By default `info`, or what `-v` and `-q` say.
    #[option(name = "log_level", bad_value = "refused_at_load")]
    pub log_level: Option<LogLevel>,
    /// A file with parser definitions: relative to the current directory, or else to the folder of the main file.
    #[option(name = "parsers_file", multiple)]
    pub parsers_file: Vec<PathBuf>,
    /// A file that names shared objects to load. Accepted; Flumen loads no foreign code.
    #[option(name = "plugins_file", multiple)]
    pub plugins_file: Vec<PathBuf>,
    /// A file with stream processor tasks.
    #[option(name = "streams_file")]
    pub streams_file: Option<PathBuf>,
    /// Whether the stream processor turns text into numbers.
    #[option(name = "sp.convert_from_str_to_num", default = "on")]
    pub stream_numbers: Switch,
    /// Whether the monitoring server runs.
    #[option(name = "http_server", default = "off")]
    pub http_server: Switch,
    /// The address that the monitoring server listens on.
    #[option(name = "http_listen", default = "127.0.0.1")]
    pub http_listen: String,
    /// The port that the monitoring server listens on.
    #[option(name = "http_port", default = "2020", bad_value = "refused")]
    pub http_port: u16,
    /// A file with the token that callers from other machines must name to reload the configuration
    /// (`Authorization: Bearer TOKEN`). Without it, the environment variable `FLUMEN_ADMIN_TOKEN` is taken.
    #[option(name = "admin_token_file")]
    pub admin_token_file: Option<PathBuf>,
    /// Whether the monitoring server answers `/api/v1/health`.
    #[option(name = "health_check", default = "off")]
    pub health_check: Switch,
    /// The router is unhealthy when it made more errors than this within the period.
    #[option(name = "hc_errors_count", default = "5")]
    pub health_errors: i64,
    /// The router is unhealthy when more retries than this failed within the period.
    #[option(name = "hc_retry_failure_count", default = "5")]
    pub health_retry_failures: i64,
    /// The period of the health check in seconds.
    #[option(name = "hc_period", default = "60")]
    pub health_period: WholeSeconds,
    /// Whether a signal or a request may reload the configuration.
    #[option(name = "hot_reload", default = "off")]
    pub hot_reload: Switch,
    /// Whether a reload waits until everything is delivered.
    #[option(name = "hot_reload.ensure_thread_safety", default = "on")]
    pub hot_reload_waits: Switch,
    /// Seconds after which a reload that has not finished ends the process; 0 is no limit.
    #[option(name = "hot_reload.timeout", default = "0")]
    pub hot_reload_timeout: WholeSeconds,
    /// The memory that the whole process may take (powers of 1024). Without it, 64 MiB, or three quarters of what its
    /// control group allows if that is less. Nothing is read for which there is no room.
    #[option(name = "memory_limit")]
    pub memory_limit: Option<BinarySize>,
    /// How many threads (shards) the files of `tail` and the connections of `forward`, `tcp` and `http` are spread over.
    /// Each has filters, outputs and connections of its own; the memory limit is for all. By default one on up to four
    /// cores, else one for every four cores, at most eight. A file, and what it is rotated to, stays in one. An output or a
    /// filter that must get all records in one place (`s3`) makes it one. A reload does not change it.
    #[option(name = "workers")]
    pub workers: Option<usize>,
    /// The stack of a coroutine in bytes. Accepted; Flumen has no such stacks.
    #[option(
        name = "coro_stack_size",
        default = "65536",
        bad_value = "refused_at_load"
    )]
    pub coro_stack_size: StackSize,
    /// The most bytes of a record that was put together from several lines (powers of 1024).
    #[option(name = "multiline_buffer_limit", default = "2MB")]
    pub multiline_buffer_limit: BinarySize,
    /// The longest wait between two attempts to deliver, in seconds.
    #[option(name = "scheduler.cap", default = "2000")]
    pub scheduler_cap: WholeSeconds,
    /// The shortest wait between two attempts to deliver, in seconds.
    #[option(name = "scheduler.base", default = "5")]
    pub scheduler_base: WholeSeconds,
    /// Whether numbers that are not a number become `null` in JSON.
    #[option(name = "json.convert_nan_to_null", default = "off")]
    pub nan_to_null: Switch,
    /// Whether JSON has `\uXXXX` in place of characters outside ASCII.
    #[option(name = "json.escape_unicode", default = "on")]
    pub escape_unicode: Switch,
    /// How names are looked up on the network, unless an output says otherwise.
    #[option(name = "dns.mode")]
    pub dns_mode: Option<DnsMode>,
    /// What looks names up, unless an output says otherwise.
    #[option(name = "dns.resolver")]
    pub dns_resolver: Option<DnsResolver>,
    /// Whether IPv4 addresses are tried first.
    #[option(name = "dns.prefer_ipv4", default = "off")]
    pub prefer_ipv4: Switch,
    /// Whether IPv6 addresses are tried first.
    #[option(name = "dns.prefer_ipv6", default = "off")]
    pub prefer_ipv6: Switch,
    /// The folder for what must survive a restart.
    #[option(name = "storage.path")]
    pub storage_path: Option<PathBuf>,
    /// How files below `storage.path` are written.
    #[option(name = "storage.sync", default = "normal", bad_value = "refused")]
    pub storage_sync: StorageSync,
    /// Whether chunks carry a checksum.
    #[option(name = "storage.checksum", default = "off")]
    pub storage_checksum: Switch,
    /// Whether metrics tell about the storage.
    #[option(name = "storage.metrics", default = "on")]
    pub storage_metrics: Switch,
    /// The most chunks in memory.
    #[option(name = "storage.max_chunks_up", default = "128")]
    pub max_chunks_up: i64,
    /// The most bytes of chunks from an earlier run that are read at a time.
    #[option(name = "storage.backlog.mem_limit", default = "100M")]
    pub backlog_mem_limit: Size,
    /// Whether chunks from an earlier run are still delivered while the router stops.
    #[option(name = "storage.backlog.flush_on_shutdown", default = "off")]
    pub backlog_flush_on_shutdown: Switch,
    /// Whether chunk files that cannot be read are deleted at start.
    #[option(name = "storage.delete_irrecoverable_chunks", default = "off")]
    pub delete_irrecoverable_chunks: Switch,
    /// Whether chunk files are cut to the size of their content.
    #[option(name = "storage.trim_files", default = "off")]
    pub trim_files: Switch,
    /// Where records of inputs wait that do not say so themselves. Only with `storage.inherit`.
    #[option(name = "storage.type")]
    pub storage_type: Option<StorageType>,
    /// Whether inputs without a `storage.type` take the one above.
    #[option(name = "storage.inherit", default = "off")]
    pub storage_inherit: Switch,
    /// Whether records that no output could deliver are kept, for `flumen dlq`.
    #[option(name = "storage.keep.rejected", default = "on")]
    pub keep_rejected: Switch,
    /// The folder below `storage.path` for records that no output could deliver.
    #[option(name = "storage.rejected.path", default = "rejected")]
    pub rejected_path: String,
    /// The most bytes of such records; at the limit new ones are not kept, and counted.
    #[option(name = "storage.rejected.limit", default = "100M")]
    pub rejected_limit: Size,
    /// Whether the monitoring server can trace chunks. Accepted; without effect.
    #[option(name = "enable_chunk_trace", default = "off")]
    pub chunk_trace: Switch,
    /// Whether cryptography must be FIPS validated.
    #[option(name = "security.fips_mode", default = "off")]
    pub fips_mode: Switch,
    /// The most open files. Only on Windows; accepted and ignored.
    #[option(name = "windows.maxstdio", default = "512")]
    pub windows_maxstdio: i64,
}

/// `telemetry` is a nested block of the YAML format; as a key with text it is refused, unlike other unknown keys.
fn check_telemetry(
    options: ServiceOptions,
    reader: &mut SectionReader<'_>,
) -> Option<ServiceOptions> {
    let telemetry = reader.section().entries.iter().find(|entry| {
        entry.value.as_text().is_some()
            && (entry.key == "telemetry" || entry.key.starts_with("telemetry."))
    });
    let Some(entry) = telemetry else {
        return Some(options);
    };
    let message = format!(
        "'{}' must be a nested block, which only the YAML format has",
        entry.key
    );
    reader.push(Diagnostic::error(&entry.position, message));
    None
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum StorageSync {
    /// The system decides when data reaches the disk.
    Normal,
    /// Each write waits until it is on the disk.
    Full,
}

/// A time above 0 in seconds, fractions allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlushInterval(pub Duration);

impl FromText for FlushInterval {
    const FORM: Form = Form::new("seconds", "a number of seconds above 0, such as `0.5`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = f64::from_text(text)?;
        // The comparison is written so that a value that is no number fails it.
        let positive = number.value > 0.0;
        match Duration::try_from_secs_f64(number.value) {
            Ok(interval) if positive => Ok(Parsed {
                value: Self(interval),
                warning: number.warning,
            }),
            _ => Err(Refusal::at_load(format!("'{text}' is not a time above 0"))),
        }
    }
}

/// How long to deliver after the signal to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grace {
    /// So long, then what is left stays behind.
    Within(Duration),
    /// Until everything is delivered.
    Unlimited,
}

impl FromText for Grace {
    const FORM: Form = Form::new("seconds", "a whole number of seconds, or -1 for no limit");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = i64::from_text(text)?;
        Ok(match u64::try_from(number.value) {
            Ok(seconds) => number.map(|_| Self::Within(Duration::from_secs(seconds))),
            Err(_) if number.value == -1 => number.map(|_| Self::Unlimited),
            Err(_) => Parsed::doubtful(
                Self::Within(Duration::ZERO),
                format!("'{text}' counts as 0 seconds"),
            ),
        })
    }
}

/// A time in whole seconds, written as a plain number: unlike for [`Seconds`](crate::Seconds), a unit is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WholeSeconds(pub Duration);

impl FromText for WholeSeconds {
    const FORM: Form = Form::new("seconds", "a whole number of seconds, without a unit");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = u64::from_text(text)?;
        Ok(number.map(|seconds| Self(Duration::from_secs(seconds))))
    }
}

/// A number of bytes, at least one page of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackSize(pub u32);

impl FromText for StackSize {
    const FORM: Form = Form::new("integer", "a whole number of bytes from 4096");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = u32::from_text(text)?;
        if number.value < 4096 {
            return Err(Refusal::at_load(format!(
                "{} bytes are less than a page of memory",
                number.value
            )));
        }
        Ok(number.map(Self))
    }
}
