//! Texts that are not UTF-8, for engines that want them to be.

/// Stands for a byte that belongs to no character: like Onigmo we let it count as one character that dots and negated sets
/// match and nothing else does. No text that is worth a log line has this one.
const UNKNOWN: char = '\u{10FFFF}';
const GROWTH: usize = UNKNOWN.len_utf8() - 1;

/// Room for texts whose stray bytes have been replaced, reused from one text to the next.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    text: String,
    /// Where replacements stand in `text`, ascending.
    replaced: Vec<usize>,
}

/// Longer texts are not remembered.
const KEPT_BYTES: usize = 64 << 10;

impl Repair {
    /// A text for `bytes` that is valid UTF-8.
    pub fn text<'t>(&'t mut self, bytes: &'t [u8]) -> Text<'t> {
        self.replaced.clear();
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                self.replace(bytes);
                &self.text
            }
        };
        Text {
            text,
            replaced: &self.replaced,
        }
    }

    fn replace(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                self.replaced.push(self.text.len());
                self.text.push(UNKNOWN);
            }
        }
    }
}

/// A text to be searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'t> {
    /// The characters.
    pub text: &'t str,
    replaced: &'t [usize],
}

impl Text<'_> {
    /// Whether positions in the text differ from those in the bytes.
    pub fn is_repaired(&self) -> bool {
        !self.replaced.is_empty()
    }

    /// The position in the bytes of a position in the text.
    pub fn original(&self, position: usize) -> usize {
        position - GROWTH * self.replaced.partition_point(|&at| at < position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_bytes_become_one_character_each() {
        let mut repair = Repair::default();
        let text = repair.text(b"a\xFF\xE3\x81b\xC3\xA9\x80");
        assert_eq!(text.text, "a\u{10FFFF}\u{10FFFF}\u{10FFFF}bé\u{10FFFF}");
        let starts: Vec<usize> = text
            .text
            .char_indices()
            .map(|(at, _)| text.original(at))
            .collect();
        assert_eq!(starts, [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(text.original(text.text.len()), 8);
    }

    #[test]
    fn valid_text_is_left_alone() {
        let mut repair = Repair::default();
        assert!(repair.text(b"\xFF").is_repaired());
        let text = repair.text("aé".as_bytes());
        assert!(!text.is_repaired());
        assert_eq!(text.original(3), 3);
    }
}
