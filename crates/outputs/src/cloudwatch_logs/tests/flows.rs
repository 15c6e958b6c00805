//! Conversations with the service.

use ::aws::{Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment, Service};
use plugin::{Answer, Reason, RecordAnswer, Request};

use super::super::CommonOptions;
use super::super::create::Creation;
use super::super::send::Sender;
use super::server::{Server, error, ok};
use super::*;

const NOT_FOUND: &str = "ResourceNotFoundException";

fn common(auto_create_group: bool, log_retention_days: i64) -> CommonOptions {
    CommonOptions {
        log_group_name: "g".to_owned(),
        log_stream_name: Some("s".to_owned()),
        log_stream_prefix: None,
        log_key: None,
        log_format: None,
        auto_create_group,
        log_retention_days,
        extra_user_agent: None,
    }
}

fn creation(auto_create_group: bool, log_retention_days: i64) -> Creation {
    Creation::new(&common(auto_create_group, log_retention_days), &context())
}

fn sender(server: &Server, format: Option<&str>, creation: Creation) -> Sender {
    let environment = Environment::fixed([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]);
    let credentials = CredentialsOptions {
        region: "us-west-2".to_owned(),
        ..CredentialsOptions::default()
    };
    let credentials = CredentialsProvider::new(&credentials, &environment);
    let options = ClientOptions {
        endpoint: Some(server.url()),
        ..ClientOptions::new(Service::CLOUDWATCH_LOGS, "us-west-2")
    };
    let client = Client::new(options, credentials.expect("credentials"), &environment);
    Sender::new(client.expect("a client"), format, creation, &context()).expect("a sender")
}

fn request(lines: &[&str]) -> Request {
    let outbox = format(&mut *formatting(&[]), &batch("t", lines));
    let mut requests = outbox.requests;
    assert_eq!(requests.len(), 1);
    requests.remove(0)
}

/// The service: groups and streams that are there, by name.
fn service(
    mut groups: Vec<String>,
    mut streams: Vec<String>,
) -> impl FnMut(&super::server::Seen) -> (u16, String) + Send {
    move |seen| {
        let name = |key: &str| seen.body[key].as_str().unwrap_or_default().to_owned();
        let (group, stream) = (name("logGroupName"), name("logStreamName"));
        match seen.operation.as_str() {
            "CreateLogGroup" if groups.contains(&group) => error("ResourceAlreadyExistsException"),
            "CreateLogGroup" => {
                groups.push(group);
                ok("")
            }
            "PutRetentionPolicy" => ok(""),
            _ if !groups.contains(&group) => error(NOT_FOUND),
            "CreateLogStream" if streams.contains(&stream) => {
                error("ResourceAlreadyExistsException")
            }
            "CreateLogStream" => {
                streams.push(stream);
                ok("")
            }
            _ if !streams.contains(&stream) => error(NOT_FOUND),
            _ => ok("{}"),
        }
    }
}

#[tokio::test]
async fn what_is_there_is_written_to_at_once() {
    let server = Server::start(service(vec!["g".to_owned()], vec!["p.t".to_owned()])).await;
    let sender = sender(&server, Some("json/emf"), creation(true, 7));
    let request = request(&[r#"{"a":1}"#]);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    let seen = server.seen();
    assert_eq!(server.operations(), ["PutLogEvents"]);
    assert_eq!(seen[0].body["logEvents"][0]["message"], r#"{"a":1}"#);
    for header in [
        "x-amzn-logs-format: json/emf",
        "x-amz-target: logs_20140328.putlogevents",
        "content-type: application/x-amz-json-1.1",
        "/us-west-2/logs/aws4_request",
    ] {
        assert!(seen[0].head.contains(header), "{}", seen[0].head);
    }
}

#[tokio::test]
async fn a_missing_stream_is_created() {
    let server = Server::start(service(vec!["g".to_owned()], vec![])).await;
    let sender = sender(&server, None, creation(false, 0));
    let request = request(&[r#"{"a":1}"#]);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    assert_eq!(
        server.operations(),
        ["PutLogEvents", "CreateLogStream", "PutLogEvents"]
    );
    assert!(!server.seen()[0].head.contains("x-amzn-logs-format"));
    assert_eq!(
        server.seen()[1].body,
        serde_json::json!({"logGroupName": "g", "logStreamName": "p.t"})
    );
}

#[tokio::test]
async fn a_missing_group_is_created_with_its_properties() {
    let server = Server::start(service(vec![], vec![])).await;
    let creation = Creation {
        class: Some("INFREQUENT_ACCESS".to_owned()),
        tags: vec![("k".to_owned(), "v".to_owned())],
        ..creation(true, 14)
    };
    let sender = sender(&server, None, creation);
    let request = request(&[r#"{"a":1}"#]);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    assert_eq!(
        server.operations(),
        [
            "PutLogEvents",
            "CreateLogStream",
            "CreateLogGroup",
            "PutRetentionPolicy",
            "CreateLogStream",
            "PutLogEvents"
        ]
    );
    let seen = server.seen();
    assert_eq!(
        seen[2].body,
        serde_json::json!({"logGroupName": "g", "logGroupClass": "INFREQUENT_ACCESS", "tags": {"k": "v"}})
    );
    assert_eq!(
        seen[3].body,
        serde_json::json!({"logGroupName": "g", "retentionInDays": 14})
    );
    assert_eq!(seen[0].body, seen[5].body, "the same request");
}

#[tokio::test]
async fn a_group_that_is_deleted_is_created_again() {
    // Everything is gone before the second request.
    let mut puts = 0;
    let mut there = service(vec![], vec![]);
    let server = Server::start(move |seen| {
        if seen.operation == "PutLogEvents" {
            puts += 1;
            if puts == 3 {
                there = service(vec![], vec![]);
            }
        }
        there(seen)
    })
    .await;
    let sender = sender(&server, None, creation(true, 0));
    let request = request(&[r#"{"a":1}"#]);
    for _ in 0..2 {
        assert_eq!(sender.deliver(&request).await, Answer::Done);
    }
    let groups = server.operations();
    let groups = groups
        .iter()
        .filter(|operation| *operation == "CreateLogGroup");
    assert_eq!(groups.count(), 2);
}

#[tokio::test]
async fn what_may_not_be_created_is_waited_for() {
    let server = Server::start(service(vec![], vec![])).await;
    let request = request(&[r#"{"a":1}"#]);
    let without_groups = sender(&server, None, creation(false, 0));
    let without_streams = sender(
        &server,
        None,
        Creation {
            streams: false,
            ..creation(true, 0)
        },
    );
    let cases = [
        (
            without_groups,
            "log group g is missing and auto_create_group is off",
        ),
        (
            without_streams,
            "log stream p.t of log group g is missing and auto_create_stream is off",
        ),
    ];
    for (sender, expected) in cases {
        match sender.deliver(&request).await {
            Answer::Again { why, throttled, .. } => {
                assert_eq!(why, expected);
                assert!(!throttled);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_group_that_many_streams_miss_is_created_once() {
    let server = Server::start(service(vec![], vec![])).await;
    let sender = sender(&server, None, creation(true, 1));
    let options = [("log_stream_template", "$s")];
    let lines: Vec<String> = (0..10)
        .map(|number| format!(r#"{{"s":"s{number}"}}"#))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let outbox = format(&mut *formatting(&options), &batch("t", &lines));
    assert_eq!(outbox.requests.len(), 10);
    let local = tokio::task::LocalSet::new();
    let sender = std::rc::Rc::new(sender);
    let tasks: Vec<_> = outbox
        .requests
        .into_iter()
        .map(|request| {
            let sender = std::rc::Rc::clone(&sender);
            local.spawn_local(async move { sender.deliver(&request).await })
        })
        .collect();
    local.await;
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), Answer::Done);
    }
    let count = |operation: &str| {
        let all = server.operations();
        all.iter().filter(|seen| *seen == operation).count()
    };
    assert_eq!(
        (count("CreateLogGroup"), count("PutRetentionPolicy")),
        (1, 1)
    );
    assert_eq!(count("PutLogEvents"), 20);
}

#[tokio::test]
async fn a_retention_that_cannot_be_set_holds_nothing_back() {
    let mut there = service(vec![], vec![]);
    let mut failures = 1;
    let server = Server::start(move |seen| {
        if seen.operation == "PutRetentionPolicy" && failures > 0 {
            failures -= 1;
            return error("OperationAbortedException");
        }
        there(seen)
    })
    .await;
    let sender = sender(&server, None, creation(true, 3));
    let request = request(&[r#"{"a":1}"#]);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    let policies = || {
        let all = server.operations();
        all.iter()
            .filter(|seen| *seen == "PutRetentionPolicy")
            .count()
    };
    assert_eq!(policies(), 1, "not with every request");
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    tokio::time::resume();
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    assert_eq!(sender.deliver(&request).await, Answer::Done);
    assert_eq!(policies(), 2);
}

#[tokio::test]
async fn answers_become_verdicts() {
    let again = |throttled| Answer::Again {
        after: None,
        why: String::new(),
        throttled,
    };
    let never = |reason| Answer::Never {
        reason: Reason(reason),
        why: String::new(),
    };
    let cases = [
        (error("DataAlreadyAcceptedException"), Answer::Done),
        (error("InvalidSequenceTokenException"), again(false)),
        (error("ThrottlingException"), again(true)),
        (error("AccessDeniedException"), again(false)),
        ((503, String::new()), again(true)),
        ((500, "<html>".to_owned()), again(false)),
        (ok("<html>"), again(false)),
        (error("InvalidParameterException"), never("refused")),
        ((413, String::new()), never("request_too_large")),
        (
            ok(
                r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1,"tooNewLogEventStartIndex":2}}"#,
            ),
            Answer::Except {
                records: vec![
                    (0, RecordAnswer::Never(Reason("log_event_too_old"))),
                    (2, RecordAnswer::Never(Reason("log_event_too_new"))),
                ],
                why: String::new(),
                throttled: false,
            },
        ),
    ];
    let request = request(&[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
    for (reply, expected) in cases {
        let shown = format!("{reply:?}");
        let server = Server::start(move |_| reply.clone()).await;
        let answer = sender(&server, None, creation(true, 0))
            .deliver(&request)
            .await;
        assert_eq!(without_text(answer), expected, "{shown}");
    }
}

/// The same answer without what is for people.
fn without_text(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Done => {}
        Answer::Again { why, .. } | Answer::Except { why, .. } | Answer::Never { why, .. } => {
            assert!(!std::mem::take(why).is_empty());
        }
    }
    answer
}
