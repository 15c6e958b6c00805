//! Strings in JSON text, as Fluent Bit writes them.
//!
//! With `json.escape_unicode` on, every well-formed sequence becomes `\uXXXX` (a surrogate pair above U+FFFF), also an
//! overlong one, and every other byte above 0x7f the character U+E000 + byte, itself written as UTF-8. With it off,
//! characters are copied and every byte that belongs to none becomes U+FFFD.
//!
//! Two accidents of upstream's code are not repeated: 0x7f is escaped everywhere (upstream leaves it between sixteen
//! plain bytes), and a sequence cut off by the end of the text is written like any other malformed one (upstream drops
//! its first byte).

use std::mem::MaybeUninit;
use std::ops::Range;

use super::scan::{self, BLOCK};

/// Appends the bytes `range` of `space` as the inside of a JSON string.
pub(super) fn write(space: &[u8], range: Range<usize>, escape_unicode: bool, out: &mut Vec<u8>) {
    let Range { start: mut at, end } = range;
    while at < end {
        out.reserve(end - at + BLOCK);
        let clean = copy_clean(space, at..end, out.spare_capacity_mut());
        // SAFETY: so many bytes of the room have been written.
        unsafe { out.set_len(out.len() + clean) };
        at += clean;
        if at < end {
            at += special(&space[at..end], escape_unicode, out);
        }
    }
}

/// Appends the bytes `range` of `space` as a JSON string with its quotes.
pub(super) fn quoted(space: &[u8], range: Range<usize>, escape_unicode: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    write(space, range, escape_unicode, out);
    out.push(b'"');
}

/// Copies the bytes `range` of `space`: how many. Writes whole blocks, so more than that.
#[inline(always)]
pub(super) fn copy(space: &[u8], range: Range<usize>, room: &mut [MaybeUninit<u8>]) -> usize {
    let mut done = 0;
    while done < range.len() {
        match scan::block_at(space, range.start + done) {
            Some(block) => room[done..done + BLOCK].write_copy_of_slice(block),
            None => {
                return done + copy_last(&space[range.start + done..range.end], &mut room[done..]);
            }
        };
        done += BLOCK;
    }
    range.len()
}

#[cold]
#[inline(never)]
fn copy_last(text: &[u8], room: &mut [MaybeUninit<u8>]) -> usize {
    room[..text.len()].write_copy_of_slice(text);
    text.len()
}

/// Copies the bytes of `range` up to the first that may not stand for itself: how many. Writes whole blocks, so more
/// than that.
#[inline(always)]
pub(super) fn copy_clean(space: &[u8], range: Range<usize>, room: &mut [MaybeUninit<u8>]) -> usize {
    let mut done = 0;
    while done < range.len() {
        let Some(&block) = scan::block_at(space, range.start + done) else {
            return done
                + copy_last_clean(&space[range.start + done..range.end], &mut room[done..]);
        };
        room[done..done + BLOCK].write_copy_of_slice(&block);
        let marks = scan::to_escape(&block);
        if marks != 0 {
            // Perhaps a byte after the range.
            return range.len().min(done + marks.trailing_zeros() as usize);
        }
        done += BLOCK;
    }
    range.len()
}

#[cold]
#[inline(never)]
fn copy_last_clean(text: &[u8], room: &mut [MaybeUninit<u8>]) -> usize {
    let mut block = [b'"'; BLOCK];
    block[..text.len()].copy_from_slice(text);
    let clean = (scan::to_escape(&block) | 1 << BLOCK).trailing_zeros() as usize;
    copy_last(&text[..clean], room)
}

/// Writes what stands at the start of `text` and may not stand for itself: how many bytes of `text` that were.
#[inline(never)]
fn special(text: &[u8], escape_unicode: bool, out: &mut Vec<u8>) -> usize {
    match text[0] {
        0x80.. if escape_unicode => escaped(text, out),
        0x80.. => raw(text, out),
        b'"' => short(b'"', out),
        b'\\' => short(b'\\', out),
        b'\n' => short(b'n', out),
        b'\r' => short(b'r', out),
        b'\t' => short(b't', out),
        0x08 => short(b'b', out),
        0x0c => short(b'f', out),
        control => {
            unit(u32::from(control), out);
            1
        }
    }
}

fn short(letter: u8, out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[b'\\', letter]);
    1
}

/// Writes a UTF-16 code unit as an escape.
fn unit(unit: u32, out: &mut Vec<u8>) {
    let digit = |shift: u32| b"0123456789abcdef"[(unit >> shift & 15) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Writes the run of non-ASCII bytes at the start of `text`, escaped.
fn escaped(text: &[u8], out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at).filter(|byte| !byte.is_ascii()) {
        match sequence(&text[at..]) {
            Some((code @ 0..0x1_0000, len)) => {
                unit(code, out);
                at += len;
            }
            Some((code, len)) => {
                unit(0xd800 + ((code - 0x1_0000) >> 10), out);
                unit(0xdc00 + ((code - 0x1_0000) & 0x3ff), out);
                at += len;
            }
            None => {
                out.extend_from_slice(&[0xee, 0x80 | byte >> 6, 0x80 | byte & 0x3f]);
                at += 1;
            }
        }
    }
    at
}

/// The code point of the UTF-8 sequence at the start of `text` and its length. Overlong ones count, as upstream.
fn sequence(text: &[u8]) -> Option<(u32, usize)> {
    let (first, len) = match text[0] {
        byte @ 0xc0..0xe0 => (byte & 0x1f, 2),
        byte @ 0xe0..0xf0 => (byte & 0x0f, 3),
        byte @ 0xf0..0xf8 => (byte & 0x07, 4),
        _ => return None,
    };
    let rest = text.get(1..len)?;
    let code = rest.iter().try_fold(u32::from(first), |code, &byte| {
        (byte & 0xc0 == 0x80).then_some(code << 6 | u32::from(byte & 0x3f))
    })?;
    char::from_u32(code).map(|_| (code, len))
}

/// Writes the run of non-ASCII bytes at the start of `text` as it is, but what is not UTF-8.
fn raw(text: &[u8], out: &mut Vec<u8>) -> usize {
    let end = text.iter().position(u8::is_ascii).unwrap_or(text.len());
    for chunk in text[..end].utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        chunk
            .invalid()
            .iter()
            .for_each(|_| out.extend_from_slice("\u{fffd}".as_bytes()));
    }
    end
}
