//! What an object carries besides its bytes: Content-Type, Content-Encoding and the like, tags, the user's metadata.
//!
//! It is kept with the file itself, in the extended attribute `user.flumen.object` as JSON: it comes and goes with the
//! file, in one step, and readers of the folder do not stumble over second files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

const NAME: &str = "user.flumen.object";
/// What is tried first, as a listing asks for many: enough for nearly all.
const FIRST_READ_BYTES: usize = 1024;
/// Above what file systems take, so that whatever was stored can be read: ext4 keeps 4 KiB, others up to 64.
const READ_BYTES: usize = 64 * 1024;

/// An object's headers, each as the client gave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Kept and answered; all classes are stored alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// The canned ACL. Kept, not enforced: who has the lake's keys may do everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// Kept and answered; nothing is encrypted here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_encryption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    /// The entity tag; a file that is not of this lake's making has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e_tag: Option<String>,
    /// The multipart upload that made the object, so that completing it again is known to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_id: Option<String>,
}

/// Whether attributes could be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Yes,
    /// The file system has no extended attributes.
    Unsupported,
}

impl Attributes {
    /// Stores the attributes with `file`. Too many of them are an error of kind `StorageFull`.
    pub fn store(&self, file: &File) -> io::Result<Stored> {
        match *self == Self::default() {
            true => Ok(Stored::Yes),
            false => self.replace(file),
        }
    }

    /// Stores the attributes in place of those that `file` has.
    pub fn replace(&self, file: &File) -> io::Result<Stored> {
        match rustix::fs::fsetxattr(file, NAME, &serde_json::to_vec(self)?, XattrFlags::empty()) {
            Ok(()) => Ok(Stored::Yes),
            Err(Errno::OPNOTSUPP) => Ok(Stored::Unsupported),
            Err(error) => Err(error.into()),
        }
    }

    /// The attributes stored with the file at `path`; none if there are none.
    pub fn load(path: &Path) -> io::Result<Self> {
        Self::read(|value| rustix::fs::getxattr(path, NAME, value))
    }

    /// The attributes stored with `file`; none if there are none.
    pub fn load_from(file: &File) -> io::Result<Self> {
        Self::read(|value| rustix::fs::fgetxattr(file, NAME, value))
    }

    fn read(get: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> io::Result<Self> {
        let mut first = [0; FIRST_READ_BYTES];
        let mut rest = Vec::new();
        let mut value = first.as_mut_slice();
        let mut got = get(value);
        if got == Err(Errno::RANGE) {
            rest.resize(READ_BYTES, 0);
            value = rest.as_mut_slice();
            got = get(value);
        }
        match got {
            Ok(length) => Ok(serde_json::from_slice(&value[..length])?),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_and_are_not_needed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(
            Attributes::load(file.path()).unwrap(),
            Attributes::default()
        );
        let attributes = Attributes {
            content_encoding: Some("gzip".to_owned()),
            metadata: BTreeMap::from([("owner".to_owned(), "ä".to_owned())]),
            ..Attributes::default()
        };
        // Also if they are many.
        let many = Attributes {
            cache_control: Some("x".repeat(2 * FIRST_READ_BYTES)),
            ..attributes.clone()
        };
        for attributes in [attributes, many] {
            let kept = match attributes.store(file.as_file()).unwrap() {
                Stored::Yes => attributes,
                Stored::Unsupported => Attributes::default(),
            };
            assert_eq!(Attributes::load(file.path()).unwrap(), kept);
            assert_eq!(Attributes::load_from(file.as_file()).unwrap(), kept);
        }
    }
}
