//! Writing an object: aside first, in pieces, then in place in one step.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RenameOptions, RenameTargetMode,
};
use s3s::crypto::{Checksum as _, Md5};
use uuid::Uuid;

use super::attributes::Stored;
use super::multipart::hex;
use super::{Attributes, ObjectError};
use crate::log::Logger;

/// Pieces are collected to this size before they are written.
const WRITE_BYTES: usize = 1024 * 1024;

/// What has to be in the place of a new object; else it is refused with [`ObjectError::PreconditionFailed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Anything or nothing: the new object takes its place.
    Any,
    /// Nothing.
    Absent,
    /// The object with this entity tag.
    Is(String),
}

/// An object being written. Dropped unfinished, it leaves nothing behind.
pub struct Upload {
    staged: Staged,
    parts: Box<dyn MultipartUpload>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// Of all that was written: the entity tag, as clients of S3 expect it.
    md5: Md5,
}

/// A whole file that is not in place yet. Dropped, it is removed.
pub struct Staged {
    store: Arc<LocalFileSystem>,
    /// Where it is meanwhile.
    pub(super) location: StorePath,
    /// The same as a file.
    pub(super) path: PathBuf,
}

impl Upload {
    pub(super) async fn begin(
        store: Arc<LocalFileSystem>,
        folder: &str,
    ) -> Result<Self, ObjectError> {
        let staged = Staged::begin(store, folder)?;
        let parts = staged.store.put_multipart(&staged.location).await?;
        Ok(Self {
            staged,
            parts,
            pending: Vec::new(),
            pending_bytes: 0,
            md5: Md5::new(),
        })
    }

    /// Appends `piece`.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), ObjectError> {
        self.md5.update(&piece);
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        if self.pending_bytes >= WRITE_BYTES {
            self.write_pending().await
        } else {
            Ok(())
        }
    }

    async fn write_pending(&mut self) -> Result<(), ObjectError> {
        self.pending_bytes = 0;
        let payload = PutPayload::from_iter(self.pending.drain(..));
        Ok(self.parts.put_part(payload).await?)
    }

    /// Ends the writing and makes what was written, with its attributes, durable.
    pub(super) async fn finish(
        mut self,
        attributes: &Attributes,
        logger: &Logger,
    ) -> Result<Staged, ObjectError> {
        self.write_pending().await?;
        self.parts.complete().await?;
        let path = self.staged.path.clone();
        let attributes = Attributes {
            e_tag: Some(hex(&self.md5.finalize())),
            ..attributes.clone()
        };
        let stored = tokio::task::spawn_blocking(move || {
            seal(&File::options().write(true).open(path)?, &attributes)
        });
        tell(stored.await??, logger);
        Ok(self.staged)
    }
}

/// Makes a whole file durable with its attributes.
fn seal(file: &File, attributes: &Attributes) -> io::Result<Stored> {
    let stored = attributes.store(file)?;
    file.sync_all().map(|()| stored)
}

fn tell(stored: Stored, logger: &Logger) {
    if stored == Stored::Unsupported {
        logger.warn(format_args!(
            "the file system of the objects has no extended attributes: an object lost its headers and metadata"
        ));
    }
}

impl Staged {
    fn begin(store: Arc<LocalFileSystem>, folder: &str) -> Result<Self, ObjectError> {
        let location = StorePath::from_iter([folder, &Uuid::new_v4().to_string()]);
        let path = store.path_to_filesystem(&location)?;
        Ok(Self {
            store,
            location,
            path,
        })
    }

    /// A file that holds the content of `parts` one after another, durable with its attributes.
    pub(super) async fn assemble(
        (store, folder): (Arc<LocalFileSystem>, &str),
        parts: Vec<PathBuf>,
        attributes: Attributes,
        logger: &Logger,
    ) -> Result<Self, ObjectError> {
        let staged = Self::begin(store, folder)?;
        let path = staged.path.clone();
        let stored = tokio::task::spawn_blocking(move || {
            let mut file = File::create_new(path)?;
            for part in parts {
                // From file to file the kernel copies, or only links blocks where the file system can.
                io::copy(&mut File::open(part)?, &mut file)?;
            }
            seal(&file, &attributes)
        });
        tell(stored.await??, logger);
        Ok(staged)
    }

    /// Moves the file to `place`, which `mode` says may be taken or not.
    pub(super) async fn put_in_place(
        self,
        place: &StorePath,
        mode: RenameTargetMode,
    ) -> Result<(), ObjectError> {
        let options = RenameOptions::new().with_target_mode(mode);
        Ok(self
            .store
            .rename_opts(&self.location, place, options)
            .await?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }
}
