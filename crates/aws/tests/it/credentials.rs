//! The sources of credentials against servers that stand in for AWS's own.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws::{
    Client, Credentials, CredentialsError, CredentialsOptions, CredentialsProvider, Delivery,
    Environment, ErrorClass, Service,
};

use crate::server::{Reply, Seen, Server};
use crate::{on_a_shard, options};

const TARGET: &str = "Firehose_20150804.PutRecordBatch";

/// A clock that a test sets, starting at some day in 2027.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub const START: u64 = 1_800_000_000;

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub fn drive(&self, environment: Environment) -> Environment {
        let clock = self.clone();
        environment.with_clock(move || {
            SystemTime::UNIX_EPOCH
                + Duration::from_secs(Self::START + clock.0.load(Ordering::SeqCst))
        })
    }
}

/// RFC 3339, so many seconds after the test clock's start.
pub fn end_after(seconds: u64) -> String {
    jiff::Timestamp::from_second((TestClock::START + seconds) as i64)
        .unwrap()
        .to_string()
}

pub fn document(key: &str, expires: &str) -> String {
    format!(
        r#"{{"Code":"Success","AccessKeyId":"{key}","SecretAccessKey":"s","Token":"token-of-{key}","Expiration":"{expires}"}}"#
    )
}

fn provider(variables: &[(&str, String)]) -> CredentialsProvider {
    provider_with(CredentialsOptions::default(), &environment(variables))
}

pub fn provider_with(
    options: CredentialsOptions,
    environment: &Environment,
) -> CredentialsProvider {
    let region = "eu-central-1".to_owned();
    CredentialsProvider::new(&CredentialsOptions { region, ..options }, environment).unwrap()
}

/// Variables that no source of this machine gets in the way of.
pub fn environment(variables: &[(&str, String)]) -> Environment {
    let mut all = vec![
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("HOME", "/nowhere".to_owned()),
    ];
    all.extend(variables.iter().cloned());
    Environment::fixed(all)
}

pub fn load(provider: &CredentialsProvider) -> Result<String, CredentialsError> {
    on_a_shard(provider.credentials()).map(|credentials| credentials.access_key_id().to_owned())
}

/// The metadata service of an instance with a role.
fn instance_metadata(seen: &Seen) -> Reply {
    let token = seen.header("x-aws-ec2-metadata-token");
    match (seen.head.method.as_str(), seen.head.uri.path()) {
        ("PUT", "/latest/api/token")
            if seen.header("x-aws-ec2-metadata-token-ttl-seconds") == Some("21600") =>
        {
            Reply::ok("session")
        }
        _ if token != Some("session") => Reply::Answer(401, Vec::new(), "".into()),
        ("GET", "/latest/meta-data/iam/security-credentials/") => Reply::ok("the-role"),
        ("GET", "/latest/meta-data/iam/security-credentials/the-role") => {
            Reply::ok(document("INSTANCE", "2099-01-01T00:00:00Z"))
        }
        _ => Reply::Answer(404, Vec::new(), "".into()),
    }
}

fn at_instance(server: &Server) -> [(&'static str, String); 2] {
    [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url()),
        ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
    ]
}

#[test]
fn an_instance_gives_its_roles_credentials() {
    let server = Server::start(|seen, _| instance_metadata(seen));
    assert_eq!(load(&provider(&at_instance(&server))).unwrap(), "INSTANCE");
    assert_eq!(server.connections(), 1);
}

#[test]
fn an_instance_without_a_role_or_without_version_2_is_passed_over() {
    type Script = fn(&Seen) -> Reply;
    let cases: [(Script, &str); 4] = [
        (
            |_| Reply::Answer(403, Vec::new(), "".into()),
            "no session token: HTTP status 403",
        ),
        (
            |seen| {
                if seen.head.method == "PUT" {
                    Reply::ok("t")
                } else {
                    Reply::Answer(404, Vec::new(), "".into())
                }
            },
            "the instance has no role",
        ),
        (
            |seen| {
                if seen.head.method == "PUT" {
                    Reply::ok("t")
                } else {
                    Reply::ok("")
                }
            },
            "the instance has no role",
        ),
        (
            |seen| {
                if seen.head.method == "PUT" {
                    Reply::ok("t")
                } else {
                    Reply::ok("a b/../c")
                }
            },
            "the instance has no role",
        ),
    ];
    for (script, part) in cases {
        let server = Server::start(move |seen, _| script(seen));
        let error = load(&provider(&at_instance(&server))).unwrap_err();
        let look = error.looks().last().unwrap();
        assert_eq!(look.source, "instance metadata");
        assert!(look.found.contains(part), "{look}");
    }
}

#[test]
fn without_credentials_the_error_names_every_place() {
    let error = load(&provider(&[])).unwrap_err();
    let sources: Vec<_> = error.looks().iter().map(|look| look.source).collect();
    assert_eq!(
        sources,
        [
            "environment",
            "shared files",
            "web identity",
            "container",
            "instance metadata"
        ]
    );
    let shown = error.to_string();
    for part in [
        "AWS_ACCESS_KEY_ID is not set",
        "/nowhere/.aws/credentials",
        "AWS_WEB_IDENTITY_TOKEN_FILE is not set",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn a_call_without_credentials_sends_nothing_and_works_once_there_are_some() {
    let server = Server::start(|_, _| Reply::ok("{}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let clock = TestClock::default();
    let environment = clock.drive(environment(&[(
        "AWS_SHARED_CREDENTIALS_FILE",
        file.to_str().unwrap().to_owned(),
    )]));
    let provider = provider_with(CredentialsOptions::default(), &environment);
    let client = Client::new(options(&server.url()), provider, &environment).unwrap();
    let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
    assert_eq!(
        (error.class(), error.delivery()),
        (ErrorClass::Retry, Delivery::NeverSent)
    );
    assert_eq!(server.seen().len(), 0);
    fs::write(
        &file,
        "[default]\naws_access_key_id = LATER\naws_secret_access_key = s\n",
    )
    .unwrap();
    clock.set(6);
    on_a_shard(client.post_json(TARGET, "{}")).unwrap();
    assert!(
        server.seen()[0]
            .header("authorization")
            .unwrap()
            .contains("Credential=LATER/")
    );
}

#[test]
fn a_container_sends_its_token_and_reads_the_file_anew() {
    let server = Server::start(|seen, _| match seen.header("authorization") {
        Some(token) => Reply::ok(document(&token.to_uppercase(), &end_after(100))),
        None => Reply::Answer(
            400,
            Vec::new(),
            r#"{"code":"NoToken","message":"who is there"}"#.into(),
        ),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "one\n").unwrap();
    let clock = TestClock::default();
    let uri = (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        format!("{}/v1/credentials?x=1", server.url()),
    );
    let variables = [
        uri.clone(),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "ignored".to_owned()),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.to_str().unwrap().to_owned(),
        ),
    ];
    let provider = provider_with(
        CredentialsOptions::default(),
        &clock.drive(environment(&variables)),
    );
    assert_eq!(load(&provider).unwrap(), "ONE");
    fs::write(&file, "two\n").unwrap();
    clock.set(30);
    assert_eq!(load(&provider).unwrap(), "ONE");
    clock.set(45);
    assert_eq!(load(&provider).unwrap(), "TWO");
    assert_eq!(server.seen().len(), 2);
    assert_eq!(server.seen()[0].head.uri.to_string(), "/v1/credentials?x=1");

    let with_variable = [
        uri.clone(),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "three".to_owned()),
    ];
    assert_eq!(load(&self::provider(&with_variable)).unwrap(), "THREE");
    let error = load(&self::provider(&[uri])).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("HTTP status 400 NoToken: who is there"),
        "{error}"
    );
}

#[test]
fn a_source_that_is_set_up_but_fails_ends_the_search() {
    let instance = Server::start(|seen, _| instance_metadata(seen));
    let container = Server::start(|_, _| Reply::Answer(500, Vec::new(), "".into()));
    let mut variables = vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url())];
    variables.extend(at_instance(&instance));
    let error = load(&provider(&variables)).unwrap_err();
    assert_eq!(error.looks().last().unwrap().source, "container");
    assert_eq!(instance.seen().len(), 0);
}

#[test]
fn the_order_is_environment_files_web_identity_container_instance() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    fs::write(
        &file,
        "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n",
    )
    .unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "jwt").unwrap();
    let sts = Server::start(|_, _| Reply::ok(role("WEB")));
    let container = Server::start(|_, _| Reply::ok(document("CONTAINER", "2099-01-01T00:00:00Z")));
    let instance = Server::start(|seen, _| instance_metadata(seen));
    let groups: [Vec<(&str, String)>; 5] = [
        vec![
            ("AWS_ACCESS_KEY_ID", "ENVIRONMENT".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "s".to_owned()),
        ],
        vec![(
            "AWS_SHARED_CREDENTIALS_FILE",
            file.to_str().unwrap().to_owned(),
        )],
        vec![
            (
                "AWS_WEB_IDENTITY_TOKEN_FILE",
                token.to_str().unwrap().to_owned(),
            ),
            (
                "AWS_ROLE_ARN",
                "arn:aws:iam::123456789012:role/web".to_owned(),
            ),
            ("AWS_ENDPOINT_URL_STS", sts.url()),
        ],
        vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url())],
        at_instance(&instance).to_vec(),
    ];
    for (from, expected) in ["ENVIRONMENT", "FILE", "WEB", "CONTAINER", "INSTANCE"]
        .into_iter()
        .enumerate()
    {
        let variables: Vec<_> = groups[from..].iter().flatten().cloned().collect();
        assert_eq!(load(&provider(&variables)).unwrap(), expected);
    }
}

/// An answer of STS.
pub fn role(key: &str) -> String {
    format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>token-of-{key}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

pub fn form(seen: &Seen) -> Vec<(String, String)> {
    let text = std::str::from_utf8(&seen.body).unwrap();
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

pub fn base_keys() -> [(&'static str, String); 2] {
    [
        ("AWS_ACCESS_KEY_ID", "BASE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "base-secret".to_owned()),
    ]
}

#[test]
fn a_role_is_assumed_with_what_the_sources_give() {
    let sts = Server::start(|_, _| Reply::ok(role("ROLE")));
    let arn = "arn:aws:iam::123456789012:role/with space+";
    let options = CredentialsOptions {
        role_arn: Some(arn.to_owned()),
        external_id: Some("ext:id/1".to_owned()),
        sts_endpoint: Some(sts.url()),
        ..CredentialsOptions::default()
    };
    assert_eq!(
        load(&provider_with(options, &environment(&base_keys()))).unwrap(),
        "ROLE"
    );
    let [seen] = sts.seen().try_into().unwrap();
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(seen.is_signed_by(
        Service::STS,
        &Credentials::new("BASE", "base-secret", None).unwrap()
    ));
    let form = form(&seen);
    let named = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(named("Action"), Some("AssumeRole"));
    assert_eq!(named("Version"), Some("2011-06-15"));
    assert_eq!(named("RoleArn"), Some(arn));
    assert_eq!(named("ExternalId"), Some("ext:id/1"));
    assert!(named("RoleSessionName").unwrap().starts_with("flumen-"));
}

#[test]
fn a_role_that_cannot_be_assumed_says_why() {
    let sts = Server::start(|_, _| {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
        Reply::Answer(403, Vec::new(), body.into())
    });
    let options = CredentialsOptions {
        role_arn: Some("arn:aws:iam::123456789012:role/r".to_owned()),
        sts_endpoint: Some(sts.url()),
        ..CredentialsOptions::default()
    };
    let error = load(&provider_with(options.clone(), &environment(&base_keys()))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no AWS credentials: assumed role: role arn:aws:iam::123456789012:role/r: AccessDenied (HTTP status 403): not you"
    );
    let error = load(&provider_with(options, &environment(&[]))).unwrap_err();
    assert_eq!(error.looks().len(), 5, "{error}");
}

#[test]
fn a_web_identity_sends_its_token_unsigned() {
    let sts = Server::start(|_, _| Reply::ok(role("WEB")));
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "header.payload.signature\n").unwrap();
    let variables = [
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            token.to_str().unwrap().to_owned(),
        ),
        (
            "AWS_ROLE_ARN",
            "arn:aws:iam::123456789012:role/web".to_owned(),
        ),
        ("AWS_ROLE_SESSION_NAME", "pod-1".to_owned()),
    ];
    let options = CredentialsOptions {
        sts_endpoint: Some(sts.url()),
        ..CredentialsOptions::default()
    };
    assert_eq!(
        load(&provider_with(options, &environment(&variables))).unwrap(),
        "WEB"
    );
    let [seen] = sts.seen().try_into().unwrap();
    assert_eq!(seen.header("authorization"), None);
    let form = form(&seen);
    for (name, value) in [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("RoleSessionName", "pod-1"),
        ("WebIdentityToken", "header.payload.signature"),
    ] {
        assert!(
            form.contains(&(name.to_owned(), value.to_owned())),
            "{form:?}"
        );
    }
}

#[test]
fn the_pod_execution_role_is_assumed_first_and_without_web_identity() {
    let sts = Server::start(|seen, number| {
        let signer = seen.header("authorization").unwrap();
        let (expected, key) = [("Credential=BASE/", "POD"), ("Credential=POD/", "LAST")][number];
        if signer.contains(expected) {
            Reply::ok(role(key))
        } else {
            Reply::error(403, "AccessDenied")
        }
    });
    let mut variables = base_keys().to_vec();
    variables.push((
        "EKS_POD_EXECUTION_ROLE",
        "arn:aws:iam::123456789012:role/pod".to_owned(),
    ));
    let options = CredentialsOptions {
        role_arn: Some("arn:aws:iam::123456789012:role/last".to_owned()),
        sts_endpoint: Some(sts.url()),
        ..CredentialsOptions::default()
    };
    assert_eq!(
        load(&provider_with(options, &environment(&variables))).unwrap(),
        "LAST"
    );
    assert_eq!(sts.seen().len(), 2);
}

#[test]
fn callers_at_the_same_time_share_one_fetch() {
    let server = Server::start(|_, _| Reply::ok(document("ONE", "2099-01-01T00:00:00Z")));
    let provider = provider(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url())]);
    let all = on_a_shard(futures_util::future::join_all(
        (0..10).map(|_| provider.credentials()),
    ));
    assert!(
        all.into_iter()
            .all(|credentials| credentials.unwrap().access_key_id() == "ONE")
    );
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let provider = provider.clone();
            std::thread::spawn(move || load(&provider).unwrap())
        })
        .collect();
    assert!(
        threads
            .into_iter()
            .all(|thread| thread.join().unwrap() == "ONE")
    );
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_failed_renewal_leaves_what_still_holds() {
    let server = Server::start(|_, number| match number {
        0 => Reply::ok(document("FIRST", &end_after(300))),
        1 => Reply::Answer(500, Vec::new(), "".into()),
        _ => Reply::ok(document("SECOND", &end_after(9000))),
    });
    let clock = TestClock::default();
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url())];
    let provider = provider_with(
        CredentialsOptions::default(),
        &clock.drive(environment(&variables)),
    );
    for (now, expected, asked) in [
        (0, "FIRST", 1),
        (239, "FIRST", 1),
        (240, "FIRST", 2),
        (244, "FIRST", 2),
        (245, "SECOND", 3),
    ] {
        clock.set(now);
        assert_eq!(load(&provider).unwrap(), expected);
        assert_eq!(server.seen().len(), asked, "at {now}");
    }
}

/// A service that takes only requests signed with this key.
fn service_for(key: &'static str, code: &'static str) -> Server {
    Server::start(move |seen, _| {
        let signed = seen
            .header("authorization")
            .unwrap()
            .contains(&format!("Credential={key}/"));
        if signed {
            Reply::ok("{}")
        } else {
            Reply::error(400, code)
        }
    })
}

#[test]
fn refused_credentials_are_renewed_and_the_request_sent_again() {
    let service = service_for("NEW", "ExpiredTokenException");
    let container = Server::start(|_, number| {
        let key = if number == 0 { "OLD" } else { "NEW" };
        Reply::ok(document(key, "2099-01-01T00:00:00Z"))
    });
    let environment = environment(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url())]);
    let provider = provider_with(CredentialsOptions::default(), &environment);
    let client = Client::new(options(&service.url()), provider, &environment).unwrap();
    on_a_shard(async {
        client.post_json(TARGET, "1").await.unwrap();
        client.post_json(TARGET, "2").await.unwrap();
    });
    assert_eq!((service.seen().len(), container.seen().len()), (3, 2));
}

#[test]
fn credentials_that_stay_refused_are_renewed_once_a_minute_only() {
    let service = service_for("ANOTHER", "UnrecognizedClientException");
    let container = Server::start(|_, _| Reply::ok(document("SAME", "2099-01-01T00:00:00Z")));
    let clock = TestClock::default();
    let environment = clock.drive(environment(&[(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        container.url(),
    )]));
    let provider = provider_with(CredentialsOptions::default(), &environment);
    let client = Client::new(options(&service.url()), provider, &environment).unwrap();
    for (now, fetched) in [(0, 2), (10, 2), (59, 2), (60, 3)] {
        clock.set(now);
        let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
        assert_eq!(error.class(), ErrorClass::RefreshCredentials);
        assert_eq!(container.seen().len(), fetched, "at {now}");
    }
    assert_eq!(service.seen().len(), 4);
}
