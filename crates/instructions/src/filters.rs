//! What changes records on their way.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use config::{Diagnostics, SectionKind};
use multiline::{Joined, Joiner, Place, Stream, assign};
use plugin::{Emit, FilterCall, FilterContext, Level, Log, Metrics, RunFilter};
use record::{Batch, Ledger, Obligation, Tag, Time};

use crate::lines::{self, TAG};
use crate::section::section;
use crate::{Path, RECORDS, parsers};

/// Counts what is emitted.
#[derive(Default)]
struct Road(Cell<usize>);

impl Emit for Road {
    fn emit(&self, batch: Batch) {
        self.0.set(self.0.get() + batch.records().len());
        batch.freeze().1.settle_all();
    }
}

fn build(name: &str, options: &[(&str, &str)]) -> Box<dyn RunFilter> {
    let plugin = filters::ALL.iter().find(|plugin| plugin.name == name);
    let plugin = plugin.expect("a filter");
    let mut diagnostics = Diagnostics::new();
    let section = section(SectionKind::Filter, options);
    let build = (plugin.configure)(&section, &mut diagnostics);
    let build = build.unwrap_or_else(|| panic!("{diagnostics}"));
    let built = build(&FilterContext {
        name: plugin.name.into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        parsers: Arc::new(parsers::definitions()),
    });
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// `rewrite_tag`: a rule that sends every record on under one of two tags. A batch is gone afterwards, so that reading a new
/// one from JSON is counted, too.
pub fn rewrite_tag() -> Path {
    let rule = ("Rule", r"$method ^(GET|POST)$ request.$1 false");
    let mut filter = build("rewrite_tag", &[rule]);
    let (road, ledger) = (Road::default(), Ledger::new(0));
    let (mut first, lines) = (0, lines::json_records());
    Path::new(RECORDS, move || {
        let obligation = ledger.open(first..first + RECORDS as u64);
        first += RECORDS as u64;
        let mut batch = lines::from_json(&lines).with_obligation(obligation);
        let now = Instant::now();
        filter.filter(&mut batch, &FilterCall { emit: &road, now });
        filter.expire(&FilterCall { emit: &road, now }, true);
        batch.freeze().1.settle_all();
        road.0.take()
    })
}

const TRACE: &str = "2026-11-28 00:00:00 ERROR c.e.Orders - java.lang.IllegalStateException: no such order\n\
    \tat com.example.orders.OrderService.find(OrderService.java:132)\n\
    \tat com.example.orders.OrderController.get(OrderController.java:48)\n\
    \tat java.base/java.lang.Thread.run(Thread.java:1583)\n\
    Caused by: java.sql.SQLException: timeout\n\
    \t... 27 more\n\
    2026-11-28 00:00:00 INFO c.e.Orders - order 4711 of customer 42 was accepted in 12 ms\n";
/// A trace of six lines, and one beside it.
const TRACES: usize = 100;

/// Lines joined to Java's stack traces: 700 lines, 200 records.
pub fn java_traces() -> Path {
    let definitions = parsers::definitions();
    let names = ["java".to_owned()];
    let mut joiner = Joiner::new(&names, None, &definitions).expect("it is built in");
    let (mut stream, mut joined) = (Stream::default(), Joined::default());
    let text = Bytes::from(TRACE.repeat(TRACES));
    Path::new(2 * TRACES, move || {
        let now = Instant::now();
        let mut batch = Batch::new(Tag::from(TAG), text.clone());
        let mut start = 0;
        while let Some(len) = text[start..].iter().position(|byte| *byte == b'\n') {
            let line = start..start + len;
            let positions = start as u64..(line.end + 1) as u64;
            start = line.end + 1;
            let mut place = Place {
                batch: &mut batch,
                now,
                time: Time::new(0, 0),
            };
            joiner.line(&mut stream, line, positions, &mut place, &mut joined);
        }
        let mut place = Place {
            batch: &mut batch,
            now,
            time: Time::new(0, 0),
        };
        joiner.flush(&mut stream, &mut place, &mut joined);
        assign(&mut batch, Obligation::none(), &mut joined.records);
        batch.records().len()
    })
}
