//! Amazon S3: objects of lines, or Parquet.
//!
//! A chunk of records counts as delivered when it is in the buffer file of its object, on the disk: positions move on
//! and memory stays flat. Objects are uploaded when they are full or old enough, and at the stop; what cannot be
//! uploaded stays in `store_dir` and is uploaded by the next run. The name of an object is fixed in its buffer file before
//! the first record is acknowledged, and objects are put conditionally, so that neither a retry nor a crash makes a
//! second copy.

mod bucket;
mod buffers;
mod claims;
mod done;
pub mod encoding;
mod frames;
mod key;
mod memory;
mod object;
mod options;
pub mod parquet;
mod payload;
mod queue;
mod repeat;
mod store;
#[cfg(test)]
mod tests;
mod upload;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::aws::{Client, Service};
use plugin::{
    Answer, BuildError, Counter, Deliver, Gauge, LocalFuture, Log, Output, OutputContext,
    OutputPlugin, Request, RunOutput,
};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout_at};

use bucket::{Bucket, Failure};
use buffers::{BufferSettings, Buffers, Chunk, Sealed};
use done::Done;
use encoding::Data;
use memory::Memory;
use object::Description;
pub use options::S3Options;
use payload::{Earlier, Payload};
use queue::{Queue, Waits};
use repeat::Repeat;
use store::{Adopted, Store};
use upload::{Uploader, blocking};

/// `s3`.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<S3>("s3");

/// Chunks that are written to the disk at once.
const CONCURRENCY: usize = 4;
/// Objects that are uploaded at once.
const UPLOADS: usize = 4;
/// How often it is looked whether another run has ended without uploading everything.
const ADOPTION: Duration = Duration::from_secs(60);

/// The sending half: its tasks end with it.
struct S3 {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    store: Arc<Store>,
    buffers: Buffers,
    queue: Queue<Sealed>,
    uploader: Uploader,
    done: Done,
    counts: Counts,
    log: Log,
}

struct Counts {
    uploads: Counter,
    failures: Counter,
    bytes: Counter,
    stored: Gauge,
    waiting: Gauge,
}

impl Output for S3 {
    type Options = S3Options;

    /// More shards would make more and smaller objects, and each would have a `store_dir` limit of its own.
    const SHARED: bool = true;

    fn build(options: S3Options, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let client = options
            .connection
            .client(Service::S3, &options.region, context)?;
        let settings = options.buffer_settings(context)?;
        S3::assemble(&options, settings, client, context, Waits::default())
    }
}

impl S3 {
    fn assemble(
        options: &S3Options,
        settings: BufferSettings,
        client: Client,
        context: &OutputContext,
        waits: Waits,
    ) -> Result<RunOutput, BuildError> {
        let (date, writer) = (options.date()?, options.writer(context));
        let store = Arc::new(Store::new(
            &options.store_dir,
            &options.bucket,
            &context.name,
        ));
        // Before what is left is taken over: it may be gone soon then.
        let stored = done::load(&store, settings.output).unwrap_or_else(|error| {
            context.log.error(format_args!(
                "store_dir: {error}; records that are in it may be stored again"
            ));
            claims::Stored::default()
        });
        let left = store.adopt();
        let bucket = Bucket::new(client, &options.bucket);
        let memory = Memory::new(Arc::clone(&context.bodies));
        let repeat = Repeat::new(waits, context);
        let shared = Rc::new(Shared {
            store: Arc::clone(&store),
            buffers: Buffers::new(settings, store, context.log.clone()),
            queue: Queue::new(options.preserve_data_ordering, waits),
            uploader: Uploader::new(bucket, memory, repeat, context.log.clone()),
            done: Done::default(),
            counts: Counts::new(context),
            log: context.log.clone(),
        });
        shared.adopt(left);
        let earlier = Earlier {
            stored,
            repeats: context.metrics.counter(
                "already_stored_total",
                "Records read again after a crash that were stored or uploaded before it, and are not stored again.",
            ),
        };
        let log_key = options.log_key.as_deref();
        Ok(RunOutput {
            format: Box::new(Payload::new(writer, date, log_key, earlier)),
            deliver: Rc::new(S3::start(shared)),
            concurrency: CONCURRENCY,
        })
    }
}

impl Counts {
    fn new(context: &OutputContext) -> Counts {
        let metrics = &context.metrics;
        Counts {
            uploads: metrics.counter("uploads_total", "Objects uploaded."),
            failures: metrics.counter("upload_failures_total", "Attempts to upload that failed."),
            bytes: metrics.counter("uploaded_bytes_total", "Bytes of the objects uploaded."),
            stored: metrics.gauge("store_bytes", "Bytes in store_dir that are not uploaded."),
            waiting: metrics.gauge("uploads_waiting", "Objects that wait for their upload."),
        }
    }
}

impl S3 {
    fn start(shared: Rc<Shared>) -> S3 {
        let mut tasks = vec![
            spawn_local(watch(Rc::clone(&shared))),
            spawn_local(adopt(Rc::clone(&shared))),
        ];
        tasks.extend((0..UPLOADS).map(|_| spawn_local(work(Rc::clone(&shared)))));
        S3 { shared, tasks }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Deliver for S3 {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            let chunk = request.note.as_ref().and_then(|note| note.downcast_ref());
            let Some(chunk) = chunk else {
                return Answer::again("a request without a tag");
            };
            self.shared.append(chunk, request).await
        })
    }

    fn close(&self) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.shared.enqueue_all(self.shared.buffers.all());
            self.shared.queue.hurry();
            self.shared.queue.empty().await;
        })
    }
}

impl Shared {
    async fn append(&self, chunk: &Chunk, request: &Request) -> Answer {
        match self.buffers.append(chunk, request.body.clone()).await {
            Ok(full) => {
                self.enqueue_all(full);
                self.counts.stored.set(self.buffers.used());
                Answer::Done
            }
            Err(error) => {
                if is_about_room(&error) {
                    // What is uploaded makes room.
                    self.enqueue_all(self.buffers.all());
                }
                Answer::again(format!("store_dir: {error}"))
            }
        }
    }

    /// Takes over what runs left that have ended.
    fn adopt(&self, adopted: io::Result<Adopted>) {
        let Adopted { left, done } = match adopted {
            Err(error) => return self.log.error(format_args!("store_dir: {error}")),
            Ok(adopted) => adopted,
        };
        done.into_iter().for_each(|place| self.done.add(place));
        if left.is_empty() {
            return;
        }
        self.log.info(format_args!(
            "{} objects of earlier runs are in store_dir and are uploaded now",
            left.len()
        ));
        let adopted = left.into_iter().map(|left| self.buffers.adopt(left));
        self.enqueue_all(adopted);
    }

    fn enqueue(&self, object: Sealed) {
        self.queue.push(object);
        self.counts.waiting.set(self.queue.len() as u64);
    }

    fn enqueue_all(&self, objects: impl IntoIterator<Item = Sealed>) {
        for object in objects {
            self.enqueue(object);
        }
    }

    /// Uploads an object; `None`: there was nothing to upload in its file.
    async fn upload(&self, object: &Sealed) -> Result<Option<(u64, String)>, Failure> {
        let Some((description, data)) = self.known(object).await? else {
            return Ok(None);
        };
        let uploaded = self
            .uploader
            .upload(&object.place, &description, data)
            .await?;
        Ok(Some(uploaded))
    }

    /// What is known of an object, read from its file if an earlier run left it.
    async fn known(&self, object: &Sealed) -> Result<Option<(Arc<Description>, Data)>, Failure> {
        if let Some(known) = &*object.known.borrow() {
            return Ok(Some(known.clone()));
        }
        let place = object.place.clone();
        let found = blocking(move || recover(&place)).await;
        let found = found.map_err(|error| Failure::again(format!("store_dir: {error}")))?;
        if let Some(damaged) = found.damaged {
            self.log.error(format_args!(
                "{damaged}: the buffer file is damaged; what is whole is uploaded, the file is kept under this name"
            ));
        }
        if let Some((description, data)) = found.known {
            *object.known.borrow_mut() = Some((Arc::new(description), data));
        }
        Ok(object.known.borrow().clone())
    }

    async fn finished(&self, object: &Rc<Sealed>, uploaded: Option<(u64, String)>) {
        if let Err(error) = self.retire(object).await {
            // It is in the bucket; the next run finds that out by its name.
            self.log.error(format_args!("store_dir: {error}"));
        }
        self.buffers.released(object);
        self.queue.done(object);
        if let Some((bytes, name)) = uploaded {
            self.counts.uploads.add(1);
            self.counts.bytes.add(bytes);
            self.log
                .info(format_args!("uploaded {name} ({bytes} bytes)"));
        }
        self.counts.stored.set(self.buffers.used());
        self.counts.waiting.set(self.queue.len() as u64);
    }

    /// Removes the files of an object that is uploaded, and keeps what it held.
    async fn retire(&self, object: &Sealed) -> io::Result<()> {
        let (place, known) = (object.place.clone(), object.known.borrow().clone());
        let retired = blocking(move || {
            let kept = known.map_or(Ok(false), |(description, data)| {
                done::keep(&place, &description, &data)
            });
            // A disk that is full must get its room back.
            place.remove().and(kept)
        });
        if retired.await? {
            self.done.add(object.place.clone());
        }
        self.forget_old().await
    }

    /// Removes what need not be known any more.
    async fn forget_old(&self) -> io::Result<()> {
        let old = self.done.take_old();
        if old.is_empty() {
            return Ok(());
        }
        let remove = move || {
            let mut removed = Ok(());
            for place in old {
                removed = std::fs::remove_file(place.done()).and(removed);
            }
            removed
        };
        blocking(remove).await
    }

    fn failed(&self, object: &Rc<Sealed>, failure: &Failure) {
        self.counts.failures.add(1);
        let (after, progress) = match failure {
            Failure::Again {
                after, progress, ..
            } => (*after, *progress),
            _ => (None, false),
        };
        let (failures, wait) = self.queue.postpone(object, after, progress);
        self.log.warn(format_args!(
            "failed to upload an object, retry {failures} in {:.1} seconds: {}",
            wait.as_secs_f64(),
            queue::why(failure)
        ));
    }
}

/// Uploads one object after the other.
async fn work(shared: Rc<Shared>) {
    loop {
        let object = shared.queue.next().await;
        match shared.upload(&object).await {
            Ok(uploaded) => shared.finished(&object, uploaded).await,
            Err(failure) => shared.failed(&object, &failure),
        }
    }
}

/// Hands over the objects that are old enough.
async fn watch(shared: Rc<Shared>) {
    loop {
        match shared.buffers.next_due() {
            None => shared.buffers.opened().await,
            Some(at) => {
                let _ = timeout_at(at, shared.buffers.opened()).await;
            }
        }
        shared.enqueue_all(shared.buffers.due());
    }
}

/// Looks again and again for what other runs left.
async fn adopt(shared: Rc<Shared>) {
    loop {
        sleep(ADOPTION).await;
        let store = Arc::clone(&shared.store);
        shared.adopt(blocking(move || store.adopt()).await);
        if let Err(error) = shared.forget_old().await {
            shared.log.error(format_args!("store_dir: {error}"));
        }
    }
}

/// What an earlier run left of an object.
struct Found {
    known: Option<(Description, Data)>,
    /// Where a damaged file is kept.
    damaged: Option<String>,
}

/// Reads a buffer file. A torn tail is left out: it was never acknowledged.
fn recover(place: &store::Place) -> io::Result<Found> {
    let path = place.buffer();
    let found = frames::examine(&path)?;
    let description: Option<Description> = found
        .description
        .as_deref()
        .and_then(|text| serde_json::from_slice(text).ok());
    let is_odd = found.damaged || (description.is_none() && found.description.is_some());
    let damaged = match is_odd {
        false => None,
        true => {
            std::fs::copy(&path, place.damaged())?;
            Some(place.damaged().display().to_string())
        }
    };
    let data = Data {
        path,
        extent: found.extent,
    };
    Ok(Found {
        known: description
            .filter(|_| found.extent.data > 0)
            .map(|description| (description, data)),
        damaged,
    })
}

fn is_about_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
