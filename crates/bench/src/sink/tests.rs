use std::time::Duration;

use aws::{Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment, Service};
use http::Method;
use http::uri::PathAndQuery;
use tokio::task::LocalSet;

use super::{Faults, Sink};
use crate::mark::Mark;
use crate::report::Sent;

/// Runs a test with a sink and an endpoint to reach it at.
fn with_sink<T>(faults: Faults, test: impl AsyncFnOnce(&Sink, String) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sink = Sink::new(faults, false);
        let serving = sink.clone();
        tokio::select! {
            () = async { serving.serve(listener, None).await } => unreachable!("it serves for ever"),
            outcome = tokio::time::timeout(Duration::from_secs(60), test(&sink, url)) => outcome.expect("it ends"),
        }
    })
}

fn client(service: Service, url: &str) -> Client {
    client_with(service, url, aws::TlsOptions::default())
}

fn client_with(service: Service, url: &str, tls: aws::TlsOptions) -> Client {
    let environment = Environment::fixed([
        ("AWS_ACCESS_KEY_ID", "flumen"),
        ("AWS_SECRET_ACCESS_KEY", "flumen"),
    ]);
    let credentials = CredentialsOptions {
        region: "us-west-2".into(),
        ..CredentialsOptions::default()
    };
    let provider = CredentialsProvider::new(&credentials, &environment).unwrap();
    let options = ClientOptions {
        endpoint: Some(url.to_owned()),
        tls,
        ..ClientOptions::new(service, "us-west-2")
    };
    Client::new(options, provider, &environment).unwrap()
}

fn line(seq: u64) -> String {
    let mut out = b"{\"log\":\"".to_vec();
    Mark { writer: 5, seq }.write(&mut out);
    out.extend_from_slice(b"\"}\n");
    String::from_utf8(out).unwrap()
}

fn firehose(lines: impl IntoIterator<Item = u64>) -> String {
    let records = lines.into_iter().map(|seq| {
        let data = base64_simd::STANDARD.encode_to_string(line(seq));
        format!(r#"{{"Data":"{data}"}}"#)
    });
    let records: Vec<String> = records.collect();
    format!(
        r#"{{"DeliveryStreamName":"s","Records":[{}]}}"#,
        records.join(",")
    )
}

fn sent(lines: u64) -> Sent {
    Sent {
        writers: [(5, lines)].into(),
        lines,
        ..Sent::default()
    }
}

const PUT_RECORD_BATCH: &str = "Firehose_20150804.PutRecordBatch";

#[test]
fn firehose_is_counted_and_answered_with_long_ids() {
    with_sink(Faults::default(), async |sink, url| {
        let client = client(Service::FIREHOSE, &url);
        let answer = client
            .post_json(PUT_RECORD_BATCH, firehose(0..500))
            .await
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["FailedPutCount"], 0);
        let records = answer["RequestResponses"].as_array().unwrap();
        assert_eq!(records.len(), 500);
        assert_eq!(records[0]["RecordId"].as_str().unwrap().len(), 220);
        client
            .post_json(PUT_RECORD_BATCH, firehose([499, 501]))
            .await
            .unwrap();
        let report = sink.report(Some(&sent(502)));
        assert_eq!((report.received, report.lost, report.repeated), (501, 1, 1));
        assert_eq!(report.writers[0].lost_lines, [[500, 500]]);
        assert_eq!(report.sink.unwrap().accepted, 502);
    });
}

#[test]
fn rules_are_checked() {
    with_sink(Faults::default(), async |sink, url| {
        let client = client(Service::FIREHOSE, &url);
        for body in [
            firehose(0..501),
            firehose([]),
            r#"{"DeliveryStreamName":"s","Records":[{"Data":"*"}]}"#.to_owned(),
            "{".to_owned(),
        ] {
            let error = client.post_json(PUT_RECORD_BATCH, body).await.unwrap_err();
            assert!(
                error.to_string().contains("InvalidArgumentException"),
                "{error}"
            );
        }
        let unknown = client.post_json("Firehose_20150804.Dance", "{}").await;
        assert!(
            unknown
                .unwrap_err()
                .to_string()
                .contains("UnknownOperationException")
        );
        let report = sink.report(None);
        assert_eq!((report.received, report.sink.unwrap().invalid), (0, 5));
    });
}

#[test]
fn partial_failures_are_told_record_by_record() {
    let faults = Faults {
        partial_failures: 0.3,
        seed: Some(1),
        ..Faults::default()
    };
    with_sink(faults, async |sink, url| {
        let client = client(Service::FIREHOSE, &url);
        let mut left: Vec<u64> = (0..400).collect();
        let mut requests = 0;
        while !left.is_empty() {
            let answer = client
                .post_json(PUT_RECORD_BATCH, firehose(left.iter().copied()))
                .await
                .unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let verdicts = answer["RequestResponses"].as_array().unwrap();
            let failed: Vec<u64> = left
                .iter()
                .zip(verdicts)
                .filter(|(_, verdict)| verdict["ErrorCode"].is_string())
                .map(|(seq, _)| *seq)
                .collect();
            assert_eq!(answer["FailedPutCount"], failed.len());
            left = failed;
            requests += 1;
        }
        assert!(requests > 2);
        let report = sink.report(Some(&sent(400)));
        assert!(report.is_clean() && report.received == 400);
    });
}

#[test]
fn requests_are_refused_and_cut_as_asked() {
    for (faults, word) in [
        (
            Faults {
                throttle: 1.0,
                ..Faults::default()
            },
            "ServiceUnavailableException",
        ),
        (
            Faults {
                expired_credentials: 1.0,
                ..Faults::default()
            },
            "ExpiredTokenException",
        ),
        (
            Faults {
                outage: vec!["60s@0s".parse().unwrap()],
                ..Faults::default()
            },
            "",
        ),
    ] {
        with_sink(faults, async |sink, url| {
            let client = client(Service::FIREHOSE, &url);
            let error = client
                .post_json(PUT_RECORD_BATCH, firehose(0..5))
                .await
                .unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(sink.report(None).received, 0);
        });
    }
}

#[test]
fn a_repeat_after_a_cut_is_told_from_any_other() {
    let faults = Faults {
        cut: 1.0,
        seed: Some(3),
        ..Faults::default()
    };
    with_sink(faults, async |sink, url| {
        let client = client(Service::FIREHOSE, &url);
        for _ in 0..30 {
            let outcome = client.post_json(PUT_RECORD_BATCH, firehose(0..5)).await;
            assert!(outcome.is_err());
        }
        let report = sink.report(Some(&sent(5)));
        assert_eq!((report.lost, report.repeated), (0, 0));
        assert!(report.repeated_without_verdict > 5, "{report:?}");
    });
}

#[test]
fn kinesis_and_cloudwatch_are_counted() {
    with_sink(Faults::default(), async |sink, url| {
        let data = base64_simd::STANDARD.encode_to_string(line(0));
        let body =
            format!(r#"{{"StreamName":"s","Records":[{{"Data":"{data}","PartitionKey":"k"}}]}}"#);
        let answer = client(Service::KINESIS, &url)
            .post_json("Kinesis_20131202.PutRecords", body)
            .await
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer["FailedRecordCount"], 0);
        assert_eq!(
            answer["Records"][0]["SequenceNumber"]
                .as_str()
                .unwrap()
                .len(),
            56
        );
        let logs = client(Service::CLOUDWATCH_LOGS, &url);
        logs.post_json("Logs_20140328.CreateLogStream", "{}")
            .await
            .unwrap();
        let events = |times: [i64; 2]| {
            serde_json::json!({"logGroupName": "g", "logStreamName": "s", "logEvents": [
                {"timestamp": times[0], "message": line(1)},
                {"timestamp": times[1], "message": line(2)},
            ]})
            .to_string()
        };
        let now = jiff::Timestamp::now().as_millisecond();
        logs.post_json("Logs_20140328.PutLogEvents", events([now, now + 1]))
            .await
            .unwrap();
        for (times, word) in [
            ([5, 6], r#""tooOldLogEventEndIndex":2"#),
            ([now, now + 10_000_000], r#""tooNewLogEventStartIndex":1"#),
        ] {
            let answer = logs
                .post_json("Logs_20140328.PutLogEvents", events(times))
                .await;
            let answer = String::from_utf8_lossy(&answer.unwrap().body).into_owned();
            assert!(answer.contains(word), "{answer}");
        }
        for wrong in [[6, 5], [0, 100_000_000]] {
            let error = logs
                .post_json("Logs_20140328.PutLogEvents", events(wrong))
                .await;
            assert!(
                error
                    .unwrap_err()
                    .to_string()
                    .contains("InvalidParameterException")
            );
        }
        let report = sink.report(Some(&sent(3)));
        assert_eq!(
            (report.lost, report.repeated),
            (0, 1),
            "the first of two events came again, and was taken, beside one from the future"
        );
    });
}

#[test]
fn objects_replace_objects_and_parts_make_one() {
    with_sink(Faults::default(), async |sink, url| {
        let client = client(Service::S3, &url);
        let send = async |method: Method, target: &str, body: String| {
            let target = PathAndQuery::try_from(target.to_owned()).unwrap();
            client
                .send(aws::Request::new(method, target, body.as_bytes()))
                .await
                .unwrap()
        };
        send(Method::HEAD, "/b", String::new()).await;
        let unknown = PathAndQuery::from_static("/b/key");
        let unknown = aws::Request::new(Method::HEAD, unknown, b"");
        assert!(client.send(unknown).await.is_err());
        for _ in 0..2 {
            let answer = send(Method::PUT, "/b/key", [line(0), line(1)].concat()).await;
            assert!(answer.header("etag").is_some());
        }
        let created = send(Method::POST, "/b/large?uploads", String::new()).await;
        let created = String::from_utf8(created.body.to_vec()).unwrap();
        let id = created
            .split("<UploadId>")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .to_owned();
        // The mark of the last line lies across the end of the first part.
        let last = line(3);
        let (begin, end) = last.split_at(last.find("fl-bench-").unwrap() + 12);
        let first = line(2) + begin;
        for (number, text) in [(2, end), (1, &*first), (1, &*first)] {
            let target = format!("/b/large?partNumber={number}&uploadId={id}");
            send(Method::PUT, &target, text.to_owned()).await;
        }
        assert_eq!(
            sink.report(None).received,
            2,
            "an upload that is not complete is no object"
        );
        for _ in 0..2 {
            send(
                Method::POST,
                &format!("/b/large?uploadId={id}"),
                "<xml/>".into(),
            )
            .await;
        }
        send(Method::HEAD, "/b/large", String::new()).await;
        let report = sink.report(Some(&sent(4)));
        assert!(report.is_clean() && report.out_of_order == 0, "{report:?}");
        assert_eq!(report.sink.unwrap().replaced, 1);
        send(Method::PUT, "/b/key", line(9)).await;
        assert!(
            !sink.report(Some(&sent(4))).is_clean(),
            "what was there is gone"
        );
    });
}

#[test]
fn over_tls_whoever_trusts_the_certificate_is_served() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ca_file = Some(folder.path().join("ca.pem"));
        let (tls, ca_file) = super::certificate::make(address.ip(), ca_file).unwrap();
        let sink = Sink::new(Faults::default(), true);
        let url = format!("https://{address}");
        let test = async {
            let trusting = aws::TlsOptions {
                ca_file: Some(ca_file),
                ..aws::TlsOptions::default()
            };
            let client = client_with(Service::FIREHOSE, &url, trusting);
            client
                .post_json(PUT_RECORD_BATCH, firehose(0..5))
                .await
                .unwrap();
            let stranger = client_with(Service::FIREHOSE, &url, aws::TlsOptions::default());
            assert!(
                stranger
                    .post_json(PUT_RECORD_BATCH, firehose(5..9))
                    .await
                    .is_err()
            );
            assert_eq!(sink.report(None).received, 5);
        };
        tokio::select! {
            () = sink.serve(listener, Some(tls)) => unreachable!("it serves for ever"),
            () = test => {}
        }
    });
}
