//! `CompressionFormat`: how an object's bytes are packed.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::violations::Refusal;

/// The formats that the lake writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// The records' bytes.
    #[serde(rename = "UNCOMPRESSED")]
    Uncompressed,
    /// One gzip stream.
    #[serde(rename = "GZIP")]
    Gzip,
}

impl Compression {
    /// All names that AWS takes.
    pub const AWS_NAMES: [&'static str; 5] =
        ["UNCOMPRESSED", "GZIP", "ZIP", "Snappy", "HADOOP_SNAPPY"];

    /// The format of that name; none given is none at all.
    pub fn parse(name: Option<&str>) -> Result<Self, Refusal> {
        match name {
            None | Some("UNCOMPRESSED") => Ok(Self::Uncompressed),
            Some("GZIP") => Ok(Self::Gzip),
            Some(other) => Err(Refusal::argument(format!(
                "not supported here: CompressionFormat {other}; the lake has UNCOMPRESSED and GZIP"
            ))),
        }
    }

    /// The name as AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uncompressed => "UNCOMPRESSED",
            Self::Gzip => "GZIP",
        }
    }

    /// What object names end in.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Uncompressed => "",
            Self::Gzip => ".gz",
        }
    }

    /// The Content-Encoding that objects carry.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Uncompressed => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

/// Packs the bytes of one object, to be taken away piece by piece.
pub enum Packer {
    Uncompressed(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Packer {
    pub fn new(compression: Compression) -> Self {
        match compression {
            Compression::Uncompressed => Self::Uncompressed(Vec::new()),
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            ))),
        }
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Uncompressed(out) => out.write_all(bytes),
            Self::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Takes away what has been packed so far.
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Uncompressed(out) => std::mem::take(out),
            Self::Gzip(encoder) => std::mem::take(encoder.get_mut()),
        }
    }

    /// Ends the object and takes away the rest.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Uncompressed(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn gzip_is_one_stream_whatever_is_taken_in_between() {
        let mut packer = Packer::new(Compression::Gzip);
        let mut out = Vec::new();
        for line in ["a\n", "b\n", "c\n"] {
            packer.write(line.as_bytes()).unwrap();
            out.extend(packer.take());
        }
        out.extend(packer.finish().unwrap());
        let mut text = String::new();
        let mut decoder = GzDecoder::new(out.as_slice());
        decoder.read_to_string(&mut text).unwrap();
        assert_eq!(text, "a\nb\nc\n");
        assert!(decoder.into_inner().is_empty());
    }
}
