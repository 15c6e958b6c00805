//! The mark in each line: who wrote it, and the how-manieth line of that writer it is.
//!
//! A mark has a fixed length and no character that any format on the way would escape, so it is found in a line wherever
//! the line ends up: in the field `log`, inside of escaped JSON, in a request as it travels.

use memchr::memmem;

/// Bytes of a mark: `fl-bench-`, eight hexadecimal digits, `-`, twelve decimal digits.
pub const LEN: usize = PREFIX.len() + WRITER_DIGITS + 1 + SEQ_DIGITS;
const PREFIX: &[u8] = b"fl-bench-";
const WRITER_DIGITS: usize = 8;
const SEQ_DIGITS: usize = 12;
/// Between a mark and the time behind it, if there is one,
const STAMP: u8 = b'@';
/// which has so many decimal digits: microseconds since 1970.
const STAMP_DIGITS: usize = 16;

/// A line's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Who wrote it: one file, connection or thread of one run.
    pub writer: u32,
    /// Counted from 0, below 10^12.
    pub seq: u64,
}

impl Mark {
    /// Appends it to a line.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(PREFIX);
        for digit in (0..WRITER_DIGITS).rev() {
            out.push(b"0123456789abcdef"[(self.writer >> (4 * digit)) as usize & 15]);
        }
        out.push(b'-');
        write_number(self.seq, SEQ_DIGITS, out);
    }

    /// The same, with the time behind it, in microseconds since 1970.
    pub fn write_stamped(self, micros: u64, out: &mut Vec<u8>) {
        self.write(out);
        out.push(STAMP);
        write_number(micros, STAMP_DIGITS, out);
    }

    /// The mark at the start of `text`.
    fn read(text: &[u8]) -> Option<Mark> {
        let text = text.get(..LEN)?.strip_prefix(PREFIX)?;
        let (writer, seq) = text.split_at(WRITER_DIGITS);
        let seq = seq.strip_prefix(b"-")?;
        let mut mark = Mark { writer: 0, seq: 0 };
        for digit in writer {
            mark.writer = mark.writer << 4 | (*digit as char).to_digit(16)?;
        }
        for digit in seq {
            mark.seq = mark.seq * 10 + u64::from((*digit as char).to_digit(10)?);
        }
        Some(mark)
    }
}

/// Every mark in `text`, in order.
pub fn find(text: &[u8]) -> impl Iterator<Item = Mark> {
    memmem::find_iter(text, PREFIX).filter_map(|at| Mark::read(&text[at..]))
}

/// Every mark in `text`, in order, with the time behind it if there is one.
pub fn find_stamped(text: &[u8]) -> impl Iterator<Item = (Mark, Option<u64>)> {
    memmem::find_iter(text, PREFIX)
        .filter_map(|at| Some((Mark::read(&text[at..])?, stamp(&text[at + LEN..]))))
}

/// The time at the start of what follows a mark.
fn stamp(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(&[STAMP])?.get(..STAMP_DIGITS)?;
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse().ok()
}

fn write_number(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(writer: u32, seq: u64) -> String {
        let mut out = Vec::new();
        Mark { writer, seq }.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn marks_are_of_one_length_and_are_read_back() {
        assert_eq!(text(0x1f3a_9c02, 42), "fl-bench-1f3a9c02-000000000042");
        for (writer, seq) in [(0, 0), (u32::MAX, 999_999_999_999), (7, 123_456)] {
            let text = text(writer, seq);
            assert_eq!(text.len(), LEN);
            let found: Vec<Mark> = find(text.as_bytes()).collect();
            assert_eq!(found, [Mark { writer, seq }]);
        }
    }

    #[test]
    fn a_time_behind_a_mark_is_read_back() {
        let mark = Mark { writer: 7, seq: 8 };
        let mut out = Vec::new();
        mark.write_stamped(1_795_000_000_123_456, &mut out);
        mark.write(&mut out);
        out.extend_from_slice(b"@17950000001234x6");
        let found: Vec<_> = find_stamped(&out).collect();
        assert_eq!(found, [(mark, Some(1_795_000_000_123_456)), (mark, None)]);
        assert_eq!(find(&out).count(), 2);
    }

    #[test]
    fn they_are_found_anywhere_and_nothing_else_is() {
        let line = format!(
            r#"{{"log":"a\"{}\\n"}}{{"log":"{} "#,
            text(1, 2),
            text(3, 4)
        );
        let found: Vec<_> = find(line.as_bytes()).map(|mark| mark.seq).collect();
        assert_eq!(found, [2, 4]);
        let whole = text(1, 2);
        for wrong in [
            &whole[..LEN - 1],
            "fl-bench-fl-bench-",
            "fl-bench-1f3a9c0x-000000000042",
            "fl-bench-1f3a9c02_000000000042",
            "fl-bench-1f3a9c02-00000000004x",
        ] {
            assert_eq!(find(wrong.as_bytes()).count(), 0, "{wrong}");
        }
    }
}
