//! STS and IAM, and what temporary credentials open.

use std::time::SystemTime;

use base64_simd::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use crate::client::{Answer, Call, TestLake, send};

const TRUST: &str = r#"{
  "Version": "2012-10-17",
  "Statement": {
    "Effect": "Allow",
    "Principal": { "Service": "firehose.amazonaws.com" },
    "Action": "sts:AssumeRole"
  }
}"#;
const DELIVERY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":"*"}]}"#;
const ROLE: &str = "arn:aws:iam::123456789012:role/firehose_delivery_role";

async fn iam(lake: &TestLake, action: &str, params: &[(&str, &str)]) -> Answer {
    lake.call(Call::query("iam", action, params)).await
}

async fn sts(lake: &TestLake, action: &str, params: &[(&str, &str)]) -> Answer {
    lake.call(Call::query("sts", action, params)).await
}

async fn create_role(lake: &TestLake, name: &str, trust: &str) -> Answer {
    let params = [("RoleName", name), ("AssumeRolePolicyDocument", trust)];
    let answer = iam(lake, "CreateRole", &params).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

/// A call with the credentials in an answer of STS.
fn with_session(call: Call, answer: &Answer) -> Call {
    let call = Call {
        access_key_id: answer.xml("AccessKeyId").leak(),
        secret: answer.xml("SecretAccessKey").leak(),
        ..call
    };
    call.header("x-amz-security-token", &answer.xml("SessionToken"))
}

#[tokio::test]
async fn the_commands_that_prepare_a_delivery_stream_run() {
    let lake = TestLake::start().await;
    let created = create_role(&lake, "firehose_delivery_role", TRUST).await;
    assert!(created.text().starts_with("<CreateRoleResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateRoleResult><Role>"));
    assert_eq!(
        (created.xml("Arn"), created.xml("Path")),
        (ROLE.to_owned(), "/".to_owned())
    );
    assert_eq!(created.xml("RequestId"), created.header("x-amzn-requestid"));
    assert!(created.xml("RoleId").starts_with("AROA") && created.xml("RoleId").len() == 21);
    let name = ("RoleName", "firehose_delivery_role");
    let policy = ("PolicyName", "firehose-fluentbit-s3-streaming");
    let put = iam(
        &lake,
        "PutRolePolicy",
        &[name, policy, ("PolicyDocument", DELIVERY)],
    )
    .await;
    assert_eq!(put.status, 200, "{}", put.text());
    assert!(!put.text().contains("Result>"), "{}", put.text());

    let lake = lake.restart().await;
    let role = iam(&lake, "GetRole", &[name]).await;
    assert_eq!(role.xml("RoleId"), created.xml("RoleId"));
    assert_eq!(decoded(&role.xml("AssumeRolePolicyDocument")), TRUST);
    let policy = iam(&lake, "GetRolePolicy", &[name, policy]).await;
    assert_eq!(decoded(&policy.xml("PolicyDocument")), DELIVERY);
    let policies = iam(&lake, "ListRolePolicies", &[name]).await;
    assert_eq!(
        policies.all_xml("member"),
        ["firehose-fluentbit-s3-streaming"]
    );
    assert_eq!(policies.xml("IsTruncated"), "false");
    let who = sts(&lake, "GetCallerIdentity", &[]).await;
    assert_eq!(who.xml("Account"), "123456789012");
    assert_eq!(who.xml("Arn"), "arn:aws:iam::123456789012:user/flumen");
}

#[tokio::test]
async fn managed_policies_are_attached_and_in_the_way() {
    let lake = TestLake::start().await;
    create_role(&lake, "r", TRUST).await;
    let arn = "arn:aws:iam::123456789012:policy/logs/put";
    let params = [
        ("PolicyName", "put"),
        ("Path", "/logs/"),
        ("PolicyDocument", DELIVERY),
        ("Description", "a < b"),
    ];
    let created = iam(&lake, "CreatePolicy", &params).await;
    assert_eq!(
        (created.xml("Arn"), created.xml("AttachmentCount")),
        (arn.to_owned(), "0".to_owned())
    );
    assert_eq!(created.xml("Description"), "a &lt; b");
    let (role, policy) = (("RoleName", "r"), ("PolicyArn", arn));
    assert_eq!(
        iam(&lake, "AttachRolePolicy", &[role, policy]).await.status,
        200
    );
    let of_aws = ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess");
    assert_eq!(
        iam(&lake, "AttachRolePolicy", &[role, of_aws]).await.status,
        200
    );
    let lake = lake.restart().await;
    let attached = iam(&lake, "ListAttachedRolePolicies", &[role]).await;
    assert_eq!(attached.all_xml("PolicyArn"), [arn, of_aws.1]);
    assert_eq!(attached.all_xml("PolicyName"), ["put", "ReadOnlyAccess"]);
    assert_eq!(
        iam(&lake, "GetPolicy", &[policy])
            .await
            .xml("AttachmentCount"),
        "1"
    );
    let version = iam(&lake, "GetPolicyVersion", &[policy, ("VersionId", "v1")]).await;
    assert_eq!(decoded(&version.xml("Document")), DELIVERY);
    assert_eq!(iam(&lake, "ListPolicies", &[]).await.all_xml("Arn"), [arn]);
    for (action, params) in [("DeletePolicy", &[policy][..]), ("DeleteRole", &[role])] {
        let answer = iam(&lake, action, params).await;
        assert_eq!(
            answer.s3_error(),
            (409, "DeleteConflict".to_owned()),
            "{action}"
        );
    }
    for policy in [policy, of_aws] {
        assert_eq!(
            iam(&lake, "DetachRolePolicy", &[role, policy]).await.status,
            200
        );
    }
    for (action, params) in [("DeletePolicy", &[policy][..]), ("DeleteRole", &[role])] {
        assert_eq!(iam(&lake, action, params).await.status, 200, "{action}");
        let again = iam(&lake, action, params).await;
        assert_eq!(
            again.s3_error(),
            (404, "NoSuchEntity".to_owned()),
            "{action}"
        );
    }
}

#[tokio::test]
async fn roles_are_listed_page_by_page() {
    let lake = TestLake::start().await;
    for name in ["b", "A", "c"] {
        create_role(&lake, name, TRUST).await;
    }
    let first = iam(&lake, "ListRoles", &[("MaxItems", "2")]).await;
    assert_eq!(first.all_xml("RoleName"), ["A", "b"]);
    assert_eq!(first.xml("IsTruncated"), "true");
    let rest = iam(&lake, "ListRoles", &[("Marker", &first.xml("Marker"))]).await;
    assert_eq!(
        (rest.all_xml("RoleName"), rest.all_xml("Marker")),
        (vec!["c".to_owned()], vec![])
    );
    assert_eq!(
        iam(&lake, "ListRoles", &[("PathPrefix", "/x/")])
            .await
            .all_xml("RoleName"),
        [""; 0]
    );
}

#[tokio::test]
async fn iam_refuses_with_its_own_errors() {
    let lake = TestLake::start().await;
    create_role(&lake, "Role", TRUST).await;
    let long = format!(
        "{{\"Statement\":{{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"{}\"}}}}",
        "x".repeat(10_240)
    );
    let (name, policy) = (("RoleName", "Role"), ("PolicyName", "p"));
    let missing = ("RoleName", "missing");
    let document = ("PolicyDocument", DELIVERY);
    let trust = ("AssumeRolePolicyDocument", TRUST);
    for (action, params, status, code) in [
        (
            "CreateRole",
            &[("RoleName", "role"), trust][..],
            409,
            "EntityAlreadyExists",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), ("AssumeRolePolicyDocument", "{")],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), ("AssumeRolePolicyDocument", DELIVERY)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "CreateRole",
            &[("RoleName", "../x"), trust],
            400,
            "ValidationError",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), trust, ("Path", "x")],
            400,
            "ValidationError",
        ),
        (
            "CreateRole",
            &[("RoleName", "x"), trust, ("MaxSessionDuration", "1")],
            400,
            "ValidationError",
        ),
        ("CreateRole", &[trust], 400, "ValidationError"),
        ("GetRole", &[missing], 404, "NoSuchEntity"),
        ("GetRole", &[("RoleName", "..")], 404, "NoSuchEntity"),
        (
            "PutRolePolicy",
            &[missing, policy, document],
            404,
            "NoSuchEntity",
        ),
        (
            "PutRolePolicy",
            &[name, policy, ("PolicyDocument", TRUST)],
            400,
            "MalformedPolicyDocument",
        ),
        (
            "PutRolePolicy",
            &[name, policy, ("PolicyDocument", &long)],
            409,
            "LimitExceeded",
        ),
        ("GetRolePolicy", &[name, policy], 404, "NoSuchEntity"),
        ("DeleteRolePolicy", &[name, policy], 404, "NoSuchEntity"),
        ("ListRolePolicies", &[missing], 404, "NoSuchEntity"),
        (
            "AttachRolePolicy",
            &[name, ("PolicyArn", "arn:aws:iam::123456789012:policy/none")],
            404,
            "NoSuchEntity",
        ),
        (
            "DetachRolePolicy",
            &[name, ("PolicyArn", "arn:aws:iam::aws:policy/Admin")],
            404,
            "NoSuchEntity",
        ),
        (
            "GetPolicy",
            &[("PolicyArn", "arn:aws:iam::123456789012:policy/none")],
            404,
            "NoSuchEntity",
        ),
        ("ListRoles", &[("MaxItems", "0")], 400, "ValidationError"),
        ("ListRoles", &[("Marker", "%")], 400, "ValidationError"),
        ("CreateUser", &[], 400, "InvalidAction"),
        ("", &[], 400, "MissingAction"),
    ] {
        let answer = iam(&lake, action, params).await;
        assert_eq!(
            answer.s3_error(),
            (status, code.to_owned()),
            "{action} {params:?}"
        );
        assert_eq!(answer.xml("Type"), "Sender");
    }
    let role = iam(&lake, "GetRole", &[name]).await;
    assert_eq!(role.xml("RoleName"), "Role");
    assert_eq!(
        iam(&lake, "ListRoles", &[]).await.all_xml("RoleName"),
        ["Role"]
    );
}

#[tokio::test]
async fn temporary_credentials_open_every_service() {
    let lake = TestLake::start().await;
    let session = [
        ("RoleArn", ROLE),
        ("RoleSessionName", "fluent-bit"),
        ("ExternalId", "123456789012"),
    ];
    let assumed = sts(&lake, "AssumeRole", &session).await;
    assert_eq!(assumed.status, 200, "{}", assumed.text());
    let arn = "arn:aws:sts::123456789012:assumed-role/firehose_delivery_role/fluent-bit";
    assert_eq!(assumed.xml("Arn"), arn);
    let expires: jiff::Timestamp = assumed.xml("Expiration").parse().unwrap();
    let seconds = expires.as_second() - jiff::Timestamp::now().as_second();
    assert!((3590..=3600).contains(&seconds), "{seconds}");
    // They outlive a restart.
    let lake = lake.restart().await;
    let who = lake
        .call(with_session(
            Call::query("sts", "GetCallerIdentity", &[]),
            &assumed,
        ))
        .await;
    assert_eq!(
        (who.xml("Arn"), who.xml("UserId")),
        (arn.to_owned(), assumed.xml("AssumedRoleId"))
    );
    let bucket = Call::s3(Method::PUT, "/logs-bucket");
    assert_eq!(lake.call(with_session(bucket, &assumed)).await.status, 200);
    let list = Call::firehose("ListDeliveryStreams", "{}");
    assert_eq!(lake.call(with_session(list, &assumed)).await.status, 200);
    let list = Call::kinesis("ListStreams", "{}");
    assert_eq!(lake.call(with_session(list, &assumed)).await.status, 200);
    // Also in a URL.
    let token: String = percent_encoding::utf8_percent_encode(
        &assumed.xml("SessionToken"),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .collect();
    let url = format!("/logs-bucket?list-type=2&X-Amz-Security-Token={token}");
    let presigned = |uri: &str| {
        let call = Call {
            access_key_id: assumed.xml("AccessKeyId").leak(),
            secret: assumed.xml("SecretAccessKey").leak(),
            ..Call::s3(Method::GET, uri)
        };
        call.presigned(
            lake.address,
            SystemTime::now(),
            std::time::Duration::from_secs(60),
        )
    };
    assert_eq!(send(lake.address, presigned(&url)).await.status, 200);
    let without = send(lake.address, presigned("/logs-bucket?list-type=2")).await;
    assert_eq!(without.s3_error(), (403, "InvalidAccessKeyId".to_owned()));

    let token = sts(&lake, "GetSessionToken", &[("DurationSeconds", "900")]).await;
    let who = lake
        .call(with_session(
            Call::query("sts", "GetCallerIdentity", &[]),
            &token,
        ))
        .await;
    assert_eq!(who.xml("Arn"), "arn:aws:iam::123456789012:user/flumen");
    let chained = with_session(Call::query("sts", "GetSessionToken", &[]), &token);
    assert_eq!(
        lake.call(chained).await.s3_error(),
        (403, "AccessDenied".to_owned())
    );
    let long = [session[0], session[1], ("DurationSeconds", "7200")];
    let chained = with_session(Call::query("sts", "AssumeRole", &long), &assumed);
    assert_eq!(
        lake.call(chained).await.s3_error(),
        (400, "ValidationError".to_owned())
    );
}

#[tokio::test]
async fn sessions_that_are_none_are_refused() {
    let lake = TestLake::start().await;
    let session = [("RoleArn", ROLE), ("RoleSessionName", "s-1")];
    let (one, other) = (
        sts(&lake, "AssumeRole", &session).await,
        sts(&lake, "AssumeRole", &session).await,
    );
    let key = |call: Call| Call {
        access_key_id: one.xml("AccessKeyId").leak(),
        secret: one.xml("SecretAccessKey").leak(),
        ..call
    };
    let tokens = [other.xml("SessionToken"), "x".to_owned(), String::new()];
    for token in &tokens {
        let with_token = |call: Call| key(call).header("x-amz-security-token", token);
        let answer = lake.call(with_token(Call::s3(Method::GET, "/"))).await;
        assert_eq!(
            answer.s3_error(),
            (400, "InvalidToken".to_owned()),
            "{token}"
        );
        let answer = lake
            .call(with_token(Call::query("iam", "ListRoles", &[])))
            .await;
        assert_eq!(
            answer.s3_error(),
            (403, "InvalidClientTokenId".to_owned()),
            "{token}"
        );
        let answer = lake
            .call(with_token(Call::firehose("ListDeliveryStreams", "{}")))
            .await;
        assert_eq!(
            answer.error(),
            (400, "UnrecognizedClientException".to_owned()),
            "{token}"
        );
    }
    let bare = lake.call(key(Call::s3(Method::GET, "/"))).await;
    assert_eq!(bare.s3_error(), (403, "InvalidAccessKeyId".to_owned()));
    // With its own token, but not its own secret.
    let forged = with_session(Call::query("sts", "GetCallerIdentity", &[]), &one);
    let forged = Call {
        secret: "other",
        ..forged
    };
    assert_eq!(
        lake.call(forged).await.s3_error(),
        (403, "SignatureDoesNotMatch".to_owned())
    );
}

#[tokio::test]
async fn sts_refuses_with_its_own_errors() {
    let lake = TestLake::start().await;
    create_role(&lake, "short", TRUST).await;
    let arn = ("RoleArn", ROLE);
    let name = ("RoleSessionName", "s-1");
    let short = ("RoleArn", "arn:aws:iam::123456789012:role/short");
    for (action, params, status, code) in [
        ("AssumeRole", &[arn][..], 400, "ValidationError"),
        (
            "AssumeRole",
            &[arn, ("RoleSessionName", "s")],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[arn, ("RoleSessionName", "a b")],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[("RoleArn", "arn:aws:iam::1:role/some-role"), name],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[("RoleArn", "arn:aws:iam::123456789012:user/u"), name],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[arn, name, ("DurationSeconds", "899")],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[arn, name, ("DurationSeconds", "x")],
            400,
            "ValidationError",
        ),
        (
            "AssumeRole",
            &[short, name, ("DurationSeconds", "3601")],
            400,
            "ValidationError",
        ),
        (
            "GetSessionToken",
            &[("DurationSeconds", "129601")],
            400,
            "ValidationError",
        ),
        ("GetFederationToken", &[], 400, "InvalidAction"),
    ] {
        let answer = sts(&lake, action, params).await;
        assert_eq!(
            answer.s3_error(),
            (status, code.to_owned()),
            "{action} {params:?}"
        );
    }
    let answer = sts(&lake, "AssumeRole", &[arn]).await;
    assert!(answer.text().starts_with("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>"));
}

#[tokio::test]
async fn requests_without_a_signature_get_nowhere() {
    let lake = TestLake::start().await;
    for (action, host, code) in [
        (
            "GetCallerIdentity",
            "sts.us-west-2.amazonaws.com",
            "MissingAuthenticationToken",
        ),
        (
            "GetCallerIdentity",
            "127.0.0.1",
            "MissingAuthenticationToken",
        ),
        (
            "ListRoles",
            "iam.amazonaws.com",
            "MissingAuthenticationToken",
        ),
    ] {
        let answer = send(lake.address, Call::query("sts", action, &[]).unsigned(host)).await;
        assert_eq!(answer.s3_error(), (403, code.to_owned()), "{action} {host}");
    }
    let kinesis = Call::kinesis("ListStreams", "{}").unsigned("127.0.0.1");
    let answer = send(lake.address, kinesis).await;
    assert_eq!(
        answer.error(),
        (400, "MissingAuthenticationTokenException".to_owned())
    );
}

#[tokio::test]
async fn web_identities_assume_roles_that_trust_them() {
    let lake = TestLake::start().await;
    let provider = "oidc.example.com/id";
    let trust = json!({ "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::123456789012:oidc-provider/{provider}") },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": { "StringEquals": { format!("{provider}:sub"): "system:serviceaccount:default:fluent-bit" } },
    }] });
    create_role(&lake, "pods", &trust.to_string()).await;
    create_role(&lake, "firehose", TRUST).await;
    let token = |subject: &str, expires: i64| {
        let claims = json!({ "iss": format!("https://{provider}"), "sub": subject, "exp": expires, "aud": ["sts.amazonaws.com"] });
        let encode = |text: &str| URL_SAFE_NO_PAD.encode_to_string(text);
        format!(
            "{}.{}.{}",
            encode("{}"),
            encode(&claims.to_string()),
            encode("signature")
        )
    };
    let later = jiff::Timestamp::now().as_second() + 600;
    let own = "system:serviceaccount:default:fluent-bit";
    let call = |role: &str, token: &str| {
        let arn = format!("arn:aws:iam::123456789012:role/{role}");
        let params = [
            ("RoleArn", arn.as_str()),
            ("RoleSessionName", "pod"),
            ("WebIdentityToken", token),
        ];
        let request =
            Call::query("sts", "AssumeRoleWithWebIdentity", &params).unsigned("127.0.0.1");
        send(lake.address, request)
    };
    let assumed = call("pods", &token(own, later)).await;
    assert_eq!(assumed.status, 200, "{}", assumed.text());
    assert_eq!(assumed.xml("SubjectFromWebIdentityToken"), own);
    assert_eq!(
        (assumed.xml("Audience"), assumed.xml("Provider")),
        (
            "sts.amazonaws.com".to_owned(),
            format!("https://{provider}")
        )
    );
    let list = with_session(Call::s3(Method::GET, "/"), &assumed);
    assert_eq!(lake.call(list).await.status, 200);
    for (role, token, status, code) in [
        ("pods", token("other", later), 403, "AccessDenied"),
        ("firehose", token(own, later), 403, "AccessDenied"),
        ("missing", token(own, later), 403, "AccessDenied"),
        (
            "pods",
            token(own, later - 1000),
            400,
            "ExpiredTokenException",
        ),
        ("pods", "no.token".to_owned(), 400, "InvalidIdentityToken"),
        ("pods", "a.b.c".to_owned(), 400, "InvalidIdentityToken"),
        ("pods", "x".to_owned(), 400, "ValidationError"),
    ] {
        let answer = call(role, &token).await;
        assert_eq!(
            answer.s3_error(),
            (status, code.to_owned()),
            "{role} {token}"
        );
    }
}

#[tokio::test]
async fn a_role_that_cannot_be_read_does_not_stop_the_lake() {
    let lake = TestLake::start().await;
    create_role(&lake, "whole", TRUST).await;
    create_role(&lake, "broken", TRUST).await;
    let folder = lake.abandon().await;
    let file = folder.path().join("iam/roles/broken.json");
    std::fs::write(&file, "{").unwrap();
    let lake = TestLake::start_in(folder).await;
    assert!(lake.logged("broken.json cannot be read"));
    assert_eq!(
        iam(&lake, "ListRoles", &[]).await.all_xml("RoleName"),
        ["whole"]
    );
    assert!(file.exists());
}
