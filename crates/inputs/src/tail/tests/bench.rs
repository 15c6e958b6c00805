//! A follower with a directory of files and a road whose answers a test decides.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::{Diagnostics, Entry, Section, SectionKind};
use plugin::{
    Emit, Emitter, Handover, Input, InputContext, Level, Log, LogSink, Metrics, Parsed, Parser,
    Parsers,
};
use record::{Batch, Budget, Field, Receipt, Span, Time, Value};
use tempfile::TempDir;

use super::super::Tail;
use super::super::follower::{Follower, Pace};
use super::super::options::Options;

/// A record as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub tag: String,
    pub fields: Vec<(String, String)>,
    pub offset: u64,
}

/// Keeps batches until the test answers for them.
#[derive(Default)]
pub struct Road {
    held: RefCell<Vec<(Arc<Batch>, Receipt)>>,
    seen: RefCell<Vec<Seen>>,
    /// Records that were answered for alone.
    settled: RefCell<HashSet<(u64, usize)>>,
}

impl Emit for Road {
    fn emit(&self, batch: Batch) {
        let (batch, receipt) = batch.freeze();
        self.seen.borrow_mut().extend(seen(&batch));
        self.held.borrow_mut().push((batch, receipt));
    }
}

impl Road {
    /// How many batches wait for an answer.
    pub fn held(&self) -> usize {
        self.held.borrow().len()
    }

    /// Answers for everything.
    pub fn settle(&self) {
        for (_, receipt) in self.held.take() {
            receipt.settle_all();
        }
    }

    /// Answers for everything, and gives it.
    pub fn settle_seen(&self) -> Vec<Seen> {
        let mut all = Vec::new();
        for (batch, mut receipt) in self.held.take() {
            let settled = self.settled.borrow();
            let alone = |at: &usize| settled.contains(&(batch.id(), *at));
            let records = seen(&batch).into_iter().enumerate();
            all.extend(records.filter(|(at, _)| !alone(at)).map(|(_, seen)| seen));
            receipt.settle(&batch, 0..batch.len() as u32);
            receipt.settle_all();
        }
        all
    }

    /// Answers for the last record of a held batch that was not answered for, and gives it.
    pub fn settle_last_record(&self, index: usize) -> Option<Seen> {
        let (batch, receipt) = &mut self.held.borrow_mut()[index];
        let mut settled = self.settled.borrow_mut();
        let at = (0..batch.len())
            .rev()
            .find(|at| !settled.contains(&(batch.id(), *at)))?;
        settled.insert((batch.id(), at));
        receipt.settle(batch, at as u32..at as u32 + 1);
        seen(batch).into_iter().nth(at)
    }

    /// Answers for one record of a held batch.
    pub fn settle_record(&self, index: usize, record: u32) {
        let (batch, receipt) = &mut self.held.borrow_mut()[index];
        receipt.settle(batch, record..record + 1);
    }

    /// The origins of all batches that are held.
    pub fn origins(&self) -> Vec<record::Origin> {
        let held = self.held.borrow();
        held.iter().map(|(batch, _)| batch.origin()).collect()
    }

    /// Lets the `index`-th batch that is held fall.
    pub fn refuse_batch(&self, index: usize) {
        drop(self.held.borrow_mut().remove(index));
    }

    /// What arrived since the last call.
    pub fn take(&self) -> Vec<Seen> {
        self.seen.take()
    }
}

fn seen(batch: &Batch) -> Vec<Seen> {
    let text = |span: Span| String::from_utf8_lossy(batch.bytes(span)).into_owned();
    let value = |value: Value| match value {
        Value::Str(span) => text(span),
        Value::Int(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let records = batch.records().iter();
    records
        .map(|record| Seen {
            tag: batch.tag().to_string(),
            fields: batch
                .fields(record.body)
                .iter()
                .map(|field| (text(field.key.span()), value(field.value)))
                .collect(),
            offset: record.position.offset,
        })
        .collect()
}

/// A parser for `key=value` pairs between blanks. It rejects what has no `=` and, as a parser must not, panics on `panic`.
struct Pairs;

impl Parser for Pairs {
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let bytes = batch.bytes(text).to_vec();
        let line = std::str::from_utf8(&bytes).ok()?;
        assert!(line != "panic", "a broken parser");
        let mut at = 0;
        let mut fields = Vec::new();
        for pair in line.split(' ') {
            let equals = pair.find('=')?;
            let key = text.slice(at..at + equals);
            let value = text.slice(at + equals + 1..at + pair.len());
            fields.push(Field::new(key, Value::Str(value)));
            at += pair.len() + 1;
        }
        let mark = batch.mark();
        fields.into_iter().for_each(|field| batch.push(field));
        let time = line.starts_with("time=").then(|| Time::new(7, 0));
        Some(Parsed {
            body: batch.close(mark),
            time,
        })
    }
}

struct Definitions;

impl Parsers for Definitions {
    fn make(&self, name: &str) -> Option<Box<dyn Parser>> {
        match name {
            "pairs" => Some(Box::new(Pairs)),
            name => super::joined::DEFINITIONS.make(name),
        }
    }

    fn multiline(&self, name: &str) -> Option<&config::MultilineParserOptions> {
        super::joined::DEFINITIONS.multiline(name)
    }

    fn multiline_limit(&self) -> usize {
        super::joined::DEFINITIONS.multiline_limit()
    }

    fn names(&self) -> Vec<String> {
        vec!["pairs".to_owned()]
    }
}

/// Log lines of all tests of the process; each test looks for its own directory in them.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Kept;

impl LogSink for Kept {
    fn write(&self, _: Level, line: &str) {
        LOG.lock()
            .expect("no panic while held")
            .push(line.to_owned());
    }
}

/// Reads the options of a section; `{dir}` in the text is the directory.
pub fn options(text: &str, directory: &Path) -> Result<Options, String> {
    let position = config::Position::new(PathBuf::from("a.conf"), 1, 1);
    let mut section = Section::new(SectionKind::Input, "INPUT", position.clone());
    let text = text.replace("{dir}", &directory.display().to_string());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        let entry = Entry::plain(key, position.clone(), value.trim(), position.clone());
        section.entries.push(entry);
    }
    let mut diagnostics = Diagnostics::new();
    let options = <Options as config::Options>::read(&section, &mut diagnostics);
    options.ok_or_else(|| diagnostics.to_string())
}

/// A directory with files, and a follower on them.
pub struct Bench {
    directory: TempDir,
    text: String,
    tag: String,
    pub budget: Arc<Budget>,
    /// The shard that it runs in.
    pub shard: plugin::Shard,
    pub metrics: Metrics,
    pub road: Rc<Road>,
    pub follower: Option<Follower>,
    /// What the next start takes over.
    pub handover: Handover,
}

impl Bench {
    /// With the options `text`; all but `path` may be left out.
    pub fn new(text: &str) -> Bench {
        Log::install(Kept);
        let directory = tempfile::tempdir().expect("a directory");
        let mut text = text.to_owned();
        if !text.to_ascii_lowercase().contains("path {dir}") {
            text.push_str("\nPath {dir}/*.log");
        }
        Bench {
            directory,
            text,
            tag: "t.*".to_owned(),
            budget: Budget::new(0),
            shard: plugin::Shard::ONLY,
            metrics: Metrics::default(),
            road: Rc::default(),
            follower: None,
            handover: Handover::default(),
        }
    }

    pub fn with_tag(mut self, tag: &str) -> Bench {
        tag.clone_into(&mut self.tag);
        self
    }

    pub fn with_budget(mut self, bytes: usize) -> Bench {
        self.budget = Budget::new(bytes);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn context(&self) -> InputContext {
        InputContext {
            name: "tail.0".into(),
            tag: self.tag.clone(),
            tag_is_configured: true,
            log: Log::new("input:tail:tail.0", Level::Debug),
            metrics: self.metrics.clone(),
            parsers: Arc::new(Definitions),
            budget: Arc::clone(&self.budget),
            flush: Duration::from_secs(1),
            config_dir: self.directory.path().to_owned(),
            shard: self.shard,
        }
    }

    pub fn options(&self) -> Options {
        options(&self.text, self.directory.path()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Builds and starts the follower, as at the start of a process.
    pub fn start(&mut self) -> &mut Bench {
        let handover = std::mem::take(&mut self.handover);
        let tail = Tail::build(self.options(), self.context(), handover)
            .unwrap_or_else(|error| panic!("{error}"));
        let emitter = Emitter::new(Rc::clone(&self.road) as Rc<dyn Emit>);
        let mut follower = Follower::new(tail.setup, emitter, tail.writer, tail.earlier);
        follower.start();
        self.follower = Some(follower);
        self.run();
        self
    }

    fn follower(&mut self) -> &mut Follower {
        self.follower.as_mut().expect("it was started")
    }

    /// Rounds until there is nothing to do, or no room.
    pub fn run(&mut self) -> &mut Bench {
        let mut quiet = 0;
        for _ in 0..100_000 {
            match self.follower().round() {
                Pace::Idle | Pace::Starved(_) => quiet += 1,
                Pace::More | Pace::Active => quiet = 0,
            }
            if quiet == 3 {
                return self;
            }
        }
        panic!("it never comes to rest");
    }

    /// Lets time pass, then rounds.
    pub async fn pass(&mut self, time: Duration) -> &mut Bench {
        tokio::time::advance(time).await;
        self.run()
    }

    /// Lets time pass until every path was checked and everything finished was closed.
    pub async fn pass_rotation(&mut self) -> &mut Bench {
        for _ in 0..6 {
            self.pass(Duration::from_secs(2)).await;
        }
        self
    }

    /// An orderly end: everything is answered for, positions are written.
    pub async fn stop(&mut self) -> &mut Bench {
        self.follower().stop_reading();
        self.road.settle();
        assert!(self.follower().drain(), "something is still owed");
        self.follower().finish().await;
        self.follower = None;
        self
    }

    /// Whether the file of this name is followed.
    pub fn follows(&self, name: &str) -> bool {
        let follower = self.follower.as_ref();
        follower.is_some_and(|follower| follower.follows(&self.path(name)))
    }

    /// Begins an orderly end.
    pub fn stop_reading(&mut self) -> &mut Bench {
        self.follower().stop_reading();
        self
    }

    /// Whether nothing is left to be answered for.
    pub fn drain(&mut self) -> bool {
        self.follower().drain()
    }

    /// An end that the next start goes on from, whatever happens to the files meanwhile. What was handed over is refused.
    pub async fn hand_over(&mut self) -> &mut Bench {
        self.follower().stop_reading();
        let begin = std::time::Instant::now();
        loop {
            self.road.held.take();
            if self.follower().drain() {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it never ends");
        }
        self.follower().finish().await;
        self.handover = self.follower().hand_over_files();
        self.follower = None;
        self
    }

    /// A crash: what was saved up to now stays, nothing more is written.
    pub fn crash(&mut self) -> &mut Bench {
        let follower = self.follower.take().expect("it was started");
        follower.abandon();
        // What was under way is gone with the process.
        self.road.held.take();
        self
    }

    /// Waits until the positions of now are in the database.
    pub async fn save(&mut self) -> &mut Bench {
        self.run();
        self.follower().finish().await;
        self
    }

    /// Lets at most so many descriptors be held.
    pub fn hold_descriptors(&mut self, limit: usize) -> &mut Bench {
        self.follower().set_descriptor_limit(limit);
        self
    }

    pub fn append(&mut self, name: &str, text: &str) -> &mut Bench {
        append(&self.path(name), text.as_bytes());
        self
    }

    pub fn rename(&mut self, from: &str, to: &str) -> &mut Bench {
        std::fs::rename(self.path(from), self.path(to)).expect("it can be renamed");
        self
    }

    /// Renames `a.log.2` to `a.log.3`, `a.log.1` to `a.log.2` and `a.log` to `a.log.1`, as far as they exist.
    pub fn rename_generations(&mut self) -> &mut Bench {
        for n in (0..9).rev() {
            let name = |n: usize| match n {
                0 => "a.log".to_owned(),
                n => format!("a.log.{n}"),
            };
            if self.path(&name(n)).exists() {
                self.rename(&name(n), &name(n + 1));
            }
        }
        self
    }

    pub fn copy(&mut self, from: &str, to: &str) -> &mut Bench {
        std::fs::copy(self.path(from), self.path(to)).expect("it can be copied");
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Bench {
        std::fs::remove_file(self.path(name)).expect("it can be removed");
        self
    }

    pub fn truncate(&mut self, name: &str) -> &mut Bench {
        File::options()
            .write(true)
            .open(self.path(name))
            .and_then(|file| file.set_len(0))
            .expect("it can be truncated");
        self
    }

    /// The last field of each record that arrived since the last call: the line, unless a parser took it apart.
    #[track_caller]
    pub fn lines(&self) -> Vec<String> {
        let seen = self.road.take().into_iter();
        seen.map(|seen| seen.fields.last().expect("a field").1.clone())
            .collect()
    }

    /// The value of a counter.
    pub fn count(&self, name: &str) -> u64 {
        let all = self.metrics.all();
        let metric = all.iter().find(|metric| metric.name == name);
        metric.map_or(0, |metric| metric.number.get())
    }

    /// What was dropped for `reason`.
    pub fn dropped(&self, reason: &str) -> u64 {
        let all = self.metrics.all();
        let metric = all.iter().find(|metric| metric.reason == Some(reason));
        metric.map_or(0, |metric| metric.number.get())
    }

    /// The log lines that name this bench's directory and contain `text`.
    pub fn logged(&self, text: &str) -> usize {
        let directory = self.directory.path().display().to_string();
        let log = LOG.lock().expect("no panic while held");
        log.iter()
            .filter(|line| line.contains(&directory) && line.contains(text))
            .count()
    }

    /// The log lines that name this bench's directory.
    pub fn log(&self) -> Vec<String> {
        let directory = self.directory.path().display().to_string();
        let log = LOG.lock().expect("no panic while held");
        let ours = log.iter().filter(|line| line.contains(&directory));
        ours.map(|line| line.replace(&directory, "")).collect()
    }

    /// The rows of the database: name without directory, offset, rotated.
    pub fn rows(&self) -> Vec<(String, i64, bool)> {
        let connection = rusqlite::Connection::open(self.path("flb.db")).expect("a database");
        let mut statement = connection
            .prepare("SELECT name, offset, rotated FROM in_tail_files ORDER BY name, id")
            .expect("Fluent Bit's table");
        let rows = statement.query_map([], |row| {
            let name: String = row.get(0)?;
            let name = name.rsplit('/').next().unwrap_or_default().to_owned();
            Ok((name, row.get(1)?, row.get(2)?))
        });
        rows.expect("rows").map(|row| row.expect("a row")).collect()
    }
}

pub fn append(path: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
