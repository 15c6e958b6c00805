//! Requests to the lake, changed anywhere: it answers or closes the connection, never as if it had broken, and goes on.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::client::{Call, TestLake};
use crate::logs;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Sends `bytes` as they are, and no more: what comes back.
async fn raw(lake: &TestLake, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(lake.address).await.unwrap();
    // It may be answered, or cut off, before all is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let reading = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut answer));
    let _ = reading.await.expect("an end of the connection");
    answer
}

#[test]
fn fuzz_lake_http() {
    let runtime = runtime();
    let lake = runtime.block_on(TestLake::start());
    let authorization = "Authorization: AWS4-HMAC-SHA256 Credential=flumen/20261128/us-west-2/s3/aws4_request, \
                         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=00\r\nx-amz-date: 20261128T000000Z\r\n";
    let put = format!(
        "PUT /bucket/key%20a?partNumber=1&uploadId=u HTTP/1.1\r\nHost: x\r\n{authorization}\
         x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\r\nx-amz-decoded-content-length: 1\r\nContent-Length: 5\r\n\r\n\
         1;chunk-signature=00\r\nx\r\n"
    );
    let post = format!(
        "POST / HTTP/1.1\r\nHost: firehose.x\r\nX-Amz-Target: Firehose_20150804.PutRecord\r\n{authorization}Content-Length: 2\r\n\r\n{{}}"
    );
    let form = "POST / HTTP/1.1\r\nHost: sts.x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 47\r\n\r\n\
                Action=AssumeRoleWithWebIdentity&Version=2011-0";
    fuzz::Target::new("lake_http")
        .seeds([
            put.as_str(),
            &post,
            form,
            "GET /?list-type=2&prefix=%2F HTTP/1.1\r\nHost: b.s3.localhost\r\n\r\n",
        ])
        .words([
            "x-amz-target: Logs_20140328.PutLogEvents\r\n",
            "Range: bytes=-1\r\n",
            "Expect: 100-continue\r\n",
            "%00",
            "../",
            "\r\n",
        ])
        .words([
            "Transfer-Encoding: chunked\r\n",
            "x-amz-copy-source: /a/b\r\n",
            "?uploads",
            "?delete",
            "If-None-Match: *\r\n",
        ])
        .run(|bytes| {
            let answer = runtime.block_on(raw(&lake, bytes));
            let text = String::from_utf8_lossy(&answer);
            // Nothing is signed, so nothing is done.
            let is_refusal = [
                "HTTP/1.1 4",
                "HTTP/1.0 4",
                "HTTP/1.1 100",
                "HTTP/1.1 501",
                "HTTP/1.0 501",
            ]
            .iter()
            .any(|start| text.starts_with(start));
            assert!(answer.is_empty() || is_refusal, "{text}");
        });
    let answer = runtime.block_on(lake.firehose("ListDeliveryStreams", json!({})));
    assert_eq!(answer.status, 200, "it goes on");
}

/// A call to a service, a zero, and the body. What is changed is signed as it then is.
fn call(text: &[u8]) -> Option<Call> {
    let end = text.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&text[..end]).ok()?;
    let body = &text[end + 1..];
    let (service, operation) = name.split_once(' ')?;
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match service {
        "firehose" if is_name(operation) => Some(Call::firehose(operation, body)),
        "kinesis" if is_name(operation) => Some(Call::kinesis(operation, body)),
        "logs" if is_name(operation) => Some(logs::request(operation, body)),
        "sts" => Some(Call::query("sts", "x", &[]).body(body)),
        "iam" => Some(Call::query("iam", "x", &[]).body(body)),
        "s3" => {
            let uri: http::Uri = operation.parse().ok()?;
            let target = uri.path_and_query()?.as_str().to_owned();
            let method = [
                Method::PUT,
                Method::GET,
                Method::POST,
                Method::DELETE,
                Method::HEAD,
            ];
            let method = method[body.len() % 5].clone();
            (uri.host().is_none() && target.starts_with('/'))
                .then(|| Call::s3(method, &target).body(body))
        }
        _ => None,
    }
}

#[test]
fn fuzz_lake_calls() {
    let runtime = runtime();
    let lake = runtime.block_on(logs::lake_with_stream());
    runtime.block_on(async {
        lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
        lake.create_stream("s", json!({})).await;
    });
    let destination = json!({
        "DeliveryStreamName": "t",
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::logs-bucket",
            "Prefix": "a/!{timestamp:yyyy/MM/dd}/", "ErrorOutputPrefix": "e/!{firehose:error-output-type}/",
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 60}, "CompressionFormat": "GZIP",
        },
    });
    let seeds = [
        ("firehose PutRecordBatch", json!({"DeliveryStreamName": "s", "Records": [{"Data": "eyJhIjoxfQo="}]}).to_string()),
        ("firehose CreateDeliveryStream", destination.to_string()),
        ("firehose TagDeliveryStream", json!({"DeliveryStreamName": "s", "Tags": [{"Key": "k", "Value": "v"}]}).to_string()),
        ("kinesis CreateStream", json!({"StreamName": "k", "ShardCount": 2}).to_string()),
        ("kinesis PutRecords", json!({"StreamName": "k", "Records": [{"Data": "YQ==", "PartitionKey": "p", "ExplicitHashKey": "1"}]}).to_string()),
        ("kinesis GetRecords", json!({"ShardIterator": "AAAA", "Limit": 1}).to_string()),
        ("logs PutLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": logs::now(), "message": "m"}]}).to_string()),
        ("logs FilterLogEvents", json!({"logGroupName": "g", "filterPattern": "{ $.a = 1 }", "limit": 1, "startTime": 0}).to_string()),
        ("logs GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "nextToken": "f/1", "startFromHead": true}).to_string()),
        ("sts a", "Version=2011-06-15&Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr&RoleSessionName=s".to_owned()),
        ("iam a", "Version=2010-05-08&Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%7D".to_owned()),
        ("s3 /logs-bucket/a/b?tagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>".to_owned()),
        ("s3 /logs-bucket/a/b?uploadId=u", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>".to_owned()),
        ("s3 /logs-bucket?delete", "<Delete><Object><Key>a/b</Key></Object></Delete>".to_owned()),
        ("s3 /logs-bucket?list-type=2&prefix=a%2F&delimiter=%2F&max-keys=1", String::new()),
    ];
    fuzz::Target::new("lake_calls")
        .seeds(seeds.map(|(name, body)| format!("{name}\0{body}")))
        .words([
            "null",
            "\"\"",
            "[]",
            "{}",
            "-1",
            "1.5",
            "\"..\"",
            "../../x",
            "%00",
            "<Key>",
            "]]>",
            "&amp;",
            "arn:aws:s3:::",
        ])
        .words([
            "!{timestamp:",
            "!{",
            "}",
            "?uploads",
            "?versionId=",
            "&max-keys=",
            "&Action=",
            "99999999999999999999",
        ])
        .run(|text| {
            let Some(call) = call(text) else { return };
            let (service, target) = (call.service, call.uri.clone());
            let answer = runtime.block_on(lake.call(call));
            let status = answer.status.as_u16();
            assert!(
                status < 500 || status == 501,
                "{service} {target}: {}",
                String::from_utf8_lossy(&answer.body)
            );
        });
    let answer = runtime.block_on(lake.firehose("ListDeliveryStreams", json!({})));
    assert_eq!(answer.status, 200, "it goes on");
}
