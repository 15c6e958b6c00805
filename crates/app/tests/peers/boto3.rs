//! The lake as a Python program sees it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::folder;
use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::output_of;

#[test]
fn boto3_puts_lists_and_reads() {
    let Some([aws, python]) = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON"]) else {
        return;
    };
    let folder = folder();
    let lake = Lake::start(folder.path(), &aws);
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scripts/firehose_and_s3.py");
    let mut command = Command::new(python);
    let seen: Value =
        serde_json::from_str(&output_of(lake.point(command.arg(script)))).expect("one JSON object");

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
    lake.terminate();
}
