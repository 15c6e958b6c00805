//! The command line against the lake's other services: roles as the post makes them, log events, records of a stream, and
//! files large enough to go in parts.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::json;
use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::{failure_of, output_of};
use crate::harness::{BUCKET, folder};

/// What differs between the versions.
struct Version {
    /// The program's variable.
    peer: &'static str,
    /// The record `first` as it is written in an argument.
    first: &'static str,
    /// Whether it has `aws logs tail`.
    tails: bool,
}

/// A lake and the client that looks at it.
struct Session<'a> {
    lake: Lake,
    aws: &'a Path,
    folder: &'a Path,
}

impl Session<'_> {
    /// Runs one command, its words separated by blanks.
    fn text(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        output_of(&mut self.lake.client(self.aws, &words))
    }

    fn json(&self, line: &str) -> Value {
        json(&self.text(line))
    }

    fn error(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        failure_of(&mut self.lake.client(self.aws, &words))
    }

    /// Writes a file and returns the argument that names it.
    fn file(&self, name: &str, content: &Value) -> String {
        let path = self.folder.join(name);
        fs::write(&path, content.to_string()).expect("a file to read");
        format!("file://{}", path.display())
    }
}

fn every_service(version: &Version) {
    let Some([aws, client]) = peers(["FLUMEN_PEER_AWS", version.peer]) else {
        return;
    };
    let folder = folder();
    let session = Session {
        lake: Lake::start(folder.path(), &aws),
        aws: &client,
        folder: folder.path(),
    };
    the_posts_roles(&session);
    credentials_of_a_role(&session);
    log_events(&session, version.tails);
    records_of_a_stream(&session, version.first);
    an_object_in_parts(&session);
    session.lake.terminate();
}

/// The account is asked for, two roles are made and given policies: the post's commands, from files.
fn the_posts_roles(session: &Session) {
    let account = session.text("sts get-caller-identity --output text --query Account");
    assert_eq!(account.trim(), "123456789012");

    let trust = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow",
        "Principal": {"Service": "firehose.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }});
    let trust_file = session.file("firehose-policy.json", &trust);
    let create = format!(
        "iam create-role --role-name firehose_delivery_role --assume-role-policy-document {trust_file}"
    );
    let role = &session.json(&create)["Role"];
    assert_eq!(
        role["Arn"],
        "arn:aws:iam::123456789012:role/firehose_delivery_role"
    );
    assert_eq!(role["AssumeRolePolicyDocument"], trust);
    assert!(session.error(&create).contains("EntityAlreadyExists"));

    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["firehose:PutRecordBatch"], "Resource": "*"},
        {"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "arn:aws:logs:*:*:log-group:*:*:*"},
    ]});
    let policy_file = session.file("firehose-delivery-policy.json", &policy);
    let named = "--role-name firehose_delivery_role --policy-name firehose-fluentbit-s3-streaming";
    session.text(&format!(
        "iam put-role-policy {named} --policy-document {policy_file}"
    ));
    let stored = session.json(&format!("iam get-role-policy {named}"));
    assert_eq!(stored["PolicyDocument"], policy);
    let names = session.json("iam list-role-policies --role-name firehose_delivery_role");
    assert_eq!(
        names["PolicyNames"],
        json!(["firehose-fluentbit-s3-streaming"])
    );

    let broken = session.file("broken.json", &json!({"Statement": "none"}));
    let refused = session.error(&format!(
        "iam put-role-policy {named} --policy-document {broken}"
    ));
    assert!(refused.contains("MalformedPolicyDocument"), "{refused}");
    let nobody = session.error("iam get-role --role-name nobody");
    assert!(nobody.contains("NoSuchEntity"), "{nobody}");
}

/// What STS issues opens the other services, and says whose it is.
fn credentials_of_a_role(session: &Session) {
    let role = "arn:aws:iam::123456789012:role/firehose_delivery_role";
    let assumed = session.json(&format!(
        "sts assume-role --role-arn {role} --role-session-name me"
    ));
    let with_credentials = |words: &[&str]| {
        let mut command = session.lake.client(session.aws, words);
        for (variable, field) in [
            ("AWS_ACCESS_KEY_ID", "AccessKeyId"),
            ("AWS_SECRET_ACCESS_KEY", "SecretAccessKey"),
            ("AWS_SESSION_TOKEN", "SessionToken"),
        ] {
            let value = assumed["Credentials"][field].as_str();
            command.env(variable, value.unwrap_or_default());
        }
        command
    };
    let who = json(&output_of(&mut with_credentials(&[
        "sts",
        "get-caller-identity",
    ])));
    assert_eq!(
        who["Arn"],
        "arn:aws:sts::123456789012:assumed-role/firehose_delivery_role/me"
    );
    let buckets = output_of(&mut with_credentials(&["s3", "ls"]));
    assert!(buckets.trim_end().ends_with(BUCKET), "{buckets}");
    let forged = failure_of(with_credentials(&["s3", "ls"]).env("AWS_SESSION_TOKEN", "forged"));
    assert!(forged.contains("InvalidToken"), "{forged}");
}

fn log_events(session: &Session, tails: bool) {
    session.text("logs create-log-group --log-group-name /app/web");
    let stream = "--log-group-name /app/web --log-stream-name one";
    session.text(&format!("logs create-log-stream {stream}"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_millis() as u64);
    let events: Vec<Value> = (0..30)
        .map(|number| {
            let level = if number % 10 == 3 { "ERROR" } else { "INFO" };
            json!({"timestamp": now - 1000 + number, "message": format!("{level} é {number}")})
        })
        .collect();
    let file = session.file("events.json", &Value::from(events));
    session.text(&format!("logs put-log-events {stream} --log-events {file}"));

    let errors = "logs filter-log-events --log-group-name /app/web --filter-pattern ERROR";
    let messages = session.json(&format!("{errors} --query events[].message"));
    assert_eq!(messages, json!(["ERROR é 3", "ERROR é 13", "ERROR é 23"]));
    // The client follows the tokens of small pages.
    let all = "logs filter-log-events --log-group-name /app/web --page-size 7 --query events[]";
    let all = session.json(all);
    assert_eq!(all.as_array().map(Vec::len), Some(30), "{all}");
    let last = session.json(&format!("logs get-log-events {stream} --limit 1"));
    assert_eq!(last["events"][0]["message"], "INFO é 29");
    let missing = session.error("logs filter-log-events --log-group-name none");
    assert!(missing.contains("ResourceNotFoundException"), "{missing}");
    if tails {
        let tail = session.text("logs tail /app/web --since 1h --format short");
        assert_eq!(tail.lines().count(), 30, "{tail}");
        assert!(tail.lines().all(|line| line.contains(" é ")), "{tail}");
    }
}

fn records_of_a_stream(session: &Session, first: &str) {
    session.text("kinesis create-stream --stream-name app --shard-count 1");
    session.text("kinesis wait stream-exists --stream-name app");
    let put = session.json(&format!(
        "kinesis put-record --stream-name app --partition-key k --data {first}"
    ));
    assert_eq!(put["ShardId"], "shardId-000000000000");
    let iterator = "kinesis get-shard-iterator --stream-name app --shard-id shardId-000000000000";
    let iterator = session.json(&format!("{iterator} --shard-iterator-type TRIM_HORIZON"));
    let iterator = iterator["ShardIterator"].as_str().expect("an iterator");
    let got = session.json(&format!("kinesis get-records --shard-iterator {iterator}"));
    assert_eq!(got["Records"].as_array().map(Vec::len), Some(1), "{got}");
    let record = &got["Records"][0];
    assert_eq!(record["SequenceNumber"], put["SequenceNumber"]);
    // `first` in base64, which both versions print.
    assert_eq!(record["Data"], "Zmlyc3Q=");
    assert_eq!(record["PartitionKey"], "k");
    assert_eq!(got["MillisBehindLatest"], 0);
    let next = got["NextShardIterator"].as_str().expect("another iterator");
    let rest = session.json(&format!("kinesis get-records --shard-iterator {next}"));
    assert_eq!(rest["Records"], json!([]));
    let missing = session.error("kinesis describe-stream --stream-name none");
    assert!(missing.contains("ResourceNotFoundException"), "{missing}");
}

/// The client sends files above 8 MiB in parts of that size, and fetches them by ranges.
fn an_object_in_parts(session: &Session) {
    let (up, down) = (
        session.folder.join("up.bin"),
        session.folder.join("down.bin"),
    );
    let bytes: Vec<u8> = (0..20 << 20)
        .map(|at: u32| (at ^ (at >> 11)) as u8)
        .collect();
    fs::write(&up, &bytes).expect("a file to upload");
    let address = format!("s3://{BUCKET}/large/file.bin");
    let copy = |from: &str, to: &str| session.text(&format!("s3 cp --no-progress {from} {to}"));
    copy(&up.to_string_lossy(), &address);
    let head = session.json(&format!(
        "s3api head-object --bucket {BUCKET} --key large/file.bin"
    ));
    assert_eq!(head["ContentLength"], 20 << 20);
    let tag = head["ETag"].as_str().unwrap_or_default();
    assert!(tag.ends_with("-3\""), "{head}");
    copy(&address, &down.to_string_lossy());
    assert!(fs::read(&down).is_ok_and(|copy| copy == bytes));
    // Within the bucket the client copies such an object part by part.
    let second = format!("s3://{BUCKET}/large/second.bin");
    copy(&address, &second);
    session.text(&format!("s3 rm {address}"));
    copy(&second, &down.to_string_lossy());
    assert!(fs::read(&down).is_ok_and(|copy| copy == bytes));
}

#[test]
fn aws_cli_version_1_of_every_service() {
    every_service(&Version {
        peer: "FLUMEN_PEER_AWS",
        first: "first",
        tails: false,
    });
}

/// Version 2 wants data in base64.
#[test]
fn aws_cli_version_2_of_every_service() {
    every_service(&Version {
        peer: "FLUMEN_PEER_AWS_V2",
        first: "Zmlyc3Q=",
        tails: true,
    });
}
