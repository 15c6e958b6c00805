//! The lake as a Python program sees it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::folder;
use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::output_of;

/// Runs a script against a lake and returns the JSON object that it prints; `None` where there is no Python.
fn seen_by(script: &str) -> Option<Value> {
    let [aws, python] = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON"])?;
    let folder = folder();
    let lake = Lake::start(folder.path(), &aws);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scripts");
    let mut command = Command::new(python);
    let printed = output_of(lake.point(command.arg(scripts.join(script))));
    lake.terminate();
    Some(serde_json::from_str(&printed).expect("one JSON object"))
}

#[test]
fn boto3_puts_lists_and_reads() {
    let Some(seen) = seen_by("firehose_and_s3.py") else {
        return;
    };
    assert_eq!(seen["ids"], 2400, "every record has an id of its own");
    assert_eq!(
        seen["plain"], true,
        "every record is in the objects exactly once"
    );
    assert_eq!(seen["packed"], true, "and in compressed ones");
    assert_eq!(
        seen["round_trip"],
        json!({
            "same": true,
            "large": true,
            "head": [3, "text/x-test", {"who": "me"}],
            "range": "b",
            "listed": ["objects/empty", "objects/large", "objects/odd name é+&=?.txt", "objects/small"],
        })
    );
    assert_eq!(
        seen["errors"],
        json!({
            "too large": ["ValidationException", 400],
            "too many": ["ValidationException", 400],
            "no stream": ["ResourceNotFoundException", 400],
            "no key": ["NoSuchKey", 404],
            "no bucket": ["NoSuchBucket", 404],
        })
    );
}

#[test]
fn boto3_turns_pages() {
    let Some(seen) = seen_by("pages.py") else {
        return;
    };
    let numbered = |name: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{name}{number}")).collect()
    };
    assert_eq!(
        seen["logs"],
        json!({
            "groups": [3, numbered("/pages/", 5)],
            "streams": [3, numbered("stream-", 5)],
            "in order": true,
            "ids": 250,
            "forward": true,
        })
    );
    let shards = numbered("shardId-00000000000", 3);
    assert_eq!(
        seen["kinesis"],
        json!({
            "streams": [2, numbered("stream-", 3)],
            "shards": [shards[..2], shards[2..]],
            "described": 3,
            "failed": 0,
            "read": true,
            "shards used": 3,
        })
    );
    assert_eq!(
        seen["iam"],
        json!({
            "roles": [2, numbered("role-", 3)],
            "inline": [2, numbered("inline-", 3)],
            "attached": [2, numbered("policy-", 3)],
            "policies": [2, numbered("policy-", 3)],
        })
    );
    let objects = ["object-1", "object-2", "object-3"];
    assert_eq!(
        seen["s3"],
        json!({
            "uploads": [2, numbered("upload-", 3)],
            "parts": [2, [1, 2, 3]],
            "objects": [2, objects],
            "objects again": [2, objects],
            "aborted": "NoSuchUpload",
        })
    );
}
