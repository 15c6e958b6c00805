//! How lines began that matched: most lines that do begin alike.

use super::program::{Entry, Program, Step, Word};

/// Up to eight bytes of ASCII with which a line matches, whatever follows them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning(Word);

impl Program {
    /// What a match from the start of a line to `end` says of other lines: those that begin with the same bytes match too,
    /// because nothing in the pattern asks what stands behind a match.
    pub fn beginning(&self, line: &[u8], end: usize) -> Option<Beginning> {
        let asks_behind = |step: &Step| matches!(step, Step::LineEnd | Step::TextEnd);
        // Bytes beyond ASCII might belong to a character that goes on behind the match.
        let known = line.get(..end).filter(|known| known.is_ascii())?;
        let word = Word::new(known)?;
        let is_anchored = matches!(self.entry, Entry::Anchor(_));
        (is_anchored && !self.steps.iter().any(asks_behind)).then_some(Beginning(word))
    }
}

impl Beginning {
    /// Whether `line` begins like that. Not looked for in lines of less than eight bytes.
    #[inline]
    pub fn is_of(self, line: &[u8]) -> bool {
        line.first_chunk()
            .is_some_and(|bytes| u64::from_le_bytes(*bytes) & self.0.mask == self.0.value)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Pattern};

    #[test]
    fn lines_that_begin_alike_match_as_each_does_alone() {
        let patterns = [
            r"^[\t ]+(?:eval )?at ",
            r"^\tat$",
            r"^\S+",
            r"^[^ ]*",
            r"^a?b?",
            r"\A\d{2}-",
            r"^[\t ]*... \d+ (?:more|common frames omitted)",
            r"^a.",
            r"^\tat \z",
            r"at ",
        ];
        let lines: [&[u8]; 14] = [
            b"\tat com.example.A(A.java:1)",
            b"\tat org.example.B(B.java:2)",
            b"\tat ",
            b"\tat",
            b"\tat \xC3\xA9t\xC3\xA9 and more",
            b"\tatlas and more",
            b"  eval at a.b.c",
            b"\t... 27 more",
            b"2026-11-28",
            b"",
            b"12-34-56-78",
            b"a\xC3\xA9b and so on",
            b"a\x80b and so on",
            b"ab and so on",
        ];
        for text in patterns {
            let mut matcher = Pattern::new(text).expect("valid").matcher();
            // Each behind each.
            for first in lines {
                for second in lines {
                    for line in [first, second] {
                        let expected = matcher.is_match(line);
                        assert_eq!(matcher.is_match_in_line(line), expected, "{text} {line:?}");
                    }
                }
            }
        }
        let shipped = Pattern::new(patterns[0]).expect("valid");
        assert_eq!(
            shipped.engine(),
            Engine::Scan,
            "so that this tests anything"
        );
    }
}
