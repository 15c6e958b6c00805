//! S3's operations and their errors.

use http::Method;

use crate::client::{Answer, Call, TestLake};

async fn lake_with_bucket() -> TestLake {
    let lake = TestLake::start().await;
    let answer = lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (200, "/logs-bucket")
    );
    lake
}

async fn put(lake: &TestLake, uri: &str, body: &str) -> Answer {
    lake.call(Call::s3(Method::PUT, uri).body(body)).await
}

async fn get(lake: &TestLake, uri: &str) -> Answer {
    lake.call(Call::s3(Method::GET, uri)).await
}

#[tokio::test]
async fn buckets_come_and_go() {
    let lake = lake_with_bucket().await;
    let list = get(&lake, "/").await;
    assert_eq!(list.all_xml("Name"), ["logs-bucket"]);
    let location = get(&lake, "/logs-bucket?location").await;
    assert!(
        location.text().contains(">us-west-2</LocationConstraint>"),
        "{}",
        location.text()
    );
    let head = lake.call(Call::s3(Method::HEAD, "/logs-bucket")).await;
    assert_eq!(
        (head.status.as_u16(), head.header("x-amz-bucket-region")),
        (200, "us-west-2")
    );
    assert_eq!(
        lake.call(Call::s3(Method::HEAD, "/other-bucket"))
            .await
            .status,
        404
    );
    assert_eq!(
        put(&lake, "/logs-bucket", "").await.s3_error(),
        (409, "BucketAlreadyOwnedByYou".to_owned())
    );
    assert_eq!(
        put(&lake, "/A", "").await.s3_error(),
        (400, "InvalidBucketName".to_owned())
    );

    put(&lake, "/logs-bucket/a/b", "x").await;
    let delete = Call::s3(Method::DELETE, "/logs-bucket");
    assert_eq!(
        lake.call(delete.clone()).await.s3_error(),
        (409, "BucketNotEmpty".to_owned())
    );
    assert_eq!(
        lake.call(Call::s3(Method::DELETE, "/logs-bucket/a/b"))
            .await
            .status,
        204
    );
    assert!(
        lake.path("objects/logs-bucket").is_dir() && !lake.path("objects/logs-bucket/a").exists()
    );
    assert_eq!(lake.call(delete.clone()).await.status, 204);
    assert_eq!(
        lake.call(delete).await.s3_error(),
        (404, "NoSuchBucket".to_owned())
    );
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let lake = lake_with_bucket().await;
    let call = Call::s3(Method::PUT, "/logs-bucket/dt%3D1/%C3%A4%20%2B%25.json").body("0123456789");
    let call = call
        .header("content-type", "application/json")
        .header("content-encoding", "br,aws-chunked")
        .header("cache-control", "no-store")
        .header("x-amz-meta-owner", "blue");
    let stored = lake.call(call).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(
        std::fs::read(lake.path("objects/logs-bucket/dt=1/ä +%.json")).unwrap(),
        b"0123456789"
    );
    for method in [Method::GET, Method::HEAD] {
        let answer = lake
            .call(Call::s3(
                method.clone(),
                "/logs-bucket/dt%3D1/%C3%A4%20%2B%25.json",
            ))
            .await;
        assert_eq!(
            answer.text(),
            if method == Method::GET {
                "0123456789"
            } else {
                ""
            }
        );
        for (name, expected) in [
            ("content-length", "10"),
            ("content-type", "application/json"),
            ("content-encoding", "br"),
            ("cache-control", "no-store"),
            ("x-amz-meta-owner", "blue"),
            ("accept-ranges", "bytes"),
            ("etag", stored.header("etag")),
        ] {
            assert_eq!(answer.header(name), expected, "{method} {name}");
        }
        assert!(answer.header("last-modified").ends_with(" GMT"));
        assert_eq!(answer.header("x-amz-request-id").len(), 36);
    }
}

#[tokio::test]
async fn ranges_are_served() {
    let lake = lake_with_bucket().await;
    let body: String = (0..100_000).map(|n| format!("{n:07}\n")).collect();
    put(&lake, "/logs-bucket/numbers", &body).await;
    for (range, status, expected, content_range) in [
        ("bytes=0-7", 206, &body[..8], "bytes 0-7/800000"),
        (
            "bytes=799992-",
            206,
            &body[799_992..],
            "bytes 799992-799999/800000",
        ),
        (
            "bytes=-8",
            206,
            &body[799_992..],
            "bytes 799992-799999/800000",
        ),
        (
            "bytes=100-700000",
            206,
            &body[100..=700_000],
            "bytes 100-700000/800000",
        ),
    ] {
        let answer = lake
            .call(Call::s3(Method::GET, "/logs-bucket/numbers").header("range", range))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-range")),
            (status, content_range)
        );
        assert!(answer.text() == expected, "{range}");
    }
    let answer = lake
        .call(Call::s3(Method::GET, "/logs-bucket/numbers").header("range", "bytes=800000-"))
        .await;
    assert_eq!(answer.s3_error(), (416, "InvalidRange".to_owned()));
}

#[tokio::test]
async fn conditions_are_honoured() {
    let lake = lake_with_bucket().await;
    let tag = put(&lake, "/logs-bucket/key", "one")
        .await
        .header("etag")
        .to_owned();
    assert_eq!(
        tag, "\"f97c5d29941bfb1b2fdab0874906ab82\"",
        "the MD5 of what was put"
    );
    let with =
        |method, name: &str, value: &str| Call::s3(method, "/logs-bucket/key").header(name, value);
    assert_eq!(
        lake.call(with(Method::GET, "if-none-match", &tag))
            .await
            .status,
        304
    );
    assert_eq!(
        lake.call(with(Method::GET, "if-match", "\"other\""))
            .await
            .s3_error(),
        (412, "PreconditionFailed".to_owned())
    );

    let create = Call::s3(Method::PUT, "/logs-bucket/key")
        .header("if-none-match", "*")
        .body("two");
    assert_eq!(
        lake.call(create.clone()).await.s3_error(),
        (412, "PreconditionFailed".to_owned())
    );
    let elsewhere = Call {
        uri: "/logs-bucket/new".to_owned(),
        ..create
    };
    assert_eq!(lake.call(elsewhere).await.status, 200);
    let stale = with(Method::PUT, "if-match", "\"other\"").body("two");
    assert_eq!(
        lake.call(stale).await.s3_error(),
        (412, "PreconditionFailed".to_owned())
    );
    assert_eq!(get(&lake, "/logs-bucket/key").await.text(), "one");
    assert_eq!(
        lake.call(with(Method::PUT, "if-match", &tag).body("two"))
            .await
            .status,
        200
    );
    assert_eq!(get(&lake, "/logs-bucket/key").await.text(), "two");
    let missing = Call::s3(Method::PUT, "/logs-bucket/none").header("if-match", &tag);
    assert_eq!(
        lake.call(missing).await.s3_error(),
        (404, "NoSuchKey".to_owned())
    );
    let both = with(Method::PUT, "if-match", &tag).header("if-none-match", "*");
    assert_eq!(
        lake.call(both).await.s3_error(),
        (501, "NotImplemented".to_owned())
    );
}

#[tokio::test]
async fn only_one_of_many_creates_an_object() {
    let lake = lake_with_bucket().await;
    let create = |n: usize| {
        let call = Call::s3(Method::PUT, "/logs-bucket/a/b/manifest").header("if-none-match", "*");
        lake.call(call.body(n.to_string()))
    };
    let answers = futures_util::future::join_all((0..20).map(create)).await;
    let winners: Vec<_> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.status == 200)
        .collect();
    let [(winner, _)] = winners[..] else {
        panic!("{} won", winners.len())
    };
    assert_eq!(
        get(&lake, "/logs-bucket/a/b/manifest").await.text(),
        winner.to_string()
    );
}

#[tokio::test]
async fn checksums_are_compared() {
    let lake = lake_with_bucket().await;
    for (name, value, expected) in [
        ("x-amz-checksum-crc32", "NhCmhg==", (200, "")),
        ("x-amz-checksum-crc32", "AAAAAA==", (400, "BadDigest")),
        (
            "x-amz-checksum-sha256",
            "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
            (200, ""),
        ),
        (
            "x-amz-checksum-sha256",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            (400, "BadDigest"),
        ),
        ("content-md5", "XUFAKrxLKna5cZ2REBfFkg==", (200, "")),
        (
            "content-md5",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            (400, "BadDigest"),
        ),
        ("content-md5", "x", (400, "InvalidDigest")),
    ] {
        let answer = lake
            .call(
                Call::s3(Method::PUT, "/logs-bucket/key")
                    .header(name, value)
                    .body("hello"),
            )
            .await;
        let code = answer.all_xml("Code").pop().unwrap_or_default();
        assert_eq!(
            (answer.status.as_u16(), code.as_str()),
            expected,
            "{name}: {value}"
        );
    }
}

/// As current SDKs upload streams: the checksum comes behind the body.
#[tokio::test]
async fn chunked_bodies_with_trailers_are_decoded() {
    let lake = lake_with_bucket().await;
    for (checksum, expected) in [("NhCmhg==", 200), ("AAAAAA==", 400)] {
        let body = format!("3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:{checksum}\r\n\r\n");
        let call = Call::s3(Method::PUT, "/logs-bucket/key")
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", "5")
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .body(body);
        let answer = lake
            .call(Call {
                trailer: true,
                ..call
            })
            .await;
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
    let answer = get(&lake, "/logs-bucket/key").await;
    assert_eq!(
        (answer.text(), answer.header("content-encoding")),
        ("hello", "")
    );
}

#[tokio::test]
async fn listings_page_roll_up_and_encode() {
    let lake = lake_with_bucket().await;
    for key in [
        "a.txt",
        "ecs2026/11/22/x",
        "ecs2026/11/23/y",
        "eks/a%20b%2B",
        "z",
    ] {
        assert_eq!(
            put(&lake, &format!("/logs-bucket/{key}"), "1").await.status,
            200
        );
    }
    let v2 = get(&lake, "/logs-bucket?list-type=2&prefix=ecs2026").await;
    assert_eq!(v2.all_xml("Key"), ["ecs2026/11/22/x", "ecs2026/11/23/y"]);
    assert_eq!(
        (v2.xml("KeyCount"), v2.xml("IsTruncated"), v2.xml("Size")),
        ("2".into(), "false".into(), "1".into())
    );
    assert_eq!(v2.xml("StorageClass"), "STANDARD");

    let folders = get(&lake, "/logs-bucket?list-type=2&delimiter=%2F").await;
    assert_eq!(folders.all_xml("Key"), ["a.txt", "z"]);
    assert_eq!(folders.text().matches("<CommonPrefixes>").count(), 2);
    let encoded = get(
        &lake,
        "/logs-bucket?list-type=2&prefix=eks%2Fa%20&encoding-type=url",
    )
    .await;
    assert_eq!(
        (encoded.all_xml("Key"), encoded.xml("EncodingType")),
        (vec!["eks/a%20b%2B".into()], "url".into())
    );

    let mut keys = Vec::new();
    let mut token = String::new();
    loop {
        let page = get(
            &lake,
            &format!("/logs-bucket?list-type=2&max-keys=2{token}"),
        )
        .await;
        keys.extend(page.all_xml("Key"));
        match page.all_xml("NextContinuationToken").pop() {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!(
        keys,
        [
            "a.txt",
            "ecs2026/11/22/x",
            "ecs2026/11/23/y",
            "eks/a b+",
            "z"
        ]
    );
    let after = get(&lake, "/logs-bucket?list-type=2&start-after=eks").await;
    assert_eq!(after.all_xml("Key"), ["eks/a b+", "z"]);

    let v1 = get(&lake, "/logs-bucket?max-keys=1&marker=eks&delimiter=/").await;
    assert_eq!(
        (v1.xml("NextMarker"), v1.xml("IsTruncated")),
        ("eks/".into(), "true".into())
    );
    let v1 = get(&lake, "/logs-bucket?marker=eks/&delimiter=/").await;
    assert_eq!(v1.all_xml("Key"), ["z"]);
    let none = get(&lake, "/logs-bucket?list-type=2&max-keys=0").await;
    assert_eq!(
        (none.xml("KeyCount"), none.xml("IsTruncated")),
        ("0".into(), "false".into())
    );
    assert_eq!(
        get(&lake, "/none-such?list-type=2").await.s3_error(),
        (404, "NoSuchBucket".to_owned())
    );
    assert_eq!(
        get(&lake, "/logs-bucket?list-type=2&continuation-token=!")
            .await
            .s3_error(),
        (400, "InvalidArgument".to_owned())
    );
}

#[tokio::test]
async fn objects_are_copied_and_deleted() {
    let lake = lake_with_bucket().await;
    lake.call(
        Call::s3(Method::PUT, "/logs-bucket/from")
            .header("content-type", "text/x")
            .body("content"),
    )
    .await;
    let copy =
        |to: &str| Call::s3(Method::PUT, to).header("x-amz-copy-source", "/logs-bucket/from");
    let copied = lake.call(copy("/logs-bucket/to")).await;
    assert!(
        copied.text().contains("<CopyObjectResult"),
        "{}",
        copied.text()
    );
    let to = get(&lake, "/logs-bucket/to").await;
    assert_eq!(
        (to.text(), to.header("content-type")),
        ("content", "text/x")
    );
    let replaced = copy("/logs-bucket/from")
        .header("x-amz-metadata-directive", "REPLACE")
        .header("content-type", "text/y");
    assert_eq!(lake.call(replaced).await.status, 200);
    assert_eq!(
        get(&lake, "/logs-bucket/from").await.header("content-type"),
        "text/y"
    );
    assert_eq!(
        get(&lake, "/logs-bucket/to").await.header("content-type"),
        "text/x"
    );
    assert_eq!(
        lake.call(copy("/logs-bucket/from")).await.s3_error(),
        (400, "InvalidRequest".to_owned())
    );
    let missing =
        Call::s3(Method::PUT, "/logs-bucket/x").header("x-amz-copy-source", "/logs-bucket/none");
    assert_eq!(
        lake.call(missing).await.s3_error(),
        (404, "NoSuchKey".to_owned())
    );

    let keys = ["from", "none", "../x"]
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .concat();
    let delete =
        Call::s3(Method::POST, "/logs-bucket?delete").body(format!("<Delete>{keys}</Delete>"));
    let answer = lake.call(delete).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.text().matches("<Deleted>").count()
        ),
        (200, 3),
        "{}",
        answer.text()
    );
    assert_eq!(lake.objects("logs-bucket").len(), 1);
    let none = Call::s3(Method::POST, "/logs-bucket?delete").body("<Delete></Delete>");
    assert_eq!(
        lake.call(none).await.s3_error(),
        (400, "MalformedXML".to_owned())
    );
    let bomb = r#"<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>"#;
    let bomb = Call::s3(Method::POST, "/logs-bucket?delete").body(bomb);
    assert_eq!(
        lake.call(bomb).await.s3_error(),
        (400, "MalformedXML".to_owned())
    );
}

#[tokio::test]
async fn keys_that_cannot_be_files_get_s3_s_errors() {
    let lake = lake_with_bucket().await;
    put(&lake, "/logs-bucket/file", "x").await;
    put(&lake, "/logs-bucket/folder/file", "x").await;
    let long = format!("/logs-bucket/{}", "x".repeat(256));
    let too_long = format!("/logs-bucket/{}x", "x/".repeat(512));
    for (uri, code, read_status) in [
        ("/logs-bucket/a//b", "InvalidRequest", 404),
        ("/logs-bucket//a", "InvalidRequest", 404),
        ("/logs-bucket/a/", "InvalidRequest", 404),
        ("/logs-bucket/../../escaped", "InvalidRequest", 404),
        ("/logs-bucket/a/../../../escaped", "InvalidRequest", 404),
        ("/logs-bucket/a%00b", "InvalidRequest", 404),
        ("/logs-bucket/a%0Ab", "InvalidRequest", 404),
        ("/logs-bucket/upload%231", "InvalidRequest", 404),
        ("/logs-bucket/file/below", "InvalidRequest", 404),
        ("/logs-bucket/folder", "InvalidRequest", 404),
        (&long, "KeyTooLongError", 404),
        (&too_long, "KeyTooLongError", 400),
    ] {
        assert_eq!(
            put(&lake, uri, "x").await.s3_error(),
            (400, code.to_owned()),
            "{uri}"
        );
        assert_eq!(get(&lake, uri).await.status, read_status, "{uri}");
        let head = lake.call(Call::s3(Method::HEAD, uri)).await;
        assert_eq!(
            (head.status.as_u16(), head.text()),
            (read_status, ""),
            "{uri}"
        );
        let delete = lake.call(Call::s3(Method::DELETE, uri)).await;
        assert!(
            delete.status == 204 || read_status == 400,
            "{uri}: {}",
            delete.text()
        );
    }
    assert_eq!(lake.objects("logs-bucket").len(), 2);
    let outside: Vec<_> = std::fs::read_dir(lake.path("objects"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(outside.len(), 3, "{outside:?}");
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let lake = lake_with_bucket().await;
    let select = Call::s3(Method::POST, "/logs-bucket/key?select&select-type=2");
    let select = lake
        .call(select.body("<SelectObjectContentRequest/>"))
        .await;
    assert!(
        select.status.is_client_error() || select.status == 501,
        "{}",
        select.text()
    );
    let versions = get(&lake, "/logs-bucket?versions").await;
    assert_eq!(versions.s3_error(), (501, "NotImplemented".to_owned()));
    let error = get(&lake, "/logs-bucket/none").await;
    assert_eq!(error.xml("Resource"), "/logs-bucket/none");
    assert_eq!(error.xml("RequestId"), error.header("x-amz-request-id"));
}
