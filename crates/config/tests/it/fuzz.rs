//! Configurations as they are, changed anywhere.

use config::{CommandLine, Diagnostics, Document, MemoryHost};

use crate::any_text::check_positions;

#[test]
fn fuzz_classic() {
    fuzz::Target::new("classic")
        .files("../../tests/seed", &[".conf"])
        .files("../../tests/cases", &[".conf"])
        .words([
            "[SERVICE]",
            "[INPUT]",
            "[FILTER]",
            "[OUTPUT]",
            "[PARSER]",
            "[MULTILINE_PARSER]",
        ])
        .words([
            "@INCLUDE a.conf",
            "@SET A=",
            "${A}",
            "${",
            "$",
            "*",
            "\t",
            "#",
            "\"",
        ])
        .words([
            "rule",
            "Types",
            "Decode_Field_As json log",
            "99999999999999999999G",
            "1.5e3k",
        ])
        .run(|content| check_positions(content).expect("positions that exist"));
}

#[test]
fn fuzz_command_line() {
    fuzz::Target::new("command_line")
        .seeds([
            "-i tail -p path=/var/log/*.log -p tag=a -F grep -m * -p regex=log x -o stdout -m *",
            "-c a.conf -R parsers.conf -vv --dry-run -H -P 2020 --storage_path=/tmp -f 1",
        ])
        .words(["-i", "-o", "-F", "-p", "-m", "-t", "--", "=", "tcp://h:1/u"])
        .longest(300)
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let words = text.split(' ').map(Into::into);
            let mut diagnostics = Diagnostics::new();
            let line = CommandLine::parse(words, &mut diagnostics);
            Document::load(&MemoryHost::new(), None, line.sections, &mut diagnostics);
            assert_eq!(diagnostics.to_string().is_empty(), diagnostics.is_empty());
        });
}
