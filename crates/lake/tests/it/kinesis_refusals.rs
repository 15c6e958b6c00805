//! What Kinesis refuses, and as what.

use serde_json::{Value, json};

use crate::kinesis::{SHARD, data, get, iterator, kinesis, lake_with_stream, ok, put};

#[tokio::test]
async fn puts_are_refused_for_what_is_wrong_with_them() {
    let lake = lake_with_stream(1).await;
    let record = |data: Value| json!({ "PartitionKey": "k", "Data": data });
    let single = |more: Value| {
        let mut input = json!({ "StreamName": "logs", "PartitionKey": "k", "Data": "" });
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        ("PutRecord", input)
    };
    let many = |records: Vec<Value>| {
        (
            "PutRecords",
            json!({ "StreamName": "logs", "Records": records }),
        )
    };
    let mib = data(&"x".repeat(1024 * 1024));
    let less = data(&"x".repeat(1024 * 1024 - 1));
    let beyond = "340282366920938463463374607431768211456";
    for ((operation, input), code, told) in [
        (
            single(json!({ "Data": mib })),
            "ValidationException",
            "less than or equal to 1048576",
        ),
        (
            single(json!({ "Data": "%" })),
            "SerializationException",
            "base64",
        ),
        (
            single(json!({ "Data": null })),
            "ValidationException",
            "'data'",
        ),
        (
            single(json!({ "PartitionKey": "" })),
            "ValidationException",
            "'partitionKey'",
        ),
        (
            single(json!({ "PartitionKey": "k".repeat(257) })),
            "ValidationException",
            "'partitionKey'",
        ),
        (
            single(json!({ "ExplicitHashKey": "-1" })),
            "ValidationException",
            "'explicitHashKey'",
        ),
        (
            single(json!({ "ExplicitHashKey": beyond })),
            "InvalidArgumentException",
            beyond,
        ),
        (
            single(json!({ "StreamName": "other" })),
            "ResourceNotFoundException",
            "other",
        ),
        (
            single(json!({ "StreamName": "a/b" })),
            "ValidationException",
            "'streamName'",
        ),
        (
            single(json!({ "StreamName": null })),
            "InvalidArgumentException",
            "StreamARN",
        ),
        (
            single(json!({ "StreamARN": "x" })),
            "InvalidArgumentException",
            "x is not",
        ),
        (many(vec![]), "ValidationException", "'records'"),
        (
            many(vec![record(json!("")); 501]),
            "ValidationException",
            "less than or equal to 500",
        ),
        (
            many(vec![record(json!(less)); 11]),
            "InvalidArgumentException",
            "10 MB",
        ),
    ] {
        let answer = kinesis(&lake, operation, input).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{told}");
        assert!(answer.text().contains(told), "{told}: {}", answer.text());
    }
    let start = iterator(&lake, SHARD, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    assert_eq!(
        get(&lake, &start, 10).await.0,
        [""; 0],
        "nothing of it was kept"
    );

    // At the limits: a full request, read back in answers that are full.
    let answer = ok(&lake, "PutRecords", many(vec![record(json!(less)); 10]).1).await;
    assert_eq!(answer["FailedRecordCount"], 0);
    put(&lake, "k", "last").await;
    let (texts, answer) = get(&lake, &start, 10_000).await;
    assert_eq!(texts.len(), 10);
    assert!(answer["MillisBehindLatest"].is_u64());
    let (texts, _) = get(&lake, answer["NextShardIterator"].as_str().unwrap(), 10_000).await;
    assert_eq!(texts, ["last"]);
    // Larger records are taken where a stream says so.
    ok(
        &lake,
        "UpdateMaxRecordSize",
        json!({ "StreamName": "logs", "MaxRecordSizeInKiB": 2048 }),
    )
    .await;
    ok(&lake, "PutRecord", single(json!({ "Data": mib })).1).await;
}

#[tokio::test]
async fn requests_are_refused_for_what_is_wrong_with_them() {
    let lake = lake_with_stream(1).await;
    let start = iterator(&lake, SHARD, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
    let stream = |more: Value| {
        let mut input = json!({ "StreamName": "logs" });
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        input
    };
    let of_shard = |more: Value| {
        let mut input = stream(json!({ "ShardId": SHARD }));
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        input
    };
    let (validation, argument) = ("ValidationException", "InvalidArgumentException");
    for (operation, input, code) in [
        (
            "CreateStream",
            stream(json!({ "ShardCount": 1 })),
            "ResourceInUseException",
        ),
        ("CreateStream", json!({ "StreamName": "s" }), validation),
        (
            "CreateStream",
            json!({ "StreamName": "s", "ShardCount": 0 }),
            validation,
        ),
        (
            "CreateStream",
            json!({ "StreamName": "s", "ShardCount": 500 }),
            "LimitExceededException",
        ),
        (
            "CreateStream",
            json!({ "StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": 1 }),
            validation,
        ),
        (
            "CreateStream",
            json!({ "StreamName": "..", "ShardCount": -1 }),
            validation,
        ),
        (
            "CreateStream",
            json!({ "StreamName": "../s", "ShardCount": 1 }),
            validation,
        ),
        (
            "CreateStream",
            json!({ "ShardCount": "x" }),
            "SerializationException",
        ),
        (
            "DeleteStream",
            json!({ "StreamName": "s" }),
            "ResourceNotFoundException",
        ),
        ("ListStreams", json!({ "Limit": 0 }), validation),
        ("ListStreams", json!({ "NextToken": "%" }), argument),
        ("ListShards", stream(json!({ "NextToken": "eA" })), argument),
        ("ListShards", json!({ "NextToken": "eA" }), argument),
        (
            "ListShards",
            stream(json!({ "ShardFilter": { "Type": "X" } })),
            validation,
        ),
        ("GetRecords", json!({ "ShardIterator": "x" }), argument),
        (
            "GetRecords",
            json!({ "ShardIterator": start, "Limit": 10_001 }),
            validation,
        ),
        ("GetRecords", json!({}), validation),
        (
            "GetShardIterator",
            stream(json!({ "ShardId": "shardId-1", "ShardIteratorType": "LATEST" })),
            "ResourceNotFoundException",
        ),
        (
            "GetShardIterator",
            of_shard(json!({ "ShardIteratorType": "FIRST" })),
            validation,
        ),
        (
            "GetShardIterator",
            of_shard(json!({ "ShardIteratorType": "AT_TIMESTAMP" })),
            argument,
        ),
        (
            "GetShardIterator",
            of_shard(
                json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 99_999_999_999_u64 }),
            ),
            argument,
        ),
        (
            "GetShardIterator",
            of_shard(json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER" })),
            argument,
        ),
        (
            "GetShardIterator",
            of_shard(
                json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "1" }),
            ),
            argument,
        ),
        (
            "IncreaseStreamRetentionPeriod",
            stream(json!({ "RetentionPeriodHours": 23 })),
            argument,
        ),
        (
            "IncreaseStreamRetentionPeriod",
            stream(json!({ "RetentionPeriodHours": 8761 })),
            argument,
        ),
        (
            "IncreaseStreamRetentionPeriod",
            stream(json!({})),
            validation,
        ),
        (
            "DecreaseStreamRetentionPeriod",
            stream(json!({ "RetentionPeriodHours": 25 })),
            argument,
        ),
        ("SplitShard", json!({}), "UnknownOperationException"),
        ("Nonsense", json!({}), "UnknownOperationException"),
        ("", json!({}), "UnknownOperationException"),
        ("PutRecord", json!([]), "SerializationException"),
    ] {
        let answer = kinesis(&lake, operation, input.clone()).await;
        assert_eq!(
            answer.error(),
            (400, code.to_owned()),
            "{operation} {input}"
        );
    }
    let names = ok(&lake, "ListStreams", json!({})).await;
    assert_eq!(names["StreamNames"], json!(["logs"]));
    // An iterator of a stream that went away is not one of the stream that has its name now.
    ok(&lake, "DeleteStream", stream(json!({}))).await;
    ok(&lake, "CreateStream", stream(json!({ "ShardCount": 1 }))).await;
    let answer = kinesis(&lake, "GetRecords", json!({ "ShardIterator": start })).await;
    assert_eq!(
        answer.error(),
        (400, "ResourceNotFoundException".to_owned())
    );
}
