//! Each pattern by every engine that can search it: they must find the same.

use crate::automaton::General;
use crate::backtrack::Backtrack;
use crate::captures::Slots;
use crate::syntax::{self, Source};
use crate::text::Repair;
use crate::{Engine, Pattern, regular};

/// `pattern`, a zero and `text` of every case in a file.
fn seeds(cases: &str) -> Vec<Vec<u8>> {
    let (mut seeds, mut pattern) = (Vec::new(), "");
    for line in cases.lines() {
        if let Some(text) = line.strip_prefix("pattern: ") {
            pattern = text;
        } else if let Some((text, _)) = line.trim_start().rsplit_once("\" = ") {
            let text = text.trim_start_matches('"').replace("\\n", "\n");
            seeds.push(format!("{pattern}\0{text}").into_bytes());
        }
    }
    seeds
}

/// What the automata for all regular patterns find, which are built from the translated pattern alone.
fn general(pattern: &str, text: &[u8]) -> Option<Vec<Option<std::ops::Range<usize>>>> {
    let source = Source::new(pattern);
    let syntax = syntax::parse(source.pattern, source.flags).ok()?;
    let regular = regular::lower(&syntax.root).ok()?;
    let general = General::new(&regular).ok()?;
    let groups = syntax.groups.count + 1;
    let mut slots = Slots::new(groups);
    let mut repair = Repair::default();
    let repaired = repair.text(text);
    if !general.captures(&mut general.cache(), repaired.text, &mut slots) {
        return Some(Vec::new());
    }
    if repaired.is_repaired() {
        slots.map(|position| repaired.original(position));
    }
    Some((0..groups).map(|group| slots.get(group)).collect())
}

/// The same by the engine for what is not regular, which finds nothing when it takes too many steps.
fn backtracked(pattern: &str, text: &str) -> Option<Vec<Option<std::ops::Range<usize>>>> {
    let source = Source::new(pattern);
    let syntax = syntax::parse(source.pattern, source.flags).ok()?;
    let backtrack = Backtrack::new(&syntax).ok()?;
    let groups = syntax.groups.count + 1;
    let mut slots = Slots::new(groups);
    let found = backtrack.captures(text, &mut slots);
    found.then(|| (0..groups).map(|group| slots.get(group)).collect())
}

#[test]
fn fuzz_patterns() {
    let cases = [
        include_str!("../tests/onigmo/hand_written.cases"),
        include_str!("../tests/onigmo/random.cases"),
        include_str!("../tests/onigmo/shipped.cases"),
    ];
    fuzz::Target::new("patterns")
        .seeds(cases.iter().flat_map(|cases| seeds(cases)))
        .words([
            "(?<n>", "(?:", "(?i)", "(?m:", "(", ")", "|", "*", "+?", "{2,}", "{,3}", "??", "++",
            "^", "$",
        ])
        .words([
            "[^",
            "[a-z]",
            "[[:alpha:]]",
            "&&",
            "]",
            "\\S",
            "\\w",
            "\\b",
            "\\A",
            "\\z",
            "\\Z",
            "\\h",
            "\\R",
            ".",
        ])
        .words([
            "\\k<n>", "\\1", "(?=", "(?!", "(?<=", "(?>", "\\p{L}", "\\x{e9}", "\\u00e9", "\\G",
            "\\K", "(?~",
        ])
        .longest(200)
        .run(|bytes| {
            let at = bytes.iter().position(|byte| *byte == 0);
            let (pattern, text) = bytes.split_at(at.unwrap_or(bytes.len()));
            let text = text.get(1..).unwrap_or_default();
            let pattern = String::from_utf8_lossy(pattern);
            let Ok(compiled) = Pattern::new(&pattern) else {
                return;
            };
            let groups = compiled.group_count();
            assert!(compiled.names().all(|(_, group)| group <= groups));
            let engine = compiled.engine();
            let mut matcher = compiled.matcher();
            let is_match = matcher.is_match(text);
            if !text.contains(&b'\n') {
                assert_eq!(matcher.is_match_in_line(text), is_match);
                // Lines that begin alike.
                for len in 0..text.len().min(12) {
                    let line = [&text[..len], b"\x80a "].concat();
                    let expected = matcher.is_match(&line);
                    assert_eq!(matcher.is_match_in_line(&line), expected, "{line:?}");
                }
            }
            let captures = matcher.captures(text);
            let found: Vec<_> = captures.map_or_else(Vec::new, |found| {
                (0..=groups).map(|group| found.get(group)).collect()
            });
            assert_eq!(is_match, !found.is_empty());
            for range in found.iter().flatten() {
                assert!(range.start <= range.end && range.end <= text.len());
            }
            if engine == Engine::Backtrack {
                return;
            }
            if let Some(expected) = general(&pattern, text) {
                assert_eq!(found, expected, "by {engine:?} and by the general automata");
            }
        });
}

/// The two ways of translating a pattern: to automata, and to the engine with backtracking.
#[test]
fn fuzz_translations() {
    let cases = include_str!("../tests/onigmo/random.cases");
    fuzz::Target::new("translations")
        .seeds(seeds(cases))
        .words([
            "(", ")", "|", "*", "+?", "{2}", "^", "$", "[^a]", "\\S", "\\w", "\\b", "\\A", "\\z",
            ".", "\n",
        ])
        .longest(60)
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let Some((pattern, text)) = text.split_once('\0') else {
                return;
            };
            let Some(expected) = general(pattern, text.as_bytes()) else {
                return;
            };
            // A group in a loop whose last turn is empty is one of the known differences of such engines.
            if let Some(found) = backtracked(pattern, text) {
                assert_eq!(
                    found.first(),
                    expected.first(),
                    "by backtracking and by the general automata"
                );
            }
        });
}
