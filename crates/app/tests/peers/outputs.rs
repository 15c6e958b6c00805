//! Each output of the router against services that are not ours, moto's, and against the lake: as many records out as in,
//! each once, read back with boto3.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::folder;
use crate::harness::lake::Lake;
use crate::harness::peer::peers;
use crate::harness::process::output_of;
use crate::harness::router::Router;
use crate::harness::wait::until_some;

/// An output under test, and where its records end up.
struct Output {
    /// The lines of its section; `FOLDER` stands for the test's folder.
    section: &'static str,
    /// Makes what it delivers to.
    create: fn(&Lake),
    /// What `read_back.py` is to read.
    place: [&'static str; 2],
    /// How many records are sent.
    count: usize,
    /// How many bytes of text each has.
    width: usize,
}

const FIREHOSE: Output = Output {
    section: "Name kinesis_firehose
    delivery_stream app-stream
    region us-west-2",
    create: |services| services.create_stream("app-stream", "app"),
    place: ["s3", "app"],
    // More than two requests may carry.
    count: 1300,
    width: 20,
};

/// moto changes its streams without a lock: two requests at once would lose or repeat records there.
const KINESIS_STREAMS: Output = Output {
    section: "Name kinesis_streams
    stream app-stream
    experimental_concurrency 1
    region us-west-2",
    create: |services| {
        let create = ["kinesis", "create-stream", "--stream-name", "app-stream"];
        services.aws(&[&create[..], &["--shard-count", "3"]].concat());
        services.aws(&[
            "kinesis",
            "wait",
            "stream-exists",
            "--stream-name",
            "app-stream",
        ]);
    },
    place: ["kinesis", "app-stream"],
    count: 1300,
    width: 20,
};

const CLOUDWATCH_LOGS: Output = Output {
    section: "Name cloudwatch_logs
    log_group_name /app/group
    log_stream_prefix from-
    auto_create_group On
    log_retention_days 3
    region us-west-2",
    create: |_| (),
    place: ["logs", "/app/group"],
    // More than one request may carry.
    count: 12_000,
    width: 20,
};

/// An object in parts, as soon as it has its size, and one that is put at once when it has waited.
const S3: Output = Output {
    section: "Name s3
    bucket mh9-firelens-demo
    store_dir FOLDER/store
    s3_key_format /app/$TAG/%Y/%m/%d/$UUID
    total_file_size 11M
    upload_timeout 2s
    region us-west-2",
    create: |_| (),
    place: ["s3", "app/"],
    count: 3000,
    width: 4200,
};

/// Writes the records as lines of JSON, and a configuration that tails them into the output.
fn place(output: &Output, folder: &Path) -> PathBuf {
    let width = output.width;
    let lines: Vec<String> = (0..output.count)
        .map(|number| {
            format!("{{\"id\":{number},\"text\":\"a \\\"line\\\" é {number:0width$}\"}}\n")
        })
        .collect();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file of the test");
        path
    };
    write("app.log", lines.concat());
    write(
        "parsers.conf",
        "[PARSER]\n    Name json\n    Format json\n".to_owned(),
    );
    let text = "[SERVICE]
    Flush 0.2
    Parsers_File parsers.conf
[INPUT]
    Name tail
    Path FOLDER/app.log
    Tag app
    Parser json
    Read_from_Head On
[OUTPUT]
    Match *
    SECTION
";
    let text = text
        .replace("SECTION", output.section)
        .replace("FOLDER", &folder.to_string_lossy());
    write("app.conf", text)
}

/// Everything that is there, record by record.
fn read_back(output: &Output, services: &Lake, python: &Path) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scripts/read_back.py");
    let mut command = Command::new(python);
    command.arg(script).args(output.place);
    let lines = output_of(services.point(&mut command));
    let value = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    lines.lines().map(value).collect()
}

fn each_record_once(output: &Output, services: &Lake, python: &Path, folder: &Path) {
    (output.create)(services);
    let router = Router::start(&place(output, folder), services);
    until_some(&format!("{} records", output.count), || {
        let records = read_back(output, services, python);
        (records.len() >= output.count).then_some(())
    });
    router.terminate();

    let records = read_back(output, services, python);
    let mut ids: Vec<usize> = records
        .iter()
        .map(|record| record["id"].as_u64().expect("every record has its id") as usize)
        .collect();
    ids.sort_unstable();
    assert!(
        ids.iter().copied().eq(0..output.count),
        "each exactly once: {} records, {ids:?}",
        ids.len()
    );
    let width = output.width;
    for record in &records {
        let id = record["id"].as_u64().unwrap_or_default();
        assert_eq!(record["text"], format!("a \"line\" é {id:0width$}"));
    }
}

/// Checks the output against moto; `more` looks at what is there besides the records.
fn on_moto(output: &Output, more: fn(&Lake)) {
    let variables = ["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON", "FLUMEN_PEER_MOTO"];
    let Some([aws, python, moto]) = peers(variables) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let services = Lake::moto(&moto, folder, &aws);
    each_record_once(output, &services, &python, folder);
    more(&services);
}

/// As [`on_moto`], against the lake.
fn on_the_lake(output: &Output, more: fn(&Lake)) {
    let Some([aws, python]) = peers(["FLUMEN_PEER_AWS", "FLUMEN_PEER_PYTHON"]) else {
        return;
    };
    let folder = folder();
    let folder = folder.path();
    let lake = Lake::start(folder, &aws);
    each_record_once(output, &lake, &python, folder);
    more(&lake);
    lake.terminate();
}

/// The group was made with its retention, and the stream is named after the tag.
fn group_and_stream(services: &Lake) {
    let query = |arguments: &[&str], query: &str| {
        let output = ["--output", "text", "--query", query];
        let answer = services.aws(&[&["logs"], arguments, &output].concat());
        answer.trim().to_owned()
    };
    let groups = query(
        &["describe-log-groups"],
        "logGroups[].[logGroupName,retentionInDays]",
    );
    assert_eq!(groups, "/app/group\t3");
    let streams = ["describe-log-streams", "--log-group-name", "/app/group"];
    assert_eq!(query(&streams, "logStreams[].logStreamName"), "from-app");
}

/// Of the two objects one came in three parts: its entity tag says so.
fn an_object_in_parts(services: &Lake) {
    let list = ["s3api", "list-objects-v2", "--bucket", "mh9-firelens-demo"];
    let tags = ["--query", "Contents[].ETag", "--output", "json"];
    let tags: Vec<String> =
        serde_json::from_str(&services.aws(&[list, tags].concat())).expect("a list of tags");
    let in_parts = tags.iter().filter(|tag| tag.ends_with("-3\"")).count();
    assert_eq!((tags.len(), in_parts), (2, 1), "{tags:?}");
}

#[test]
fn kinesis_firehose_to_moto() {
    on_moto(&FIREHOSE, |_| ());
}

#[test]
fn kinesis_firehose_to_the_lake() {
    on_the_lake(&FIREHOSE, |_| ());
}

#[test]
fn kinesis_streams_to_moto() {
    on_moto(&KINESIS_STREAMS, |_| ());
}

#[test]
fn kinesis_streams_to_the_lake() {
    on_the_lake(&KINESIS_STREAMS, |_| ());
}

#[test]
fn cloudwatch_logs_to_moto() {
    on_moto(&CLOUDWATCH_LOGS, group_and_stream);
}

#[test]
fn cloudwatch_logs_to_the_lake() {
    on_the_lake(&CLOUDWATCH_LOGS, group_and_stream);
}

#[test]
fn s3_to_moto() {
    on_moto(&S3, an_object_in_parts);
}

#[test]
fn s3_to_the_lake() {
    on_the_lake(&S3, an_object_in_parts);
}
