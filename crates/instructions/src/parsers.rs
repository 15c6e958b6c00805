//! From text to fields.

use bytes::Bytes;
use config::{Diagnostics, LogLevel, SectionKind};
use parsers::Definitions;
use plugin::Parsers;
use record::{Batch, Tag};

use crate::lines::{self, TAG};
use crate::section::section;
use crate::{Path, RECORDS};

const NGINX: &str = r#"^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")? \"-\"$"#;
const CRI: &str = r"^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$";

/// The definitions that the paths use; some as Fluent Bit ships them.
pub(crate) fn definitions() -> Definitions {
    let sections: [&[(&str, &str)]; 5] = [
        &[
            ("Name", "docker"),
            ("Format", "json"),
            ("Time_Key", "time"),
            ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L"),
            ("Time_Keep", "On"),
            ("Decode_Field_As", "escaped log"),
        ],
        &[
            ("Name", "cri"),
            ("Format", "regex"),
            ("Regex", CRI),
            ("Time_Key", "time"),
            ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L%z"),
        ],
        &[
            ("Name", "json"),
            ("Format", "json"),
            ("Time_Key", "time"),
            ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L"),
        ],
        &[
            ("Name", "nginx"),
            ("Format", "regex"),
            ("Regex", NGINX),
            ("Time_Key", "time"),
            ("Time_Format", "%d/%b/%Y:%H:%M:%S %z"),
        ],
        &[
            ("Name", "time"),
            ("Format", "regex"),
            ("Regex", "^(?<time>.*)$"),
            ("Time_Key", "time"),
            ("Time_Format", "%d/%b/%Y:%H:%M:%S %z"),
        ],
    ];
    let sections: Vec<_> = sections
        .iter()
        .map(|entries| section(SectionKind::Parser, entries))
        .collect();
    let mut diagnostics = Diagnostics::new();
    let definitions = Definitions::new(&sections, LogLevel::Off, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    definitions
}

/// A line in Docker's format, with its escapes.
pub fn docker() -> Path {
    path("docker", lines::docker)
}

/// A line in the format of containerd and CRI-O.
pub fn cri() -> Path {
    path("cri", lines::cri)
}

/// A line of an application that logs JSON.
pub fn json() -> Path {
    path("json", lines::json)
}

/// A line of NGINX's access log, by a pattern of nine groups.
pub fn nginx() -> Path {
    path("nginx", lines::nginx)
}

/// Times, each of another second than the one before.
pub fn time() -> Path {
    path("time", |index| {
        let (minute, second) = (index / 60 % 60, index % 60);
        format!("22/Nov/2026:13:{minute:02}:{second:02} +0000")
    })
}

fn path(parser: &str, line: fn(usize) -> String) -> Path {
    let lines: Vec<String> = (0..RECORDS).map(line).collect();
    let text = Bytes::from(lines.concat().into_bytes());
    let mut parser = definitions().make(parser).expect("a definition");
    Path::new(RECORDS, move || {
        let mut batch = Batch::new(Tag::from(TAG), text.clone());
        let mut start = 0;
        lines
            .iter()
            .filter(|line| {
                let span = batch.span(start..start + line.len());
                start += line.len();
                let parsed = parser.parse(&mut batch, span);
                parsed.is_some_and(|parsed| parsed.time.is_some())
            })
            .count()
    })
}
