//! Which bytes a part of a pattern can begin with.

use std::ops::RangeInclusive;

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Look};

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub const ALL: ByteSet = ByteSet([u64::MAX; 4]);
    /// Bytes of characters beyond ASCII.
    pub const HIGH: ByteSet = ByteSet([0, 0, u64::MAX, u64::MAX]);

    pub fn of(byte: u8) -> ByteSet {
        let mut set = ByteSet::default();
        set.insert(byte);
        set
    }

    pub fn insert(&mut self, byte: u8) {
        self.0[byte as usize / 64] |= 1 << (byte % 64);
    }

    /// Inserts bytes of ASCII.
    fn insert_ascii(&mut self, bytes: RangeInclusive<u8>) {
        let (first, last) = bytes.into_inner();
        let set = u128::MAX << first & u128::MAX >> (127 - last);
        self.0[0] |= set as u64;
        self.0[1] |= (set >> 64) as u64;
    }

    pub fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize / 64] & 1 << (byte % 64) != 0
    }

    pub fn intersects(&self, other: &ByteSet) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    pub fn union(mut self, other: ByteSet) -> ByteSet {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
        self
    }

    pub fn without(mut self, other: ByteSet) -> ByteSet {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a &= !b);
        self
    }
}

/// A set of characters that bytes can be tested for.
#[derive(Clone, Copy, Debug)]
pub(super) struct CharSet {
    /// The bytes of its characters.
    pub bytes: ByteSet,
    /// Whether all characters beyond ASCII belong to it; if not, none does.
    pub is_high: bool,
}

impl CharSet {
    /// The set of `class`, unless it knows differences beyond ASCII.
    pub fn new(class: &ClassUnicode) -> Option<CharSet> {
        let mut bytes = ByteSet::default();
        let mut is_high = false;
        for range in class.ranges() {
            if range.start().is_ascii() {
                bytes.insert_ascii(range.start() as u8..=range.end().min('\x7F') as u8);
            }
            if range.end() > '\x7F' {
                if range.start() > '\u{80}' || range.end() != char::MAX {
                    return None;
                }
                is_high = true;
                bytes = bytes.union(ByteSet::HIGH);
            }
        }
        Some(CharSet { bytes, is_high })
    }
}

/// What the text must offer at a place for a part of a pattern to have a chance there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// The next byte is one of these,
    pub bytes: ByteSet,
    /// or the text ends here.
    pub end: bool,
}

impl First {
    /// No demand at all.
    pub const ANYTHING: First = First {
        bytes: ByteSet::ALL,
        end: true,
    };

    fn consuming(bytes: ByteSet) -> First {
        First { bytes, end: false }
    }

    pub fn union(self, other: First) -> First {
        First {
            bytes: self.bytes.union(other.bytes),
            end: self.end || other.end,
        }
    }

    /// What `hir` demands if `follow` is demanded behind it. May ask for less than it could, never for more.
    pub fn of(hir: &Hir, follow: First) -> First {
        match hir.kind() {
            HirKind::Empty => follow,
            HirKind::Literal(literal) => First::consuming(ByteSet::of(literal.0[0])),
            HirKind::Class(Class::Unicode(class)) => {
                First::consuming(CharSet::new(class).map_or(ByteSet::ALL, |set| set.bytes))
            }
            HirKind::Class(Class::Bytes(_)) => First::consuming(ByteSet::ALL),
            HirKind::Look(Look::End) => First {
                bytes: ByteSet::default(),
                end: follow.end,
            },
            HirKind::Look(Look::EndLF) => {
                let newline = ByteSet::of(b'\n');
                let bytes = if follow.bytes.intersects(&newline) {
                    newline
                } else {
                    ByteSet::default()
                };
                First {
                    bytes,
                    end: follow.end,
                }
            }
            HirKind::Look(_) => follow,
            HirKind::Capture(capture) => First::of(&capture.sub, follow),
            HirKind::Concat(subs) => subs
                .iter()
                .rev()
                .fold(follow, |follow, sub| First::of(sub, follow)),
            HirKind::Alternation(subs) => {
                let nothing = First::consuming(ByteSet::default());
                subs.iter()
                    .fold(nothing, |all, sub| all.union(First::of(sub, follow)))
            }
            HirKind::Repetition(repetition) => {
                // Behind one turn stands another one, or what follows.
                let turn = First::of(&repetition.sub, follow).union(follow);
                let first = First::of(&repetition.sub, turn);
                if repetition.min == 0 {
                    first.union(follow)
                } else {
                    first
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(pattern: &str) -> (String, bool) {
        let first = First::of(
            &regex_syntax::parse(pattern).expect("valid"),
            First::ANYTHING,
        );
        let bytes = (0..=255u8)
            .filter(|&byte| first.bytes.contains(byte))
            .map(char::from);
        (bytes.collect(), first.end)
    }

    #[test]
    fn optional_parts_let_what_follows_through() {
        assert_eq!(first("abc"), ("a".into(), false));
        assert_eq!(first("a?b*[cd]"), ("abcd".into(), false));
        assert_eq!(first("(?:a|bc)?(x)+"), ("abx".into(), false));
        assert_eq!(first("(?:a?b?)*c"), ("abc".into(), false));
        assert_eq!(first("a?$"), ("a".into(), true));
        assert_eq!(first("a?(?m:$)"), ("\na".into(), true));
        assert_eq!(first(r"a?\b").0.chars().count(), 256);
    }

    #[test]
    fn sets_know_all_or_nothing_beyond_ascii() {
        let set = |pattern: &str| match regex_syntax::parse(pattern).expect("valid").into_kind() {
            HirKind::Class(Class::Unicode(class)) => CharSet::new(&class),
            kind => panic!("{kind:?}"),
        };
        assert!(set("[^ ]").is_some_and(|set| set.is_high && !set.bytes.contains(b' ')));
        assert!(set("[a-z]").is_some_and(|set| !set.is_high && !set.bytes.contains(0xC3)));
        assert!(set("[^é]").is_none());
        assert!(set("[aé]").is_none());
    }

    #[test]
    fn bytes_of_ascii_are_inserted_at_once_as_one_by_one() {
        for first in 0..128 {
            for last in first..128 {
                let (mut at_once, mut one_by_one) = (ByteSet::of(7), ByteSet::of(7));
                at_once.insert_ascii(first..=last);
                (first..=last).for_each(|byte| one_by_one.insert(byte));
                assert_eq!(at_once, one_by_one, "{first} to {last}");
            }
        }
    }
}
