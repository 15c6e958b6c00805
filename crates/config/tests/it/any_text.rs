//! Whatever stands in a file, reading it ends, without a panic, with positions that exist.

use std::path::Path;

use config::{
    CommandLine, Diagnostics, Document, FilterCommon, InputCommon, MemoryHost,
    MultilineParserOptions, NetOptions, Options, OutputCommon, ParserOptions, Section,
    ServiceOptions, TlsOptions, nearest,
};
use proptest::prelude::*;

/// Lines like those of a configuration, with what tends to go wrong in them.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "Name",
        "Match",
        "Tag",
        "Parsers_File",
        "Flush",
        "Grace",
        "Mem_Buf_Limit",
        "rule",
        "Types",
        "Decode_Field",
        "Format",
        "type",
        "time_offset",
        "retry_limit",
        "net.io_timeout",
        "tls",
        "é",
        "@SET",
        "[G]",
        "#",
    ]);
    let value = prop_oneof![
        "[ -~]{0,12}",
        "[${}:a-]{0,12}",
        "\\PC{0,6}",
        "[-+.0-9eEkKmMgGbB]{0,6}",
        "[\"\\\\a-c ,:]{0,10}",
        Just("a.conf".to_owned()),
    ];
    let header = "\\[[a-zA-Z_ ]{0,10}\\]?.{0,2}";
    let command = prop_oneof![
        Just("@SET "),
        Just("@set A="),
        Just("@INCLUDE "),
        Just("@"),
        Just("@INCLUDE *")
    ];
    prop_oneof![
        8 => ("[ \t]{0,5}", key, "[ \t]{0,2}", value.clone()).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}")),
        3 => prop::sample::select(vec!["[SERVICE]", "[INPUT]", "[FILTER]", "[OUTPUT]", "[P]", "[MULTI]"]).prop_map(str::to_owned),
        1 => header,
        1 => (command, value).prop_map(|(command, value)| format!("{command}{value}")),
        1 => "[ \t\r]{0,4}",
    ]
}

/// Arguments like those of a command line.
fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        "-{0,3}[a-zA-Z]{0,3}",
        "--[a-z_-]{0,8}=?[a-z]{0,3}",
        prop::sample::select(vec![
            "-i",
            "-o",
            "-F",
            "-p",
            "-m",
            "-t",
            "-vvc",
            "--",
            "-h",
            "tcp://h:1/u",
            "a=b"
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,5}://\\PC{0,8}",
        "\\PC{0,5}",
    ]
}

/// Reads a file as everything that it could be.
fn read(content: &[u8]) -> Diagnostics {
    let host = MemoryHost::new()
        .with_file("a.conf", content)
        .with_variable("A", "a");
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        Some(Path::new("a.conf")),
        Vec::new(),
        &mut diagnostics,
    );
    let all = |list: &[Section], diagnostics: &mut Diagnostics| {
        for section in list {
            InputCommon::read(section, diagnostics);
            FilterCommon::read(section, diagnostics);
            OutputCommon::read(section, diagnostics);
            NetOptions::read(section, diagnostics);
            TlsOptions::read(section, diagnostics);
            ParserOptions::read(section, diagnostics);
            MultilineParserOptions::read(section, diagnostics);
            ServiceOptions::read(section, diagnostics);
        }
    };
    all(std::slice::from_ref(&document.service), &mut diagnostics);
    for list in [
        &document.inputs,
        &document.filters,
        &document.outputs,
        &document.parsers,
        &document.ignored,
    ] {
        all(list, &mut diagnostics);
    }
    diagnostics.sort_by_position();
    diagnostics
}

pub fn check_positions(content: &[u8]) -> Result<(), TestCaseError> {
    let diagnostics = read(content);
    let lines: Vec<_> = content.split(|byte| *byte == b'\n').collect();
    for finding in &diagnostics {
        let (line, column) = (
            finding.position.line as usize,
            finding.position.column as usize,
        );
        prop_assert!(line <= lines.len(), "{}", finding);
        if line > 0 {
            prop_assert!(column <= lines[line - 1].len() + 1, "{}", finding);
        }
    }
    prop_assert_eq!(diagnostics.to_string().is_empty(), diagnostics.is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes(content in prop::collection::vec(any::<u8>(), 0..200)) {
        check_positions(&content)?;
    }

    #[test]
    fn any_lines(lines in prop::collection::vec(line(), 0..20)) {
        check_positions(lines.join("\n").as_bytes())?;
    }

    #[test]
    fn any_arguments(words in prop::collection::vec(argument(), 0..8)) {
        let count = words.len();
        let mut diagnostics = Diagnostics::new();
        let line = CommandLine::parse(words.into_iter().map(Into::into), &mut diagnostics);
        for finding in &diagnostics {
            prop_assert!((1..=count).contains(&(finding.position.column as usize)), "{}", finding);
        }
        Document::load(&MemoryHost::new(), None, line.sections, &mut diagnostics);
    }

    #[test]
    fn any_word_has_a_nearest_or_not(word in "\\PC{0,12}") {
        let found = nearest(&word, ["path", "db", "tag"]);
        prop_assert!(found.is_none() || !word.is_empty());
    }
}
