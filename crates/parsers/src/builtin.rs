//! The multiline parsers that need no definition (upstream `src/multiline/flb_ml_parser_*.c`), written as a user would write
//! them, and the parsers that two of them begin with.

use std::path::Path;

use config::{Entry, Position, Section, SectionKind};

/// What names of parsers begin with that nobody has defined.
pub(crate) const PREFIX: &str = "_ml_";

type Entries = &'static [(&'static str, &'static str)];

/// Docker's `json-file`, and the lines of containerd and CRI-O.
const PARSERS: &[Entries] = &[
    &[
        ("name", "_ml_json_docker"),
        ("format", "json"),
        ("time_key", "time"),
        ("time_format", "%Y-%m-%dT%H:%M:%S.%L"),
        ("time_keep", "on"),
        ("time_strict", "off"),
    ],
    &[
        ("name", "_ml_cri"),
        ("format", "regex"),
        (
            "regex",
            "^(?<time>.+?) (?<stream>stdout|stderr) (?<_p>F|P) (?<log>.*)$",
        ),
        ("skip_empty_values", "off"),
        ("time_key", "time"),
        ("time_format", "%Y-%m-%dT%H:%M:%S.%L%z"),
        ("time_keep", "on"),
        ("time_strict", "off"),
    ],
];

const MULTILINE: &[Entries] = &[
    &[
        ("name", "docker"),
        ("type", "endswith"),
        ("match_string", "\n"),
        ("key_content", "log"),
        ("key_group", "stream"),
        ("parser", "_ml_json_docker"),
    ],
    &[
        ("name", "cri"),
        ("type", "equal"),
        ("match_string", "F"),
        ("key_content", "log"),
        ("key_group", "stream"),
        ("key_pattern", "_p"),
        ("parser", "_ml_cri"),
    ],
    &[
        ("name", "java"),
        ("type", "regex"),
        (
            "rule",
            r#""start_state, java_start_exception" "/(.)(?:Exception|Error|Throwable|V8 errors stack trace)[:\r\n]/" "java_after_exception""#,
        ),
        (
            "rule",
            r#""java_after_exception" "/^[\t ]*nested exception is:[\t ]*/" "java_start_exception""#,
        ),
        (
            "rule",
            r#""java_after_exception" "/^[\r\n]*$/" "java_after_exception""#,
        ),
        (
            "rule",
            r#""java_after_exception, java" "/^[\t ]+(?:eval )?at /" "java""#,
        ),
        (
            "rule",
            r#""java_after_exception, java" "/^[\t ]+--- End of inner exception stack trace ---$/" "java""#,
        ),
        (
            "rule",
            r#""java_after_exception, java" "/^--- End of stack trace from previous location where exception was thrown ---$/" "java""#,
        ),
        (
            "rule",
            r#""java_after_exception, java" "/^[\t ]*(?:Caused by|Suppressed):/" "java_after_exception""#,
        ),
        (
            "rule",
            r#""java_after_exception, java" "/^[\t ]*... \d+ (?:more|common frames omitted)/" "java""#,
        ),
    ],
    &[
        ("name", "go"),
        ("type", "regex"),
        ("rule", r#""start_state" "/\bpanic: /" "go_after_panic""#),
        (
            "rule",
            r#""start_state" "/http: panic serving/" "go_goroutine""#,
        ),
        ("rule", r#""go_after_panic" "/^$/" "go_goroutine""#),
        (
            "rule",
            r#""go_after_panic, go_after_signal, go_frame_1" "/^$/" "go_goroutine""#,
        ),
        (
            "rule",
            r#""go_after_panic" "/^\[signal /" "go_after_signal""#,
        ),
        (
            "rule",
            r#""go_goroutine" "/^goroutine \d+ \[[^\]]+\]:$/" "go_frame_1""#,
        ),
        (
            "rule",
            r#""go_frame_1" "/^(?:[^\s.:]+\.)*[^\s.():]+\(|^created by /" "go_frame_2""#,
        ),
        ("rule", r#""go_frame_2" "/^\s/" "go_frame_1""#),
    ],
    &[
        ("name", "ruby"),
        ("type", "regex"),
        (
            "rule",
            r#""start_state, ruby_start_exception" "/^.+:\d+:in\s+.*/" "ruby_after_exception""#,
        ),
        (
            "rule",
            r#""ruby_after_exception, ruby" "/^\s+from\s+.*:\d+:in\s+.*/" "ruby""#,
        ),
    ],
    &[
        ("name", "python"),
        ("type", "regex"),
        (
            "rule",
            r#""start_state" "/^Traceback \(most recent call last\):$/" "python""#,
        ),
        ("rule", r#""python" "/^[\t ]+File /" "python_code""#),
        ("rule", r#""python_code" "/[^\t ]/" "python""#),
        (
            "rule",
            r#""python" "/^(?:[^\s.():]+\.)*[^\s.():]+:/" "start_state""#,
        ),
    ],
];

/// Sections that define the parsers.
pub(crate) fn parsers() -> impl Iterator<Item = Section> {
    PARSERS
        .iter()
        .map(|entries| section(SectionKind::Parser, entries))
}

/// Sections that define the multiline parsers.
pub(crate) fn multiline() -> impl Iterator<Item = Section> {
    let entries = MULTILINE.iter();
    entries.map(|entries| section(SectionKind::MultilineParser, entries))
}

fn section(kind: SectionKind, entries: Entries) -> Section {
    let nowhere = Position::file(Path::new("built in"));
    let mut section = Section::new(kind, kind.word().to_uppercase(), nowhere.clone());
    let entries = entries.iter();
    section.entries = entries
        .map(|(key, value)| Entry::plain(key, nowhere.clone(), *value, nowhere.clone()))
        .collect();
    section
}
