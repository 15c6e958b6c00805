//! PutLogEvents: limits, rejections, retention; and how requests of CloudWatch Logs have to be signed.

use std::io::Write;

use serde_json::{Value, json};

use crate::client::{Call, TestLake};
use crate::logs::{DAY, HOUR, events, lake_with_stream, messages, now, ok, put, refused, request};

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
    let counters = lake.lake.counters().logs;
    assert_eq!(
        (counters.put_requests, counters.events, counters.bytes),
        (2, 2, 8)
    );
    assert_eq!(
        (
            counters.too_old_events,
            counters.too_new_events,
            counters.expired_events
        ),
        (2, 1, 1)
    );
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

#[tokio::test]
async fn bodies_that_are_no_requests_are_refused() {
    let lake = lake_with_stream().await;
    let event = |message: &str| {
        let time = now();
        format!(
            r#"{{"logGroupName":"g","logStreamName":"s","logEvents":[{{"timestamp":{time},"message":{message}}}]}}"#
        )
    };
    let deep = format!("{{\"entity\":{}", "[".repeat(100_000));
    for body in [
        Vec::new(),
        b"null".to_vec(),
        b"[]".to_vec(),
        deep.into_bytes(),
        event(r#""\ud800""#).into_bytes(),
        event("[]").into_bytes(),
        b"{\"logGroupName\":\"\xff\"}".to_vec(),
        event("\"cut").into_bytes(),
    ] {
        let answer = lake.call(request("PutLogEvents", body.clone())).await;
        assert_eq!(
            answer.error(),
            (400, "SerializationException".to_owned()),
            "{}",
            body.escape_ascii()
        );
    }
    let answer = lake
        .call(request("PutLogEvents", vec![b' '; 9 * 1024 * 1024]))
        .await;
    assert_eq!(answer.status, 413);
    let every_byte: String = (1..=0x7f_u8)
        .map(char::from)
        .chain("é€😀".chars())
        .collect();
    put(&lake, "s", &[(now(), &every_byte)]).await;
    assert_eq!(messages(&lake).await, [every_byte]);
}
