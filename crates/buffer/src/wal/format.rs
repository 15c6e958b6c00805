//! The bytes of segments: a header, then frames. All numbers are little-endian.
//!
//! | header | bytes | | frame | bytes |
//! |---|---|---|---|---|
//! | `FLUMENWL` | 8 | | `FLRM` | 4 |
//! | version, 1 | 2 | | length of what follows the frame's header | 4 |
//! | length of the header, 80 | 2 | | sequence number of the first record | 8 |
//! | kind | 4 | | how many records | 4 |
//! | uuid of the segment | 16 | | how much of what follows is for the log | 4 |
//! | origin: who numbered the records | 16 | | flags: 1 is a range without content, 2 a seal | 4 |
//! | the first sequence number | 8 | | CRC-32C of the header before | 4 |
//! | creation, nanoseconds since 1970 | 8 | | CRC-32C of what follows | 4 |
//! | zero | 8 | | what is for the log: routes, chunk ids | |
//! | CRC-32C of all before | 4 | | the body | |
//! | zero | 4 | | | |
//!
//! A seal says that the file before it was synced before the seal was written, or before the file got its name. What
//! follows it, if anything, sums up the file (see `segment::summary`); programs that know no seals pass over both.
//!
//! Checksums of frames start from the segment's uuid, so that what lies in the wrong file, or in the text of a record, is
//! no frame there.

use std::sync::Arc;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u16 = 1;
/// The length of a segment's header in bytes.
pub const HEADER: usize = 80;
/// The length of a frame's header in bytes.
pub const FRAME_HEADER: usize = 36;
/// What a frame starts with.
pub const FRAME_MAGIC: [u8; 4] = *b"FLRM";

const MAGIC: [u8; 8] = *b"FLUMENWL";
/// A range of numbers that nothing has to be stored for any more.
const FLAG_VOID: u32 = 1;
/// The file up to here was synced before this was written, or before the file got its name. Always with [`FLAG_VOID`], so
/// that programs that know no seals pass over it.
const FLAG_SEAL: u32 = 2;

/// What a file of this format holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Records that wait for outputs.
    Records = 1,
    /// How far each output is.
    Cursors = 2,
    /// Records that were given up.
    DeadLetters = 3,
}

/// What stands at the start of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub uuid: [u8; 16],
    /// Together with a sequence number it names a record once and for all.
    pub origin: [u8; 16],
    pub first: u64,
    /// Nanoseconds since 1970.
    pub created: i64,
}

/// Why the start of a file is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// It was not written to its end.
    Short,
    /// Something else stands there.
    Damaged,
    /// It was written by a newer version of this program.
    Newer(u16),
}

impl Header {
    /// The header as it is stored.
    pub fn write(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(HEADER as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.uuid);
        bytes[32..48].copy_from_slice(&self.origin);
        bytes[48..56].copy_from_slice(&self.first.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.created.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..72]);
        bytes[72..76].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads what stands at the start of a file of `kind`.
    ///
    /// # Errors
    /// When that is no header which this program understands.
    pub fn read(bytes: &[u8], kind: Kind) -> Result<Header, BadHeader> {
        let Some(bytes) = bytes.get(..HEADER) else {
            return Err(BadHeader::Short);
        };
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged);
        }
        let sum = u32_at(bytes, 72);
        if crc32c::crc32c(&bytes[..72]) != sum {
            // A newer version may have moved the checksum: then nothing here may be touched.
            return match u16::from_le_bytes([bytes[8], bytes[9]]) {
                version @ 2.. if version < 256 => Err(BadHeader::Newer(version)),
                _ => Err(BadHeader::Damaged),
            };
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(BadHeader::Newer(version));
        }
        if u32_at(bytes, 12) != kind as u32 {
            return Err(BadHeader::Damaged);
        }
        Ok(Header {
            kind,
            uuid: array_at(bytes, 16),
            origin: array_at(bytes, 32),
            first: u64_at(bytes, 48),
            created: u64_at(bytes, 56) as i64,
        })
    }
}

/// Names a chunk of a sender (a hash of what it calls it), so that one that comes again is known.
pub type ChunkId = [u8; 16];

/// What is appended: some records, numbered by their place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frame {
    /// The sequence number of the first record.
    pub first: u64,
    /// How many records there are.
    pub records: u32,
    /// Who has to deliver them.
    pub routes: Vec<Arc<str>>,
    /// The chunks that are complete with this frame.
    pub chunks: Vec<ChunkId>,
    /// What the log does not look at.
    pub body: Vec<u8>,
}

impl Frame {
    /// The sequence number after the last record.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.records)
    }

    /// How many bytes it takes in a segment.
    pub fn stored_len(&self) -> u64 {
        let names: usize = self.routes.iter().map(|name| 2 + name.len()).sum();
        let chunks = self.chunks.len() * (2 + size_of::<ChunkId>());
        (FRAME_HEADER + 4 + names + chunks + self.body.len()) as u64
    }

    /// Appends the frame as it stands in the segment `uuid`.
    pub fn write(&self, uuid: &[u8; 16], out: &mut Vec<u8>) {
        let mut routing = Vec::with_capacity(64);
        write_texts(self.routes.iter().map(|name| name.as_bytes()), &mut routing);
        write_texts(self.chunks.iter().map(<[u8; 16]>::as_slice), &mut routing);
        let head = Head {
            len: (routing.len() + self.body.len()) as u32,
            first: self.first,
            records: self.records,
            routing: routing.len() as u32,
            flags: 0,
        };
        head.write(uuid, &[&routing, &self.body], out);
    }

    /// Takes apart what follows the frame header `head`.
    pub fn read(head: &Head, payload: &[u8]) -> Option<Frame> {
        let Outline {
            routes,
            chunks,
            body,
        } = Outline::read(head, payload)?;
        Some(Frame {
            first: head.first,
            records: head.records,
            routes: routes.into_iter().map(Arc::from).collect(),
            chunks,
            body: body.to_vec(),
        })
    }

    /// What it says besides its numbers.
    pub fn outline(&self) -> Outline<'_> {
        Outline {
            routes: self.routes.iter().map(|name| &**name).collect(),
            chunks: self.chunks.clone(),
            body: &self.body,
        }
    }
}

/// What a frame says besides its numbers, without a copy of what is stored.
pub struct Outline<'a> {
    pub routes: Vec<&'a str>,
    pub chunks: Vec<ChunkId>,
    pub body: &'a [u8],
}

impl Outline<'_> {
    /// Takes apart what follows the frame header `head`.
    pub fn read<'a>(head: &Head, payload: &'a [u8]) -> Option<Outline<'a>> {
        let (mut routing, body) = payload.split_at_checked(head.routing as usize)?;
        let names = read_texts(&mut routing)?.into_iter();
        let routes = names.map(|name| std::str::from_utf8(name).ok());
        let routes = routes.collect::<Option<_>>()?;
        let chunks = read_texts(&mut routing)?.into_iter();
        let chunks = chunks.map(|chunk| chunk.try_into().ok());
        Some(Outline {
            routes,
            chunks: chunks.collect::<Option<_>>()?,
            body,
        })
    }
}

/// What stands at the start of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The length of what follows.
    pub len: u32,
    pub first: u64,
    pub records: u32,
    /// How much of what follows is for the log.
    pub routing: u32,
    flags: u32,
}

impl Head {
    /// The head of a range of numbers that nothing has to be stored for.
    pub fn void(first: u64, records: u32) -> Head {
        Head {
            len: 0,
            first,
            records,
            routing: 0,
            flags: FLAG_VOID,
        }
    }

    /// The seal of a file whose last record is before `end`, with `len` bytes that sum it up.
    pub fn seal(end: u64, len: u32) -> Head {
        Head {
            len,
            flags: FLAG_VOID | FLAG_SEAL,
            ..Head::void(end, 0)
        }
    }

    /// Whether it is a seal.
    pub fn is_seal(&self) -> bool {
        self.flags & FLAG_SEAL != 0
    }

    /// Whether what follows sums up the file.
    pub fn is_summary(&self) -> bool {
        self.is_seal() && self.is_void() && self.len > 0 && self.routing == 0 && self.records == 0
    }

    /// Whether it stands for numbers without content.
    pub fn is_void(&self) -> bool {
        self.flags & FLAG_VOID != 0
    }

    /// The sequence number after the last record.
    pub fn end(&self) -> u64 {
        self.first + u64::from(self.records)
    }

    /// The length of the frame in bytes.
    pub fn stored_len(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.len)
    }

    /// Appends the frame's header and `payload`, which it was made for.
    pub fn write(&self, uuid: &[u8; 16], payload: &[&[u8]], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.routing.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        let own = crc32c::crc32c_append(seed(uuid), &out[start..]);
        out.extend_from_slice(&own.to_le_bytes());
        let sum = payload
            .iter()
            .fold(own, |sum, part| crc32c::crc32c_append(sum, part));
        out.extend_from_slice(&sum.to_le_bytes());
        for part in payload {
            out.extend_from_slice(part);
        }
    }

    /// Reads a frame's header; `None` if something else stands there.
    pub fn read(bytes: &[u8], uuid: &[u8; 16]) -> Option<Head> {
        let bytes = bytes.get(..FRAME_HEADER)?;
        if bytes[..4] != FRAME_MAGIC
            || crc32c::crc32c_append(seed(uuid), &bytes[..28]) != u32_at(bytes, 28)
        {
            return None;
        }
        let head = Head {
            len: u32_at(bytes, 4),
            first: u64_at(bytes, 8),
            records: u32_at(bytes, 16),
            routing: u32_at(bytes, 20),
            flags: u32_at(bytes, 24),
        };
        (head.routing <= head.len && head.first.checked_add(u64::from(head.records)).is_some())
            .then_some(head)
    }

    /// Whether `payload` is what was written behind the frame's header `header`.
    pub fn is_followed_by(header: &[u8], payload: &[u8]) -> bool {
        crc32c::crc32c_append(u32_at(header, 28), payload) == u32_at(header, 32)
    }
}

fn seed(uuid: &[u8; 16]) -> u32 {
    crc32c::crc32c(uuid)
}

/// Appends how many texts there are, and each with its length. What does not fit into 16 bits is left out.
pub fn write_texts<'a>(texts: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut count: u16 = 0;
    for text in texts.take(usize::from(u16::MAX)) {
        if let Ok(len) = u16::try_from(text.len()) {
            count += 1;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(text);
        }
    }
    out[at..at + 2].copy_from_slice(&count.to_le_bytes());
}

/// Takes such texts off the start of `bytes`.
pub fn read_texts<'a>(bytes: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let count = u16::from_le_bytes(bytes.split_off(..2)?.try_into().ok()?);
    let mut texts = Vec::new();
    for _ in 0..count {
        let len = u16::from_le_bytes(bytes.split_off(..2)?.try_into().ok()?);
        texts.push(bytes.split_off(..usize::from(len))?);
    }
    Some(texts)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}
