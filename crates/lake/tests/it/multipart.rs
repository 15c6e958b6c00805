//! Multipart uploads.

use http::Method;

use crate::client::{Answer, Call, TestLake};

const MIB: usize = 1024 * 1024;

pub async fn lake_with_bucket() -> TestLake {
    let lake = TestLake::start().await;
    let made = lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
    assert_eq!(made.status, 200);
    lake
}

pub async fn begin(lake: &TestLake, key: &str) -> String {
    let uri = format!("/logs-bucket/{key}?uploads");
    let answer = lake.call(Call::s3(Method::POST, &uri)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.xml("UploadId")
}

pub async fn part(lake: &TestLake, key: &str, id: &str, number: &str, body: &[u8]) -> Answer {
    let uri = format!("/logs-bucket/{key}?partNumber={number}&uploadId={id}");
    lake.call(Call::s3(Method::PUT, &uri).body(body)).await
}

fn list_of(parts: &[(u32, &str)]) -> String {
    let part = |(number, tag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

pub fn complete(key: &str, id: &str, parts: &[(u32, &str)]) -> Call {
    let uri = format!("/logs-bucket/{key}?uploadId={id}");
    Call::s3(Method::POST, &uri).body(list_of(parts))
}

#[tokio::test]
async fn parts_become_an_object_in_their_order_and_over_restarts() {
    let lake = lake_with_bucket().await;
    let uri = "/logs-bucket/a/big.log?uploads";
    let call = Call::s3(Method::POST, uri)
        .header("content-type", "text/plain")
        .header("x-amz-storage-class", "STANDARD_IA")
        .header("x-amz-tagging", "team=blue")
        .header("x-amz-meta-owner", "me");
    let id = lake.call(call).await.xml("UploadId");
    let key = "a/big.log";
    let last = part(&lake, key, &id, "7", b"the end").await;
    // Uploaded twice, the later counts.
    part(&lake, key, &id, "3", &vec![b'x'; 5 * MIB]).await;
    let first = part(&lake, key, &id, "3", &vec![b'a'; 5 * MIB]).await;
    assert_eq!(first.header("etag").len(), 34);
    assert_eq!(lake.objects("logs-bucket"), [], "nothing is seen of it yet");

    let lake = lake.restart().await;
    let uri = format!("/logs-bucket/a/big.log?uploadId={id}");
    let parts = lake.call(Call::s3(Method::GET, &uri)).await;
    assert_eq!(parts.all_xml("PartNumber"), ["3", "7"]);
    assert_eq!(parts.all_xml("Size"), ["5242880", "7"]);
    assert_eq!(parts.xml("StorageClass"), "STANDARD_IA");
    let tags = [first.header("etag"), last.header("etag")];
    let done = lake
        .call(complete(key, &id, &[(3, tags[0]), (7, tags[1])]))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    // MD5 over both parts' MD5s, computed with md5sum.
    let e_tag = done.xml("ETag").replace("&quot;", "\"");
    assert_eq!(e_tag, "\"dc2bc882b07e1e67a48bed8997ce6caf-2\"");

    let object = lake
        .call(Call::s3(Method::GET, "/logs-bucket/a/big.log"))
        .await;
    let mut expected = vec![b'a'; 5 * MIB];
    expected.extend(b"the end");
    assert!(object.body == expected);
    for (name, value) in [
        ("etag", e_tag.as_str()),
        ("content-type", "text/plain"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-tagging-count", "1"),
        ("x-amz-meta-owner", "me"),
    ] {
        assert_eq!(object.header(name), value, "{name}");
    }
    let list = lake
        .call(Call::s3(Method::GET, "/logs-bucket?list-type=2"))
        .await;
    assert_eq!(list.xml("ETag").replace("&quot;", "\""), e_tag);
    assert_eq!(list.xml("StorageClass"), "STANDARD_IA");

    // Who did not get the answer asks again, also after a restart; with other parts the upload is over.
    let lake = lake.restart().await;
    let again = lake
        .call(complete(key, &id, &[(3, tags[0]), (7, tags[1])]))
        .await;
    assert_eq!(again.xml("ETag"), done.xml("ETag"));
    let other = lake.call(complete(key, &id, &[(3, tags[0])])).await;
    assert_eq!(other.s3_error(), (404, "NoSuchUpload".to_owned()));
    let late = part(&lake, key, &id, "1", b"late").await;
    assert_eq!(late.s3_error(), (404, "NoSuchUpload".to_owned()));
    assert!(
        !lake
            .path(&format!("objects/.multipart/logs-bucket/{id}"))
            .exists()
    );
}

#[tokio::test]
async fn lists_of_parts_are_refused_for_what_is_wrong_with_them() {
    let lake = lake_with_bucket().await;
    let id = begin(&lake, "k").await;
    let small = part(&lake, "k", &id, "1", b"small").await;
    let small = small.header("etag").to_owned();
    let big = part(&lake, "k", &id, "2", &vec![b'b'; 5 * MIB]).await;
    let big = big.header("etag").to_owned();
    let none = "\"00000000000000000000000000000000\"";
    for (parts, code) in [
        (&[][..], "MalformedXML"),
        (&[(1, small.as_str()), (2, &big)], "EntityTooSmall"),
        (&[(2, &big), (1, &small)], "InvalidPartOrder"),
        (&[(2, &big), (2, &big)], "InvalidPartOrder"),
        (&[(1, none)], "InvalidPart"),
        (&[(1, "x")], "InvalidPart"),
        (&[(3, &small)], "InvalidPart"),
        (&[(0, &small)], "InvalidArgument"),
        (&[(10_001, &small)], "InvalidArgument"),
    ] {
        let answer = lake.call(complete("k", &id, parts)).await;
        assert_eq!(answer.s3_error(), (400, code.to_owned()), "{parts:?}");
    }
    for number in ["0", "10001", "-1"] {
        let answer = part(&lake, "k", &id, number, b"x").await;
        assert_eq!(
            answer.s3_error(),
            (400, "InvalidArgument".to_owned()),
            "{number}"
        );
    }
    for (key, id) in [
        ("other", id.as_str()),
        ("k", "../../x"),
        ("k", "00000000000000000000000000000000"),
    ] {
        let id = id.replace('/', "%2F");
        let answer = part(&lake, key, &id, "1", b"x").await;
        assert_eq!(
            answer.s3_error(),
            (404, "NoSuchUpload".to_owned()),
            "{key} {id}"
        );
    }
    // None of this has cost the upload anything.
    let done = lake
        .call(complete(
            "k",
            &id,
            &[
                (2, &big),
                (3, &{
                    let last = part(&lake, "k", &id, "3", b"!").await;
                    last.header("etag").to_owned()
                }),
            ],
        ))
        .await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(lake.objects("logs-bucket")[0].1.len(), 5 * MIB + 1);
}

#[tokio::test]
async fn checksums_of_parts_and_of_the_whole_are_checked() {
    let lake = lake_with_bucket().await;
    let id = begin(&lake, "k").await;
    let uri = format!("/logs-bucket/k?partNumber=1&uploadId={id}");
    let put = |checksum: &str| {
        let call = Call::s3(Method::PUT, &uri).body("hello");
        lake.call(call.header("x-amz-checksum-crc32", checksum))
    };
    assert_eq!(
        put("AAAAAA==").await.s3_error(),
        (400, "BadDigest".to_owned())
    );
    let kept = put("NhCmhg==").await;
    assert_eq!(
        (kept.status.as_u16(), kept.header("x-amz-checksum-crc32")),
        (200, "NhCmhg==")
    );
    let e_tag = kept.header("etag");
    let with_checksum = |checksum: &str| {
        let part = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{e_tag}</ETag>\
             <ChecksumCRC32>{checksum}</ChecksumCRC32></Part></CompleteMultipartUpload>"
        );
        Call::s3(Method::POST, &format!("/logs-bucket/k?uploadId={id}")).body(part)
    };
    let other_part = lake.call(with_checksum("AAAAAA==")).await;
    assert_eq!(other_part.s3_error(), (400, "InvalidPart".to_owned()));
    let other_whole = with_checksum("NhCmhg==").header("x-amz-checksum-crc32", "AAAAAA==");
    assert_eq!(
        lake.call(other_whole).await.s3_error(),
        (400, "BadDigest".to_owned())
    );
    let whole = with_checksum("NhCmhg==").header("x-amz-checksum-crc32", "NhCmhg==");
    let done = lake.call(whole.clone()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(lake.call(whole).await.xml("ETag"), done.xml("ETag"));
}

/// A crash between putting the object in place and remembering it: who asks again hears that the object is there, though
/// it was to be made only if there was none.
#[tokio::test]
async fn an_object_that_was_made_already_is_not_refused() {
    let lake = lake_with_bucket().await;
    let (id, other) = (begin(&lake, "k").await, begin(&lake, "k").await);
    let tag = part(&lake, "k", &id, "1", b"same").await;
    let tag = tag.header("etag").to_owned();
    part(&lake, "k", &other, "1", b"same").await;
    let upload = lake.path(&format!("objects/.multipart/logs-bucket/{id}"));
    let files: Vec<_> = std::fs::read_dir(&upload)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    let call = |id: &str| complete("k", id, &[(1, &tag)]).header("if-none-match", "*");
    let done = lake.call(call(&id)).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let folder = lake.abandon().await;
    let completed = folder.path().join("objects/.multipart/.completed");
    std::fs::remove_file(completed.join(format!("{id}.json"))).unwrap();
    std::fs::create_dir(&upload).unwrap();
    for (path, content) in files {
        std::fs::write(path, content).unwrap();
    }
    let lake = TestLake::start_in(folder).await;
    assert_eq!(lake.call(call(&id)).await.xml("ETag"), done.xml("ETag"));
    assert!(!upload.exists());
    // Of the same content, but not the same upload.
    let refused = lake.call(call(&other)).await;
    assert_eq!(refused.s3_error(), (412, "PreconditionFailed".to_owned()));
}

#[tokio::test]
async fn uploads_are_listed_and_aborted() {
    let lake = lake_with_bucket().await;
    let mut ids = Vec::new();
    for key in ["b", "a/1", "a/2", "b"] {
        ids.push(begin(&lake, key).await);
    }
    let list = |query: &str| {
        let uri = format!("/logs-bucket?uploads{query}");
        lake.call(Call::s3(Method::GET, &uri))
    };
    let all = list("").await;
    assert_eq!(
        all.all_xml("UploadId"),
        [&ids[1], &ids[2], &ids[0], &ids[3]].map(String::clone)
    );
    assert_eq!(all.xml("IsTruncated"), "false");
    let rolled = list("&delimiter=/").await;
    assert_eq!(rolled.all_xml("UploadId"), [ids[0].clone(), ids[3].clone()]);
    assert!(
        rolled
            .text()
            .contains("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>")
    );
    // Page by page, also between uploads of one key.
    let (mut seen, mut marker) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("&max-uploads=1{marker}")).await;
        seen.extend(page.all_xml("UploadId"));
        if page.xml("IsTruncated") == "false" {
            break;
        }
        let (key, id) = (page.xml("NextKeyMarker"), page.xml("NextUploadIdMarker"));
        marker = format!(
            "&key-marker={}&upload-id-marker={id}",
            key.replace('/', "%2F")
        );
    }
    assert_eq!(seen, all.all_xml("UploadId"));

    part(&lake, "b", &ids[0], "1", b"x").await;
    let uri = format!("/logs-bucket/b?uploadId={}", ids[0]);
    let abort = Call::s3(Method::DELETE, &uri);
    assert_eq!(lake.call(abort.clone()).await.status, 204);
    assert_eq!(
        lake.call(abort).await.s3_error(),
        (404, "NoSuchUpload".to_owned())
    );
    let gone = lake.call(Call::s3(Method::GET, &uri)).await;
    assert_eq!(gone.s3_error(), (404, "NoSuchUpload".to_owned()));
    assert_eq!(
        list("&prefix=b").await.all_xml("UploadId"),
        [ids[3].clone()]
    );

    // Uploads keep no bucket alive, and a new bucket of the name has none.
    assert_eq!(
        lake.call(Call::s3(Method::DELETE, "/logs-bucket"))
            .await
            .status,
        204
    );
    lake.call(Call::s3(Method::PUT, "/logs-bucket")).await;
    assert_eq!(list("").await.all_xml("UploadId"), [""; 0]);
}

#[tokio::test]
async fn parts_are_listed_page_by_page() {
    let lake = lake_with_bucket().await;
    let id = begin(&lake, "k").await;
    for number in ["1", "2", "10"] {
        part(&lake, "k", &id, number, b"x").await;
    }
    for (query, numbers, truncated) in [
        ("", &["1", "2", "10"][..], "false"),
        ("&max-parts=2", &["1", "2"], "true"),
        ("&max-parts=2&part-number-marker=2", &["10"], "false"),
        ("&part-number-marker=10", &[], "false"),
    ] {
        let uri = format!("/logs-bucket/k?uploadId={id}{query}");
        let page = lake.call(Call::s3(Method::GET, &uri)).await;
        assert_eq!(page.all_xml("PartNumber"), numbers, "{query}");
        assert_eq!(page.xml("IsTruncated"), truncated, "{query}");
    }
    for query in ["&max-parts=0", "&max-parts=-1", "&part-number-marker=-1"] {
        let uri = format!("/logs-bucket/k?uploadId={id}{query}");
        let answer = lake.call(Call::s3(Method::GET, &uri)).await;
        assert_eq!(
            answer.s3_error(),
            (400, "InvalidArgument".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn parts_are_copied_from_objects() {
    let lake = lake_with_bucket().await;
    lake.call(Call::s3(Method::PUT, "/logs-bucket/from").body("0123456789"))
        .await;
    let id = begin(&lake, "to").await;
    let copy = |range: &str| {
        let uri = format!("/logs-bucket/to?partNumber=1&uploadId={id}");
        let call = Call::s3(Method::PUT, &uri).header("x-amz-copy-source", "/logs-bucket/from");
        lake.call(call.header("x-amz-copy-source-range", range))
    };
    assert_eq!(
        copy("bytes=5-10").await.s3_error(),
        (400, "InvalidArgument".to_owned())
    );
    let copied = copy("bytes=2-4").await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    let e_tag = copied.xml("ETag").replace("&quot;", "\"");
    let done = lake.call(complete("to", &id, &[(1, &e_tag)])).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let object = lake.call(Call::s3(Method::GET, "/logs-bucket/to")).await;
    assert_eq!(object.text(), "234");
}
