//! Dead letters from outside of a running pipeline: reading them, and sending them once more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use buffer::dead_letters::{Letter, Store};
use buffer::fs::Disk;
use config::{Diagnostics, InputCommon, Options as _, Position as Place, Section, SectionKind};
use plugin::{Emitter, Ended, LocalFuture, RunInput, Stop};
use record::{Batch, Ledger, Origin, Position, Time};
use tokio::sync::Notify;

use crate::instance::TagMatcher;
use crate::plan::{Identity, Plan, PlannedInput};
use crate::storage::{below, encoding};

/// Records that one output gave up for one reason.
pub struct DeadLetter {
    /// The name of the output.
    pub output: Arc<str>,
    /// The label of the metric that counted them.
    pub reason: String,
    /// When they were given up.
    pub given_up: Time,
    /// The records with their tag.
    pub batch: Batch,
    stored: Letter,
}

impl DeadLetter {
    /// The records once more: one copy is sent, the other stays until there is an answer.
    pub fn copy(&self) -> Option<Batch> {
        let (body, count) = (self.stored.body.clone(), self.stored.records);
        encoding::decode(body, count, 0..count, 0, Origin::NONE).ok()
    }
}

/// What a file holds.
pub struct LettersRead {
    /// Its letters.
    pub letters: Vec<DeadLetter>,
    /// What could not be read, in bytes.
    pub damaged_bytes: u64,
}

/// The folder of dead letters of a configuration.
pub struct LetterBox {
    store: Store,
}

impl LetterBox {
    /// Where the router of `plan` keeps them.
    pub fn of(plan: &Plan) -> LetterBox {
        let folder = below(&plan.service.rejected_path);
        let state = plan.state_directory();
        let places = state.candidates();
        let folders = || places.iter().map(|place| place.join(&folder));
        let found = folders().find(|place| place.is_dir());
        LetterBox::at(
            found
                .or_else(|| folders().next())
                .unwrap_or_else(|| folder.clone()),
        )
    }

    /// Those in `folder`.
    pub fn at(folder: PathBuf) -> LetterBox {
        LetterBox {
            store: Store::new(Arc::new(Disk), folder, u64::MAX),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// The files, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        self.store.files()
    }

    /// What a file holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, file: &Path) -> io::Result<LettersRead> {
        let (stored, mut damaged_bytes) = self.store.read(file)?;
        let mut letters = Vec::new();
        for stored in stored {
            let (body, count) = (stored.body.clone(), stored.records);
            match encoding::decode(body, count, 0..count, 0, Origin::NONE) {
                Ok(batch) => letters.push(DeadLetter {
                    output: Arc::clone(&stored.output),
                    reason: stored.reason.clone(),
                    given_up: Time::from_nanos(stored.given_up),
                    batch,
                    stored,
                }),
                Err(_) => damaged_bytes += stored.body.len() as u64,
            }
        }
        Ok(LettersRead {
            letters,
            damaged_bytes,
        })
    }

    /// Takes everything but `left` out of `file`.
    ///
    /// # Errors
    /// When that is not certain; then letters may be there twice, and none is missing.
    pub fn finish(&self, file: &Path, left: &[DeadLetter]) -> io::Result<()> {
        if !left.is_empty() {
            let left: Vec<Letter> = left.iter().map(|letter| letter.stored.clone()).collect();
            self.store.put(&left)?;
        }
        self.store.remove(file)
    }
}

/// What became of letters that were sent once more.
#[derive(Clone, Default)]
pub struct Replay(Arc<Mutex<Vec<bool>>>);

impl Replay {
    /// For each letter whether its output has answered for all its records: delivered them, or given them up again.
    pub fn answered(&self) -> Vec<bool> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Plan {
    /// The names of its outputs.
    pub fn output_names(&self) -> Vec<Arc<str>> {
        let names = self.outputs.iter();
        names
            .map(|output| Arc::clone(&output.identity.name))
            .collect()
    }

    /// The plan that sends `letters` through its output `output` and ends. What is given up again goes into `folder`. No
    /// filter sees the records a second time.
    pub fn into_replay(
        mut self,
        output: &str,
        letters: Vec<Batch>,
        folder: PathBuf,
    ) -> (Plan, Replay) {
        self.outputs
            .retain(|planned| *planned.identity.name == *output);
        for planned in &mut self.outputs {
            planned.matcher = TagMatcher::everything();
        }
        self.filters.clear();
        self.replays_into = Some(folder);
        let replay = Replay::default();
        self.inputs = vec![input(letters, replay.clone())];
        (self, replay)
    }
}

fn input(letters: Vec<Batch>, replay: Replay) -> PlannedInput {
    let section = Section::new(SectionKind::Input, "input", Place::argument(0));
    let common = InputCommon::read_part(&section, &mut Diagnostics::new());
    let letters = Mutex::new(Some(letters));
    PlannedInput {
        identity: Identity {
            name: Arc::from("dead_letters"),
            instance: "dead_letters.0".to_owned(),
            plugin: "dead_letters",
            fingerprint: 0,
        },
        database: None,
        common: common.expect("the defaults of every input can be read"),
        spreads: false,
        source_keeps: false,
        source_waits: false,
        build: Arc::new(Box::new(move |_, _| {
            let mut letters = letters.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(Box::new(Letters {
                batches: letters.take().unwrap_or_default(),
                replay: replay.clone(),
            }))
        })),
    }
}

/// The input that hands letters over.
struct Letters {
    batches: Vec<Batch>,
    replay: Replay,
}

impl RunInput for Letters {
    fn run(self: Box<Self>, emitter: Emitter, stop: Stop) -> LocalFuture<'static, Ended> {
        Box::pin(async move {
            let changed = Arc::new(Notify::new());
            let told = Arc::clone(&changed);
            let mut ledgers = Vec::new();
            for mut batch in self.batches {
                let told = Arc::clone(&told);
                let ledger = Ledger::with_notice(0, move || told.notify_one());
                for (offset, record) in (0..).zip(batch.records_mut()) {
                    record.position = Position { offset, len: 1 };
                }
                let owed = ledger.open(0..batch.len() as u64);
                emitter.emit(batch.with_obligation(owed).with_awaited(true));
                ledgers.push(ledger);
            }
            let is_open =
                |ledger: &Arc<Ledger>| !ledger.is_settled() && ledger.refused().is_empty();
            while ledgers.iter().any(is_open) && !stop.is_requested() {
                tokio::select! {
                    () = changed.notified() => {}
                    () = stop.requested() => {}
                }
            }
            *self.replay.0.lock().unwrap_or_else(PoisonError::into_inner) =
                ledgers.iter().map(|ledger| ledger.is_settled()).collect();
            Ended {
                ends_process: true,
                ..Ended::default()
            }
        })
    }
}
