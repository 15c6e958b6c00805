//! Writing an object: aside first, in pieces, then in place in one step.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RenameOptions, RenameTargetMode,
};
use uuid::Uuid;

use super::attributes::Stored;
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
}

/// A whole file that is not in place yet. Dropped, it is removed.
pub struct Staged {
    store: Arc<LocalFileSystem>,
    location: StorePath,
    path: PathBuf,
}

impl Upload {
    pub(super) async fn begin(
        store: Arc<LocalFileSystem>,
        folder: &str,
    ) -> Result<Self, ObjectError> {
        let location = StorePath::from_iter([folder, &Uuid::new_v4().to_string()]);
        let path = store.path_to_filesystem(&location)?;
        let parts = store.put_multipart(&location).await?;
        Ok(Self {
            staged: Staged {
                store,
                location,
                path,
            },
            parts,
            pending: Vec::new(),
            pending_bytes: 0,
        })
    }

    /// Appends `piece`.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), ObjectError> {
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
        let (path, attributes) = (self.staged.path.clone(), attributes.clone());
        let stored = tokio::task::spawn_blocking(move || {
            let file = File::options().write(true).open(path)?;
            let stored = attributes.store(&file)?;
            file.sync_all().map(|()| stored)
        });
        if stored.await?? == Stored::Unsupported {
            logger.warn(format_args!(
                "the file system of the objects has no extended attributes: an object lost its headers and metadata"
            ));
        }
        Ok(self.staged)
    }
}

impl Staged {
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
