//! What a router sends again after a crash, of its own or of the lake's, arrives once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lake::{Lake, Options, SyncMode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Answer, Call, TestLake, batch, send};

const WRITER: &str = "000102030405060708090a0b0c0d0e0f";
/// Says to this test program that it is the lake that will die, and where its data is.
const CHILD: &str = "FLUMEN_REPLAY_TEST_DATA";

/// The header of a request whose records are these lines of one source.
fn header(epoch: u64, lines: &[u64]) -> String {
    let mut bytes = vec![1, 0, 1];
    bytes.extend([0xaa; 16]);
    varint(lines.len() as u64, &mut bytes);
    varint(1, &mut bytes);
    varint(lines.len() as u64, &mut bytes);
    let mut behind = 0;
    for line in lines {
        let step = *line as i64 - behind;
        varint((step << 1 ^ step >> 63) as u64, &mut bytes);
        varint(1, &mut bytes);
        behind = *line as i64 + 1;
    }
    let records = base64_simd::STANDARD.encode_to_string(bytes);
    format!("{WRITER}/{epoch}/{records}")
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(line: u64) -> Vec<u8> {
    format!("line {line}\n").into_bytes()
}

fn firehose(epoch: u64, lines: &[u64]) -> Call {
    let texts: Vec<_> = lines.iter().map(|line| text(*line)).collect();
    let records: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    Call::firehose("PutRecordBatch", batch("s", &records).to_string())
        .header("x-flumen-batch", &header(epoch, lines))
}

fn kinesis(epoch: u64, lines: &[u64]) -> Call {
    let record = |line: &u64| {
        // A router draws another key for what it sends again, which may be another shard's.
        let key = format!("{epoch}-{line}");
        json!({ "Data": base64_simd::STANDARD.encode_to_string(text(*line)), "PartitionKey": key })
    };
    let records: Vec<_> = lines.iter().map(record).collect();
    let input = json!({ "StreamName": "s", "Records": records });
    Call::kinesis("PutRecords", input.to_string()).header("x-flumen-batch", &header(epoch, lines))
}

fn logs(operation: &str, input: &Value) -> Call {
    let mut call = Call::firehose(operation, input.to_string());
    call.headers[0].1 = format!("Logs_20140328.{operation}");
    call.service = "logs";
    call
}

fn events(epoch: u64, lines: &[u64]) -> Call {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_millis() as u64;
    let event = |line: &u64| json!({ "timestamp": now, "message": format!("line {line}\n") });
    let events: Vec<_> = lines.iter().map(event).collect();
    let input = json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": events });
    logs("PutLogEvents", &input).header("x-flumen-batch", &header(epoch, lines))
}

async fn taken(lake: &TestLake, call: Call) {
    let answer = lake.call(call).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("ErrorCode"), "{}", answer.text());
}

/// How often each line is in `text`.
fn counted(text: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let number = line.strip_prefix("line ").expect(line).parse().unwrap();
        *counts.entry(number).or_default() += 1;
    }
    counts
}

fn once_each(lines: impl Iterator<Item = u64>) -> BTreeMap<u64, usize> {
    lines.map(|line| (line, 1)).collect()
}

fn in_objects(lake: &TestLake) -> BTreeMap<u64, usize> {
    let objects = lake.objects("logs-bucket");
    let bytes = objects.into_iter().flat_map(|(_, bytes)| bytes).collect();
    counted(&String::from_utf8(bytes).unwrap())
}

async fn in_shards(lake: &TestLake, shards: u32) -> BTreeMap<u64, usize> {
    let mut bytes = Vec::new();
    for shard in 0..shards {
        let id = format!("shardId-{shard:012}");
        let input =
            json!({ "StreamName": "s", "ShardId": id, "ShardIteratorType": "TRIM_HORIZON" });
        let start = lake
            .call(Call::kinesis("GetShardIterator", input.to_string()))
            .await;
        let input = json!({ "ShardIterator": start.json()["ShardIterator"] });
        let read = lake
            .call(Call::kinesis("GetRecords", input.to_string()))
            .await;
        for record in read.json()["Records"].as_array().unwrap() {
            let data = record["Data"].as_str().unwrap();
            bytes.extend(base64_simd::STANDARD.decode_to_vec(data).unwrap());
        }
    }
    counted(&String::from_utf8(bytes).unwrap())
}

async fn in_log_stream(lake: &TestLake) -> BTreeMap<u64, usize> {
    let input = json!({ "logGroupName": "g", "logStreamName": "s", "startFromHead": true });
    let read = lake.call(logs("GetLogEvents", &input)).await.json();
    let messages = read["events"].as_array().unwrap().iter();
    counted(
        &messages
            .map(|event| event["message"].as_str().unwrap())
            .collect::<String>(),
    )
}

/// Whatever is put twice, in part or as a whole, over restarts of both sides.
async fn replayed(make: fn(u64, &[u64]) -> Call, mut lake: TestLake) -> TestLake {
    taken(&lake, make(1, &[0, 1, 2, 3])).await;
    taken(&lake, make(1, &[6, 7])).await;
    // The router starts again and knows nothing of its last requests.
    taken(&lake, make(2, &[2, 3, 4, 5, 6])).await;
    // The lake does, in the most sudden way there is inside a process.
    lake = TestLake::start_in(lake.abandon().await).await;
    taken(&lake, make(2, &[4, 5, 6, 7, 8])).await;
    taken(&lake, make(2, &[8, 0])).await;
    lake.lake.flush_streams().await.unwrap();
    lake = lake.restart().await;
    taken(&lake, make(3, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).await;
    // The one that was started before is still running somewhere.
    let answer = lake.call(make(2, &[10])).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["__type"], "WriterFencedException");
    lake.lake.flush_streams().await.unwrap();
    lake
}

#[tokio::test]
async fn a_delivery_stream_takes_nothing_twice() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    let lake = replayed(firehose, lake).await;
    assert_eq!(in_objects(&lake), once_each(0..10));
    let counters = lake.lake.counters().total();
    assert_eq!((counters.records, counters.repeated_records), (1, 9));
}

#[tokio::test]
async fn a_data_stream_takes_nothing_twice() {
    let lake = TestLake::start().await;
    let input = json!({ "StreamName": "s", "ShardCount": 3 }).to_string();
    taken(&lake, Call::kinesis("CreateStream", input)).await;
    let lake = replayed(kinesis, lake).await;
    assert_eq!(in_shards(&lake, 3).await, once_each(0..10));
}

#[tokio::test]
async fn a_log_stream_takes_nothing_twice() {
    let lake = TestLake::start().await;
    let mut names = json!({ "logGroupName": "g" });
    taken(&lake, logs("CreateLogGroup", &names)).await;
    names["logStreamName"] = json!("s");
    taken(&lake, logs("CreateLogStream", &names)).await;
    let lake = replayed(events, lake).await;
    assert_eq!(in_log_stream(&lake).await, once_each(0..10));
    assert_eq!(lake.lake.counters().logs.repeated_events, 9);
    // Another log stream knows nothing of it.
    names["logStreamName"] = json!("t");
    taken(&lake, logs("CreateLogStream", &names)).await;
    let mut other = events(3, &[0, 1]);
    other.body = String::from_utf8(other.body)
        .unwrap()
        .replace("\"logStreamName\":\"s\"", "\"logStreamName\":\"t\"")
        .into_bytes();
    taken(&lake, other).await;
    assert_eq!(lake.lake.counters().logs.repeated_events, 9);
}

#[tokio::test]
async fn what_is_not_signed_or_not_understood_is_not_believed() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    taken(&lake, firehose(1, &[0])).await;
    for value in [
        "",
        "x",
        &header(1, &[0, 1]),
        &header(1, &[0]).replace(WRITER, "me"),
    ] {
        let mut call = firehose(1, &[0]);
        call.headers.retain(|(name, _)| name != "x-flumen-batch");
        taken(&lake, call.header("x-flumen-batch", value)).await;
    }
    let mut call = firehose(1, &[0]);
    call.headers.retain(|(name, _)| name != "x-flumen-batch");
    let mut request = call.signed(lake.address, SystemTime::now());
    let value = header(1, &[0]).parse().unwrap();
    request.headers_mut().insert("x-flumen-batch", value);
    assert_eq!(send(lake.address, request).await.status, 200);
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(in_objects(&lake), BTreeMap::from([(0, 6)]));
}

/// A lake in a process of its own that dies where `failpoint` says.
struct Mortal {
    child: std::process::Child,
    address: std::net::SocketAddr,
}

impl Mortal {
    async fn start(folder: &tempfile::TempDir, failpoint: &str) -> Option<Mortal> {
        let place = folder.path().join("address");
        let _ = std::fs::remove_file(&place);
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "replay::a_lake_may_die_anywhere", "--nocapture"])
            .env(CHILD, folder.path())
            .env("FLUMEN_FAILPOINTS", failpoint)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        loop {
            let address = std::fs::read_to_string(&place).unwrap_or_default();
            if let Ok(address) = address.parse() {
                return Some(Mortal { child, address });
            }
            // It may die before it listens.
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The answer, if it lives to give one.
    async fn call(&self, call: Call) -> Option<Answer> {
        let request = call.signed(self.address, SystemTime::now());
        let sent = tokio::spawn(send(self.address, request));
        sent.await.ok().filter(|answer| answer.status == 200)
    }

    fn kill(self) {
        drop(self);
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve_until_dead(data: std::path::PathBuf) {
    let sync = match std::env::var("FLUMEN_REPLAY_TEST_SYNC").as_deref() {
        Ok("normal") => SyncMode::Normal,
        _ => SyncMode::Full,
    };
    let options = Options {
        sync,
        ..Options::new(&data)
    };
    let lake = Lake::open(options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::fs::write(data.join("address.new"), address).unwrap();
    std::fs::rename(data.join("address.new"), data.join("address")).unwrap();
    lake.serve(listener, std::future::pending()).await;
}

/// Lines of 16 KiB, so that a few requests make an object.
fn large(epoch: u64, lines: std::ops::Range<u64>) -> Call {
    let lines: Vec<u64> = lines.collect();
    let pad = "\n".repeat(16 * 1024);
    let texts: Vec<_> = lines
        .iter()
        .map(|line| format!("line {line}{pad}"))
        .collect();
    let records: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    Call::firehose("PutRecordBatch", batch("s", &records).to_string())
        .header("x-flumen-batch", &header(epoch, &lines))
}

/// The router knows less than was delivered: it commits what was acknowledged only now and then.
#[tokio::test]
async fn a_lake_may_die_anywhere() {
    if let Some(data) = std::env::var_os(CHILD) {
        return serve_until_dead(data.into()).await;
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let lake = TestLake::start_in(Arc::clone(&folder)).await;
    let hints = json!({ "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 900 } });
    lake.create_stream("s", hints).await;
    drop(lake.restart().await.abandon().await);
    let mut points = Vec::new();
    for name in [
        "buffer.append",
        "buffer.sync",
        "buffer.seal",
        "delivery.begin",
        "delivery.published",
        "buffer.release",
    ] {
        points.extend([1, 2].map(|count| format!("{name}=exit*{count}")));
    }
    // Some die from outside, at whatever moment.
    points.extend(vec![String::new(); 3]);
    let (mut committed, mut next, mut deaths) = (0_u64, 0_u64, 0);
    for (epoch, failpoint) in (1..).zip(&points) {
        let Some(mortal) = Mortal::start(&folder, failpoint).await else {
            deaths += 1;
            continue;
        };
        next = committed;
        let living = async {
            for request in 0..12 {
                let lines = next..next + 10;
                if mortal.call(large(epoch, lines.clone())).await.is_none() {
                    return true;
                }
                next = lines.end;
                if request % 3 == 2 {
                    committed = next;
                }
            }
            false
        };
        let doom = match failpoint.is_empty() {
            true => Duration::from_millis(40 * epoch),
            false => Duration::from_secs(60),
        };
        let died = tokio::time::timeout(doom, living).await;
        deaths += u32::from(died.unwrap_or(true));
        mortal.kill();
    }
    assert!(deaths >= 10, "{deaths} of {} died in the act", points.len());
    let lake = TestLake::start_in(folder).await;
    let epoch = points.len() as u64 + 1;
    for start in (committed..next.max(committed) + 10).step_by(10) {
        taken(&lake, large(epoch, start..start + 10)).await;
    }
    lake.lake.flush_streams().await.unwrap();
    let objects = lake.objects("logs-bucket");
    let bytes = objects.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let text: String = String::from_utf8(bytes).unwrap().replace("\n\n", "");
    let counts = counted_in(&text);
    let lines = counts.keys().last().copied().unwrap_or(0) + 1;
    assert!(lines > 100, "{lines}");
    assert_eq!(counts, once_each(0..lines));
}

/// Disks that are full or fail: nothing is acknowledged that is not kept, and everything goes on once they work again.
#[tokio::test]
async fn a_disk_that_fails_loses_nothing() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let lake = TestLake::start_in(Arc::clone(&folder)).await;
    lake.create_stream("s", json!({})).await;
    let input = json!({ "StreamName": "s", "ShardCount": 1 }).to_string();
    taken(&lake, Call::kinesis("CreateStream", input)).await;
    let mut names = json!({ "logGroupName": "g" });
    taken(&lake, logs("CreateLogGroup", &names)).await;
    names["logStreamName"] = json!("s");
    taken(&lake, logs("CreateLogStream", &names)).await;
    drop(lake.restart().await.abandon().await);
    let makes: [(&str, fn(u64, &[u64]) -> Call); 3] =
        [("buffer", firehose), ("shard", kinesis), ("logs", events)];
    for (epoch, step) in (1..).zip(["append", "sync"]) {
        let points = makes.map(|(name, _)| format!("{name}.{step}=error*2"));
        let mortal = Mortal::start(&folder, &points.join(",")).await.unwrap();
        let first = 10 * (epoch - 1);
        for (name, make) in makes {
            let put = async |lines: &[u64]| {
                let request = make(epoch, lines).signed(mortal.address, SystemTime::now());
                send(mortal.address, request).await
            };
            assert_eq!(put(&[first, first + 1]).await.status, 200, "{name}");
            let refused = put(&[first + 1, first + 2, first + 3]).await;
            if (name, step) == ("shard", "append") {
                // The one that is there is answered for; the others are refused alone.
                assert_eq!(refused.json()["FailedRecordCount"], 2, "{step}");
            } else {
                assert_eq!(refused.status, 503, "{name}.{step}: {}", refused.text());
                assert_eq!(refused.json()["__type"], "ServiceUnavailableException");
            }
            assert_eq!(put(&[first, first + 2, first + 3]).await.status, 200);
            assert_eq!(put(&[first + 3, first + 4]).await.status, 200);
        }
        mortal.kill();
    }
    let lake = TestLake::start_in(folder).await;
    lake.lake.flush_streams().await.unwrap();
    let expected = once_each((0..5).chain(10..15));
    assert_eq!(in_objects(&lake), expected);
    assert_eq!(in_shards(&lake, 1).await, expected);
    assert_eq!(in_log_stream(&lake).await, expected);
}

/// The same with a disk that is really full. Skipped where a file system cannot be mounted.
#[tokio::test]
async fn a_full_disk_blocks_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=16m none \"$1\" && shift && exec \"$@\"";
    let mut child = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "replay::a_lake_may_die_anywhere", "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let inside = format!("/proc/{}/root{}", child.id(), folder.path().display());
    let inside = std::path::PathBuf::from(inside);
    let address: std::net::SocketAddr = loop {
        let address = std::fs::read_to_string(inside.join("address")).unwrap_or_default();
        match address.parse() {
            Ok(address) => break address,
            Err(_) if child.try_wait().unwrap().is_some() => {
                return eprintln!("skipped: a file system cannot be mounted here");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    let call = async |call: Call| send(address, call.signed(address, SystemTime::now())).await;
    let destination = json!({
        "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::logs-bucket",
        "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 0 },
    });
    let input =
        json!({ "DeliveryStreamName": "s", "ExtendedS3DestinationConfiguration": destination });
    let created = call(Call::firehose("CreateDeliveryStream", input.to_string())).await;
    assert_eq!(created.status, 200, "{}", created.text());
    assert_eq!(call(firehose(1, &[0])).await.status, 200);
    let filler = inside.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let mut next = 1;
    loop {
        let answer = call(firehose(1, &[next])).await;
        if answer.status == 503 {
            assert_eq!(answer.json()["__type"], "ServiceUnavailableException");
            break;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        next += 1;
    }
    drop(file);
    std::fs::remove_file(filler).unwrap();
    let freed = std::time::Instant::now();
    while call(firehose(1, &[next])).await.status != 200 {
        assert!(
            freed.elapsed() < Duration::from_secs(5),
            "it goes on at once"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let expected = once_each(0..=next);
    let objects = inside.join("objects/logs-bucket");
    while counted_in(&text_below(&objects)) != expected {
        assert!(freed.elapsed() < Duration::from_secs(60), "delivered");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// All files in a folder, one after another.
fn text_below(folder: &std::path::Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => text += &text_below(&path),
            path => text += &std::fs::read_to_string(path).unwrap_or_default(),
        }
    }
    text
}

fn counted_in(text: &str) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for line in text.split("line ").skip(1) {
        *counts.entry(line.trim().parse().unwrap()).or_default() += 1;
    }
    counts
}
