use bytes::Bytes;
use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
use plugin::{
    Deliver, DeliveryId, Format, Level, Log, Metrics, Outbox, Output, OutputContext, RunOutput,
};
use record::{Batch, Record, Tag, Time, json};

use super::cloudwatch::{Cloudwatch, CloudwatchOptions};
use super::{CloudwatchLogs, CloudwatchLogsOptions};

mod flows;
mod payloads;
mod rules;
mod server;

pub fn context() -> OutputContext {
    OutputContext {
        name: "cloudwatch_logs.0".into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        escape_unicode: true,
        nan_to_null: false,
        config_dir: ".".into(),
        writers: Default::default(),
        bodies: record::Budget::new(0),
    }
}

/// A batch of these records, one millisecond after the other.
pub fn batch(tag: &str, lines: &[&str]) -> Batch {
    let timed: Vec<_> = (0..).zip(lines.iter().copied()).collect();
    batch_at(tag, &timed)
}

/// A batch of records, each so many milliseconds after 1700000000.123.
pub fn batch_at(tag: &str, lines: &[(i64, &str)]) -> Batch {
    let text: String = lines.iter().map(|(_, line)| *line).collect();
    let mut batch = Batch::new(Tag::from(tag), Bytes::from(text));
    let mut at = 0;
    for (millis, line) in lines {
        let text = batch.span(at..at + line.len());
        at += line.len();
        let (body, _) = json::read::object(&mut batch, text).expect("JSON");
        batch.push_record(Record {
            time: Time::from_nanos(1_700_000_000_123_456_789 + millis * 1_000_000),
            body,
            ..Record::default()
        });
    }
    batch
}

fn section(entries: &[(&str, &str)]) -> Section {
    let nowhere = Position::argument(0);
    let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
    for (key, value) in entries {
        section
            .entries
            .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
    }
    section
}

fn build<O: Output>(
    entries: &[(&str, &str)],
    context: &OutputContext,
) -> Result<RunOutput, String> {
    let mut diagnostics = Diagnostics::new();
    let options = O::Options::read(&section(entries), &mut diagnostics)
        .ok_or_else(|| diagnostics.to_string())?;
    O::build(options, context).map_err(|error| error.to_string())
}

const BASIC: [(&str, &str); 3] = [
    ("region", "us-west-2"),
    ("log_group_name", "g"),
    ("log_stream_prefix", "p."),
];

/// The formatting half of `cloudwatch_logs` with these options besides the group `g` and the prefix `p.`.
fn formatting(more: &[(&str, &str)]) -> Box<dyn Format> {
    formatting_in(more, &context())
}

fn formatting_in(more: &[(&str, &str)], context: &OutputContext) -> Box<dyn Format> {
    let entries: Vec<_> = BASIC.iter().chain(more).copied().collect();
    let output = build::<CloudwatchLogs>(&entries, context);
    output.unwrap_or_else(|error| panic!("{error}")).format
}

/// Formats all records of a batch and seals.
fn format(format: &mut dyn Format, batch: &Batch) -> Outbox {
    let mut outbox = Outbox::default();
    format.format(DeliveryId(7), batch, 0..batch.len() as u32, &mut outbox);
    format.seal(&mut outbox);
    outbox
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let region = ("region", "us-west-2");
    let group = ("log_group_name", "g");
    let cases: [(&[(&str, &str)], &str); 8] = [
        (
            &[region, group],
            "Either 'log_stream_name' or 'log_stream_prefix' is required",
        ),
        (
            &[
                region,
                group,
                ("log_stream_name", "s"),
                ("log_stream_prefix", "p"),
            ],
            "exclude each other",
        ),
        (&[group, ("log_stream_name", "s")], "region"),
        (&[region, ("log_stream_name", "s")], "log_group_name"),
        (
            &[
                region,
                group,
                ("log_stream_name", "s"),
                ("log_stream_template", "$a["),
            ],
            "log_stream_template: record accessor",
        ),
        (
            &[
                region,
                group,
                ("log_stream_name", "s"),
                ("auto_create_group", "on"),
                ("log_group_class", "CHEAP"),
            ],
            "STANDARD, INFREQUENT_ACCESS",
        ),
        (
            &[
                region,
                group,
                ("log_stream_name", "s"),
                ("log_format", "a\nb"),
            ],
            "log_format",
        ),
        (
            &[
                region,
                group,
                ("log_stream_name", "s"),
                ("extra_user_agent", "a\nb"),
            ],
            "extra_user_agent",
        ),
    ];
    for (entries, expected) in cases {
        let error = build::<CloudwatchLogs>(entries, &context()).err();
        let error = error.unwrap_or_else(|| panic!("{entries:?} is taken"));
        assert!(error.contains(expected), "{error}");
    }
    // The class counts only where groups are created.
    let unused = [
        region,
        group,
        ("log_stream_name", "s"),
        ("log_group_class", "CHEAP"),
    ];
    assert!(build::<CloudwatchLogs>(&unused, &context()).is_ok());
    let unclosed = [
        region,
        ("log_group_name", "g-$(tag"),
        ("log_stream_name", "s"),
    ];
    assert!(build::<Cloudwatch>(&unclosed, &context()).is_err());
    // Upstream's own plugin knows no `$(…)`.
    assert!(build::<CloudwatchLogs>(&unclosed, &context()).is_ok());
}

/// The tables of both are what users write.
#[test]
fn both_names_know_their_options() {
    let names = |table: Vec<config::OptionSpec>| -> Vec<&'static str> {
        table.iter().map(|option| option.name).collect()
    };
    let own = names(CloudwatchLogsOptions::table());
    for option in [
        "log_group_template",
        "log_group_class",
        "add_entity",
        "metric_dimensions",
    ] {
        assert!(own.contains(&option), "{option}");
    }
    let old = names(CloudwatchOptions::table());
    for option in [
        "default_log_group_name",
        "new_log_group_tags",
        "auto_create_stream",
    ] {
        assert!(old.contains(&option) && !own.contains(&option), "{option}");
    }
}
