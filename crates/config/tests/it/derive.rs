//! Structs of options as plugins write them.

use std::path::PathBuf;
use std::time::Duration;

use config::{
    BlankList, Choice, CommaList, Diagnostics, Entry, Options, Position, Seconds, Section,
    SectionKind, Severity, Size,
};

/// Reads files.
#[derive(Debug, config::Options)]
struct Files {
    /// Which files.
    #[option(name = "path", required)]
    path: CommaList,
    /// How often to look for new ones.
    #[option(name = "refresh_interval", default = "60")]
    refresh_interval: Seconds,
    /// How much memory to use.
    #[option(name = "mem_limit", default = "0")]
    limit: Size,
    /// What to do with a line that does not fit.
    #[option(name = "skip_long_lines", default = "false")]
    skip_long_lines: bool,
    /// Where to keep positions.
    #[option(name = "db")]
    db: Option<PathBuf>,
    /// Fields to add.
    #[option(name = "record", multiple)]
    record: Vec<BlankList<1>>,
    /// How to write.
    #[option(name = "format", default = "json", alias = "out_format")]
    format: Format,
    /// Names for the stream.
    #[option(name = "labels.", prefix)]
    labels: Vec<(String, String)>,
    #[option(flatten)]
    shared: Shared,
}

#[derive(Debug, PartialEq, config::Choice)]
enum Format {
    /// One object.
    Json,
    /// One object a line.
    #[choice(name = "json_lines", alias = "ndjson")]
    Lines,
}

#[derive(Debug, PartialEq, config::Choice)]
enum Sync {
    Normal,
    #[choice(fallback)]
    Full,
}

/// Shared by several.
#[derive(Debug, config::Options)]
#[options(repeated = "last", bad_value = "default")]
struct Shared {
    /// Whether to sync.
    #[option(name = "sync", default = "normal", deprecated = "it does nothing")]
    sync: Sync,
    /// How many.
    #[option(name = "workers", default = "1")]
    workers: u16,
}

fn read(lines: &str) -> (Option<Files>, Diagnostics) {
    let mut section = Section::new(
        SectionKind::Input,
        "INPUT",
        Position::new(PathBuf::from("a.conf"), 1, 1),
    );
    for (number, line) in (2..).zip(lines.lines()) {
        let (key, value) = line.split_once(' ').expect("key and value");
        let at = |column| Position::new(PathBuf::from("a.conf"), number, column);
        section.entries.push(Entry::plain(
            key,
            at(1),
            value,
            at(u32::try_from(key.len()).expect("short") + 2),
        ));
    }
    let mut diagnostics = Diagnostics::new();
    let options = Files::read(&section, &mut diagnostics);
    (options, diagnostics)
}

#[test]
fn reads_every_shape_of_option() {
    let (files, diagnostics) = read(
        "Name files\nPath /a, /b\nRefresh_Interval 5m\nSkip_Long_Lines On\nDB /var/x.db\nRecord host my host\n\
         Record zone b\nout_format NDJSON\nlabels.app web\nlabels.env prod",
    );
    assert_eq!(diagnostics.to_string(), "");
    let files = files.expect("good options");
    assert_eq!(files.path.0, ["/a", "/b"]);
    assert_eq!(files.refresh_interval.0, Duration::from_secs(300));
    assert_eq!(files.limit, Size(0));
    assert!(files.skip_long_lines);
    assert_eq!(files.db, Some(PathBuf::from("/var/x.db")));
    assert_eq!(files.record.len(), 2);
    assert_eq!(files.record[0].0, ["host", "my host"]);
    assert_eq!(files.format, Format::Lines);
    assert_eq!(
        files.labels,
        [("app".into(), "web".into()), ("env".into(), "prod".into())]
    );
    assert_eq!((files.shared.sync, files.shared.workers), (Sync::Normal, 1));
}

#[test]
fn reports_all_mistakes_at_once() {
    let (files, diagnostics) = read(
        "Name files\nPth /a\nskip_long_lines 1\ndb a\ndb b\nformat jsonl\nlabels. x\nworkers x",
    );
    assert!(files.is_none());
    let expected = "\
error at start: input 'files' needs 'path'
  --> a.conf:1:1
   = help: allowed: values between commas

error at start: 'skip_long_lines': '1' is not a boolean
  --> a.conf:4:17
   = help: allowed: `true`, `on`, `yes` or `false`, `off`, `no`

error: 'db' is set 2 times in input 'files'
  --> a.conf:6:1
   = help: it may be set once

error at start: 'format': 'jsonl' is not one of the allowed words; did you mean 'json'?
  --> a.conf:7:8
   = help: allowed: `json`, `json_lines`

warning: 'workers': 'x' is not a whole number and is read as 0
  --> a.conf:9:9
   = help: allowed: a whole number from 0 to 65535

error: input 'files' has no option 'pth'
  --> a.conf:3:1
   = help: did you mean 'path'?

error: input 'files' has no option 'labels.'
  --> a.conf:8:1
   = help: 'labels.' needs more characters after it";
    assert_eq!(diagnostics.to_string(), expected);
    assert_eq!(diagnostics.worst(), Some(Severity::Error));
}

#[test]
fn follows_the_rules_of_the_struct() {
    let (files, diagnostics) = read("path /a\nworkers 2\nworkers 70000\nsync never");
    let files = files.expect("warnings only");
    assert_eq!((files.shared.sync, files.shared.workers), (Sync::Full, 1));
    let severities: Vec<_> = diagnostics.iter().map(|finding| finding.severity).collect();
    assert_eq!(severities, [Severity::Warning; 4], "{diagnostics}");
}

#[test]
fn the_table_describes_the_struct() {
    let table = Files::table();
    assert_eq!(config::table_faults(&table), [""; 0]);
    assert_eq!(Files::about(), "Reads files.");
    let names: Vec<_> = table.iter().map(|spec| spec.name).collect();
    let expected = [
        "path",
        "refresh_interval",
        "mem_limit",
        "skip_long_lines",
        "db",
        "record",
        "format",
        "labels.",
        "sync",
        "workers",
    ];
    assert_eq!(names, expected);
    assert_eq!(table[6].form.allowed_text(), "`json`, `json_lines`");
    assert_eq!(Format::Lines.name(), "json_lines");
    assert_eq!(Format::CHOICES[1].doc, "One object a line.");
}
