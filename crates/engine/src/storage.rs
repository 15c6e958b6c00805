//! Records that wait on the disk: those of inputs with `storage.type filesystem`, and those of outputs that cannot keep
//! up with the others.
//!
//! ```text
//! Road ─▶ Storage ─▶ Exit of each output that keeps up           what it owes moves its cursor in the log
//!            └─▶ write-ahead log ─▶ Feeder of each that does not ─▶ Exit
//! ```
//!
//! What an input with `storage.type filesystem` handed over is settled once the log has it. What an input in memory
//! handed over is settled on delivery; but an output that holds more than its share of the memory *falls behind*: what
//! comes for it then goes to the log alone, and that settles its share. So a dead output stops no live one.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buffer::fs::{Disk, Fs};
use buffer::wal::{self, Append, Durability, OpenError, Report, Settings, Writer};
use config::{ServiceOptions, StorageSync, StorageType};
use monitor::OutputCounters;
use plugin::{Log, Reason};
use record::{Batch, Budget, Origin, Position, Receipt};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinHandle, spawn_local};

use crate::plan::Plan;
use crate::road::Delivery;

mod directory;
mod encoding;
mod feeder;
mod report;

pub use directory::{Directory, DirectoryError, candidates};

/// The oldest records of an output went, because it has more than `storage.total_limit_size`.
const TOTAL_LIMIT: Reason = Reason("storage_total_limit_size");
/// The smallest share of the memory that an output has, in bytes.
const SHARE_MIN: usize = 256 << 10;

/// How records are kept.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// Where, the best place first.
    pub candidates: Vec<PathBuf>,
    /// `storage.sync`.
    pub durability: Durability,
    /// `storage.backlog.mem_limit`: how much of what lies on the disk is read at a time.
    pub backlog_bytes: usize,
    /// `storage.backlog.flush_on_shutdown`.
    pub is_flushed_on_stop: bool,
    /// What stands for the machine's disk.
    pub disk: Option<SimulatedDisk>,
}

/// A disk of a simulation: the log stands on it at `/wal`, and works on the shard's own thread and clock.
#[derive(Clone)]
pub struct SimulatedDisk {
    /// The file system.
    pub fs: Arc<dyn Fs>,
    /// Gives the numbers that nobody gave before.
    pub new_uuid: fn() -> [u8; 16],
    /// The length at which a new segment is begun.
    pub segment_bytes: u64,
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimulatedDisk")
    }
}

impl StorageSettings {
    /// What a configuration says.
    pub fn new(plan: &Plan) -> StorageSettings {
        let service = &plan.service;
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let configured = service.storage_path.as_deref();
        StorageSettings {
            candidates: candidates(configured, &plan.state_name, variable),
            durability: match service.storage_sync {
                StorageSync::Full => Durability::Durable,
                StorageSync::Normal => Durability::Process,
            },
            backlog_bytes: usize::try_from(service.backlog_mem_limit.0).unwrap_or(usize::MAX),
            is_flushed_on_stop: service.backlog_flush_on_shutdown.0,
            disk: plan.disk.clone(),
        }
    }
}

/// Where records wait of inputs that do not say so.
#[derive(Clone, Copy, Debug)]
pub struct DefaultStorage(Option<StorageType>);

impl DefaultStorage {
    /// What `[SERVICE]` says: only with `storage.inherit`.
    pub fn new(service: &ServiceOptions) -> DefaultStorage {
        DefaultStorage(service.storage_type.filter(|_| service.storage_inherit.0))
    }

    /// Whether the records of an input with this `storage.type` are kept on the disk.
    pub fn is_stored(self, own: Option<StorageType>) -> bool {
        own.or(self.0) == Some(StorageType::Filesystem)
    }
}

/// An output, as the storage knows it.
pub struct Way {
    name: Arc<str>,
    /// Its number in the log.
    index: usize,
    deliveries: RefCell<Option<UnboundedSender<Delivery>>>,
    counters: OutputCounters,
    /// `storage.total_limit_size`.
    bytes_max: Option<u64>,
    held: Arc<Held>,
}

/// How many bytes of batches an output holds.
#[derive(Default)]
struct Held {
    bytes: AtomicUsize,
    /// Told when it has become less, or the output fell behind.
    changed: Notify,
}

/// Counts bytes as held until it is dropped.
struct Hold {
    held: Arc<Held>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.held.changed.notify_one();
    }
}

/// See the module's documentation.
pub struct Storage {
    log: Log,
    settings: StorageSettings,
    ways: Vec<Rc<Way>>,
    opened: RefCell<Opened>,
    memory: Arc<Budget>,
    /// An output that holds more bytes than this falls behind.
    share: usize,
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
    folder: PathBuf,
    _directory: Option<Directory>,
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
    /// Storage for `ways`, which share `memory` with the inputs. Nothing is opened.
    pub fn new(
        settings: StorageSettings,
        ways: Vec<Rc<Way>>,
        memory: Arc<Budget>,
        log: Log,
    ) -> Storage {
        let share = match memory.limit() {
            0 => usize::MAX,
            limit => (limit / 4 * 3 / ways.len().max(1)).max(SHARE_MIN),
        };
        Storage {
            log,
            settings,
            ways,
            opened: RefCell::new(Opened::No),
            memory,
            share,
        }
    }

    /// The storage of a pipeline: none where nothing will ever have to wait on the disk. Opened if an input needs it
    /// (`has_stored_inputs`) or an earlier run has left something.
    ///
    /// # Errors
    /// When it is needed and cannot be opened.
    pub fn for_pipeline(
        settings: StorageSettings,
        ways: Vec<Rc<Way>>,
        has_stored_inputs: bool,
        memory: Arc<Budget>,
        log: Log,
    ) -> Result<Option<Rc<Storage>>, StorageError> {
        let storage = Storage::new(settings, ways, memory, log);
        let is_needed = has_stored_inputs || storage.has_backlog();
        if is_needed {
            storage.open()?;
        }
        let may_spill = storage.ways.len() > 1;
        Ok((is_needed || may_spill).then(|| Rc::new(storage)))
    }

    /// Opens the log now, because an input needs it or an earlier run may have left something.
    ///
    /// # Errors
    /// When there cannot be one.
    pub fn open(&self) -> Result<(), StorageError> {
        if matches!(*self.opened.borrow(), Opened::Yes(_)) {
            return Ok(());
        }
        if let Some(disk) = &self.settings.disk {
            return self.open_simulated(disk);
        }
        let directory = Directory::take(&self.settings.candidates)?;
        let mut settings = self.log_settings(&directory.path);
        let smallest = self.ways.iter().filter_map(|way| way.bytes_max).min();
        if let Some(smallest) = smallest {
            // Whole segments are dropped at the limit: they should be a small part of it.
            settings.segment_bytes = settings.segment_bytes.min((smallest / 8).max(64 << 10));
        }
        let (log, recovered) = wal::Log::open(Arc::new(Disk), settings)?;
        report::recovered(&self.log, &directory.path, &recovered, &self.ways);
        let told = report::teller(&self.log, &self.ways);
        let writer =
            Writer::start(log, &recovered, self.routes(), told).map_err(StorageError::Thread)?;
        *self.opened.borrow_mut() = Opened::Yes(Rc::new(Open {
            writer,
            folder: directory.path.clone(),
            _directory: Some(directory),
        }));
        Ok(())
    }

    fn log_settings(&self, folder: &Path) -> Settings {
        Settings::new(folder.join("wal"), self.settings.durability)
    }

    fn routes(&self) -> Vec<wal::Route> {
        let routes = self.ways.iter().map(|way| wal::Route {
            name: Arc::clone(&way.name),
            bytes_max: way.bytes_max,
        });
        routes.collect()
    }

    fn open_simulated(&self, disk: &SimulatedDisk) -> Result<(), StorageError> {
        let folder = PathBuf::from("/");
        let settings = Settings {
            new_uuid: disk.new_uuid,
            segment_bytes: disk.segment_bytes,
            ..self.log_settings(&folder)
        };
        let (log, recovered) = wal::Log::open(Arc::clone(&disk.fs), settings)?;
        report::recovered(&self.log, &folder, &recovered, &self.ways);
        let told = report::teller(&self.log, &self.ways);
        let (writer, driver) = Writer::driven(log, &recovered, self.routes(), told);
        spawn_local(driver.run(tokio::time::sleep_until));
        *self.opened.borrow_mut() = Opened::Yes(Rc::new(Open {
            writer,
            folder,
            _directory: None,
        }));
        Ok(())
    }

    /// Feeds every output with what waits for it on the disk, until dropped.
    pub fn feed(self: &Rc<Storage>) -> Vec<JoinHandle<()>> {
        let feed = |route| spawn_local(feeder::feed(Rc::clone(self), route));
        (0..self.ways.len()).map(feed).collect()
    }

    /// Whether an earlier run left a log in one of the places.
    pub fn has_backlog(&self) -> bool {
        if let Some(disk) = &self.settings.disk {
            let names = disk.fs.list(Path::new("/wal"));
            return names.is_ok_and(|names| !names.is_empty());
        }
        let has_log = |folder: &PathBuf| {
            let entries = std::fs::read_dir(folder.join("wal"));
            entries.is_ok_and(|mut entries| entries.next().is_some())
        };
        self.settings.candidates.iter().any(has_log)
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

    /// Sends `batch` to the outputs number `routes`, through the log where need be. `is_stored`: its input wants to be
    /// answered as soon as the log has it.
    pub fn route(&self, mut batch: Batch, routes: &[usize], is_stored: bool) {
        let receipt = std::mem::replace(batch.receipt_mut(), Receipt::none());
        if !encoding::is_storable(&batch) {
            let (batch, _) = batch.freeze();
            return self.hand_over(&batch, receipt, routes);
        }
        if is_stored && let Some(open) = self.log() {
            return self.store(&open, batch, receipt, routes);
        }
        let (batch, _) = batch.freeze();
        let (behind, live): (Vec<usize>, Vec<usize>) =
            routes.iter().partition(|route| self.is_behind(**route));
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

    /// Whether what comes for an output must wait on the disk, because it holds too much.
    fn is_behind(&self, route: usize) -> bool {
        let way = &self.ways[route];
        // With one output back-pressure is all that is needed.
        if self.ways.len() < 2 {
            return false;
        }
        if let Some(open) = self.opened()
            && open.writer.behind(way.index).is_some()
        {
            return true;
        }
        if way.held.bytes.load(Ordering::Acquire) <= self.share_of(way) {
            return false;
        }
        let Some(open) = self.log() else {
            return false;
        };
        self.fall_behind(&open, way);
        true
    }

    fn share_of(&self, way: &Way) -> usize {
        let limit = way.bytes_max.map_or(usize::MAX, |bytes| bytes as usize / 2);
        self.share.min(limit)
    }

    fn fall_behind(&self, open: &Open, way: &Way) {
        self.log.info(format_args!(
            "output {} cannot keep up: what comes for it waits in {}",
            way.name,
            open.folder.display()
        ));
        open.writer.fall_behind(way.index);
        way.held.changed.notify_one();
    }

    /// Keeps a batch and hands it to the outputs that keep up. Its source is answered when the log has it.
    fn store(&self, open: &Open, batch: Batch, receipt: Receipt, routes: &[usize]) {
        for route in routes {
            let way = &self.ways[*route];
            if way.held.bytes.load(Ordering::Acquire) > self.share_of(way)
                && open.writer.behind(way.index).is_none()
            {
                self.fall_behind(open, way);
            }
        }
        let records = 0..batch.len() as u32;
        let body = encoding::encode(&batch, &[records.clone()]);
        let (first, owed) = self.append(open, body, records.end, receipt, routes);
        let batch = match batch.origin().is_none() {
            true => numbered(batch, first, Origin::from_bytes(open.writer.origin())),
            false => batch,
        };
        // Nobody waits for the outputs any more.
        let (batch, _) = batch.with_awaited(false).freeze();
        for (route, obligation) in owed {
            let receipt = Receipt::numbered(obligation, first);
            self.deliver(&self.ways[route], Arc::clone(&batch), receipt);
        }
    }

    /// Keeps records for outputs that are behind.
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
        let (first, owed) = self.append(open, body, count, receipt, routes);
        // An output may have caught up since it was looked at: it gets them like any other.
        for (route, obligation) in owed {
            let origin = Origin::from_bytes(open.writer.origin());
            let body = encoding::encode(batch, records);
            if let Ok(batch) = encoding::decode(body, count, 0..count, first, origin) {
                let (batch, _) = batch.freeze();
                let receipt = Receipt::numbered(obligation, first);
                self.deliver(&self.ways[route], batch, receipt);
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
            chunks: Vec::new(),
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
            self.deliver(&self.ways[*route], Arc::clone(batch), receipt.fork());
        }
        self.deliver(&self.ways[*last], Arc::clone(batch), receipt);
    }

    /// Hands a batch to an output, which holds it until it is answered for.
    fn deliver(&self, way: &Way, batch: Arc<Batch>, receipt: Receipt) {
        let bytes = batch.footprint();
        way.held.bytes.fetch_add(bytes, Ordering::AcqRel);
        let hold = Hold {
            held: Arc::clone(&way.held),
            bytes,
        };
        way.counters.routed.add(batch.len() as u64);
        if let Some(deliveries) = &*way.deliveries.borrow() {
            // If the runner is gone, the dropped receipt refuses the records.
            let receipt = receipt.with_guard(hold);
            let _ = deliveries.send(Delivery { batch, receipt });
        }
    }

    /// No output gets anything more from here: a stop.
    pub fn detach(&self) {
        for way in &self.ways {
            way.deliveries.borrow_mut().take();
        }
    }

    /// Whether what lies on the disk is still delivered while the router stops.
    pub fn is_flushed_on_stop(&self) -> bool {
        self.settings.is_flushed_on_stop
    }

    /// Waits until everything is safe, and says what stays on the disk.
    pub async fn close(&self) {
        let Some(open) = self.opened() else { return };
        if !open.writer.flush().await {
            self.log.error(format_args!(
                "{} cannot be written: what is not safe stays with its sources",
                open.folder.display()
            ));
        }
        for way in &self.ways {
            let waiting = open.writer.waiting(way.index);
            if waiting.records > 0 {
                self.log.info(format_args!(
                    "output {}: up to {} records stay in {} and are sent after the next start",
                    way.name,
                    waiting.records,
                    open.folder.display()
                ));
            }
        }
    }
}

impl Way {
    /// The output `name`, which is number `index` of the configuration.
    pub fn new(
        name: Arc<str>,
        index: usize,
        deliveries: UnboundedSender<Delivery>,
        counters: OutputCounters,
        bytes_max: Option<u64>,
    ) -> Rc<Way> {
        Rc::new(Way {
            name,
            index,
            deliveries: RefCell::new(Some(deliveries)),
            counters,
            bytes_max,
            held: Arc::default(),
        })
    }
}

/// The batch, its records numbered from `first` on by `origin`.
fn numbered(mut batch: Batch, first: u64, origin: Origin) -> Batch {
    for (offset, record) in (first..).zip(batch.records_mut()) {
        record.position = Position { offset, len: 1 };
        record.extra = 0;
    }
    batch.with_origin(origin)
}

#[cfg(test)]
mod tests;
