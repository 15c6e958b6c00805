//! Byte searches. Fields of log lines are short: their bytes are looked at in blocks, without a call.

/// Bytes that are compared at once.
const BLOCK: usize = 16;
/// Beyond this distance `memchr` is faster, which uses wider blocks.
const NEAR: usize = 64;

/// What ends a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// This byte.
    Byte(u8),
    /// One of these bytes.
    Either(u8, u8),
    /// Any byte that is not in this table.
    Outside(u16),
}

/// Where `byte` stands first in `text` at or behind `from`, or the end of the text.
#[inline]
pub(super) fn byte(text: &[u8], from: usize, byte: u8) -> usize {
    let far = |rest: &[u8]| memchr::memchr(byte, rest);
    find(
        text,
        from,
        |block| block.equal(byte),
        |other| other == byte,
        far,
    )
}

/// Where `one` or `two` stands first in `text` at or behind `from`, or the end of the text.
#[inline]
pub(super) fn either(text: &[u8], from: usize, one: u8, two: u8) -> usize {
    let far = |rest: &[u8]| memchr::memchr2(one, two, rest);
    let in_block = |block: Block| block.equal(one) | block.equal(two);
    find(
        text,
        from,
        in_block,
        |other| other == one || other == two,
        far,
    )
}

#[inline(always)]
fn find(
    text: &[u8],
    from: usize,
    in_block: impl Fn(Block) -> u32,
    is_found: impl Fn(u8) -> bool,
    far: impl Fn(&[u8]) -> Option<usize>,
) -> usize {
    let mut at = from;
    while let Some(block) = text.get(at..at + BLOCK) {
        let found = in_block(Block::new(block));
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += BLOCK;
        if at - from >= NEAR {
            return far(&text[at..]).map_or(text.len(), |found| at + found);
        }
    }
    // The last block overlaps the one before: what it shares with it has been looked at.
    if let Some(start) = text.len().checked_sub(BLOCK) {
        let found = in_block(Block::new(&text[start..])) >> (at - start);
        return if found == 0 {
            text.len()
        } else {
            at + found.trailing_zeros() as usize
        };
    }
    text[at..]
        .iter()
        .position(|&byte| is_found(byte))
        .map_or(text.len(), |found| at + found)
}

/// Sixteen bytes of a text.
#[derive(Clone, Copy)]
struct Block(u64, u64);

impl Block {
    #[inline(always)]
    fn new(bytes: &[u8]) -> Block {
        let (low, high) = bytes.split_at(BLOCK / 2);
        let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("half a block"));
        Block(word(low), word(high))
    }

    /// A bit for each byte that equals `byte`.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn equal(self, byte: u8) -> u32 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
        // SAFETY: SSE2 is part of x86-64.
        unsafe {
            let block = _mm_set_epi64x(self.1 as i64, self.0 as i64);
            _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(byte as i8))) as u32
        }
    }

    /// A bit for each byte that equals `byte`.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn equal(self, byte: u8) -> u32 {
        let bit = |index: usize, other: u8| u32::from(other == byte) << index;
        let bytes = self.0.to_le_bytes().into_iter().chain(self.1.to_le_bytes());
        bytes
            .enumerate()
            .fold(0, |bits, (index, other)| bits | bit(index, other))
    }
}

/// Where the first byte outside of `table` stands in `text` at or behind `from`, or the end of the text.
#[inline]
pub(super) fn outside(text: &[u8], from: usize, table: &[bool; 256]) -> usize {
    let mut at = from;
    while let Some(&byte) = text.get(at)
        && table[byte as usize]
    {
        at += 1;
    }
    at
}

/// How many bytes the character at `at` has. A byte that belongs to no character counts as one.
#[inline]
pub(super) fn char_len(text: &[u8], at: usize) -> usize {
    if text[at] < 0x80 {
        1
    } else {
        long_char_len(text, at)
    }
}

#[inline(never)]
fn long_char_len(text: &[u8], at: usize) -> usize {
    let len = match text[at] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => return 1,
    };
    match text.get(at..at + len) {
        Some(bytes) if std::str::from_utf8(bytes).is_ok() => len,
        _ => 1,
    }
}

/// Whether no character reaches across `at`.
#[inline]
pub(super) fn is_boundary(text: &[u8], at: usize) -> bool {
    if text.get(at).is_none_or(|&byte| !is_continuation(byte)) {
        return true;
    }
    for start in (at.saturating_sub(3)..at).rev() {
        if !is_continuation(text[start]) {
            return start + char_len(text, start) <= at;
        }
    }
    true
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_found_at_every_distance() {
        for len in 0..100 {
            for at in 0..=len {
                let mut text = vec![b'\x81'; len];
                if at < len {
                    text[at] = b'\x80';
                }
                for from in 0..=at {
                    assert_eq!(byte(&text, from, b'\x80'), at, "{len} {from}");
                    assert_eq!(either(&text, from, b'a', b'\x80'), at, "{len} {from}");
                    assert_eq!(either(&text, from, b'\x80', b'a'), at, "{len} {from}");
                }
            }
        }
    }

    #[test]
    fn the_first_of_several_bytes_is_found() {
        let text = b"a b\"c d\"e f\"g h\"i j\"k l\"m n\"o p\"q r\"s t";
        for from in 0..=text.len() {
            let expected = |wanted: &[u8]| {
                let rest = text[from..].iter().position(|other| wanted.contains(other));
                rest.map_or(text.len(), |found| from + found)
            };
            assert_eq!(byte(text, from, b' '), expected(b" "));
            assert_eq!(either(text, from, b' ', b'"'), expected(b" \""));
        }
    }

    #[test]
    fn characters_and_stray_bytes() {
        let text = b"a\xC3\xA9\xE3\x81\x82\xE3\x81z\xF0\x9F\x98\x80\x80\xFF\xED\xA0\x80";
        let mut starts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            starts.push(at);
            at += char_len(text, at);
        }
        assert_eq!(starts, [0, 1, 3, 6, 7, 8, 9, 13, 14, 15, 16, 17]);
        for at in 0..=text.len() {
            assert_eq!(
                is_boundary(text, at),
                starts.contains(&at) || at == text.len(),
                "{at}"
            );
        }
    }
}
