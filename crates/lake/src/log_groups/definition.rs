//! What a log group is, as it is stored: `logs/ID/group.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::definition_file::{self, Defined};

const FILE: &str = "group.json";
/// The version of the stored form. A reader that meets a later one leaves the group alone.
const FORMAT: u32 = 1;

/// A log group's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    format: u32,
    /// Its name.
    pub name: String,
    /// When it was created, in ms.
    pub created: i64,
    /// `STANDARD` and its relatives; kept and shown, without further effect.
    pub class: String,
    /// For how many days events are kept; for ever if it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Whether it can be deleted.
    #[serde(default)]
    pub deletion_protection: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Definition {
    /// A new group, created at `now`.
    pub fn new(name: String, now: i64) -> Self {
        Self {
            format: FORMAT,
            name,
            created: now,
            class: "STANDARD".to_owned(),
            retention_days: None,
            deletion_protection: false,
            tags: BTreeMap::new(),
        }
    }

    /// The time before which events are expired at `now`.
    pub fn cutoff(&self, now: i64) -> Option<i64> {
        self.retention_days
            .map(|days| now.saturating_sub(i64::from(days) * 24 * 60 * 60 * 1000))
    }

    /// Stores the definition in a group's folder, durably and in one step.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        definition_file::store(self, folder)
    }

    /// Reads the definition in a group's folder.
    pub fn load(folder: &Path) -> io::Result<Self> {
        definition_file::load(folder)
    }
}

impl Defined for Definition {
    const FILE: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file as the first version writes it, which later versions have to go on reading.
    const VERSION_1: &str = r#"{
  "format": 1,
  "name": "/ecs/web",
  "created": 1789333384100,
  "class": "STANDARD",
  "retentionDays": 7,
  "deletionProtection": false,
  "tags": {
    "team": "blue"
  }
}"#;

    #[test]
    fn version_1_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), VERSION_1).unwrap();
        let definition = Definition::load(folder.path()).unwrap();
        assert_eq!(definition.cutoff(604_800_001), Some(1));
        definition.store(folder.path()).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(FILE)).unwrap(),
            VERSION_1
        );
        let later = VERSION_1.replace("\"format\": 1", "\"format\": 2");
        fs::write(folder.path().join(FILE), later).unwrap();
        let error = Definition::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
    }
}
