//! Chunk files that Fluent Bit left in its `storage.path`, in the format of its library chunkio: read here, never written.
//!
//! ```text
//! storage.path/INPUT.N/PID-SECONDS.NANOSECONDS.flb
//! c1 00 | crc32, 4 | 0, 4 | length of the content, 4 | 0, 8 | length of the metadata, 2 | metadata | content | 0 …
//! ```
//!
//! Numbers are big-endian. The metadata is `f1 77`, what the chunk holds, flags and the tag; or, in files of older
//! versions, just the tag. The content is events one after the other. The checksum, of metadata with its length and
//! content, is zero unless `storage.checksum` was on. In a file whose writer was killed it stands as the writer counted,
//! not inverted and in the order of its machine; Fluent Bit refuses such a file, and here it is as good as any.

use std::ops::Range;
use std::path::{Path, PathBuf};

const MAGIC: [u8; 2] = [0xc1, 0x00];
const CRC: Range<usize> = 2..6;
const CONTENT_LENGTH: Range<usize> = 10..14;
/// Where the length of the metadata stands, and what the checksum is of begins.
const CHECKED_FROM: usize = 22;
const HEADER: usize = 24;
const METADATA_MAGIC: [u8; 2] = [0xf1, 0x77];
const METADATA_HEADER: usize = 4;
const LOGS: u8 = 0;

/// What a file holds, as ranges of its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The tag.
    pub tag: Range<usize>,
    /// The events; mostly `[[time, metadata], body]`.
    pub events: Range<usize>,
}

/// Why a file is no chunk of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// It holds nothing: its writer ended before the first record.
    #[error("it holds no records")]
    Empty,
    /// It does not begin as a chunk does, or ends before its content.
    #[error("its layout is damaged")]
    Layout,
    /// The checksum is that of other bytes.
    #[error("its checksum is wrong")]
    Checksum,
    /// It holds metrics, traces or something else that is not understood.
    #[error("it holds no logs (type {0})")]
    OtherKind(u8),
}

impl Chunk {
    /// Understands `file`, the bytes of a whole file.
    ///
    /// # Errors
    /// When that holds no logs.
    pub fn read(file: &[u8]) -> Result<Chunk, BadChunk> {
        if file.iter().all(|byte| *byte == 0) {
            return Err(BadChunk::Empty);
        }
        if file.len() < HEADER || file[..2] != MAGIC {
            return Err(BadChunk::Layout);
        }
        let metadata_end = HEADER + usize::from(u16::from_be_bytes([file[22], file[23]]));
        let rest = file.get(metadata_end..).ok_or(BadChunk::Layout)?;
        let length = match u32_at(file, CONTENT_LENGTH) as usize {
            // Files of older versions do not say: they end with their content, which begins with no zero.
            0 if rest.first().is_some_and(|first| *first != 0) => rest.len(),
            0 => return Err(BadChunk::Empty),
            length => length,
        };
        if length > rest.len() {
            return Err(BadChunk::Layout);
        }
        let events = metadata_end..metadata_end + length;
        if !has_checksum(file, &file[CHECKED_FROM..events.end]) {
            return Err(BadChunk::Checksum);
        }
        let tag = tag(file, HEADER..metadata_end)?;
        Ok(Chunk { tag, events })
    }
}

fn has_checksum(file: &[u8], checked: &[u8]) -> bool {
    let stored = u32_at(file, CRC);
    if stored == 0 {
        return true;
    }
    let sum = crc32fast::hash(checked);
    let unfinished = !sum;
    [sum, unfinished, unfinished.swap_bytes()].contains(&stored)
}

fn tag(file: &[u8], metadata: Range<usize>) -> Result<Range<usize>, BadChunk> {
    let bytes = &file[metadata.clone()];
    if bytes.len() < METADATA_HEADER || bytes[..2] != METADATA_MAGIC {
        return Ok(metadata);
    }
    if bytes[2] != LOGS {
        return Err(BadChunk::OtherKind(bytes[2]));
    }
    // Behind a zero stand the outputs that were chosen by other means than the tag.
    let tag = &bytes[METADATA_HEADER..];
    let length = tag.iter().position(|byte| *byte == 0).unwrap_or(tag.len());
    let start = metadata.start + METADATA_HEADER;
    Ok(start..start + length)
}

fn u32_at(bytes: &[u8], range: Range<usize>) -> u32 {
    bytes[range]
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The chunk files below `folder`, the oldest first. Nothing, if there is no such folder.
///
/// # Errors
/// When it cannot be listed.
pub fn find(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let streams = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        streams => streams?,
    };
    let mut found = Vec::new();
    for stream in streams {
        let stream = stream?;
        // Each input has a folder named after its plugin and number. What Fluent Bit gave up lies in one without a number.
        let name = stream.file_name();
        let is_input = name
            .to_str()
            .and_then(|name| name.rsplit_once('.'))
            .is_some_and(|(_, number)| number.parse::<u32>().is_ok());
        if !is_input || !stream.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(stream.path())? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == "flb") {
                found.push(path);
            }
        }
    }
    found.sort_by_key(|path| (moment(path), path.clone()));
    Ok(found)
}

/// When a file was begun, as its name says.
fn moment(path: &Path) -> (u64, u64) {
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let time = name.split_once('-').map_or(name, |(_, time)| time);
    let (seconds, nanoseconds) = time.split_once('.').unwrap_or((time, ""));
    let number = |text: &str| text.trim().parse().unwrap_or(0);
    (number(seconds), number(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(file: &[u8]) -> (String, Vec<u8>) {
        let chunk = Chunk::read(file).expect("a chunk");
        let tag = String::from_utf8_lossy(&file[chunk.tag]).into_owned();
        (tag, file[chunk.events].to_vec())
    }

    /// The files were written by Fluent Bit 5.1.1 with `storage.checksum on`; the last writer was killed.
    #[test]
    fn files_of_fluent_bit_are_understood() {
        let plain = include_bytes!("chunks/golden/plain.flb");
        let killed = include_bytes!("chunks/golden/killed.flb");
        let metadata = include_bytes!("chunks/golden/metadata.flb");
        for file in [&plain[..], killed] {
            let (tag, events) = parts(file);
            assert_eq!((&*tag, events.len()), ("kube.app", 37));
            assert_eq!(&events[14..], b"\xa7message\xableft behind\xa1n\x01");
        }
        let (tag, events) = parts(metadata);
        assert_eq!((&*tag, events.len()), ("other", 54));
    }

    #[test]
    fn every_flip_of_what_is_checked_is_seen() {
        let file = include_bytes!("chunks/golden/plain.flb");
        let end = HEADER + 12 + 37;
        for at in 0..end {
            let mut damaged = file.to_vec();
            damaged[at] ^= 1;
            let padding = (6..10).contains(&at) || (14..22).contains(&at);
            assert_eq!(Chunk::read(&damaged).is_ok(), padding, "byte {at}");
        }
        for cut in 0..end {
            assert!(Chunk::read(&file[..cut]).is_err(), "cut at {cut}");
        }
        assert!(
            Chunk::read(&file[..end]).is_ok(),
            "as storage.trim_files leaves it"
        );
    }

    #[test]
    fn older_files_and_other_kinds() {
        let mut old = vec![
            0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        old.extend_from_slice(b"\x00\x03abc\x92\x01\x80");
        assert_eq!(parts(&old), ("abc".to_owned(), b"\x92\x01\x80".to_vec()));
        let mut metrics = old.clone();
        metrics.splice(22.., *b"\x00\x07\xf1\x77\x01\x00abc\x92\x01\x80");
        assert_eq!(Chunk::read(&metrics), Err(BadChunk::OtherKind(1)));
        let mut routed = old.clone();
        routed.splice(
            22..,
            *b"\x00\x0b\xf1\x77\x00\x01abc\x00\x00\x01x\x92\x01\x80",
        );
        assert_eq!(parts(&routed).0, "abc");
        assert_eq!(Chunk::read(&[0; 4096]), Err(BadChunk::Empty));
        assert_eq!(Chunk::read(&old[..27]), Err(BadChunk::Empty));
    }

    #[test]
    fn files_are_found_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = [
            "tail.0/9-100.   5.flb",
            "tail.1/10-99.77.flb",
            "tail.0/9-100.40.flb",
            "rejected/x.flb",
            "tail.0/notes.txt",
        ];
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        let found = find(folder.path()).expect("a folder");
        let expected = ["tail.1/10-99.77.flb", names[0], names[2]];
        assert_eq!(found, expected.map(|name| folder.path().join(name)));
        assert!(
            find(&folder.path().join("none"))
                .expect("nothing")
                .is_empty()
        );
    }
}
