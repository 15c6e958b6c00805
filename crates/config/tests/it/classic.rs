//! Every `tests/classic/NAME.conf` is read as a main file and must give what `NAME.expected` says: the sections, then the
//! findings. `UPDATE=1 cargo test -p config` writes the expectations anew.
//!
//! In a case, the current directory is `/`, with the files of `tests/classic/cwd` in it; the case itself and its parts are in
//! `/conf`. `NAME.env` holds its environment variables.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use config::{Diagnostics, Document, Entry, MemoryHost, Position, Section};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/classic")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A machine with all cases and their parts.
fn host(env: &Path) -> MemoryHost {
    let folder = folder();
    let mut host = MemoryHost::new();
    for (from, to) in [("", "/conf"), ("parts", "/conf/parts"), ("cwd", "/")] {
        for path in files(&folder.join(from)) {
            let name = path.file_name().expect("a file has a name");
            host = host.with_file(Path::new(to).join(name), fs::read(&path).expect("readable"));
        }
    }
    for line in fs::read_to_string(env).unwrap_or_default().lines() {
        let (name, value) = line.split_once('=').expect("NAME=value");
        host = host.with_variable(name, value);
    }
    host
}

fn dump(document: &Document, main: &Path) -> String {
    let mut text = String::new();
    let lists = [
        &document.customs,
        &document.inputs,
        &document.filters,
        &document.outputs,
        &document.parsers,
        &document.multiline_parsers,
        &document.stream_tasks,
        &document.upstreams,
        &document.plugins,
        &document.ignored,
    ];
    let service = Some(&document.service).filter(|service| !service.entries.is_empty());
    for section in service.into_iter().chain(lists.into_iter().flatten()) {
        dump_section(&mut text, section, main);
    }
    text
}

fn dump_section(text: &mut String, section: &Section, main: &Path) {
    let place = place(&section.position, main);
    writeln!(text, "{} [{}] {place}", section.kind.word(), section.name).expect("to a string");
    dump_entries(text, &section.entries, main, 1);
    for group in &section.groups {
        writeln!(
            text,
            "  [{}] {}",
            group.name,
            self::place(&group.position, main)
        )
        .expect("to a string");
        dump_entries(text, &group.entries, main, 2);
    }
}

fn dump_entries(text: &mut String, entries: &[Entry], main: &Path, depth: usize) {
    for entry in entries {
        let value = entry
            .value
            .as_text()
            .expect("the classic format has only text");
        let (key_place, value_place) = (
            place(&entry.position, main),
            place(&entry.value.position, main),
        );
        let indent = "  ".repeat(depth);
        writeln!(
            text,
            "{indent}{} = <{value}> {key_place} {value_place}",
            entry.key
        )
        .expect("to a string");
    }
}

/// Line and column; with the file when it is not the main one.
fn place(position: &Position, main: &Path) -> String {
    match &*position.file == main {
        true => format!("{}:{}", position.line, position.column),
        false => position.to_string(),
    }
}

fn run(case: &Path) -> String {
    let main = Path::new("conf").join(case.file_name().expect("a file has a name"));
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host(&case.with_extension("env")),
        Some(&main),
        Vec::new(),
        &mut diagnostics,
    );
    diagnostics.sort_by_position();
    let mut text = dump(&document, &main);
    if !diagnostics.is_empty() {
        write!(text, "---\n{diagnostics}\n").expect("to a string");
    }
    text
}

#[test]
fn every_case_reads_as_expected() {
    let cases: Vec<_> = files(&folder())
        .into_iter()
        .filter(|path| path.extension() == Some("conf".as_ref()))
        .collect();
    assert!(cases.len() >= 40, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let expected_path = case.with_extension("expected");
        let found = run(&case);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expected_path, &found).expect("writable");
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            wrong.push(format!(
                "=== {}\n--- expected\n{expected}--- found\n{found}",
                case.display()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{}\n`UPDATE=1 cargo test -p config` accepts what was found",
        wrong.join("\n")
    );
}

fn load(host: &MemoryHost) -> (Document, String) {
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        host,
        Some(Path::new("a.conf")),
        Vec::new(),
        &mut diagnostics,
    );
    (document, diagnostics.to_string())
}

fn load_bytes(content: impl AsRef<[u8]>) -> (Document, String) {
    load(&MemoryHost::new().with_file("a.conf", content))
}

#[test]
fn lines_may_end_with_carriage_returns_or_not_at_all() {
    let (document, findings) = load_bytes("[INPUT]\r\n    Name dummy\r\n\r\n    Tag x");
    assert_eq!(findings, "");
    assert_eq!(document.inputs[0].text("name"), Some("dummy"));
    assert_eq!(document.inputs[0].text("tag"), Some("x"));
}

#[test]
fn bytes_that_are_no_text_are_reported_and_do_no_harm() {
    let (document, findings) =
        load_bytes(b"[INPUT]\n    Name dummy\n    Tag caf\xE9.\xFF\n    Path a\0b\n");
    assert_eq!(document.inputs[0].text("tag"), Some("caf\u{FFFD}.\u{FFFD}"));
    assert_eq!(document.inputs[0].text("path"), Some("a"));
    let expected = "warning: the line is not UTF-8: other bytes are replaced by U+FFFD\n  --> a.conf:3:1\n\n\
                    warning: the line has a zero byte: the rest of it is ignored\n  --> a.conf:4:1";
    assert_eq!(findings, expected);
}

#[test]
fn long_lines_of_garbage_are_left_out() {
    let mut content = b"[INPUT]\n    Name dummy\n    Tag ".to_vec();
    content.resize(2 * 1024 * 1024, 0xFF);
    content.extend(b"\n    Path a\n");
    let (document, findings) = load_bytes(&content);
    assert_eq!(
        findings,
        "error: the line is longer than 1 MiB and is not text\n  --> a.conf:3:1"
    );
    assert_eq!(document.inputs[0].entries.len(), 2);
}

#[test]
fn a_byte_order_mark_is_the_only_mistake_reported() {
    let (document, findings) = load_bytes("\u{FEFF}[INPUT]\n    Name dummy\n");
    assert_eq!(document.inputs.len(), 1);
    let expected = "error: the file begins with a byte order mark\n  --> a.conf:1:1\n   = help: save it as UTF-8 without \
                    a byte order mark";
    assert_eq!(findings, expected);
}

#[test]
fn columns_count_characters() {
    let (document, _) = load_bytes("[INPUT]\n    Näme  dümmy  \n");
    let entry = &document.inputs[0].entries[0];
    assert_eq!(
        (entry.position.column, entry.value.position.column),
        (5, 11)
    );
}

#[test]
fn lines_are_at_most_32_mib_long() {
    let key = "    Dummy ";
    let longest = 32 * 1024 * 1024 - 2;
    let line = |length: usize| {
        format!(
            "[INPUT]\n    Name dummy\n{key}{}\n    Tag x\n",
            "x".repeat(length - key.len())
        )
    };
    let (document, findings) = load_bytes(line(longest));
    assert_eq!(findings, "");
    assert_eq!(
        document.inputs[0].text("dummy").map(str::len),
        Some(longest - key.len())
    );
    assert_eq!(document.inputs[0].text("tag"), Some("x"));

    let (document, findings) = load_bytes(line(longest + 1));
    let expected = "error: the line is longer than 32 MiB; the rest of the file was not read\n  --> a.conf:3:1";
    assert_eq!(findings, expected);
    assert_eq!(document.inputs[0].text("name"), Some("dummy"));
}

#[test]
fn at_most_1000_files_are_read() {
    let included = |count: usize| {
        let mut host = MemoryHost::new().with_file("a.conf", "@INCLUDE parts/*.conf\n");
        for number in 0..count {
            host = host.with_file(
                format!("parts/{number}.conf"),
                format!("[INPUT]\n    Name n{number}\n"),
            );
        }
        host
    };
    let (document, findings) = load(&included(999));
    assert_eq!((document.inputs.len(), findings.as_str()), (999, ""));
    let (document, findings) = load(&included(1005));
    assert_eq!(document.inputs.len(), 999);
    assert_eq!(
        findings,
        "error: more than 1000 files are included\n  --> a.conf:1:10"
    );
}

#[test]
fn files_may_include_each_other_to_the_same_depth() {
    let mut host = MemoryHost::new().with_file("a.conf", "@INCLUDE 1.conf\n");
    for number in 1..1005 {
        host = host.with_file(
            format!("{number}.conf"),
            format!("@INCLUDE {}.conf\n", number + 1),
        );
    }
    let (_, findings) = load(&host);
    assert_eq!(
        findings,
        "error: more than 1000 files are included\n  --> 999.conf:1:10"
    );
}

#[test]
fn a_file_under_two_names_is_read_once() {
    let host = MemoryHost::new()
        .with_file("a.conf", "@INCLUDE b.conf\n@INCLUDE c.conf\n")
        .with_file("b.conf", "[INPUT]\n    Name dummy\n")
        .with_link("c.conf", "b.conf");
    let (document, findings) = load(&host);
    assert_eq!(document.inputs.len(), 1);
    assert!(
        findings.starts_with("error: 'c.conf' is read a second time\n  --> a.conf:2:10"),
        "{findings}"
    );
}

#[test]
fn a_missing_main_file_is_an_error() {
    let (_, findings) = load(&MemoryHost::new());
    let expected =
        "error: cannot read 'a.conf': No such file or directory (os error 2)\n  --> a.conf";
    assert_eq!(findings, expected);
}

#[test]
fn sections_of_the_command_line_come_first() {
    let mut service = Section::new(
        config::SectionKind::Service,
        "service",
        Position::argument(1),
    );
    service.entries.push(Entry::plain(
        "Flush",
        Position::argument(1),
        "1",
        Position::argument(2),
    ));
    let host = MemoryHost::new().with_file("a.conf", "[SERVICE]\n    Flush 5\n");
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(
        &host,
        Some(Path::new("a.conf")),
        vec![service],
        &mut diagnostics,
    );
    let values: Vec<_> = document
        .service
        .entries
        .iter()
        .map(|entry| entry.value.as_text())
        .collect();
    assert_eq!(values, [Some("1"), Some("5")]);
    assert_eq!(document.service.position, Position::argument(1));
}
