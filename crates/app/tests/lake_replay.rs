//! A router that is killed again and again, in front of a lake: every line of its file arrives once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws::{Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment, Service};
use lake::{Lake, Options};
use tokio::net::TcpListener;

const KILLS: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// A router that is gone with the test.
struct Router(Child);

impl Router {
    fn start(folder: &Path) -> Router {
        let child = Command::new(env!("CARGO_BIN_EXE_flumen"))
            .arg("-c")
            .arg(folder.join("router.conf"))
            .env("AWS_ACCESS_KEY_ID", "flumen")
            .env("AWS_SECRET_ACCESS_KEY", "flumen")
            .stdout(Stdio::null())
            .stderr(
                File::options()
                    .append(true)
                    .create(true)
                    .open(folder.join("log"))
                    .expect("a log"),
            )
            .spawn();
        Router(child.expect("the router starts"))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // SIGKILL: no last words.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn create_stream(address: std::net::SocketAddr) {
    let environment = Environment::fixed([
        ("AWS_ACCESS_KEY_ID", "flumen"),
        ("AWS_SECRET_ACCESS_KEY", "flumen"),
    ]);
    let region = CredentialsOptions {
        region: "us-west-2".to_owned(),
        ..CredentialsOptions::default()
    };
    let credentials = CredentialsProvider::new(&region, &environment);
    let options = ClientOptions {
        endpoint: Some(format!("http://{address}")),
        ..ClientOptions::new(Service::FIREHOSE, "us-west-2")
    };
    let client = Client::new(options, credentials.expect("credentials"), &environment);
    let input = r#"{"DeliveryStreamName":"s","S3DestinationConfiguration":{
        "RoleARN":"arn:aws:iam::123456789012:role/r","BucketARN":"arn:aws:s3:::logs-bucket",
        "BufferingHints":{"SizeInMBs":1,"IntervalInSeconds":60}}}"#;
    let created = client
        .expect("a client")
        .post_json("Firehose_20150804.CreateDeliveryStream", input)
        .await;
    created.expect("the stream is created");
}

fn configure(folder: &Path, address: std::net::SocketAddr) {
    let place = folder.display();
    let configuration = format!(
        "[SERVICE]\n    flush 0.2\n    storage.path {place}/state\n\
         [INPUT]\n    Name tail\n    Path {place}/app.log\n    DB {place}/tail.db\n    Read_from_Head on\n\
         [OUTPUT]\n    Name firehose\n    Match *\n    delivery_stream s\n    region us-west-2\n    \
         endpoint http://{address}\n    data_keys log\n    log_key log\n"
    );
    fs::write(folder.join("router.conf"), configuration).expect("a configuration");
}

/// Writes numbered lines until told to stop.
fn write_lines(path: &Path, stop: &AtomicBool, count: &AtomicU64) {
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(path)
        .expect("a file");
    while !stop.load(Ordering::Relaxed) {
        let first = count.load(Ordering::Relaxed);
        let lines: String = (first..first + 100)
            .map(|line| format!("line {line}\n"))
            .collect();
        file.write_all(lines.as_bytes()).expect("written");
        count.store(first + 100, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How often each line is in an object.
fn delivered(folder: &Path) -> BTreeMap<u64, u32> {
    let mut lines = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            for (line, count) in delivered(&path) {
                *lines.entry(line).or_default() += count;
            }
        } else {
            let text = fs::read_to_string(path).expect("text");
            let numbers = text.split("line ").skip(1);
            for number in numbers.map(|number| number.trim().parse().expect("a number")) {
                *lines.entry(number).or_default() += 1;
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_may_be_killed_at_any_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::open(Options::new(folder.path().join("lake"))).await;
    let lake = lake.expect("a lake");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = lake.clone();
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    create_stream(address).await;
    configure(folder.path(), address);
    let (stop, count) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writer = {
        let (path, stop, count) = (folder.path().join("app.log"), stop.clone(), count.clone());
        std::thread::spawn(move || write_lines(&path, &stop, &count))
    };
    for round in 0..KILLS {
        let router = Router::start(folder.path());
        // Whenever it has done something, and a moment more, each time another one.
        let before = lake.counters().total().records;
        until("the router delivers", || {
            lake.counters().total().records > before
        })
        .await;
        tokio::time::sleep(Duration::from_millis(83 * round)).await;
        drop(router);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer ends");
    let lines = count.load(Ordering::Relaxed);
    let router = Router::start(folder.path());
    until("everything arrives", || {
        lake.counters().total().records >= lines
    })
    .await;
    // What it sends again would come now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(router);
    lake.flush_streams().await.expect("flushed");
    let arrived = delivered(&folder.path().join("lake/objects/logs-bucket"));
    let repeated = arrived.values().filter(|count| **count > 1).count();
    let lost = (0..lines)
        .filter(|line| !arrived.contains_key(line))
        .count();
    let recognised = lake.counters().total().repeated_records;
    eprintln!(
        "must be delivered {lines}, lost {lost}, repeated {repeated}, recognised {recognised}"
    );
    assert_eq!((lost, repeated), (0, 0));
    assert_eq!(arrived.len() as u64, lines);
    assert!(
        recognised > 0,
        "nothing was sent twice, so that nothing was tested"
    );
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
