//! CloudWatch Logs' operations and their errors.

use std::io::Write;

use serde_json::{Value, json};

use crate::client::{Answer, Call, TestLake};

pub const HOUR: i64 = 60 * 60 * 1000;
pub const DAY: i64 = 24 * HOUR;
const ARN: &str = "arn:aws:logs:us-west-2:123456789012:log-group:";

/// A request to CloudWatch Logs.
pub fn request(operation: &str, body: impl Into<Vec<u8>>) -> Call {
    let headers = [
        ("x-amz-target", format!("Logs_20140328.{operation}")),
        ("content-type", "application/x-amz-json-1.1".to_owned()),
    ];
    Call {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec(),
        service: "logs",
        ..Call::firehose(operation, body)
    }
}

pub async fn call(lake: &TestLake, operation: &str, input: Value) -> Answer {
    lake.call(request(operation, input.to_string())).await
}

/// What an operation that has to succeed says.
pub async fn ok(lake: &TestLake, operation: &str, input: Value) -> Value {
    let answer = call(lake, operation, input).await;
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
    answer.json()
}

/// Code and message of an operation that has to be refused as the caller's fault.
pub async fn refused(lake: &TestLake, operation: &str, input: Value) -> (String, String) {
    let answer = call(lake, operation, input).await;
    assert_eq!(answer.status, 400, "{operation}: {}", answer.text());
    let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
    (text("__type"), text("message"))
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A lake with the group `g` and in it the stream `s`.
pub async fn lake_with_stream() -> TestLake {
    let lake = TestLake::start().await;
    ok(&lake, "CreateLogGroup", json!({ "logGroupName": "g" })).await;
    create_stream(&lake, "s").await;
    lake
}

pub async fn create_stream(lake: &TestLake, name: &str) {
    let input = json!({ "logGroupName": "g", "logStreamName": name });
    ok(lake, "CreateLogStream", input).await;
}

/// `PutLogEvents`' input for group `g`.
pub fn events(stream: &str, events: &[(i64, &str)]) -> Value {
    let events: Vec<Value> = events
        .iter()
        .map(|(timestamp, message)| json!({ "timestamp": timestamp, "message": message }))
        .collect();
    json!({ "logGroupName": "g", "logStreamName": stream, "logEvents": events })
}

pub async fn put(lake: &TestLake, stream: &str, list: &[(i64, &str)]) {
    let answer = ok(lake, "PutLogEvents", events(stream, list)).await;
    assert_eq!(answer["rejectedLogEventsInfo"], Value::Null);
}

/// Every message of group `g` that FilterLogEvents finds.
pub async fn messages(lake: &TestLake) -> Vec<String> {
    let found = ok(lake, "FilterLogEvents", json!({ "logGroupName": "g" })).await;
    let events = found["events"].as_array().unwrap();
    let message = |event: &Value| event["message"].as_str().unwrap().to_owned();
    events.iter().map(message).collect()
}

#[tokio::test]
async fn groups_are_created_described_and_deleted() {
    let lake = TestLake::start().await;
    let input = json!({ "logGroupName": "/ecs/web", "tags": { "team": "blue" }, "logGroupClass": "INFREQUENT_ACCESS" });
    assert_eq!(ok(&lake, "CreateLogGroup", input.clone()).await, json!({}));
    assert_eq!(
        refused(&lake, "CreateLogGroup", input).await,
        (
            "ResourceAlreadyExistsException".to_owned(),
            "The specified log group already exists".to_owned()
        )
    );
    let described = ok(&lake, "DescribeLogGroups", json!({})).await;
    let created = described["logGroups"][0]["creationTime"].as_i64().unwrap();
    assert!((created - now()).abs() < HOUR);
    assert_eq!(
        described,
        json!({ "logGroups": [{
            "logGroupName": "/ecs/web",
            "creationTime": created,
            "metricFilterCount": 0,
            "arn": format!("{ARN}/ecs/web:*"),
            "logGroupArn": format!("{ARN}/ecs/web"),
            "storedBytes": 0,
            "logGroupClass": "INFREQUENT_ACCESS",
            "deletionProtectionEnabled": false,
        }] })
    );
    let name = json!({ "logGroupName": "/ecs/web" });
    assert_eq!(ok(&lake, "DeleteLogGroup", name.clone()).await, json!({}));
    for operation in [
        "DeleteLogGroup",
        "DescribeLogStreams",
        "FilterLogEvents",
        "DeleteRetentionPolicy",
    ] {
        let missing = refused(&lake, operation, name.clone()).await;
        let told = "The specified log group does not exist.".to_owned();
        assert_eq!(
            missing,
            ("ResourceNotFoundException".to_owned(), told),
            "{operation}"
        );
    }
    assert_eq!(
        ok(&lake, "DescribeLogGroups", json!({})).await,
        json!({ "logGroups": [] })
    );
    let left = std::fs::read_dir(lake.path("logs")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_group_is_said() {
    let lake = TestLake::start().await;
    let invalid = "InvalidParameterException";
    for (input, told) in [
        (
            json!({}),
            "Value null at 'logGroupName' failed to satisfy constraint: Member must not be null",
        ),
        (
            json!({ "logGroupName": "" }),
            "length greater than or equal to 1",
        ),
        (
            json!({ "logGroupName": "x".repeat(513) }),
            "both must have length less than or equal to 512.",
        ),
        (
            json!({ "logGroupName": "a b" }),
            r"Value 'a b' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+",
        ),
        (json!({ "logGroupName": "aws/x" }), "reserved"),
        (
            json!({ "logGroupName": "g", "logGroupClass": "COLD" }),
            "enum value set: [STANDARD, ",
        ),
        (
            json!({ "logGroupName": "g", "kmsKeyId": "arn:aws:kms:x" }),
            "The specified KMS key does not exist",
        ),
        (
            json!({ "logGroupName": "g", "tags": { "": "x" } }),
            "tags.key",
        ),
        (
            json!({ "logGroupName": "g", "tags": { "k": "x".repeat(257) } }),
            "tags.value",
        ),
    ] {
        let (code, message) = refused(&lake, "CreateLogGroup", input).await;
        assert_eq!(code, invalid);
        assert!(message.contains(told), "{message}");
    }
    let (code, _) = refused(&lake, "CreateLogGroup", json!({ "logGroupName": 5 })).await;
    assert_eq!(code, "SerializationException");
    for operation in ["StartQuery", "PutSubscriptionFilter", "Nonsense", ""] {
        let (code, _) = refused(&lake, operation, json!({})).await;
        assert_eq!(code, "UnknownOperationException", "{operation}");
    }
}

#[tokio::test]
async fn groups_are_found_by_prefix_and_pattern_page_by_page() {
    let lake = TestLake::start().await;
    for index in 0..7 {
        for prefix in ["/a/", "b-"] {
            let input = json!({ "logGroupName": format!("{prefix}{index}") });
            ok(&lake, "CreateLogGroup", input).await;
        }
    }
    let names = |answer: &Value| -> Vec<String> {
        let groups = answer["logGroups"].as_array().unwrap();
        let name = |group: &Value| group["logGroupName"].as_str().unwrap().to_owned();
        groups.iter().map(name).collect()
    };
    let mut found = Vec::new();
    let mut input = json!({ "logGroupNamePrefix": "/a", "limit": 3 });
    for pages in 1.. {
        let answer = ok(&lake, "DescribeLogGroups", input.clone()).await;
        found.extend(names(&answer));
        match answer["nextToken"].as_str() {
            Some(token) => input["nextToken"] = token.into(),
            None => {
                assert_eq!(pages, 3);
                break;
            }
        }
    }
    let expected: Vec<String> = (0..7).map(|index| format!("/a/{index}")).collect();
    assert_eq!(found, expected);
    for (operation, input, expected) in [
        (
            "DescribeLogGroups",
            json!({ "logGroupNamePattern": "-3" }),
            &["b-3"][..],
        ),
        (
            "DescribeLogGroups",
            json!({ "logGroupIdentifiers": ["b-1", format!("{ARN}/a/2")] }),
            &["/a/2", "b-1"],
        ),
        (
            "DescribeLogGroups",
            json!({ "logGroupClass": "DELIVERY" }),
            &[],
        ),
        (
            "ListLogGroups",
            json!({ "logGroupNamePattern": "^b-1|a/2" }),
            &["/a/2", "b-1"],
        ),
    ] {
        assert_eq!(names(&ok(&lake, operation, input).await), expected);
    }
    for (input, told) in [
        (
            json!({ "logGroupNamePrefix": "a", "logGroupNamePattern": "b" }),
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ),
        (
            json!({ "limit": 51 }),
            "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50",
        ),
        (
            json!({ "nextToken": "x" }),
            "The specified nextToken is invalid.",
        ),
    ] {
        let refusal = refused(&lake, "DescribeLogGroups", input).await;
        assert_eq!(
            refusal,
            ("InvalidParameterException".to_owned(), told.to_owned())
        );
    }
}

#[tokio::test]
async fn protected_groups_are_not_deleted() {
    let lake = TestLake::start().await;
    let input = json!({ "logGroupName": "g", "deletionProtectionEnabled": true });
    ok(&lake, "CreateLogGroup", input).await;
    let name = json!({ "logGroupName": "g" });
    let (code, _) = refused(&lake, "DeleteLogGroup", name.clone()).await;
    assert_eq!(code, "ValidationException");
    let input =
        json!({ "logGroupIdentifier": format!("{ARN}g"), "deletionProtectionEnabled": false });
    ok(&lake, "PutLogGroupDeletionProtection", input).await;
    ok(&lake, "DeleteLogGroup", name).await;
}

#[tokio::test]
async fn tags_have_two_families_of_operations() {
    let lake = lake_with_stream().await;
    let arn = format!("{ARN}g");
    let both = async |lake: &TestLake| {
        let new = ok(lake, "ListTagsForResource", json!({ "resourceArn": arn })).await;
        let old = ok(lake, "ListTagsLogGroup", json!({ "logGroupName": "g" })).await;
        assert_eq!(new, old);
        new["tags"].clone()
    };
    let input = json!({ "resourceArn": arn, "tags": { "a": "1", "b": "2" } });
    ok(&lake, "TagResource", input).await;
    let input = json!({ "logGroupName": "g", "tags": { "b": "3", "c": "" } });
    ok(&lake, "TagLogGroup", input).await;
    assert_eq!(both(&lake).await, json!({ "a": "1", "b": "3", "c": "" }));
    let input = json!({ "resourceArn": arn, "tagKeys": ["a", "none"] });
    ok(&lake, "UntagResource", input).await;
    ok(
        &lake,
        "UntagLogGroup",
        json!({ "logGroupName": "g", "tags": ["c"] }),
    )
    .await;
    assert_eq!(both(&lake).await, json!({ "b": "3" }));
    let many: serde_json::Map<String, Value> = (0..50)
        .map(|index| (format!("k{index}"), "v".into()))
        .collect();
    let (code, _) = refused(
        &lake,
        "TagResource",
        json!({ "resourceArn": arn, "tags": many }),
    )
    .await;
    assert_eq!(code, "TooManyTagsException");
    let (code, _) = refused(
        &lake,
        "ListTagsForResource",
        json!({ "resourceArn": format!("{ARN}none") }),
    )
    .await;
    assert_eq!(code, "ResourceNotFoundException");
    let lake = lake.restart().await;
    assert_eq!(both(&lake).await, json!({ "b": "3" }));
}

#[tokio::test]
async fn streams_are_created_described_and_deleted() {
    let lake = lake_with_stream().await;
    let input = json!({ "logGroupName": "g", "logStreamName": "s" });
    assert_eq!(
        refused(&lake, "CreateLogStream", input.clone()).await,
        (
            "ResourceAlreadyExistsException".to_owned(),
            "The specified log stream already exists".to_owned()
        )
    );
    let described = ok(&lake, "DescribeLogStreams", json!({ "logGroupName": "g" })).await;
    let stream = described["logStreams"][0].as_object().unwrap();
    let members: Vec<&String> = stream.keys().collect();
    assert_eq!(
        members,
        ["logStreamName", "creationTime", "arn", "storedBytes"]
    );
    assert_eq!(stream["arn"], format!("{ARN}g:log-stream:s"));

    let time = now();
    put(&lake, "s", &[(time - 5, "older"), (time, "newer")]).await;
    put(&lake, "s", &[(time - 9, "oldest")]).await;
    let described = ok(
        &lake,
        "DescribeLogStreams",
        json!({ "logGroupIdentifier": format!("{ARN}g") }),
    )
    .await;
    let stream = &described["logStreams"][0];
    assert_eq!(
        (
            &stream["firstEventTimestamp"],
            &stream["lastEventTimestamp"],
            &stream["storedBytes"]
        ),
        (&json!(time - 9), &json!(time), &json!(0))
    );
    assert!(stream["lastIngestionTime"].as_i64().unwrap() >= time);
    assert_eq!(stream["uploadSequenceToken"].as_str().unwrap().len(), 56);
    let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"][0]["storedBytes"], 5 + 5 + 6 + 3 * 26);

    ok(&lake, "DeleteLogStream", input.clone()).await;
    let missing = refused(&lake, "DeleteLogStream", input.clone()).await;
    assert_eq!(missing.1, "The specified log stream does not exist.");
    let missing = refused(&lake, "GetLogEvents", input.clone()).await;
    assert_eq!(missing.0, "ResourceNotFoundException");
    assert!(messages(&lake).await.is_empty());
    // One of the same name has nothing of the old one.
    create_stream(&lake, "s").await;
    put(&lake, "s", &[(time, "new")]).await;
    assert_eq!(messages(&lake).await, ["new"]);

    for (operation, input, told) in [
        (
            "CreateLogStream",
            json!({ "logGroupName": "g", "logStreamName": "a:b" }),
            "regular expression pattern: [^:*]*",
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "g" }),
            "Value null at 'logStreamName'",
        ),
        (
            "CreateLogStream",
            json!({ "logGroupName": "g", "logStreamName": "ä".repeat(513) }),
            "less than or equal to 512.",
        ),
        (
            "DescribeLogStreams",
            json!({}),
            "Value null at 'logGroupName'",
        ),
        (
            "DescribeLogStreams",
            json!({ "logGroupName": "g", "logGroupIdentifier": "g" }),
            "mutually exclusive",
        ),
        (
            "DescribeLogStreams",
            json!({ "logGroupName": "g", "orderBy": "Size" }),
            "enum value set: [LogStreamName, LastEventTime]",
        ),
        (
            "DescribeLogStreams",
            json!({ "logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "x" }),
            "Cannot order by LastEventTime with a logStreamNamePrefix.",
        ),
        (
            "DescribeLogStreams",
            json!({ "logGroupName": "g", "limit": 0 }),
            "greater than or equal to 1",
        ),
    ] {
        let (code, message) = refused(&lake, operation, input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(told), "{message}");
    }
}

#[tokio::test]
async fn streams_are_sorted_by_name_or_time() {
    let lake = lake_with_stream().await;
    let time = now();
    for (index, name) in ["web/b", "web/c", "web/a"].into_iter().enumerate() {
        create_stream(&lake, name).await;
        put(&lake, name, &[(time + index as i64, "x")]).await;
    }
    for (more, expected) in [
        (json!({}), ["s", "web/a", "web/b", "web/c"].as_slice()),
        (
            json!({ "descending": true }),
            &["web/c", "web/b", "web/a", "s"],
        ),
        (
            json!({ "logStreamNamePrefix": "web/" }),
            &["web/a", "web/b", "web/c"],
        ),
        // A stream without events is older than all others.
        (
            json!({ "orderBy": "LastEventTime" }),
            &["s", "web/b", "web/c", "web/a"],
        ),
        (
            json!({ "orderBy": "LastEventTime", "descending": true }),
            &["web/a", "web/c", "web/b", "s"],
        ),
    ] {
        for limit in [1, 2, 50] {
            let mut input = json!({ "logGroupName": "g", "limit": limit });
            input
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let mut found = Vec::new();
            loop {
                let answer = ok(&lake, "DescribeLogStreams", input.clone()).await;
                let streams = answer["logStreams"].as_array().unwrap();
                found.extend(
                    streams
                        .iter()
                        .map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()),
                );
                match answer["nextToken"].as_str() {
                    Some(token) => input["nextToken"] = token.into(),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{more} {limit}");
        }
    }
}

#[tokio::test]
async fn puts_are_checked_against_every_limit() {
    let lake = lake_with_stream().await;
    let time = now();
    let answer = ok(&lake, "PutLogEvents", events("s", &[(time, "x")])).await;
    assert_eq!(answer["nextSequenceToken"].as_str().unwrap().len(), 56);
    assert_eq!(answer.as_object().unwrap().len(), 1);

    let full = "x".repeat(1024 * 1024 - 26);
    put(&lake, "s", &[(time, &full)]).await;
    let half = "ü".repeat(262_144 - 13);
    put(&lake, "s", &[(time, &half), (time, &half)]).await;
    let most: Vec<(i64, &str)> = (0..10_000).map(|_| (time, "x")).collect();
    put(&lake, "s", &most).await;
    put(&lake, "s", &[(time - DAY, "x"), (time, "x")]).await;

    let over = format!("{full}x");
    let half_over = format!("{half}x");
    let mut too_many = most;
    too_many.push((time, "x"));
    let put_of = |list: &[(i64, &str)]| events("s", list);
    for (input, told) in [
        (
            put_of(&[]),
            "Value at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            put_of(&too_many),
            "Member must have length less than or equal to 10000",
        ),
        (
            put_of(&[(time, &over)]),
            "Log event too large: 1048577 bytes exceeds limit of 1048576",
        ),
        (
            put_of(&[(time, &half), (time, &half_over)]),
            "Upload too large: 1048577 bytes exceeds limit of 1048576",
        ),
        (
            put_of(&[(time, "x"), (time - 1, "x")]),
            "Log events in a single PutLogEvents request must be in chronological order.",
        ),
        (
            put_of(&[(time - DAY - 1, "x"), (time, "x")]),
            "cannot span more than 24 hours.",
        ),
        (
            put_of(&[(time, "x"), (time, "")]),
            "Value '' at 'logEvents.2.member.message' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            put_of(&[(-1, "x")]),
            "Value '-1' at 'logEvents.1.member.timestamp'",
        ),
        (
            json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": [{ "message": null }] }),
            "Value null at 'logEvents.1.member.message'",
        ),
        (
            json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": [{ "message": "x" }] }),
            "Value null at 'logEvents.1.member.timestamp'",
        ),
        (
            json!({ "logGroupName": "g", "logStreamName": "s" }),
            "Value null at 'logEvents'",
        ),
        (
            json!({ "logGroupName": "g", "logEvents": [{ "message": "x", "timestamp": time }] }),
            "Value null at 'logStreamName'",
        ),
    ] {
        let (code, message) = refused(&lake, "PutLogEvents", input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(
            message.ends_with(told) || message.contains(told),
            "{message}"
        );
    }
    let missing = refused(&lake, "PutLogEvents", events("none", &[(time, "x")])).await;
    assert_eq!(
        missing,
        (
            "ResourceNotFoundException".to_owned(),
            "The specified log stream does not exist.".to_owned()
        )
    );
    let mut input = events("s", &[(time, "x")]);
    input["logGroupName"] = "none".into();
    let missing = refused(&lake, "PutLogEvents", input).await;
    assert_eq!(
        missing,
        (
            "ResourceNotFoundException".to_owned(),
            "The specified log group does not exist.".to_owned()
        )
    );
    let mut input = events("s", &[(time, "x")]);
    input["logEvents"][0]["message"] = 5.into();
    let (code, _) = refused(&lake, "PutLogEvents", input).await;
    assert_eq!(code, "SerializationException");
}

#[tokio::test]
async fn events_out_of_time_are_rejected_one_by_one() {
    let lake = lake_with_stream().await;
    let time = now();
    let list = [
        (time - 20 * DAY, "too old"),
        (time - 15 * DAY, "too old"),
        (time - HOUR, "fine"),
        (time, "fine"),
        (time + 3 * HOUR, "too new"),
    ];
    let answer = ok(&lake, "PutLogEvents", events("s", &list)).await;
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({ "tooOldLogEventEndIndex": 2, "tooNewLogEventStartIndex": 4 })
    );
    assert_eq!(messages(&lake).await, ["fine", "fine"]);
    ok(
        &lake,
        "PutRetentionPolicy",
        json!({ "logGroupName": "g", "retentionInDays": 3 }),
    )
    .await;
    let answer = ok(
        &lake,
        "PutLogEvents",
        events("s", &[(time - 4 * DAY, "expired")]),
    )
    .await;
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({ "expiredLogEventEndIndex": 1 })
    );
    assert!(answer["nextSequenceToken"].is_string());
    assert_eq!(messages(&lake).await.len(), 2);
    // Nothing to keep is no reason to overlook that there is no such stream.
    let (code, _) = refused(
        &lake,
        "PutLogEvents",
        events("none", &[(time - 4 * DAY, "x")]),
    )
    .await;
    assert_eq!(code, "ResourceNotFoundException");
}

#[tokio::test]
async fn retention_takes_certain_days_and_hides_what_is_older() {
    let lake = lake_with_stream().await;
    let time = now();
    put(
        &lake,
        "s",
        &[
            (time - 2 * DAY, "old"),
            (time - DAY - HOUR, "older than a day"),
        ],
    )
    .await;
    put(&lake, "s", &[(time, "new")]).await;
    let set = |days: i64| json!({ "logGroupName": "g", "retentionInDays": days });
    for days in [0, 2, 3654, -1, i64::MAX] {
        let (code, _) = refused(&lake, "PutRetentionPolicy", set(days)).await;
        assert_eq!(code, "InvalidParameterException", "{days}");
    }
    for days in [3653, 3] {
        ok(&lake, "PutRetentionPolicy", set(days)).await;
        let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
        assert_eq!(groups["logGroups"][0]["retentionInDays"], days);
        assert_eq!(messages(&lake).await.len(), 3);
    }
    ok(&lake, "PutRetentionPolicy", set(1)).await;
    assert_eq!(messages(&lake).await, ["new"]);
    let input = json!({ "logGroupName": "g", "logStreamName": "s", "startFromHead": true });
    let read = ok(&lake, "GetLogEvents", input).await;
    assert_eq!(read["events"].as_array().unwrap().len(), 1);
    ok(
        &lake,
        "DeleteRetentionPolicy",
        json!({ "logGroupName": "g" }),
    )
    .await;
    let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"][0]["retentionInDays"], Value::Null);
}

#[tokio::test]
async fn compressed_bodies_are_taken() {
    let lake = lake_with_stream().await;
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let body = events("s", &[(now(), "packed")]).to_string();
    let send = async |body: Vec<u8>, encoding: &str| {
        let call = request("PutLogEvents", body).header("content-encoding", encoding);
        lake.call(call).await
    };
    assert_eq!(send(gzip(body.as_bytes()), "gzip").await.status, 200);
    assert_eq!(messages(&lake).await, ["packed"]);
    let bomb = gzip(&vec![b' '; 9 * 1024 * 1024]);
    let cut = gzip(body.as_bytes())[..20].to_vec();
    for (body, encoding) in [
        (body.clone().into_bytes(), "gzip"),
        (bomb, "gzip"),
        (cut, "gzip"),
        (body.into_bytes(), "br"),
    ] {
        let answer = send(body, encoding).await;
        assert_eq!(answer.error(), (400, "SerializationException".to_owned()));
    }
}

#[tokio::test]
async fn requests_have_to_be_signed_for_this_service() {
    let lake = TestLake::start().await;
    let call = Call {
        service: "firehose",
        ..request("DescribeLogGroups", "{}")
    };
    let answer = lake.call(call).await;
    assert_eq!(
        answer.error(),
        (400, "InvalidSignatureException".to_owned())
    );
    let call = Call {
        secret: "wrong",
        ..request("DescribeLogGroups", "{}")
    };
    let answer = lake.call(call).await;
    assert_eq!(
        answer.error(),
        (400, "InvalidSignatureException".to_owned())
    );
    let call = Call {
        access_key_id: "AKIDOTHER",
        ..request("DescribeLogGroups", "{}")
    };
    assert_eq!(
        lake.call(call).await.error(),
        (400, "UnrecognizedClientException".to_owned())
    );
}
