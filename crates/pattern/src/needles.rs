//! Texts of which a match needs one: they are found faster than a match.

use regex_automata::util::prefilter::Prefilter;
use regex_automata::{MatchKind, Span};
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind};

/// Texts of which every match has one, behind its start.
#[derive(Debug)]
pub(crate) struct Needles {
    prefilter: Prefilter,
    /// How many bytes of a match stand before it at most.
    before: usize,
}

/// A shorter text is in too many lines.
const LEN_MIN: usize = 3;
/// So many bytes at most may stand before it.
const BEFORE_MAX: usize = 64;

impl Needles {
    /// Those of the first part of `hir` that has some. What every match begins with, its engine looks for itself.
    pub fn of(hir: &Hir) -> Option<Needles> {
        let HirKind::Concat(parts) = hir.kind() else {
            return None;
        };
        let mut before = 0;
        for part in parts {
            if before > 0
                && let Some(prefilter) = prefilter(part)
            {
                return Some(Needles { prefilter, before });
            }
            before += part.properties().maximum_len()?;
            if before > BEFORE_MAX {
                return None;
            }
        }
        None
    }

    /// Where a match in `text` may begin at the earliest, if there may be one.
    pub fn earliest(&self, text: &str) -> Option<usize> {
        let all = Span::from(0..text.len());
        let found = self.prefilter.find(text.as_bytes(), all)?;
        let start = found.start.saturating_sub(self.before);
        Some(text.floor_char_boundary(start))
    }
}

/// Finds the texts with which `part` begins, if it always begins with one of a few.
fn prefilter(part: &Hir) -> Option<Prefilter> {
    let begins = Extractor::new().extract(part);
    let texts = begins.literals().filter(|texts| !texts.is_empty())?;
    let is_rare = texts.iter().all(|text| text.len() >= LEN_MIN);
    let prefilter = is_rare.then(|| Prefilter::new(MatchKind::LeftmostFirst, texts))??;
    prefilter.is_fast().then_some(prefilter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Pattern;

    const PATTERNS: [&str; 6] = [
        r"(.)(?:Exception|Error|Throwable|V8 errors stack trace)[:\r\n]",
        r".{0,3}(?:abc|abd)$",
        r"[^a]?\babc",
        r"(?:a|é)+abc",
        r".abc(?:abd|\n)",
        r"(?i).error",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn they_change_nothing(pieces in prop::collection::vec(prop::sample::select(vec![
            "Exception", "Error", "error", ":", "\n", "abc", "abd", "a", "é", "\u{1f600}", " ", "xyz",
        ]), 0..8)) {
            let text = pieces.concat();
            for pattern in PATTERNS {
                let pattern = Pattern::new(pattern).expect("valid");
                let mut matcher = pattern.matcher();
                // Groups are searched for without them.
                let expected = matcher.captures(text.as_bytes()).is_some();
                prop_assert_eq!(matcher.is_match(text.as_bytes()), expected, "{:?} {}", pattern, text);
            }
        }
    }

    #[test]
    fn most_lines_are_told_by_them() {
        let pattern = Pattern::new(PATTERNS[0]).expect("valid");
        let mut matcher = pattern.matcher();
        for (line, expected) in [
            ("x.Exception: no", true),
            ("Exception: no", false),
            ("no Exceptions", false),
            ("an Errors and an Error:", true),
            ("", false),
        ] {
            assert_eq!(
                matcher.is_match_in_line(line.as_bytes()),
                expected,
                "{line}"
            );
        }
    }
}
