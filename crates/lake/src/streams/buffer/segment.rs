//! Buffer files: one per object to be.
//!
//! A segment begins with a label that fixes the object's name before any record is acknowledged. While it is `open`
//! records are appended; once `sealed`, by renaming it, it never changes again. However often it is delivered, the
//! result is the same object under the same name: a crash in between neither loses nor doubles anything.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::frame::Kind;
use super::frame_file::FrameFile;
use crate::delivered::Claim;
use crate::durability::SyncMode;
use crate::failpoint;
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

/// A segment that takes records, or took them and is not sealed yet.
#[derive(Debug)]
pub struct OpenSegment {
    /// What it becomes.
    pub label: Label,
    /// What is in it.
    pub size: Size,
    /// How much of that is known to be on disk.
    pub durable: Size,
    /// Its place among the stream's segments.
    pub sequence: u64,
    /// Whether its name is known to be on disk.
    named: bool,
    file: FrameFile,
    path: PathBuf,
}

/// How much there is in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Bytes of the file.
    pub length: u64,
    /// Records in it.
    pub records: u64,
    /// Bytes of the object before compression.
    pub object_bytes: u64,
}

/// What has to be synced of a segment.
#[derive(Debug)]
pub struct Unsynced {
    /// Which one.
    pub sequence: u64,
    /// What the sync covers.
    pub size: Size,
    file: Arc<File>,
    /// The folder, if the file's name is new there.
    folder: Option<PathBuf>,
}

impl Unsynced {
    /// Puts it on disk.
    pub fn sync(&self) -> io::Result<()> {
        failpoint::io("buffer.sync")?;
        self.file.sync_data()?;
        match &self.folder {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
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
    /// Makes a segment in `folder` that holds `batch`, which `claim` belongs to. If that fails, no file is left.
    pub fn create(
        folder: &Path,
        (sequence, label): (u64, Label),
        batch: &RecordBatch,
        claim: &[u8],
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
            size: Size::default(),
            durable: Size::default(),
            sequence,
            named: false,
            file,
            path,
        };
        let written = segment
            .write_label()
            .and_then(|()| segment.append(batch, claim));
        match written {
            Ok(()) => Ok(segment),
            Err(error) => {
                let _ = fs::remove_file(&segment.path);
                Err(error)
            }
        }
    }

    /// Takes up a segment of an earlier run that holds `contents`, and puts that on disk as `sync` says.
    pub fn reopen(
        path: PathBuf,
        sequence: u64,
        contents: Contents,
        sync: SyncMode,
    ) -> io::Result<Self> {
        let file = FrameFile::reopen(&path, contents.size.length)?;
        // It may have been acknowledged: what is wrong with this disk must not take it away again later.
        sync.file(&file.handle())?;
        Ok(Self {
            label: contents.label,
            size: contents.size,
            durable: contents.size,
            sequence,
            named: false,
            file,
            path,
        })
    }

    /// Appends `batch`, which `claim` belongs to. When this returns, the records outlive the process. If it fails, none of
    /// them is in the file.
    pub fn append(&mut self, batch: &RecordBatch, claim: &[u8]) -> io::Result<()> {
        let payload = batch.payload(self.size.records == 0);
        failpoint::io("buffer.append")?;
        self.file
            .append(Kind::Records, batch.records(), claim, payload)?;
        self.size = Size {
            length: self.file.length(),
            records: self.size.records + u64::from(batch.records()),
            object_bytes: self.size.object_bytes + payload.len() as u64,
        };
        Ok(())
    }

    /// Whether the segment has to be sealed because nothing can be appended safely.
    pub fn is_spoilt(&self) -> bool {
        self.file.is_spoilt()
    }

    /// Whether everything in it is on disk.
    pub fn is_durable(&self) -> bool {
        self.durable == self.size
    }

    /// What has to be synced, if anything has.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let folder = || self.path.parent().map(Path::to_owned);
        (!self.is_durable()).then(|| Unsynced {
            sequence: self.sequence,
            size: self.size,
            file: self.file.handle(),
            folder: (!self.named).then(folder).flatten(),
        })
    }

    /// So much of it is on disk.
    pub fn mark_durable(&mut self, size: Size) {
        self.durable = size;
        self.named = true;
    }

    /// Takes back what is not known to be on disk: it could not be synced, and nothing is appended to the file any more.
    /// `false` if nothing is left of the segment.
    pub fn abandon(&mut self) -> io::Result<bool> {
        if self.durable.records == 0 {
            fs::remove_file(&self.path)?;
            return Ok(false);
        }
        self.file.abandon(self.durable.length)?;
        self.size = self.durable;
        Ok(true)
    }

    /// Ends the segment.
    pub fn seal(&self) -> io::Result<SealedSegment> {
        let name = FileName {
            sequence: self.sequence,
            sealed: Some(self.size.records),
        };
        let path = self.path.with_file_name(name.to_string());
        fs::rename(&self.path, &path)?;
        Ok(SealedSegment {
            label: self.label.clone(),
            records: self.size.records,
            path,
            sequence: self.sequence,
        })
    }

    fn write_label(&mut self) -> io::Result<()> {
        let label = serde_json::to_vec(&self.label)?;
        self.file.append(Kind::Segment, 0, &[], &label)
    }
}

/// What reading a segment to its end has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The segment's label.
    pub label: Label,
    /// What is in frames that hold; its length is the file's without a torn end.
    pub size: Size,
    /// What the frames claim.
    pub claims: Vec<Claim>,
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
