//! Joins records that belong together (upstream `plugins/filter_multiline`).
//!
//! What is owed for the records waits with them: a group is answered for when the record that was made of it is, so that
//! after a crash its source hands all of it over again.

mod buffered;
mod partial;
#[cfg(test)]
mod tests;
mod unbuffered;

use std::time::{Duration, Instant};

use config::{Choice, CommaList, Options};
use multiline::Joiner;
use plugin::{BuildError, Counter, Filter, FilterCall, FilterContext, FilterPlugin, Log};
use record::Batch;

use crate::emitter::{Emissions, EmitterOptions};
use buffered::Buffered;
use partial::Partial;
use unbuffered::Unbuffered;

/// `multiline`.
pub static PLUGIN: FilterPlugin = FilterPlugin::new::<Multiline>("multiline");

/// Joins records that belong together: stack traces, and messages that a container runtime has cut.
///
/// With `buffer`, records wait for those that follow in later batches of the same tag; then all records are put on the road
/// anew, and pass every filter from the first one on. This filter should therefore be the first. A group that is too long
/// (`multiline_buffer_limit` in `[SERVICE]`, 2 MiB), has more than 100,000 lines, or gets lines for more than fifteen times
/// `flush_ms` ends there; what exceeds the limit goes into the next record.
#[derive(Clone, Debug, Options)]
pub struct MultilineOptions {
    /// What joins them.
    #[option(name = "mode", default = "parser")]
    pub mode: Mode,
    /// Multiline parsers by their names: `docker`, `cri`, `go`, `java`, `python`, `ruby`, or what a parsers file defines. They
    /// are tried in order. Needed for the mode `parser`.
    #[option(name = "multiline.parser", multiple)]
    pub parsers: Vec<CommaList>,
    /// The field that holds the text. Needed for the mode `partial_message`; otherwise it is the one that the parser names.
    #[option(name = "multiline.key_content")]
    pub key_content: Option<String>,
    /// Whether records wait for those of later batches.
    #[option(name = "buffer", default = "true")]
    pub buffer: bool,
    /// How many milliseconds a record waits for the next one.
    #[option(name = "flush_ms", default = "2000")]
    pub flush_ms: i64,
    /// Accepted, without effect.
    #[expect(dead_code, reason = "read so that it is known")]
    #[option(name = "debug_flush", default = "false")]
    debug_flush: bool,
    #[option(flatten)]
    pub emitter: EmitterOptions,
}

/// `mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Mode {
    /// Multiline parsers.
    Parser,
    /// The fields `partial_message`, `partial_id` and `partial_last` of Docker's log driver `fluentd`.
    #[choice(name = "partial_message")]
    PartialMessage,
}

/// A filter that runs in one of the modes.
struct Multiline {
    way: Way,
    sharing: Sharing,
}

enum Way {
    Buffered(Buffered),
    Unbuffered(Unbuffered),
    Partial(Partial),
}

/// What all modes use.
struct Sharing {
    emissions: Emissions,
    truncated: Counter,
    log: Log,
}

impl Sharing {
    /// Counts records that were cut.
    fn note_truncated(&self, times: u64) {
        if times > 0 {
            self.truncated.add(times);
            self.log.warn(format_args!(
                "multiline message truncated due to buffer limit"
            ));
        }
    }
}

impl Filter for Multiline {
    type Options = MultilineOptions;

    fn build(options: MultilineOptions, context: &FilterContext) -> Result<Multiline, BuildError> {
        let sharing = Sharing {
            emissions: Emissions::new(&options.emitter, context),
            truncated: context.metrics.counter(
                "emit_truncated_total",
                "Joined records that reached the limit of bytes.",
            ),
            log: context.log.clone(),
        };
        let wait = Duration::from_millis(u64::try_from(options.flush_ms).unwrap_or(0));
        let way = match options.mode {
            Mode::PartialMessage => Way::Partial(partial(&options, wait, context)?),
            Mode::Parser => {
                let names = options.parsers.iter().flat_map(|list| &list.0);
                let content = options.key_content.as_deref();
                let joiner = Joiner::new(names, content, &*context.parsers)?;
                match options.buffer {
                    false => Way::Unbuffered(Unbuffered::new(joiner)),
                    true => {
                        let joiner = joiner.with_timeout(wait);
                        joiner.timeout()?;
                        Way::Buffered(Buffered::new(joiner))
                    }
                }
            }
        };
        Ok(Multiline { way, sharing })
    }

    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>) {
        if self.sharing.emissions.made(batch) {
            return;
        }
        match &mut self.way {
            Way::Buffered(way) => way.filter(batch, call, &mut self.sharing),
            Way::Unbuffered(way) => way.filter(batch, call, &self.sharing),
            Way::Partial(way) => way.filter(batch, call, &mut self.sharing),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.way {
            Way::Buffered(way) => way.deadline(),
            Way::Unbuffered(_) => None,
            Way::Partial(way) => way.deadline(),
        }
    }

    fn expire(&mut self, call: &FilterCall<'_>, all: bool) {
        match &mut self.way {
            Way::Buffered(way) => way.expire(call, all, &self.sharing),
            Way::Unbuffered(_) => {}
            Way::Partial(way) => way.expire(call, all, &self.sharing),
        }
    }
}

fn partial(
    options: &MultilineOptions,
    wait: Duration,
    context: &FilterContext,
) -> Result<Partial, BuildError> {
    let Some(key) = &options.key_content else {
        return Err(
            "'mode partial_message' needs 'multiline.key_content': the field with the text".into(),
        );
    };
    if !options.buffer {
        return Err("'mode partial_message' needs 'buffer on'".into());
    }
    Ok(Partial::new(key, wait, context.parsers.multiline_limit()))
}
