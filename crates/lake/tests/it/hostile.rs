//! Requests that are not meant well.

use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Call, TestLake, send};

/// Sends `bytes` as they are and gives what comes back until the connection ends.
async fn raw(lake: &TestLake, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(lake.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    // A reset after the answer is as good an end as any.
    let _ = reading.await.expect("the connection was not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn broken_http_is_refused_and_the_lake_goes_on() {
    let lake = TestLake::start().await;
    let long_header = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let long_uri = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(1 << 20));
    let many_headers = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x: y\r\n".repeat(200)
    );
    for (name, request) in [
        ("garbage", "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n"),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        ),
        (
            "negative length",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        ),
        (
            "huge length",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        ),
        ("long header", &long_header),
        ("long uri", &long_uri),
        ("many headers", &many_headers),
    ] {
        let answer = raw(&lake, request.as_bytes()).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{name}: {answer}"
        );
    }
    assert_eq!(
        lake.firehose("ListDeliveryStreams", json!({})).await.status,
        200
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_and_not_kept() {
    let lake = TestLake::start().await;
    let answer = lake
        .call(Call::firehose(
            "PutRecordBatch",
            vec![b'x'; 20 * 1024 * 1024],
        ))
        .await;
    assert_eq!(
        answer.error(),
        (413, "RequestEntityTooLargeException".to_owned())
    );
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test]
async fn deep_json_is_refused() {
    let lake = TestLake::start().await;
    let deep = format!(
        r#"{{"DeliveryStreamName":"s","x":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for operation in [
        "PutRecordBatch",
        "CreateDeliveryStream",
        "TagDeliveryStream",
    ] {
        let answer = lake.call(Call::firehose(operation, deep.as_str())).await;
        assert_eq!(answer.error().0, 400, "{operation}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_a_body_leaves_nothing() {
    let lake = TestLake::start().await;
    lake.call(Call::s3(http::Method::PUT, "/logs-bucket")).await;
    let put = Call::s3(http::Method::PUT, "/logs-bucket/key").body("0123456789");
    let request = put.signed(lake.address, SystemTime::now());
    let mut head = "PUT /logs-bucket/key HTTP/1.1\r\ncontent-length: 10\r\n".to_owned();
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(lake.address).await.unwrap();
    stream
        .write_all(format!("{head}\r\n01234").as_bytes())
        .await
        .unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 200"));
    assert_eq!(lake.objects("logs-bucket"), []);
    let uploads = || {
        std::fs::read_dir(lake.path("objects/.uploads"))
            .unwrap()
            .count()
    };
    while uploads() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn services_that_are_not_there_say_so() {
    let lake = TestLake::start().await;
    for (call, told) in [
        (
            Call {
                service: "athena",
                ..Call::s3(http::Method::POST, "/")
            }
            .header("x-amz-target", "AmazonAthena.StartQueryExecution"),
            "Athena",
        ),
        (
            Call {
                service: "sqs",
                ..Call::s3(http::Method::POST, "/")
            },
            "sqs",
        ),
        (Call::firehose("", "{}"), "no operation"),
    ] {
        let answer = send(lake.address, call.signed(lake.address, SystemTime::now())).await;
        assert_eq!(
            answer.error(),
            (400, "UnknownOperationException".to_owned())
        );
        assert!(answer.text().contains(told), "{}", answer.text());
    }
}

#[tokio::test]
async fn names_with_dots_stay_in_their_folder() {
    let lake = TestLake::start().await;
    for name in [".", "..", ".lock", "a..b"] {
        lake.create_stream(name, json!({ "Prefix": "p/" })).await;
        lake.put(name, &[b"x"]).await;
    }
    let lake = lake.restart().await;
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(lake.objects("logs-bucket").len(), 4);
    let names = lake.firehose("ListDeliveryStreams", json!({})).await.json();
    assert_eq!(
        names["DeliveryStreamNames"],
        json!([".", "..", ".lock", "a..b"])
    );
    for entry in std::fs::read_dir(lake.path("")).unwrap() {
        let name = entry.unwrap().file_name();
        let known = ["data-streams", "iam", "logs", "objects", "streams", "sts"];
        assert!(known.iter().any(|known| name == *known), "{name:?}");
    }
}
