//! Objects that are being filled: one per tag, each in a buffer file of the store.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin::{Body, Log};
use record::{Origin, Tag, Time};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::encoding::Data;
use super::frames::{self, Content, Extent};
use super::key::{KeyFacts, KeyFormat, random_text};
use super::object::{Description, Name, ObjectSettings};
use super::queue::Tagged;
use super::store::{Leftover, Place, Store};
use super::upload::blocking;

/// How long a write is waited for before an object that is old enough is looked at again.
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// When an object is full, and what it is like.
#[derive(Debug)]
pub struct BufferSettings {
    /// `s3_key_format`.
    pub key_format: KeyFormat,
    /// Whether an object that is put at once gets a random end to its name.
    pub random_end: bool,
    /// What is stored with each object.
    pub object: ObjectSettings,
    /// `total_file_size`.
    pub size: u64,
    /// `upload_timeout`.
    pub timeout: Duration,
    /// `store_dir_limit_size`; 0 is none.
    pub limit: u64,
    /// Names the output and where its records go: the same as long as it writes the same.
    pub output: Origin,
}

/// What a request carries besides its body.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The tag of all records.
    pub tag: Tag,
    /// The time of the first one.
    pub time: Time,
    /// Which records they are.
    pub claims: Bytes,
}

/// An object that nothing is added to any more.
#[derive(Debug)]
pub struct Sealed {
    /// Its files.
    pub place: Place,
    /// The tag of its records.
    pub tag: Vec<u8>,
    /// What is known of it; `None`: it must be read from its file first.
    pub known: RefCell<Option<(Arc<Description>, Data)>>,
    /// What it counts for in `store_dir_limit_size`.
    pub size: u64,
}

/// The open objects.
#[derive(Debug)]
pub struct Buffers {
    settings: BufferSettings,
    store: Arc<Store>,
    open: RefCell<HashMap<Tag, Open>>,
    /// Bytes of all buffer files.
    used: Cell<u64>,
    opened: Notify,
    warned: Cell<bool>,
    log: Log,
}

#[derive(Debug)]
struct Open {
    place: Place,
    description: Arc<Description>,
    extent: Extent,
    since: Instant,
    /// A write is under way.
    is_busy: bool,
}

impl Buffers {
    /// No open objects.
    pub fn new(settings: BufferSettings, store: Arc<Store>, log: Log) -> Buffers {
        Buffers {
            settings,
            store,
            open: RefCell::new(HashMap::new()),
            used: Cell::new(0),
            opened: Notify::new(),
            warned: Cell::new(false),
            log,
        }
    }

    /// Appends a chunk to the object of its tag, durably. Returns the object if it is full now. Chunks of one tag come
    /// one after the other.
    pub async fn append(&self, chunk: &Chunk, body: Body) -> io::Result<Option<Sealed>> {
        let limit = self.settings.limit;
        if limit > 0 && self.used.get() + body.len() as u64 > limit {
            let why = format!("{limit} bytes wait in it already (store_dir_limit_size)");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        if !self.open.borrow().contains_key(&chunk.tag) {
            let open = self.create(chunk).await?;
            self.open.borrow_mut().insert(chunk.tag.clone(), open);
        }
        let Some((place, extent, description)) = self.begin(&chunk.tag) else {
            return Err(io::Error::other("a write to the same object is under way"));
        };
        let body_len = body.len() as u64;
        let claims = chunk.claims.clone();
        let written = blocking(move || {
            let is_new = extent == Extent::default();
            let description = is_new
                .then(|| serde_json::to_vec(&*description))
                .transpose()?;
            let content = Content {
                claims: &claims,
                data: &body,
            };
            frames::append(&place.buffer(), extent, description.as_deref(), content)
        });
        let written = written.await;
        self.end(&chunk.tag, &written);
        if written?.data == body_len {
            // The first chunk: the watch must know when this object is due.
            self.opened.notify_one();
        }
        Ok(self.seal_if(&chunk.tag, |open| self.is_full(open)))
    }

    /// A new object: its name is fixed here.
    async fn create(&self, chunk: &Chunk) -> io::Result<Open> {
        let format = &self.settings.key_format;
        let (store, has_index) = (Arc::clone(&self.store), format.has_index());
        let made = blocking(move || {
            let index = if has_index { store.next_index()? } else { 0 };
            Ok((store.place()?, index))
        });
        let (place, index) = made.await?;
        let key = format.render(KeyFacts {
            tag: chunk.tag.as_bytes(),
            time: chunk.time,
            index,
        });
        if let Some(part) = &key.missing_part
            && !self.warned.replace(true)
        {
            self.log.warn(format_args!(
                "s3_key_format: the tag {} has no part {part}, which stays in the name (said once)",
                chunk.tag
            ));
        }
        let named = |key: super::key::Key| Name {
            key: key.text,
            is_unique: key.is_unique,
        };
        let put_name = match self.settings.random_end {
            true => key.clone().with_random_end(),
            false => key.clone(),
        };
        let description = Description {
            id: format!("{}{}", random_text(), random_text()),
            tag: chunk.tag.as_bytes().to_vec(),
            output: Some(self.settings.output.to_bytes()),
            name: named(key),
            put_name: named(put_name),
            settings: self.settings.object.clone(),
        };
        Ok(Open {
            place,
            description: Arc::new(description),
            extent: Extent::default(),
            since: Instant::now(),
            is_busy: false,
        })
    }

    fn begin(&self, tag: &Tag) -> Option<(Place, Extent, Arc<Description>)> {
        let mut all = self.open.borrow_mut();
        let open = all.get_mut(tag).filter(|open| !open.is_busy)?;
        open.is_busy = true;
        Some((
            open.place.clone(),
            open.extent,
            Arc::clone(&open.description),
        ))
    }

    fn end(&self, tag: &Tag, written: &io::Result<Extent>) {
        if let Some(open) = self.open.borrow_mut().get_mut(tag) {
            open.is_busy = false;
            if let Ok(extent) = written {
                self.used
                    .set(self.used.get() + (extent.file - open.extent.file));
                open.extent = *extent;
            }
        }
    }

    fn is_full(&self, open: &Open) -> bool {
        open.extent.data >= self.settings.size || open.since.elapsed() >= self.settings.timeout
    }

    fn seal_if(&self, tag: &Tag, is_due: impl Fn(&Open) -> bool) -> Option<Sealed> {
        let mut all = self.open.borrow_mut();
        let open = all.get(tag)?;
        if open.is_busy || open.extent.data == 0 || !is_due(open) {
            return None;
        }
        let open = all.remove(tag)?;
        let data = Data {
            path: open.place.buffer(),
            extent: open.extent,
        };
        Some(Sealed {
            place: open.place,
            tag: open.description.tag.clone(),
            known: RefCell::new(Some((open.description, data))),
            size: open.extent.file,
        })
    }

    /// Objects that are full or old enough, oldest first.
    pub fn due(&self) -> Vec<Sealed> {
        self.seal_all_if(|open| self.is_full(open))
    }

    /// All objects, oldest first.
    pub fn all(&self) -> Vec<Sealed> {
        self.seal_all_if(|_| true)
    }

    fn seal_all_if(&self, is_due: impl Fn(&Open) -> bool) -> Vec<Sealed> {
        let mut tags: Vec<(Instant, Tag)> = self
            .open
            .borrow()
            .iter()
            .map(|(tag, open)| (open.since, tag.clone()))
            .collect();
        tags.sort();
        tags.iter()
            .filter_map(|(_, tag)| self.seal_if(tag, &is_due))
            .collect()
    }

    /// When the next object is old enough. One that is being written at that time is looked at again soon.
    pub fn next_due(&self) -> Option<Instant> {
        let soon = Instant::now() + BUSY_WAIT;
        let all = self.open.borrow();
        let dues = all.values().map(|open| {
            let due = open.since + self.settings.timeout;
            match open.is_busy || open.extent.data == 0 {
                true => due.max(soon),
                false => due,
            }
        });
        dues.min()
    }

    /// Until a new object holds its first chunk.
    pub async fn opened(&self) {
        self.opened.notified().await;
    }

    /// Takes over an object that an earlier run left.
    pub fn adopt(&self, leftover: Leftover) -> Sealed {
        let size = std::fs::metadata(leftover.place.buffer()).map_or(0, |data| data.len());
        self.used.set(self.used.get() + size);
        Sealed {
            place: leftover.place,
            tag: leftover.tag,
            known: RefCell::new(None),
            size,
        }
    }

    /// The files of an object are gone.
    pub fn released(&self, object: &Sealed) {
        self.used.set(self.used.get().saturating_sub(object.size));
    }

    /// Bytes of all buffer files.
    pub fn used(&self) -> u64 {
        self.used.get()
    }
}

impl Tagged for Sealed {
    fn tag(&self) -> &[u8] {
        &self.tag
    }
}
