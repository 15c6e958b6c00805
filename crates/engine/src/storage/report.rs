//! What is said about records on the disk.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use buffer::wal::{Gap, Recovered};
use monitor::OutputCounters;
use plugin::Log;

use super::{Report, TOTAL_LIMIT, Way};

/// Says what was found at start.
pub fn recovered(log: &Log, folder: &Path, recovered: &Recovered, ways: &[Rc<Way>]) {
    for gap in &recovered.gaps {
        say_gap(log, gap);
    }
    for (name, waiting) in &recovered.waiting {
        let (records, bytes) = (waiting.records, waiting.bytes);
        let folder = folder.display();
        if ways.iter().any(|way| way.name == *name) {
            log.info(format_args!(
                "up to {records} records ({bytes} bytes) for output {name} are read from {folder}"
            ));
        } else {
            log.warn(format_args!(
                "{records} records ({bytes} bytes) in {folder} are for output {name}, which is not configured: they stay \
                 there"
            ));
        }
    }
}

fn say_gap(log: &Log, gap: &Gap) {
    let place = gap.file.display();
    let what = match &gap.numbers {
        Some(numbers) => format!(
            "records {} to {} are not there",
            numbers.start,
            numbers.end.saturating_sub(1)
        ),
        None => format!("{} bytes are damaged", gap.bytes),
    };
    match &gap.kept_in {
        Some(beside) => log.error(format_args!(
            "{place}: {what}; what is left of them is in {}",
            beside.display()
        )),
        None => log.error(format_args!("{place}: {what}")),
    }
}

/// What the storage thread calls.
pub fn teller(log: &Log, ways: &[Rc<Way>]) -> impl Fn(Report<'_>) + Send + 'static {
    let log = log.clone();
    let counters: HashMap<Arc<str>, OutputCounters> = ways
        .iter()
        .map(|way| (Arc::clone(&way.name), way.counters.clone()))
        .collect();
    move |report| match report {
        Report::Failed(error) => log.error(format_args!(
            "cannot write: {error}; what is not safe stays in memory, and its sources wait"
        )),
        Report::Recovered => log.info(format_args!("can write again")),
        Report::Gap(gap) => say_gap(&log, gap),
        Report::Dropped { route, records } => {
            if records == 0 {
                return;
            }
            log.error(format_args!(
                "output {route}: its oldest {records} records are dropped, because more waits for it than \
                 storage.total_limit_size"
            ));
            if let Some(counters) = counters.get(route) {
                // They are on no other way any more: counted as routed, so that what was routed is what has an answer.
                counters.routed.add(records);
                counters.dropped.add(records);
                counters.own.dropped(TOTAL_LIMIT.0).add(records);
            }
        }
    }
}
