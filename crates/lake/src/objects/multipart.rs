//! Multipart uploads: objects that come in parts, in any order, over any time.
//!
//! ```text
//!  DIR/objects/.multipart/BUCKET/ID/upload.json   what the object is to be
//!  DIR/objects/.multipart/BUCKET/ID/00001.…       its parts, each under a name that says all about it
//!  DIR/objects/.multipart/.completed/ID.json      uploads that became objects, so that asking again gets the same answer
//! ```
//!
//! A part is written aside, made durable and renamed into the upload's folder in one step; of two under one number the
//! later stands. An upload is there as long as its `upload.json` is.

mod completed;
mod part;
mod store;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;
use uuid::Uuid;

use super::upload::Staged;
use super::{
    Attributes, BucketName, ObjectError, ObjectInfo, ObjectKey, Objects, Target, UPLOADS, Upload,
};
use crate::limits;
use completed::Completed;
pub use part::{PartChecksum, PartInfo};
pub use store::Multipart;
pub(super) use store::hex;
pub use uploads::{UploadsPage, UploadsRequest};

/// As many uploads change at once, at least, as there are locks; several may share one.
const LOCKS: usize = 64;

/// What an upload was begun with, as it is stored in `upload.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadInfo {
    format: u32,
    /// The object's key.
    pub key: String,
    /// When the upload was begun.
    pub initiated: Timestamp,
    /// What the object will carry.
    pub attributes: Attributes,
    /// The algorithm of the parts' checksums, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_algorithm: Option<String>,
    /// `COMPOSITE` or `FULL_OBJECT`, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_type: Option<String>,
}

/// Where an upload is: its bucket, its key and its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadPlace {
    pub bucket: BucketName,
    pub key: ObjectKey,
    id: Uuid,
}

impl UploadPlace {
    /// The place that a request names; `None` if no upload can have that id.
    pub fn parse(bucket: BucketName, key: ObjectKey, id: &str) -> Option<Self> {
        let id = Uuid::try_parse(id)
            .ok()
            .filter(|parsed| parsed.simple().to_string() == id)?;
        Some(Self { bucket, key, id })
    }

    /// The upload's id as text.
    pub fn id(&self) -> String {
        self.id.simple().to_string()
    }
}

/// A part that an object is to be completed of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedPart {
    pub number: u32,
    /// Its entity tag, without quotes.
    pub e_tag: String,
    /// Its checksum, if the caller said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<PartChecksum>,
}

/// Which parts to list.
#[derive(Debug, Clone, Copy)]
pub struct PartRange {
    /// Only parts behind this number.
    pub after: u32,
    /// The most parts.
    pub limit: usize,
}

impl Objects {
    /// Begins a multipart upload; `info` says what its object will be.
    pub async fn create_upload(
        &self,
        (bucket, key): (BucketName, ObjectKey),
        attributes: Attributes,
        (checksum_algorithm, checksum_type): (Option<String>, Option<String>),
    ) -> Result<UploadPlace, ObjectError> {
        let _shared = self.buckets.read().await;
        self.require(&bucket)?;
        let info = UploadInfo {
            format: store::FORMAT,
            key: key.to_string(),
            initiated: Timestamp::now(),
            attributes,
            checksum_algorithm,
            checksum_type,
        };
        let id = Uuid::new_v4();
        self.multipart.create(&bucket, id, &info)?;
        Ok(UploadPlace { bucket, key, id })
    }

    /// What an upload was begun with.
    pub fn find_upload(&self, place: &UploadPlace) -> Result<UploadInfo, ObjectError> {
        self.multipart.info(place)
    }

    /// Keeps what was uploaded as part `number`, durably, in place of an earlier part of that number.
    pub async fn put_part(
        &self,
        place: &UploadPlace,
        upload: Upload,
        (number, e_tag, checksum): (u32, String, Option<PartChecksum>),
    ) -> Result<PartInfo, ObjectError> {
        let staged = upload.finish(&Attributes::default(), &self.logger).await?;
        let size = std::fs::metadata(&staged.path)?.len();
        let part = PartInfo {
            number,
            modified: Timestamp::now(),
            e_tag,
            checksum,
            size,
        };
        let _shared = self.multipart.lock(place).read().await;
        self.multipart.info(place)?;
        let (multipart, place) = (Arc::clone(&self.multipart), place.clone());
        let kept =
            tokio::task::spawn_blocking(move || multipart.keep_part(&place, &staged.path, part));
        Ok(kept.await??)
    }

    /// An upload and its parts by number, and whether there are more.
    pub fn parts(
        &self,
        place: &UploadPlace,
        range: PartRange,
    ) -> Result<(UploadInfo, Vec<PartInfo>, bool), ObjectError> {
        let info = self.multipart.info(place)?;
        let parts = self.multipart.parts(place)?;
        let mut parts = parts
            .into_values()
            .map(|(part, _)| part)
            .filter(|part| part.number > range.after);
        let page: Vec<PartInfo> = parts.by_ref().take(range.limit).collect();
        Ok((info, page, parts.next().is_some()))
    }

    /// Forgets an upload and its parts.
    pub async fn abort_upload(&self, place: &UploadPlace) -> Result<(), ObjectError> {
        let _alone = self.multipart.lock(place).write().await;
        self.multipart.info(place)?;
        Ok(self.multipart.remove(&place.bucket, place.id)?)
    }

    /// A page of a bucket's uploads.
    pub async fn uploads(
        self: &Arc<Self>,
        bucket: BucketName,
        request: UploadsRequest,
    ) -> Result<UploadsPage, ObjectError> {
        self.require(&bucket)?;
        let objects = Arc::clone(self);
        tokio::task::spawn_blocking(move || objects.multipart.page(&bucket, &request)).await?
    }

    /// Makes an object of an upload's parts. Doing it again with the same parts has the same answer.
    ///
    /// Once begun it comes to its end, also if the caller goes away.
    pub async fn complete_upload(
        self: &Arc<Self>,
        place: UploadPlace,
        wanted: Vec<WantedPart>,
        target: Target,
    ) -> Result<String, ObjectError> {
        let objects = Arc::clone(self);
        tokio::spawn(async move { objects.complete(&place, &wanted, target).await }).await?
    }

    /// The files of the parts that an object is to be made of; none if it was made of them already.
    pub fn chosen_parts(
        &self,
        place: &UploadPlace,
        wanted: &[WantedPart],
    ) -> Result<Option<Vec<PathBuf>>, ObjectError> {
        if self.multipart.completed_as(place, wanted).is_some() {
            return Ok(None);
        }
        self.multipart.info(place)?;
        Ok(Some(self.multipart.choose(place, wanted)?.0))
    }

    async fn complete(
        &self,
        place: &UploadPlace,
        wanted: &[WantedPart],
        target: Target,
    ) -> Result<String, ObjectError> {
        let _alone = self.multipart.lock(place).write().await;
        if let Some(e_tag) = self.multipart.completed_as(place, wanted) {
            return Ok(e_tag);
        }
        let mut info = self.multipart.info(place)?;
        let (files, e_tag) = self.multipart.choose(place, wanted)?;
        let found = self.head(&place.bucket, &place.key).await;
        let e_tag = match found {
            // The lake was killed after it had put the object in place and before it could say so.
            Ok((object, attributes)) if attributes.upload_id == Some(place.id()) => object.e_tag,
            found => {
                refuse_early(&target, found)?;
                info.attributes.e_tag = Some(e_tag);
                info.attributes.upload_id = Some(place.id());
                let store = (Arc::clone(&self.store), UPLOADS);
                let staged = Staged::assemble(store, files, info.attributes, &self.logger).await?;
                let at = (&place.bucket, &place.key);
                self.place(staged, at, target).await?.e_tag
            }
        };
        let completed = Completed::new(place, e_tag.clone(), wanted.to_vec());
        self.multipart.remember(place.id, &completed)?;
        self.multipart.remove(&place.bucket, place.id)?;
        Ok(e_tag)
    }
}

/// Spares the copying if the object will be refused anyway; what decides is looked at again when it is put in place.
fn refuse_early(
    target: &Target,
    found: Result<(ObjectInfo, Attributes), ObjectError>,
) -> Result<(), ObjectError> {
    match (target, found) {
        (Target::Absent, Ok(_)) => Err(ObjectError::PreconditionFailed),
        (Target::Is(e_tag), Ok((info, _))) if info.e_tag != *e_tag => {
            Err(ObjectError::PreconditionFailed)
        }
        (Target::Is(_), Err(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The locks of uploads that change, found by their ids.
fn locks() -> [RwLock<()>; LOCKS] {
    std::array::from_fn(|_| RwLock::new(()))
}

/// Where `place`'s parts and description are, below `root`.
fn folder(root: &std::path::Path, bucket: &BucketName, id: Uuid) -> PathBuf {
    root.join(bucket.as_str()).join(id.simple().to_string())
}

const _: () = assert!(
    limits::PARTS < 100_000,
    "part numbers have five digits in file names"
);
