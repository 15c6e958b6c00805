//! Firehose's operations and their errors.

use std::io::Read;

use serde_json::{Value, json};

use crate::client::{Call, TestLake, batch};

const ONE_MIB: usize = 1024 * 1024;

#[tokio::test]
async fn the_post_s_stream_delivers_where_the_post_looks() {
    let lake = TestLake::start().await;
    let input = json!({
        "DeliveryStreamName": "ecs-stream",
        "DeliveryStreamType": "DirectPut",
        "S3DestinationConfiguration": {
            "RoleARN": "arn:aws:iam::XXXXXXXXXXXX:role/example_firehose_delivery_role",
            "BucketARN": "arn:aws:s3:::mh9-firelens-demo",
            "Prefix": "ecs",
        },
    });
    let answer = lake.firehose("CreateDeliveryStream", input).await;
    let arn = "arn:aws:firehose:us-west-2:123456789012:deliverystream/ecs-stream";
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "DeliveryStreamARN": arn }))
    );
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);

    lake.put("ecs-stream", &[b"{\"a\":1}\n", b"{\"a\":2}\n"])
        .await;
    lake.lake.flush_streams().await.unwrap();
    let objects = lake.objects("mh9-firelens-demo");
    let [(key, content)] = &objects[..] else {
        panic!("{objects:?}")
    };
    assert_eq!(content, b"{\"a\":1}\n{\"a\":2}\n");
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let hour = now
        .strftime("ecs%Y/%m/%d/%H/ecs-stream-1-%Y-%m-%d-%H-")
        .to_string();
    let before = now
        .saturating_sub(jiff::Span::new().hours(1))
        .strftime("ecs%Y/%m/%d/%H/")
        .to_string();
    assert!(key.starts_with(&hour) || key.starts_with(&before), "{key}");
    assert!(lake.logged("Info: ecs-stream: 2 records, 16 bytes -> s3://mh9-firelens-demo/ecs"));
}

#[tokio::test]
async fn streams_are_described_as_they_are() {
    let lake = TestLake::start().await;
    lake.create_stream("plain", json!({})).await;
    let answer = lake
        .firehose(
            "DescribeDeliveryStream",
            json!({ "DeliveryStreamName": "plain" }),
        )
        .await
        .json();
    let description = &answer["DeliveryStreamDescription"];
    for (member, expected) in [
        ("DeliveryStreamStatus", json!("ACTIVE")),
        ("DeliveryStreamType", json!("DirectPut")),
        ("VersionId", json!("1")),
        ("HasMoreDestinations", json!(false)),
        (
            "DeliveryStreamEncryptionConfiguration",
            json!({ "Status": "DISABLED" }),
        ),
    ] {
        assert_eq!(description[member], expected, "{member}");
    }
    assert!(description["CreateTimestamp"].as_f64().unwrap() > 1.7e9);
    assert_eq!(description["LastUpdateTimestamp"], Value::Null);
    let destination = &description["Destinations"][0];
    assert_eq!(destination["DestinationId"], "destinationId-000000000001");
    let common = json!({
        "RoleARN": "arn:aws:iam::123456789012:role/firehose_delivery_role",
        "BucketARN": "arn:aws:s3:::logs-bucket",
        "BufferingHints": { "SizeInMBs": 5, "IntervalInSeconds": 300 },
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
        "CloudWatchLoggingOptions": { "Enabled": false },
    });
    assert_eq!(destination["S3DestinationDescription"], common);
    let mut extended = common;
    extended["S3BackupMode"] = json!("Disabled");
    assert_eq!(destination["ExtendedS3DestinationDescription"], extended);
}

#[tokio::test]
async fn an_empty_prefix_is_not_a_missing_one() {
    let lake = TestLake::start().await;
    lake.create_stream("empty", json!({ "Prefix": "" })).await;
    let answer = lake
        .firehose(
            "DescribeDeliveryStream",
            json!({ "DeliveryStreamName": "empty" }),
        )
        .await
        .json();
    let destination = &answer["DeliveryStreamDescription"]["Destinations"][0];
    assert_eq!(destination["S3DestinationDescription"]["Prefix"], "");
}

#[tokio::test]
async fn streams_are_listed_page_by_page() {
    let lake = TestLake::start().await;
    for index in 0..12 {
        lake.create_stream(&format!("s{index:02}"), json!({})).await;
    }
    let list = async |input: Value| lake.firehose("ListDeliveryStreams", input).await.json();
    let first = list(json!({})).await;
    assert_eq!(first["DeliveryStreamNames"].as_array().unwrap().len(), 10);
    assert_eq!(first["HasMoreDeliveryStreams"], true);
    let rest = list(json!({ "ExclusiveStartDeliveryStreamName": "s09" })).await;
    assert_eq!(
        rest,
        json!({ "DeliveryStreamNames": ["s10", "s11"], "HasMoreDeliveryStreams": false })
    );
    let typed = list(json!({ "DeliveryStreamType": "KinesisStreamAsSource" })).await;
    assert_eq!(typed["DeliveryStreamNames"], json!([]));
    let wrong = lake
        .firehose("ListDeliveryStreams", json!({ "Limit": 0 }))
        .await;
    assert_eq!(wrong.error(), (400, "ValidationException".to_owned()));
}

#[tokio::test]
async fn streams_and_tags_survive_a_restart() {
    let lake = TestLake::start().await;
    lake.create_stream(
        "kept",
        json!({ "Prefix": "a/", "BufferingHints": { "SizeInMBs": 2, "IntervalInSeconds": 60 } }),
    )
    .await;
    let tags = json!({ "DeliveryStreamName": "kept", "Tags": [
        { "Key": "b", "Value": "1" }, { "Key": "a", "Value": "0" }, { "Key": "b", "Value": "2" }, { "Key": "c" },
    ] });
    assert_eq!(
        lake.firehose("TagDeliveryStream", tags).await.json(),
        json!({})
    );
    let untag = json!({ "DeliveryStreamName": "kept", "TagKeys": ["c", "unknown"] });
    assert_eq!(
        lake.firehose("UntagDeliveryStream", untag).await.status,
        200
    );
    let describe = json!({ "DeliveryStreamName": "kept" });
    let before = lake
        .firehose("DescribeDeliveryStream", describe.clone())
        .await
        .json();

    let lake = lake.restart().await;
    assert_eq!(
        lake.firehose("DescribeDeliveryStream", describe)
            .await
            .json(),
        before
    );
    let list = lake
        .firehose(
            "ListTagsForDeliveryStream",
            json!({ "DeliveryStreamName": "kept", "Limit": 1 }),
        )
        .await;
    assert_eq!(
        list.json(),
        json!({ "Tags": [{ "Key": "a", "Value": "0" }], "HasMoreTags": true })
    );
    let rest = json!({ "DeliveryStreamName": "kept", "ExclusiveStartTagKey": "a" });
    let list = lake.firehose("ListTagsForDeliveryStream", rest).await;
    assert_eq!(
        list.json(),
        json!({ "Tags": [{ "Key": "b", "Value": "2" }], "HasMoreTags": false })
    );
}

#[tokio::test]
async fn a_deleted_stream_is_gone_with_its_buffer() {
    let lake = TestLake::start().await;
    lake.create_stream("doomed", json!({})).await;
    lake.put("doomed", &[b"never delivered"]).await;
    let name = json!({ "DeliveryStreamName": "doomed" });
    assert_eq!(
        lake.firehose("DeleteDeliveryStream", name.clone())
            .await
            .json(),
        json!({})
    );
    for operation in [
        "DescribeDeliveryStream",
        "DeleteDeliveryStream",
        "ListTagsForDeliveryStream",
    ] {
        let answer = lake.firehose(operation, name.clone()).await;
        assert_eq!(
            answer.error(),
            (400, "ResourceNotFoundException".to_owned()),
            "{operation}"
        );
    }
    let lake = lake.restart().await;
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(lake.objects("logs-bucket"), []);
    lake.create_stream("doomed", json!({})).await;
    lake.lake.flush_streams().await.unwrap();
    assert_eq!(lake.objects("logs-bucket"), []);
}

#[tokio::test]
async fn a_full_buffer_is_delivered_at_once() {
    let lake = TestLake::start().await;
    lake.create_stream(
        "full",
        json!({ "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 900 } }),
    )
    .await;
    let record = vec![b'x'; 600 * 1024];
    lake.put("full", &[&record]).await;
    assert_eq!(lake.objects("logs-bucket").len(), 0);
    lake.put("full", &[&record]).await;
    lake.until(|counters| counters.total().objects == 1).await;
    assert_eq!(lake.objects("logs-bucket")[0].1.len(), 1200 * 1024);
    let total = lake.lake.counters().streams["full"];
    assert_eq!(
        (
            total.records,
            total.delivered_records,
            total.buffered_records
        ),
        (2, 2, 0)
    );
    assert_eq!(
        (total.put_requests, total.bytes, total.object_bytes),
        (2, 1200 * 1024, 1200 * 1024)
    );
}

#[tokio::test]
async fn zero_buffering_delivers_within_seconds() {
    let lake = TestLake::start().await;
    lake.create_stream(
        "zero",
        json!({ "BufferingHints": { "SizeInMBs": 1, "IntervalInSeconds": 0 } }),
    )
    .await;
    lake.put("zero", &[b"a"]).await;
    assert_eq!(lake.lake.counters().total().buffered_records, 1);
    lake.until(|counters| counters.total().delivered_records == 1)
        .await;
    assert_eq!(lake.objects("logs-bucket").len(), 1);
}

#[tokio::test]
async fn gzip_objects_are_one_stream_and_say_so() {
    let lake = TestLake::start().await;
    lake.create_stream("zipped", json!({ "CompressionFormat": "GZIP" }))
        .await;
    lake.put("zipped", &[b"a\n", b"b\n"]).await;
    lake.put("zipped", &[b"c\n"]).await;
    lake.lake.flush_streams().await.unwrap();
    let (key, content) = lake.objects("logs-bucket").remove(0);
    assert!(key.ends_with(".gz"), "{key}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&content[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "a\nb\nc\n");
    let head = lake
        .call(Call::s3(http::Method::HEAD, &format!("/logs-bucket/{key}")))
        .await;
    assert_eq!(
        (head.header("content-encoding"), head.header("content-type")),
        ("gzip", "application/octet-stream")
    );
}

#[tokio::test]
async fn records_are_joined_as_they_are_unless_a_delimiter_is_asked_for() {
    let lake = TestLake::start().await;
    let processing = json!({ "Enabled": true, "Processors": [{ "Type": "AppendDelimiterToRecord", "Parameters": [] }] });
    lake.create_stream("verbatim", json!({ "Prefix": "a/" }))
        .await;
    lake.create_stream(
        "delimited",
        json!({ "Prefix": "b/", "ProcessingConfiguration": processing }),
    )
    .await;
    for stream in ["verbatim", "delimited"] {
        lake.put(stream, &[b"abc", b"abc"]).await;
        let one = json!({ "DeliveryStreamName": stream, "Record": { "Data": "YWJj" } });
        let answer = lake.firehose("PutRecord", one).await.json();
        assert_eq!(
            (
                answer["RecordId"].as_str().unwrap().len(),
                &answer["Encrypted"]
            ),
            (220, &json!(false))
        );
    }
    lake.lake.flush_streams().await.unwrap();
    let contents: Vec<_> = lake
        .objects("logs-bucket")
        .into_iter()
        .map(|(_, content)| content)
        .collect();
    assert_eq!(contents, [&b"abcabcabc"[..], b"abc\nabc\nabc"]);
}

#[tokio::test]
async fn batches_are_answered_record_by_record() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    let records = vec![&b"x"[..]; 500];
    let answer = lake
        .firehose("PutRecordBatch", batch("s", &records))
        .await
        .json();
    assert_eq!(
        (&answer["FailedPutCount"], &answer["Encrypted"]),
        (&json!(0), &json!(false))
    );
    let mut ids: Vec<_> = answer["RequestResponses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["RecordId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 500);
}

#[tokio::test]
async fn the_largest_batch_is_taken_and_a_byte_more_is_not() {
    let lake = TestLake::start().await;
    lake.create_stream(
        "s",
        json!({ "BufferingHints": { "SizeInMBs": 128, "IntervalInSeconds": 900 } }),
    )
    .await;
    let record = vec![b'x'; 1_024_000];
    let rest = vec![b'x'; 4 * ONE_MIB - 4 * record.len()];
    let full: [&[u8]; 5] = [&record, &record, &record, &record, &rest];
    lake.put("s", &full).await;
    let answer = lake
        .firehose("PutRecordBatch", batch("s", &[&full[..], &[b"x"]].concat()))
        .await;
    assert_eq!(answer.error(), (400, "InvalidArgumentException".to_owned()));
    assert_eq!(answer.json()["message"], "Records size exceeds 4 MB limit");

    let oversized = vec![b'x'; record.len() + 1];
    let answer = lake
        .firehose("PutRecordBatch", batch("s", &[b"a", &oversized]))
        .await;
    assert_eq!(answer.error(), (400, "ValidationException".to_owned()));
    let message = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("'records.2.member.data'")
            && message.contains("less than or equal to 1024000"),
        "{message}"
    );
    assert_eq!(lake.lake.counters().total().records, 5);
}

#[tokio::test]
async fn bad_puts_get_aws_s_errors_and_leave_nothing() {
    let lake = TestLake::start().await;
    lake.create_stream("s", json!({})).await;
    let too_many = batch("s", &[&b"x"[..]; 501]).to_string();
    for (operation, body, status, code) in [
        (
            "PutRecordBatch",
            too_many.as_str(),
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[]}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s"}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{}]}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[{"Data":null}]}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"Records":[{"Data":"YQ=="}]}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"../x","Records":[{"Data":"YQ=="}]}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"unknown","Records":[{"Data":"YQ=="}]}"#,
            400,
            "ResourceNotFoundException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[{"Data":"YQ=="},{"Data":"YQ"}]}"#,
            400,
            "SerializationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[{"Data":"Y Q="}]}"#,
            400,
            "SerializationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":[{"Data":1}]}"#,
            400,
            "SerializationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","DeliveryStreamName":"s","Records":[{"Data":"YQ=="}]}"#,
            400,
            "SerializationException",
        ),
        (
            "PutRecordBatch",
            r#"{"DeliveryStreamName":"s","Records":{"Data":"YQ=="}}"#,
            400,
            "SerializationException",
        ),
        ("PutRecordBatch", "{", 400, "SerializationException"),
        ("PutRecordBatch", "", 400, "SerializationException"),
        ("PutRecordBatch", "[1,2]", 400, "SerializationException"),
        (
            "PutRecord",
            r#"{"DeliveryStreamName":"s"}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecord",
            r#"{"DeliveryStreamName":"s","Record":{}}"#,
            400,
            "ValidationException",
        ),
        (
            "PutRecord",
            r#"{"DeliveryStreamName":"s","Record":{"Data":"!"}}"#,
            400,
            "SerializationException",
        ),
        ("Explode", "{}", 400, "UnknownOperationException"),
        ("UpdateDestination", "{}", 400, "UnknownOperationException"),
    ] {
        let answer = lake.call(Call::firehose(operation, body)).await;
        assert_eq!(
            answer.error(),
            (status, code.to_owned()),
            "{operation} {}",
            &body[..body.len().min(100)]
        );
    }
    assert_eq!(lake.lake.counters().total().records, 0);
    let empty = lake
        .firehose(
            "PutRecord",
            json!({ "DeliveryStreamName": "s", "Record": { "Data": "" } }),
        )
        .await;
    assert_eq!(empty.status, 200);
}

#[tokio::test]
async fn bad_creations_get_aws_s_errors() {
    let lake = TestLake::start().await;
    lake.create_stream("taken", json!({})).await;
    let s3 =
        r#"{"RoleARN":"arn:aws:iam::123456789012:role/r","BucketARN":"arn:aws:s3:::logs-bucket"}"#;
    for (input, code, told) in [
        (
            format!(r#"{{"DeliveryStreamName":"taken","S3DestinationConfiguration":{s3}}}"#),
            "ResourceInUseException",
            "taken under accountId 123456789012 already exists",
        ),
        (
            format!(r#"{{"S3DestinationConfiguration":{s3}}}"#),
            "ValidationException",
            "Value null at 'deliveryStreamName'",
        ),
        (
            format!(r#"{{"DeliveryStreamName":"a/b","S3DestinationConfiguration":{s3}}}"#),
            "ValidationException",
            "[a-zA-Z0-9_.-]+",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"{}","S3DestinationConfiguration":{s3}}}"#,
                "x".repeat(65)
            ),
            "ValidationException",
            "less than or equal to 64",
        ),
        (
            r#"{"DeliveryStreamName":"x"}"#.to_owned(),
            "InvalidArgumentException",
            "Exactly one destination",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","S3DestinationConfiguration":{s3},"ExtendedS3DestinationConfiguration":{s3}}}"#
            ),
            "InvalidArgumentException",
            "Exactly one destination",
        ),
        (
            r#"{"DeliveryStreamName":"x","RedshiftDestinationConfiguration":{}}"#.to_owned(),
            "InvalidArgumentException",
            "the lake delivers to S3",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","S3DestinationConfiguration":{s3},"SplunkDestinationConfiguration":{{}}}}"#
            ),
            "InvalidArgumentException",
            "Exactly one destination",
        ),
        (
            r#"{"DeliveryStreamName":"x","S3DestinationConfiguration":{}}"#.to_owned(),
            "ValidationException",
            "2 validation errors",
        ),
        (
            r#"{"DeliveryStreamName":"x","S3DestinationConfiguration":5}"#.to_owned(),
            "SerializationException",
            "invalid type",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","DeliveryStreamType":"KinesisStreamAsSource","S3DestinationConfiguration":{s3}}}"#
            ),
            "InvalidArgumentException",
            "DirectPut",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","DeliveryStreamType":"Direct","S3DestinationConfiguration":{s3}}}"#
            ),
            "ValidationException",
            "enum value set",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","DeliveryStreamEncryptionConfigurationInput":{{"KeyType":"AWS_OWNED_CMK"}},"S3DestinationConfiguration":{s3}}}"#
            ),
            "InvalidArgumentException",
            "does not encrypt",
        ),
        (
            format!(
                r#"{{"DeliveryStreamName":"x","Tags":[{{"Key":"aws:x"}}],"S3DestinationConfiguration":{s3}}}"#
            ),
            "ValidationException",
            "tags.1.member.key",
        ),
    ] {
        let answer = lake
            .call(Call::firehose("CreateDeliveryStream", input.as_str()))
            .await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{input}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(told), "{input}: {message}");
    }
    let list = lake.firehose("ListDeliveryStreams", json!({})).await.json();
    assert_eq!(list["DeliveryStreamNames"], json!(["taken"]));
}
