//! The buffer of a delivery stream: files that hold every acknowledged record until it is in an object.
//!
//! Records are appended with write(2) before they are acknowledged, so they outlive the process, however it ends. They
//! are not synced: a power cut may cost the last moments, as it may with Fluent Bit's own storage.

pub mod frame;
pub mod frame_file;
mod recovery;
mod segment;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

pub use recovery::{Recovered, recover};
use segment::OpenSegment;
pub use segment::{Label, SealedSegment};

use super::batch::RecordBatch;

/// The segments of one delivery stream: at most one that takes records, and those that wait to be delivered.
#[derive(Debug)]
pub struct Buffer {
    folder: PathBuf,
    open: Option<OpenSegment>,
    sealed: VecDeque<SealedSegment>,
    next_sequence: u64,
    /// Bytes of an object, before compression, at which its segment is sealed.
    size: u64,
}

/// What appending has brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The records joined others.
    ToSegment,
    /// They are the first of an object: its time begins.
    ToNewSegment,
    /// The object has its size and can be delivered.
    AndSealed,
}

impl Buffer {
    fn new(folder: PathBuf, next_sequence: u64, size: u64) -> Self {
        Self {
            folder,
            open: None,
            sealed: VecDeque::new(),
            next_sequence,
            size,
        }
    }

    /// Appends `batch`; `label` names the object if it is to be the first of one. When this returns, all records are
    /// kept; if it fails, none is.
    pub fn append(
        &mut self,
        batch: &RecordBatch,
        label: impl FnOnce() -> Label,
    ) -> io::Result<Appended> {
        let outcome = match &mut self.open {
            Some(segment) => segment.append(batch).map(|()| Appended::ToSegment),
            None => OpenSegment::create(&self.folder, self.next_sequence, label(), batch).map(
                |segment| {
                    self.next_sequence += 1;
                    self.open = Some(segment);
                    Appended::ToNewSegment
                },
            ),
        };
        let Some(segment) = &self.open else {
            return outcome;
        };
        if segment.object_bytes >= self.size || segment.is_spoilt() {
            // Where sealing fails the segment goes on growing, and the next append or the interval tries again.
            let sealed = self.seal().is_ok();
            return outcome.map(|appended| {
                if sealed {
                    Appended::AndSealed
                } else {
                    appended
                }
            });
        }
        outcome
    }

    /// Ends the segment that takes records, if there is one, so that it can be delivered.
    pub fn seal(&mut self) -> io::Result<()> {
        if let Some(segment) = &self.open {
            self.sealed.push_back(segment.seal()?);
            self.open = None;
        }
        Ok(())
    }

    /// When the oldest record arrived that is not in a sealed segment.
    pub fn first_arrival(&self) -> Option<Timestamp> {
        self.open
            .as_ref()
            .map(|segment| segment.label.first_arrival)
    }

    /// The segment to deliver next.
    pub fn oldest_sealed(&self) -> Option<SealedSegment> {
        self.sealed.front().cloned()
    }

    /// Forgets a segment whose object is durable.
    pub fn release(&mut self, segment: &SealedSegment) -> io::Result<()> {
        fs::remove_file(&segment.path)?;
        self.sealed
            .retain(|other| other.sequence != segment.sequence);
        Ok(())
    }

    /// Records that are kept.
    pub fn records(&self) -> u64 {
        self.sealed
            .iter()
            .map(|segment| segment.records)
            .sum::<u64>()
            + self.open.as_ref().map_or(0, |open| open.records)
    }

    fn add_sealed(&mut self, segment: SealedSegment) {
        self.sealed.push_back(segment);
    }

    /// Adds the segment that takes records; one that was added before is sealed, as there is one at a time.
    fn add_open(&mut self, segment: OpenSegment) -> io::Result<()> {
        self.seal()?;
        self.open = Some(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::frame::{Found, FrameReader, Kind};
    use super::*;
    use crate::streams::compression::Compression;

    fn label(key: &str) -> Label {
        Label {
            bucket: "bucket".to_owned(),
            key: key.to_owned(),
            compression: Compression::Uncompressed,
            first_arrival: Timestamp::UNIX_EPOCH,
        }
    }

    fn batch(text: &str) -> RecordBatch {
        let mut batch = RecordBatch::new(false, 0);
        batch
            .push(|out| {
                out.extend_from_slice(text.as_bytes());
                Ok::<_, ()>(())
            })
            .unwrap();
        batch
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn open(&self) -> (Buffer, Recovered) {
            recover(
                &self.0.path().join("buffer"),
                &self.0.path().join("quarantine"),
                10,
                |_| label("new"),
            )
            .unwrap()
        }

        fn files(&self, folder: &str) -> Vec<PathBuf> {
            let Ok(entries) = fs::read_dir(self.0.path().join(folder)) else {
                return Vec::new();
            };
            let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            files.sort();
            files
        }

        /// The one buffer file.
        fn file(&self) -> PathBuf {
            let files = self.files("buffer");
            assert_eq!(files.len(), 1, "{files:?}");
            files[0].clone()
        }
    }

    fn object(segment: &SealedSegment) -> String {
        let mut reader = FrameReader::new(fs::File::open(&segment.path).unwrap());
        let mut object = String::new();
        while let Some(found) = reader.next().unwrap() {
            if let Found::Frame {
                kind: Kind::Records,
                payload,
                ..
            } = found
            {
                object.push_str(std::str::from_utf8(payload).unwrap());
            }
        }
        object
    }

    #[test]
    fn records_of_an_earlier_run_go_on_where_they_were() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        assert_eq!(
            buffer.append(&batch("one"), || label("a")).unwrap(),
            Appended::ToNewSegment
        );
        drop(buffer);
        let (mut buffer, recovered) = folder.open();
        assert_eq!((recovered.records, recovered.notes.len()), (1, 0));
        assert_eq!(
            buffer.append(&batch("two"), || label("b")).unwrap(),
            Appended::ToSegment
        );
        buffer.seal().unwrap();
        let segment = buffer.oldest_sealed().unwrap();
        assert_eq!(
            (
                object(&segment).as_str(),
                segment.label.key.as_str(),
                segment.records
            ),
            ("onetwo", "a", 2)
        );
    }

    #[test]
    fn a_segment_is_sealed_at_its_size_and_stays_sealed() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        assert_eq!(
            buffer.append(&batch("0123456789"), || label("a")).unwrap(),
            Appended::AndSealed
        );
        assert_eq!(
            buffer.append(&batch("x"), || label("b")).unwrap(),
            Appended::ToNewSegment
        );
        drop(buffer);
        let (mut buffer, recovered) = folder.open();
        assert_eq!(recovered.records, 2);
        let first = buffer.oldest_sealed().unwrap();
        assert_eq!((first.label.key.as_str(), first.records), ("a", 1));
        buffer.release(&first).unwrap();
        assert_eq!((buffer.oldest_sealed(), buffer.records()), (None, 1));
    }

    #[test]
    fn an_unfinished_write_is_cut_off() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        buffer.append(&batch("kept"), || label("a")).unwrap();
        let header = frame::header(Kind::Records, 1, b"not acknowledged");
        fs::File::options()
            .append(true)
            .open(folder.file())
            .unwrap()
            .write_all(&header)
            .unwrap();
        drop(buffer);
        let (mut buffer, recovered) = folder.open();
        assert!(
            recovered.notes[0].contains("20 bytes of an unfinished write"),
            "{:?}",
            recovered.notes
        );
        buffer.append(&batch("next"), || label("b")).unwrap();
        buffer.seal().unwrap();
        assert_eq!(object(&buffer.oldest_sealed().unwrap()), "keptnext");
    }

    #[test]
    fn a_file_without_a_whole_record_is_removed() {
        for content in [&b""[..], &frame::header(Kind::Segment, 0, b"{}")[..]] {
            let folder = Folder::new();
            drop(folder.open());
            fs::write(folder.0.path().join("buffer/000000000001.open"), content).unwrap();
            let (buffer, recovered) = folder.open();
            assert_eq!((buffer.records(), recovered.notes.len()), (0, 1));
            assert!(folder.files("buffer").is_empty());
        }
    }

    #[test]
    fn a_lost_label_loses_no_records() {
        for sealed in [false, true] {
            let folder = Folder::new();
            let (mut buffer, _) = folder.open();
            buffer.append(&batch("one"), || label("a")).unwrap();
            buffer.append(&batch("two"), || label("a")).unwrap();
            if sealed {
                buffer.seal().unwrap();
            }
            drop(buffer);
            let mut bytes = fs::read(folder.file()).unwrap();
            bytes[25] ^= 1;
            fs::write(folder.file(), &bytes).unwrap();
            let (buffer, recovered) = folder.open();
            assert!(
                recovered.notes[0].contains("2 records were saved"),
                "{:?}",
                recovered.notes
            );
            let segment = buffer.oldest_sealed().unwrap();
            assert_eq!(
                (object(&segment).as_str(), segment.label.key.as_str()),
                ("onetwo", "new")
            );
            assert_eq!(fs::read(&folder.files("quarantine")[0]).unwrap(), bytes);
            assert_eq!(folder.file(), segment.path);
        }
    }

    #[test]
    fn an_unreadable_file_does_not_stop_the_others() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        buffer.append(&batch("one"), || label("a")).unwrap();
        drop(buffer);
        fs::create_dir(folder.0.path().join("buffer/000000000000.open")).unwrap();
        let (buffer, recovered) = folder.open();
        assert_eq!(buffer.records(), 1);
        assert!(
            recovered.notes[0].contains("is left alone"),
            "{:?}",
            recovered.notes
        );
    }
}
