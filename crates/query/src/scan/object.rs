//! Opening an object: which compression it has, and counting what is read of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, ErrorKind, Result};

use super::Object;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 128 * 1024;

/// Suffixes of compressions that Athena reads and Flumen does not.
const UNREAD_SUFFIXES: [&str; 7] = [
    ".bz2", ".snappy", ".lz4", ".zst", ".zstd", ".deflate", ".lzo",
];

/// The content of an object, uncompressed. Bytes are added to `scanned` as they are read from the disk.
///
/// Gzip is told by its first bytes, not by the suffix alone: an object may have lost its suffix, but
/// never begins so by chance, since text does not. One with the suffix and other content is an error.
pub(super) fn open(object: &Object, scanned: &Arc<AtomicU64>) -> Result<Box<dyn Read + Send>> {
    if let Some(suffix) = UNREAD_SUFFIXES
        .iter()
        .find(|suffix| object.uri.ends_with(**suffix))
    {
        let message = format!(
            "{}: objects compressed as {suffix} cannot be read, only gzip",
            object.uri
        );
        return Err(Error::new(ErrorKind::HiveCannotOpenSplit, message));
    }
    let cannot_open = |error: io::Error| {
        let message = format!("Error opening Hive split {}: {error}", object.uri);
        Error::new(ErrorKind::HiveCannotOpenSplit, message)
    };
    let file = File::open(&object.path).map_err(cannot_open)?;
    let counted = Counted {
        file,
        scanned: Arc::clone(scanned),
    };
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
    let start = buffered.fill_buf().map_err(cannot_open)?;
    if start.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(MultiGzDecoder::new(buffered)));
    }
    if object.uri.ends_with(".gz") {
        let message = format!(
            "{}: incorrect header check: the object ends in .gz but is not gzip",
            object.uri
        );
        return Err(Error::new(ErrorKind::HiveCursorError, message));
    }
    Ok(Box::new(buffered))
}

struct Counted {
    file: File,
    scanned: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.scanned.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("compressed");
        encoder.finish().expect("compressed")
    }

    fn content(name: &str, bytes: &[u8]) -> Result<(String, u64)> {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("object");
        std::fs::write(&path, bytes).expect("object");
        let object = Object {
            path,
            uri: format!("s3://b/{name}"),
            size: bytes.len() as u64,
        };
        let scanned = Arc::new(AtomicU64::new(0));
        let mut text = String::new();
        open(&object, &scanned)?
            .read_to_string(&mut text)
            .expect("read");
        Ok((text, scanned.load(Ordering::Relaxed)))
    }

    #[test]
    fn gzip_is_recognised_with_and_without_suffix_and_may_have_members() {
        let two_members = [gzip("one\n"), gzip("two\n")].concat();
        let size = two_members.len() as u64;
        assert_eq!(
            content("x.gz", &two_members),
            Ok(("one\ntwo\n".into(), size))
        );
        assert_eq!(content("x", &two_members), Ok(("one\ntwo\n".into(), size)));
        assert_eq!(content("x", b"plain"), Ok(("plain".into(), 5)));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(
            content("x.gz", b"plain").expect_err("not gzip").kind(),
            ErrorKind::HiveCursorError
        );
        let error = content("x.snappy", b"plain").expect_err("snappy");
        assert!(error.message().contains("s3://b/x.snappy"), "{error}");
    }
}
