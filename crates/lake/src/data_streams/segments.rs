//! The files of one shard.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::records::{RecordGroup, StoredGroup};
use crate::delivered::Claim;
use crate::durability::{Round, SyncMode};
use crate::failpoint;
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
    /// What the next sync covers.
    pub round: Arc<Round>,
    sync: SyncMode,
}

#[derive(Debug)]
struct Open {
    file: FrameFile,
    first_arrival: Timestamp,
    /// How many bytes are known to be on disk, and the position behind their last record.
    durable: (u64, u64),
    /// Whether its name is.
    named: bool,
}

/// What has to be synced.
#[derive(Debug)]
pub struct Unsynced {
    /// The file, by its first position.
    pub base: u64,
    /// How many bytes the sync covers.
    pub length: u64,
    next: u64,
    file: Arc<File>,
    /// The folder, if the file's name is new there.
    folder: Option<PathBuf>,
}

impl Unsynced {
    /// Puts it on disk.
    pub fn sync(&self) -> io::Result<()> {
        failpoint::io("shard.sync")?;
        self.file.sync_data()?;
        match &self.folder {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// Files that are read for what they claim if nothing says from where on that is needed.
const READ_FOR_CLAIMS: usize = 4;

impl Segments {
    /// The files in `folder`, none if it is missing, and what the records claim of files that begin with `resume` or later.
    /// A torn end is cut off: it was never acknowledged.
    pub fn open(
        folder: PathBuf,
        resume: Option<u64>,
        logger: &Logger,
        sync: SyncMode,
    ) -> io::Result<(Self, Vec<Claim>)> {
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
            round: Arc::default(),
            sync,
            folder,
        };
        let last = bases.pop();
        let resume = resume.unwrap_or_else(|| {
            let first = bases.len().saturating_sub(READ_FOR_CLAIMS);
            bases.get(first).copied().unwrap_or(0)
        });
        let mut claims = Vec::new();
        for base in bases {
            let path = segments.path(base);
            let metadata = fs::metadata(&path)?;
            if base >= resume {
                read_claims(&path, &mut claims)?;
            }
            segments.files.push_back(Segment {
                base,
                path,
                length: metadata.len(),
                last_arrival: written(&metadata)?,
            });
        }
        if let Some(base) = last {
            segments.take_up(base, logger, &mut claims)?;
        }
        Ok((segments, claims))
    }

    /// Takes up the file that took records last, read from beginning to end.
    fn take_up(&mut self, base: u64, logger: &Logger, claims: &mut Vec<Claim>) -> io::Result<()> {
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
                    claim,
                    payload,
                } => {
                    claims.extend(Claim::decode(claim));
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
        // It may have been acknowledged by a process that did not live to sync it.
        self.sync.file(&file.handle())?;
        if damaged == 0 {
            self.open = Some(Open {
                file,
                first_arrival: first_arrival.unwrap_or(last_arrival),
                durable: (length, next),
                named: false,
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

    /// Appends `group`, which `claim` belongs to, as of `now` and gives the position of its first record. When this returns,
    /// all its records outlive the process; if it fails, none is kept.
    pub fn append(
        &mut self,
        group: &mut RecordGroup,
        claim: &[u8],
        now: Timestamp,
    ) -> io::Result<u64> {
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
        failpoint::io("shard.append")?;
        let payload = group.payload(first, arrival);
        open.file.append(Kind::Records, records, claim, payload)?;
        last.length = open.file.length();
        last.last_arrival = arrival;
        self.next += u64::from(records);
        if self.sync == SyncMode::Normal {
            open.durable = (last.length, self.next);
        }
        Ok(first)
    }

    /// The last file and its bytes: where records went that were appended last.
    pub fn end(&self) -> (u64, u64) {
        self.files
            .back()
            .map_or((0, 0), |last| (last.base, last.length))
    }

    /// What has to be synced, if anything has.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let (open, (base, length)) = (self.open.as_ref()?, self.end());
        (open.durable.0 != length).then(|| Unsynced {
            base,
            length,
            next: self.next,
            file: open.file.handle(),
            folder: (!open.named).then(|| self.folder.clone()),
        })
    }

    /// What was synced is on disk.
    pub fn mark_durable(&mut self, synced: &Unsynced) {
        let base = self.end().0;
        if let Some(open) = self.open.as_mut().filter(|_| base == synced.base) {
            open.durable = (synced.length, synced.next);
            open.named = true;
        }
    }

    /// Takes back what is not on disk, after a sync has failed: the system may call it clean and it is not. The next
    /// records go to another file.
    pub fn abandon_unsynced(&mut self) -> io::Result<()> {
        let (Some(mut open), Some(last)) = (self.open.take(), self.files.back_mut()) else {
            return Ok(());
        };
        let (length, next) = open.durable;
        open.file.abandon(length)?;
        last.length = length;
        self.next = next;
        Ok(())
    }

    /// Begins a new file for the records from now on.
    fn begin(&mut self, arrival: Timestamp) -> io::Result<()> {
        if let Some(unsynced) = self.unsynced() {
            // Only the last file is ever behind.
            unsynced.sync()?;
            self.mark_durable(&unsynced);
        }
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
            durable: (0, self.next),
            named: false,
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
        self.sync.folder(&self.folder)
    }

    fn path(&self, base: u64) -> PathBuf {
        Path::new(&self.folder).join(format!("{base:020}.records"))
    }
}

/// Adds what the records of a file claim. Damage is told of where the file is read for its records.
fn read_claims(path: &Path, claims: &mut Vec<Claim>) -> io::Result<()> {
    let mut reader = FrameReader::new(File::open(path)?);
    while let Some(found) = reader.next()? {
        if let Found::Frame { claim, .. } = found {
            claims.extend(Claim::decode(claim));
        }
    }
    Ok(())
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
        let place = folder.path().join("shard");
        Segments::open(place, None, &Logger::silent(), SyncMode::Full)
            .unwrap()
            .0
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
            segments
                .append(&mut group(&["a", "b", "c"]), &[], one)
                .unwrap(),
            1
        );
        assert_eq!(segments.append(&mut group(&["d"]), &[], one).unwrap(), 4);
        // Two hours later another file begins.
        assert_eq!(
            segments.append(&mut group(&["e", "f"]), &[], two).unwrap(),
            5
        );
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
            .append(&mut group(&["old"]), &[], at("2026-11-22T10:00:00Z"))
            .unwrap();
        segments
            .append(&mut group(&["late"]), &[], at("2026-11-22T13:00:00Z"))
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
            .append(&mut group(&["new"]), &[], at("2026-11-23T00:00:00Z"))
            .unwrap();
        assert_eq!(everything(&open(&folder)), expected(3, &["new"]));
    }

    #[test]
    fn time_does_not_go_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = open(&folder);
        segments
            .append(&mut group(&["a"]), &[], at("2026-11-22T13:00:00Z"))
            .unwrap();
        segments
            .append(&mut group(&["b"]), &[], at("2026-11-22T12:00:00Z"))
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
            segments.append(&mut group(&[text]), &[], now).unwrap();
        }
        let path = segments.files[0].path.clone();
        let torn = frame::header(Kind::Records, 1, &[0; 16]);
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(&torn).unwrap();
        let mut segments = open(&folder);
        assert_eq!(segments.append(&mut group(&["four"]), &[], now).unwrap(), 4);
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
        let next = segments.append(&mut group(&["five"]), &[], now).unwrap();
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
        assert!(segments.append(&mut group(&["a"]), &[], now).is_err());
        fs::create_dir(folder.path().join("shard")).unwrap();
        assert_eq!(segments.append(&mut group(&["a"]), &[], now).unwrap(), 1);
        assert_eq!(everything(&open(&folder)), expected(1, &["a"]));
    }
}
