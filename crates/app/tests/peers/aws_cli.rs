//! AWS's own command line against the lake, versions 1 and 2: what the post types, and what its mistakes are answered.

mod services;

use std::path::Path;

use serde_json::Value;

use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::{failure_of, output_of};
use crate::harness::{BUCKET, folder};

/// The post's commands, the account's number filled in.
const ECS_DESTINATION: &str = "RoleARN=arn:aws:iam::123456789012:role/example_firehose_delivery_role,BucketARN=arn:aws:s3:::mh9-firelens-demo,Prefix=ecs";
const EKS_DESTINATION: &str = "RoleARN=arn:aws:iam::123456789012:role/example_firehose_delivery_role,BucketARN=arn:aws:s3:::mh9-firelens-demo,Prefix=eks";

fn create_as_the_post(name: &'static str, destination: &'static str) -> [&'static str; 8] {
    [
        "firehose",
        "create-delivery-stream",
        "--delivery-stream-name",
        name,
        "--delivery-stream-type",
        "DirectPut",
        "--s3-destination-configuration",
        destination,
    ]
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Runs the client under test against the lake and returns what it printed.
fn run(lake: &Lake, aws: &Path, arguments: &[&str]) -> String {
    output_of(&mut lake.client(aws, arguments))
}

/// What every version of the client must get; `record` is the record `{"a":1}` as that version wants it.
fn the_posts_commands(variable: &'static str, record: &str) {
    let Some([own, aws]) = peers(["FLUMEN_PEER_AWS", variable]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let lake = Lake::start(folder, &own);
    let aws = aws.as_path();

    let created = json(&run(
        &lake,
        aws,
        &create_as_the_post("ecs-stream", ECS_DESTINATION),
    ));
    assert_eq!(
        created["DeliveryStreamARN"],
        "arn:aws:firehose:us-west-2:123456789012:deliverystream/ecs-stream"
    );
    run(
        &lake,
        aws,
        &create_as_the_post("eks-stream", EKS_DESTINATION),
    );

    let list = json(&run(&lake, aws, &["firehose", "list-delivery-streams"]));
    assert_eq!(
        list["DeliveryStreamNames"],
        serde_json::json!(["ecs-stream", "eks-stream"])
    );
    assert_eq!(list["HasMoreDeliveryStreams"], false);

    let describe = [
        "firehose",
        "describe-delivery-stream",
        "--delivery-stream-name",
        "ecs-stream",
    ];
    let description = &json(&run(&lake, aws, &describe))["DeliveryStreamDescription"];
    assert_eq!(description["DeliveryStreamType"], "DirectPut");
    let destination = &description["Destinations"][0]["S3DestinationDescription"];
    assert_eq!(destination["Prefix"], "ecs");
    assert_eq!(destination["BucketARN"], "arn:aws:s3:::mh9-firelens-demo");
    assert_eq!(
        destination["BufferingHints"],
        serde_json::json!({"SizeInMBs": 5, "IntervalInSeconds": 300})
    );

    refusals(&lake, aws);
    objects(&lake, aws, folder, record);
    lake.terminate();
}

fn refusals(lake: &Lake, aws: &Path) {
    let fails = |arguments: &[&str]| failure_of(&mut lake.client(aws, arguments));
    let again = fails(&create_as_the_post("ecs-stream", ECS_DESTINATION));
    assert!(again.contains("ResourceInUseException"), "{again}");

    let put = [
        "firehose",
        "put-record",
        "--record",
        "Data=aGVsbG8K",
        "--delivery-stream-name",
    ];
    let unknown = fails(&[&put[..], &["no-stream"]].concat());
    assert!(unknown.contains("ResourceNotFoundException"), "{unknown}");

    let list = ["firehose", "list-delivery-streams"];
    let guessed = failure_of(
        lake.client(aws, &list)
            .env("AWS_SECRET_ACCESS_KEY", "guessed"),
    );
    assert!(guessed.contains("InvalidSignatureException"), "{guessed}");
    let nobody = failure_of(lake.client(aws, &list).env("AWS_ACCESS_KEY_ID", "nobody"));
    assert!(nobody.contains("UnrecognizedClientException"), "{nobody}");
    let guessed = failure_of(
        lake.client(aws, &["s3", "ls"])
            .env("AWS_SECRET_ACCESS_KEY", "guessed"),
    );
    assert!(guessed.contains("SignatureDoesNotMatch"), "{guessed}");
}

/// What a record becomes in the bucket, and files going there and back.
fn objects(lake: &Lake, aws: &Path, folder: &Path, record: &str) {
    lake.create_stream("quick-stream", "quick");
    let put = [
        "firehose",
        "put-record",
        "--delivery-stream-name",
        "quick-stream",
        "--record",
        record,
    ];
    let answer = json(&run(lake, aws, &put));
    assert!(
        answer["RecordId"].as_str().is_some_and(|id| id.len() > 100),
        "{answer}"
    );
    let records = lake.delivered("quick", 1);
    assert_eq!(records, [serde_json::json!({"a": 1})]);

    let file = folder.join("file.txt");
    std::fs::write(&file, "some text\n").expect("a file to upload");
    let address = format!("s3://{BUCKET}/notes/file.txt");
    run(lake, aws, &["s3", "cp", &file.to_string_lossy(), &address]);
    assert_eq!(run(lake, aws, &["s3", "cp", &address, "-"]), "some text\n");
    let listed = run(
        lake,
        aws,
        &["s3", "ls", "--recursive", &format!("s3://{BUCKET}/")],
    );
    assert!(
        listed
            .lines()
            .any(|line| line.ends_with(" 10 notes/file.txt")),
        "{listed}"
    );
    assert!(
        listed
            .lines()
            .any(|line| line.contains(" quick20") && line.contains("/quick-stream-1-")),
        "{listed}"
    );
}

#[test]
fn aws_cli_version_1() {
    the_posts_commands("FLUMEN_PEER_AWS", r#"{"Data":"{\"a\":1}\n"}"#);
}

/// Version 2 wants data in base64.
#[test]
fn aws_cli_version_2() {
    the_posts_commands("FLUMEN_PEER_AWS_V2", r#"{"Data":"eyJhIjoxfQo="}"#);
}
