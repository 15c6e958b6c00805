//! The engines of `regex-automata`: linear in the length of the text whatever the pattern.

use std::ops::Range;

use regex_automata::dfa::onepass;
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::hir::{Hir, Look};

use crate::Error;
use crate::captures::Slots;
use crate::needles::Needles;
use crate::regular::Regular;

/// A pattern may not compile to more than this.
const NFA_BYTES_MAX: usize = 4 << 20;
/// A search that asks for groups may not need more than this for their places: for each state of the NFA two rows of them.
const SLOTS_BYTES_MAX: usize = 24 << 20;
/// About what a state of the NFA takes.
const STATE_BYTES: usize = 24;
const ONEPASS_BYTES_MAX: usize = 256 << 10;
/// What the lazy DFA may remember. Small: a pipeline has many patterns, and an agent's memory is counted.
const HYBRID_CACHE_BYTES: usize = 128 << 10;

/// Where a match can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// At the start of the text.
    Text,
    /// At the start of a line.
    Line,
}

impl Anchor {
    /// What every match of `hir` needs at its start.
    pub fn of(hir: &Hir) -> Option<Anchor> {
        let looks = hir.properties().look_set_prefix();
        if looks.contains(Look::Start) {
            return Some(Anchor::Text);
        }
        looks.contains(Look::StartLF).then_some(Anchor::Line)
    }

    /// The first place at or behind `from` where a match of `text` can begin.
    #[inline]
    pub fn next(self, text: &[u8], from: usize) -> Option<usize> {
        if from == 0 {
            return Some(0);
        }
        match self {
            Anchor::Text => None,
            // A newline that ends the text begins no line.
            Anchor::Line => memchr::memchr(b'\n', &text[from - 1..])
                .map(|at| from + at)
                .filter(|&start| start < text.len()),
        }
    }
}

/// How large the NFA of `hir` may be: smaller with many groups.
fn nfa_bytes_max(hir: &Hir) -> usize {
    let slots = 2 * (hir.properties().explicit_captures_len() + 1);
    let states_max = SLOTS_BYTES_MAX / (2 * slots * size_of::<usize>());
    NFA_BYTES_MAX.min(states_max * STATE_BYTES)
}

/// An automaton that knows at each byte which group it is in: the fastest, for patterns with an anchor and without any choice.
#[derive(Debug)]
pub(crate) struct OnePass {
    dfa: onepass::DFA,
    anchor: Anchor,
}

/// What a search with a [`OnePass`] needs.
#[derive(Debug)]
pub(crate) struct OnePassCache {
    cache: onepass::Cache,
    slots: Vec<Option<NonMaxUsize>>,
}

impl OnePass {
    /// Compiles `hir` if it is of the kind.
    pub fn new(Regular { hir, .. }: &Regular) -> Option<OnePass> {
        let anchor = Anchor::of(hir)?;
        let config = thompson::Config::new().nfa_size_limit(Some(ONEPASS_BYTES_MAX));
        let nfa: NFA = thompson::Compiler::new()
            .configure(config)
            .build_from_hir(hir)
            .ok()?;
        let config = onepass::Config::new().size_limit(Some(ONEPASS_BYTES_MAX));
        let dfa = onepass::Builder::new()
            .configure(config)
            .build_from_nfa(nfa)
            .ok()?;
        Some(OnePass { dfa, anchor })
    }

    pub fn cache(&self) -> OnePassCache {
        let slots = vec![None; self.dfa.get_nfa().group_info().slot_len()];
        OnePassCache {
            cache: self.dfa.create_cache(),
            slots,
        }
    }

    pub fn captures(&self, cache: &mut OnePassCache, text: &str, slots: &mut Slots) -> bool {
        let found = self.search(&mut cache.cache, text, &mut cache.slots, false);
        if found {
            copy(&cache.slots, slots);
        }
        found
    }

    pub fn is_match(&self, cache: &mut OnePassCache, text: &str) -> bool {
        self.search(&mut cache.cache, text, &mut cache.slots, true)
    }

    fn search(
        &self,
        cache: &mut onepass::Cache,
        text: &str,
        slots: &mut [Option<NonMaxUsize>],
        earliest: bool,
    ) -> bool {
        let mut from = 0;
        while let Some(start) = self.anchor.next(text.as_bytes(), from) {
            let input = Input::new(text)
                .range(start..)
                .anchored(Anchored::Yes)
                .earliest(earliest);
            // An error means that the input is not anchored, which it is.
            if let Ok(Some(_)) = self.dfa.try_search_slots(cache, &input, slots) {
                return true;
            }
            from = start + 1;
        }
        false
    }
}

/// Whatever `regex-automata` finds best for each search.
#[derive(Debug)]
pub(crate) struct General {
    regex: meta::Regex,
    needles: Option<Needles>,
    /// See [`Regular::not_at_end`].
    not_at_end: bool,
}

/// What a search with a [`General`] needs.
#[derive(Debug)]
pub(crate) struct GeneralCache {
    cache: meta::Cache,
    slots: Vec<Option<NonMaxUsize>>,
}

impl General {
    pub fn new(Regular { hir, not_at_end }: &Regular) -> Result<General, Error> {
        let config = meta::Config::new()
            .nfa_size_limit(Some(nfa_bytes_max(hir)))
            .onepass_size_limit(Some(ONEPASS_BYTES_MAX))
            .hybrid_cache_capacity(HYBRID_CACHE_BYTES)
            .dfa(false);
        match meta::Builder::new().configure(config).build_from_hir(hir) {
            Ok(regex) => Ok(General {
                regex,
                needles: Needles::of(hir),
                not_at_end: *not_at_end,
            }),
            Err(error) if error.size_limit().is_some() => Err(Error::new(
                0,
                "this pattern needs too much memory: its repetitions are too large",
            )),
            Err(error) => Err(Error::new(
                0,
                format!("this pattern cannot be compiled ({error})"),
            )),
        }
    }

    pub fn cache(&self) -> GeneralCache {
        let slots = vec![None; self.regex.group_info().slot_len()];
        GeneralCache {
            cache: self.regex.create_cache(),
            slots,
        }
    }

    pub fn captures(&self, cache: &mut GeneralCache, text: &str, slots: &mut Slots) -> bool {
        let GeneralCache {
            cache,
            slots: found,
        } = cache;
        if self
            .regex
            .search_slots_with(cache, &Input::new(text), found)
            .is_none()
        {
            return false;
        }
        copy(found, slots);
        !self.is_void(slots.get(0), text)
    }

    pub fn is_match(&self, cache: &mut GeneralCache, text: &str) -> bool {
        if self.not_at_end {
            let found = self.regex.search_with(&mut cache.cache, &Input::new(text));
            return found.is_some_and(|found| !self.is_void(Some(found.range()), text));
        }
        let start = match &self.needles {
            Some(needles) => needles.earliest(text),
            None => Some(0),
        };
        let Some(start) = start else {
            return false;
        };
        let input = Input::new(text).range(start..).earliest(true);
        self.regex
            .search_half_with(&mut cache.cache, &input)
            .is_some()
    }
}

impl General {
    fn is_void(&self, found: Option<Range<usize>>, text: &str) -> bool {
        let starts_at_end = found.is_some_and(|found| found.start == text.len());
        self.not_at_end && starts_at_end && !text.is_empty()
    }
}

fn copy(found: &[Option<NonMaxUsize>], slots: &mut Slots) {
    for (slot, position) in slots.raw_mut().iter_mut().zip(found) {
        *slot = position.map_or(usize::MAX, NonMaxUsize::get);
    }
}
