//! Reading a shard from a position on.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};

use jiff::Timestamp;

use super::records::StoredGroup;
use super::segments::Segment;
use crate::limits;
use crate::streams::frame::{Found, FrameReader, Kind};

/// Where a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The position of the next record to read.
    pub position: u64,
    /// Where its frame begins: the base of its file and the offset there. A hint that spares looking for it; one that does
    /// not fit is passed over.
    pub hint: (u64, u64),
}

impl Cursor {
    /// At `position`, wherever that is.
    pub fn at(position: u64) -> Self {
        Self {
            position,
            hint: (0, 0),
        }
    }
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub position: u64,
    pub arrival: Timestamp,
    pub key: String,
    pub data: Vec<u8>,
}

/// What one reading has found.
#[derive(Debug)]
pub struct Batch {
    pub records: Vec<Record>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether the shard has more already.
    pub more: bool,
}

/// Reads at most `limit` records that arrived at `oldest` or later. `files` begin with the one that has the cursor's
/// position, if one has it; `end` is the position behind their last record.
pub fn batch(
    files: &[Segment],
    end: u64,
    cursor: Cursor,
    (limit, oldest): (usize, Timestamp),
) -> io::Result<Batch> {
    let mut found = Collecting {
        records: Vec::new(),
        bytes: 0,
        limit,
    };
    let mut next = cursor;
    for file in files {
        let Some(mut frames) = Frames::open(file, cursor)? else {
            continue;
        };
        loop {
            let offset = frames.offset();
            let Some((group, count)) = frames.next()? else {
                next.hint = (file.base, frames.offset());
                break;
            };
            let behind = group.first + u64::from(count);
            if behind <= cursor.position || group.arrival < oldest {
                continue;
            }
            if let Some(stopped) = found.take(group, cursor.position) {
                let next = Cursor {
                    position: stopped,
                    hint: (file.base, offset),
                };
                return Ok(Batch {
                    records: found.records,
                    next,
                    more: true,
                });
            }
        }
    }
    // Nothing is left, be it that a reader was told a position that is still to come.
    next.position = end.max(cursor.position);
    Ok(Batch {
        records: found.records,
        next,
        more: false,
    })
}

/// The position of the first record in `files` that arrived at `time` or later.
pub fn first_since(files: &[Segment], time: Timestamp) -> io::Result<Option<u64>> {
    for file in files {
        let Some(mut frames) = Frames::open(file, Cursor::at(0))? else {
            continue;
        };
        while let Some((group, _)) = frames.next()? {
            if group.arrival >= time {
                return Ok(Some(group.first));
            }
        }
    }
    Ok(None)
}

struct Collecting {
    records: Vec<Record>,
    bytes: usize,
    limit: usize,
}

impl Collecting {
    /// Takes the records of `group` from `from` on; the position of the first that was left for the next answer.
    fn take(&mut self, group: StoredGroup<'_>, from: u64) -> Option<u64> {
        for (position, (key, data)) in (group.first..).zip(group.records()) {
            if position < from {
                continue;
            }
            let size = key.len() + data.len();
            let full = self.bytes + size > limits::READ_BYTES && !self.records.is_empty();
            if self.records.len() == self.limit || full {
                return Some(position);
            }
            self.bytes += size;
            self.records.push(Record {
                position,
                arrival: group.arrival,
                key: key.to_owned(),
                data: data.to_vec(),
            });
        }
        None
    }
}

/// The frames of one file, up to what was acknowledged when the reading began.
struct Frames {
    reader: FrameReader<Take<File>>,
    start: u64,
}

impl Frames {
    /// The frames from where `cursor` says; `None` if the file expired meanwhile.
    fn open(file: &Segment, cursor: Cursor) -> io::Result<Option<Self>> {
        let (base, offset) = cursor.hint;
        let in_this_file = base == file.base && base <= cursor.position;
        if in_this_file && offset == file.length {
            return Self::open_at(file, offset);
        }
        if in_this_file && (1..file.length).contains(&offset) {
            // A hint comes from outside: it holds if what stands there does not begin behind the position.
            if let Some(mut frames) = Self::open_at(file, offset)? {
                let found = frames.next()?;
                if found.is_some_and(|(group, _)| group.first <= cursor.position) {
                    return Self::open_at(file, offset);
                }
            }
        }
        Self::open_at(file, 0)
    }

    fn open_at(file: &Segment, start: u64) -> io::Result<Option<Self>> {
        let mut input = match File::open(&file.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            input => input?,
        };
        input.seek(SeekFrom::Start(start))?;
        let reader = FrameReader::new(input.take(file.length - start));
        Ok(Some(Self { reader, start }))
    }

    fn offset(&self) -> u64 {
        self.start + self.reader.offset()
    }

    /// The next group and how many records it has. Damage is passed over; it was told of when the lake began.
    fn next(&mut self) -> io::Result<Option<(StoredGroup<'_>, u32)>> {
        // A loop that returns what it borrowed is more than the compiler follows; so the damage is passed over first.
        while self.reader.skip_damage()? {}
        match self.reader.next()? {
            Some(Found::Frame {
                kind: Kind::Records,
                records,
                payload,
                ..
            }) => Ok(StoredGroup::parse(payload).map(|group| (group, records))),
            _ => Ok(None),
        }
    }
}
