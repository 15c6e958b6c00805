//! Makes records by itself, for tests and demonstrations.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Options;
use plugin::{BuildError, Emitter, Ended, Handover, Input, InputContext, InputPlugin, Stop};
use record::json::read;
use record::{Batch, Fields, Ledger, Position, Record, Time};
use tokio::sync::Notify;
use tokio::time::Instant;

/// `dummy`.
pub static PLUGIN: InputPlugin = InputPlugin::new::<Dummy>("dummy");

const DEFAULT: &str = r#"{"message":"dummy"}"#;
/// The most that is made up for at once when records are due more often than the timer ticks.
const CATCH_UP: Duration = Duration::from_millis(10);
/// The most records of one batch.
const BATCH_MAX: u64 = 10_000;
/// Memory that a record takes besides its text, roughly.
const RECORD_SIZE: usize = 256;

/// Makes the same record again and again.
#[derive(Clone, Debug, Options)]
pub struct DummyOptions {
    /// The record, a JSON object. Text that is none is replaced by the default, with a warning.
    #[option(name = "dummy", default = "{\"message\":\"dummy\"}")]
    pub dummy: String,
    /// The record's metadata, a JSON object.
    #[option(name = "metadata", default = "{}")]
    pub metadata: String,
    /// How many times a second records are made.
    #[option(name = "rate", default = "1")]
    pub rate: i64,
    /// Seconds between records, in place of `rate`.
    #[option(name = "interval_sec", default = "0")]
    pub interval_sec: i64,
    /// Nanoseconds to be added to `interval_sec`.
    #[option(name = "interval_nsec", default = "0")]
    pub interval_nsec: i64,
    /// After so many times no more are made; 0 is no end.
    #[option(name = "samples", default = "0")]
    pub samples: i64,
    /// How many records are made each time.
    #[option(name = "copies", default = "1")]
    pub copies: i64,
    /// The time of the first record, in seconds since 1970; by default the time when it is made.
    #[option(name = "start_time_sec", default = "-1")]
    pub start_time_sec: i64,
    /// Nanoseconds to be added to `start_time_sec`.
    #[option(name = "start_time_nsec", default = "-1")]
    pub start_time_nsec: i64,
    /// Whether every record has the time of the first.
    #[option(name = "fixed_timestamp", default = "false")]
    pub fixed_timestamp: bool,
    /// Whether the first record is made at once, not after the first interval.
    #[option(name = "flush_on_startup", default = "false")]
    pub flush_on_startup: bool,
    /// Not supported: upstream's own tests use it to hang on exit. Accepted and without effect.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(name = "test_hang_on_exit", default = "false")]
    test_hang_on_exit: bool,
}

struct Dummy {
    context: InputContext,
    template: Template,
    interval: Duration,
    /// How many times records are still made.
    left: u64,
    at_once: bool,
}

/// What records are made from.
struct Template {
    /// The metadata and then the body.
    source: Bytes,
    metadata_len: usize,
    copies: u64,
    clock: Clock,
}

/// Gives records their times.
struct Clock {
    start: Option<Time>,
    is_fixed: bool,
    /// When the first record was made.
    first: Option<Time>,
}

impl Input for Dummy {
    type Options = DummyOptions;

    fn build(
        options: DummyOptions,
        context: InputContext,
        _: Handover,
    ) -> Result<Self, BuildError> {
        let body = object_or(&options.dummy, DEFAULT, "dummy", &context);
        let metadata = object_or(&options.metadata, "{}", "metadata", &context);
        Ok(Dummy {
            template: Template {
                source: Bytes::from([metadata.as_bytes(), body.as_bytes()].concat()),
                metadata_len: metadata.len(),
                copies: u64::try_from(options.copies).unwrap_or(0).max(1),
                clock: Clock::new(&options),
            },
            interval: options.interval(),
            left: match options.samples {
                samples @ 1.. => samples.unsigned_abs(),
                _ => u64::MAX,
            },
            at_once: options.flush_on_startup,
            context,
        })
    }

    async fn run(mut self, emitter: Emitter, stop: Stop) -> Ended {
        let changed = Arc::new(Notify::new());
        let notice = Arc::clone(&changed);
        let ledger = Ledger::with_notice(0, move || notice.notify_one());
        tokio::select! {
            () = self.make(&emitter, &ledger) => {}
            () = stop.requested() => {}
        }
        stop.requested().await;
        // Nobody misses what is refused: it is made up.
        loop {
            ledger
                .refused()
                .into_iter()
                .for_each(|range| ledger.skip(range));
            if ledger.is_settled() {
                break;
            }
            changed.notified().await;
        }
        Ended::default()
    }
}

impl Dummy {
    /// Makes records until there are enough.
    async fn make(&mut self, emitter: &Emitter, ledger: &Arc<Ledger>) {
        let tag = self.context.static_tag();
        let mut due = Instant::now();
        if !self.at_once {
            due += self.interval;
        }
        let mut next = 0;
        while self.left > 0 {
            tokio::time::sleep_until(due).await;
            let times = self.due_times(&mut due);
            let records = times * self.template.copies;
            let size = self.template.source.len() + records as usize * RECORD_SIZE;
            let permit = self.context.budget.take(size).await;
            let mut batch = Batch::new(tag.clone(), self.template.source.clone());
            self.template.fill(&mut batch, next..next + records);
            let obligation = ledger.open(next..next + records);
            next += records;
            self.left -= times;
            emitter.emit(batch.with_obligation(obligation).with_permit(permit));
        }
    }

    /// How many times records are due, and when the next time is. What was missed for longer is left out, as upstream.
    fn due_times(&self, due: &mut Instant) -> u64 {
        let most = (BATCH_MAX / self.template.copies).clamp(1, self.left);
        let now = Instant::now();
        if now.duration_since(*due) > CATCH_UP.max(self.interval) {
            *due = now;
        }
        let mut times = 0;
        while times < most && *due <= now {
            *due += self.interval;
            times += 1;
        }
        times
    }
}

impl DummyOptions {
    fn interval(&self) -> Duration {
        let seconds = u64::try_from(self.interval_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(self.interval_nsec).unwrap_or(0);
        let interval = Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds);
        match interval {
            Duration::ZERO => Duration::from_secs(1) / u32::try_from(self.rate).unwrap_or(1).max(1),
            _ => interval,
        }
        .max(Duration::from_nanos(1))
    }
}

impl Template {
    /// Appends the records of `positions`.
    fn fill(&mut self, batch: &mut Batch, positions: std::ops::Range<u64>) {
        let time = self.clock.tick(Time::now());
        for offset in positions {
            let metadata = object(batch, 0..self.metadata_len);
            let body = object(batch, self.metadata_len..self.source.len());
            let position = Position { offset, len: 1 };
            batch.push_record(Record {
                time,
                metadata,
                body,
                position,
                ..Record::default()
            });
        }
    }
}

impl Clock {
    fn new(options: &DummyOptions) -> Clock {
        let (seconds, nanoseconds) = (options.start_time_sec, options.start_time_nsec);
        let is_given = seconds >= 0 || nanoseconds >= 0;
        let nanoseconds = Time::from_nanos(nanoseconds.max(0));
        let start = Time::from_nanos(
            Time::new(seconds.max(0), 0)
                .nanos()
                .saturating_add(nanoseconds.nanos()),
        );
        Clock {
            start: is_given.then_some(start),
            is_fixed: options.fixed_timestamp,
            first: None,
        }
    }

    /// The time of a record that is made at `now`.
    fn tick(&mut self, now: Time) -> Time {
        let first = *self.first.get_or_insert(now);
        let passed = if self.is_fixed {
            0
        } else {
            now.nanos() - first.nanos()
        };
        Time::from_nanos(self.start.unwrap_or(first).nanos().saturating_add(passed))
    }
}

/// The fields of the JSON object in `range` of the batch's source, which was seen to be one.
fn object(batch: &mut Batch, range: std::ops::Range<usize>) -> Fields {
    let span = batch.span(range);
    read::object(batch, span).map_or(Fields::EMPTY, |(fields, _)| fields)
}

/// `text` if it is a JSON object, else `default`, with a warning.
fn object_or<'a>(text: &'a str, default: &'a str, option: &str, context: &InputContext) -> &'a str {
    let mut batch = Batch::new("".into(), Bytes::copy_from_slice(text.as_bytes()));
    let span = batch.span(0..text.len());
    match read::object(&mut batch, span) {
        Ok(_) => text,
        Err(error) => {
            let log = &context.log;
            log.warn(format_args!(
                "'{option}' is not a JSON object ({error}): {default} is used instead"
            ));
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_road::{Road, context, on_shard, options, soon};
    use record::Budget;
    use std::rc::Rc;

    /// The records that these options make until the stop, with the times relative to now.
    fn made(pairs: &[(&str, &str)], records: usize) -> Vec<(Time, String)> {
        on_shard(async {
            let context = context(None, &Budget::new(0));
            let input =
                Dummy::build(options(pairs), context, Handover::default()).expect("it starts");
            let road = Rc::new(Road::default());
            let (handle, stop) = plugin::StopHandle::new();
            let ended = tokio::task::spawn_local(input.run(Emitter::new(road.clone()), stop));
            road.holds(records).await;
            handle.request();
            road.deliver(true);
            assert!(!soon(ended).await.expect("no panic").ends_process);
            road.lines()
        })
    }

    const QUICK: (&str, &str) = ("interval_nsec", "1");

    #[test]
    fn samples_and_copies_are_counted() {
        let made = made(&[("samples", "3"), ("copies", "2"), QUICK], 6);
        assert!(
            made.iter()
                .all(|(_, line)| line == r#"dummy.0 {"message":"dummy"}"#),
            "{made:?}"
        );
    }

    #[test]
    fn records_are_what_the_options_say() {
        let pairs = [
            ("dummy", r#"{"a":{"b":[1]}}"#),
            ("metadata", r#"{"m":1}"#),
            ("samples", "1"),
            QUICK,
        ];
        assert_eq!(
            made(&pairs, 1)[0].1,
            r#"dummy.0 {"__internal__":{"log_metadata":{"m":1}},"a":{"b":[1]}}"#
        );
        let pairs = [
            ("dummy", "no JSON"),
            ("samples", "1"),
            ("rate", "100"),
            ("flush_on_startup", "on"),
        ];
        assert_eq!(made(&pairs, 1)[0].1, r#"dummy.0 {"message":"dummy"}"#);
    }

    #[test]
    fn times_start_where_they_are_told_to() {
        let base = [
            ("start_time_sec", "1000"),
            ("start_time_nsec", "5"),
            ("samples", "50"),
            QUICK,
        ];
        let times = made(&base, 50);
        assert_eq!(times[0].0, Time::new(1000, 5));
        assert!(times.is_sorted_by_key(|(time, _)| *time));
        let fixed = [&base[..], &[("fixed_timestamp", "true")]].concat();
        assert!(
            made(&fixed, 50)
                .iter()
                .all(|(time, _)| *time == Time::new(1000, 5))
        );
    }

    #[test]
    fn intervals_win_over_rates() {
        let interval = |pairs: &[(&str, &str)]| options::<DummyOptions>(pairs).interval();
        assert_eq!(interval(&[]), Duration::from_secs(1));
        assert_eq!(interval(&[("rate", "4")]), Duration::from_millis(250));
        assert_eq!(interval(&[("rate", "0")]), Duration::from_secs(1));
        assert_eq!(
            interval(&[("rate", "4"), ("interval_sec", "2"), ("interval_nsec", "7")]),
            Duration::new(2, 7)
        );
    }
}
