//! What becomes of lines that are longer than memory should be taken for.

use super::options::Options;

/// Without `skip_long_lines` and `truncate_long_lines`, a longer line is handed over in several records. It stays below what
/// Firehose takes as one record (1,024,000 bytes), so that nothing has to be given up there either.
const WHOLE_MAX: u64 = 1_000_000;
/// Whatever `buffer_max_size` says, no more than this is read of one line at once.
const READ_MAX: u64 = 64 << 20;

/// The policy for long lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongLines {
    /// Lines of more than so many bytes are handed over in parts of that size. Fluent Bit leaves the file instead.
    Split(u64),
    /// Lines of more than so many bytes are dropped.
    Skip(u64),
    /// Of lines of so many bytes or more, that many are kept.
    Truncate(u64),
}

impl LongLines {
    /// What the options ask for.
    pub fn of(options: &Options) -> LongLines {
        let max = options.buffer_max_size.0.clamp(2, READ_MAX);
        if options.truncate_long_lines {
            LongLines::Truncate(max - 1)
        } else if options.skip_long_lines {
            LongLines::Skip(max - 2)
        } else {
            LongLines::Split(max.max(WHOLE_MAX))
        }
    }

    /// Whether a line of `len` bytes, its newline not counted, is long.
    pub fn is_long(self, len: u64) -> bool {
        match self {
            LongLines::Split(whole) | LongLines::Skip(whole) => len > whole,
            LongLines::Truncate(kept) => len >= kept,
        }
    }

    /// How much of a long line is handed over at first, if anything.
    pub fn kept(self) -> Option<u64> {
        match self {
            LongLines::Split(kept) | LongLines::Truncate(kept) => Some(kept),
            LongLines::Skip(_) => None,
        }
    }

    /// Whether what follows the part that is kept is dropped.
    pub fn drops_rest(self) -> bool {
        matches!(self, LongLines::Truncate(_))
    }
}

/// The length of `bytes` without a UTF-8 character that is cut off at their end. What is not UTF-8 is not shortened.
pub fn boundary_before(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(3)..bytes.len();
    for at in last.rev() {
        let needed = match bytes[at] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0x80..=0xbf => continue,
            _ => return bytes.len(),
        };
        return match at + needed > bytes.len() && at > 0 {
            true => at,
            false => bytes.len(),
        };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        for (text, cut, expected) in [
            ("abc", 3, "abc"),
            ("aé", 3, "aé"),
            ("aé", 2, "a"),
            ("a€", 3, "a"),
            ("a€", 2, "a"),
            ("a😀b", 4, "a"),
            ("a😀b", 5, "a😀"),
        ] {
            let bytes = &text.as_bytes()[..cut];
            assert_eq!(
                &bytes[..boundary_before(bytes)],
                expected.as_bytes(),
                "{text} {cut}"
            );
        }
        for garbage in [&[0x80_u8; 9][..], &[0xff; 4], &[0xe2]] {
            assert_eq!(boundary_before(garbage), garbage.len(), "{garbage:?}");
        }
    }
}
