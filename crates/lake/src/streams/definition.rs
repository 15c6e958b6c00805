//! What a delivery stream is, as it is stored: `streams/NAME/stream.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::definition_file::{self, Defined};

use super::configuration::{S3Configuration, Shape};

const FILE: &str = "stream.json";
/// The version of the stored form. A reader that meets a later one leaves the stream alone.
const FORMAT: u32 = 1;

/// A delivery stream as it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    format: u32,
    /// The stream's name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// How its destination was given.
    pub shape: Shape,
    /// The destination as it was given.
    pub destination: S3Configuration,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Definition {
    /// A new stream, created now.
    pub fn new(
        name: String,
        shape: Shape,
        destination: S3Configuration,
        tags: BTreeMap<String, String>,
    ) -> Self {
        Self {
            format: FORMAT,
            name,
            created: Timestamp::now(),
            shape,
            destination,
            tags,
        }
    }

    /// Stores the definition in a stream's folder, durably and in one step.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        definition_file::store(self, folder)
    }

    /// Reads the definition in a stream's folder.
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
  "name": "ecs-stream",
  "created": "2026-11-22T13:00:00Z",
  "shape": "S3",
  "destination": {
    "RoleARN": "arn:aws:iam::123456789012:role/r",
    "BucketARN": "arn:aws:s3:::mh9-firelens-demo",
    "Prefix": "ecs",
    "BufferingHints": {
      "SizeInMBs": 1,
      "IntervalInSeconds": 60
    }
  },
  "tags": {
    "team": "blue"
  }
}"#;

    #[test]
    fn version_1_is_read_and_written_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), VERSION_1).unwrap();
        let definition = Definition::load(folder.path()).unwrap();
        assert_eq!(definition.destination.prefix.as_deref(), Some("ecs"));
        definition.store(folder.path()).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(FILE)).unwrap(),
            VERSION_1
        );
    }

    #[test]
    fn a_later_format_is_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join(FILE),
            VERSION_1.replace("\"format\": 1", "\"format\": 2"),
        )
        .unwrap();
        assert!(
            Definition::load(folder.path())
                .unwrap_err()
                .to_string()
                .contains("format 2")
        );
    }
}
