//! Tags, and the patterns that filters and outputs match them with.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use memchr::memmem::Finder;

/// What a record is routed by. Opaque bytes for the router, nearly always text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<[u8]>);

impl Tag {
    /// Fluent Bit's limit; what is longer is cut there.
    pub const MAX_LEN: usize = 65_531;

    /// A tag of these bytes, cut at [`Tag::MAX_LEN`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Tag {
        let bytes = bytes.as_ref();
        Tag(Arc::from(&bytes[..bytes.len().min(Tag::MAX_LEN)]))
    }

    /// A tag made from what a record says, which anybody may have written: it must not be empty, nor longer than
    /// [`Tag::MAX_LEN`], nor hold control characters. Dots and slashes are for whoever makes names of it to look at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn checked(bytes: &[u8]) -> Result<Tag, TagFault> {
        if bytes.is_empty() {
            Err(TagFault::Empty)
        } else if bytes.len() > Tag::MAX_LEN {
            Err(TagFault::TooLong)
        } else if bytes.iter().any(u8::is_ascii_control) {
            Err(TagFault::Control)
        } else {
            Ok(Tag::new(bytes))
        }
    }

    /// The bytes of the tag.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The `n`-th part between dots, from 0, as `$TAG[n]` names it; a tag without dots is its own part 0.
    pub fn part(&self, n: usize) -> Option<&[u8]> {
        self.0.split(|&byte| byte == b'.').nth(n)
    }
}

/// Why a text cannot be a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagFault {
    /// Nothing could ever match it.
    #[error("it is empty")]
    Empty,
    /// Longer than any tag.
    #[error("it is longer than 65531 bytes")]
    TooLong,
    /// Zeros, line ends and the like.
    #[error("it holds control characters")]
    Control,
}

impl From<&str> for Tag {
    fn from(text: &str) -> Tag {
        Tag::new(text)
    }
}

impl Borrow<[u8]> for Tag {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A `Match` pattern: `*` stands for any run of bytes (dots included, also none), everything else for itself.
/// The whole tag must be consumed, case counts (upstream `src/flb_router.c`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPattern {
    /// The literal pieces between stars; one piece alone means no star.
    pieces: Vec<Piece>,
}

/// A literal piece, ready to be searched for.
#[derive(Clone, Debug)]
struct Piece {
    text: Box<[u8]>,
    finder: Finder<'static>,
}

impl Piece {
    fn new(text: &[u8]) -> Piece {
        Piece {
            text: text.into(),
            finder: Finder::new(text).into_owned(),
        }
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Piece) -> bool {
        self.text == other.text
    }
}

impl Eq for Piece {}

impl TagPattern {
    /// Compiles `pattern`. Every text is a valid pattern.
    pub fn new(pattern: impl AsRef<[u8]>) -> TagPattern {
        let mut pieces: Vec<Piece> = pattern
            .as_ref()
            .split(|&byte| byte == b'*')
            .map(Piece::new)
            .collect();
        if pieces.len() > 2 {
            let last = pieces.len() - 1;
            let mut index = 0;
            pieces.retain(|piece| {
                let keep = index == 0 || index == last || !piece.text.is_empty();
                index += 1;
                keep
            });
        }
        TagPattern { pieces }
    }

    /// Whether `tag` matches.
    pub fn matches(&self, tag: &Tag) -> bool {
        let tag = tag.as_bytes();
        let (first, rest) = self
            .pieces
            .split_first()
            .expect("a pattern has at least one piece");
        let Some((last, middle)) = rest.split_last() else {
            return *tag == first.text[..];
        };
        // What is looked at first is what costs least.
        let Some(mut left) = tag.strip_prefix(&first.text[..]) else {
            return false;
        };
        if !left.ends_with(&last.text) {
            return false;
        }
        left = &left[..left.len() - last.text.len()];
        for piece in middle {
            match piece.finder.find(left) {
                Some(at) => left = &left[at + piece.text.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, tag: &str) -> bool {
        TagPattern::new(pattern).matches(&Tag::from(tag))
    }

    #[test]
    fn tags_from_records_are_checked() {
        for (text, fault) in [
            (&b""[..], TagFault::Empty),
            (b"a\nb", TagFault::Control),
            (b"a\0", TagFault::Control),
            (&[b'x'; Tag::MAX_LEN + 1], TagFault::TooLong),
        ] {
            assert_eq!(Tag::checked(text), Err(fault));
        }
        for text in [
            &b"a.b"[..],
            b"../../etc",
            "übel ".as_bytes(),
            b"\xff",
            &[b'x'; Tag::MAX_LEN],
        ] {
            assert_eq!(Tag::checked(text).expect("a tag").as_bytes(), text);
        }
    }

    #[test]
    fn stars_stand_for_any_run() {
        for pattern in [
            "a*c", "*c", "*b*", "a.b.c*", "*", "**", "a.b.c", "a**c", "*.*.*",
        ] {
            assert!(matches(pattern, "a.b.c"), "{pattern}");
        }
        for pattern in ["a.b.c.*", "A*", "b", "a?b.c", "", "*d*", "a*a.b.c"] {
            assert!(!matches(pattern, "a.b.c"), "{pattern}");
        }
        assert!(!matches("ab*ba", "aba"), "pieces may not overlap");
    }

    /// The plain definition, by recursion.
    fn by_definition(pattern: &[u8], tag: &[u8]) -> bool {
        match pattern.split_first() {
            None => tag.is_empty(),
            Some((b'*', rest)) => (0..=tag.len()).any(|skip| by_definition(rest, &tag[skip..])),
            Some((byte, rest)) => tag.first() == Some(byte) && by_definition(rest, &tag[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab.*]{0,8}", tag in "[ab.]{0,10}") {
            prop_assert_eq!(matches(&pattern, &tag), by_definition(pattern.as_bytes(), tag.as_bytes()));
        }
    }
}
