//! Uploads that became objects, remembered for a while.
//!
//! A client that did not get the answer asks again, also of a lake that was killed in between, and has to hear that its
//! object is there.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::write_json;
use super::{UploadPlace, WantedPart};
use crate::limits;

/// What an upload became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    bucket: String,
    key: String,
    e_tag: String,
    parts: Vec<WantedPart>,
}

impl Completed {
    pub fn new(place: &UploadPlace, e_tag: String, parts: Vec<WantedPart>) -> Self {
        Self {
            bucket: place.bucket.to_string(),
            key: place.key.to_string(),
            e_tag,
            parts,
        }
    }
}

/// The completed uploads in a folder, the oldest first; as many as [`limits::COMPLETED_UPLOADS`].
pub struct Memory {
    folder: PathBuf,
    ids: Mutex<VecDeque<Uuid>>,
}

impl Memory {
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some(id) = id.and_then(|id| Uuid::try_parse(id).ok()) {
                found.push((entry.metadata()?.modified()?, id));
            }
        }
        found.sort_unstable();
        let memory = Self {
            folder,
            ids: Mutex::new(found.into_iter().map(|(_, id)| id).collect()),
        };
        memory.forget_oldest();
        Ok(memory)
    }

    /// Whether `id` was completed.
    pub fn knows(&self, id: Uuid) -> bool {
        self.path(id).exists()
    }

    /// The entity tag of the object that the upload in `place` became, if that was made of these parts.
    pub fn find(&self, place: &UploadPlace, parts: &[WantedPart]) -> Option<String> {
        let stored = fs::read(self.path(place.id)).ok()?;
        let completed: Completed = serde_json::from_slice(&stored).ok()?;
        let wanted = Completed::new(place, completed.e_tag.clone(), parts.to_vec());
        (completed == wanted).then_some(completed.e_tag)
    }

    pub fn add(&self, id: Uuid, completed: &Completed) -> io::Result<()> {
        write_json(&self.path(id), completed)?;
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.push_back(id);
        drop(ids);
        self.forget_oldest();
        Ok(())
    }

    fn forget_oldest(&self) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        while ids.len() > limits::COMPLETED_UPLOADS
            && let Some(id) = ids.pop_front()
        {
            // One that stays costs a small file until the next start.
            let _ = fs::remove_file(self.path(id));
        }
    }

    fn path(&self, id: Uuid) -> PathBuf {
        Path::new(&self.folder).join(format!("{}.json", id.simple()))
    }
}
