//! Kinesis's operations and their errors.

use serde_json::{Value, json};

use crate::client::{Answer, Call, TestLake};

pub async fn kinesis(lake: &TestLake, operation: &str, input: Value) -> Answer {
    lake.call(Call::kinesis(operation, input.to_string())).await
}

/// Calls an operation that has to succeed.
pub async fn ok(lake: &TestLake, operation: &str, input: Value) -> Value {
    let answer = kinesis(lake, operation, input).await;
    assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
    match answer.body.is_empty() {
        true => Value::Null,
        false => answer.json(),
    }
}

pub async fn lake_with_stream(shards: u32) -> TestLake {
    let lake = TestLake::start().await;
    let input = json!({ "StreamName": "logs", "ShardCount": shards });
    assert_eq!(ok(&lake, "CreateStream", input).await, Value::Null);
    lake
}

pub fn data(text: &str) -> String {
    base64_simd::STANDARD.encode_to_string(text)
}

pub async fn put(lake: &TestLake, key: &str, text: &str) -> Value {
    let input = json!({ "StreamName": "logs", "PartitionKey": key, "Data": data(text) });
    ok(lake, "PutRecord", input).await
}

pub async fn iterator(lake: &TestLake, shard: &str, more: Value) -> String {
    let mut input = json!({ "StreamName": "logs", "ShardId": shard });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = ok(lake, "GetShardIterator", input).await;
    answer["ShardIterator"].as_str().unwrap().to_owned()
}

pub const SHARD: &str = "shardId-000000000000";

/// The records from an iterator on, as texts, and the whole answer.
pub async fn get(lake: &TestLake, iterator: &str, limit: i64) -> (Vec<String>, Value) {
    let answer = ok(
        lake,
        "GetRecords",
        json!({ "ShardIterator": iterator, "Limit": limit }),
    )
    .await;
    let text = |record: &Value| {
        let data = record["Data"].as_str().unwrap();
        String::from_utf8(base64_simd::STANDARD.decode_to_vec(data).unwrap()).unwrap()
    };
    let texts = answer["Records"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    (texts, answer)
}

#[tokio::test]
async fn streams_come_and_go() {
    let lake = lake_with_stream(2).await;
    let on_demand =
        json!({ "StreamName": "demand", "StreamModeDetails": { "StreamMode": "ON_DEMAND" } });
    ok(&lake, "CreateStream", on_demand).await;
    let lake = lake.restart().await;
    let list = ok(&lake, "ListStreams", json!({ "Limit": 1 })).await;
    assert_eq!(
        (&list["StreamNames"], &list["HasMoreStreams"]),
        (&json!(["demand"]), &json!(true))
    );
    let rest = ok(
        &lake,
        "ListStreams",
        json!({ "NextToken": list["NextToken"] }),
    )
    .await;
    assert_eq!(
        (&rest["StreamNames"], &rest["HasMoreStreams"]),
        (&json!(["logs"]), &json!(false))
    );
    assert_eq!(
        rest["StreamSummaries"][0]["StreamModeDetails"]["StreamMode"],
        "PROVISIONED"
    );

    let described = ok(&lake, "DescribeStream", json!({ "StreamName": "logs" })).await;
    let described = &described["StreamDescription"];
    let arn = "arn:aws:kinesis:us-west-2:123456789012:stream/logs";
    assert_eq!(
        (&described["StreamStatus"], &described["StreamARN"]),
        (&json!("ACTIVE"), &json!(arn))
    );
    assert_eq!(
        (
            &described["RetentionPeriodHours"],
            &described["HasMoreShards"]
        ),
        (&json!(24), &json!(false))
    );
    let half = "170141183460469231731687303715884105728";
    assert_eq!(
        described["Shards"][1]["HashKeyRange"]["StartingHashKey"],
        half
    );
    let start = &described["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"];
    assert_eq!(start.as_str().unwrap().len(), 56);
    let summary = ok(&lake, "DescribeStreamSummary", json!({ "StreamARN": arn })).await;
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(
        (&summary["OpenShardCount"], &summary["MaxRecordSizeInKiB"]),
        (&json!(2), &json!(1024))
    );
    let limits = ok(&lake, "DescribeLimits", json!({})).await;
    assert_eq!(
        (&limits["OpenShardCount"], &limits["OnDemandStreamCount"]),
        (&json!(6), &json!(1))
    );

    let page = ok(
        &lake,
        "ListShards",
        json!({ "StreamName": "demand", "MaxResults": 3 }),
    )
    .await;
    assert_eq!(page["Shards"].as_array().unwrap().len(), 3);
    let rest = ok(
        &lake,
        "ListShards",
        json!({ "NextToken": page["NextToken"] }),
    )
    .await;
    assert_eq!(rest["Shards"][0]["ShardId"], "shardId-000000000003");
    assert_eq!(rest.get("NextToken"), None);

    ok(&lake, "DeleteStream", json!({ "StreamName": "demand" })).await;
    let gone = kinesis(&lake, "DescribeStream", json!({ "StreamName": "demand" })).await;
    assert_eq!(gone.error(), (400, "ResourceNotFoundException".to_owned()));
    assert!(
        gone.text()
            .contains("Stream demand under account 123456789012 not found.")
    );
    assert!(!lake.path("data-streams/demand").exists());
}

#[tokio::test]
async fn records_are_read_in_order_and_over_restarts() {
    let lake = lake_with_stream(1).await;
    let latest = iterator(&lake, SHARD, json!({ "ShardIteratorType": "LATEST" })).await;
    let one = put(&lake, "k", "one").await;
    assert_eq!(
        (&one["ShardId"], &one["EncryptionType"]),
        (&json!(SHARD), &json!("NONE"))
    );
    let two = put(&lake, "ä\"", "two").await;
    assert!(one["SequenceNumber"].as_str() < two["SequenceNumber"].as_str());
    let lake = lake.restart().await;
    let three = put(&lake, "k", "three").await;
    assert!(two["SequenceNumber"].as_str() < three["SequenceNumber"].as_str());

    // An iterator from before the restart goes on, and the one that it leads to.
    let (texts, answer) = get(&lake, &latest, 2).await;
    assert_eq!(texts, ["one", "two"]);
    let record = &answer["Records"][1];
    assert_eq!(
        (&record["PartitionKey"], &record["SequenceNumber"]),
        (&json!("ä\""), &two["SequenceNumber"])
    );
    let (texts, answer) = get(&lake, answer["NextShardIterator"].as_str().unwrap(), 10).await;
    assert_eq!(
        (texts, &answer["MillisBehindLatest"]),
        (vec!["three".to_owned()], &json!(0))
    );
    let next = answer["NextShardIterator"].as_str().unwrap();
    assert_eq!(get(&lake, next, 10).await.0, [""; 0]);
    put(&lake, "k", "four").await;
    // Iterators are not used up.
    for _ in 0..2 {
        assert_eq!(get(&lake, next, 10).await.0, ["four"]);
    }

    let number = &two["SequenceNumber"];
    let answer = get(&lake, &latest, 10).await.1;
    let arrival = |record: usize| &answer["Records"][record]["ApproximateArrivalTimestamp"];
    // Records of one millisecond arrived at the same time.
    let from = (0..3).find(|record| arrival(*record) == arrival(2));
    let all = ["one", "two", "three", "four"];
    let none: &[&str] = &[];
    for (more, expected) in [
        (json!({ "ShardIteratorType": "TRIM_HORIZON" }), &all[..]),
        (json!({ "ShardIteratorType": "LATEST" }), none),
        (
            json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": number }),
            &["two", "three", "four"],
        ),
        (
            json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": number }),
            &["three", "four"],
        ),
        (
            json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 0 }),
            &all,
        ),
        (
            json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": arrival(2) }),
            &all[from.expect("at least the record itself")..],
        ),
    ] {
        let iterator = iterator(&lake, SHARD, more.clone()).await;
        assert_eq!(get(&lake, &iterator, 10).await.0, expected, "{more}");
    }
}

#[tokio::test]
async fn records_go_to_the_shard_of_their_hash() {
    let lake = lake_with_stream(2).await;
    // MD5("a") begins with 0c, MD5("b") with 92.
    let last = u128::MAX.to_string();
    let input = json!({ "StreamName": "logs", "Records": [
        { "PartitionKey": "a", "Data": data("1") },
        { "PartitionKey": "b", "Data": data("2") },
        { "PartitionKey": "a", "Data": data("3"), "ExplicitHashKey": last },
        { "PartitionKey": "a", "Data": data("4") },
        { "PartitionKey": "b", "Data": data("5"), "ExplicitHashKey": "0" },
    ] });
    let answer = ok(&lake, "PutRecords", input).await;
    assert_eq!(answer["FailedRecordCount"], 0);
    let records = answer["Records"].as_array().unwrap();
    let shards: Vec<_> = records
        .iter()
        .map(|one| &one["ShardId"].as_str().unwrap()[19..])
        .collect();
    assert_eq!(shards, ["0", "1", "1", "0", "0"]);
    for (shard, expected) in [
        (SHARD, vec!["1", "4", "5"]),
        ("shardId-000000000001", vec!["2", "3"]),
    ] {
        let start = iterator(&lake, shard, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
        assert_eq!(get(&lake, &start, 10).await.0, expected);
    }
}

#[tokio::test]
async fn a_shard_that_cannot_write_fails_its_own_records() {
    let lake = lake_with_stream(2).await;
    std::fs::remove_dir(lake.path("data-streams/logs/000000000001")).unwrap();
    let input = json!({ "StreamName": "logs", "Records": [
        { "PartitionKey": "b", "Data": data("lost") },
        { "PartitionKey": "a", "Data": data("kept") },
    ] });
    let answer = ok(&lake, "PutRecords", input).await;
    assert_eq!(answer["FailedRecordCount"], 1);
    assert_eq!(answer["Records"][0]["ErrorCode"], "InternalFailure");
    assert_eq!(answer["Records"][1]["ShardId"], SHARD);
    let single = json!({ "StreamName": "logs", "PartitionKey": "b", "Data": data("lost") });
    assert_eq!(
        kinesis(&lake, "PutRecord", single).await.error(),
        (503, "ServiceUnavailableException".to_owned())
    );
    assert!(lake.logged("logs, shard 1"));
}

#[tokio::test]
async fn tags_and_retention_are_kept() {
    let lake = lake_with_stream(1).await;
    let tags = json!({ "StreamName": "logs", "Tags": { "team": "blue", "app": "web" } });
    ok(&lake, "AddTagsToStream", tags).await;
    ok(
        &lake,
        "RemoveTagsFromStream",
        json!({ "StreamName": "logs", "TagKeys": ["app", "none"] }),
    )
    .await;
    ok(
        &lake,
        "IncreaseStreamRetentionPeriod",
        json!({ "StreamName": "logs", "RetentionPeriodHours": 48 }),
    )
    .await;
    let lake = lake.restart().await;
    let tags = ok(&lake, "ListTagsForStream", json!({ "StreamName": "logs" })).await;
    assert_eq!(
        tags,
        json!({ "Tags": [{ "Key": "team", "Value": "blue" }], "HasMoreTags": false })
    );
    let summary = ok(
        &lake,
        "DescribeStreamSummary",
        json!({ "StreamName": "logs" }),
    )
    .await;
    assert_eq!(
        summary["StreamDescriptionSummary"]["RetentionPeriodHours"],
        48
    );
    let many: Value = (0..50)
        .map(|number| (format!("k{number}"), json!("v")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let answer = kinesis(
        &lake,
        "AddTagsToStream",
        json!({ "StreamName": "logs", "Tags": many }),
    )
    .await;
    assert_eq!(answer.error(), (400, "InvalidArgumentException".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_do_not_get_in_each_others_way() {
    let lake = std::sync::Arc::new(lake_with_stream(2).await);
    let writers = (0..8).map(|writer| {
        let lake = std::sync::Arc::clone(&lake);
        tokio::spawn(async move {
            for number in 0..10 {
                put(
                    &lake,
                    &format!("key {writer}"),
                    &format!("{writer} {number}"),
                )
                .await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut seen = Vec::new();
    for shard in [SHARD, "shardId-000000000001"] {
        let mut next = iterator(&lake, shard, json!({ "ShardIteratorType": "TRIM_HORIZON" })).await;
        loop {
            let (texts, answer) = get(&lake, &next, 7).await;
            if texts.is_empty() {
                break;
            }
            seen.extend(texts);
            next = answer["NextShardIterator"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!(seen.len(), 80);
    // Of one key, all are there in their order.
    for writer in 0..8 {
        let own: Vec<_> = seen
            .iter()
            .filter(|text| text.starts_with(&format!("{writer} ")))
            .collect();
        let expected: Vec<_> = (0..10).map(|number| format!("{writer} {number}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}
