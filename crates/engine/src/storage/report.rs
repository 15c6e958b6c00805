//! What is said about records on the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use buffer::wal::{Gap, Recovered};
use monitor::OutputCounters;
use plugin::{Counter, Log};

use super::{Report, TOTAL_LIMIT, Way};

/// Says what was found at start.
pub fn recovered(log: &Log, folder: &Path, recovered: &Recovered, ways: &[Rc<Way>]) {
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

/// What is lost is counted here.
#[derive(Clone, Default)]
pub struct Counted {
    /// Outputs by their names.
    outputs: Arc<Mutex<BTreeMap<Arc<str>, OutputCounters>>>,
    /// Places of the log where records are damaged or gone.
    pub damaged_places: Counter,
    /// The bytes that cannot be read there.
    pub damaged_bytes: Counter,
}

impl Counted {
    /// An output is counted here from now on.
    pub fn set(&self, counters: &OutputCounters) {
        let mut all = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(Arc::clone(&counters.name), counters.clone());
    }

    /// Says and counts that records of the log are damaged or gone.
    pub fn tell_gap(&self, log: &Log, gap: &Gap) {
        self.damaged_places.add(1);
        self.damaged_bytes.add(gap.bytes);
        say_gap(log, gap);
    }

    /// Records were dropped because too many wait for an output.
    fn drop_oldest(&self, name: &str, records: u64) {
        let all = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counters) = all.get(name) {
            // They were never handed to it: counted as routed and settled too, so that the sums hold.
            counters.routed.add(records);
            counters.settled.add(records);
            counters.dropped.add(records);
            counters.own.dropped(TOTAL_LIMIT.0).add(records);
        }
    }
}

/// What the storage thread calls.
pub fn teller(log: &Log, counted: &Counted) -> impl Fn(Report<'_>) + Send + 'static {
    let (log, counted) = (log.clone(), counted.clone());
    move |report| match report {
        Report::Failed(error) => log.error(format_args!(
            "cannot write: {error}; what is not safe stays in memory, and its sources wait"
        )),
        Report::Recovered => log.info(format_args!("can write again")),
        Report::Gap(gap) => counted.tell_gap(&log, gap),
        Report::Dropped { records: 0, .. } => {}
        Report::Dropped { route, records } => {
            log.error(format_args!(
                "output {route}: its oldest {records} records are dropped, because more waits for it than \
                 storage.total_limit_size"
            ));
            counted.drop_oldest(route, records);
        }
    }
}
