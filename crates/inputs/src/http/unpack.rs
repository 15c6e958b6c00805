//! Compressed bodies: one level, in steps, so that whoever asks can stop in time.

use std::io::Read;

use flate2::bufread::GzDecoder;
use http::HeaderValue;
use snap::read::FrameDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

/// The most members or frames of one body. Each costs time, however little is in it.
const MEMBERS_MAX: usize = 4096;
/// A zstd frame may look back so far: 8 MiB, as zstd itself allows unless told otherwise.
const WINDOW_LOG_MAX: u32 = 23;

const DAMAGED: &str = "error: the body is not what 'Content-Encoding' says, or is damaged\n";
const TOO_MANY: &str = "error: the body has too many compressed parts\n";

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    None,
    Gzip,
    Zstd,
    /// Snappy's framing format.
    Snappy,
}

impl Packing {
    /// What the header says. As upstream, only its beginning counts, and what is not known is taken for plain text.
    pub fn of(header: Option<&HeaderValue>) -> Packing {
        let name = header.map_or(&b""[..], HeaderValue::as_bytes);
        let known = [
            (&b"gzip"[..], Packing::Gzip),
            (b"zstd", Packing::Zstd),
            (b"snappy", Packing::Snappy),
        ];
        let found = known.into_iter().find(|(known, _)| {
            name.get(..known.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(known))
        });
        found.map_or(Packing::None, |(_, packing)| packing)
    }
}

/// A body that is being unpacked.
pub struct Unpacking<'a> {
    packing: Packing,
    part: Part<'a>,
    parts: usize,
}

enum Part<'a> {
    /// What is not begun.
    Rest(&'a [u8]),
    Gzip(Box<GzDecoder<&'a [u8]>>),
    Zstd(ZstdDecoder<'static, &'a [u8]>),
    Snappy(Box<FrameDecoder<&'a [u8]>>),
}

impl<'a> Unpacking<'a> {
    /// At the start of `packed`.
    pub fn new(packing: Packing, packed: &'a [u8]) -> Unpacking<'a> {
        Unpacking {
            packing,
            part: Part::Rest(packed),
            parts: 0,
        }
    }

    /// Appends at most `size` bytes to `out`. Returns whether there may be more. An error is what the client is told.
    pub fn step(&mut self, out: &mut Vec<u8>, size: usize) -> Result<bool, &'static str> {
        let part = std::mem::replace(&mut self.part, Part::Rest(&[]));
        self.part = match part {
            Part::Rest(rest) if rest.is_empty() && self.parts > 0 => return Ok(false),
            Part::Rest(rest) => self.begin(rest)?,
            Part::Gzip(mut member) => match fill(&mut *member, out, size)? {
                0 => Part::Rest(member.into_inner()),
                _ => Part::Gzip(member),
            },
            Part::Zstd(mut frame) => match fill(&mut frame, out, size)? {
                0 => Part::Rest(frame.finish()),
                _ => Part::Zstd(frame),
            },
            Part::Snappy(mut frames) => match fill(&mut *frames, out, size)? {
                0 => Part::Rest(&[]),
                _ => Part::Snappy(frames),
            },
        };
        Ok(true)
    }

    fn begin(&mut self, rest: &'a [u8]) -> Result<Part<'a>, &'static str> {
        self.parts += 1;
        if self.parts > MEMBERS_MAX {
            return Err(TOO_MANY);
        }
        match self.packing {
            Packing::Gzip => Ok(Part::Gzip(Box::new(GzDecoder::new(rest)))),
            Packing::Snappy => Ok(Part::Snappy(Box::new(FrameDecoder::new(rest)))),
            Packing::Zstd => {
                let mut frame = ZstdDecoder::with_buffer(rest)
                    .map_err(|_| DAMAGED)?
                    .single_frame();
                frame.window_log_max(WINDOW_LOG_MAX).map_err(|_| DAMAGED)?;
                Ok(Part::Zstd(frame))
            }
            Packing::None => Err(DAMAGED),
        }
    }
}

fn fill(decoder: &mut impl Read, out: &mut Vec<u8>, size: usize) -> Result<usize, &'static str> {
    let read = decoder.take(size as u64).read_to_end(out);
    read.map_err(|_| DAMAGED)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::forward::gunzip::tests::pack as gzip;

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).expect("memory takes everything")
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = snap::write::FrameEncoder::new(Vec::new());
        encoder.write_all(bytes).expect("memory takes everything");
        encoder.into_inner().expect("memory takes everything")
    }

    fn unpack(packing: Packing, packed: &[u8], limit: usize) -> Result<Vec<u8>, &'static str> {
        let (mut unpacking, mut out) = (Unpacking::new(packing, packed), Vec::new());
        while unpacking.step(&mut out, 1000)? {
            if out.len() > limit {
                return Err("larger than the limit");
            }
        }
        Ok(out)
    }

    const ALL: [(Packing, fn(&[u8]) -> Vec<u8>); 3] = [
        (Packing::Gzip, gzip),
        (Packing::Zstd, zstd),
        (Packing::Snappy, snappy),
    ];

    #[test]
    fn what_was_packed_comes_out() {
        let text = b"some text. ".repeat(1000);
        for (packing, pack) in ALL {
            for text in [&b""[..], b"one", &text] {
                assert_eq!(unpack(packing, &pack(text), 1 << 20).as_deref(), Ok(text));
            }
        }
    }

    #[test]
    fn parts_are_joined() {
        for (packing, pack) in ALL {
            let packed = [pack(b"one "), pack(b""), pack(b"two")].concat();
            assert_eq!(
                unpack(packing, &packed, 100).as_deref(),
                Ok(&b"one two"[..])
            );
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_refused_whole() {
        for (packing, pack) in ALL {
            let packed = pack(&b"some text that is packed. ".repeat(20));
            for end in 1..packed.len() {
                let cut = unpack(packing, &packed[..end], 1 << 20);
                // Snappy says how long each part is, not how many there are.
                if packing != Packing::Snappy || end > 10 {
                    assert_eq!(cut, Err(DAMAGED), "{packing:?} cut at {end}");
                }
            }
            assert_eq!(unpack(packing, b"{\"a\":1}", 100), Err(DAMAGED));
            assert_eq!(
                unpack(packing, &[&packed[..], b"garbage"].concat(), 1 << 20),
                Err(DAMAGED)
            );
        }
    }

    #[test]
    fn bombs_and_swarms_are_stopped() {
        for (packing, pack) in ALL {
            let bomb = pack(&vec![0; 8 << 20]);
            assert_eq!(
                unpack(packing, &bomb, 1 << 16),
                Err("larger than the limit")
            );
        }
        for (packing, pack) in [ALL[0], ALL[1]] {
            assert_eq!(unpack(packing, &pack(b"").repeat(5000), 100), Err(TOO_MANY));
        }
        // A skippable zstd frame that says to be of 4 GiB, and one with a window of 2 GiB.
        assert_eq!(
            unpack(Packing::Zstd, b"\x50\x2a\x4d\x18\xff\xff\xff\xff", 100),
            Err(DAMAGED)
        );
        assert_eq!(
            unpack(Packing::Zstd, b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 100),
            Err(DAMAGED)
        );
    }

    #[test]
    fn headers_are_read_as_upstream_reads_them() {
        for (header, packing) in [
            ("gzip", Packing::Gzip),
            ("GZIP, foo", Packing::Gzip),
            ("zstd", Packing::Zstd),
            ("Snappy", Packing::Snappy),
            ("deflate", Packing::None),
            ("utf-8", Packing::None),
            ("", Packing::None),
        ] {
            assert_eq!(
                Packing::of(Some(&HeaderValue::from_static(header))),
                packing,
                "{header}"
            );
        }
    }
}
