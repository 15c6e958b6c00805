//! Strings with escapes, decoded.

use super::read::Reason;
use super::room::Room;
use super::scan::{self, BLOCK};

/// The string that starts at `start` of `space`, after its quote, decoded and appended to `made`: the place after its
/// closing quote. `space` may go on beyond `end`, the string may not.
///
/// # Errors
/// The place and reason, when the string does not end or has an escape that JSON does not know. Something of it may be in
/// `made` then.
#[inline(never)]
pub(super) fn string(
    space: &[u8],
    start: usize,
    end: usize,
    made: &mut Vec<u8>,
) -> Result<usize, (usize, Reason)> {
    let (mut room, mut next) = Room::new(made);
    // No escape is shorter than what it stands for. The block in which the text ends may be written whole.
    next = room.reserve(next, end - start + BLOCK);
    let mut at = start;
    while at < end {
        match scan::block_at(space, at) {
            Some(block) => {
                let marks = scan::block_quotes(block);
                if marks == 0 {
                    // Apart, so that the next block need not wait for what this one says.
                    // SAFETY: so much was reserved.
                    next = unsafe { next.put_block(block, BLOCK) };
                    at += BLOCK;
                    continue;
                }
                let clean = marks.trailing_zeros() as usize;
                // What is too much of the block is overwritten by what comes next.
                // SAFETY: so much was reserved.
                next = unsafe { next.put_block(block, clean) };
                at += clean;
            }
            None => {
                let clean = plain_len(&space[at..end]);
                // SAFETY: so much was reserved.
                next = unsafe { next.copy(space, at..at + clean) };
                at += clean;
            }
        }
        if at >= end {
            break;
        }
        if space[at] == b'"' {
            room.end(next);
            return Ok(at + 1);
        }
        if at + 1 == end {
            break;
        }
        match SIMPLE[usize::from(space[at + 1])] {
            0 => {
                let rest = &space[at..end];
                let other;
                (next, other) = room.lend(next, |made| other_escape(rest, made));
                at += other.map_err(|reason| (at, reason))?;
                next = room.reserve(next, end - at + BLOCK);
            }
            byte => {
                // SAFETY: two bytes were reserved for the escape.
                next = unsafe { next.put_byte(byte) };
                at += 2;
            }
        }
    }
    Err((end, Reason::Incomplete))
}

/// How many bytes there are up to the first quote or backslash, where no whole block can be loaded.
#[cold]
#[inline(never)]
fn plain_len(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| matches!(byte, b'"' | b'\\'))
        .unwrap_or(text.len())
}

/// Decodes the escape at the start of `text`, of which at least two bytes are there: how many bytes it took.
#[cold]
#[inline(never)]
fn other_escape(text: &[u8], made: &mut Vec<u8>) -> Result<usize, Reason> {
    if text[1] != b'u' {
        return Err(Reason::Expected("an escape of JSON"));
    }
    let Some((character, taken)) = unicode(text) else {
        // Kept as it stands: what follows is read as usual.
        made.extend_from_slice(br"\u");
        return Ok(2);
    };
    let mut utf8 = [0; 4];
    made.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
    Ok(taken)
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
pub(super) static SIMPLE: [u8; 256] = {
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
