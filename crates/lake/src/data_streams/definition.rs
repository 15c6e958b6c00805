//! What a data stream is, as it is stored: `data-streams/NAME/stream.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::definition_file::{self, Defined};
use uuid::Uuid;

const FILE: &str = "stream.json";
/// The version of the stored form. A reader that meets a later one leaves the stream alone.
const FORMAT: u32 = 1;

/// How a stream's capacity is said to be managed. Here it changes only how many shards there are at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    Provisioned,
    OnDemand,
}

/// A data stream's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    format: u32,
    /// The stream's name.
    pub name: String,
    /// Tells the stream from others that had or will have the name.
    #[serde(with = "uuid_text")]
    pub id: Uuid,
    /// When it was created.
    pub created: Timestamp,
    /// Its mode.
    pub mode: Mode,
    /// How many shards it has.
    pub shards: u32,
    /// For how many hours it keeps its records.
    pub retention_hours: u32,
    /// The largest record with its partition key, in KiB.
    pub max_record_kib: u32,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Definition {
    /// A new stream, created now, with the retention that every stream has at first.
    pub fn new(name: String, mode: Mode, shards: u32, max_record_kib: u32) -> Self {
        Self {
            format: FORMAT,
            name,
            id: Uuid::new_v4(),
            created: Timestamp::now(),
            mode,
            shards,
            retention_hours: crate::limits::RETENTION_HOURS.0,
            max_record_kib,
            tags: BTreeMap::new(),
        }
    }

    /// Stores the definition in a stream's folder, durably and in one step.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        definition_file::store(self, folder)
    }

    /// Reads the definition in a stream's folder.
    pub fn load(folder: &Path) -> io::Result<Self> {
        let definition: Self = definition_file::load(folder)?;
        match definition.shards {
            0 => Err(io::Error::other(format!("{FILE} names no shards"))),
            _ => Ok(definition),
        }
    }
}

impl Defined for Definition {
    const FILE: &'static str = FILE;
    const FORMAT: u32 = FORMAT;

    fn format(&self) -> u32 {
        self.format
    }
}

mod uuid_text {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        Uuid::try_parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file as the first version writes it, which later versions have to go on reading.
    const VERSION_1: &str = r#"{
  "format": 1,
  "name": "logs",
  "id": "6f2c1d4e-9a7b-4c3d-8e5f-0a1b2c3d4e5f",
  "created": "2026-11-22T13:00:00Z",
  "mode": "ON_DEMAND",
  "shards": 4,
  "retentionHours": 24,
  "maxRecordKib": 1024,
  "tags": {
    "team": "blue"
  }
}"#;

    #[test]
    fn version_1_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), VERSION_1).unwrap();
        Definition::load(folder.path())
            .unwrap()
            .store(folder.path())
            .unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(FILE)).unwrap(),
            VERSION_1
        );
        for (from, to, told) in [
            ("\"format\": 1", "\"format\": 2", "format 2"),
            ("\"shards\": 4", "\"shards\": 0", "no shards"),
        ] {
            fs::write(folder.path().join(FILE), VERSION_1.replace(from, to)).unwrap();
            let error = Definition::load(folder.path()).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
