//! Records that outputs give up: kept with their reason, until somebody looks at them.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use buffer::dead_letters::{Letter, Report, Store, Writer};
use buffer::fs::Disk;
use config::ServiceOptions;
use monitor::OutputCounters;
use plugin::{Log, Reason};
use record::{Batch, Receipt, Time};

use super::{StateDirectory, encoding};
use crate::plan::Plan;

/// Takes what outputs give up. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters(Option<Rc<Keeper>>);

struct Keeper {
    place: Place,
    bytes_max: u64,
    log: Log,
    opened: RefCell<Opened>,
}

/// Where letters are kept.
enum Place {
    /// In a folder below the state directory.
    Below(Rc<StateDirectory>, PathBuf),
    /// In a folder that exists already.
    In(PathBuf),
}

/// The writer, which is started when it is needed first.
enum Opened {
    No,
    Yes(Rc<Writer>),
    /// It cannot be; that was said.
    Impossible,
}

impl DeadLetters {
    /// Nothing is kept.
    #[cfg(test)]
    pub fn none() -> DeadLetters {
        DeadLetters(None)
    }

    /// Keeps what the configuration says, in the state directory.
    pub fn new(service: &ServiceOptions, state: &Rc<StateDirectory>, log: Log) -> DeadLetters {
        let keeper = || {
            Rc::new(Keeper {
                place: Place::Below(Rc::clone(state), below(&service.rejected_path)),
                bytes_max: service.rejected_limit.0,
                log,
                opened: RefCell::new(Opened::No),
            })
        };
        DeadLetters(service.keep_rejected.0.then(keeper))
    }

    /// Keeps what a plan says where it says so.
    pub fn of(plan: &Plan, state: &Rc<StateDirectory>, log: Log) -> DeadLetters {
        match &plan.replays_into {
            Some(folder) => DeadLetters::in_folder(folder.clone(), log),
            None => DeadLetters::new(&plan.service, state, log),
        }
    }

    /// Keeps everything in `folder`, whoever else does: for letters that are sent once more and given up again.
    pub fn in_folder(folder: PathBuf, log: Log) -> DeadLetters {
        DeadLetters(Some(Rc::new(Keeper {
            place: Place::In(folder),
            bytes_max: u64::MAX,
            log,
            opened: RefCell::new(Opened::No),
        })))
    }

    /// Keeps `records` of `batch`, which an output has given up for `reason`, and answers for them with `receipt` once
    /// they are safe, or at once if nothing is kept.
    pub fn put(
        &self,
        batch: &Batch,
        records: Range<u32>,
        counters: &OutputCounters,
        reason: Reason,
        receipt: Receipt,
    ) {
        let writer = self.0.as_ref().and_then(|keeper| keeper.writer());
        let Some(writer) = writer.filter(|_| encoding::is_storable(batch)) else {
            return receipt.settle_all();
        };
        let count = records.end - records.start;
        let letter = Letter {
            output: Arc::clone(&counters.name),
            reason: reason.0.to_owned(),
            given_up: Time::now().nanos(),
            records: count,
            body: encoding::encode(batch, &[records]),
        };
        let own = counters.own.clone();
        writer.put(letter, move |is_kept| {
            if is_kept {
                own.counter("dead_letters_total", "Records given up and kept.")
                    .add(u64::from(count));
            } else {
                let help = "Records given up and not kept: no room, or nowhere to write.";
                own.counter("dead_letters_lost_total", help)
                    .add(u64::from(count));
            }
            receipt.settle_all();
        });
    }
}

impl Keeper {
    fn writer(&self) -> Option<Rc<Writer>> {
        match &*self.opened.borrow() {
            Opened::Yes(writer) => return Some(Rc::clone(writer)),
            Opened::Impossible => return None,
            Opened::No => {}
        }
        let opened = self.open();
        let writer = match &opened {
            Opened::Yes(writer) => Some(Rc::clone(writer)),
            _ => None,
        };
        *self.opened.borrow_mut() = opened;
        writer
    }

    fn open(&self) -> Opened {
        let folder = match &self.place {
            Place::In(folder) => folder.clone(),
            Place::Below(state, folder) => match state.of_router() {
                Ok(directory) => directory.path.join(folder),
                Err(error) => {
                    self.log.warn(format_args!(
                        "records that are given up are not kept: {error}"
                    ));
                    return Opened::Impossible;
                }
            },
        };
        let store = Store::new(Arc::new(Disk), folder.clone(), self.bytes_max);
        let log = self.log.clone();
        let place = folder.display().to_string();
        let told = move |report: Report<'_>| {
            match report {
            Report::Failed(error) => log.error(format_args!(
                "{place}: cannot keep records that are given up: {error}"
            )),
            Report::Recovered => log.info(format_args!("{place} can be written again")),
            Report::NotKept(letter) => log.error(format_args!(
                "{place}: {} records that output {} gave up ({}) are not kept: there is no room (storage.rejected.limit)",
                letter.records, letter.output, letter.reason
            )),
        }
        };
        match Writer::start(store, told) {
            Ok(writer) => {
                self.log.info(format_args!(
                    "records that are given up are kept in {}: see 'flumen dlq'",
                    folder.display()
                ));
                Opened::Yes(Rc::new(writer))
            }
            Err(error) => {
                self.log
                    .error(format_args!("cannot start the thread for them: {error}"));
                Opened::Impossible
            }
        }
    }
}

/// A folder that lies below another whatever the configuration says.
pub fn below(path: &str) -> PathBuf {
    let parts = Path::new(path).components();
    let folder: PathBuf = parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    match folder.as_os_str().is_empty() {
        true => PathBuf::from("rejected"),
        false => folder,
    }
}
