//! Records that wait on the disk: those of inputs with `storage.type filesystem`, and those of outputs that cannot keep
//! up with the others.
//!
//! ```text
//! Road ─▶ Storage ─▶ Exit of each output that keeps up           what it owes moves its cursor in the log
//!            └─▶ write-ahead log ─▶ Feeder of each that does not ─▶ Exit
//! ```
//!
//! What an input with `storage.type filesystem` handed over is settled once the log has it. What an input in memory
//! handed over is settled on delivery; but an output that holds more than its share of the memory, while another one gets
//! on, *falls behind*: what comes for it then goes to the log alone, and that settles its share. So a dead output stops no
//! live one. While none gets on, the inputs are held back instead: see [`lagging`].

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use buffer::fs::{Disk, Fs};
use buffer::wal::{self, Append, ChunkId, ChunkState, OpenError, Report, Settings, Writer};
use monitor::OutputCounters;
use plugin::{Log, Metrics, Reason};
use record::{Batch, Budget, Origin, Receipt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

use crate::road::{Delivery, Exit, Road, Source};
use names::{kept_for, numbered, sent_as};
use patience::Patience;
use resent::IsPending;

mod chunks_up;
mod closing;
mod dead_letters;
mod directory;
pub mod encoding;
mod feeder;
mod held;
mod import;
mod lagging;
mod names;
mod patience;
mod report;
mod resent;
mod running;
mod settings;

pub use dead_letters::{DeadLetters, below};
pub use directory::{
    Directory, DirectoryError, SimulatedDisk, StateDirectory, StateRoot, candidates, state_name,
};
pub use held::{Held, Hold};
pub use resent::ChunksOfAll;
pub use running::{claim, of_plan, open_storage, watched};
pub use settings::{DefaultStorage, StorageSettings};

/// The oldest records of an output went, because it has more than `storage.total_limit_size`.
const TOTAL_LIMIT: Reason = Reason("storage_total_limit_size");
/// The smallest share of the memory that an output has, in bytes.
const SHARE_MIN: usize = 256 << 10;

/// An output, as the storage knows it: one that is configured, or was once and has records here.
pub struct Way {
    name: Arc<str>,
    /// Its number in the log.
    index: usize,
    /// None while it is not configured, and after a stop.
    deliveries: RefCell<Option<UnboundedSender<Delivery>>>,
    counters: RefCell<OutputCounters>,
    /// `storage.total_limit_size`.
    bytes_max: Cell<Option<u64>>,
    held: Arc<Held>,
    /// What it holds of records that stand in the log.
    up: Arc<Held>,
    /// Whether it has a feeder.
    is_fed: Cell<bool>,
    /// Of inputs that wait for it.
    patience: RefCell<Patience>,
}

/// See the module's documentation.
pub struct Storage {
    log: Log,
    /// For what happens to inputs.
    input_log: Log,
    settings: StorageSettings,
    /// Every output that was ever heard of: their numbers stay.
    ways: RefCell<Vec<Rc<Way>>>,
    counted: report::Counted,
    opened: RefCell<Opened>,
    memory: Arc<Budget>,
    /// The smallest `Mem_Buf_Limit` that an input has or had, if any.
    input_bytes: Cell<Option<usize>>,
    /// The memory of inputs that are held back.
    held_back: RefCell<Vec<Arc<Budget>>>,
    /// Inputs that wait rather than fill the disk.
    paused: RefCell<Vec<chunks_up::Paused>>,
    /// Complete with the next batch that is kept.
    chunks: RefCell<Vec<ChunkId>>,
    /// Feed the outputs, once it is started.
    feeders: RefCell<Option<Vec<JoinHandle<()>>>>,
}

/// The log, which is opened when it is needed first.
enum Opened {
    No,
    Yes(Rc<Open>),
    /// It cannot be; that was said.
    Impossible,
}

/// An open log.
struct Open {
    writer: Writer,
    directory: Arc<Directory>,
}

/// Why the router cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no folder for it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no log.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The system has no room for a thread.
    #[error("cannot start the storage thread: {0}")]
    Thread(std::io::Error),
}

impl Storage {
    /// Storage for outputs that share `memory` with the inputs. Nothing is opened.
    pub fn new(settings: StorageSettings, memory: Arc<Budget>, log: Log) -> Storage {
        Storage {
            input_log: Log::new("input", log.level()),
            log,
            settings,
            ways: RefCell::default(),
            counted: report::Counted::default(),
            opened: RefCell::new(Opened::No),
            memory,
            input_bytes: Cell::new(None),
            held_back: RefCell::default(),
            paused: RefCell::default(),
            chunks: RefCell::default(),
            feeders: RefCell::default(),
        }
    }

    /// Hands records to `exits` from now on, and to no other output. Returns the number of each here.
    pub fn attach(self: &Rc<Storage>, exits: &[Exit]) -> Vec<usize> {
        self.detach();
        let numbers = exits.iter().map(|exit| {
            let name = &exit.counters.name;
            let way = match self.find(name) {
                Some(way) => way,
                None => self.add(name, exit.bytes_max),
            };
            *way.deliveries.borrow_mut() = Some(exit.deliveries.clone());
            *way.counters.borrow_mut() = exit.counters.clone();
            exit.oversight.count_in(&way.held);
            way.bytes_max.set(exit.bytes_max);
            self.counted.set(&exit.counters);
            if let Some(open) = self.opened() {
                open.writer.add_route(way.route());
            }
            way.index
        });
        let numbers = numbers.collect();
        // The outputs that did not get on may be gone.
        self.let_inputs_on();
        self.feed();
        numbers
    }

    fn find(&self, name: &str) -> Option<Rc<Way>> {
        let ways = self.ways.borrow();
        ways.iter().find(|way| *way.name == *name).cloned()
    }

    fn add(&self, name: &Arc<str>, bytes_max: Option<u64>) -> Rc<Way> {
        let mut ways = self.ways.borrow_mut();
        let way = Rc::new(Way {
            name: Arc::clone(name),
            index: ways.len(),
            deliveries: RefCell::default(),
            counters: RefCell::new(OutputCounters::new(Arc::clone(name), Metrics::default())),
            bytes_max: Cell::new(bytes_max),
            held: Arc::default(),
            up: Arc::default(),
            is_fed: Cell::new(false),
            patience: RefCell::new(Patience::new(Instant::now())),
        });
        ways.push(Rc::clone(&way));
        way
    }

    fn way(&self, index: usize) -> Rc<Way> {
        Rc::clone(&self.ways.borrow()[index])
    }

    /// How many outputs are configured.
    fn outputs(&self) -> usize {
        let ways = self.ways.borrow();
        ways.iter().filter(|way| way.is_attached()).count()
    }

    /// Whether `batch` must come through here: where there is one output and no input that is stored, nothing ever waits
    /// on the disk but what was kept at a stop.
    pub fn is_needed(&self, batch: &Batch, is_stored: bool) -> bool {
        is_stored || self.outputs() > 1 || batch.is_awaited() && self.remembers()
    }

    /// Opens the log now, because an input needs it or an earlier run may have left something.
    ///
    /// # Errors
    /// When there cannot be one.
    pub fn open(&self) -> Result<(), StorageError> {
        if matches!(*self.opened.borrow(), Opened::Yes(_)) {
            return Ok(());
        }
        let directory = self.settings.state.get()?;
        let mut settings = Settings::new(directory.path.join("wal"), self.settings.durability);
        let ways = self.ways.borrow().clone();
        if let Some(smallest) = ways.iter().filter_map(|way| way.bytes_max.get()).min() {
            // Whole segments are dropped at the limit: they should be a small part of it.
            settings.segment_bytes = settings.segment_bytes.min((smallest / 8).max(64 << 10));
        }
        let simulated = self.settings.state.disk().cloned();
        let mut fs: Arc<dyn Fs> = Arc::new(Disk);
        if let Some(disk) = &simulated {
            (settings.new_uuid, settings.segment_bytes) = (disk.new_uuid, disk.segment_bytes);
            fs = Arc::clone(&disk.fs);
        }
        let (log, recovered) = wal::Log::open(fs, settings)?;
        for gap in &recovered.gaps {
            self.counted.tell_gap(&self.log, gap);
        }
        report::recovered(&self.log, &directory.path, &recovered, &ways);
        for name in recovered.waiting.keys() {
            if self.find(name).is_none() {
                self.add(name, None);
            }
        }
        let routes = self.ways.borrow().iter().map(|way| way.route()).collect();
        let told = report::teller(&self.log, &self.counted);
        let writer = match simulated {
            None => Writer::start(log, &recovered, routes, told).map_err(StorageError::Thread)?,
            Some(_) => {
                let (writer, driver) = Writer::driven(log, &recovered, routes, told);
                spawn_local(driver.run(tokio::time::sleep_until));
                writer
            }
        };
        self.settings.chunks.add(writer.chunks());
        *self.opened.borrow_mut() = Opened::Yes(Rc::new(Open { writer, directory }));
        Ok(())
    }

    /// Begins to feed outputs with what waits for them on the disk, and to read what Fluent Bit left.
    pub fn start(self: &Rc<Storage>, road: &Rc<Road>) {
        self.feeders.borrow_mut().get_or_insert_default();
        self.feed();
        if let Some(folder) = self.settings.fluent_bit.clone() {
            let import = import::import(Rc::clone(self), Rc::clone(road), folder);
            let mut feeders = self.feeders.borrow_mut();
            feeders.get_or_insert_default().push(spawn_local(import));
        }
    }

    /// Starts the feeders that are missing, if it is started.
    fn feed(self: &Rc<Storage>) {
        let mut feeders = self.feeders.borrow_mut();
        let Some(feeders) = &mut *feeders else { return };
        for way in self.ways.borrow().iter() {
            if way.is_attached() && !way.is_fed.replace(true) {
                let feed = feeder::feed(Rc::clone(self), Rc::clone(way));
                feeders.push(spawn_local(feed));
            }
        }
    }

    /// A stop: what waits on the disk stays there, unless the configuration wants it to be delivered still.
    pub fn stop(&self) {
        if !self.settings.is_flushed_on_stop {
            self.end_feeders();
        }
    }

    fn end_feeders(&self) {
        let feeders = self.feeders.borrow_mut().take().unwrap_or_default();
        feeders.iter().for_each(JoinHandle::abort);
        // Nobody would look after them any more.
        self.let_inputs_on();
    }

    /// Whether an earlier run left a log in one of the places, or may have: see [`may_hold`].
    pub fn has_backlog(&self) -> bool {
        if let Some(disk) = self.settings.state.disk() {
            let names = disk.fs.list(Path::new("/wal"));
            return may_hold(names.map(|names| !names.is_empty()));
        }
        let has_log = |folder: PathBuf| {
            let entries = std::fs::read_dir(folder.join("wal"));
            may_hold(entries.map(|mut entries| entries.next().is_some()))
        };
        let left = self.settings.fluent_bit.as_deref();
        let has_chunks =
            |folder| may_hold(buffer::chunks::find(folder).map(|found| !found.is_empty()));
        self.settings.state.places().any(has_log) || left.is_some_and(has_chunks)
    }

    /// Whether nothing waits, on the disk or at an output.
    pub fn is_empty(&self) -> bool {
        let open = self.opened();
        let waits = |way: &Rc<Way>| {
            let on_disk = open
                .as_ref()
                .map(|open| open.writer.waiting(way.index).records);
            way.held.bytes() > 0 || on_disk.is_some_and(|records| records > 0)
        };
        !self.ways.borrow().iter().any(waits)
    }

    /// The log, opened if it was not; `None` if there cannot be one, which is said once.
    fn log(&self) -> Option<Rc<Open>> {
        match &*self.opened.borrow() {
            Opened::Yes(open) => return Some(Rc::clone(open)),
            Opened::Impossible => return None,
            Opened::No => {}
        }
        if let Err(error) = self.open() {
            self.log.warn(format_args!(
                "an output that cannot keep up will stop its sources: {error}"
            ));
            *self.opened.borrow_mut() = Opened::Impossible;
        }
        self.opened()
    }

    fn opened(&self) -> Option<Rc<Open>> {
        match &*self.opened.borrow() {
            Opened::Yes(open) => Some(Rc::clone(open)),
            _ => None,
        }
    }

    /// Sends `batch` to the outputs number `routes`, through the log where need be.
    pub fn route(&self, mut batch: Batch, routes: &[usize], source: Source<'_>) {
        let receipt = std::mem::replace(batch.receipt_mut(), Receipt::none());
        if !encoding::is_storable(&batch) {
            let (batch, _) = batch.freeze();
            return self.hand_over(&batch, receipt, routes);
        }
        let receiving = match self.not_kept(&batch, routes) {
            Ok(receiving) => receiving,
            // Dropping the receipt leaves it unanswered: it comes again, and is safe by then.
            Err(IsPending) => return,
        };
        let routes = &*receiving;
        if routes.is_empty() {
            return receipt.settle_all();
        }
        if source.is_stored
            && let Some(open) = self.log()
        {
            self.store(&open, batch, receipt, routes);
            if let (Some(input), Some(room)) = (source.pauses, source.room) {
                self.pause(input, room, routes);
            }
            return;
        }
        let (batch, _) = batch.freeze();
        self.judge(routes, source.room);
        let (behind, live): (Vec<usize>, Vec<usize>) = routes
            .iter()
            .partition(|route| self.outputs() > 1 && self.is_behind(&self.way(**route)));
        if let Some(open) = self.opened()
            && !behind.is_empty()
        {
            let records = 0..batch.len() as u32;
            let share = match live.is_empty() {
                true => return self.spill(&open, &batch, receipt, &behind, &[records]),
                false => receipt.fork(),
            };
            self.spill(&open, &batch, share, &behind, &[records]);
        }
        self.hand_over(&batch, receipt, &live);
    }

    fn fall_behind(&self, open: &Open, way: &Way) {
        self.log.info(format_args!(
            "output {} cannot keep up: what comes for it waits in {}",
            way.name,
            open.directory.path.display()
        ));
        open.writer.fall_behind(way.index);
        way.held.changed();
    }

    /// Keeps a batch and hands it to the outputs that keep up. Its source is answered when the log has it.
    fn store(&self, open: &Open, batch: Batch, receipt: Receipt, routes: &[usize]) {
        if let Some(chunk) = sent_as(&batch) {
            match self.state_of(&chunk) {
                ChunkState::New => self.complete_chunk(chunk),
                // Its sender has not heard of the answer and sends it once more.
                ChunkState::Kept => return receipt.settle_all(),
                // Dropping the receipt leaves it unanswered: it comes again, and is safe by then.
                ChunkState::Pending => return,
            }
        }
        for route in routes {
            let way = self.way(*route);
            if self.has_no_room(&way) && open.writer.behind(way.index).is_none() {
                self.fall_behind(open, &way);
            }
        }
        let records = 0..batch.len() as u32;
        let body = encoding::encode(&batch, std::slice::from_ref(&records));
        let (first, owed) = self.append(open, body, records.end, receipt, routes);
        let batch = match batch.origin().is_none() {
            true => numbered(batch, first, Origin::from_bytes(open.writer.origin())),
            false => batch,
        };
        // Nobody waits for the outputs any more.
        let (batch, _) = batch.with_awaited(false).freeze();
        for (route, obligation) in owed {
            let receipt = Receipt::numbered(obligation, first);
            self.deliver(&self.way(route), Arc::clone(&batch), receipt);
        }
    }

    /// Keeps records for outputs that are behind, which owe nothing for the rest of the batch.
    fn spill(
        &self,
        open: &Open,
        batch: &Arc<Batch>,
        receipt: Receipt,
        routes: &[usize],
        records: &[std::ops::Range<u32>],
    ) {
        let count = records.iter().map(|range| range.end - range.start).sum();
        let body = encoding::encode(batch, records);
        for route in routes {
            self.chunks
                .borrow_mut()
                .extend(kept_for(batch, &self.way(*route).name));
        }
        let (first, owed) = self.append(open, body, count, receipt, routes);
        // An output may have caught up since it was looked at: it gets them like any other.
        for (route, obligation) in owed {
            let origin = Origin::from_bytes(open.writer.origin());
            let body = encoding::encode(batch, records);
            if let Ok(batch) = encoding::decode(body, count, 0..count, first, origin) {
                let (batch, _) = batch.freeze();
                let receipt = Receipt::numbered(obligation, first);
                self.deliver(&self.way(route), batch, receipt);
            }
        }
    }

    fn append(
        &self,
        open: &Open,
        body: Vec<u8>,
        records: u32,
        receipt: Receipt,
        routes: &[usize],
    ) -> (u64, Vec<(usize, record::Obligation)>) {
        let mut permit = self.memory.nothing();
        permit.resize(body.len());
        open.writer.append(Append {
            routes: routes.to_vec(),
            records,
            chunks: self.chunks.take(),
            body,
            settled: Box::new(move || {
                receipt.settle_all();
                drop(permit);
            }),
        })
    }

    /// Hands a batch to outputs that answer for it to its source.
    fn hand_over(&self, batch: &Arc<Batch>, receipt: Receipt, routes: &[usize]) {
        let Some((last, others)) = routes.split_last() else {
            return receipt.settle_all();
        };
        for route in others {
            self.deliver(&self.way(*route), Arc::clone(batch), receipt.fork());
        }
        self.deliver(&self.way(*last), Arc::clone(batch), receipt);
    }

    /// Hands a batch to an output, which holds it until it is answered for.
    fn deliver(&self, way: &Way, batch: Arc<Batch>, receipt: Receipt) {
        let bytes = batch.footprint();
        let up = if receipt.is_numbered() { bytes } else { 0 };
        // In this order: who hears that it holds less looks at both.
        let holds = (Hold::new(&way.up, up), Hold::new(&way.held, bytes));
        let counters = way.counters.borrow();
        let records = batch.len() as u64;
        let deliveries = way.deliveries.borrow();
        let Some(deliveries) = &*deliveries else {
            // It is gone: the dropped receipt refuses the records.
            return;
        };
        counters.routed.add(records);
        let receipt = receipt.with_guard(holds);
        if deliveries.send(Delivery { batch, receipt }).is_err() {
            counters.returned.add(records);
        }
    }

    /// No output gets anything more from here, for good: each ends when it is done.
    pub fn leave_outputs(&self) {
        self.end_feeders();
        self.detach();
    }

    /// No output gets anything more from here, until it is attached.
    fn detach(&self) {
        for way in self.ways.borrow().iter() {
            way.deliveries.borrow_mut().take();
        }
    }

    /// Waits until everything is safe, until `deadline` at most if there is one, and says what stays on the disk.
    pub async fn close(&self, deadline: Option<Instant>) {
        self.leave_outputs();
        let Some(open) = self.opened() else { return };
        if !closing::make_safe(&open.writer, deadline).await {
            closing::say_unsafe(&self.log, &open);
        }
        for way in self.ways.borrow().iter() {
            let waiting = open.writer.waiting(way.index);
            if waiting.records > 0 {
                self.log.info(format_args!(
                    "output {}: up to {} records stay in {} and are sent after the next start",
                    way.name,
                    waiting.records,
                    open.directory.path.display()
                ));
            }
        }
    }
}

/// Whether something may lie where it was looked for. A disk that cannot be read is no proof that nothing does: what waits
/// there would stay undelivered for as long as the router runs. A place that is not there, or is another user's, has
/// nothing for this one.
fn may_hold(found: std::io::Result<bool>) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    found.unwrap_or_else(|error| {
        !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
    })
}

impl Way {
    fn is_attached(&self) -> bool {
        self.deliveries.borrow().is_some()
    }

    /// The most bytes that it may hold whatever room there is: half of what may wait for it in files.
    fn limit(&self) -> usize {
        let limit = self.bytes_max.get();
        limit.map_or(usize::MAX, |bytes| bytes as usize / 2)
    }

    /// When it must be looked after next, if inputs wait for it.
    fn next_look(&self) -> Option<Instant> {
        self.patience.borrow().until()
    }

    fn route(&self) -> wal::Route {
        wal::Route {
            name: Arc::clone(&self.name),
            bytes_max: self.bytes_max.get(),
        }
    }
}

#[cfg(test)]
mod tests;
