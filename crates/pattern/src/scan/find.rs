//! Byte searches. Fields of log lines are short: the first bytes are looked at without a call.

/// Where `byte` stands first in `text` at or behind `from`, or the end of the text.
#[inline]
pub(super) fn byte(text: &[u8], from: usize, byte: u8) -> usize {
    let rest = &text[from..];
    let mut seen = 0;
    while seen < 16 {
        let Some(word) = rest.get(seen..seen + 8) else {
            let tail = rest[seen..].iter().position(|&other| other == byte);
            return from + tail.map_or(rest.len(), |at| seen + at);
        };
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        let zero_where_equal = word ^ (LOW * u64::from(byte));
        let found = zero_where_equal.wrapping_sub(LOW) & !zero_where_equal & (LOW << 7);
        if found != 0 {
            return from + seen + found.trailing_zeros() as usize / 8;
        }
        seen += 8;
    }
    from + memchr::memchr(byte, &rest[seen..]).map_or(rest.len(), |at| seen + at)
}

/// The lowest bit of each byte of a word.
const LOW: u64 = 0x0101_0101_0101_0101;

/// Where the first byte outside of `table` stands in `text` at or behind `from`, or the end of the text.
#[inline]
pub(super) fn outside(text: &[u8], from: usize, table: &[bool; 256]) -> usize {
    let end = text[from..].iter().position(|&byte| !table[byte as usize]);
    end.map_or(text.len(), |at| from + at)
}

/// How many bytes the character at `at` has. A byte that belongs to no character counts as one.
#[inline]
pub(super) fn char_len(text: &[u8], at: usize) -> usize {
    let first = text[at];
    if first < 0x80 {
        return 1;
    }
    let len = match first {
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
        for len in 0..64 {
            for at in 0..=len {
                let mut text = vec![b'\x81'; len];
                if at < len {
                    text[at] = b'\x80';
                }
                for from in 0..=at {
                    assert_eq!(byte(&text, from, b'\x80'), at, "{len} {from}");
                }
            }
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
