//! What tells one file from another, and one content from another in the same file.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffer::positions::{Fingerprint, MARKER_SIZE, Position, TAIL_SIZE};

/// How much of a file's beginning is hashed to recognise it.
const HEAD_SIZE: u64 = 1024;
/// How much of the first line goes into a content's name.
const FIRST_LINE_SIZE: usize = 256;

/// Names a file while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode on it.
    pub inode: u64,
}

impl FileId {
    /// Of the file that `metadata` is about.
    pub fn of(metadata: &Metadata) -> FileId {
        FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// When the file was made, in nanoseconds since 1970, where the file system knows. An inode that is used again has another birth.
pub fn birth(metadata: &Metadata) -> Option<i64> {
    let since = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}

/// When the file was made, changed or renamed last, whichever is the latest.
pub fn last_touched(metadata: &Metadata) -> SystemTime {
    let changed = u64::try_from(metadata.ctime()).map_or(UNIX_EPOCH, |seconds| {
        UNIX_EPOCH + Duration::new(seconds, metadata.ctime_nsec() as u32)
    });
    [metadata.modified().ok(), metadata.created().ok()]
        .into_iter()
        .flatten()
        .fold(changed, SystemTime::max)
}

/// The time that a file would get that is made now: file systems use a clock that ticks every few milliseconds.
pub fn file_time() -> SystemTime {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writing. The call cannot fail for this clock; then the time would stay 0.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, time.tv_nsec as u32)
}

/// Of the bytes of `range`.
///
/// # Errors
/// When they cannot be read, or the file ends before.
pub fn fingerprint(file: &File, range: Range<u64>) -> io::Result<Fingerprint> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(Fingerprint::of(&bytes))
}

/// Of the beginning of a file of which `size` bytes are known; says nothing when it cannot be read.
pub fn head(file: &File, size: u64) -> Fingerprint {
    fingerprint(file, 0..size.min(HEAD_SIZE)).unwrap_or(Fingerprint::NONE)
}

/// The first line of a file, or the beginning of it: what does not change while the file grows, once there is a line.
///
/// # Errors
/// When it cannot be read.
pub fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; FIRST_LINE_SIZE];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            read => len += read,
        }
    }
    bytes.truncate(memchr::memchr(b'\n', &bytes[..len]).unwrap_or(len));
    Ok(bytes)
}

/// Whether [`head`] of a file that grew to `size` would say more than `head` does.
pub fn head_can_grow(head: Fingerprint, size: u64) -> bool {
    u64::from(head.size) < size.min(HEAD_SIZE)
}

/// Of the last bytes before `offset`: as Fluent Bit hashes them, and of more of them.
///
/// # Errors
/// When they cannot be read, or the file ends before.
pub fn marks(file: &File, offset: u64) -> io::Result<Marks> {
    let mut bytes = vec![0; offset.min(TAIL_SIZE as u64) as usize];
    let start = offset - bytes.len() as u64;
    file.read_exact_at(&mut bytes, start)?;
    Ok(Marks {
        marker: Fingerprint::of(&bytes[bytes.len().saturating_sub(MARKER_SIZE)..]),
        tail: Fingerprint::of(&bytes),
    })
}

/// What the bytes before a position are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Of the last 32 bytes.
    pub marker: Fingerprint,
    /// Of the last 4096 bytes.
    pub tail: Fingerprint,
}

/// Whether the file still begins with what `head` was made of.
pub fn has_head(file: &File, head: Fingerprint) -> bool {
    head.is_none() || fingerprint(file, 0..u64::from(head.size)).is_ok_and(|own| own == head)
}

/// Whether `marker` was made of the bytes before `offset`.
pub fn has_marker(file: &File, offset: u64, marker: Fingerprint) -> bool {
    let size = u64::from(marker.size);
    marker.is_none()
        || (size <= offset
            && fingerprint(file, offset - size..offset).is_ok_and(|own| own == marker))
}

/// How an open file relates to a stored position for its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is that file, and what was delivered of it still stands in it.
    Same,
    /// It is that file, but its content was replaced: truncated, perhaps written anew.
    NewContent,
    /// It is another file that was given the same inode.
    OtherFile,
}

/// Compares `file` with the position that is stored for its inode.
pub fn judge(stored: &Position, file: &File, metadata: &Metadata) -> Verdict {
    let facts = stored.facts.as_ref();
    if let (Some(then), Some(now)) = (facts.and_then(|facts| facts.birth), birth(metadata))
        && then != now
    {
        return Verdict::OtherFile;
    }
    let delivered = facts.and_then(|facts| facts.delivered.last());
    let end = delivered.map_or(stored.offset, |last| last.end);
    if end > metadata.len() || !holds(stored, file) {
        return Verdict::NewContent;
    }
    Verdict::Same
}

/// Whether `file` holds a copy of what `stored` describes: the same beginning and the same bytes before the offset. A position
/// that nothing is known about has no copy.
pub fn is_copy(stored: &Position, file: &File) -> bool {
    let head = stored
        .facts
        .as_ref()
        .map_or(Fingerprint::NONE, |facts| facts.head);
    !head.is_none() && (stored.offset == 0 || !stored.marker.is_none()) && holds(stored, file)
}

/// Whether the beginning of `file` and the bytes before the stored offset are those that were stored.
fn holds(stored: &Position, file: &File) -> bool {
    let facts = stored.facts.as_ref();
    has_marker(file, stored.offset, stored.marker)
        && facts.is_none_or(|facts| {
            has_head(file, facts.head) && has_marker(file, stored.offset, facts.tail)
        })
}

/// Where two files are compared to find out whether one begins with the other.
const SAMPLES: u64 = 16;
/// How much at each place.
const SAMPLE_SIZE: u64 = 4096;

/// Whether the first `len` bytes of both files are the same, judged by their beginning, their end and places between.
///
/// # Errors
/// When one of them cannot be read so far.
pub fn begin_alike(one: &File, other: &File, len: u64) -> io::Result<bool> {
    let size = len.min(SAMPLE_SIZE);
    let (mut a, mut b) = (vec![0; size as usize], vec![0; size as usize]);
    let last = len - size;
    let samples = if last <= SAMPLES * SAMPLE_SIZE {
        last / SAMPLE_SIZE + 1
    } else {
        SAMPLES
    };
    for sample in 0..=samples {
        let at = last * sample / samples;
        one.read_exact_at(&mut a, at)?;
        other.read_exact_at(&mut b, at)?;
        if a != b {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use buffer::positions::Facts;
    use std::io::Write;

    const CONTENT: &[u8] = b"first line\nsecond line\nthird line\n";

    fn stored(file: &File, offset: u64) -> Position {
        let metadata = file.metadata().expect("an open file");
        Position {
            name: "a.log".into(),
            inode: metadata.ino(),
            offset,
            rotated: false,
            marker: marks(file, offset).expect("long enough").marker,
            facts: Some(Facts {
                birth: birth(&metadata),
                head: head(file, offset),
                tail: marks(file, offset).expect("long enough").tail,
                ..Facts::default()
            }),
        }
    }

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("room");
        file
    }

    fn verdict(stored: &Position, file: &File) -> Verdict {
        judge(stored, file, &file.metadata().expect("an open file"))
    }

    #[test]
    fn content_is_recognised() {
        let mut file = file(CONTENT);
        let row = stored(&file, 23);
        file.write_all(b"more\n").expect("room");
        assert_eq!(verdict(&row, &file), Verdict::Same);
        file.write_all_at(b"F", 0).expect("room");
        assert_eq!(verdict(&row, &file), Verdict::NewContent, "another head");
        file.write_all_at(b"f", 0).expect("room");
        file.write_all_at(b"S", 11).expect("room");
        assert_eq!(
            verdict(&row, &file),
            Verdict::NewContent,
            "other bytes before the offset"
        );
        file.write_all_at(b"s", 11).expect("room");
        file.set_len(22).expect("truncate");
        assert_eq!(
            verdict(&row, &file),
            Verdict::NewContent,
            "shorter than the offset"
        );
    }

    #[test]
    fn a_missing_part_beyond_the_offset_is_new_content() {
        let file = file(CONTENT);
        let mut row = stored(&file, 11);
        row.facts.as_mut().expect("facts").delivered = vec![23..40];
        assert_eq!(verdict(&row, &file), Verdict::NewContent);
    }

    #[test]
    fn another_birth_is_another_file() {
        let file = file(CONTENT);
        let mut row = stored(&file, 23);
        let facts = row.facts.as_mut().expect("facts");
        if let Some(birth) = &mut facts.birth {
            *birth -= 1;
            assert_eq!(verdict(&row, &file), Verdict::OtherFile);
        }
    }

    #[test]
    fn rows_of_fluent_bit_are_judged_by_their_marker() {
        let same = file(CONTENT);
        let mut row = stored(&same, 23);
        row.facts = None;
        assert_eq!(verdict(&row, &same), Verdict::Same);
        assert_eq!(
            verdict(&row, &file(b"something else that is long enough\n")),
            Verdict::NewContent
        );
        row.marker = Fingerprint::NONE;
        assert_eq!(
            verdict(&row, &file(&[b'x'; 30])),
            Verdict::Same,
            "an old version's row"
        );
    }

    #[test]
    fn copies_are_recognised_by_head_and_marker() {
        let original = file(CONTENT);
        let row = stored(&original, 23);
        assert!(is_copy(&row, &file(CONTENT)));
        assert!(!is_copy(&row, &file(&CONTENT[..20])));
        assert!(
            !is_copy(&stored(&original, 0), &file(CONTENT)),
            "nothing to go by"
        );
    }
}
