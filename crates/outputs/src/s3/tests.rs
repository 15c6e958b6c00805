//! The whole output against a scripted store.

mod faults;
mod once;
mod restart;
mod server;
mod upload;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ::aws::{Client, ClientOptions, Credentials, CredentialsProvider, Environment, Service};
use bytes::Bytes;
use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
use plugin::{Answer, DeliveryId, Format, Level, Log, Metrics, Outbox, OutputContext, RunOutput};
use record::{Batch, Budget, Record, Tag, Time, json};
use tokio::task::LocalSet;

use super::queue::Waits;
use super::{S3, S3Options};
use server::Server;

/// 2023-11-14T22:13:20Z
const NOON: i64 = 1_700_000_000;

/// An output, a server and a folder, which outlives runs of the output.
struct Bench {
    server: Rc<Server>,
    folder: tempfile::TempDir,
    more: Vec<(&'static str, String)>,
    /// Smaller objects and parts than the options allow.
    small: bool,
}

/// A run of the output.
struct Run {
    output: RunOutput,
    metrics: Metrics,
}

/// Runs a test as the router does: one thread, tasks that stay on it.
fn on_a_shard(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(LocalSet::new().run_until(test));
}

impl Bench {
    async fn new(more: &[(&'static str, &str)]) -> Bench {
        Bench {
            server: Server::start().await,
            folder: tempfile::tempdir().expect("a folder"),
            more: more
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect(),
            small: false,
        }
    }

    fn options(&self) -> S3Options {
        let folder = self.folder.path().display().to_string();
        let own = [("bucket", "logs".to_owned()), ("store_dir", folder)];
        options(&[&own[..], &self.more[..]].concat()).expect("good options")
    }

    /// Starts the output in the same folder.
    fn run(&self) -> Run {
        self.run_as(context())
    }

    fn run_as(&self, context: OutputContext) -> Run {
        let waits = Waits {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(5),
        };
        let client = client(&self.server.endpoint());
        let options = self.options();
        let mut settings = options.buffer_settings(&context).expect("good options");
        if self.small {
            settings.size = 1_000;
            settings.object.put_only = false;
            settings.object.part_size = 300;
        }
        let output = S3::assemble(&options, settings, client, &context, waits);
        Run {
            output: output.unwrap_or_else(|error| panic!("{error}")),
            metrics: context.metrics,
        }
    }

    /// Ends a run as a kill does: what it was doing is not finished, and its lock is free.
    async fn kill(&self, run: Run) {
        drop(run);
        while !locks_are_free(self.folder.path()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Files below the folder, by their names' ends.
    fn files(&self, end: &str) -> usize {
        files(self.folder.path(), end)
    }
}

fn locks_are_free(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).all(|path| {
        if path.is_dir() {
            return locks_are_free(&path);
        }
        let is_lock = path.file_name().is_some_and(|name| name == "lock");
        !is_lock || File::open(path).is_ok_and(|lock| lock.try_lock().is_ok())
    })
}

fn files(folder: &Path, end: &str) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.path() {
            path if path.is_dir() => files(&path, end),
            path => usize::from(path.extension().is_some_and(|found| found == end)),
        })
        .sum()
}

fn context() -> OutputContext {
    OutputContext {
        name: "s3.0".into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        escape_unicode: true,
        nan_to_null: false,
        config_dir: ".".into(),
        writers: Default::default(),
        bodies: Budget::new(0),
    }
}

fn options(pairs: &[(&str, String)]) -> Option<S3Options> {
    let nowhere = Position::argument(1);
    let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
    for (key, value) in pairs {
        section.entries.push(Entry::plain(
            key,
            nowhere.clone(),
            value.as_str(),
            nowhere.clone(),
        ));
    }
    S3Options::read(&section, &mut Diagnostics::new())
}

fn client(endpoint: &str) -> Client {
    let options = ClientOptions {
        endpoint: Some(endpoint.to_owned()),
        ..ClientOptions::new(Service::S3, "us-east-1")
    };
    let credentials = Credentials::new("AKID", "secret", None).expect("credentials");
    let nothing = Environment::fixed::<&str, &str>([]);
    Client::new(options, CredentialsProvider::fixed(credentials), &nothing).expect("a client")
}

fn batch(tag: &str, lines: &[String]) -> Batch {
    let mut batch = Batch::new(Tag::from(tag), Bytes::from(lines.concat()));
    let mut at = 0;
    for line in lines {
        let text = batch.span(at..at + line.len());
        at += line.len();
        let (body, _) = json::read::object(&mut batch, text).expect("JSON");
        batch.push_record(Record {
            time: Time::new(NOON, 0),
            body,
            ..Record::default()
        });
    }
    batch
}

impl Run {
    /// Formats records.
    fn requests(&mut self, tag: &str, lines: &[String]) -> Vec<plugin::Request> {
        self.formatted(&batch(tag, lines))
    }

    fn formatted(&mut self, batch: &Batch) -> Vec<plugin::Request> {
        let mut outbox = Outbox::default();
        let format: &mut dyn Format = &mut *self.output.format;
        format.format(DeliveryId(0), batch, 0..batch.len() as u32, &mut outbox);
        format.seal(&mut outbox);
        let sent: u32 = outbox.requests.iter().map(|one| one.parts.len()).sum();
        assert_eq!(sent as usize + outbox.filtered.len(), batch.len());
        outbox.requests
    }

    /// Delivers records and repeats what must be repeated.
    async fn send(&mut self, tag: &str, lines: &[String]) {
        self.send_batch(&batch(tag, lines)).await;
    }

    async fn send_batch(&mut self, batch: &Batch) {
        for request in &self.formatted(batch) {
            while self.output.deliver.deliver(request).await != Answer::Done {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn close(self) {
        self.output.deliver.close().await;
    }

    fn number(&self, name: &str) -> u64 {
        let all = self.metrics.all();
        let metric = all.iter().find(|metric| metric.name == name);
        metric.map_or(0, |metric| metric.number.get())
    }

    /// Waits until a number has at least this value.
    async fn until(&self, name: &str, least: u64) {
        while self.number(name) < least {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// `{"n":0}` and so on.
fn numbered(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers
        .map(|number| format!("{{\"n\":{number}}}"))
        .collect()
}

/// A line that fills an object of the smallest size.
fn large(number: u32) -> Vec<String> {
    vec![format!(
        "{{\"n\":{number},\"x\":\"{}\"}}",
        "x".repeat(1_000_000)
    )]
}

/// How often each number stands in the objects.
fn counted(server: &Server) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for object in server.objects().values() {
        for line in object.body.split_inclusive(|byte| *byte == b'\n') {
            let line: serde_json::Value = serde_json::from_slice(line).expect("a whole line");
            *counts
                .entry(line["n"].as_u64().expect("a number") as u32)
                .or_default() += 1;
        }
    }
    counts
}

#[track_caller]
fn each_once(server: &Server, numbers: std::ops::Range<u32>) {
    let expected: BTreeMap<u32, u32> = numbers.map(|number| (number, 1)).collect();
    assert_eq!(counted(server), expected);
}
