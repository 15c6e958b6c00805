//! Strings with escapes, decoded.

use std::mem::MaybeUninit;

use super::read::Reason;
use super::scan::{self, BLOCK};

/// The string that starts at `start` of `space`, after its quote, decoded and appended to `made`: the place after its
/// closing quote. `space` may go on beyond `end`, the string may not.
///
/// # Errors
/// The place and reason, when the string does not end or has an escape that JSON does not know.
#[inline(never)]
pub(super) fn string(
    space: &[u8],
    start: usize,
    end: usize,
    made: &mut Vec<u8>,
) -> Result<usize, (usize, Reason)> {
    // No escape is shorter than what it stands for.
    made.reserve(end - start + BLOCK);
    let (at, len) = decode(space, start, end, made.spare_capacity_mut())?;
    // SAFETY: `decode` has written the first `len` bytes of the room.
    unsafe { made.set_len(made.len() + len) };
    Ok(at)
}

/// The place after the closing quote, and how many bytes of `room` were written.
#[inline(always)]
fn decode(
    space: &[u8],
    start: usize,
    end: usize,
    room: &mut [MaybeUninit<u8>],
) -> Result<(usize, usize), (usize, Reason)> {
    let (mut at, mut len) = (start, 0);
    while at < end {
        let clean = match scan::block_at(space, at) {
            Some(&block) => {
                // The whole block is copied; what is too much of it is overwritten by what comes next.
                room[len..len + BLOCK].write_copy_of_slice(&block);
                let marks = scan::block_quotes(&block);
                if marks == 0 {
                    at += BLOCK;
                    len += BLOCK;
                    continue;
                }
                marks.trailing_zeros() as usize
            }
            None => copy_last(&space[at..end], &mut room[len..]),
        };
        at += clean;
        len += clean;
        if at >= end {
            break;
        }
        if space[at] == b'"' {
            return Ok((at + 1, len));
        }
        if at + 1 == end {
            break;
        }
        let (taken, added) =
            escape(&space[at..end], &mut room[len..]).map_err(|reason| (at, reason))?;
        at += taken;
        len += added;
    }
    Err((end, Reason::Incomplete))
}

/// Copies the bytes up to the first quote or backslash, where no whole block can be loaded: how many.
#[cold]
#[inline(never)]
fn copy_last(text: &[u8], room: &mut [MaybeUninit<u8>]) -> usize {
    let clean = text
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
        .unwrap_or(text.len());
    room[..clean].write_copy_of_slice(&text[..clean]);
    clean
}

/// Decodes the escape at the start of `text`, of which at least two bytes are there: how many bytes it took, and how many
/// were written.
#[inline(always)]
fn escape(text: &[u8], room: &mut [MaybeUninit<u8>]) -> Result<(usize, usize), Reason> {
    match SIMPLE[usize::from(text[1])] {
        0 => other_escape(text, room),
        byte => {
            room[0].write(byte);
            Ok((2, 1))
        }
    }
}

#[cold]
#[inline(never)]
fn other_escape(text: &[u8], room: &mut [MaybeUninit<u8>]) -> Result<(usize, usize), Reason> {
    if text[1] != b'u' {
        return Err(Reason::Expected("an escape of JSON"));
    }
    let Some((character, taken)) = unicode(text) else {
        // Kept as it stands: what follows is read as usual.
        room[..2].write_copy_of_slice(br"\u");
        return Ok((2, 2));
    };
    let mut utf8 = [0; 4];
    let utf8 = character.encode_utf8(&mut utf8).as_bytes();
    room[..utf8.len()].write_copy_of_slice(utf8);
    Ok((taken, utf8.len()))
}

/// The character of a `\u` escape, or of two that are a surrogate pair, and the length of the text that it took. Half
/// of a pair is U+FFFD.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = code_unit(text)?;
    if let (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) = (unit, code_unit(&text[6..])) {
        let code = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        return char::from_u32(code).map(|character| (character, 12));
    }
    Some((
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    ))
}

/// The UTF-16 code unit of the `\u` escape at the start of `text`.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)?)
    })
}

/// What the character after a backslash stands for; 0 if that is not one other character.
const SIMPLE: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'n' as usize] = b'\n';
    table[b't' as usize] = b'\t';
    table[b'r' as usize] = b'\r';
    table[b'b' as usize] = 0x08;
    table[b'f' as usize] = 0x0c;
    table
};
