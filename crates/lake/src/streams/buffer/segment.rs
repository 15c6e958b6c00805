//! Buffer files: one per object to be.
//!
//! A segment begins with a label that fixes the object's name before any record is acknowledged. While it is `open`
//! records are appended; once `sealed`, by renaming it, it never changes again. However often it is delivered, the
//! result is the same object under the same name: a crash in between neither loses nor doubles anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::frame::Kind;
use super::frame_file::FrameFile;
use crate::streams::batch::RecordBatch;
use crate::streams::compression::Compression;

/// What a segment says about the object it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Label {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key.
    pub key: String,
    /// How it is compressed.
    pub compression: Compression,
    /// When its oldest record arrived.
    pub first_arrival: Timestamp,
}

/// A segment that takes records.
#[derive(Debug)]
pub struct OpenSegment {
    /// What it becomes.
    pub label: Label,
    /// Records in it.
    pub records: u64,
    /// Bytes of the object before compression.
    pub object_bytes: u64,
    file: FrameFile,
    path: PathBuf,
    sequence: u64,
}

/// A segment that waits to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// What it becomes.
    pub label: Label,
    /// Records in it.
    pub records: u64,
    /// The file.
    pub path: PathBuf,
    /// Its place among the stream's segments.
    pub sequence: u64,
}

impl OpenSegment {
    /// Makes a segment in `folder` that holds `batch`. If that fails, no file is left.
    pub fn create(
        folder: &Path,
        sequence: u64,
        label: Label,
        batch: &RecordBatch,
    ) -> io::Result<Self> {
        let path = folder.join(
            FileName {
                sequence,
                sealed: None,
            }
            .to_string(),
        );
        let file = FrameFile::create(&path)?;
        let mut segment = Self {
            label,
            records: 0,
            object_bytes: 0,
            file,
            path,
            sequence,
        };
        let written = segment.write_label().and_then(|()| segment.append(batch));
        match written {
            Ok(()) => Ok(segment),
            Err(error) => {
                let _ = fs::remove_file(&segment.path);
                Err(error)
            }
        }
    }

    /// Takes up a segment of an earlier run that holds `contents`.
    pub fn reopen(path: PathBuf, sequence: u64, contents: Contents) -> io::Result<Self> {
        let file = FrameFile::reopen(&path, contents.length)?;
        Ok(Self {
            label: contents.label,
            records: contents.records,
            object_bytes: contents.object_bytes,
            file,
            path,
            sequence,
        })
    }

    /// Appends `batch`. When this returns, the records outlive the process. If it fails, none of them is in the file.
    pub fn append(&mut self, batch: &RecordBatch) -> io::Result<()> {
        let payload = batch.payload(self.records == 0);
        self.file.append(Kind::Records, batch.records(), payload)?;
        self.records += u64::from(batch.records());
        self.object_bytes += payload.len() as u64;
        Ok(())
    }

    /// Whether the segment has to be sealed because nothing can be appended safely.
    pub fn is_spoilt(&self) -> bool {
        self.file.is_spoilt()
    }

    /// Ends the segment.
    pub fn seal(&self) -> io::Result<SealedSegment> {
        let name = FileName {
            sequence: self.sequence,
            sealed: Some(self.records),
        };
        let path = self.path.with_file_name(name.to_string());
        fs::rename(&self.path, &path)?;
        Ok(SealedSegment {
            label: self.label.clone(),
            records: self.records,
            path,
            sequence: self.sequence,
        })
    }

    fn write_label(&mut self) -> io::Result<()> {
        let label = serde_json::to_vec(&self.label)?;
        self.file.append(Kind::Segment, 0, &label)
    }
}

/// What reading a segment to its end has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The segment's label.
    pub label: Label,
    /// Records in frames that hold.
    pub records: u64,
    /// Their bytes, delimiters included.
    pub object_bytes: u64,
    /// The file's length without a torn end.
    pub length: u64,
}

/// A segment's file name: its sequence number, then `open`, or the number of its records and `sealed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName {
    pub sequence: u64,
    pub sealed: Option<u64>,
}

impl FileName {
    /// Reads a name; `None` for files that are not segments.
    pub fn parse(name: &str) -> Option<Self> {
        let (sequence, state) = name.split_once('.')?;
        let sealed = match state {
            "open" => None,
            _ => Some(state.strip_suffix(".sealed")?.parse().ok()?),
        };
        Some(Self {
            sequence: sequence.parse().ok()?,
            sealed,
        })
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.sealed {
            None => write!(f, "{:012}.open", self.sequence),
            Some(records) => write!(f, "{:012}.{records}.sealed", self.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_as_written() {
        for name in [
            FileName {
                sequence: 7,
                sealed: None,
            },
            FileName {
                sequence: 1 << 60,
                sealed: Some(1234),
            },
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        assert_eq!(
            FileName {
                sequence: 7,
                sealed: Some(3)
            }
            .to_string(),
            "000000000007.3.sealed"
        );
        for name in [
            "",
            ".",
            "x.open",
            "7",
            "7.sealed",
            "7.x.sealed",
            "7.open.tmp",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }
}
