//! Destinations that are read: a lake, stand-ins for CloudWatch Logs and Kinesis, a sink.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Place, VerifyCommand};
use crate::mark::Mark;
use crate::report::Sent;
use crate::sink::{Faults, Sink};

/// A record with one line.
pub fn line(seq: u64) -> Vec<u8> {
    let mut out = b"{\"log\":\"".to_vec();
    Mark { writer: 5, seq }.write(&mut out);
    out.extend_from_slice(b" and more\"}\n");
    out
}

fn lines(range: std::ops::Range<u64>) -> Vec<u8> {
    range.flat_map(line).collect()
}

/// What a generator says that wrote so many of them.
pub fn sent(lines: u64) -> Sent {
    Sent {
        writers: BTreeMap::from([(5, lines)]),
        lines,
        ..Sent::default()
    }
}

fn command(place: Place, endpoint: Option<String>) -> VerifyCommand {
    VerifyCommand {
        place,
        endpoint_url: endpoint,
        region: Some("us-west-2".into()),
        sent: None,
        wait: None,
        json: false,
    }
}

/// The environment is the process's; these tests are the only ones that look at it.
pub fn with_credentials() {
    static SET: Mutex<bool> = Mutex::new(false);
    let mut set = SET.lock().unwrap();
    if !*set {
        // SAFETY: the lock keeps these tests apart, and no other code of this process reads the environment meanwhile.
        unsafe {
            std::env::set_var("AWS_ACCESS_KEY_ID", "flumen");
            std::env::set_var("AWS_SECRET_ACCESS_KEY", "flumen");
        }
        *set = true;
    }
}

/// Serves on a thread of its own until the test ends.
pub fn serve<F: Future<Output = ()>>(
    serve: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            serve(listener).await;
        });
    });
    format!("http://{}", receiver.recv().unwrap())
}

#[test]
fn objects_of_a_lake_are_read_whole_packed_and_in_pieces() {
    with_credentials();
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects/logs/ecs/2026 11");
    std::fs::create_dir_all(&objects).unwrap();
    // The first is larger than what is read at once.
    std::fs::write(objects.join("1+a"), lines(0..100_000)).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &lines(100_000..100_100)).unwrap();
    std::fs::write(objects.join("2.gz"), packed.finish().unwrap()).unwrap();
    std::fs::write(objects.join("3"), lines(100_098..100_200)).unwrap();
    std::fs::write(objects.join("4"), b"").unwrap();
    let data = folder.path().to_owned();
    let url = serve(move |listener| async move {
        let lake = lake::Lake::open(lake::Options::new(data)).await.unwrap();
        lake.serve(listener, std::future::pending()).await;
    });
    let place = |prefix: &str| Place {
        s3: Some(format!("s3://logs/{prefix}")),
        ..Place::default()
    };
    let report = command(place("ecs"), Some(url.clone()))
        .report(Some(&sent(100_201)))
        .unwrap();
    assert_eq!(
        (report.received, report.lost, report.repeated),
        (100_200, 1, 2)
    );
    assert_eq!(report.writers[0].lost_lines, [[100_200, 100_200]]);
    assert_eq!(report.out_of_order, 0);
    let report = command(place("eks"), Some(url.clone()))
        .report(Some(&sent(1)))
        .unwrap();
    assert_eq!(report.lost, 1);
    let nowhere = Place {
        s3: Some("s3://nowhere/x".into()),
        ..Place::default()
    };
    let error = command(nowhere, Some(url)).report(None).unwrap_err();
    assert!(error.contains("NoSuchBucket"), "{error}");
}

#[test]
fn pages_of_log_events_and_of_records_are_read() {
    with_credentials();
    let url = serve(|listener| async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(answer);
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    let group = Place {
        log_group: Some("g".into()),
        ..Place::default()
    };
    let report = command(group, Some(url.clone()))
        .report(Some(&sent(4)))
        .unwrap();
    assert_eq!(
        (report.received, report.lost, report.out_of_order),
        (4, 0, 1)
    );
    let stream = Place {
        stream: Some("s".into()),
        ..Place::default()
    };
    let report = command(stream, Some(url)).report(Some(&sent(5))).unwrap();
    assert_eq!((report.received, report.lost, report.repeated), (4, 1, 1));
}

/// Services with two pages each.
async fn answer(
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<String>, std::convert::Infallible> {
    use http_body_util::BodyExt;
    use serde_json::json;
    let target = request.headers()["x-amz-target"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let input: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let event = |seq| json!({"message": String::from_utf8(line(seq)).unwrap(), "timestamp": 1});
    let record = |seq| json!({"Data": base64_simd::STANDARD.encode_to_string(line(seq))});
    let answer = match target.split('.').nth(1).unwrap() {
        "FilterLogEvents" => match input["nextToken"].as_str() {
            None => json!({"events": [event(1), event(0)], "nextToken": "t"}),
            Some("t") => json!({"events": [event(2), event(3)], "searchedLogStreams": []}),
            other => panic!("{other:?}"),
        },
        "ListShards" => json!({"Shards": [{"ShardId": "a"}, {"ShardId": "b"}]}),
        "GetShardIterator" => {
            json!({"ShardIterator": format!("{}0", input["ShardId"].as_str().unwrap())})
        }
        "GetRecords" => match input["ShardIterator"].as_str().unwrap() {
            "a0" => {
                json!({"Records": [record(0), record(2)], "NextShardIterator": "a1", "MillisBehindLatest": 5})
            }
            "a1" => json!({"Records": [], "NextShardIterator": "a2", "MillisBehindLatest": 0}),
            "b0" => {
                json!({"Records": [record(1)], "NextShardIterator": "b1", "MillisBehindLatest": 0})
            }
            "b1" => {
                json!({"Records": [record(3), record(3)], "NextShardIterator": null, "MillisBehindLatest": 0})
            }
            other => panic!("{other}"),
        },
        other => panic!("{other}"),
    };
    Ok(http::Response::new(answer.to_string()))
}

#[test]
fn a_sink_is_asked() {
    let url = serve(|listener| async move {
        Sink::new(Faults::default(), true)
            .serve(listener, None)
            .await;
    });
    let place = Place {
        sink: Some(url),
        ..Place::default()
    };
    let report = command(place.clone(), None).report(Some(&sent(3))).unwrap();
    assert_eq!((report.lost, report.sent), (3, Some(3)));
    let report = command(place, None).report(None).unwrap();
    assert!(report.is_clean() && report.sink.is_some());
    let nowhere = Place {
        sink: Some("https://127.0.0.1:1".into()),
        ..Place::default()
    };
    assert!(command(nowhere, None).report(None).is_err());
}
