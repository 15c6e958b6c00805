//! Buffer files: checksummed frames one behind the other, appended durably, read back up to where they are whole.
//!
//! A frame is the length of its content and a checksum, four bytes each in little-endian order, then the content. The
//! checksum covers the frame's place in the file too, so that remains of an older write never pass for a frame. The
//! first frame describes the file; the contents of the others, joined, are its data.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Length and checksum.
const HEAD: u64 = 8;
/// No frame is larger: what says so is no frame.
const CONTENT_MAX: u32 = 1 << 30;

/// How far a file is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of whole frames.
    pub file: u64,
    /// Bytes of data in them.
    pub data: u64,
}

/// What was found in a file.
#[derive(Debug)]
pub struct Found {
    /// The content of the first frame; `None`: not even that is whole, so no write was ever acknowledged unless the file
    /// is damaged.
    pub description: Option<Vec<u8>>,
    /// How far the file is whole.
    pub extent: Extent,
    /// Whether something follows that is no torn write: the file was damaged later.
    pub damaged: bool,
}

/// Appends `contents` as frames behind `extent` and returns the new extent when they are on the disk. `description` is
/// written before them in a new file (`extent` is zero).
///
/// # Errors
/// The file is then as before up to `extent`; what may stand behind it is overwritten by the next write.
pub fn append(
    path: &Path,
    extent: Extent,
    description: Option<&[u8]>,
    content: &[u8],
) -> io::Result<Extent> {
    let is_new = extent.file == 0;
    let file = OpenOptions::new()
        .write(true)
        .create(is_new)
        .truncate(false)
        .open(path)?;
    let written = write(&file, extent, description, content);
    if written.is_err() {
        // The room is given back to a disk that may be full. Should this fail too, the checksums tell.
        let _ = file.set_len(extent.file);
    }
    let written = written?;
    if is_new && let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(written)
}

fn write(
    file: &File,
    extent: Extent,
    description: Option<&[u8]>,
    content: &[u8],
) -> io::Result<Extent> {
    let mut at = extent.file;
    if let Some(description) = description {
        at = write_frame(file, at, description)?;
    }
    at = write_frame(file, at, content)?;
    file.sync_data()?;
    Ok(Extent {
        file: at,
        data: extent.data + content.len() as u64,
    })
}

fn write_frame(file: &File, at: u64, content: &[u8]) -> io::Result<u64> {
    let len = u32::try_from(content.len())
        .ok()
        .filter(|len| *len <= CONTENT_MAX)
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a frame holds at most 1 GiB")
        })?;
    let mut head = [0; HEAD as usize];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..].copy_from_slice(&checksum(at, content).to_le_bytes());
    file.write_all_at(&head, at)?;
    file.write_all_at(content, at + HEAD)?;
    Ok(at + HEAD + u64::from(len))
}

fn checksum(at: u64, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// Reads a whole file and says how far it can be used.
pub fn examine(path: &Path) -> io::Result<Found> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut extent, mut description) = (Extent::default(), None);
    let mut content = Vec::new();
    while read_frame(&mut file, extent.file, len, &mut content)? {
        extent.file += HEAD + content.len() as u64;
        if description.is_none() {
            description = Some(content.clone());
        } else {
            extent.data += content.len() as u64;
        }
    }
    Ok(Found {
        description,
        damaged: is_damaged(&mut file, extent.file, len)?,
        extent,
    })
}

/// The first frame's content alone.
pub fn description(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut content = Vec::new();
    Ok(read_frame(&mut file, 0, len, &mut content)?.then_some(content))
}

/// Reads the frame at `at` into `content`; false: there is no whole one.
fn read_frame(file: &mut File, at: u64, len: u64, content: &mut Vec<u8>) -> io::Result<bool> {
    content.clear();
    let Some((size, sum)) = read_head(file, at, len)? else {
        return Ok(false);
    };
    if at + HEAD + u64::from(size) > len {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(at + HEAD))?;
    let read = file.take(u64::from(size)).read_to_end(content)?;
    Ok(read == size as usize && checksum(at, content) == sum)
}

fn read_head(file: &File, at: u64, len: u64) -> io::Result<Option<(u32, u32)>> {
    if at + HEAD > len {
        return Ok(None);
    }
    let mut head = [0; HEAD as usize];
    file.read_exact_at(&mut head, at)?;
    let word = |from: usize| {
        u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
    };
    let (size, sum) = (word(0), word(4));
    Ok((size <= CONTENT_MAX).then_some((size, sum)))
}

/// Only the last write can be torn: the frame that is not whole then reaches the end of the file, or nothing but zeros
/// are left. Everything else was whole once.
fn is_damaged(file: &mut File, at: u64, len: u64) -> io::Result<bool> {
    if at == len {
        return Ok(false);
    }
    if let Some((size, _)) = read_head(file, at, len)?
        && size > 0
        && at + HEAD + u64::from(size) >= len
    {
        return Ok(false);
    }
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(1 << 20).read_to_end(&mut rest)?;
    Ok(rest.len() >= HEAD as usize && rest.iter().any(|byte| *byte != 0))
}

/// The data of a file, up to an extent.
#[derive(Debug)]
pub struct FrameReader {
    file: io::BufReader<File>,
    /// Bytes of the file that are not read yet.
    rest: u64,
    /// Bytes of the open frame that are not read yet.
    open: u64,
}

impl FrameReader {
    /// Opens a file behind its description.
    pub fn open(path: &Path, extent: Extent) -> io::Result<FrameReader> {
        let mut reader = FrameReader {
            file: io::BufReader::with_capacity(64 << 10, File::open(path)?),
            rest: extent.file,
            open: 0,
        };
        reader.next_frame()?;
        reader.skip_open()?;
        Ok(reader)
    }

    /// Leaves `bytes` of data out.
    pub fn skip_data(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 && self.ensure_open()? {
            let step = bytes.min(self.open);
            self.file.seek_relative(step.cast_signed())?;
            (self.open, self.rest, bytes) = (self.open - step, self.rest - step, bytes - step);
        }
        Ok(())
    }

    /// Whether data are left; a frame is then open.
    fn ensure_open(&mut self) -> io::Result<bool> {
        while self.open == 0 {
            if self.rest == 0 {
                return Ok(false);
            }
            self.next_frame()?;
        }
        Ok(true)
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let mut head = [0; HEAD as usize];
        self.file.read_exact(&mut head)?;
        self.open = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        self.rest = self
            .rest
            .checked_sub(HEAD)
            .filter(|rest| *rest >= self.open)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(())
    }

    fn skip_open(&mut self) -> io::Result<()> {
        self.file.seek_relative(self.open.cast_signed())?;
        self.rest -= self.open;
        self.open = 0;
        Ok(())
    }
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ensure_open()? {
            return Ok(0);
        }
        let most = buffer
            .len()
            .min(usize::try_from(self.open).unwrap_or(usize::MAX));
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.open -= read as u64;
        self.rest -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(path: &Path, extent: Extent, skip: u64) -> Vec<u8> {
        let mut reader = FrameReader::open(path, extent).expect("open");
        reader.skip_data(skip).expect("skip");
        let mut data = Vec::new();
        reader.read_to_end(&mut data).expect("read");
        data
    }

    /// A file of three frames, and the extents after each append.
    fn three(path: &Path) -> [Extent; 3] {
        let first = append(path, Extent::default(), Some(b"about"), b"one\n").expect("written");
        let second = append(path, first, None, b"two\n").expect("written");
        let third = append(path, second, None, b"three\n").expect("written");
        [first, second, third]
    }

    #[test]
    fn what_is_appended_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let extents = three(&path);
        let found = examine(&path).expect("readable");
        assert_eq!((found.extent, found.damaged), (extents[2], false));
        assert_eq!(found.description.as_deref(), Some(&b"about"[..]));
        assert_eq!(
            description(&path).expect("readable").as_deref(),
            Some(&b"about"[..])
        );
        for skip in 0..=14 {
            assert_eq!(
                data(&path, extents[2], skip),
                b"one\ntwo\nthree\n"[skip as usize..]
            );
        }
        assert_eq!(data(&path, extents[1], 2), b"e\ntwo\n");
    }

    #[test]
    fn a_torn_tail_is_left_out_wherever_it_is_torn() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let extents = three(&path);
        let whole = std::fs::read(&path).expect("readable");
        for len in 0..whole.len() as u64 {
            std::fs::write(&path, &whole[..len as usize]).expect("written");
            let found = examine(&path).expect("readable");
            let expected = extents.iter().rev().find(|extent| extent.file <= len);
            assert!(!found.damaged, "{len}");
            match expected {
                Some(expected) => assert_eq!(found.extent, *expected, "{len}"),
                None => assert_eq!(found.extent.data, 0, "{len}"),
            }
            assert_eq!(found.description.is_some(), len >= 13, "{len}");
        }
    }

    #[test]
    fn damage_is_told_from_a_torn_tail() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let extents = three(&path);
        let whole = std::fs::read(&path).expect("readable");
        let changed = |at: u64, with: &[u8]| {
            let mut bytes = whole.clone();
            bytes[at as usize..][..with.len()].copy_from_slice(with);
            std::fs::write(&path, &bytes).expect("written");
            let found = examine(&path).expect("readable");
            (found.extent, found.damaged)
        };
        // In the middle: acknowledged frames follow.
        assert_eq!(changed(extents[0].file + HEAD, b"X"), (extents[0], true));
        // In the last frame: the disk had not written it all.
        assert_eq!(changed(extents[1].file + HEAD, b"X"), (extents[1], false));
        assert_eq!(changed(extents[1].file, &[0; 14]), (extents[1], false));
    }

    #[test]
    fn remains_of_an_older_write_are_no_frame() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let [first, ..] = three(&path);
        // The second write counts as failed; a shorter one takes its place.
        let second = append(&path, first, None, b"2\n").expect("written");
        assert_eq!(examine(&path).expect("readable").extent, second);
        assert_eq!(data(&path, second, 0), b"one\n2\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            assert!(append(full, Extent::default(), Some(b"a"), b"b").is_err());
        }
    }
}
