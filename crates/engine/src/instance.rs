//! What all configured instances have: names and tag matching.

use std::cell::RefCell;

use config::{Diagnostic, Diagnostics, Section};
use pattern::{Matcher, Pattern};
use record::{Tag, TagPattern};

/// `match` and `match_regex` of a filter or an output.
pub struct TagMatcher {
    wildcard: Option<TagPattern>,
    regex: Option<(Pattern, RefCell<Matcher>)>,
}

impl Clone for TagMatcher {
    fn clone(&self) -> TagMatcher {
        TagMatcher {
            wildcard: self.wildcard.clone(),
            regex: self
                .regex
                .as_ref()
                .map(|(pattern, _)| with_matcher(pattern)),
        }
    }
}

fn with_matcher(pattern: &Pattern) -> (Pattern, RefCell<Matcher>) {
    (pattern.clone(), RefCell::new(pattern.matcher()))
}

impl TagMatcher {
    /// A matcher of every tag.
    pub fn everything() -> TagMatcher {
        TagMatcher {
            wildcard: Some(TagPattern::new("*")),
            regex: None,
        }
    }

    /// Whether neither key was given.
    pub fn is_empty(&self) -> bool {
        self.wildcard.is_none() && self.regex.is_none()
    }

    /// Compiles what a section gives; a bad regular expression is reported.
    pub fn new(
        wildcard: Option<&str>,
        regex: Option<&str>,
        section: &Section,
        diagnostics: &mut Diagnostics,
    ) -> TagMatcher {
        let regex = regex.and_then(|text| {
            let compiled = Pattern::new(text);
            if let Err(error) = &compiled {
                let position = section
                    .entry("match_regex")
                    .map_or(&section.position, |entry| &entry.value.position);
                diagnostics.push(Diagnostic::start_error(
                    position,
                    format!("match_regex: {error}"),
                ));
            }
            compiled.ok().map(|pattern| with_matcher(&pattern))
        });
        TagMatcher {
            wildcard: wildcard.map(TagPattern::new),
            regex,
        }
    }

    /// Whether `tag` matches: the regular expression anchored at the start only and never with an empty match, or the
    /// wildcard pattern (upstream `src/flb_router.c`).
    pub fn matches(&self, tag: &Tag) -> bool {
        let by_regex = |(_, regex): &(Pattern, RefCell<Matcher>)| {
            let mut regex = regex.borrow_mut();
            let found = regex
                .captures(tag.as_bytes())
                .and_then(|captures| captures.get(0));
            found.is_some_and(|range| range.start == 0 && range.end > 0)
        };
        self.regex.as_ref().is_some_and(by_regex)
            || self.wildcard.as_ref().is_some_and(|w| w.matches(tag))
    }
}
