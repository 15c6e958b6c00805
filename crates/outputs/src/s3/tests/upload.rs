//! What arrives in the bucket when nothing goes wrong.

use std::io::Read;

use super::*;

/// The only object, and its name.
fn only(server: &Server) -> (String, server::Object) {
    let mut objects = server.objects();
    assert_eq!(objects.len(), 1, "{:?}", server.keys());
    objects.pop_first().expect("one")
}

#[test]
fn a_small_object_is_put_with_a_random_end() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send("app.web", &["{\"a\":1}".into(), "{\"a\":\"é\"}".into()])
            .await;
        assert_eq!(bench.files("buffer"), 1, "it is on the disk");
        run.send("app.web", &["{}".into()]).await;
        run.close().await;
        let (key, object) = only(&bench.server);
        let start = "fluent-bit-logs/app.web/2023/11/14/22/13/20-object";
        assert!(
            key.starts_with(start) && key.len() == start.len() + 8,
            "{key}"
        );
        let expected = concat!(
            "{\"date\":\"2023-11-14T22:13:20.000000Z\",\"a\":1}\n",
            "{\"date\":\"2023-11-14T22:13:20.000000Z\",\"a\":\"\\u00e9\"}\n",
            "{\"date\":\"2023-11-14T22:13:20.000000Z\"}\n"
        );
        assert_eq!(String::from_utf8_lossy(&object.body), expected);
        assert_eq!(object.headers["if-none-match"], "*");
        assert!(!object.headers.contains_key("content-type"));
        assert!(
            !object.headers.contains_key("x-amz-meta-flumen-id"),
            "the name is unique"
        );
        assert_eq!(
            (bench.files("buffer"), bench.files("lock")),
            (0, 0),
            "nothing is left"
        );
    });
}

#[test]
fn a_large_object_is_uploaded_in_parts() {
    on_a_shard(async {
        let bench =
            Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG/x y+é")]).await;
        let mut run = bench.run();
        for number in 0..11 {
            run.send("t", &large(number)).await;
        }
        run.until("uploads_total", 1).await;
        let (key, object) = only(&bench.server);
        assert_eq!(key, "t/x y+é", "no random end in parts");
        assert!(object.body.len() > 11_000_000);
        each_once(&bench.server, 0..11);
        assert_eq!(bench.server.seen("PUT /t/x y+é?partNumber&uploadId"), 3);
        assert!(
            object.headers.contains_key("x-amz-meta-flumen-id"),
            "others may use the name"
        );
        assert_eq!(bench.files("buffer") + bench.files("upload"), 0);
        drop(run);
    });
}

#[test]
fn an_object_is_uploaded_when_it_is_full_or_old() {
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "1M"), ("upload_timeout", "1s")]).await;
        let mut run = bench.run();
        run.send("full", &large(0)).await;
        run.send("old", &numbered(1..2)).await;
        run.until("uploads_total", 2).await;
        each_once(&bench.server, 0..2);
        drop(run);
    });
}

#[test]
fn headers_say_what_was_asked_for() {
    on_a_shard(async {
        let bench = Bench::new(&[
            ("compression", "gzip"),
            ("content_type", "application/x-ndjson"),
            ("canned_acl", "bucket-owner-full-control"),
            ("storage_class", "STANDARD_IA"),
            ("sse", "aws:kms"),
            ("sse_kms_key_id", "alias/k"),
            ("send_content_md5", "on"),
            ("static_file_path", "on"),
            ("s3_key_format", "/logs/$TAG[1].gz"),
        ])
        .await;
        bench.server.put("logs/web.gz", b"older");
        let mut run = bench.run();
        run.send("app.web", &numbered(0..100)).await;
        run.close().await;
        let (key, object) = only(&bench.server);
        assert_eq!(key, "logs/web.gz");
        let expected = [
            ("content-encoding", "gzip"),
            ("content-type", "application/x-ndjson"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "alias/k"),
        ];
        for (name, value) in expected {
            assert_eq!(
                object.headers.get(name).map(String::as_str),
                Some(value),
                "{name}"
            );
        }
        use md5::Digest;
        let md5 = base64_simd::STANDARD.encode_to_string(md5::Md5::digest(&object.body));
        assert_eq!(object.headers["content-md5"], md5);
        assert!(
            !object.headers.contains_key("if-none-match"),
            "static objects are replaced"
        );
        let mut text = String::new();
        let mut gzip = flate2::read::GzDecoder::new(&object.body[..]);
        gzip.read_to_string(&mut text).expect("gzip");
        assert_eq!(text.lines().count(), 100);
    });
}

#[test]
fn parquet_arrives() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    on_a_shard(async {
        let bench = Bench::new(&[("format", "parquet"), ("s3_key_format", "/$UUID.parquet")]).await;
        let mut run = bench.run();
        run.send("t", &numbered(0..10)).await;
        run.send("t", &["{\"n\":10,\"s\":\"é\"}".to_owned()]).await;
        run.close().await;
        let (_, object) = only(&bench.server);
        let file = SerializedFileReader::new(Bytes::from(object.body)).expect("Parquet");
        let rows: Vec<String> = file
            .get_row_iter(None)
            .expect("rows")
            .map(|row| row.expect("a row").to_string())
            .collect();
        assert_eq!(rows.len(), 11);
        assert_eq!(
            rows[10],
            "{date: 2023-11-14 22:13:20.000000 +00:00, n: 10, s: \"é\"}"
        );
        assert!(!object.headers.contains_key("content-encoding"));
    });
}

#[test]
fn each_object_has_the_next_index() {
    on_a_shard(async {
        let bench =
            Bench::new(&[("total_file_size", "1M"), ("s3_key_format", "/$INDEX-$TAG")]).await;
        let mut run = bench.run();
        run.send("a", &large(0)).await;
        run.send("a", &large(1)).await;
        run.close().await;
        let mut run = bench.run();
        run.send("b", &numbered(2..3)).await;
        run.close().await;
        assert_eq!(bench.server.keys(), ["0-a", "1-a", "2-b"]);
    });
}

#[test]
fn a_full_store_holds_records_back_until_there_is_room() {
    on_a_shard(async {
        let bench = Bench::new(&[
            ("store_dir_limit_size", "1500000"),
            ("total_file_size", "100M"),
        ])
        .await;
        let mut run = bench.run();
        for number in 0..5 {
            run.send("t", &large(number)).await;
        }
        assert!(
            run.number("uploads_total") >= 3,
            "what waited was uploaded to make room"
        );
        run.close().await;
        each_once(&bench.server, 0..5);
    });
}

#[test]
fn a_folder_that_cannot_be_used_holds_records_back() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let in_the_way = bench.folder.path().join("logs");
        std::fs::write(&in_the_way, b"no folder").expect("written");
        let mut run = bench.run();
        let requests = run.requests("t", &numbered(0..3));
        let answer = run.output.deliver.deliver(&requests[0]).await;
        let Answer::Again { why, .. } = &answer else {
            panic!("{answer:?}");
        };
        assert!(why.starts_with("store_dir: "), "{why}");
        std::fs::remove_file(&in_the_way).expect("removed");
        let answer = run.output.deliver.deliver(&requests[0]).await;
        assert_eq!(answer, Answer::Done);
        run.close().await;
        each_once(&bench.server, 0..3);
    });
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let cases: [(&[(&str, &str)], &str); 10] = [
        (&[("s3_key_format", "logs")], "begin with '/'"),
        (&[("total_file_size", "1K")], "1000000 to 50000000000"),
        (
            &[("total_file_size", "2G"), ("use_put_object", "on")],
            "to 1000000000 with use_put_object",
        ),
        (&[("upload_chunk_size", "1M")], "5242880 to 50000000"),
        (&[("upload_chunk_size", "60M")], "5242880 to 50000000"),
        (
            &[("upload_chunk_size", "8M"), ("total_file_size", "12M")],
            "two parts",
        ),
        (&[("compression", "arrow")], "arrow"),
        (&[("format", "otlp_json")], "otlp_json"),
        (&[("format", "parquet"), ("log_key", "log")], "log_key"),
        (&[("sse", "none")], "aws:kms:dsse"),
    ];
    for (pairs, expected) in cases {
        let mut all = vec![("bucket", "b".to_owned())];
        all.extend(pairs.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let options = options(&all).expect("readable");
        let error = options.buffer_settings(&context()).expect_err(expected);
        assert!(error.0.contains(expected), "{error}");
    }
    let odd = [
        ("bucket", "b".to_owned()),
        ("json_date_format", "x".to_owned()),
    ];
    assert!(options(&odd).expect("readable").date().is_err());
}
