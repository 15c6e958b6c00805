//! The buffer of a delivery stream: files that hold every acknowledged record until it is in an object.
//!
//! Records are appended with write(2) and then synced, one sync for all put calls that came meanwhile, before they are
//! acknowledged. With [`SyncMode::Normal`] they are not synced: they outlive the process, and a power cut may cost the last
//! moments, as it may with Fluent Bit's own storage.

pub mod frame;
pub mod frame_file;
mod recovery;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use recovery::{Recovered, recover};
use segment::OpenSegment;
pub use segment::{Label, SealedSegment, Unsynced};

use super::batch::RecordBatch;
use crate::durability::SyncMode;

/// The segments of one delivery stream: at most one that takes records, and those that wait to be delivered.
#[derive(Debug)]
pub struct Buffer {
    folder: PathBuf,
    open: Option<OpenSegment>,
    /// Full ones, or due ones, that are still to be sealed.
    closing: Vec<OpenSegment>,
    sealed: VecDeque<SealedSegment>,
    next_sequence: u64,
    /// Bytes of an object, before compression, at which its segment takes no more.
    size: u64,
    sync: SyncMode,
}

/// What appending has brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The records joined others.
    ToSegment,
    /// They are the first of an object: its time begins.
    ToNewSegment,
    /// The object has its size and can be sealed.
    AndFull,
}

impl Buffer {
    fn new(folder: PathBuf, next_sequence: u64, size: u64, sync: SyncMode) -> Self {
        Self {
            folder,
            open: None,
            closing: Vec::new(),
            sealed: VecDeque::new(),
            next_sequence,
            size,
            sync,
        }
    }

    /// Appends `batch`, which `claim` belongs to; `label` names the object if it is to be the first of one. When this
    /// returns, all records outlive the process; if it fails, none is kept.
    pub fn append(
        &mut self,
        batch: &RecordBatch,
        claim: &[u8],
        label: impl FnOnce() -> Label,
    ) -> io::Result<Appended> {
        let outcome = match &mut self.open {
            Some(segment) => segment.append(batch, claim).map(|()| Appended::ToSegment),
            None => {
                let made =
                    OpenSegment::create(&self.folder, (self.next_sequence, label()), batch, claim);
                made.map(|segment| {
                    self.next_sequence += 1;
                    self.open = Some(segment);
                    Appended::ToNewSegment
                })
            }
        };
        if let Some(segment) = &mut self.open
            && self.sync == SyncMode::Normal
        {
            segment.mark_durable(segment.size);
        }
        let full = self
            .open
            .take_if(|segment| segment.size.object_bytes >= self.size || segment.is_spoilt());
        match full {
            Some(segment) => {
                self.closing.push(segment);
                outcome.map(|_| Appended::AndFull)
            }
            None => outcome,
        }
    }

    /// Where the records went that were appended last: a segment and its length with them.
    pub fn end(&self) -> (u64, u64) {
        let last = self.open.as_ref().or(self.closing.last());
        last.map_or((0, 0), |segment| (segment.sequence, segment.size.length))
    }

    /// Ends the segment that takes records, if there is one.
    pub fn close(&mut self) {
        self.closing.extend(self.open.take());
    }

    /// Whether nothing waits to be sealed.
    pub fn is_sealed(&self) -> bool {
        self.closing.is_empty()
    }

    /// What has to be synced.
    pub fn unsynced(&self) -> Vec<Unsynced> {
        let growing = self.closing.iter().chain(&self.open);
        growing.filter_map(OpenSegment::unsynced).collect()
    }

    /// What was synced is on disk.
    pub fn mark_durable(&mut self, synced: &Unsynced) {
        let mut growing = self.closing.iter_mut().chain(&mut self.open);
        if let Some(segment) = growing.find(|segment| segment.sequence == synced.sequence) {
            segment.mark_durable(synced.size);
        }
    }

    /// Takes back what is not on disk, after a sync has failed: the system may call it clean and it is not. Segments that
    /// it was in are ended.
    pub fn abandon_unsynced(&mut self) -> io::Result<()> {
        let mut outcome = Ok(());
        self.close();
        self.closing.retain_mut(|segment| {
            // One that was about to take more can do so no longer; others are as they were.
            segment.is_durable()
                || match segment.abandon() {
                    Ok(is_left) => is_left,
                    // Its records are delivered, and perhaps once more when they are sent again.
                    Err(error) => {
                        outcome = Err(error);
                        segment.mark_durable(segment.size);
                        true
                    }
                }
        });
        outcome
    }

    /// The segments that can be sealed: on disk, and nothing more is appended to them.
    pub fn sealable(&self) -> Vec<u64> {
        let closing = self.closing.iter().filter(|segment| segment.is_durable());
        closing.map(|segment| segment.sequence).collect()
    }

    /// Seals these segments, so that they can be delivered.
    pub fn seal(&mut self, sequences: &[u64]) -> io::Result<()> {
        for sequence in sequences {
            let Some(at) = self
                .closing
                .iter()
                .position(|segment| segment.sequence == *sequence)
            else {
                continue;
            };
            self.sealed.push_back(self.closing[at].seal()?);
            self.closing.remove(at);
        }
        Ok(())
    }

    /// Where the segments are.
    pub fn folder(&self) -> &Path {
        &self.folder
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

    /// Forgets a segment whose file is gone.
    pub fn forget(&mut self, segment: &SealedSegment) {
        self.sealed
            .retain(|other| other.sequence != segment.sequence);
    }

    /// Records that are kept.
    pub fn records(&self) -> u64 {
        let growing = self.closing.iter().chain(&self.open);
        self.sealed
            .iter()
            .map(|segment| segment.records)
            .chain(growing.map(|segment| segment.size.records))
            .sum()
    }

    fn add_sealed(&mut self, segment: SealedSegment) {
        self.sealed.push_back(segment);
    }

    /// Adds the segment that takes records; one that was added before is ended, as there is one at a time.
    fn add_open(&mut self, segment: OpenSegment) {
        self.close();
        if segment.size.object_bytes >= self.size {
            self.closing.push(segment);
        } else {
            self.open = Some(segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
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
                (10, SyncMode::Full),
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

    /// Puts everything on disk and seals it.
    fn seal(buffer: &mut Buffer) {
        buffer.close();
        for unsynced in buffer.unsynced() {
            unsynced.sync().unwrap();
            buffer.mark_durable(&unsynced);
        }
        let sequences = buffer.sealable();
        buffer.seal(&sequences).unwrap();
        assert!(buffer.is_sealed());
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
            buffer.append(&batch("one"), &[], || label("a")).unwrap(),
            Appended::ToNewSegment
        );
        drop(buffer);
        let (mut buffer, recovered) = folder.open();
        assert_eq!((recovered.records, recovered.notes.len()), (1, 0));
        assert_eq!(
            buffer.append(&batch("two"), &[], || label("b")).unwrap(),
            Appended::ToSegment
        );
        seal(&mut buffer);
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
            buffer
                .append(&batch("0123456789"), &[], || label("a"))
                .unwrap(),
            Appended::AndFull
        );
        assert_eq!(
            buffer.append(&batch("x"), &[], || label("b")).unwrap(),
            Appended::ToNewSegment
        );
        for unsynced in buffer.unsynced() {
            unsynced.sync().unwrap();
            buffer.mark_durable(&unsynced);
        }
        assert_eq!(
            buffer.oldest_sealed(),
            None,
            "it takes no more, but is not sealed yet"
        );
        let sequences = buffer.sealable();
        buffer.seal(&sequences).unwrap();
        drop(buffer);
        let (mut buffer, recovered) = folder.open();
        assert_eq!(recovered.records, 2);
        let first = buffer.oldest_sealed().unwrap();
        assert_eq!((first.label.key.as_str(), first.records), ("a", 1));
        buffer.forget(&first);
        fs::remove_file(&first.path).unwrap();
        assert_eq!((buffer.oldest_sealed(), buffer.records()), (None, 1));
    }

    #[test]
    fn what_cannot_be_synced_is_taken_back() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        buffer.append(&batch("one"), &[], || label("a")).unwrap();
        for unsynced in buffer.unsynced() {
            buffer.mark_durable(&unsynced);
        }
        buffer.append(&batch("two"), &[], || label("a")).unwrap();
        buffer.abandon_unsynced().unwrap();
        assert_eq!(buffer.unsynced().len(), 0);
        // What comes now goes elsewhere: the file's state is not known any more.
        let appended = buffer.append(&batch("two"), &[], || label("b")).unwrap();
        assert_eq!(appended, Appended::ToNewSegment);
        seal(&mut buffer);
        let first = buffer.oldest_sealed().unwrap();
        assert_eq!(object(&first), "one");
        buffer.forget(&first);
        assert_eq!(object(&buffer.oldest_sealed().unwrap()), "two");
        // One of which nothing is on disk leaves no file.
        buffer.append(&batch("x"), &[], || label("c")).unwrap();
        buffer.abandon_unsynced().unwrap();
        assert_eq!((buffer.records(), folder.files("buffer").len()), (1, 2));
    }

    #[test]
    fn an_unfinished_write_is_cut_off() {
        let folder = Folder::new();
        let (mut buffer, _) = folder.open();
        buffer.append(&batch("kept"), &[], || label("a")).unwrap();
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
        buffer.append(&batch("next"), &[], || label("b")).unwrap();
        seal(&mut buffer);
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
            buffer.append(&batch("one"), &[], || label("a")).unwrap();
            buffer.append(&batch("two"), &[], || label("a")).unwrap();
            if sealed {
                seal(&mut buffer);
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
        buffer.append(&batch("one"), &[], || label("a")).unwrap();
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
