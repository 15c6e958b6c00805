//! Strings in JSON text, as Fluent Bit writes them.
//!
//! With `json.escape_unicode` on, every well-formed sequence becomes `\uXXXX` (a surrogate pair above U+FFFF), also an
//! overlong one, and every other byte above 0x7f the character U+E000 + byte, itself written as UTF-8. With it off,
//! characters are copied and every byte that belongs to none becomes U+FFFD.
//!
//! Two accidents of upstream's code are not repeated: 0x7f is escaped everywhere (upstream leaves it between sixteen
//! plain bytes), and a sequence cut off by the end of the text is written like any other malformed one (upstream drops
//! its first byte).

use std::ops::Range;

use super::room::Room;

/// What an ASCII character that may not stand for itself becomes: at most seven bytes, and in the last one how many. A zero
/// stands where one byte alone does not decide.
type Escapes = [[u8; 8]; 256];

/// In a JSON string.
static ESCAPES: Escapes = escapes(false);
/// In a JSON string within JSON text that itself becomes a JSON string.
static NESTED_ESCAPES: Escapes = escapes(true);

const fn escapes(nested: bool) -> Escapes {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 0x80 {
        if matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f) {
            table[byte as usize] = escape(byte, nested);
        }
        byte += 1;
    }
    table
}

const fn escape(byte: u8, nested: bool) -> [u8; 8] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        b'"' | b'\\' => byte,
        _ => b'u',
    };
    let mut out = [0; 8];
    let mut len = 0;
    let backslashes = match (nested, letter) {
        (false, _) => 1,
        // What is nested is escaped again.
        (true, b'"' | b'\\') => 3,
        (true, _) => 2,
    };
    while len < backslashes {
        out[len] = b'\\';
        len += 1;
    }
    out[len] = letter;
    len += 1;
    if letter == b'u' {
        let digits = [b'0', b'0', HEX[byte as usize >> 4], HEX[byte as usize & 15]];
        let mut digit = 0;
        while digit < digits.len() {
            out[len] = digits[digit];
            len += 1;
            digit += 1;
        }
    }
    out[7] = len as u8;
    out
}

/// Appends the bytes `range` of `space` as the inside of a JSON string.
pub(super) fn write(space: &[u8], range: Range<usize>, escape_unicode: bool, out: &mut Vec<u8>) {
    let Range { start: mut at, end } = range;
    let (mut room, mut next) = Room::new(out);
    while at < end {
        next = room.reserve(next, end - at);
        // SAFETY: so much was reserved.
        (next, at) = unsafe { next.copy_clean(space, at..end) };
        if at >= end {
            break;
        }
        let escape = ESCAPES[usize::from(space[at])];
        if escape[7] == 0 {
            let rest = &space[at..end];
            let taken;
            (next, taken) = room.lend(next, |out| other(rest, escape_unicode, out));
            at += taken;
        } else {
            // SAFETY: one byte at least was reserved that is not used, and the margin.
            next = unsafe { next.put(escape, usize::from(escape[7])) };
            at += 1;
        }
    }
    room.end(next);
}

/// Appends the bytes `range` of `space` as the inside of a JSON string within JSON text that itself becomes a JSON string: what
/// [`write()`] makes of what it makes of them. Returns by how many bytes that is longer than what it makes of them once.
/// `scratch` is overwritten.
pub(super) fn write_nested(
    space: &[u8],
    range: Range<usize>,
    escape_unicode: bool,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> usize {
    let Range { start: mut at, end } = range;
    let mut more = 0;
    let (mut room, mut next) = Room::new(out);
    while at < end {
        next = room.reserve(next, end - at);
        // SAFETY: so much was reserved.
        (next, at) = unsafe { next.copy_clean(space, at..end) };
        if at >= end {
            break;
        }
        let byte = usize::from(space[at]);
        let escape = NESTED_ESCAPES[byte];
        if escape[7] == 0 {
            scratch.clear();
            at += other(&space[at..end], escape_unicode, scratch);
            let longer;
            (next, longer) = room.lend(next, |out| again(scratch, escape_unicode, out));
            more += longer;
        } else {
            // SAFETY: one byte at least was reserved that is not used, and the margin.
            next = unsafe { next.put(escape, usize::from(escape[7])) };
            more += usize::from(escape[7] - ESCAPES[byte][7]);
            at += 1;
        }
    }
    room.end(next);
    more
}

/// Appends JSON text as the inside of a JSON string: by how many bytes it became longer.
pub(super) fn again(json: &[u8], escape_unicode: bool, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    write(json, 0..json.len(), escape_unicode, out);
    out.len() - start - json.len()
}

/// Appends the bytes `range` of `space` as a JSON string with its quotes.
pub(super) fn quoted(space: &[u8], range: Range<usize>, escape_unicode: bool, out: &mut Vec<u8>) {
    out.push(b'"');
    write(space, range, escape_unicode, out);
    out.push(b'"');
}

/// Writes the non-ASCII characters at the start of `text`: how many bytes of `text` that were.
#[inline(never)]
fn other(text: &[u8], escape_unicode: bool, out: &mut Vec<u8>) -> usize {
    match escape_unicode {
        true => escaped(text, out),
        false => raw(text, out),
    }
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
