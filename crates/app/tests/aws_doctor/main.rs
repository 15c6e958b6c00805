//! `flumen aws doctor` as a program, against a server in this process that plays AWS's services.

mod server;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::{Value, json};

use server::{Reply, Seen, Server, date, error, reply};

/// What AWS answers when all is well.
fn good(seen: &Seen) -> Reply {
    match seen.what.as_str() {
        "Action=GetCallerIdentity" => reply(
            200,
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn>\
             <UserId>U</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        ),
        "Firehose_20150804.DescribeDeliveryStream" => {
            let destination =
                json!({"ExtendedS3DestinationDescription": {"BucketARN": "arn:aws:s3:::logs"}});
            let description = json!({"DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut",
                "Destinations": [destination]});
            reply(200, json!({"DeliveryStreamDescription": description}))
        }
        "Firehose_20150804.PutRecordBatch" => {
            let verdict = json!({"RecordId": "r".repeat(220)});
            reply(
                200,
                json!({"FailedPutCount": 0, "RequestResponses": [verdict]}),
            )
        }
        "Kinesis_20131202.DescribeStreamSummary" => reply(
            200,
            json!({"StreamDescriptionSummary": {"StreamStatus": "ACTIVE", "OpenShardCount": 3}}),
        ),
        "Kinesis_20131202.PutRecords" => {
            let verdict = json!({"ShardId": "shardId-0", "SequenceNumber": "49"});
            reply(200, json!({"FailedRecordCount": 0, "Records": [verdict]}))
        }
        "Logs_20140328.DescribeLogGroups" => {
            let group = |name: &str| json!({"logGroupName": name, "retentionInDays": 30});
            reply(
                200,
                json!({"logGroups": [group("app"), group("app-other")]}),
            )
        }
        "Logs_20140328.CreateLogStream" | "Logs_20140328.PutLogEvents" => reply(200, "{}"),
        what if ["HEAD /logs", "PUT /logs/", "DELETE /logs/"]
            .iter()
            .any(|known| what.starts_with(known)) =>
        {
            reply(200, "")
        }
        _ => error(400, "UnknownOperationException"),
    }
}

const OUTPUTS: &str = "
[INPUT]
    Name dummy
[OUTPUT]
    Name firehose
    Match *
    alias to-firehose
    region eu-central-1
    delivery_stream ds
    endpoint ${SERVER}
[OUTPUT]
    Name kinesis_streams
    Match *
    region eu-central-1
    stream st
    endpoint ${SERVER}
[OUTPUT]
    Name cloudwatch_logs
    Match *
    region eu-central-1
    log_group_name app
    log_stream_prefix from-
    endpoint ${SERVER}
[OUTPUT]
    Name s3
    Match *
    bucket logs
    s3_key_format /a b/$TAG
    storage_class STANDARD_IA
    endpoint ${SERVER}
[OUTPUT]
    Name stdout
    Match *
";

/// One output of a kind.
fn only(name: &str) -> String {
    let from = OUTPUTS.find(&format!("Name {name}")).expect("listed");
    let rest = &OUTPUTS[from..];
    let section = rest.find("[OUTPUT]").map_or(rest, |end| &rest[..end]);
    format!("[INPUT]\n    Name dummy\n[OUTPUT]\n    {section}")
}

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "hush"),
];

/// Runs the doctor on a configuration in an environment of its own.
fn doctor(config: &str, server: &str, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fluent-bit.conf");
    std::fs::write(&file, config).expect("written");
    let output = command(folder.path(), variables)
        .env("SERVER", server)
        .args(["aws", "doctor", "-c"])
        .arg(&file)
        .args(flags)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    output
}

fn command(home: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command
        .env_clear()
        .env("HOME", home)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied());
    command
}

/// The results of the checks of the only output: name → (result, text, advice).
fn checks(output: &Output) -> std::collections::BTreeMap<String, (String, String, String)> {
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let outputs = json["outputs"].as_array().expect("a list");
    assert_eq!(outputs.len(), 1);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = outputs[0]["checks"].as_array().expect("a list").iter();
    checks
        .map(|check| {
            let rest = (
                text(&check["result"]),
                text(&check["text"]),
                text(&check["advice"]),
            );
            (text(&check["check"]), rest)
        })
        .collect()
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn all_services_are_looked_at_and_a_record_is_put_into_each() {
    let server = Server::start(good);
    let output = doctor(OUTPUTS, &server.url, &KEYS, &["--put"]);
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert_eq!(status(&output), Some(0), "{text}");
    for line in [
        "to-firehose (firehose): delivery stream ds  [",
        "  credentials  ok       AKIDEXAMPLE from environment; do not end",
        "  identity     ok       account 123456789012, arn:aws:iam::123456789012:user/me",
        "  region       ok       eu-central-1",
        "  destination  ok       ACTIVE, delivers to arn:aws:s3:::logs",
        "  clock        ok       ",
        "  put          ok       one record, RecordId rrrr",
        "kinesis_streams.1: stream st  [",
        "  destination  ok       ACTIVE, 3 open shards",
        "  put          ok       one record, SequenceNumber 49",
        "cloudwatch_logs.2: log group app  [",
        "  destination  ok       exists, class STANDARD, kept for 30 days",
        "  put          ok       one event in the stream from-flumen-doctor",
        "s3.3: bucket logs  [",
        "  region       ok       us-east-1",
        "  put          ok       one object, s3://logs/a b/flumen-doctor-",
        "4 AWS outputs: 0 problems, 0 warnings",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let endpoint = format!("  endpoint     ok       {} (option endpoint)", server.url);
    assert!(text.contains(&endpoint), "{text}");

    let data = server.body_of("Firehose_20150804.PutRecordBatch")["Records"][0]["Data"].clone();
    let data = base64_simd::STANDARD.decode_to_vec(data.as_str().expect("text"));
    let record: Value = serde_json::from_slice(&data.expect("base64")).expect("JSON");
    assert_eq!(record["output"], "to-firehose");
    let event = &server.body_of("Logs_20140328.PutLogEvents")["logEvents"][0];
    assert!(
        event["timestamp"].as_u64() > Some(1_700_000_000_000),
        "{event}"
    );
    let seen = server.seen.lock().expect("no panic");
    let put = seen
        .iter()
        .find(|seen| seen.what.starts_with("PUT "))
        .expect("an object");
    assert!(
        put.what.starts_with("PUT /logs/a%20b/flumen-doctor-"),
        "{put:?}"
    );
    let class = ("x-amz-storage-class".to_owned(), "STANDARD_IA".to_owned());
    assert!(put.headers.contains(&class), "{put:?}");
    let delete = put.what.replace("PUT", "DELETE");
    assert!(seen.iter().any(|seen| seen.what == delete));
}

#[test]
fn nothing_is_sent_without_being_asked_for() {
    let server = Server::start(good);
    let output = doctor(OUTPUTS, &server.url, &KEYS, &["--json"]);
    assert_eq!(status(&output), Some(0));
    let asked = server.asked();
    assert!(
        asked
            .iter()
            .all(|what| !what.contains("Put") && !what.contains("PUT")),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 8, "{asked:?}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["outputs"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        (&json["problems"], &json["warnings"]),
        (&json!(0), &json!(0))
    );
}

/// What the doctor says of one kind of output to a server that answers one target differently.
fn with_fault(
    name: &str,
    what: &'static str,
    fault: impl Fn() -> Reply + Send + Sync + 'static,
) -> (Output, Server) {
    let server = Server::start(move |seen| match seen.what.starts_with(what) {
        true => fault(),
        false => good(seen),
    });
    let output = doctor(&only(name), &server.url, &KEYS, &["--json", "--put"]);
    (output, server)
}

#[test]
fn what_is_missing_is_said_with_the_command_that_makes_it() {
    let nothing = || error(400, "ResourceNotFoundException");
    let cases: [(&str, &'static str, Reply, &str); 5] = [
        (
            "firehose",
            "Firehose_20150804.Describe",
            nothing(),
            "aws firehose create-delivery-stream --delivery-stream-name ds",
        ),
        (
            "kinesis_streams",
            "Kinesis_20131202.Describe",
            nothing(),
            "aws kinesis create-stream --stream-name st",
        ),
        (
            "cloudwatch_logs",
            "Logs_20140328.Describe",
            reply(200, json!({"logGroups": [{"logGroupName": "app-other"}]})),
            "aws logs create-log-group --log-group-name app",
        ),
        ("s3", "HEAD /logs", reply(404, ""), "aws s3 mb s3://logs"),
        (
            "s3",
            "HEAD /logs",
            Reply {
                headers: vec![("x-amz-bucket-region", "eu-west-1".to_owned())],
                ..reply(301, "")
            },
            "set the option region to eu-west-1",
        ),
    ];
    for (name, what, fault, advice) in cases {
        let (code, headers, body) = (fault.status, fault.headers, fault.body);
        let (output, server) = with_fault(name, what, move || Reply {
            status: code,
            headers: headers.clone(),
            body: body.clone(),
        });
        assert_eq!(status(&output), Some(1), "{name}");
        let checks = checks(&output);
        let (result, text, found) = &checks["destination"];
        assert_eq!(result, "problem", "{text}");
        assert!(found.contains(advice), "{found}");
        assert_eq!(checks["put"].0, "skipped");
        let asked = server.asked();
        assert!(asked.iter().all(|what| !what.contains("Put")), "{asked:?}");
    }
}

#[test]
fn whoever_may_not_look_may_still_put() {
    let (output, _) = with_fault("firehose", "Firehose_20150804.Describe", || {
        error(400, "AccessDeniedException")
    });
    let checks = checks(&output);
    assert_eq!(status(&output), Some(0), "{checks:?}");
    assert_eq!(checks["destination"].0, "warning");
    assert_eq!(checks["put"].0, "ok");
}

#[test]
fn a_refused_put_names_the_permission() {
    let cases = [
        (
            "firehose",
            "Firehose_20150804.Put",
            "firehose:PutRecordBatch",
        ),
        (
            "kinesis_streams",
            "Kinesis_20131202.Put",
            "kinesis:PutRecords",
        ),
        ("cloudwatch_logs", "Logs_20140328.Put", "logs:PutLogEvents"),
        ("s3", "PUT ", "s3:PutObject"),
    ];
    for (name, what, permission) in cases {
        let (output, _) = with_fault(name, what, || error(403, "AccessDenied"));
        let checks = checks(&output);
        let (result, text, advice) = &checks["put"];
        assert_eq!(status(&output), Some(1));
        assert_eq!(result, "problem", "{text}");
        assert!(advice.contains(permission), "{advice}");
    }
}

#[test]
fn a_record_that_is_refused_alone_is_a_problem() {
    let verdict = json!({"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."});
    let body = json!({"FailedPutCount": 1, "RequestResponses": [verdict]});
    let (output, _) = with_fault("firehose", "Firehose_20150804.Put", move || {
        reply(200, &body)
    });
    assert_eq!(status(&output), Some(1));
    let checks = checks(&output);
    let (result, text, _) = &checks["put"];
    assert_eq!(result, "problem");
    assert_eq!(
        text,
        "the record was refused: ServiceUnavailableException: Slow down."
    );
}

#[test]
fn a_missing_log_stream_is_made_for_the_test_event() {
    let made = Mutex::new(false);
    let server = Server::start(move |seen| {
        let mut made = made.lock().expect("no panic");
        match seen.what.as_str() {
            "Logs_20140328.CreateLogStream" => *made = true,
            "Logs_20140328.PutLogEvents" if !*made => {
                return error(400, "ResourceNotFoundException");
            }
            _ => {}
        }
        good(seen)
    });
    let config = only("cloudwatch_logs");
    let output = doctor(&config, &server.url, &KEYS, &["--json", "--put"]);
    assert_eq!(status(&output), Some(0), "{:?}", checks(&output));
    let stream = server.body_of("Logs_20140328.CreateLogStream");
    assert_eq!(
        stream,
        json!({"logGroupName": "app", "logStreamName": "from-flumen-doctor"})
    );
}

#[test]
fn a_missing_log_stream_that_the_output_would_not_create_is_told() {
    let missing = || error(400, "ResourceNotFoundException");
    let server = Server::start(move |seen| match seen.what.as_str() {
        "Logs_20140328.PutLogEvents" => missing(),
        _ => good(seen),
    });
    let off = "auto_create_stream off\n    region";
    // The option is one of `cloudwatch`, AWS's Go plugin.
    let by_prefix = only("cloudwatch_logs")
        .replace("Name cloudwatch_logs", "Name cloudwatch")
        .replace("region", off);
    let by_name = by_prefix.replace("log_stream_prefix from-", "log_stream_name own");
    for (config, expected) in [(by_prefix, "skipped"), (by_name, "problem")] {
        let output = doctor(&config, &server.url, &KEYS, &["--json", "--put"]);
        assert_eq!(checks(&output)["put"].0, expected);
    }
    let asked = server.asked();
    assert!(
        asked.iter().all(|what| !what.contains("Create")),
        "{asked:?}"
    );
}

#[test]
fn a_stream_that_takes_no_records_is_a_problem() {
    let (output, _) = with_fault("firehose", "Firehose_20150804.Describe", || {
        let description = json!({"DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "KinesisStreamAsSource"});
        reply(200, json!({"DeliveryStreamDescription": description}))
    });
    assert_eq!(status(&output), Some(1));
    assert!(checks(&output)["destination"].1.contains("Kinesis stream"));
    let (output, _) = with_fault("kinesis_streams", "Kinesis_20131202.Describe", || {
        reply(
            200,
            json!({"StreamDescriptionSummary": {"StreamStatus": "DELETING"}}),
        )
    });
    assert_eq!(status(&output), Some(1));
    assert!(checks(&output)["destination"].1.starts_with("DELETING"));
}

#[test]
fn without_credentials_nothing_is_sent_and_every_place_is_named() {
    let server = Server::start(good);
    let output = doctor(&only("firehose"), &server.url, &[], &["--json", "--put"]);
    let checks = checks(&output);
    assert_eq!(status(&output), Some(1));
    let (result, text, advice) = &checks["credentials"];
    assert_eq!(result, "problem");
    assert!(
        text.contains("environment: AWS_ACCESS_KEY_ID is not set"),
        "{text}"
    );
    assert!(advice.contains("role"), "{advice}");
    for skipped in ["identity", "destination", "put", "clock"] {
        assert_eq!(checks[skipped].0, "skipped", "{skipped}");
    }
    assert_eq!(checks["endpoint"].0, "ok");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn an_ended_sign_in_says_what_to_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    let profile = "[profile dev]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = r\n\
                   [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x\n";
    std::fs::write(&file, profile).expect("written");
    let variables = [
        ("AWS_CONFIG_FILE", file.to_str().expect("UTF-8")),
        ("AWS_PROFILE", "dev"),
    ];
    let output = doctor(
        &only("firehose"),
        "http://127.0.0.1:1",
        &variables,
        &["--json"],
    );
    assert_eq!(status(&output), Some(1));
    let advice = &checks(&output)["credentials"].2;
    assert_eq!(advice, "run: aws sso login --sso-session corp");
}

#[test]
fn who_does_not_answer_is_named_with_the_usual_causes() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let output = doctor(&only("firehose"), &closed, &KEYS, &["--json", "--put"]);
    let checks = checks(&output);
    assert_eq!(status(&output), Some(1));
    let (result, text, advice) = &checks["destination"];
    assert_eq!(result, "problem");
    assert!(
        text.contains("no connection") && advice.contains("DNS"),
        "{text} {advice}"
    );
    assert_eq!(checks["put"].0, "skipped");
    assert_eq!(checks["identity"].0, "warning");
}

#[test]
fn what_stands_in_for_aws_need_not_know_sts() {
    let (output, _) = with_fault("firehose", "Action=", || {
        error(404, "UnknownOperationException")
    });
    assert_eq!(status(&output), Some(0));
    assert_eq!(checks(&output)["identity"].0, "skipped");
}

#[test]
fn a_clock_that_is_off_is_a_warning() {
    let server = Server::start(|seen| Reply {
        headers: vec![("date", date(-1000))],
        ..good(seen)
    });
    let output = doctor(&only("firehose"), &server.url, &KEYS, &["--json"]);
    assert_eq!(status(&output), Some(0));
    let (result, text, _) = &checks(&output)["clock"];
    assert_eq!(result, "warning");
    assert!(text.ends_with("min ahead of the service's"), "{text}");
}

#[test]
fn wrong_options_are_told_beside_what_can_be_looked_at() {
    let server = Server::start(good);
    let config =
        only("firehose").replace("delivery_stream ds", "delivery_stream ds\n    time_kye t");
    let output = doctor(&config, &server.url, &KEYS, &["--json"]);
    let checks = checks(&output);
    assert_eq!(status(&output), Some(1));
    assert!(checks["options"].1.contains("time_kye"), "{checks:?}");
    assert_eq!(checks["destination"].0, "ok");

    let config = only("firehose").replace("region eu-central-1", "");
    let output = doctor(&config, &server.url, &KEYS, &["--json"]);
    assert_eq!(status(&output), Some(1));
    let config = only("firehose").replace("region eu-central-1", "region eu central");
    let output = doctor(&config, &server.url, &KEYS, &["--json"]);
    assert_eq!(status(&output), Some(1));
}

#[test]
fn a_configuration_without_aws_is_not_what_was_meant() {
    let config = "[INPUT]\n    Name dummy\n[OUTPUT]\n    Name stdout\n    Match *\n";
    let output = doctor(config, "", &KEYS, &[]);
    assert_eq!(status(&output), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "There is no AWS output in this configuration.\n"
    );
    let output = doctor("[OUTPUT\n", "", &KEYS, &[]);
    assert_eq!(status(&output), Some(1));
    assert!(!output.stderr.is_empty());
}

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["aws", "doctor", "--help"][..],
        &["aws"],
        &["aws", "doctor", "-h"],
    ] {
        let output = command(folder.path(), &[])
            .args(arguments)
            .output()
            .expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(status(&output), Some(0));
        assert!(text.contains("Usage: flumen aws doctor -c FILE"), "{text}");
    }
    let unknown = command(folder.path(), &[]).args(["aws", "docter"]).output();
    assert_eq!(status(&unknown.expect("it runs")), Some(1));
}
