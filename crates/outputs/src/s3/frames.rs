//! Buffer files: checksummed frames one behind the other, appended durably, read back up to where they are whole.
//!
//! A frame is the length of its content and a checksum, four bytes each in little-endian order, then the content. The
//! checksum covers the frame's place in the file too, so that remains of an older write never pass for a frame. The
//! first frame describes the file; the contents of the others, joined, are its data. A frame whose length has its highest
//! bit set says before its data whose records they are: four bytes of length, then the [claims](super::claims).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Length and checksum.
const HEAD: u64 = 8;
/// No frame is larger: what says so is no frame.
const CONTENT_MAX: u32 = 1 << 30;
/// The bit of the length that says that claims stand before the data.
const WITH_CLAIMS: u32 = 1 << 31;
/// The length of claims.
const CLAIMS_HEAD: u64 = 4;

/// What a frame holds.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Whose records they are; empty: not known.
    pub claims: &'a [u8],
    /// The records.
    pub data: &'a [u8],
}

/// Where a frame is and what its head says.
#[derive(Clone, Copy, Debug)]
struct Frame {
    at: u64,
    /// Of its content.
    size: u32,
    has_claims: bool,
    sum: u32,
}

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

/// Appends `content` as a frame behind `extent` and returns the new extent when it is on the disk. `description` is written
/// before it in a new file (`extent` is zero).
///
/// # Errors
/// The file is then as before up to `extent`; what may stand behind it is overwritten by the next write.
pub fn append(
    path: &Path,
    extent: Extent,
    description: Option<&[u8]>,
    content: Content<'_>,
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
    content: Content<'_>,
) -> io::Result<Extent> {
    let mut at = extent.file;
    if let Some(data) = description {
        at = write_frame(file, at, Content { claims: &[], data })?;
    }
    at = write_frame(file, at, content)?;
    file.sync_data()?;
    Ok(Extent {
        file: at,
        data: extent.data + content.data.len() as u64,
    })
}

fn write_frame(file: &File, at: u64, content: Content<'_>) -> io::Result<u64> {
    let Content { claims, data } = content;
    let has_claims = !claims.is_empty();
    let mut head = vec![0; HEAD as usize];
    if has_claims {
        head.extend_from_slice(&(claims.len() as u32).to_le_bytes());
        head.extend_from_slice(claims);
    }
    let size = head.len() as u64 - HEAD + data.len() as u64;
    let len = u32::try_from(size)
        .ok()
        .filter(|len| *len <= CONTENT_MAX)
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "a frame holds at most 1 GiB")
        })?;
    let sum = checksum(at, has_claims, &[&head[HEAD as usize..], data]);
    let flag = if has_claims { WITH_CLAIMS } else { 0 };
    head[..4].copy_from_slice(&(len | flag).to_le_bytes());
    head[4..HEAD as usize].copy_from_slice(&sum.to_le_bytes());
    file.write_all_at(&head, at)?;
    file.write_all_at(data, at + head.len() as u64)?;
    Ok(at + HEAD + size)
}

fn checksum(at: u64, has_claims: bool, content: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&at.to_le_bytes());
    if has_claims {
        hasher.update(b"claims");
    }
    content.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Reads a whole file and says how far it can be used.
pub fn examine(path: &Path) -> io::Result<Found> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let (mut extent, mut description) = (Extent::default(), None);
    let mut content = Vec::new();
    while let Some(frame) = Frame::read(&file, extent.file, len)?
        && frame.read_content(&mut file, &mut content)?
    {
        extent.file = frame.end();
        if description.is_none() {
            description = Some(content.clone());
        } else if let Some((_, data)) = frame.split(&content) {
            extent.data += data.len() as u64;
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
    match Frame::read(&file, 0, len)? {
        Some(frame) if frame.read_content(&mut file, &mut content)? => Ok(Some(content)),
        _ => Ok(None),
    }
}

/// The claims of the last frames with `most` bytes in all, the last frame's last. Frames from one on that is not whole
/// claim nothing.
pub fn last_claims(path: &Path, most: u64) -> io::Result<Vec<Vec<u8>>> {
    let mut file = File::open(path)?;
    let frames = frames(&file, file.metadata()?.len())?;
    let end = frames.last().map_or(0, Frame::end);
    let (mut all, mut content) = (Vec::new(), Vec::new());
    for frame in frames.iter().filter(|frame| end - frame.at <= most) {
        if !frame.read_content(&mut file, &mut content)? {
            break;
        }
        if let Some((claims, _)) = frame.split(&content)
            && !claims.is_empty()
        {
            all.push(claims.to_vec());
        }
    }
    Ok(all)
}

/// The claims of frames that are known to be whole up to `extent`: of the last ones, with `most` bytes of claims in all.
pub fn known_claims(path: &Path, extent: Extent, most: u64) -> io::Result<Vec<Vec<u8>>> {
    let file = File::open(path)?;
    let (mut all, mut bytes) = (Vec::new(), 0);
    for frame in frames(&file, extent.file)?.iter().rev() {
        let Some(len) = frame.claims_len(&file)? else {
            continue;
        };
        bytes += len;
        if bytes > most {
            break;
        }
        let mut claims = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        file.read_exact_at(&mut claims, frame.at + HEAD + CLAIMS_HEAD)?;
        all.push(claims);
    }
    all.reverse();
    Ok(all)
}

/// The frames of a file of `len` bytes, by their heads.
fn frames(file: &File, len: u64) -> io::Result<Vec<Frame>> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let Some(frame) = Frame::read(file, at, len)?.filter(|frame| frame.size > 0) {
        at = frame.end();
        all.push(frame);
    }
    Ok(all)
}

impl Frame {
    /// Reads the head at `at`; `None`: no whole frame of a file of `len` bytes can begin there.
    fn read(file: &File, at: u64, len: u64) -> io::Result<Option<Frame>> {
        let frame = Frame::read_head(file, at, len)?;
        Ok(frame.filter(|frame| frame.end() <= len))
    }

    fn read_head(file: &File, at: u64, len: u64) -> io::Result<Option<Frame>> {
        if at + HEAD > len {
            return Ok(None);
        }
        let mut head = [0; HEAD as usize];
        file.read_exact_at(&mut head, at)?;
        Ok(Frame::decode(at, head))
    }

    fn decode(at: u64, head: [u8; HEAD as usize]) -> Option<Frame> {
        let word = |from: usize| {
            u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]])
        };
        let frame = Frame {
            at,
            size: word(0) & !WITH_CLAIMS,
            has_claims: word(0) & WITH_CLAIMS != 0,
            sum: word(4),
        };
        (frame.size <= CONTENT_MAX).then_some(frame)
    }

    fn end(&self) -> u64 {
        self.at + HEAD + u64::from(self.size)
    }

    /// Reads its content; false: it is not whole.
    fn read_content(&self, file: &mut File, content: &mut Vec<u8>) -> io::Result<bool> {
        content.clear();
        file.seek(SeekFrom::Start(self.at + HEAD))?;
        let read = file.take(self.size.into()).read_to_end(content)?;
        let is_whole = read == self.size as usize
            && checksum(self.at, self.has_claims, &[content]) == self.sum;
        Ok(is_whole && self.split(content).is_some())
    }

    /// Claims and data of its content.
    fn split<'a>(&self, content: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if !self.has_claims {
            return Some((&[], content));
        }
        let (len, rest) = content.split_first_chunk::<{ CLAIMS_HEAD as usize }>()?;
        rest.split_at_checked(u32::from_le_bytes(*len) as usize)
    }

    /// How many bytes of claims it has, if any.
    fn claims_len(&self, file: &File) -> io::Result<Option<u64>> {
        if !self.has_claims {
            return Ok(None);
        }
        let mut len = [0; CLAIMS_HEAD as usize];
        file.read_exact_at(&mut len, self.at + HEAD)?;
        Ok(Some(u32::from_le_bytes(len).into()))
    }
}

/// Only the last write can be torn: the frame that is not whole then reaches the end of the file, or nothing but zeros
/// are left. Everything else was whole once.
fn is_damaged(file: &mut File, at: u64, len: u64) -> io::Result<bool> {
    if at == len {
        return Ok(false);
    }
    if let Some(frame) = Frame::read_head(file, at, len)?
        && frame.size > 0
        && frame.end() >= len
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
        let frame = Frame::decode(0, head).ok_or(io::ErrorKind::InvalidData)?;
        self.open = frame.size.into();
        self.rest = self
            .rest
            .checked_sub(HEAD)
            .filter(|rest| *rest >= self.open)
            .ok_or(io::ErrorKind::InvalidData)?;
        if frame.has_claims {
            self.skip_claims()?;
        }
        Ok(())
    }

    fn skip_claims(&mut self) -> io::Result<()> {
        let mut len = [0; CLAIMS_HEAD as usize];
        self.file.read_exact(&mut len)?;
        let len = u64::from(u32::from_le_bytes(len));
        let skipped = CLAIMS_HEAD + len;
        let rest = self.open.checked_sub(skipped);
        self.open = rest.ok_or(io::ErrorKind::InvalidData)?;
        self.rest -= skipped;
        self.file.seek_relative(len.cast_signed())
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

    fn plain(data: &[u8]) -> Content<'_> {
        Content { claims: &[], data }
    }

    fn data(path: &Path, extent: Extent, skip: u64) -> Vec<u8> {
        let mut reader = FrameReader::open(path, extent).expect("open");
        reader.skip_data(skip).expect("skip");
        let mut data = Vec::new();
        reader.read_to_end(&mut data).expect("read");
        data
    }

    /// A file of three frames, and the extents after each append. The first one is in the old form.
    fn three(path: &Path) -> [Extent; 3] {
        let claimed = |claims, data| Content { claims, data };
        let first = append(path, Extent::default(), Some(b"about"), plain(b"one\n"));
        let first = first.expect("written");
        let second = append(path, first, None, claimed(b"2", b"two\n")).expect("written");
        let third = append(path, second, None, claimed(b"3rd", b"three\n")).expect("written");
        [first, second, third]
    }

    /// The bytes that there are on disks.
    #[test]
    fn a_file_is_these_bytes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        three(&path);
        let sum = |at: u64, content: &[u8]| {
            crc32fast::hash(&[&at.to_le_bytes()[..], content].concat()).to_le_bytes()
        };
        let mut expected = vec![5, 0, 0, 0];
        expected.extend(sum(0, b"about"));
        expected.extend(b"about\x04\0\0\0");
        expected.extend(sum(13, b"one\n"));
        expected.extend(b"one\n\x09\0\0\x80");
        expected.extend(sum(25, b"claims\x01\0\0\x002two\n"));
        expected.extend(b"\x01\0\0\x002two\n\x0d\0\0\x80");
        expected.extend(sum(42, b"claims\x03\0\0\x003rdthree\n"));
        expected.extend(b"\x03\0\0\x003rdthree\n");
        assert_eq!(std::fs::read(&path).expect("readable"), expected);
    }

    #[test]
    fn whole_frames_claim() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let extents = three(&path);
        let known = |extent, most| known_claims(&path, extent, most).expect("readable");
        let last = |most| last_claims(&path, most).expect("readable");
        assert_eq!(known(extents[2], 4), [&b"2"[..], b"3rd"]);
        assert_eq!(known(extents[2], 3), [b"3rd"]);
        assert_eq!(known(extents[1], 3), [b"2"]);
        assert_eq!(last(u64::MAX), [&b"2"[..], b"3rd"]);
        assert_eq!(last(extents[2].file - extents[1].file), [b"3rd"]);
        let mut bytes = std::fs::read(&path).expect("readable");
        for len in extents[0].file..extents[2].file {
            std::fs::write(&path, &bytes[..len as usize]).expect("written");
            let expected = usize::from(len >= extents[1].file);
            assert_eq!(last(u64::MAX).len(), expected, "{len}");
        }
        // Nothing that follows a bad frame is ever uploaded.
        bytes[extents[1].file as usize - 1] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert!(last(u64::MAX).is_empty());
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
        assert_eq!(changed(extents[1].file, &[0; 21]), (extents[1], false));
    }

    #[test]
    fn remains_of_an_older_write_are_no_frame() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        let [first, ..] = three(&path);
        // The second write counts as failed; a shorter one takes its place.
        let second = append(&path, first, None, plain(b"2\n")).expect("written");
        assert_eq!(examine(&path).expect("readable").extent, second);
        assert_eq!(data(&path, second, 0), b"one\n2\n");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = Path::new("/dev/full");
        if full.exists() {
            assert!(append(full, Extent::default(), Some(b"a"), plain(b"b")).is_err());
        }
    }
}
