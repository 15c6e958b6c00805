//! Conditional writes, and what objects carry besides their bytes.

use std::sync::Arc;

use http::Method;

use crate::client::{Call, send};
use crate::multipart::{begin, complete, lake_with_bucket, part};

/// Many clients that each take the object's tag and put theirs in its place: every put that succeeded saw the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conditional_writes_lose_no_update() {
    let lake = Arc::new(lake_with_bucket().await);
    let mut writers = Vec::new();
    for writer in 0..8 {
        let lake = Arc::clone(&lake);
        writers.push(tokio::spawn(async move {
            let body = format!("writer {writer}\n");
            let put = Call::s3(Method::PUT, "/logs-bucket/log").body(body.clone());
            let created = lake
                .call(put.header("if-none-match", "*"))
                .await
                .status
                .as_u16();
            assert!(created == 200 || created == 412, "{created}");
            if created == 200 {
                return 1;
            }
            loop {
                let read = lake.call(Call::s3(Method::GET, "/logs-bucket/log")).await;
                let put = Call::s3(Method::PUT, "/logs-bucket/log")
                    .body(format!("{}{body}", read.text()))
                    .header("if-match", read.header("etag"));
                match lake.call(put).await.status.as_u16() {
                    200 => return 0,
                    412 => {}
                    other => panic!("{other}"),
                }
            }
        }));
    }
    let mut created = 0;
    for writer in writers {
        created += writer.await.unwrap();
    }
    assert_eq!(created, 1);
    let log = lake.call(Call::s3(Method::GET, "/logs-bucket/log")).await;
    let mut lines: Vec<&str> = log.text().lines().collect();
    lines.sort_unstable();
    let expected: Vec<String> = (0..8).map(|writer| format!("writer {writer}")).collect();
    assert_eq!(lines, expected);
}

/// One of many uploads that want to make the same object makes it; put or completed is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_of_many_creates_an_object() {
    let lake = lake_with_bucket().await;
    let mut calls = Vec::new();
    for number in 0..6 {
        let id = begin(&lake, "one").await;
        let body = format!("completed {number}");
        let tag = part(&lake, "one", &id, "1", body.as_bytes()).await;
        let tag = tag.header("etag").to_owned();
        calls.push((body, complete("one", &id, &[(1, &tag)])));
        let body = format!("put {number}");
        calls.push((
            body.clone(),
            Call::s3(Method::PUT, "/logs-bucket/one").body(body),
        ));
    }
    let address = lake.address;
    let calls = calls.into_iter().map(|(body, call)| {
        let request = call.header("if-none-match", "*");
        let request = request.signed(address, std::time::SystemTime::now());
        tokio::spawn(async move { (body, send(address, request).await) })
    });
    let mut winners = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        let (body, answer) = call.await.unwrap();
        match answer.status.as_u16() {
            200 => winners.push((body.into_bytes(), answer.header("etag").to_owned())),
            _ => assert_eq!(answer.s3_error(), (412, "PreconditionFailed".to_owned())),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(
        lake.objects("logs-bucket"),
        [("one".to_owned(), winners.remove(0).0)]
    );
}

#[tokio::test]
async fn conditions_are_those_of_s3() {
    let lake = lake_with_bucket().await;
    let put = |key: &str, conditions: &[(&str, &str)]| {
        let mut call = Call::s3(Method::PUT, &format!("/logs-bucket/{key}")).body("x");
        for (name, value) in conditions {
            call = call.header(name, value);
        }
        lake.call(call)
    };
    let e_tag = put("there", &[]).await.header("etag").to_owned();
    put("source", &[]).await;
    let copy = ("x-amz-copy-source", "/logs-bucket/source");
    for (key, conditions, expected) in [
        (
            "there",
            &[("if-none-match", "*")][..],
            (412, "PreconditionFailed"),
        ),
        (
            "there",
            &[("if-match", "\"other\"")],
            (412, "PreconditionFailed"),
        ),
        ("missing", &[("if-match", "\"other\"")], (404, "NoSuchKey")),
        ("there", &[("if-match", "*")], (501, "NotImplemented")),
        (
            "there",
            &[("if-none-match", "\"other\"")],
            (501, "NotImplemented"),
        ),
        (
            "there",
            &[("if-none-match", "*"), ("if-match", "\"a\"")],
            (501, "NotImplemented"),
        ),
        (
            "there",
            &[copy, ("if-none-match", "*")],
            (412, "PreconditionFailed"),
        ),
    ] {
        let answer = put(key, conditions).await;
        let (status, code) = expected;
        assert_eq!(
            answer.s3_error(),
            (status, code.to_owned()),
            "{key} {conditions:?}"
        );
    }
    assert_eq!(
        put("copy", &[copy, ("if-none-match", "*")]).await.status,
        200
    );
    let delete = |tag: &str| {
        let call = Call::s3(Method::DELETE, "/logs-bucket/there");
        lake.call(call.header("if-match", tag))
    };
    assert_eq!(
        delete("\"other\"").await.s3_error(),
        (412, "PreconditionFailed".to_owned())
    );
    assert_eq!(delete(&e_tag).await.status, 204);
    assert_eq!(
        delete(&e_tag).await.s3_error(),
        (404, "NoSuchKey".to_owned())
    );
}

#[tokio::test]
async fn what_objects_carry_comes_back() {
    let lake = lake_with_bucket().await;
    let put = Call::s3(Method::PUT, "/logs-bucket/k")
        .body("x")
        .header("x-amz-storage-class", "GLACIER_IR")
        .header("x-amz-acl", "public-read")
        .header("x-amz-server-side-encryption", "aws:kms")
        .header("x-amz-server-side-encryption-aws-kms-key-id", "key-1")
        .header("x-amz-tagging", "a=1&b=two+words");
    let stored = lake.call(put).await;
    assert_eq!(stored.header("x-amz-server-side-encryption"), "aws:kms");
    let e_tag = stored.header("etag").to_owned();
    let lake = lake.restart().await;
    for method in [Method::HEAD, Method::GET] {
        let answer = lake.call(Call::s3(method.clone(), "/logs-bucket/k")).await;
        for (name, value) in [
            ("x-amz-storage-class", "GLACIER_IR"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
            ("x-amz-tagging-count", "2"),
            ("etag", e_tag.as_str()),
        ] {
            assert_eq!(answer.header(name), value, "{method} {name}");
        }
    }
    let acl = lake.call(Call::s3(Method::GET, "/logs-bucket/k?acl")).await;
    assert_eq!(acl.all_xml("Permission"), ["FULL_CONTROL", "READ"]);
    let tagging = Call::s3(Method::GET, "/logs-bucket/k?tagging");
    let tags = lake.call(tagging.clone()).await;
    assert_eq!(tags.all_xml("Value"), ["1", "two words"]);
    let tag = Call::s3(Method::PUT, "/logs-bucket/k?tagging")
        .body("<Tagging><TagSet><Tag><Key>c</Key><Value>3</Value></Tag></TagSet></Tagging>");
    let tagged = lake.call(tag).await;
    assert_eq!(tagged.status, 200, "{}", tagged.text());
    assert_eq!(lake.call(tagging.clone()).await.all_xml("Key"), ["c"]);
    // Copies take tags along, and class and ACL not.
    let copy =
        Call::s3(Method::PUT, "/logs-bucket/copy").header("x-amz-copy-source", "/logs-bucket/k");
    assert_eq!(lake.call(copy).await.status, 200);
    let copied = lake.call(Call::s3(Method::HEAD, "/logs-bucket/copy")).await;
    assert_eq!(
        (
            copied.header("x-amz-tagging-count"),
            copied.header("x-amz-storage-class")
        ),
        ("1", "")
    );
    let untag = Call::s3(Method::DELETE, "/logs-bucket/k?tagging");
    assert_eq!(lake.call(untag).await.status, 204);
    assert_eq!(lake.call(tagging).await.all_xml("Key"), [""; 0]);
    let head = lake.call(Call::s3(Method::HEAD, "/logs-bucket/k")).await;
    assert_eq!(
        head.header("etag"),
        e_tag,
        "tags are no part of what the object is"
    );
    let own_key = Call::s3(Method::PUT, "/logs-bucket/c")
        .header("x-amz-server-side-encryption-customer-algorithm", "AES256");
    assert_eq!(
        lake.call(own_key).await.s3_error(),
        (501, "NotImplemented".to_owned())
    );
}
