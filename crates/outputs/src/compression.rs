//! The option `compression` of the AWS outputs: what Fluent Bit 5.1.1 makes of its words (`src/aws/flb_aws_compress.c`).
//!
//! Decompressed bytes are equal to upstream's, and so is the framing; the compressed bytes between depend on the library's
//! version there as well as here.

use std::io;

use config::Choice;
use flate2::{Compress, Crc, FlushCompress, Status};

/// How records or objects are compressed. Words in any letter case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Choice)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// One gzip member (level 6) for each record or object.
    Gzip,
    /// One zstd frame (level 1) with its content size and without a checksum.
    Zstd,
    /// One raw block of Snappy, without the framing format.
    Snappy,
}

impl Compression {
    /// Appends `input`, compressed, to `out`. For many small inputs a [`Compressor`] is faster.
    ///
    /// # Errors
    /// When there is no memory for the work, or `input` is larger than Snappy can say (4 GiB).
    #[allow(dead_code, reason = "for whole objects")]
    pub fn append(self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        Compressor::new(self).append(input, out)
    }
}

/// Compresses one input after the other with the same memory.
pub struct Compressor {
    codec: Codec,
}

enum Codec {
    None,
    Gzip(Deflate),
    Zlib(Deflate),
    Zstd(Option<zstd::bulk::Compressor<'static>>),
    Snappy(Option<Box<snap::raw::Encoder>>),
}

/// Memory that is taken at the first use, because most outputs are idle most of the time.
type Deflate = Option<Compress>;

impl Compressor {
    /// One for `compression`.
    pub fn new(compression: Compression) -> Compressor {
        let codec = match compression {
            Compression::None => Codec::None,
            Compression::Gzip => Codec::Gzip(None),
            Compression::Zstd => Codec::Zstd(None),
            Compression::Snappy => Codec::Snappy(None),
        };
        Compressor { codec }
    }

    /// One for zlib streams, which only AWS's Go plugin `kinesis` makes.
    pub fn zlib() -> Compressor {
        Compressor {
            codec: Codec::Zlib(None),
        }
    }

    /// Appends `input`, compressed, to `out`. After an error `out` is as it was.
    ///
    /// # Errors
    /// As [`Compression::append`].
    pub fn append(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        let result = match &mut self.codec {
            Codec::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            Codec::Gzip(deflate) => gzip(deflate, input, out),
            Codec::Zlib(deflate) => deflate_into(
                deflate.get_or_insert_with(|| Compress::new(LEVEL, true)),
                input,
                out,
            ),
            Codec::Zstd(compressor) => zstd_frame(compressor, input, out),
            Codec::Snappy(encoder) => snappy_block(
                encoder.get_or_insert_with(|| Box::new(snap::raw::Encoder::new())),
                input,
                out,
            ),
        };
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Gives the memory back until it is needed again.
    pub fn trim(&mut self) {
        match &mut self.codec {
            Codec::None => {}
            Codec::Gzip(deflate) | Codec::Zlib(deflate) => *deflate = None,
            Codec::Zstd(compressor) => *compressor = None,
            Codec::Snappy(encoder) => *encoder = None,
        }
    }
}

/// zlib's default, which upstream asks for.
const LEVEL: flate2::Compression = flate2::Compression::new(6);
/// Upstream's level of zstd.
const ZSTD_LEVEL: i32 = 1;
/// Magic, deflate, no flags, no time, no extra flags, unknown system: every header of upstream.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

fn gzip(deflate: &mut Deflate, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&GZIP_HEADER);
    let deflate = deflate.get_or_insert_with(|| Compress::new(LEVEL, false));
    deflate_into(deflate, input, out)?;
    let mut crc = Crc::new();
    crc.update(input);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    // The trailer's length is modulo 2^32 by definition.
    out.extend_from_slice(&(input.len() as u32).to_le_bytes());
    Ok(())
}

fn deflate_into(deflate: &mut Compress, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    deflate.reset();
    // Stored blocks are the worst case: five bytes for every 16 KiB at most, and a little for the ends.
    out.reserve(input.len() + input.len() / 1_000 + 64);
    loop {
        let rest = &input[deflate.total_in() as usize..];
        match deflate.compress_vec(rest, out, FlushCompress::Finish)? {
            Status::StreamEnd => return Ok(()),
            Status::Ok | Status::BufError => out.reserve(4_096),
        }
    }
}

fn zstd_frame(
    compressor: &mut Option<zstd::bulk::Compressor<'static>>,
    input: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let compressor = match compressor {
        Some(compressor) => compressor,
        None => compressor.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
    };
    let bound = zstd::zstd_safe::compress_bound(input.len());
    append_to(out, bound, |room| {
        compressor.compress_to_buffer(input, room)
    })
}

fn snappy_block(
    encoder: &mut snap::raw::Encoder,
    input: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let bound = snap::raw::max_compress_len(input.len());
    append_to(out, bound, |room| {
        encoder.compress(input, room).map_err(io::Error::other)
    })
}

/// Lets `write` fill the beginning of `bound` bytes behind what stands in `out`.
fn append_to(
    out: &mut Vec<u8>,
    bound: usize,
    write: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<()> {
    let start = out.len();
    out.resize(start + bound, 0);
    let written = write(&mut out[start..])?;
    out.truncate(start + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn inputs() -> Vec<Vec<u8>> {
        let text = br#"{"log":"GET /index.html 200","n":1}"#;
        let noise: Vec<u8> = (0..200_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        vec![
            Vec::new(),
            b"x".to_vec(),
            text.to_vec(),
            text.repeat(10_000),
            noise,
        ]
    }

    fn compressed(compressor: &mut Compressor, input: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        compressor.append(input, &mut out).expect("memory");
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    }

    fn plain(name: &str, mut reader: impl Read) -> Vec<u8> {
        let mut text = Vec::new();
        reader
            .read_to_end(&mut text)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        text
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let mut gzip = Compressor::new(Compression::Gzip);
        let mut zlib = Compressor::zlib();
        let mut zstd = Compressor::new(Compression::Zstd);
        let mut snappy = Compressor::new(Compression::Snappy);
        let mut none = Compressor::new(Compression::None);
        for input in inputs() {
            let bytes = compressed(&mut gzip, &input);
            assert_eq!(bytes[..10], GZIP_HEADER);
            assert!(plain("gzip", flate2::read::GzDecoder::new(&bytes[..])) == input);
            let bytes = compressed(&mut zlib, &input);
            assert_eq!(bytes[0], 0x78);
            assert!(plain("zlib", flate2::read::ZlibDecoder::new(&bytes[..])) == input);
            let bytes = compressed(&mut zstd, &input);
            let size = zstd::zstd_safe::get_frame_content_size(&bytes);
            assert_eq!(size.ok().flatten(), Some(input.len() as u64));
            assert!(zstd::bulk::decompress(&bytes, input.len()).expect("zstd") == input);
            let bytes = compressed(&mut snappy, &input);
            let plain = snap::raw::Decoder::new().decompress_vec(&bytes);
            assert!(plain.expect("snappy") == input);
            assert!(compressed(&mut none, &input) == input);
        }
    }

    #[test]
    fn memory_given_back_is_taken_again() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::Snappy] {
            let mut compressor = Compressor::new(compression);
            let first = compressed(&mut compressor, b"abcabcabc");
            compressor.trim();
            assert_eq!(compressed(&mut compressor, b"abcabcabc"), first);
            let mut once = Vec::new();
            compression.append(b"abcabcabc", &mut once).expect("memory");
            assert_eq!(once, first);
        }
    }

    #[test]
    fn small_inputs_have_known_bytes() {
        let cases: [(Compression, &[u8]); 3] = [
            (
                Compression::Gzip,
                b"\x1f\x8b\x08\0\0\0\0\0\0\xff\xab\xe6\x02\0\xdc\x5b\xc7\x6d\x02\0\0\0",
            ),
            (Compression::Zstd, b"\x28\xb5\x2f\xfd\x20\x02\x11\0\0{\n"),
            (Compression::Snappy, b"\x02\x04{\n"),
        ];
        for (compression, expected) in cases {
            let mut out = Vec::new();
            compression.append(b"{\n", &mut out).expect("memory");
            assert_eq!(out, expected, "{compression:?}");
        }
    }
}
