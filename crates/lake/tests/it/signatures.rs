//! Who may ask, seen from outside.

use std::time::{Duration, SystemTime};

use http::Method;

use crate::client::{Call, TestLake, send};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn firehose_refuses_what_is_not_signed_for_it() {
    let lake = TestLake::start().await;
    let good = Call::firehose("ListDeliveryStreams", "{}");
    let now = SystemTime::now();
    let wrong_secret = Call {
        secret: "guess",
        ..good.clone()
    };
    let wrong_key = Call {
        access_key_id: "who",
        ..good.clone()
    };
    let for_s3 = Call {
        service: "s3",
        ..good.clone()
    };
    let unsigned_payload = Call {
        unsigned_payload: true,
        ..good.clone()
    };
    for (call, time, code) in [
        (&good, now, None),
        (&good, now - 14 * MINUTE, None),
        (&good, now + 14 * MINUTE, None),
        (&good, now - 16 * MINUTE, Some("InvalidSignatureException")),
        (&good, now + 16 * MINUTE, Some("InvalidSignatureException")),
        (&wrong_secret, now, Some("InvalidSignatureException")),
        (&wrong_key, now, Some("UnrecognizedClientException")),
        (&for_s3, now, Some("InvalidSignatureException")),
        (&unsigned_payload, now, Some("InvalidSignatureException")),
    ] {
        let answer = send(lake.address, call.signed(lake.address, time)).await;
        match code {
            None => assert_eq!(answer.status, 200, "{}", answer.text()),
            Some(code) => assert_eq!(answer.error(), (400, code.to_owned()), "{}", answer.text()),
        }
    }
}

#[tokio::test]
async fn firehose_notices_every_change_on_the_way() {
    let lake = TestLake::start().await;
    let signed = || {
        Call::firehose("ListDeliveryStreams", "{\"Limit\": 10}")
            .signed(lake.address, SystemTime::now())
    };
    let refused = async |request, code: &str| {
        let answer = send(lake.address, request).await;
        assert_eq!(answer.error(), (400, code.to_owned()), "{}", answer.text());
    };

    let (parts, _) = signed().into_parts();
    refused(
        http::Request::from_parts(parts, "{\"Limit\": 11}".into()),
        "InvalidSignatureException",
    )
    .await;
    let mut request = signed();
    request.headers_mut().insert(
        "x-amz-target",
        "Firehose_20150804.DeleteDeliveryStream".parse().unwrap(),
    );
    refused(request, "InvalidSignatureException").await;
    let mut request = signed();
    request
        .headers_mut()
        .insert("x-amz-security-token", "x".parse().unwrap());
    refused(request, "InvalidSignatureException").await;
    let mut request = signed();
    *request.method_mut() = Method::PUT;
    refused(request, "InvalidSignatureException").await;
    let mut request = signed();
    *request.uri_mut() = "http://127.0.0.1/?a=b".parse().unwrap();
    refused(request, "InvalidSignatureException").await;
    let mut request = signed();
    request.headers_mut().remove("authorization");
    refused(request, "MissingAuthenticationTokenException").await;
    let mut request = signed();
    request.headers_mut().insert(
        "authorization",
        "AWS4-HMAC-SHA256 Credential=flumen".parse().unwrap(),
    );
    refused(request, "IncompleteSignatureException").await;
}

#[tokio::test]
async fn s3_refuses_what_is_not_signed_for_it() {
    let lake = TestLake::start().await;
    let now = SystemTime::now();
    let good = Call::s3(Method::GET, "/");
    let wrong_secret = Call {
        secret: "guess",
        ..good.clone()
    };
    let wrong_key = Call {
        access_key_id: "who",
        ..good.clone()
    };
    for (call, time, expected) in [
        (&good, now, (200, "")),
        (&good, now - 16 * MINUTE, (403, "RequestTimeTooSkewed")),
        (&good, now + 16 * MINUTE, (403, "RequestTimeTooSkewed")),
        (&wrong_secret, now, (403, "SignatureDoesNotMatch")),
        (&wrong_key, now, (403, "InvalidAccessKeyId")),
    ] {
        let answer = send(lake.address, call.signed(lake.address, time)).await;
        let code = answer.all_xml("Code").pop().unwrap_or_default();
        assert_eq!(
            (answer.status.as_u16(), code.as_str()),
            expected,
            "{}",
            answer.text()
        );
    }
    let mut unsigned = good.signed(lake.address, now);
    unsigned.headers_mut().remove("authorization");
    assert_eq!(
        send(lake.address, unsigned).await.s3_error(),
        (403, "AccessDenied".to_owned())
    );
    let mut smuggled = good.signed(lake.address, now);
    smuggled
        .headers_mut()
        .insert("x-amz-acl", "public-read".parse().unwrap());
    assert_eq!(
        send(lake.address, smuggled).await.s3_error(),
        (403, "AccessDenied".to_owned())
    );
}

#[tokio::test]
async fn s3_notices_a_changed_body() {
    let lake = TestLake::start().await;
    lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
    let put = Call::s3(Method::PUT, "/logs-bucket/key").body("what was signed");
    let (parts, _) = put.signed(lake.address, SystemTime::now()).into_parts();
    let changed = http::Request::from_parts(parts, "what was sent!!".into());
    assert_eq!(
        send(lake.address, changed).await.s3_error(),
        (400, "XAmzContentSHA256Mismatch".to_owned())
    );
    assert_eq!(lake.objects("logs-bucket"), []);
}

#[tokio::test]
async fn presigned_urls_work_until_they_expire() {
    let lake = TestLake::start().await;
    lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
    let now = SystemTime::now();
    let presigned = |method, time, expires| {
        Call::s3(method, "/logs-bucket/a%20key")
            .body("content")
            .presigned(lake.address, time, expires)
    };
    assert_eq!(
        send(lake.address, presigned(Method::PUT, now, MINUTE))
            .await
            .status,
        200
    );
    let get = Call::s3(Method::GET, "/logs-bucket/a%20key").presigned(
        lake.address,
        now - 5 * MINUTE,
        10 * MINUTE,
    );
    assert_eq!(send(lake.address, get).await.text(), "content");
    for (time, expires, expected) in [
        (now - 2 * MINUTE, MINUTE, (403, "AccessDenied")),
        (now + 16 * MINUTE, MINUTE, (403, "RequestTimeTooSkewed")),
        (
            now,
            8 * 24 * 60 * MINUTE,
            (400, "AuthorizationQueryParametersError"),
        ),
    ] {
        let answer = send(lake.address, presigned(Method::GET, time, expires)).await;
        assert_eq!(
            answer.s3_error(),
            (expected.0, expected.1.to_owned()),
            "{}",
            answer.text()
        );
    }
}
