//! STS, and what temporary credentials open.

use std::time::SystemTime;

use base64_simd::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::json;

use crate::client::{Answer, Call, TestLake, send};
use crate::iam::{ROLE, TRUST, create_role};

async fn sts(lake: &TestLake, action: &str, params: &[(&str, &str)]) -> Answer {
    lake.call(Call::query("sts", action, params)).await
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
    // Fluent Bit asks by GET.
    let uri = format!(
        "/?Version=2011-06-15&Action=AssumeRole&RoleSessionName=fluent-bit&RoleArn={}",
        ROLE.replace(':', "%3A").replace('/', "%2F")
    );
    let by_get = Call {
        service: "sts",
        ..Call::s3(Method::GET, &uri)
    };
    assert_eq!(lake.call(by_get).await.xml("Arn"), arn);
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
    let by_url = Call::s3(Method::GET, "/?Action=GetCallerIdentity").unsigned("127.0.0.1");
    let answer = send(lake.address, by_url).await;
    assert_eq!(
        answer.s3_error(),
        (403, "MissingAuthenticationToken".to_owned())
    );
    let large = [("RoleName", "x".repeat(1024 * 1024))];
    let large = large
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let large = Call::query("sts", "AssumeRole", &large).unsigned("127.0.0.1");
    let answer = send(lake.address, large).await;
    assert_eq!(answer.s3_error(), (413, "RequestEntityTooLarge".to_owned()));
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
    // Fluent Bit asks by GET.
    let uri = format!(
        "/?Version=2011-06-15&Action=AssumeRoleWithWebIdentity&RoleSessionName=pod\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpods&WebIdentityToken={}",
        token(own, later)
    );
    let by_get = send(
        lake.address,
        Call::s3(Method::GET, &uri).unsigned("127.0.0.1"),
    )
    .await;
    assert_eq!(by_get.xml("Arn"), assumed.xml("Arn"));
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
