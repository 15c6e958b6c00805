//! Runs `tests/sql/*.slt`: statements with the rows or the error that they give.
//!
//! Each file has a lake of its own with the objects of `tests/objects`, and runs from top to bottom.
//! With `COMPLETE=1` in the environment the answers in the files are replaced by what really came.
//!
//! ```text
//! # A comment.
//! statement ok                 nothing is expected but success
//! CREATE EXTERNAL TABLE …
//!
//! query                        or `query rowsort` where the order does not matter
//! SELECT a, b FROM t
//! ----
//! a varchar|b bigint           headings and types
//! x|1                          NULL is written NULL, the empty text (empty)
//!
//! error
//! SELECT nothing
//! ----
//! SYNTAX_ERROR: line 1:8: Column 'nothing' cannot be resolved
//! help: …                      if there is any
//! ```
//!
//! Notes that a statement makes follow its rows as `note: …`.

use std::fs;
use std::path::{Path, PathBuf};

use query::Session;

#[test]
fn statements_answer_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("tests/sql")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("runtime");
    let mut failures = Vec::new();
    let mut count = 0;
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "slt"))
    {
        let (ran, failed) = runtime.block_on(run_file(file));
        count += ran;
        failures.extend(failed);
    }
    assert!(count > 0, "no records found");
    assert!(
        failures.is_empty(),
        "{} of {count} failed\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

async fn run_file(file: &Path) -> (usize, Vec<String>) {
    let text = fs::read_to_string(file).expect("readable");
    let lake = lake();
    let session = Session::open(lake.path()).expect("session");
    let complete = std::env::var_os("COMPLETE").is_some();
    let mut completed = String::new();
    let mut failures = Vec::new();
    let mut count = 0;
    for block in text.split("\n\n") {
        let Some(record) = Record::parse(block) else {
            completed.push_str(&format!("{}\n\n", block.trim_end()));
            continue;
        };
        count += 1;
        let answer = record.run(&session).await;
        if answer != record.expected && !complete {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            failures.push(format!(
                "{name}: {}\n--- expected\n{}\n--- found\n{answer}",
                record.sql, record.expected
            ));
        }
        completed.push_str(&record.completed(&answer));
    }
    if complete {
        fs::write(file, format!("{}\n", completed.trim_end())).expect("written");
    }
    (count, failures)
}

/// A data directory with the objects of the tests.
pub(crate) fn lake() -> tempfile::TempDir {
    let lake = tempfile::tempdir().expect("dir");
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    copy(&objects, &lake.path().join("objects"));
    lake
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Statement,
    Query { sorted: bool },
    Error,
}

struct Record {
    /// Comments before the record.
    preface: String,
    kind: Kind,
    sql: String,
    expected: String,
}

impl Record {
    fn parse(block: &str) -> Option<Record> {
        let mut preface = String::new();
        let mut lines = block.trim().lines().peekable();
        while let Some(comment) = lines.next_if(|line| line.starts_with('#')) {
            preface.push_str(&format!("{comment}\n"));
        }
        let kind = match lines.next()? {
            "statement ok" => Kind::Statement,
            "query" => Kind::Query { sorted: false },
            "query rowsort" => Kind::Query { sorted: true },
            "error" => Kind::Error,
            other => panic!("no such record: {other}"),
        };
        let rest: Vec<&str> = lines.collect();
        let end = rest
            .iter()
            .position(|line| *line == "----")
            .unwrap_or(rest.len());
        let expected = rest.get(end + 1..).unwrap_or_default().join("\n");
        Some(Record {
            preface,
            kind,
            sql: rest[..end].join("\n"),
            expected,
        })
    }

    async fn run(&self, session: &Session) -> String {
        match (self.kind, answer(session, &self.sql, self.kind).await) {
            (Kind::Error, Ok(rows)) => format!("no error, but\n{rows}"),
            (Kind::Error, Err(error)) => error,
            (Kind::Statement, Ok(_)) => String::new(),
            (_, Ok(rows)) => rows,
            (_, Err(error)) => format!("error: {error}"),
        }
    }

    fn completed(&self, answer: &str) -> String {
        let kind = match self.kind {
            Kind::Statement => "statement ok",
            Kind::Query { sorted: false } => "query",
            Kind::Query { sorted: true } => "query rowsort",
            Kind::Error => "error",
        };
        let answer = match (self.kind, answer) {
            (Kind::Statement, "") => String::new(),
            _ => format!("----\n{answer}\n"),
        };
        format!("{}{kind}\n{}\n{}\n", self.preface, self.sql, answer)
    }
}

async fn answer(session: &Session, sql: &str, kind: Kind) -> Result<String, String> {
    let told = |error: query::Error| {
        let help = error
            .help()
            .map_or(String::new(), |help| format!("\nhelp: {help}"));
        format!("{error}{help}")
    };
    let mut execution = session.execute(sql).await.map_err(told)?;
    let rows = execution.collect().await.map_err(told)?;
    let headings: Vec<String> = execution
        .columns()
        .iter()
        .map(|column| format!("{} {}", column.name, column.type_name))
        .collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
        .collect();
    if kind == (Kind::Query { sorted: true }) {
        lines.sort();
    }
    lines.insert(0, headings.join("|"));
    lines.extend(execution.notes().iter().map(|note| format!("note: {note}")));
    Ok(lines.join("\n"))
}

fn shown(value: &Option<String>) -> String {
    match value.as_deref() {
        None => "NULL".into(),
        Some("") => "(empty)".into(),
        Some(text) => text.replace('\n', "\\n"),
    }
}
