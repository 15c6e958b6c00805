//! The first bytes of a msgpack value.

use std::ops::Range;

use super::Error;

/// What a value starts with: a scalar, or the length of what follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Head {
    Nil,
    Bool(bool),
    /// Every integer that fits.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    Float(f64),
    /// So many bytes of text follow.
    Str(usize),
    /// So many bytes follow.
    Bin(usize),
    /// The type of an extension; so many bytes follow.
    Ext(i8, usize),
    /// So many items follow.
    Array(usize),
    /// So many pairs follow.
    Map(usize),
}

impl Head {
    /// How many bytes follow that belong to the value itself.
    pub fn body(self) -> usize {
        match self {
            Head::Str(len) | Head::Bin(len) | Head::Ext(_, len) => len,
            _ => 0,
        }
    }

    /// How many values follow that belong to it.
    pub fn children(self) -> usize {
        match self {
            Head::Array(len) => len,
            Head::Map(len) => len.saturating_mul(2),
            _ => 0,
        }
    }
}

/// The head at `at` of `bytes`, and where it ends.
///
/// What records mostly consist of is told here, so that it comes back in registers; the rest is a call.
#[inline(always)]
pub(super) fn head(bytes: &[u8], at: usize) -> Result<(Head, usize), Error> {
    match bytes.get(at) {
        Some(marker @ 0xa0..=0xbf) => Ok((Head::Str(usize::from(marker & 0x1f)), at + 1)),
        Some(marker @ 0x80..=0x8f) => Ok((Head::Map(usize::from(marker & 0x0f)), at + 1)),
        Some(marker @ 0x90..=0x9f) => Ok((Head::Array(usize::from(marker & 0x0f)), at + 1)),
        Some(0xd9) if at + 1 < bytes.len() => Ok((Head::Str(usize::from(bytes[at + 1])), at + 2)),
        _ => any_head(bytes, at),
    }
}

/// Where the bytes of the text at `at` of `bytes` lie, unless there is something else, a text of more than 64 KiB, or one that
/// is not whole.
#[inline(always)]
pub(super) fn text(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let (len, start) = match *bytes.get(at)? {
        marker @ 0xa0..=0xbf => (usize::from(marker & 0x1f), at + 1),
        0xd9 => (usize::from(*bytes.get(at + 1)?), at + 2),
        0xda => {
            let len = bytes.get(at + 1..at + 3)?.first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), at + 3)
        }
        _ => return None,
    };
    (len <= bytes.len() - start).then(|| start..start + len)
}

/// Where the value at `at` of `bytes` ends, if it is a text, a short integer, nil, a bool or an EventTime, and whole.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], at: usize) -> Option<usize> {
    let len = match *bytes.get(at)? {
        0xa0..=0xbf | 0xd9 | 0xda => return Some(text(bytes, at)?.end),
        0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 1,
        0xd7 => 10,
        _ => return None,
    };
    (len <= bytes.len() - at).then_some(at + len)
}

#[inline(never)]
fn any_head(bytes: &[u8], at: usize) -> Result<(Head, usize), Error> {
    let mut rest = Rest {
        bytes: bytes.get(at..).unwrap_or_default(),
        taken: 0,
    };
    let [marker] = rest.take()?;
    let head = match marker {
        0x00..=0x7f => Head::Int(i64::from(marker)),
        0x80..=0x8f => Head::Map(usize::from(marker & 0x0f)),
        0x90..=0x9f => Head::Array(usize::from(marker & 0x0f)),
        0xa0..=0xbf => Head::Str(usize::from(marker & 0x1f)),
        0xc0 => Head::Nil,
        0xc1 => {
            return Err(Error::Malformed {
                offset: at,
                reason: "0xc1 starts no value",
            });
        }
        0xc2 => Head::Bool(false),
        0xc3 => Head::Bool(true),
        0xc4 => Head::Bin(rest.len8()?),
        0xc5 => Head::Bin(rest.len16()?),
        0xc6 => Head::Bin(rest.len32()?),
        0xc7 => ext(rest.len8()?, &mut rest)?,
        0xc8 => ext(rest.len16()?, &mut rest)?,
        0xc9 => ext(rest.len32()?, &mut rest)?,
        0xca => Head::Float(f64::from(f32::from_be_bytes(rest.take()?))),
        0xcb => Head::Float(f64::from_be_bytes(rest.take()?)),
        0xcc => Head::Int(i64::from(u8::from_be_bytes(rest.take()?))),
        0xcd => Head::Int(i64::from(u16::from_be_bytes(rest.take()?))),
        0xce => Head::Int(i64::from(u32::from_be_bytes(rest.take()?))),
        0xcf => unsigned(u64::from_be_bytes(rest.take()?)),
        0xd0 => Head::Int(i64::from(i8::from_be_bytes(rest.take()?))),
        0xd1 => Head::Int(i64::from(i16::from_be_bytes(rest.take()?))),
        0xd2 => Head::Int(i64::from(i32::from_be_bytes(rest.take()?))),
        0xd3 => Head::Int(i64::from_be_bytes(rest.take()?)),
        0xd4..=0xd8 => ext(1 << (marker - 0xd4), &mut rest)?,
        0xd9 => Head::Str(rest.len8()?),
        0xda => Head::Str(rest.len16()?),
        0xdb => Head::Str(rest.len32()?),
        0xdc => Head::Array(rest.len16()?),
        0xdd => Head::Array(rest.len32()?),
        0xde => Head::Map(rest.len16()?),
        0xdf => Head::Map(rest.len32()?),
        0xe0..=0xff => Head::Int(i64::from(marker as i8)),
    };
    Ok((head, at + rest.taken))
}

fn unsigned(value: u64) -> Head {
    i64::try_from(value).map_or(Head::Uint(value), Head::Int)
}

fn ext(len: usize, rest: &mut Rest<'_>) -> Result<Head, Error> {
    Ok(Head::Ext(i8::from_be_bytes(rest.take()?), len))
}

struct Rest<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl Rest<'_> {
    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = &self.bytes[self.taken..];
        let Some(bytes) = rest.first_chunk() else {
            return Err(Error::Incomplete {
                needed: N - rest.len(),
            });
        };
        self.taken += N;
        Ok(*bytes)
    }

    fn len8(&mut self) -> Result<usize, Error> {
        self.take()
            .map(|bytes| usize::from(u8::from_be_bytes(bytes)))
    }

    fn len16(&mut self) -> Result<usize, Error> {
        self.take()
            .map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    fn len32(&mut self) -> Result<usize, Error> {
        self.take().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }
}
