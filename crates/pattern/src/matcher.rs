//! Searching.

use crate::automaton::{General, GeneralCache, OnePassCache};
use crate::captures::Slots;
use crate::pattern::{Compilation, Fallback};
use crate::scan::{Beginning, Found, Stack};
use crate::text::Repair;
use crate::{Captures, Pattern};

/// A pattern with what searching needs: reused from text to text, so that nothing is allocated once warm.
pub struct Matcher {
    pattern: Pattern,
    slots: Slots,
    scratch: Scratch,
    repair: Repair,
}

enum Scratch {
    Scan {
        stack: Stack,
        fallback: Option<Box<GeneralCache>>,
        /// How the last line began that matched, if that is enough to tell.
        beginning: Option<Beginning>,
    },
    OnePass(Box<OnePassCache>),
    General(Box<GeneralCache>),
    Backtrack,
}

impl Matcher {
    pub(crate) fn new(pattern: Pattern) -> Matcher {
        let scratch = match &pattern.compiled().program {
            Compilation::Scan { .. } => Scratch::Scan {
                stack: Stack::default(),
                fallback: None,
                beginning: None,
            },
            Compilation::OnePass(onepass) => Scratch::OnePass(Box::new(onepass.cache())),
            Compilation::General(general) => Scratch::General(Box::new(general.cache())),
            Compilation::Backtrack(_) => Scratch::Backtrack,
        };
        let slots = Slots::new(pattern.group_count() + 1);
        Matcher {
            pattern,
            slots,
            scratch,
            repair: Repair::default(),
        }
    }

    /// The pattern that it searches for.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The first match in `text`, which need not be UTF-8.
    #[inline]
    pub fn captures(&mut self, text: &[u8]) -> Option<Captures<'_>> {
        if let (Compilation::Scan { program, .. }, Scratch::Scan { stack, .. }) =
            (&self.pattern.compiled().program, &mut self.scratch)
        {
            match program.search(text, stack, &mut self.slots) {
                Found::Match => return Some(Captures(&self.slots)),
                Found::Nothing => return None,
                Found::GaveUp => {}
            }
        }
        self.search_characters(text, Wanted::Captures)
            .then_some(Captures(&self.slots))
    }

    /// Whether `text`, which need not be UTF-8, has a match.
    pub fn is_match(&mut self, text: &[u8]) -> bool {
        match self.pattern.compiled().program {
            Compilation::Scan { .. } => self.captures(text).is_some(),
            _ => self.search_characters(text, Wanted::Nothing),
        }
    }

    /// The same for a `line` that has no newline, for which many patterns cost no more than a look at its first byte.
    #[inline]
    pub fn is_match_in_line(&mut self, line: &[u8]) -> bool {
        debug_assert!(!line.contains(&b'\n'), "one line");
        if let (
            Compilation::Scan { program, .. },
            Scratch::Scan {
                stack, beginning, ..
            },
        ) = (&self.pattern.compiled().program, &mut self.scratch)
        {
            if beginning.is_some_and(|beginning| beginning.is_of(line)) {
                return true;
            }
            if !program.may_match(line) {
                return false;
            }
            match program.search_line(line, stack, &mut self.slots) {
                Found::Match => {
                    let end = self.slots.get(0).map_or(usize::MAX, |found| found.end);
                    if let Some(new) = program.beginning(line, end) {
                        *beginning = Some(new);
                    }
                    return true;
                }
                Found::Nothing => return false,
                Found::GaveUp => {}
            }
        }
        self.search_characters(line, Wanted::Nothing)
    }

    /// Whether `line` begins as the last one did that [matched](Matcher::is_match_in_line), and thereby matches, too.
    #[inline]
    pub fn is_like_the_last(&self, line: &[u8]) -> bool {
        match &self.scratch {
            Scratch::Scan { beginning, .. } => beginning.is_some_and(|known| known.is_of(line)),
            _ => false,
        }
    }

    /// Searches with an engine that wants UTF-8.
    fn search_characters(&mut self, text: &[u8], wanted: Wanted) -> bool {
        let text = self.repair.text(text);
        let slots = &mut self.slots;
        slots.clear();
        let found = match (&self.pattern.compiled().program, &mut self.scratch) {
            (
                Compilation::Scan { fallback, .. },
                Scratch::Scan {
                    fallback: cache, ..
                },
            ) => fall_back(fallback, cache, text.text, slots),
            (Compilation::OnePass(onepass), Scratch::OnePass(cache)) => match wanted {
                Wanted::Captures => onepass.captures(cache, text.text, slots),
                Wanted::Nothing => onepass.is_match(cache, text.text),
            },
            (Compilation::General(general), Scratch::General(cache)) => match wanted {
                Wanted::Captures => general.captures(cache, text.text, slots),
                Wanted::Nothing => general.is_match(cache, text.text),
            },
            (Compilation::Backtrack(backtrack), Scratch::Backtrack) => match wanted {
                Wanted::Captures => backtrack.captures(text.text, slots),
                Wanted::Nothing => backtrack.is_match(text.text),
            },
            _ => unreachable!("the scratch was made for this engine"),
        };
        if text.is_repaired() {
            slots.map(|position| text.original(position));
        }
        found
    }
}

#[derive(Clone, Copy)]
enum Wanted {
    Captures,
    Nothing,
}

fn fall_back(
    fallback: &Fallback,
    cache: &mut Option<Box<GeneralCache>>,
    text: &str,
    slots: &mut Slots,
) -> bool {
    let Some(general) = fallback.get() else {
        return false;
    };
    let cache = cache.get_or_insert_with(|| Box::new(General::cache(general)));
    general.captures(cache, text, slots)
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Matcher").field(&self.pattern).finish()
    }
}
