//! Appends records to files.

mod line;
mod name;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use config::{Choice, Options};
use plugin::{
    Answer, BuildError, Deliver, DeliveryId, Format, LocalFuture, Outbox, Output, OutputContext,
    OutputPlugin, Request, RunOutput,
};
use record::{Batch, Tag};

use crate::request::OpenRequest;
use line::LineWriter;

/// `file`.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<FileOutput>("file");

/// A file's text is handed over when it has grown to this.
const FULL: usize = 256 << 10;
/// So many files have open requests at once; then all are handed over.
const OPEN_FILES_MAX: usize = 64;

/// Appends records to a file, by default one per tag. A write that fails part of the way is taken back and tried again:
/// on a full disk records wait, and none stands in the file twice.
#[derive(Clone, Debug, Options)]
pub struct FileOptions {
    /// The folder; by default the working directory.
    #[option(name = "path")]
    pub path: Option<PathBuf>,
    /// The name of the file; by default the tag, in which whatever could leave the folder is replaced.
    #[option(name = "file")]
    pub file: Option<String>,
    /// The form of the lines.
    #[option(name = "format", default = "out_file")]
    pub format: LineFormat,
    /// Between fields (`csv`, `ltsv`): `tab`, `space`, `comma` or the text itself; by default a comma or a tab.
    #[option(name = "delimiter")]
    pub delimiter: Option<String>,
    /// Between label and value (`ltsv`): as above; by default a colon.
    #[option(name = "label_delimiter")]
    pub label_delimiter: Option<String>,
    /// The line (`template`): `{key}` stands for a field, `{time}` for the time.
    #[option(name = "template", default = "{time} {message}")]
    pub template: String,
    /// Whether a new file begins with the names of the columns (`csv`).
    #[option(name = "csv_column_names", default = "false")]
    pub csv_column_names: bool,
    /// Whether the folder is made if it is missing.
    #[option(name = "mkdir", default = "false")]
    pub mkdir: bool,
}

/// The forms of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum LineFormat {
    /// `tag: [time, {record}]`
    OutFile,
    /// The record as JSON.
    Plain,
    /// Time and values.
    Csv,
    /// Labels and values.
    Ltsv,
    /// The text of `template`.
    Template,
    /// The events in msgpack, without separators.
    Msgpack,
}

struct FileOutput {
    directory: PathBuf,
    file: Option<String>,
    line: LineWriter,
    open: HashMap<PathBuf, OpenFile>,
}

#[derive(Default)]
struct OpenFile {
    request: OpenRequest,
    /// What the file begins with if it is new.
    header: Vec<u8>,
}

struct Append {
    mkdir: bool,
    directory: PathBuf,
}

/// What the sending half needs: where to, and what a new file begins with.
#[derive(Clone)]
struct Target {
    path: PathBuf,
    header: Vec<u8>,
}

impl Output for FileOutput {
    type Options = FileOptions;

    fn build(options: FileOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let directory = options.path.clone().unwrap_or_else(|| PathBuf::from("."));
        let append = Append {
            mkdir: options.mkdir,
            directory: directory.clone(),
        };
        let line = LineWriter::new(&options, context);
        let output = FileOutput {
            directory,
            file: options.file,
            line,
            open: HashMap::new(),
        };
        Ok(RunOutput {
            format: Box::new(output),
            deliver: Rc::new(append),
            concurrency: 1,
        })
    }
}

impl FileOutput {
    fn path(&self, tag: &Tag) -> PathBuf {
        match &self.file {
            Some(file) => self.directory.join(file),
            None => self.directory.join(name::of_tag(tag)),
        }
    }

    fn finish(&mut self, path: &Path, outbox: &mut Outbox) {
        let Some(mut file) = self.open.remove(path) else {
            return;
        };
        file.request.finish(outbox);
        if let Some(request) = outbox.requests.last_mut() {
            request.note = Some(Box::new(Target {
                path: path.to_owned(),
                header: file.header,
            }));
        }
    }
}

impl Format for FileOutput {
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        let path = self.path(batch.tag());
        if self.open.len() >= OPEN_FILES_MAX && !self.open.contains_key(&path) {
            self.seal(outbox);
        }
        for index in records {
            let record = &batch.records()[index as usize];
            let file = self.open.entry(path.clone()).or_default();
            if file.request.is_empty() {
                file.header = self.line.header(batch, record);
            }
            self.line.write(batch, record, &mut file.request.body);
            file.request.add(delivery, index);
            if file.request.body.len() >= FULL {
                self.finish(&path, outbox);
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        let paths: Vec<PathBuf> = self.open.keys().cloned().collect();
        for path in paths {
            self.finish(&path, outbox);
        }
    }
}

impl Deliver for Append {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        let target = request
            .note
            .as_ref()
            .and_then(|note| note.downcast_ref::<Target>());
        let Target { path, header } = target
            .cloned()
            .expect("every request of this output names its file");
        let body = request.body.clone();
        let directory = self.mkdir.then(|| self.directory.clone());
        Box::pin(async move {
            let shown = path.display().to_string();
            let appended =
                tokio::task::spawn_blocking(move || append(directory, &path, &header, &body)).await;
            match appended {
                Ok(Ok(())) => Answer::Done,
                Ok(Err(error)) => Answer::again(format!("{shown}: {error}")),
                Err(error) => Answer::again(format!("{shown}: {error}")),
            }
        })
    }
}

/// Appends `body` whole or not at all.
fn append(directory: Option<PathBuf>, path: &Path, header: &[u8], body: &[u8]) -> io::Result<()> {
    let _turn = turn(path);
    if let Some(directory) = directory {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let before = file.metadata()?.len();
    let written = write_all(&mut file, if before == 0 { header } else { &[] }, body);
    if written.is_err() {
        // Whatever part was written would stand there twice after the next attempt.
        file.set_len(before)?;
    }
    written
}

/// Instances in several shards write to the same file: a failed write must not take back what another one has written.
fn turn(path: &Path) -> MutexGuard<'static, ()> {
    static TURNS: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    let place = hasher.finish() as usize % TURNS.len();
    TURNS[place].lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_all(file: &mut File, header: &[u8], body: &[u8]) -> io::Result<()> {
    file.write_all(header)?;
    file.write_all(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use config::{Diagnostics, Entry, Position, Section, SectionKind};
    use plugin::{Level, Log, Metrics};
    use record::{Record, Time, json};

    /// Writes two records of tag `t.x` with these options and gives what stands in the folder's only file.
    async fn written(options: &[(&str, &str)]) -> String {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
        let path = directory.path().to_str().expect("UTF-8");
        for (key, value) in [("name", "file"), ("path", path)].iter().chain(options) {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        let mut diagnostics = Diagnostics::new();
        let build = (PLUGIN.configure)(&section, &mut diagnostics).expect("options");
        assert!(diagnostics.is_empty(), "{diagnostics}");
        let context = OutputContext {
            name: "file.0".into(),
            log: Log::new("", Level::Off),
            metrics: Metrics::default(),
            escape_unicode: true,
            nan_to_null: false,
            config_dir: ".".into(),
            writers: Default::default(),
            bodies: record::Budget::new(0),
        };
        let mut output = build(&context).expect("built");
        let mut outbox = Outbox::default();
        let mut batch = Batch::new(
            Tag::from("t.x"),
            Bytes::from_static(br#"{"k":"v","n":5}{"k":"w","m":{"z":"y"}}"#),
        );
        let mut at = 0;
        while at < batch.source().len() {
            let rest = batch.span(at..batch.source().len());
            let (body, used) = json::read::object(&mut batch, rest).expect("JSON");
            at += used;
            batch.push_record(Record {
                time: Time::new(1_700_000_000, 123_456_789),
                body,
                ..Record::default()
            });
        }
        output
            .format
            .format(DeliveryId(0), &batch, 0..2, &mut outbox);
        output.format.seal(&mut outbox);
        for request in &outbox.requests {
            assert_eq!(output.deliver.deliver(request).await, Answer::Done);
        }
        let mut files = std::fs::read_dir(directory.path()).expect("readable");
        let file = files.next().expect("a file").expect("readable");
        assert!(files.next().is_none(), "one file");
        std::fs::read_to_string(file.path()).expect("text")
    }

    #[tokio::test]
    async fn lines_read_as_upstream() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (
                &[],
                "t.x: [1700000000.123456789, {\"k\":\"v\",\"n\":5}]\n\
                 t.x: [1700000000.123456789, {\"k\":\"w\",\"m\":{\"z\":\"y\"}}]\n",
            ),
            (
                &[("format", "plain")],
                "{\"k\":\"v\",\"n\":5}\n{\"k\":\"w\",\"m\":{\"z\":\"y\"}}\n",
            ),
            (
                &[("format", "csv"), ("csv_column_names", "true")],
                "timestamp,\"k\",\"n\"\n1700000000.123456789,\"v\",5\n1700000000.123456789,\"w\",{\"z\"=>\"y\"}\n",
            ),
            (
                &[("format", "ltsv")],
                "\"time\":1700000000.123457\t\"k\":\"v\"\t\"n\":5\n\
                 \"time\":1700000000.123457\t\"k\":\"w\"\t\"m\":{\"z\"=>\"y\"}\n",
            ),
            (
                &[("format", "template"), ("template", "{k}/{nope} {time}")],
                "v/{nope} 1700000000.123457\nw/{nope} 1700000000.123457\n",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(written(options).await, expected, "{options:?}");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let path = directory.path().join("x");
        append(None, &path, b"", b"one\n").expect("written");
        let full = Path::new("/dev/full");
        if full.exists() {
            assert!(
                append(None, full, b"", b"two\n").is_err(),
                "a full device is no success"
            );
        }
        assert!(append(None, &directory.path().join("missing/x"), b"", b"two\n").is_err());
        assert_eq!(std::fs::read(&path).expect("readable"), b"one\n");
    }
}
