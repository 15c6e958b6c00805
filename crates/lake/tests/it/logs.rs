//! CloudWatch Logs' operations on groups and streams, and their errors.

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
async fn a_group_is_named_in_one_way() {
    let lake = lake_with_stream().await;
    let input = json!({ "logGroupName": "g", "logGroupIdentifier": "g" });
    for operation in ["DescribeLogStreams", "FilterLogEvents"] {
        assert_eq!(
            refused(&lake, operation, input.clone()).await,
            (
                "ValidationException".to_owned(),
                "LogGroup name and LogGroup ARN are mutually exclusive parameters.".to_owned()
            )
        );
    }
    let other = "arn:aws:logs:eu-west-1:123456789012:log-group:g";
    for (identifier, code) in [
        (other, "ResourceNotFoundException"),
        (
            "arn:aws:logs:us-west-2:123456789012:log-group:g:*",
            "InvalidParameterException",
        ),
        ("no group", "InvalidParameterException"),
    ] {
        let input = json!({ "logGroupIdentifier": identifier });
        let refusal = refused(&lake, "FilterLogEvents", input).await;
        assert_eq!(refusal.0, code, "{identifier}");
    }
}
