//! The files of one shard.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::records::{RecordGroup, StoredGroup};
use crate::limits;
use crate::log::Logger;
use crate::streams::frame::{Found, FrameReader, Kind};
use crate::streams::frame_file::FrameFile;

/// The position of a shard's first record. The one before is where its sequence numbers begin, as Kinesis has it.
pub const FIRST: u64 = 1;

/// One file: records from `base` to the next file's, or to the shard's end.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The position of its first record.
    pub base: u64,
    /// The file.
    pub path: PathBuf,
    /// Its bytes; what stands behind them is not acknowledged.
    pub length: u64,
    /// When its last records arrived.
    pub last_arrival: Timestamp,
}

/// All files of a shard, and the one that takes records.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    /// In the order of their positions. Those that are full or expired are given back from the front.
    pub files: VecDeque<Segment>,
    open: Option<Open>,
    /// The position of the next record.
    pub next: u64,
}

#[derive(Debug)]
struct Open {
    file: FrameFile,
    first_arrival: Timestamp,
}

impl Segments {
    /// The files in `folder`, none if it is missing. A torn end is cut off: it was never acknowledged.
    pub fn open(folder: PathBuf, logger: &Logger) -> io::Result<Self> {
        let mut bases = Vec::new();
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&folder)?,
            entries => {
                for entry in entries? {
                    bases.extend(entry?.file_name().to_str().and_then(parse_name));
                }
            }
        }
        bases.sort_unstable();
        let mut segments = Self {
            files: VecDeque::with_capacity(bases.len()),
            open: None,
            next: FIRST,
            folder,
        };
        let last = bases.pop();
        for base in bases {
            let path = segments.path(base);
            let metadata = fs::metadata(&path)?;
            segments.files.push_back(Segment {
                base,
                path,
                length: metadata.len(),
                last_arrival: written(&metadata)?,
            });
        }
        if let Some(base) = last {
            segments.take_up(base, logger)?;
        }
        Ok(segments)
    }

    /// Takes up the file that took records last, read from beginning to end.
    fn take_up(&mut self, base: u64, logger: &Logger) -> io::Result<()> {
        let path = self.path(base);
        let metadata = fs::metadata(&path)?;
        let (mut next, mut last_arrival) = (base, written(&metadata)?);
        let (mut length, mut damaged, mut first_arrival) = (metadata.len(), 0, None);
        let mut reader = FrameReader::new(File::open(&path)?);
        while let Some(found) = reader.next()? {
            match found {
                Found::Frame {
                    kind: Kind::Records,
                    records,
                    payload,
                } => {
                    if let Some(group) = StoredGroup::parse(payload) {
                        next = group.first + u64::from(records);
                        last_arrival = group.arrival;
                        first_arrival = first_arrival.or(Some(group.arrival));
                    }
                }
                Found::Frame { .. } => {}
                Found::Damaged { length, .. } => damaged += length,
                Found::Torn { offset } => length = offset,
            }
        }
        let torn = metadata.len() - length;
        if torn > 0 {
            logger.warn(format_args!(
                "{}: {torn} bytes of an unfinished write were cut off",
                path.display()
            ));
        }
        let file = FrameFile::reopen(&path, length)?;
        if damaged == 0 {
            self.open = Some(Open {
                file,
                first_arrival: first_arrival.unwrap_or(last_arrival),
            });
        } else {
            logger.error(format_args!(
                "{}: {damaged} bytes are damaged; their records are passed over",
                path.display()
            ));
            // How many records were damaged is not known, but that none takes less than a byte: no position comes twice.
            next += damaged;
        }
        self.next = next;
        self.files.push_back(Segment {
            base,
            path,
            length,
            last_arrival,
        });
        Ok(())
    }

    /// Appends `group` as of `now` and gives the position of its first record. When this returns, all its records are
    /// kept; if it fails, none is.
    pub fn append(&mut self, group: &mut RecordGroup, now: Timestamp) -> io::Result<u64> {
        // A clock that went back does not make records older than those before them.
        let arrival = self
            .files
            .back()
            .map_or(now, |last| now.max(last.last_arrival));
        let full = self.open.as_ref().is_none_or(|open| {
            let (most, longest) = limits::SHARD_SEGMENT;
            open.file.is_spoilt()
                || open.file.length() >= most
                || std::time::Duration::try_from(arrival.duration_since(open.first_arrival))
                    .is_ok_and(|age| age >= longest)
        });
        if full {
            self.begin(arrival)?;
        }
        let (Some(open), Some(last)) = (&mut self.open, self.files.back_mut()) else {
            return Err(io::Error::other("a shard has no segment"));
        };
        let first = self.next;
        let records = group.records();
        open.file
            .append(Kind::Records, records, group.payload(first, arrival))?;
        last.length = open.file.length();
        last.last_arrival = arrival;
        self.next += u64::from(records);
        Ok(first)
    }

    /// Begins a new file for the records from now on.
    fn begin(&mut self, arrival: Timestamp) -> io::Result<()> {
        if self.files.back().is_some_and(|last| last.base == self.next) {
            // Nothing could be written to it, which may have been its own fault.
            self.open = None;
            let empty = self.files.pop_back();
            empty.map_or(Ok(()), |empty| fs::remove_file(empty.path))?;
        }
        let path = self.path(self.next);
        self.open = Some(Open {
            file: FrameFile::create(&path)?,
            first_arrival: arrival,
        });
        self.files.push_back(Segment {
            base: self.next,
            path,
            length: 0,
            last_arrival: arrival,
        });
        Ok(())
    }

    /// Removes the files whose records all arrived before `oldest`. The positions go on where they were.
    pub fn expire(&mut self, oldest: Timestamp) -> io::Result<()> {
        let last_is_old = self
            .files
            .back()
            .is_some_and(|last| last.last_arrival < oldest && last.length > 0);
        if last_is_old {
            // Its name is all that says where the positions go on.
            self.begin(Timestamp::now())?;
        }
        while self.files.len() > 1
            && let Some(first) = self.files.front()
            && first.last_arrival < oldest
        {
            fs::remove_file(&first.path)?;
            self.files.pop_front();
        }
        Ok(())
    }

    fn path(&self, base: u64) -> PathBuf {
        Path::new(&self.folder).join(format!("{base:020}.records"))
    }
}

fn parse_name(name: &str) -> Option<u64> {
    name.strip_suffix(".records")?.parse().ok()
}

fn written(metadata: &fs::Metadata) -> io::Result<Timestamp> {
    metadata.modified()?.try_into().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data_streams::read::{self, Batch, Cursor};
    use crate::streams::frame;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn group(records: &[&str]) -> RecordGroup {
        let mut group = RecordGroup::new();
        for record in records {
            let fill = |out: &mut Vec<u8>| {
                out.extend(record.bytes());
                Ok::<_, ()>(())
            };
            group.push("key", fill).unwrap();
        }
        group
    }

    fn open(folder: &tempfile::TempDir) -> Segments {
        Segments::open(folder.path().join("shard"), &Logger::silent()).unwrap()
    }

    fn read(segments: &Segments, cursor: Cursor, limit: usize, oldest: Timestamp) -> Batch {
        let files: Vec<_> = segments.files.iter().cloned().collect();
        read::batch(&files, segments.next, cursor, (limit, oldest)).unwrap()
    }

    fn texts(batch: &Batch) -> Vec<(u64, String)> {
        let text = |record: &read::Record| {
            (
                record.position,
                String::from_utf8(record.data.clone()).unwrap(),
            )
        };
        batch.records.iter().map(text).collect()
    }

    fn everything(segments: &Segments) -> Vec<(u64, String)> {
        texts(&read(segments, Cursor::at(0), 1000, Timestamp::MIN))
    }

    fn expected(first: u64, records: &[&str]) -> Vec<(u64, String)> {
        (first..)
            .zip(records.iter().map(|&text| text.to_owned()))
            .collect()
    }

    #[test]
    fn records_are_read_where_the_last_reading_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        let (one, two) = (at("2026-11-22T13:00:00Z"), at("2026-11-22T15:00:00Z"));
        assert_eq!(
            segments.append(&mut group(&["a", "b", "c"]), one).unwrap(),
            1
        );
        assert_eq!(segments.append(&mut group(&["d"]), one).unwrap(), 4);
        // Two hours later another file begins.
        assert_eq!(segments.append(&mut group(&["e", "f"]), two).unwrap(), 5);
        assert_eq!(segments.files.len(), 2);
        let segments = open(&folder);
        assert_eq!(segments.next, 7);
        let mut cursor = Cursor::at(FIRST);
        let mut seen = Vec::new();
        for more in [true, true, false] {
            let batch = read(&segments, cursor, 2, Timestamp::MIN);
            assert_eq!(batch.more, more);
            seen.extend(texts(&batch));
            cursor = batch.next;
        }
        assert_eq!(seen, expected(1, &["a", "b", "c", "d", "e", "f"]));
        assert!(
            read(&segments, cursor, 2, Timestamp::MIN)
                .records
                .is_empty()
        );
        // Hints that are wrong are no help and do no harm.
        for hint in [(1, 1), (1, u64::MAX), (5, 3), (99, 7)] {
            let batch = read(&segments, Cursor { position: 4, hint }, 9, Timestamp::MIN);
            assert_eq!(texts(&batch), expected(4, &["d", "e", "f"]), "{hint:?}");
        }
        let files: Vec<_> = segments.files.iter().cloned().collect();
        for (time, position) in [
            ("2026-11-22T12:00:00Z", Some(1)),
            ("2026-11-22T13:00:00Z", Some(1)),
            ("2026-11-22T13:00:01Z", Some(5)),
            ("2026-11-22T15:00:01Z", None),
        ] {
            assert_eq!(
                read::first_since(&files, at(time)).unwrap(),
                position,
                "{time}"
            );
        }
    }

    #[test]
    fn what_expires_goes_and_positions_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        segments
            .append(&mut group(&["old"]), at("2026-11-22T10:00:00Z"))
            .unwrap();
        segments
            .append(&mut group(&["late"]), at("2026-11-22T13:00:00Z"))
            .unwrap();
        let oldest = at("2026-11-22T12:00:00Z");
        // It is not read any more, whether its file is there or not.
        assert_eq!(
            texts(&read(&segments, Cursor::at(0), 9, oldest)),
            expected(2, &["late"])
        );
        segments.expire(oldest).unwrap();
        assert_eq!(everything(&segments), expected(2, &["late"]));
        segments.expire(at("2026-11-23T00:00:00Z")).unwrap();
        assert_eq!(everything(&segments), []);
        let mut segments = open(&folder);
        assert_eq!((segments.files.len(), segments.next), (1, 3));
        segments
            .append(&mut group(&["new"]), at("2026-11-23T00:00:00Z"))
            .unwrap();
        assert_eq!(everything(&open(&folder)), expected(3, &["new"]));
    }

    #[test]
    fn time_does_not_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        segments
            .append(&mut group(&["a"]), at("2026-11-22T13:00:00Z"))
            .unwrap();
        segments
            .append(&mut group(&["b"]), at("2026-11-22T12:00:00Z"))
            .unwrap();
        let batch = read(&segments, Cursor::at(0), 9, at("2026-11-22T13:00:00Z"));
        assert_eq!(texts(&batch), expected(1, &["a", "b"]));
    }

    #[test]
    fn an_unfinished_write_is_cut_off_and_damage_costs_itself_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        let now = at("2026-11-22T13:00:00Z");
        for text in ["one", "two", "three"] {
            segments.append(&mut group(&[text]), now).unwrap();
        }
        let path = segments.files[0].path.clone();
        let torn = frame::header(Kind::Records, 1, &[0; 16]);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&torn).unwrap();
        let mut segments = open(&folder);
        assert_eq!(segments.append(&mut group(&["four"]), now).unwrap(), 4);
        assert_eq!(
            everything(&segments),
            expected(1, &["one", "two", "three", "four"])
        );

        let mut bytes = fs::read(&path).unwrap();
        let two = bytes
            .windows(3)
            .position(|window| window == b"two")
            .unwrap();
        bytes[two] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut segments = open(&folder);
        let next = segments.append(&mut group(&["five"]), now).unwrap();
        assert!(next >= 5);
        let mut kept = expected(1, &["one"]);
        kept.extend(expected(3, &["three", "four"]));
        kept.extend(expected(next, &["five"]));
        assert_eq!(everything(&segments), kept);
        assert_eq!(everything(&open(&folder)), kept);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        let now = at("2026-11-22T13:00:00Z");
        fs::remove_dir(folder.path().join("shard")).unwrap();
        assert!(segments.append(&mut group(&["a"]), now).is_err());
        fs::create_dir(folder.path().join("shard")).unwrap();
        assert_eq!(segments.append(&mut group(&["a"]), now).unwrap(), 1);
        assert_eq!(everything(&open(&folder)), expected(1, &["a"]));
    }
}
