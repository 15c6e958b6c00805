use proptest::prelude::*;

use super::block::{Block, Portable};
use super::*;
use crate::automaton::General;
use crate::captures::Slots;
use crate::syntax::{self, Source};
use crate::text::Repair;

const NGINX: &str = r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")? \"-\"$"#;
const LINE: &str = r#"10.0.0.1 - - [22/Nov/2026:13:55:36 +0000] "GET /a?b=c HTTP/1.1" 200 612 "-" "curl/8.5.0 (a b)" "-""#;

/// Patterns with every kind of op.
const PATTERNS: [&str; 16] = [
    NGINX,
    r#"^(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^ ]*) +\S*)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>.*)")?$"#,
    r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$",
    r"^(?<time>.+?) (?<stream>stdout|stderr) (?<_p>F|P) (?<log>.*)$",
    r"^\[[^ ]* (?<time>[^\]]*)\] \[(?<level>[^\]]*)\](?: \[pid (?<pid>[^\]]*)\])?( \[client (?<client>[^\]]*)\])? (?<message>.*)$",
    r"^(?<a>\S+) +(?<b>\S*) +(?<c>[^ ]*?)$",
    r"\A(?<a>[^ ]+) (?<b>[^ ]*) (?<c>[^ ]*)\z",
    r"^(?<a>[^ ]*)( (?<b>[^ ]+))*$",
    r#"^(?<a>[^"]*?)"(?:(?<b>[^ ]*) |(?<c>[^\]]*)\])(?<d>.*)"#,
    r"^(?<a>\S+) (?<b>[^\t]*) (?<c>(?m:.*))",
    r#"^(?<a>[^ ]*) (?<b>[^"]*)"-" - (?<c>[^\]]*)\]""#,
    r#"^(?<a>[^ ]*)(?: "-")?(?<b> "-")? (?<c>\S*)"#,
    r"^(?<a>[^ ]+?)(?<b> +)(?<c>\S+)\] (?<d>[^ ]*)",
    r"^(?<a>[^\n]*)\n(?<b>[^ ]*) (?<c>[^ ]*)",
    r"^(?:(?<a>[^ ]*) )?(?<b>[^\]]*)\](?<c>\S*)$",
    r#"^(?<a>\S*)" (?<b>\S+) ?(?<c>\S*)$"#,
];

/// A pattern, for the straight way and for the automata that can do everything.
struct Both {
    program: Program,
    general: General,
    groups: usize,
}

type Groups = Vec<Option<std::ops::Range<usize>>>;

impl Both {
    fn new(pattern: &str) -> Both {
        let source = Source::new(pattern);
        let syntax = syntax::parse(source.pattern, source.flags).expect("valid");
        let regular = crate::regular::lower(&syntax.root).expect("regular");
        Both {
            program: Program::new(&regular.hir).expect("a scanner"),
            general: General::new(&regular).expect("small"),
            groups: syntax.groups.count + 1,
        }
    }

    /// How the straight way ends, and the groups of a match.
    fn straight(&self, text: &[u8], course: &mut Course) -> (Found, Groups) {
        let mut slots = Slots::new(self.groups);
        let found = self.program.try_straight(text, course, slots.raw_mut());
        let groups = match found {
            Found::Match => (0..self.groups).map(|group| slots.get(group)).collect(),
            _ => Vec::new(),
        };
        (found, groups)
    }

    fn general(&self, text: &[u8]) -> Groups {
        let mut slots = Slots::new(self.groups);
        let mut repair = Repair::default();
        let text = repair.text(text);
        let mut cache = self.general.cache();
        if !self.general.captures(&mut cache, text.text, &mut slots) {
            return Vec::new();
        }
        slots.map(|position| text.original(position));
        (0..self.groups).map(|group| slots.get(group)).collect()
    }

    /// Whether the straight way led to an answer.
    fn check(&self, text: &[u8]) -> bool {
        let (found, groups) = self.straight(text, &mut Course::default());
        if found != Found::GaveUp {
            assert_eq!(groups, self.general(text), "{}", text.escape_ascii());
        }
        found != Found::GaveUp
    }
}

/// Texts of the pieces that lines consist of, or of what comes near them.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![" ", "\"", "]", "[", "-", " \"-\"", "\" ", "\"-\"", "] \"", " [", "  ", "stdout", "F"])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        4 => "[a-z0-9/.:]{1,9}".prop_map(String::into_bytes),
        1 => prop::sample::select(vec!["\n", "\t", "é", "あ", "\u{7f}", "\0"]).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..3),
        1 => (40_usize..90).prop_map(|len| vec![b'x'; len]),
    ];
    let pieces = prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat());
    // Or a line with some bytes changed, left out or put in.
    let changed = prop::collection::vec((0..LINE.len(), 0..3_u8, any::<u8>()), 0..4);
    let near = changed.prop_map(|changes| {
        let mut line = LINE.as_bytes().to_vec();
        for (at, change, byte) in changes {
            let byte = b" \"]-\n\tx\x80"[byte as usize % 8];
            let at = at.min(line.len() - 1);
            match change {
                0 => line[at] = byte,
                1 => line.insert(at, byte),
                _ => drop(line.remove(at)),
            }
        }
        line
    });
    (prop_oneof![pieces, near], 0..3_usize).prop_map(|(mut text, end)| {
        text.extend_from_slice([&b""[..], b"\n", b" \"-\"\n"][end]);
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn what_is_found_straight_is_what_automata_find(text in texts()) {
        thread_local! {
            static ALL: Vec<Both> = PATTERNS.iter().copied().map(Both::new).collect();
        }
        ALL.with(|all| all.iter().for_each(|both| {
            both.check(&text);
        }));
    }

    #[test]
    fn marks_are_where_the_bytes_are(text in prop::collection::vec(prop::sample::select(b" \"]ax\x7f\x80\xff".to_vec()), 0..300), tab in 0..2000_usize) {
        let mut text = text;
        if let Some(byte) = text.get_mut(tab) {
            *byte = [b'\t', b'\n', 0, 31][tab % 4];
        }
        check_marks::<Portable>(&text, Marks::fill::<Portable, 3>);
        #[cfg(target_arch = "x86_64")]
        check_marks::<super::block::Sse2>(&text, Marks::fill::<super::block::Sse2, 3>);
        // Whatever this processor has.
        check_marks::<Portable>(&text, super::build::fill(3).expect("three bytes"));
    }
}

fn check_marks<B: Block>(text: &[u8], fill: Fill) {
    let stops = *b" \"]\0";
    let mut marks = Marks::new();
    // What was there before leaves nothing behind.
    fill(&mut marks, &[b' '; 500], stops);
    let is_plain = fill(&mut marks, text, stops);
    assert_eq!(is_plain, text.iter().all(|&byte| byte > 31));
    for at in 0..=text.len() {
        let first = |wanted: &[u8]| {
            let rest = text[at..].iter().position(|byte| wanted.contains(byte));
            rest.map(|found| at + found)
        };
        assert_eq!(marks.next(at, 0), first(b" "));
        assert_eq!(marks.next(at, 1), first(b"\""));
        assert_eq!(marks.next_of_two(at, [2, 0]), first(b"] "));
        assert_eq!(marks.next(at, 3), None);
    }
}

#[test]
fn nothing_is_marked_behind_a_short_text() {
    for stop in [b' ', u8::MAX] {
        let text = [stop, b'a', stop, b'b'];
        let mut marks = Marks::new();
        marks.fill::<Portable, 1>(&text, [stop; STOPS]);
        let found: Vec<_> = (0..=text.len() + 1).map(|at| marks.next(at, 0)).collect();
        assert_eq!(found, [Some(0), Some(2), Some(2), None, None, None]);
    }
}

#[test]
fn usual_lines_go_straight() {
    let nginx = Both::new(NGINX);
    let lines = [
        LINE.to_owned(),
        format!("{LINE}\n"),
        LINE.replace("10.0.0.1", "é\u{7f}あ"),
        LINE.replace("/a?b=c", &"x".repeat(3000)),
        "2026/11/22 13:55:36 [error] 12#12: *1 open() failed".to_owned(),
    ];
    for line in lines {
        assert!(nginx.check(line.as_bytes()), "{line}");
    }
    // What is left to the machine.
    for line in [
        LINE.replace(' ', "\t"),
        LINE.replace("GET", "\n"),
        LINE.replace(" /a?b=c HTTP/1.1", ""),
        // What follows the part that is missing begins as that does.
        LINE.replace(r#" "-" "curl/8.5.0 (a b)""#, ""),
        LINE.replace("/a?b=c", &"x".repeat(5000)),
    ] {
        assert!(!nginx.check(line.as_bytes()), "{line}");
    }
    let apache = Both::new(PATTERNS[1]);
    assert!(apache.check(LINE.trim_end_matches(r#" "-""#).as_bytes()));
}

#[test]
fn the_longest_text_and_a_longer_one() {
    let both = Both::new(PATTERNS[6]);
    for len in TEXT_MAX - 130..TEXT_MAX + 3 {
        let text = format!("a {} c", "b".repeat(len - 4));
        assert_eq!(both.check(text.as_bytes()), len <= TEXT_MAX, "{len}");
        // The last search begins at the end.
        let text = format!("{} b ", "a".repeat(len - 3));
        assert_eq!(both.check(text.as_bytes()), len <= TEXT_MAX, "{len}");
    }
}

#[test]
fn texts_that_never_go_straight_are_not_tried_for_ever() {
    let nginx = Both::new(NGINX);
    let mut course = Course::default();
    let mut tries = |line: &str, times: u32| {
        let found = |_| nginx.straight(line.as_bytes(), &mut course).0;
        (0..times)
            .map(found)
            .filter(|found| *found == Found::Match)
            .count()
    };
    let tabs = LINE.replace("GET", "G\tT");
    assert_eq!(tries(&tabs, MISSES_MAX - 1), 0);
    assert_eq!(tries(LINE, 1), 1, "one less than it takes");
    assert_eq!(tries(&tabs, MISSES_MAX), 0);
    assert_eq!(tries(LINE, REST), 0, "a rest");
    assert_eq!(tries(LINE, 10), 10, "and once more");
}
