//! What a call sends, and what it makes of errors.

use std::time::{Duration, SystemTime};

use aws::{
    CallError, Client, ClientOptions, CredentialsProvider, Delivery, Environment, ErrorClass,
    Request, Service, SetupError,
};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method};

use crate::server::{Reply, Server, time_of};
use crate::{client, keys, no_variables, on_a_shard, options};

const TARGET: &str = "Firehose_20150804.PutRecordBatch";

#[test]
fn a_call_is_signed_and_names_itself() {
    let server = Server::start(|_, _| {
        Reply::Answer(200, vec![("x-amzn-requestid", "r-7".into())], "{}".into())
    });
    let client = client(ClientOptions {
        extra_user_agent: Some("x".into()),
        ..options(&server.url())
    });
    let request = Request::json(TARGET, br#"{"a":1}"#).with_header(
        HeaderName::from_static("x-flumen-batch"),
        HeaderValue::from_static("w/1/0-9"),
    );
    let answer = on_a_shard(client.send(request)).unwrap();
    assert_eq!(answer.header("X-Amzn-RequestId"), Some("r-7"));
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!(
        (seen.head.method.as_str(), seen.head.uri.path()),
        ("POST", "/")
    );
    assert_eq!(seen.body, r#"{"a":1}"#);
    let expected = [
        ("host", format!("127.0.0.1:{}", server.port())),
        ("content-type", "application/x-amz-json-1.1".into()),
        ("x-amz-target", TARGET.into()),
        (
            "user-agent",
            format!("flumen/{}-x", env!("CARGO_PKG_VERSION")),
        ),
        ("content-length", "7".into()),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), Some(value.as_str()));
    }
    assert!(seen.is_signed_by(Service::FIREHOSE, &keys()));
    assert!(
        seen.header("authorization")
            .unwrap()
            .contains("x-flumen-batch")
    );
}

#[test]
fn session_tokens_are_sent_and_signed() {
    let server = Server::start(|_, _| Reply::ok("{}"));
    let temporary = aws::Credentials::new("ASIA", "secret", Some("the-token")).unwrap();
    let provider = CredentialsProvider::fixed(temporary.clone());
    let client = Client::new(options(&server.url()), provider, &no_variables()).unwrap();
    on_a_shard(client.post_json(TARGET, "{}")).unwrap();
    let [seen] = server.seen().try_into().unwrap();
    assert_eq!(seen.header("x-amz-security-token"), Some("the-token"));
    assert!(seen.is_signed_by(Service::FIREHOSE, &temporary));
}

#[test]
fn targets_go_below_the_endpoints_path() {
    let cases = [
        ("", "/", "/"),
        ("/base/", "/", "/base"),
        ("/base", "/key?list", "/base/key?list"),
    ];
    for (path, target, expected) in cases {
        let server = Server::start(|_, _| Reply::ok(""));
        let with = ClientOptions {
            service: Service::S3,
            ..options(&format!("{}{path}", server.url()))
        };
        let request = Request::new(Method::PUT, PathAndQuery::from_static(target), b"");
        on_a_shard(client(with).send(request)).unwrap();
        let [seen] = server.seen().try_into().unwrap();
        assert_eq!(seen.head.uri.to_string(), expected);
        assert!(seen.is_signed_by(Service::S3, &keys()));
        assert!(seen.header("x-amz-content-sha256").is_some());
    }
}

#[test]
fn error_answers_are_told_with_their_class_and_not_sent_again() {
    let cases = [
        (400, "ThrottlingException", ErrorClass::Retry),
        (500, "InternalFailure", ErrorClass::Retry),
        (503, "ServiceUnavailableException", ErrorClass::Retry),
        (400, "ValidationException", ErrorClass::Permanent),
        (413, "RequestEntityTooLargeException", ErrorClass::Split),
        (403, "AccessDeniedException", ErrorClass::RefreshCredentials),
    ];
    for (status, code, class) in cases {
        let server = Server::start(move |_, _| Reply::error(status, code));
        let error = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}")).unwrap_err();
        assert_eq!(
            (error.class(), error.delivery()),
            (class, Delivery::Refused)
        );
        assert_eq!(
            error.to_string(),
            format!("{code} (HTTP status {status}): said the server")
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn redirects_are_not_followed() {
    let server = Server::start(|_, _| {
        Reply::Answer(
            307,
            vec![("location", "http://127.0.0.1:1/".into())],
            "".into(),
        )
    });
    let error = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}")).unwrap_err();
    assert!(
        matches!(&error, CallError::Refused(error) if error.status == 307),
        "{error}"
    );
}

#[test]
fn the_wait_that_a_service_asks_for_is_told() {
    let server =
        Server::start(|_, _| Reply::Answer(503, vec![("retry-after", "3".into())], "".into()));
    let error = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
}

/// A service with this clock, which refuses dates more than five minutes off.
fn service_with_clock(now: SystemTime, code: &'static str) -> Server {
    Server::start(move |seen, _| {
        let dated = seen.header("x-amz-date").and_then(time_of).unwrap();
        let off = now
            .duration_since(dated)
            .unwrap_or_else(|error| error.duration());
        if off < Duration::from_secs(300) {
            return Reply::ok("{}");
        }
        let now = jiff::Timestamp::try_from(now).unwrap();
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&now)
            .unwrap();
        let body = format!(r#"{{"__type":"{code}","message":"Signature expired"}}"#);
        Reply::Answer(403, vec![("date", date)], body.into())
    })
}

#[test]
fn a_wrong_clock_is_corrected_once_for_all_calls() {
    let hours =
        |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + hours * 3600);
    for (ours, theirs) in [(10, 0), (0, 10)] {
        for code in ["InvalidSignatureException", "RequestTimeTooSkewed"] {
            let server = service_with_clock(hours(theirs), code);
            let environment = no_variables().with_clock(move || hours(ours));
            let client = Client::new(
                options(&server.url()),
                CredentialsProvider::fixed(keys()),
                &environment,
            )
            .unwrap();
            on_a_shard(async {
                client.post_json(TARGET, "1").await.unwrap();
                client.post_json(TARGET, "2").await.unwrap();
            });
            let bodies: Vec<_> = server.seen().into_iter().map(|seen| seen.body).collect();
            assert_eq!(bodies, ["1", "1", "2"]);
        }
    }
}

#[test]
fn a_bad_signature_with_the_right_date_is_not_sent_again() {
    let server = Server::start(|_, _| Reply::error(403, "SignatureDoesNotMatch"));
    let error = on_a_shard(client(options(&server.url())).post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(error.class(), ErrorClass::RefreshCredentials);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn options_that_cannot_be_used_are_told_at_once() {
    let new =
        |options| Client::new(options, CredentialsProvider::fixed(keys()), &no_variables()).err();
    let default = || ClientOptions::new(Service::FIREHOSE, "us-east-1");
    assert!(new(default()).is_none());
    assert!(matches!(
        new(ClientOptions::new(Service::FIREHOSE, "")),
        Some(SetupError::Endpoint(_))
    ));
    assert!(matches!(
        new(ClientOptions {
            endpoint: Some("ftp://x".into()),
            ..default()
        }),
        Some(SetupError::Endpoint(_))
    ));
    assert!(matches!(
        new(ClientOptions {
            extra_user_agent: Some("a\nb".into()),
            ..default()
        }),
        Some(SetupError::UserAgent(_))
    ));
    let variables = Environment::fixed([("HTTP_PROXY", "socks5://x")]);
    let proxied = Client::new(default(), CredentialsProvider::fixed(keys()), &variables);
    assert!(proxied.unwrap_err().to_string().starts_with("HTTP_PROXY"));
}

#[test]
fn secrets_show_in_no_debug_output() {
    let provider =
        CredentialsProvider::fixed(aws::Credentials::new("AKID", "hush", Some("hush")).unwrap());
    let variables = Environment::fixed([("HTTP_PROXY", "http://user:hush@proxy:1")]);
    let client = Client::new(
        ClientOptions::new(Service::FIREHOSE, "us-east-1"),
        provider,
        &variables,
    )
    .unwrap();
    let shown = format!("{client:?}");
    assert!(
        shown.contains("firehose.us-east-1.amazonaws.com") && !shown.contains("hush"),
        "{shown}"
    );
}
