//! Nothing acknowledged is lost, however the lake ends.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lake::{Lake, Options};
use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{Call, TestLake, batch, send};

/// Says to this test program that it is the lake that will be killed, and where its data is.
pub const CHILD: &str = "FLUMEN_LAKE_TEST_DATA";

/// Runs twice: as the test, and, started by it, as the process that gets killed.
#[tokio::test]
async fn acknowledged_records_survive_kill_9() {
    if let Some(data) = std::env::var_os(CHILD) {
        return serve_until_killed(data.into()).await;
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (mut child, address) = start_child(&folder).await;
    let call = |operation: &str, input: serde_json::Value| {
        send(
            address,
            Call::firehose(operation, input.to_string()).signed(address, SystemTime::now()),
        )
    };
    let stream = json!({ "DeliveryStreamName": "s", "S3DestinationConfiguration": {
        "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::logs-bucket",
    } });
    assert_eq!(call("CreateDeliveryStream", stream).await.status, 200);
    let mut expected = Vec::new();
    for index in 0..50 {
        let record = format!("{{\"n\":{index}}}\n");
        assert_eq!(
            call("PutRecordBatch", batch("s", &[record.as_bytes()]))
                .await
                .status,
            200
        );
        expected.extend(record.into_bytes());
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let lake = TestLake::start_in(folder).await;
    let counters = lake.lake.counters().total();
    assert_eq!(
        (counters.recovered_records, counters.buffered_records),
        (50, 50)
    );
    lake.lake.flush_streams().await.unwrap();
    let objects = lake.objects("logs-bucket");
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].1, expected);
}

/// A lake in a process of its own.
async fn start_child(folder: &tempfile::TempDir) -> (Child, std::net::SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::acknowledged_records_survive_kill_9",
            "--nocapture",
        ])
        .env(CHILD, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let address = address_of(&mut child, folder.path().join("address")).await;
    (child, address)
}

/// The same for everything else that is acknowledged: records of data streams, parts of objects, roles, sessions.
#[tokio::test]
async fn whatever_was_acknowledged_survives_kill_9() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (mut child, address) = start_child(&folder).await;
    let call = |call: Call| send(address, call.signed(address, SystemTime::now()));
    let stream = json!({ "StreamName": "s", "ShardCount": 1 }).to_string();
    assert_eq!(
        call(Call::kinesis("CreateStream", stream)).await.status,
        200
    );
    let mut numbers = Vec::new();
    for index in 0..20 {
        let record =
            json!({ "StreamName": "s", "PartitionKey": "k", "Data": format!("{index:04}") });
        let put = call(Call::kinesis("PutRecord", record.to_string())).await;
        numbers.push(put.json()["SequenceNumber"].clone());
    }
    call(Call::s3(http::Method::PUT, "/logs-bucket")).await;
    let upload = call(Call::s3(http::Method::POST, "/logs-bucket/k?uploads")).await;
    let id = upload.xml("UploadId");
    let uri = format!("/logs-bucket/k?partNumber=1&uploadId={id}");
    let part = call(Call::s3(http::Method::PUT, &uri).body("part")).await;
    let trust = json!({ "Statement": {
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": "*" },
    } });
    let role = [
        ("RoleName", "r"),
        ("AssumeRolePolicyDocument", &trust.to_string()),
    ];
    assert_eq!(
        call(Call::query("iam", "CreateRole", &role)).await.status,
        200
    );
    child.kill().unwrap();
    child.wait().unwrap();

    let lake = TestLake::start_in(folder).await;
    let input = json!({ "StreamName": "s", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON" });
    let start = lake
        .call(Call::kinesis("GetShardIterator", input.to_string()))
        .await
        .json();
    let input = json!({ "ShardIterator": start["ShardIterator"] });
    let records = lake
        .call(Call::kinesis("GetRecords", input.to_string()))
        .await
        .json();
    let found = records["Records"].as_array().unwrap().iter();
    let found: Vec<_> = found
        .map(|record| record["SequenceNumber"].clone())
        .collect();
    assert_eq!(found, numbers);
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        part.header("etag")
    );
    let uri = format!("/logs-bucket/k?uploadId={id}");
    let done = lake
        .call(Call::s3(http::Method::POST, &uri).body(list))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(
        lake.objects("logs-bucket"),
        [("k".to_owned(), b"part".to_vec())]
    );
    let role = lake
        .call(Call::query("iam", "GetRole", &[("RoleName", "r")]))
        .await;
    assert_eq!(role.xml("RoleName"), "r");
}

pub async fn serve_until_killed(data: PathBuf) {
    let lake = Lake::open(Options::new(&data)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let temporary = data.join("address.new");
    std::fs::write(&temporary, listener.local_addr().unwrap().to_string()).unwrap();
    std::fs::rename(temporary, data.join("address")).unwrap();
    lake.serve(listener, std::future::pending()).await;
}

/// Waits until the child has said where it listens.
pub async fn address_of(child: &mut Child, file: PathBuf) -> std::net::SocketAddr {
    loop {
        if let Ok(address) = std::fs::read_to_string(&file) {
            return address.parse().unwrap();
        }
        assert_eq!(child.try_wait().unwrap(), None, "the lake did not start");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_buffer_goes_on_after_a_stop() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    lake.put("s", &[b"one\n"]).await;
    let lake = lake.restart().await;
    assert_eq!(
        lake.objects("logs-bucket"),
        [],
        "a stop delivers nothing early"
    );
    lake.put("s", &[b"two\n"]).await;
    lake.lake.flush_streams().await.unwrap();
    let objects = lake.objects("logs-bucket");
    assert_eq!(
        (objects.len(), objects[0].1.as_slice()),
        (1, &b"one\ntwo\n"[..])
    );
}

/// A crash between writing the object and forgetting the buffer: the same object is written again.
#[tokio::test]
async fn an_object_that_was_written_already_is_not_doubled() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    lake.put("s", &[b"once\n"]).await;
    let buffer = lake.path("streams/s/buffer/000000000001.open");
    let kept = std::fs::read(&buffer).unwrap();
    lake.lake.flush_streams().await.unwrap();
    let before = lake.objects("logs-bucket");
    let folder = lake.abandon().await;
    std::fs::write(buffer.with_file_name("000000000001.1.sealed"), kept).unwrap();

    let lake = TestLake::start_in(folder).await;
    lake.until(|counters| counters.total().delivered_records == 1)
        .await;
    assert_eq!(lake.objects("logs-bucket"), before);
}

#[tokio::test]
async fn a_damaged_buffer_costs_its_damage_only() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    for record in [b"first\n", b"other\n", b"third\n"] {
        lake.put("s", &[record]).await;
    }
    let buffer = lake.path("streams/s/buffer/000000000001.open");
    let folder = lake.abandon().await;
    let mut bytes = std::fs::read(&buffer).unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"other")
        .unwrap();
    bytes[at] ^= 1;
    bytes.extend(b"FL");
    std::fs::write(&buffer, bytes).unwrap();

    let lake = TestLake::start_in(folder).await;
    assert!(lake.logged("2 bytes of an unfinished write were cut off"));
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(lake.objects("logs-bucket")[0].1, b"first\nthird\n");
    assert!(lake.logged("Error: s: 26 damaged bytes"));
    assert_eq!(lake.lake.counters().total().quarantined_bytes, 26);
    let set_aside = std::fs::read_dir(lake.path("streams/s/quarantine"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert!(
        std::fs::read(set_aside.path())
            .unwrap()
            .ends_with(b"ther\n")
    );
}

#[tokio::test]
async fn a_stream_that_cannot_be_read_does_not_stop_the_lake() {
    let lake = TestLake::start().await;
    lake.create_stream("broken", json!({})).await;
    lake.create_stream("whole", json!({})).await;
    let folder = lake.abandon().await;
    std::fs::write(folder.path().join("streams/broken/stream.json"), "{").unwrap();
    let lake = TestLake::start_in(folder).await;
    assert!(lake.logged("Error: the delivery stream in"));
    let names = lake.firehose("ListDeliveryStreams", json!({})).await.json();
    assert_eq!(names["DeliveryStreamNames"], json!(["whole"]));
    lake.create_stream("broken", json!({})).await;
}

#[tokio::test]
async fn records_wait_for_a_bucket_that_went_away() {
    let lake = TestLake::start().await;
    lake.create_stream(
        "s",
        json!({ "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 900 } }),
    )
    .await;
    std::fs::remove_dir(lake.path("objects/logs-bucket")).unwrap();
    lake.put("s", &[&vec![b'x'; 1_000_000], &[b'x'; 100_000]])
        .await;
    lake.until(|counters| counters.total().failed_deliveries > 0)
        .await;
    assert!(
        lake.lake
            .flush_streams()
            .await
            .unwrap_err()
            .to_string()
            .contains("bucket does not exist")
    );
    lake.put("s", &[b"more"]).await;
    assert_eq!(lake.lake.counters().total().buffered_records, 3);
    std::fs::create_dir(lake.path("objects/logs-bucket")).unwrap();
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(lake.lake.counters().total().delivered_records, 3);
    assert_eq!(lake.objects("logs-bucket").len(), 2);
}

#[tokio::test]
async fn records_that_cannot_be_kept_are_refused() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    let buffer = lake.path("streams/s/buffer");
    std::fs::remove_dir(&buffer).unwrap();
    let answer = lake.firehose("PutRecordBatch", batch("s", &[b"x"])).await;
    assert_eq!(
        answer.error(),
        (503, "ServiceUnavailableException".to_owned())
    );
    assert_eq!(lake.lake.counters().total().records, 0);
    std::fs::create_dir(&buffer).unwrap();
    lake.put("s", &[b"x"]).await;
}

#[tokio::test]
async fn two_lakes_do_not_share_a_folder() {
    let lake = TestLake::start().await;
    let error = Lake::open(Options::new(lake.path(""))).await.err().unwrap();
    assert!(
        error.to_string().contains("another lake is running"),
        "{error}"
    );
}
