//! Listing a bucket's uploads: by key, then by the time they were begun.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use jiff::Timestamp;
use uuid::Uuid;

use super::store::Multipart;
use crate::objects::{BucketName, ObjectError};

/// What is asked of a listing.
#[derive(Debug, Clone, Default)]
pub struct UploadsRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that have this behind the prefix are rolled up.
    pub delimiter: Option<String>,
    /// Only keys behind this one …
    pub after_key: String,
    /// … or uploads of that key behind this one.
    pub after_id: Option<String>,
    /// The most entries.
    pub limit: usize,
}

/// One upload in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEntry {
    pub key: String,
    pub id: String,
    pub initiated: Timestamp,
    pub storage_class: Option<String>,
}

/// One page of a listing.
#[derive(Debug, Default)]
pub struct UploadsPage {
    pub uploads: Vec<UploadEntry>,
    /// What several keys begin with, in byte order.
    pub common_prefixes: Vec<String>,
    /// Key and, unless it is a common prefix, id of the last entry, if more would follow.
    pub next: Option<(String, String)>,
}

/// What entries are ordered by: the key or common prefix, then the time and the id.
type Place = (String, Timestamp, Uuid);

impl Multipart {
    /// The page of `bucket` that `request` asks for. In memory are never more entries than it has.
    pub(super) fn page(
        &self,
        bucket: &BucketName,
        request: &UploadsRequest,
    ) -> Result<UploadsPage, ObjectError> {
        let entries = match fs::read_dir(self.root.join(bucket.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(UploadsPage::default());
            }
            entries => entries?,
        };
        let marker = self.marker(bucket, request)?;
        let mut page: BTreeMap<Place, Option<UploadEntry>> = BTreeMap::new();
        for entry in entries {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|id| Uuid::try_parse(id).ok());
            // Uploads may end while they are listed; of those that cannot be read the log has told.
            let loaded = id.map(|id| (id, self.load(bucket, id)));
            let Some((id, Ok(Some(info)))) = loaded else {
                continue;
            };
            if !info.key.starts_with(&request.prefix) {
                continue;
            }
            let (place, upload) = match request.common_prefix(&info.key) {
                Some(prefix) => ((prefix.to_owned(), Timestamp::MIN, Uuid::nil()), None),
                None => {
                    let entry = UploadEntry {
                        key: info.key.clone(),
                        id: id.simple().to_string(),
                        initiated: info.initiated,
                        storage_class: info.attributes.storage_class,
                    };
                    ((info.key, info.initiated, id), Some(entry))
                }
            };
            if place > marker {
                page.insert(place, upload);
            }
            // One more than wanted says that there are more.
            if page.len() > request.limit + 1 {
                page.pop_last();
            }
        }
        let truncated = page.len() > request.limit && page.pop_last().is_some();
        let mut answer = UploadsPage::default();
        if truncated && let Some(((key, _, _), last)) = page.last_key_value() {
            let id = last.as_ref().map(|upload| upload.id.clone());
            answer.next = Some((key.clone(), id.unwrap_or_default()));
        }
        for ((name, _, _), upload) in page {
            match upload {
                Some(upload) => answer.uploads.push(upload),
                None => answer.common_prefixes.push(name),
            }
        }
        Ok(answer)
    }

    /// The place behind which a page begins.
    fn marker(&self, bucket: &BucketName, request: &UploadsRequest) -> Result<Place, ObjectError> {
        let key = request.after_key.clone();
        let behind_all = |key| (key, Timestamp::MAX, Uuid::max());
        let id = request.after_id.as_deref().filter(|id| !id.is_empty());
        let Some(id) = id.and_then(|id| Uuid::try_parse(id).ok()) else {
            return Ok(match key.is_empty() {
                true => (key, Timestamp::MIN, Uuid::nil()),
                false => behind_all(key),
            });
        };
        // Of an upload that ended meanwhile only the id is known; others of its key are listed again rather than missed.
        let initiated = self
            .load(bucket, id)?
            .map_or(Timestamp::MIN, |info| info.initiated);
        Ok((key, initiated, id))
    }
}

impl UploadsRequest {
    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty())?;
        let start = key[self.prefix.len()..].find(delimiter)? + self.prefix.len();
        Some(&key[..start + delimiter.len()])
    }
}
