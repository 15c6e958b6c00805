//! Profiles of the shared files that lead to a sign-in or to a chain of roles.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws::{CredentialsOptions, Environment};
use serde_json::{Value, json};

use crate::credentials::{TestClock, environment, form, load, provider_with, role};
use crate::on_a_shard;
use crate::server::{Reply, Seen, Server};

/// A home directory with `.aws/config` and, if given, the token of a sign-in.
struct Home(tempfile::TempDir);

/// SHA-1 of `corp`, and of `https://portal.example/start`.
const OF_SESSION: &str = "ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const OF_URL: &str = "5863e3e4b5a9564b6e829cf4aa6724bdbf9788a5.json";

const SESSION: &str = "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Log Writer\n\
    [sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://portal.example/start\n";
const LEGACY: &str = "[default]\nsso_account_id = 123456789012\nsso_role_name = Log Writer\nsso_region = eu-west-1\n\
    sso_start_url = https://portal.example/start\n";

impl Home {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".aws/sso/cache")).unwrap();
        fs::write(folder.path().join(".aws/config"), config).unwrap();
        Self(folder)
    }

    fn token(&self, name: &str) -> PathBuf {
        self.0.path().join(".aws/sso/cache").join(name)
    }

    fn with_token(self, name: &str, token: &Value) -> Self {
        fs::write(self.token(name), token.to_string()).unwrap();
        self
    }

    fn environment(&self, clock: &TestClock, more: &[(&'static str, String)]) -> Environment {
        let mut variables = vec![("HOME", self.0.path().to_str().unwrap().to_owned())];
        variables.extend(more.iter().cloned());
        clock.drive(environment(&variables))
    }
}

/// RFC 3339, so many seconds after (or before) the test clock's start.
fn at(seconds: i64) -> String {
    jiff::Timestamp::from_second(TestClock::START as i64 + seconds)
        .unwrap()
        .to_string()
}

fn signed_in(ends: i64) -> Value {
    json!({"startUrl": "https://portal.example/start", "region": "eu-west-1", "accessToken": "first",
        "expiresAt": at(ends)})
}

fn renewable(ends: i64, registration_ends: i64) -> Value {
    let mut token = signed_in(ends);
    for (key, value) in [
        ("clientId", "the-client"),
        ("clientSecret", "the-client-secret"),
        ("refreshToken", "the-refresh-token"),
        ("registrationExpiresAt", &at(registration_ends)),
    ] {
        token[key] = json!(value);
    }
    token
}

/// The portal: gives a key named after the token it is shown.
fn portal() -> Server {
    Server::start(|seen, _| match seen.header("x-amz-sso_bearer_token") {
        Some("ended") | None => Reply::error(401, "UnauthorizedException"),
        Some(token) => {
            let ends = (TestClock::START + 3600) * 1000;
            let credentials = json!({"accessKeyId": token.to_uppercase(), "secretAccessKey": "s",
                "sessionToken": "t", "expiration": ends});
            Reply::ok(json!({"roleCredentials": credentials}).to_string())
        }
    })
}

/// The token service, or one that refuses.
fn oidc(works: bool) -> Server {
    Server::start(move |_: &Seen, _| match works {
        true => Reply::ok(
            json!({"accessToken": "second", "expiresIn": 3600, "refreshToken": "another",
                "tokenType": "Bearer"})
            .to_string(),
        ),
        false => Reply::error(400, "InvalidGrantException"),
    })
}

fn endpoints(portal: &Server, oidc: &Server) -> [(&'static str, String); 2] {
    [
        ("AWS_ENDPOINT_URL_SSO", portal.url()),
        ("AWS_ENDPOINT_URL_SSO_OIDC", oidc.url()),
    ]
}

#[test]
fn a_sign_in_gives_credentials_of_its_role() {
    let (portal, oidc) = (portal(), oidc(true));
    for (config, file) in [(SESSION, OF_SESSION), (LEGACY, OF_URL)] {
        let home = Home::new(config).with_token(file, &signed_in(3000));
        let environment = home.environment(&TestClock::default(), &endpoints(&portal, &oidc));
        let provider = provider_with(CredentialsOptions::default(), &environment);
        let credentials = on_a_shard(provider.credentials()).unwrap();
        assert_eq!(credentials.access_key_id(), "FIRST");
        assert!(
            credentials
                .source()
                .starts_with("profile default (sign-in ")
        );
        let ends = credentials.expiry().unwrap();
        let ends = ends.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(ends.as_secs(), TestClock::START + 3600);
    }
    let seen = &portal.seen()[0];
    assert_eq!(
        seen.head.uri.to_string(),
        "/federation/credentials?role_name=Log%20Writer&account_id=123456789012"
    );
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(oidc.seen().len(), 0);
}

#[test]
fn a_token_that_ends_soon_is_renewed_and_written_back() {
    let (portal, oidc) = (portal(), oidc(true));
    let home = Home::new(SESSION).with_token(OF_SESSION, &renewable(200, 100_000));
    let environment = home.environment(&TestClock::default(), &endpoints(&portal, &oidc));
    let provider = provider_with(CredentialsOptions::default(), &environment);
    assert_eq!(load(&provider).unwrap(), "SECOND");
    let [asked] = oidc.seen().try_into().unwrap();
    assert_eq!(asked.head.uri.to_string(), "/token");
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    let expected = json!({"clientId": "the-client", "clientSecret": "the-client-secret",
        "grantType": "refresh_token", "refreshToken": "the-refresh-token"});
    assert_eq!(body, expected);

    let path = home.token(OF_SESSION);
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut expected = renewable(3600, 100_000);
    expected["accessToken"] = json!("second");
    expected["refreshToken"] = json!("another");
    assert_eq!(written, expected);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1, "nothing is left beside it");
}

#[test]
fn a_token_that_cannot_be_renewed_is_used_until_its_end() {
    let portal = portal();
    let cases = [
        (renewable(200, 100_000), oidc(false), 1),
        (renewable(200, -1), oidc(true), 0),
        (signed_in(200), oidc(true), 0),
    ];
    for (token, oidc, asked) in cases {
        let home = Home::new(SESSION).with_token(OF_SESSION, &token);
        let environment = home.environment(&TestClock::default(), &endpoints(&portal, &oidc));
        let provider = provider_with(CredentialsOptions::default(), &environment);
        assert_eq!(load(&provider).unwrap(), "FIRST");
        assert_eq!(oidc.seen().len(), asked);
    }
}

#[test]
fn whoever_must_sign_in_again_is_told_how() {
    let (portal, oidc) = (portal(), oidc(false));
    let mut refused = signed_in(3000);
    refused["accessToken"] = json!("ended");
    let cases = [
        (
            SESSION,
            OF_SESSION,
            None,
            "nobody has signed in: run aws sso login --sso-session corp",
        ),
        (
            LEGACY,
            OF_URL,
            None,
            "nobody has signed in: run aws sso login --profile default",
        ),
        (SESSION, OF_SESSION, Some(signed_in(-10)), "ended at "),
        (
            LEGACY,
            OF_URL,
            Some(renewable(-10, 1000)),
            ": run aws sso login --profile default",
        ),
        (
            SESSION,
            OF_SESSION,
            Some(renewable(-10, 1000)),
            "could not be renewed (InvalidGrantException (HTTP status 400): said the server): run aws sso login",
        ),
        (
            SESSION,
            OF_SESSION,
            Some(refused),
            "UnauthorizedException (HTTP status 401): said the server: run aws",
        ),
        (
            SESSION,
            OF_SESSION,
            Some(json!({"accessToken": 7})),
            "holds no token (line 1, column ",
        ),
    ];
    for (config, file, token, part) in cases {
        let mut home = Home::new(config);
        if let Some(token) = token {
            home = home.with_token(file, &token);
        }
        let environment = home.environment(&TestClock::default(), &endpoints(&portal, &oidc));
        let provider = provider_with(CredentialsOptions::default(), &environment);
        let error = load(&provider).unwrap_err();
        let look = error.looks().last().unwrap();
        assert_eq!(look.source, "shared files");
        assert!(look.found.contains(part), "{look}");
        assert!(!look.found.contains("secret"), "{look}");
    }
}

#[test]
fn roles_are_assumed_one_with_the_other() {
    let sts = Server::start(|seen, number| {
        let signer = seen.header("authorization").unwrap();
        let (expected, key) = [("Credential=BASE/", "ONE"), ("Credential=ONE/", "TWO")][number];
        assert!(signer.contains(expected), "{signer}");
        Reply::ok(role(key))
    });
    let home = Home::new(
        "[default]\naws_access_key_id = BASE\naws_secret_access_key = s\n\
         [profile one]\nrole_arn = arn:aws:iam::1:role/one\nsource_profile = default\nexternal_id = ext\n\
         [profile two]\nrole_arn = arn:aws:iam::2:role/two\nsource_profile = one\nrole_session_name = me\n\
         duration_seconds = 900\n",
    );
    let variables = [
        ("AWS_PROFILE", "two".to_owned()),
        ("AWS_ENDPOINT_URL_STS", sts.url()),
    ];
    let environment = home.environment(&TestClock::default(), &variables);
    let provider = provider_with(CredentialsOptions::default(), &environment);
    let told = Arc::new(Mutex::new(Vec::new()));
    let observed = told.clone();
    provider.observe(move |found| observed.lock().unwrap().push(found.expiry()));
    let credentials = on_a_shard(provider.credentials()).unwrap();
    assert_eq!(credentials.access_key_id(), "TWO");
    assert_eq!(
        credentials.source(),
        "profile two (keys, role arn:aws:iam::1:role/one, role arn:aws:iam::2:role/two)"
    );
    assert_eq!(*told.lock().unwrap(), [credentials.expiry()]);
    let [first, second] = sts.seen().try_into().unwrap();
    let (first, second) = (form(&first), form(&second));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert!(first.contains(&pair("ExternalId", "ext")), "{first:?}");
    for part in [
        pair("RoleSessionName", "me"),
        pair("DurationSeconds", "900"),
    ] {
        assert!(second.contains(&part), "{second:?}");
    }
    assert!(second.iter().all(|(name, _)| name != "ExternalId"));
}

#[test]
fn a_role_of_a_profile_that_cannot_be_assumed_ends_the_search() {
    let sts = Server::start(|_, _| Reply::error(403, "AccessDenied"));
    let home = Home::new(
        "[default]\naws_access_key_id = BASE\naws_secret_access_key = s\nrole_arn = arn:aws:iam::1:role/one\n\
         source_profile = default\n[profile instance]\nrole_arn = r\ncredential_source = Ec2InstanceMetadata\n",
    );
    let cases = [
        (
            "default",
            "profile default: role arn:aws:iam::1:role/one: AccessDenied (HTTP status 403): said the server",
        ),
        (
            "instance",
            "profile instance: AWS_EC2_METADATA_DISABLED is true",
        ),
    ];
    for (profile, expected) in cases {
        let variables = [
            ("AWS_ENDPOINT_URL_STS", sts.url()),
            ("AWS_PROFILE", profile.to_owned()),
        ];
        let environment = home.environment(&TestClock::default(), &variables);
        let provider = provider_with(CredentialsOptions::default(), &environment);
        let error = load(&provider).unwrap_err();
        let look = error.looks().last().unwrap();
        assert_eq!(
            (look.source, look.found.as_str()),
            ("shared files", expected)
        );
    }
}
