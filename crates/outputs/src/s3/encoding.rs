//! From buffered data to the bytes of an object: as they are, compressed, or as Parquet.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::frames::{Extent, FrameReader};
use super::object::next_to;
use super::parquet;
use crate::compression::Compression;

/// How an object is made of its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// One gzip member.
    Gzip,
    /// One zstd frame.
    Zstd,
    /// One raw block of Snappy.
    Snappy,
    /// A Parquet file with a column per field.
    Parquet {
        /// The column that holds times as text.
        time_column: Option<String>,
    },
}

/// zlib's default, which upstream asks for.
const GZIP_LEVEL: flate2::Compression = flate2::Compression::new(6);
/// Upstream's level.
const ZSTD_LEVEL: i32 = 1;
const WRITE_BUFFER: usize = 64 << 10;

/// A buffer file and how much of it counts.
#[derive(Clone, Debug)]
pub struct Data {
    /// The file.
    pub path: PathBuf,
    /// How much of it.
    pub extent: Extent,
}

/// The bytes of an object.
#[derive(Debug)]
pub enum Body {
    /// The data as they are, and where they were read last: parts are read one after the other.
    Data(Data, Mutex<Option<(u64, FrameReader)>>),
    /// A file of its own.
    File {
        /// Where.
        path: PathBuf,
        /// How many bytes.
        len: u64,
    },
    /// In memory, because the disk is full and only an upload can empty it.
    Memory(Bytes),
}

impl Data {
    fn open(&self) -> io::Result<FrameReader> {
        FrameReader::open(&self.path, self.extent)
    }
}

impl Encoding {
    /// The header `Content-Encoding`.
    pub fn content_encoding(&self) -> Option<&'static str> {
        match self {
            Encoding::Plain | Encoding::Parquet { .. } => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
            Encoding::Snappy => Some("snappy"),
        }
    }

    /// The body of an object. Encoded ones are made in `target` unless they are there already; true: it was made now.
    /// The same data give the same bytes.
    pub fn body(&self, data: Data, target: &Path) -> io::Result<(Body, bool)> {
        if *self == Encoding::Plain {
            return Ok((Body::Data(data, Mutex::default()), false));
        }
        if let Ok(metadata) = std::fs::metadata(target) {
            let body = Body::File {
                path: target.to_owned(),
                len: metadata.len(),
            };
            return Ok((body, false));
        }
        match self.write_file(&data, target) {
            Ok(len) => {
                let path = target.to_owned();
                Ok((Body::File { path, len }, true))
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                let mut bytes = Vec::new();
                self.encode(&data, &mut bytes)?;
                Ok((Body::Memory(bytes.into()), true))
            }
            Err(error) => Err(error),
        }
    }

    fn write_file(&self, data: &Data, target: &Path) -> io::Result<u64> {
        let next = next_to(target);
        let written = (|| {
            let mut file = io::BufWriter::with_capacity(WRITE_BUFFER, File::create(&next)?);
            self.encode(data, &mut file)?;
            let file = file.into_inner()?;
            file.sync_all()?;
            std::fs::rename(&next, target)?;
            file.metadata().map(|metadata| metadata.len())
        })();
        if written.is_err() {
            let _ = std::fs::remove_file(&next);
        }
        written
    }

    fn encode(&self, data: &Data, out: &mut (impl Write + Send)) -> io::Result<()> {
        let mut reader = data.open()?;
        match self {
            Encoding::Plain => {
                io::copy(&mut reader, out)?;
            }
            Encoding::Gzip => gzip(&mut reader, out)?,
            Encoding::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(Some(data.extent.data))?;
                encoder.include_contentsize(true)?;
                io::copy(&mut reader, &mut encoder)?;
                encoder.finish()?;
            }
            Encoding::Snappy => {
                // The format has no other form than a whole block.
                let (mut plain, mut block) = (Vec::new(), Vec::new());
                reader.read_to_end(&mut plain)?;
                Compression::Snappy.append(&plain, &mut block)?;
                out.write_all(&block)?;
            }
            Encoding::Parquet { time_column } => {
                parquet::write(&|| data.open(), time_column.as_deref(), out)?;
            }
        }
        Ok(())
    }
}

/// Writes `plain` to `out` as one gzip member.
///
/// # Errors
/// Those of reading and writing.
pub fn gzip(plain: &mut impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut encoder = flate2::write::GzEncoder::new(out, GZIP_LEVEL);
    io::copy(plain, &mut encoder)?;
    encoder.finish().map(|_| ())
}

impl Body {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Body::Data(data, _) => data.extent.data,
            Body::File { len, .. } => *len,
            Body::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Some of its bytes, in place of what is in `bytes` unless they are in memory.
    pub fn read(&self, range: Range<u64>, mut bytes: Vec<u8>) -> io::Result<Bytes> {
        let len = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        match self {
            Body::Data(data, last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                let mut reader = match last.take() {
                    Some((at, reader)) if at == range.start => reader,
                    _ => {
                        let mut reader = data.open()?;
                        reader.skip_data(range.start)?;
                        reader
                    }
                };
                bytes.resize(len, 0);
                reader.read_exact(&mut bytes)?;
                *last = Some((range.end, reader));
                Ok(bytes.into())
            }
            Body::File { path, .. } => {
                bytes.resize(len, 0);
                File::open(path)?.read_exact_at(&mut bytes, range.start)?;
                Ok(bytes.into())
            }
            Body::Memory(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::frames;

    fn data(folder: &Path, chunks: &[&[u8]]) -> Data {
        let path = folder.join("x.buffer");
        let mut extent = Extent::default();
        for (index, chunk) in chunks.iter().enumerate() {
            let description = (index == 0).then_some(&b"{}"[..]);
            extent = frames::append(
                &path,
                extent,
                description,
                frames::Content {
                    claims: &[],
                    data: chunk,
                },
            )
            .expect("written");
        }
        Data { path, extent }
    }

    fn encoded(encoding: &Encoding, data: &Data, folder: &Path) -> Vec<u8> {
        let target = folder.join("x.body");
        let (body, is_new) = encoding.body(data.clone(), &target).expect("encoded");
        assert_eq!(is_new, *encoding != Encoding::Plain);
        let (again, is_new) = encoding.body(data.clone(), &target).expect("encoded");
        assert!(!is_new && again.len() == body.len(), "it is made once");
        let middle = body.len() / 2;
        let mut bytes = body.read(0..middle, Vec::new()).expect("read").to_vec();
        bytes.extend_from_slice(&again.read(middle..body.len(), Vec::new()).expect("read"));
        let _ = std::fs::remove_file(target);
        bytes
    }

    #[test]
    fn objects_can_be_read_with_the_usual_tools() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = b"{\"log\":\"GET /index.html\"}\n".repeat(5_000);
        let data = data(folder.path(), &[b"{\"a\":1}\n", &line, b"{}\n"]);
        let expected = [&b"{\"a\":1}\n"[..], &line, b"{}\n"].concat();
        assert!(encoded(&Encoding::Plain, &data, folder.path()) == expected);
        let gzip = encoded(&Encoding::Gzip, &data, folder.path());
        assert_eq!(
            gzip[..10],
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff],
            "upstream's header"
        );
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&gzip[..])
            .read_to_end(&mut plain)
            .expect("gzip");
        assert!(plain == expected);
        let zstd = encoded(&Encoding::Zstd, &data, folder.path());
        let size = zstd::zstd_safe::get_frame_content_size(&zstd);
        assert_eq!(size.ok().flatten(), Some(expected.len() as u64));
        assert!(zstd::decode_all(&zstd[..]).expect("zstd") == expected);
        let snappy = encoded(&Encoding::Snappy, &data, folder.path());
        let plain = snap::raw::Decoder::new().decompress_vec(&snappy);
        assert!(plain.expect("snappy") == expected);
    }
}
