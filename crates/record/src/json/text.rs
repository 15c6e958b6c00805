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

use super::room::{Next, Room};
use super::window::{self, Machine, Portable, WINDOW, Window};

/// What an ASCII character that may not stand for itself becomes: at most seven bytes, and in the last one how many. A zero
/// stands where one byte alone does not decide.
type Escapes = [[u8; 8]; 256];
/// What one byte becomes has so many bytes at most.
const ESCAPE_MAX: usize = 7;

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
    let (mut at, end) = (range.start, range.end);
    let (mut room, mut next) = Room::new(out);
    loop {
        (next, at, _) = ascii(&mut room, next, space, at..end, false);
        if at >= end {
            break;
        }
        let rest = &space[at..end];
        let taken;
        (next, taken) = room.lend(next, |out| other(rest, escape_unicode, out));
        at += taken;
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
    let (mut at, end) = (range.start, range.end);
    let mut more = 0;
    let (mut room, mut next) = Room::new(out);
    loop {
        let longer;
        (next, at, longer) = ascii(&mut room, next, space, at..end, true);
        more += longer;
        if at >= end {
            break;
        }
        scratch.clear();
        at += other(&space[at..end], escape_unicode, scratch);
        let longer;
        (next, longer) = room.lend(next, |out| again(scratch, escape_unicode, out));
        more += longer;
    }
    room.end(next);
    more
}

/// Appends the bytes `range` of `space` up to the first that is not ASCII: where that stands, or the end of the range, and by
/// how many bytes what was appended is longer for being nested, if it is.
fn ascii(
    room: &mut Room<'_>,
    next: Next,
    space: &[u8],
    range: Range<usize>,
    nested: bool,
) -> (Next, usize, usize) {
    let end = range.end;
    #[cfg(target_arch = "x86_64")]
    let (mut next, mut at, mut more) = match window::has_avx2() {
        // SAFETY: the processor has what it is compiled for.
        true => unsafe { windows_avx2(room, next, space, range, nested) },
        false => windows::<Portable>(room, next, space, range, nested),
    };
    #[cfg(not(target_arch = "x86_64"))]
    let (mut next, mut at, mut more) = windows::<Portable>(room, next, space, range, nested);
    // Near the end of the space.
    while at < end {
        next = room.reserve(next, end - at);
        // SAFETY: so much was reserved.
        (next, at) = unsafe { next.copy_clean(space, at..end) };
        if at >= end {
            break;
        }
        let escape = table(nested)[usize::from(space[at])];
        if escape[7] == 0 {
            break;
        }
        // SAFETY: one byte at least was reserved that is not used, and the margin.
        next = unsafe { next.put(escape, usize::from(escape[7])) };
        more += longer(space[at]);
        at += 1;
    }
    (next, at, more)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn windows_avx2(
    room: &mut Room<'_>,
    next: Next,
    space: &[u8],
    range: Range<usize>,
    nested: bool,
) -> (Next, usize, usize) {
    windows::<window::Avx2>(room, next, space, range, nested)
}

/// Like [`ascii`], but ends before the last bytes of the space.
///
/// Each window is copied as if nothing in it had to be escaped; what follows an escape is copied once more, to where it
/// belongs. That takes no longer, and spares the branch that asks how much there is to copy.
#[inline(always)]
fn windows<M: Machine>(
    room: &mut Room<'_>,
    mut next: Next,
    space: &[u8],
    range: Range<usize>,
    nested: bool,
) -> (Next, usize, usize) {
    let Range { start: mut at, end } = range;
    let (table, mut more) = (table(nested), 0);
    // What begins in a window may be loaded from.
    let last = end.min(space.len().saturating_sub(2 * WINDOW));
    while at < last {
        next = room.reserve(next, WINDOW * ESCAPE_MAX + WINDOW);
        let len = WINDOW.min(end - at);
        // SAFETY: two windows follow in the space; so much was reserved.
        unsafe {
            let first = space.as_ptr().add(at);
            let window = &*first.cast::<Window>();
            let mut marks = M::to_escape(window) & u32::MAX >> (WINDOW - len);
            next.put_window(window);
            while marks != 0 {
                let place = marks.trailing_zeros() as usize;
                marks &= marks - 1;
                let byte = *first.add(place);
                let escape = table[usize::from(byte)];
                if escape[7] == 0 {
                    return (next.add(place), at + place, more);
                }
                if nested {
                    more += longer(byte);
                }
                next.add(place).put(escape, ESCAPE_MAX);
                next = next.add(usize::from(escape[7])).back(1);
                next.add(place + 1)
                    .put_window(&*first.add(place + 1).cast::<Window>());
            }
            next = next.add(len);
        }
        at += len;
    }
    (next, at, more)
}

/// By how many bytes the escape of a byte is longer for being nested.
#[inline(always)]
fn longer(byte: u8) -> usize {
    let byte = usize::from(byte);
    usize::from(NESTED_ESCAPES[byte][7] - ESCAPES[byte][7])
}

#[inline(always)]
fn table(nested: bool) -> &'static Escapes {
    match nested {
        false => &ESCAPES,
        true => &NESTED_ESCAPES,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of texts: what matters, and what fills windows.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let pieces = [
            &b"\""[..],
            b"\\",
            b"\n\t",
            b"\0\x1f\x7f",
            "é".as_bytes(),
            "\u{1f600}".as_bytes(),
            b"\xff",
            b"a",
            b"bc ",
            b"0123456789",
            b"the quick brown fox jumps over it",
        ];
        let piece = prop::sample::select(pieces.to_vec());
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// By windows or not, at once or one after the other.
        #[test]
        fn windows_change_nothing(
            before in text(),
            text in text(),
            behind in 0..4 * WINDOW,
            filler in prop::sample::select(&b"\"a\xff"[..]),
            escape_unicode: bool,
        ) {
            let space = [&before[..], &text, &vec![filler; behind]].concat();
            let range = before.len()..before.len() + text.len();
            let (mut one, mut alone) = (b"out".to_vec(), b"out".to_vec());
            write(&space, range.clone(), escape_unicode, &mut one);
            write(&text, 0..text.len(), escape_unicode, &mut alone);
            prop_assert_eq!(&one, &alone);
            let (mut nested, mut scratch) = (b"out".to_vec(), Vec::new());
            let more = write_nested(&space, range, escape_unicode, &mut scratch, &mut nested);
            let mut twice = b"out".to_vec();
            let expected = again(&one[3..], escape_unicode, &mut twice);
            prop_assert_eq!((nested, more), (twice, expected));
        }

        #[test]
        fn no_machine_escapes_otherwise(text in text(), nested: bool) {
            let space = [&text[..], &[b' '; 2 * WINDOW]].concat();
            let (mut portable, mut any) = (Vec::new(), Vec::new());
            let (mut room, next) = Room::new(&mut portable);
            let (next, at, more) = windows::<Portable>(&mut room, next, &space, 0..text.len(), nested);
            room.end(next);
            let (mut room, next) = Room::new(&mut any);
            let (next, other_at, other_more) = ascii(&mut room, next, &space, 0..text.len(), nested);
            room.end(next);
            prop_assert_eq!((at, more, portable), (other_at, other_more, any));
        }
    }
}
