//! The keys that every input, filter or output has, whatever the plugin.

use std::time::Duration;

use crate::host::Host;
use crate::number::{Seconds, Size};
use crate::section_reader::SectionReader;
use crate::table::Form;
use crate::text::{FromText, Parsed, Refusal};
use crate::{Choice, Diagnostic, Options};

/// How much the router says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Choice)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Data is lost, or someone must act.
    Error,
    /// Something is worse than it should be and will recover.
    #[choice(alias = "warning")]
    Warn,
    /// Starts, stops, what was found.
    Info,
    /// Each flush.
    Debug,
    /// Each record.
    Trace,
}

impl LogLevel {
    /// The level that holds: the environment variable `FLB_LOG_LEVEL` wins over the service, the service over the command
    /// line. A word in the variable that is no level counts for nothing.
    pub fn in_effect(command_line: Self, service: Option<Self>, host: &dyn Host) -> Self {
        let variable = host
            .variable("FLB_LOG_LEVEL")
            .and_then(|word| Self::from_text(&word).ok());
        variable
            .map(|parsed| parsed.value)
            .or(service)
            .unwrap_or(command_line)
    }
}

/// Where an input keeps records that are not delivered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum StorageType {
    /// In memory only.
    Memory,
    /// In memory and in files below `storage.path`.
    Filesystem,
    /// In memory; at the limit the oldest records are dropped.
    Memrb,
}

/// Keys of every input.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "last", bad_value = "refused_at_load", check = check_gate)]
pub struct InputCommon {
    /// The tag of the records, by which filters and outputs choose them. By default the name of the instance, such as
    /// `dummy.0`; some plugins make tags of their own.
    #[option(name = "tag")]
    pub tag: Option<String>,
    /// A name for this instance in logs, metrics and routes.
    #[option(name = "alias")]
    pub alias: Option<String>,
    /// How much this instance says; by default as much as the service.
    #[option(name = "log_level")]
    pub log_level: Option<LogLevel>,
    /// Messages like the one before are left out for this long.
    #[option(name = "log_suppress_interval", default = "0")]
    pub log_suppress_interval: Seconds,
    /// Whether the records go to outputs at all.
    #[option(name = "routable", default = "true", bad_value = "default")]
    pub routable: bool,
    /// The input pauses when this many bytes of its records wait in memory; 0 is no limit but that of the process. For
    /// `tail` with a single output it is 4 MiB then: the file keeps what is not read yet.
    #[option(name = "mem_buf_limit", default = "0")]
    pub mem_buf_limit: SizeLimit,
    /// Where records wait until they are delivered; by default what the service says, or memory.
    #[option(name = "storage.type")]
    pub storage_type: Option<StorageType>,
    /// Whether the input pauses while an output that its records go to holds all that it may (`storage.max_chunks_up`), or
    /// still has some to read from the disk. Off, what comes then is only on the disk. Only for `filesystem`.
    #[option(name = "storage.pause_on_chunks_overlimit", default = "off")]
    pub pause_on_chunks_overlimit: bool,
    /// Whether the input runs on a thread of its own. Accepted; Flumen places inputs on threads by itself.
    #[option(name = "threaded")]
    pub threaded: Option<bool>,
    /// The slots of the queue between the input's thread and the engine. Accepted; Flumen has no such queue.
    #[option(name = "thread.ring_buffer.capacity", default = "1024")]
    pub ring_buffer_capacity: Positive,
    /// The filling of that queue in percent at which the engine is woken. Accepted; Flumen has no such queue.
    #[option(name = "thread.ring_buffer.window", default = "5")]
    pub ring_buffer_window: Percent,
    /// The time over which the rates of this input are measured.
    #[option(name = "rate_window", default = "1s")]
    pub rate_window: PositiveSeconds,
    /// Whether the input pauses while its rate is above a limit.
    #[option(name = "rate_gate", default = "off")]
    pub rate_gate: bool,
    /// The most bytes in a window; 0 is no limit.
    #[option(name = "rate_gate.max_bytes", default = "0")]
    pub rate_gate_max_bytes: SizeLimit,
    /// The most records in a window; 0 is no limit.
    #[option(name = "rate_gate.max_records", default = "0")]
    pub rate_gate_max_records: Count,
    /// Whether the gate pauses the input.
    #[option(name = "rate_gate.backpressure", default = "on")]
    pub rate_gate_backpressure: bool,
    /// The part of the limit below which the input goes on.
    #[option(name = "rate_gate.resume_ratio", default = "0.80")]
    pub rate_gate_resume_ratio: Ratio,
}

fn check_gate(options: InputCommon, reader: &mut SectionReader<'_>) -> Option<InputCommon> {
    if options.rate_gate
        && options.rate_gate_max_bytes.0 == 0
        && options.rate_gate_max_records.0 == 0
    {
        let message = "'rate_gate' is on and has no limit";
        let finding = Diagnostic::warning(&reader.section().position, message)
            .with_help("set 'rate_gate.max_bytes' or 'rate_gate.max_records'");
        reader.push(finding);
    }
    Some(options)
}

/// Keys of every filter.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "last", bad_value = "refused_at_load", check = check_match)]
pub struct FilterCommon {
    /// Which tags pass this filter; `*` stands for any characters.
    #[option(name = "match")]
    pub match_tags: Option<String>,
    /// Which tags pass this filter, as a regular expression in Ruby's syntax that has to match from the first character.
    #[option(name = "match_regex")]
    pub match_regex: Option<String>,
    /// A name for this instance in logs and metrics.
    #[option(name = "alias")]
    pub alias: Option<String>,
    /// How much this instance says; by default as much as the service.
    #[option(name = "log_level")]
    pub log_level: Option<LogLevel>,
    /// Messages like the one before are left out for this long.
    #[option(name = "log_suppress_interval", default = "0")]
    pub log_suppress_interval: Seconds,
}

fn check_match(options: FilterCommon, reader: &mut SectionReader<'_>) -> Option<FilterCommon> {
    if options.match_tags.is_some() || options.match_regex.is_some() {
        return Some(options);
    }
    let message = format!(
        "{} needs 'match' or 'match_regex'",
        reader.section().title()
    );
    // Fluent Bit's filters find out when they start.
    let finding = Diagnostic::start_error(&reader.section().position, message)
        .with_help("`match *` sends all records through the filter");
    reader.push(finding);
    None
}

/// Keys of every output.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "last", bad_value = "refused_at_load")]
pub struct OutputCommon {
    /// Which tags this output gets; `*` stands for any characters. May be left out only where there is exactly one input and
    /// one output.
    #[option(name = "match")]
    pub match_tags: Option<String>,
    /// Which tags this output gets, as a regular expression in Ruby's syntax that has to match from the first character.
    #[option(name = "match_regex")]
    pub match_regex: Option<String>,
    /// A name for this instance in logs, metrics and routes.
    #[option(name = "alias")]
    pub alias: Option<String>,
    /// How much this instance says; by default as much as the service.
    #[option(name = "log_level")]
    pub log_level: Option<LogLevel>,
    /// Messages like the one before are left out for this long.
    #[option(name = "log_suppress_interval", default = "0")]
    pub log_suppress_interval: Seconds,
    /// How often a delivery is tried again. Not set, it is tried until it succeeds.
    #[option(name = "retry_limit", default = "")]
    pub retry_limit: RetryLimit,
    /// The number of threads that send. By default what the plugin says.
    #[option(name = "workers", bad_value = "default")]
    pub workers: Option<u32>,
    /// The most bytes in files that may wait for this output; `off` or 0 is no limit.
    #[option(name = "storage.total_limit_size", default = "off")]
    pub total_limit_size: TotalLimit,
}

/// How often a delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RetryLimit {
    /// The configuration does not say. Fluent Bit then tries once more; Flumen does not give up.
    Unset,
    /// Not at all.
    NoRetries,
    /// So many times, at least once.
    Limited(u32),
    /// Without end.
    Unlimited,
}

impl FromText for RetryLimit {
    const FORM: Form = Form::new(
        "retries",
        "a number from 1, `no_limits` (or `false`, `off`) or `no_retries`",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let word = text.to_ascii_lowercase();
        Ok(match word.as_str() {
            "" => Self::Unset.into(),
            "no_limits" | "false" | "off" => Self::Unlimited.into(),
            "no_retries" => Self::NoRetries.into(),
            _ => {
                let number = i64::from_text(text)?;
                match u32::try_from(number.value) {
                    Ok(retries @ 1..) => Parsed {
                        value: Self::Limited(retries),
                        warning: number.warning,
                    },
                    _ => Parsed::doubtful(
                        Self::Limited(1),
                        format!("'{text}' is not a number of retries and counts as 1"),
                    ),
                }
            }
        })
    }
}

/// A size that is refused if it is not one, instead of counting as no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeLimit(pub u64);

impl FromText for SizeLimit {
    const FORM: Form = Size::FORM;

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let size = Size::from_text(text)?;
        if size.value.0 == u64::MAX {
            return Err(Refusal::at_load(format!("'{text}' is not a size")));
        }
        Ok(size.map(|size| Self(size.0)))
    }
}

/// A size, or `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TotalLimit(pub Option<u64>);

impl FromText for TotalLimit {
    const FORM: Form = Form::new(
        "size",
        "a number of bytes, with `K`, `M` or `G` (powers of 1000), or `off`",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        if ["off", "false", "no"]
            .iter()
            .any(|word| word.eq_ignore_ascii_case(text))
        {
            return Ok(Self(None).into());
        }
        let limit = SizeLimit::from_text(text)?;
        Ok(limit.map(|limit| Self(Some(limit.0).filter(|bytes| *bytes > 0))))
    }
}

/// A whole number above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Positive(pub u32);

impl FromText for Positive {
    const FORM: Form = Form::new("integer", "a whole number above 0");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = u32::from_text(text)?;
        if number.value == 0 {
            return Err(Refusal::at_load(format!("'{text}' is not above 0")));
        }
        Ok(number.map(Self))
    }
}

/// A whole number from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Percent(pub u8);

impl FromText for Percent {
    const FORM: Form = Form::new("integer", "a whole number from 1 to 100");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = i64::from_text(text)?;
        match u8::try_from(number.value) {
            Ok(percent @ 1..=100) => Ok(Parsed {
                value: Self(percent),
                warning: number.warning,
            }),
            _ => Err(Refusal::at_load(format!(
                "'{text}' is not between 1 and 100"
            ))),
        }
    }
}

/// A time above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PositiveSeconds(pub Duration);

impl FromText for PositiveSeconds {
    const FORM: Form = Form::new(
        "time",
        "whole seconds above 0, or with `m`, `h` or `d` for minutes, hours or days",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let time = Seconds::from_text(text)?;
        if time.value.0.is_zero() {
            return Err(Refusal::at_load(format!("'{text}' is not above 0")));
        }
        Ok(time.map(|time| Self(time.0)))
    }
}

/// A whole number that is refused if anything stands before or after the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Count(pub u64);

impl FromText for Count {
    const FORM: Form = Form::new("integer", "a whole number, not negative");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        match text.trim_start().parse() {
            Ok(number) => Ok(Self(number).into()),
            Err(_) => Err(Refusal::at_load(format!("'{text}' is not a whole number"))),
        }
    }
}

/// A number between 0 and 1, both excluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(pub f64);

impl FromText for Ratio {
    const FORM: Form = Form::new("number", "a number between 0 and 1");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let number = f64::from_text(text)?;
        if number.warning.is_some() || number.value <= 0.0 || number.value >= 1.0 {
            return Err(Refusal::at_load(format!("'{text}' is not between 0 and 1")));
        }
        Ok(Self(number.value).into())
    }
}
