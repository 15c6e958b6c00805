//! The object store: buckets and objects as a folder of files, `DIR/objects/BUCKET/KEY`.
//!
//! Files are written aside, made durable and then put in place in one step, so that whoever reads the folder sees whole
//! objects or none, also in other processes and after a crash.

mod attributes;
mod error;
mod listing;
mod multipart;
mod name;
mod read;
mod upload;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    GetOptions, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, RenameTargetMode,
};
use tokio::sync::RwLock;

pub use attributes::Attributes;
use attributes::Stored;
pub use error::ObjectError;
pub use listing::{Entry, ListRequest, Page};
pub use multipart::{PartChecksum, PartInfo, PartRange, UploadPlace, UploadsRequest, WantedPart};
pub use name::{BucketName, KeyError, ObjectKey};
pub use read::{chunks, each_piece};
pub use upload::{Target, Upload};

use crate::log::Logger;
use multipart::Multipart;
use upload::Staged;

/// Unfinished uploads; no bucket can have this name. On the same file system as the objects, so that a rename does.
const UPLOADS: &str = ".uploads";
/// Multipart uploads that were begun and neither completed nor aborted.
const MULTIPART: &str = ".multipart";

/// All buckets of a lake.
pub struct Objects {
    store: Arc<LocalFileSystem>,
    root: PathBuf,
    /// Held for reading while an object is put in place, for writing while a bucket goes away: an object never brings a
    /// deleted bucket back.
    buckets: RwLock<()>,
    multipart: Arc<Multipart>,
    logger: Logger,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its bytes.
    pub size: u64,
    /// When it was put in place.
    pub modified: SystemTime,
    /// Its entity tag, without quotes: the MD5 of its bytes, for an object made of parts that of theirs, and for a file that
    /// somebody else put there one made of its number, time and size.
    pub e_tag: String,
    /// Its storage class, if one was named.
    pub storage_class: Option<String>,
}

impl ObjectInfo {
    /// Takes over what the object's attributes know better than its file.
    fn amend(&mut self, attributes: &Attributes) {
        if let Some(e_tag) = &attributes.e_tag {
            self.e_tag.clone_from(e_tag);
        }
        self.storage_class.clone_from(&attributes.storage_class);
    }
}

impl From<ObjectMeta> for ObjectInfo {
    fn from(meta: ObjectMeta) -> Self {
        Self {
            size: meta.size,
            modified: meta.last_modified.into(),
            e_tag: meta.e_tag.unwrap_or_default(),
            storage_class: None,
        }
    }
}

/// An object opened for reading: its bytes stay what they are even if the object is replaced meanwhile.
pub struct OpenObject {
    pub info: ObjectInfo,
    pub attributes: Attributes,
    pub file: File,
}

impl Objects {
    /// The object store in `root`, which is made if it is missing. What unfinished uploads left behind is removed.
    pub fn open(root: &Path, logger: Logger) -> io::Result<Self> {
        let uploads = root.join(UPLOADS);
        match fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&uploads)?,
        }
        // As the store does, so that its paths and ours begin alike.
        let root = fs::canonicalize(root)?;
        let multipart = Arc::new(Multipart::open(root.join(MULTIPART), &logger)?);
        let store = Arc::new(LocalFileSystem::new_with_prefix(&root)?);
        Ok(Self {
            store,
            root,
            buckets: RwLock::new(()),
            multipart,
            logger,
        })
    }

    /// All buckets by name, with the time they were made.
    pub fn buckets(&self) -> io::Result<Vec<(BucketName, SystemTime)>> {
        let mut buckets = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(BucketName::parse);
            let Some(name) = name.filter(|name| self.bucket_exists(name)) else {
                continue;
            };
            let metadata = entry.metadata()?;
            buckets.push((name, metadata.created().or_else(|_| metadata.modified())?));
        }
        buckets.sort_unstable();
        Ok(buckets)
    }

    /// Whether there is such a bucket.
    pub fn bucket_exists(&self, bucket: &BucketName) -> bool {
        self.root.join(bucket.as_str()).is_dir()
    }

    /// Makes a bucket; `false` if it was there already.
    pub fn create_bucket(&self, bucket: &BucketName) -> io::Result<bool> {
        match fs::create_dir(self.root.join(bucket.as_str())) {
            Ok(()) => File::open(&self.root)?.sync_all().map(|()| true),
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && self.bucket_exists(bucket) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a bucket that has no objects.
    pub async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), ObjectError> {
        let _alone = self.buckets.write().await;
        self.require(bucket)?;
        let request = ListRequest {
            limit: 1,
            ..ListRequest::default()
        };
        if !listing::page(self.store.as_ref(), bucket, &request)
            .await?
            .entries
            .is_empty()
        {
            return Err(ObjectError::BucketNotEmpty);
        }
        // Only folders without files are left in it.
        fs::remove_dir_all(self.root.join(bucket.as_str()))?;
        Ok(self.multipart.remove_bucket(bucket)?)
    }

    /// A page of a bucket's listing.
    pub async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest<'_>,
    ) -> Result<Page, ObjectError> {
        self.require(bucket)?;
        let mut page = listing::page(self.store.as_ref(), bucket, request).await?;
        let mut places = Vec::new();
        for entry in &page.entries {
            if let Entry::Object(key, _) = entry {
                places.push(self.root.join(bucket.as_str()).join(key));
            }
        }
        // What cannot be read any more was replaced or deleted meanwhile; the listing is of the moment before.
        let kept = tokio::task::spawn_blocking(move || {
            let load = |place: &PathBuf| Attributes::load(place).unwrap_or_default();
            places.iter().map(load).collect::<Vec<_>>()
        });
        let objects = page.entries.iter_mut().filter_map(|entry| match entry {
            Entry::Object(_, info) => Some(info),
            Entry::CommonPrefix(_) => None,
        });
        objects
            .zip(kept.await?)
            .for_each(|(info, attributes)| info.amend(&attributes));
        Ok(page)
    }

    /// What is known of an object.
    pub async fn head(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<(ObjectInfo, Attributes), ObjectError> {
        self.require(bucket)?;
        self.look_up(&location(bucket, key)?).await
    }

    async fn look_up(&self, location: &StorePath) -> Result<(ObjectInfo, Attributes), ObjectError> {
        let found = self.store.head(location).await;
        let mut info = ObjectInfo::from(found.map_err(ObjectError::on_key)?);
        let attributes = self.attributes(location)?;
        info.amend(&attributes);
        Ok((info, attributes))
    }

    /// Opens an object for reading.
    pub async fn read(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<OpenObject, ObjectError> {
        self.require(bucket)?;
        let location = location(bucket, key)?;
        let found = self
            .store
            .get_opts(&location, GetOptions::default())
            .await
            .map_err(ObjectError::on_key)?;
        match found.payload {
            GetResultPayload::File(file, _) => {
                let attributes = Attributes::load_from(&file)?;
                let mut info = ObjectInfo::from(found.meta);
                info.amend(&attributes);
                Ok(OpenObject {
                    info,
                    attributes,
                    file,
                })
            }
            GetResultPayload::Stream(_) => Err(ObjectError::Failed(
                "a local object came without its file".into(),
            )),
        }
    }

    /// Begins to write an object.
    pub async fn upload(&self) -> Result<Upload, ObjectError> {
        Upload::begin(Arc::clone(&self.store), UPLOADS).await
    }

    /// Puts what was uploaded in place as object `key`, durably: when this returns, the object outlives a power cut.
    pub async fn publish(
        &self,
        upload: Upload,
        (bucket, key): (&BucketName, &ObjectKey),
        attributes: &Attributes,
        target: Target,
    ) -> Result<ObjectInfo, ObjectError> {
        let staged = upload.finish(attributes, &self.logger).await?;
        self.place(staged, (bucket, key), target).await
    }

    /// Puts a whole file in place as object `key`, if `target` is there.
    async fn place(
        &self,
        staged: Staged,
        (bucket, key): (&BucketName, &ObjectKey),
        target: Target,
    ) -> Result<ObjectInfo, ObjectError> {
        let location = location(bucket, key)?;
        match target {
            Target::Is(e_tag) => {
                // Nothing else is put in place or deleted between looking and doing.
                let _alone = self.buckets.write().await;
                self.require(bucket)?;
                self.require_tag(&location, &e_tag).await?;
                self.put_in_place(staged, &location, RenameTargetMode::Overwrite)
                    .await
            }
            Target::Any | Target::Absent => {
                let _shared = self.buckets.read().await;
                self.require(bucket)?;
                let absent = target == Target::Absent;
                let mode = if absent {
                    RenameTargetMode::Create
                } else {
                    RenameTargetMode::Overwrite
                };
                self.put_in_place(staged, &location, mode).await
            }
        }
    }

    async fn require_tag(&self, location: &StorePath, e_tag: &str) -> Result<(), ObjectError> {
        match self.look_up(location).await?.0.e_tag == e_tag {
            true => Ok(()),
            false => Err(ObjectError::PreconditionFailed),
        }
    }

    async fn put_in_place(
        &self,
        staged: Staged,
        location: &StorePath,
        mode: RenameTargetMode,
    ) -> Result<ObjectInfo, ObjectError> {
        let place = self.store.path_to_filesystem(location)?;
        if place.is_dir() {
            return Err(ObjectError::KeyIsFolder);
        }
        let folder = place.parent().unwrap_or(&self.root).to_owned();
        // Of folders that are made for it the names have to be durable, too.
        let top = if folder.is_dir() {
            folder
        } else {
            self.root.clone()
        };
        // Asked before it is in place: afterwards another one may be there already, whose tag is not this one's.
        let (info, _) = self.look_up(&staged.location).await?;
        staged.put_in_place(location, mode).await?;
        tokio::task::spawn_blocking(move || sync_folders(&place, &top)).await??;
        Ok(info)
    }

    /// Changes what an object carries besides its bytes; the object stays what it is otherwise.
    pub async fn change_attributes(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        change: impl FnOnce(&mut Attributes),
    ) -> Result<(), ObjectError> {
        // Of two changes at a time one would undo the other.
        let _alone = self.buckets.write().await;
        self.require(bucket)?;
        let location = location(bucket, key)?;
        let (_, mut attributes) = self.look_up(&location).await?;
        change(&mut attributes);
        let file = File::open(self.store.path_to_filesystem(&location)?)?;
        let stored = tokio::task::spawn_blocking(move || {
            let stored = attributes.replace(&file)?;
            file.sync_all().map(|()| stored)
        });
        match stored.await?? {
            Stored::Yes => Ok(()),
            Stored::Unsupported => Err(ObjectError::Failed(
                "the file system of the objects has no extended attributes".into(),
            )),
        }
    }

    /// Removes an object that still has the entity tag `e_tag`.
    pub async fn delete_if(
        &self,
        (bucket, key): (&BucketName, &ObjectKey),
        e_tag: &str,
    ) -> Result<(), ObjectError> {
        let _alone = self.buckets.write().await;
        self.require(bucket)?;
        self.require_tag(&location(bucket, key)?, e_tag).await?;
        self.remove(bucket, key).await
    }

    /// Removes an object. That it was not there is no error.
    pub async fn delete(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), ObjectError> {
        let _shared = self.buckets.read().await;
        self.require(bucket)?;
        self.remove(bucket, key).await
    }

    async fn remove(&self, bucket: &BucketName, key: &ObjectKey) -> Result<(), ObjectError> {
        let location = location(bucket, key)?;
        match self
            .store
            .delete(&location)
            .await
            .map_err(ObjectError::on_key)
        {
            Ok(()) => {
                self.remove_empty_folders(bucket, &self.store.path_to_filesystem(&location)?);
                Ok(())
            }
            Err(ObjectError::NoSuchKey) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the folders above a deleted object as far as they are empty, but not the bucket.
    fn remove_empty_folders(&self, bucket: &BucketName, deleted: &Path) {
        let bucket = self.root.join(bucket.as_str());
        let inside = deleted
            .ancestors()
            .skip(1)
            .take_while(|folder| folder.starts_with(&bucket) && *folder != bucket);
        // The first that is not empty ends it; so does one that somebody else removed.
        let _ = inside.map(fs::remove_dir).find(Result::is_err);
    }

    fn attributes(&self, location: &StorePath) -> Result<Attributes, ObjectError> {
        Ok(Attributes::load(&self.store.path_to_filesystem(location)?)?)
    }

    fn require(&self, bucket: &BucketName) -> Result<(), ObjectError> {
        if self.bucket_exists(bucket) {
            Ok(())
        } else {
            Err(ObjectError::NoSuchBucket)
        }
    }
}

fn location(bucket: &BucketName, key: &ObjectKey) -> Result<StorePath, ObjectError> {
    StorePath::parse(format!("{bucket}/{key}")).map_err(|error| ObjectError::Failed(error.into()))
}

/// Makes the names of `file` and of every folder above it durable, up to and including `top`.
fn sync_folders(file: &Path, top: &Path) -> io::Result<()> {
    let folders = file
        .ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(top));
    folders
        .map(File::open)
        .try_for_each(|folder| folder?.sync_all())
}
