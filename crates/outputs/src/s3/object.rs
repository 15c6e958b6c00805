//! What is stored with an object besides its data: where it goes and in what form, and how far its upload has come.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::encoding::Encoding;

/// What holds for every object of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSettings {
    /// How the object is made of its data.
    pub encoding: Encoding,
    /// `use_put_object`, or objects that cannot be larger than two parts.
    pub put_only: bool,
    /// `upload_chunk_size`: objects with more data than this are uploaded in parts of this size.
    pub part_size: u64,
    /// `static_file_path`: an object of the same name is replaced.
    pub overwrites: bool,
    /// `content_type`.
    pub content_type: Option<String>,
    /// `canned_acl`.
    pub canned_acl: Option<String>,
    /// `storage_class`.
    pub storage_class: Option<String>,
    /// `sse`.
    pub sse: Option<String>,
    /// `sse_kms_key_id`.
    pub sse_kms_key_id: Option<String>,
    /// `send_content_md5`.
    pub content_md5: bool,
}

/// A name and whether nobody else can have made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// Without a leading slash.
    pub key: String,
    /// It contains chance.
    pub is_unique: bool,
}

/// The first frame of a buffer file. It is fixed before the first record is acknowledged, and with it the object's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// By chance; travels as metadata with objects whose name is not unique, to be known again.
    pub id: String,
    /// Whose records they are: objects of one tag are uploaded in order.
    pub tag: Vec<u8>,
    /// Which output's: what its frames claim counts for none other. `None`: of a version whose frames claim nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<[u8; 16]>,
    /// The name if the object is uploaded in parts.
    pub name: Name,
    /// The name if it is put at once: upstream adds a random end there.
    pub put_name: Name,
    /// How it is uploaded.
    pub settings: ObjectSettings,
}

impl Description {
    /// Whether an object with so many bytes of data is uploaded in parts.
    pub fn in_parts(&self, data: u64) -> bool {
        !self.settings.put_only && data > self.settings.part_size
    }
}

/// How far an upload has come; stored beside the buffer file where forgetting it would cost something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// A name that took the place of the first one, which somebody else has used.
    pub renamed: Option<Name>,
    /// An upload in parts that was begun.
    pub parts: Option<Parts>,
}

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// What the service calls it.
    pub upload_id: String,
    /// The tags of its parts in order, as far as it has them.
    pub etags: Vec<Option<String>>,
}

impl Parts {
    /// How many parts it has.
    pub fn sent(&self) -> usize {
        self.etags.iter().flatten().count()
    }
}

/// Reads a stored value; `None`: there is none, or none that can be read.
pub fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// A file beside `path` that becomes it when it is whole. Nobody else writes there: an upload that was given up may still
/// write on its thread while the next one writes about the same object.
pub fn next_to(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_extension(format!("{count}.next"))
}

/// Stores a value in place of the former one, whole or not at all.
pub fn store<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let next = next_to(path);
    let stored = write(&next, value).and_then(|()| std::fs::rename(&next, path));
    if stored.is_err() {
        let _ = std::fs::remove_file(&next);
    }
    stored?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_writes_to_the_same_next_file() {
        let (body, upload) = (Path::new("a/00000007.body"), Path::new("a/00000007.upload"));
        let all = [next_to(body), next_to(upload), next_to(body)];
        assert_eq!(BTreeSet::from(all.clone()).len(), 3);
        let name = |path: &PathBuf| path.to_str().expect("text").to_owned();
        for name in all.iter().map(name) {
            assert!(
                name.starts_with("a/00000007.") && name.ends_with(".next"),
                "{name}"
            );
        }
    }

    #[test]
    fn progress_survives_and_garbage_is_no_progress() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.upload");
        assert_eq!(load::<Progress>(&path), None);
        let progress = Progress {
            renamed: Some(Name {
                key: "a/b".into(),
                is_unique: true,
            }),
            parts: Some(Parts {
                upload_id: "u".into(),
                // Parts are sent side by side: an earlier one may be missing.
                etags: vec![None, Some("\"2\"".into())],
            }),
        };
        store(&path, &progress).expect("stored");
        assert_eq!(load(&path), Some(progress));
        // As earlier versions wrote it, which sent one part after the other.
        std::fs::write(&path, br#"{"parts":{"upload_id":"u","etags":["a","b"]}}"#)
            .expect("written");
        let parts = load::<Progress>(&path).and_then(|progress| progress.parts);
        assert_eq!(parts.map(|parts| parts.sent()), Some(2));
        std::fs::write(&path, b"{\"renamed\"").expect("written");
        assert_eq!(load::<Progress>(&path), None);
    }
}
