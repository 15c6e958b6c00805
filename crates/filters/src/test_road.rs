//! What tests of filters stand on: records with obligations, and a road that keeps what it is given.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use config::{Diagnostics, Document, Entry, LogLevel, MemoryHost, Position, Section, SectionKind};
use parsers::Definitions;
use plugin::{
    BuildError, Emit, FilterCall, FilterContext, FilterPlugin, Level, Log, Metrics, RunFilter,
};
use record::json::{read, write};
use record::{Batch, Ledger, Position as Place, Record, Tag, Time, Value};

/// Keeps what is emitted.
#[derive(Default)]
pub struct Road(RefCell<Vec<Batch>>);

impl Emit for Road {
    fn emit(&self, batch: Batch) {
        self.0.borrow_mut().push(batch);
    }
}

impl Road {
    /// What was emitted since the last call.
    pub fn take(&self) -> Vec<Batch> {
        self.0.take()
    }
}

/// Builds `plugin` with these options; the parsers file has this text.
pub fn try_build(
    plugin: &FilterPlugin,
    options: &[(&str, &str)],
    parsers: &str,
    limit: usize,
) -> Result<Box<dyn RunFilter>, BuildError> {
    let nowhere = Position::argument(1);
    let mut section = Section::new(SectionKind::Filter, "FILTER", nowhere.clone());
    for (key, value) in options {
        let entry = Entry::plain(key, nowhere.clone(), *value, nowhere.clone());
        section.entries.push(entry);
    }
    let mut diagnostics = Diagnostics::new();
    let Some(build) = (plugin.configure)(&section, &mut diagnostics) else {
        return Err(BuildError(diagnostics.to_string()));
    };
    let host = MemoryHost::new()
        .with_file("m.conf", "[SERVICE]\n    parsers_file p.conf\n")
        .with_file("p.conf", parsers);
    let main = Some(Path::new("m.conf"));
    let document = Document::load(&host, main, Vec::new(), &mut diagnostics);
    let definitions = Definitions::new(&document.parsers, LogLevel::Off, &mut diagnostics)
        .with_multiline(&document.multiline_parsers, limit, &mut diagnostics);
    build(&FilterContext {
        name: plugin.name.into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        parsers: Arc::new(definitions),
    })
}

/// The same for options that work.
pub fn build(plugin: &FilterPlugin, options: &[(&str, &str)]) -> Box<dyn RunFilter> {
    try_build(plugin, options, "", 2 << 20).unwrap_or_else(|error| panic!("{error}"))
}

/// A batch of these records, ten positions each, from `first` on.
pub fn batch(tag: &str, ledger: &Arc<Ledger>, first: u64, records: &[String]) -> Batch {
    let text = records.concat();
    let mut batch = Batch::new(Tag::from(tag), Bytes::from(text.into_bytes()));
    let (mut start, mut offset) = (0, first);
    for record in records {
        let span = batch.span(start..start + record.len());
        let (body, _) = read::object(&mut batch, span).expect("JSON");
        batch.push_record(Record {
            time: Time::new(offset as i64, 0),
            body,
            position: Place { offset, len: 10 },
            ..Record::default()
        });
        start += record.len();
        offset += 10;
    }
    let obligation = ledger.open(first..offset);
    batch.with_obligation(obligation)
}

/// Lets `filter` see `batch` at this moment; what is left of it comes back.
pub fn pass(filter: &mut Box<dyn RunFilter>, mut batch: Batch, road: &Road, now: Instant) -> Batch {
    filter.filter(&mut batch, &FilterCall { emit: road, now });
    batch
}

/// The records as JSON, with their metadata behind.
pub fn json(batch: &Batch) -> Vec<String> {
    let records = batch.records().iter();
    records
        .map(|record| {
            let mut out = Vec::new();
            let mut writer = write::Writer::default();
            writer.object(batch, record.body, &mut out);
            if !record.metadata.is_empty() {
                writer.value(batch, Value::Map(record.metadata), &mut out);
            }
            String::from_utf8(out).expect("text")
        })
        .collect()
}

/// What was emitted: tag and records of each batch.
pub fn told(batches: &[Batch]) -> Vec<(String, Vec<String>)> {
    let batches = batches.iter();
    batches
        .map(|batch| (batch.tag().to_string(), json(batch)))
        .collect()
}

/// Answers for one record of `batch`, and refuses the rest.
pub fn settle_only(batch: Batch, index: u32) {
    let (batch, mut receipt) = batch.freeze();
    receipt.settle(&batch, index..index + 1);
}

/// Answers for everything.
pub fn settle(batch: Batch) {
    batch.freeze().1.settle_all();
}
