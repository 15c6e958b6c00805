//! What arrives in the bucket when the way there is bad: everything, once.

use super::server::Fault;
use super::*;

const PUT: &str = "PUT ";

#[test]
fn attempts_are_repeated_until_one_succeeds() {
    let faults = [
        Fault::Refused(500, "InternalError"),
        Fault::Refused(503, "SlowDown"),
        Fault::Refused(403, "AccessDenied"),
        Fault::Refused(404, "NoSuchBucket"),
        Fault::Refused(409, "ConditionalRequestConflict"),
        Fault::Cut,
        Fault::CutAfter,
        Fault::ErrorAfter,
    ];
    on_a_shard(async {
        let bench = Bench::new(&[("s3_key_format", "/$TAG"), ("total_file_size", "1M")]).await;
        for fault in faults {
            bench.server.then(PUT, fault);
        }
        let mut run = bench.run();
        run.send("t", &large(0)).await;
        run.until("uploads_total", 1).await;
        let repeated = run.number("upload_requests_repeated_total");
        assert!(
            repeated >= 3,
            "{repeated}: the service had too much to do, or failed"
        );
        assert!(run.number("upload_failures_total") >= 4);
        run.close().await;
        each_once(&bench.server, 0..1);
        assert_eq!(bench.server.keys().len(), 1, "no attempt made a copy");
    });
}

#[test]
fn an_unanswered_attempt_is_recognised_by_its_mark() {
    on_a_shard(async {
        // $INDEX is no chance: somebody else may have used the name.
        let bench = Bench::new(&[("s3_key_format", "/$TAG-$INDEX")]).await;
        bench.server.then(PUT, Fault::ErrorAfter);
        let mut run = bench.run();
        run.send("t", &numbered(0..3)).await;
        run.close().await;
        each_once(&bench.server, 0..3);
        assert_eq!(bench.server.keys(), ["t-0"]);
        assert_eq!(bench.server.seen("HEAD /t-0"), 1);
    });
}

#[test]
fn somebody_elses_object_is_left_alone() {
    for asks in [true, false] {
        on_a_shard(async move {
            let bench = Bench::new(&[("s3_key_format", "/$TAG-$INDEX")]).await;
            bench.server.put("t-0", b"{\"n\":7}\n");
            if !asks {
                bench.server.refuses_head();
            }
            let mut run = bench.run();
            run.send("t", &numbered(0..3)).await;
            run.close().await;
            let keys = bench.server.keys();
            assert_eq!(keys.len(), 2, "{keys:?}");
            assert!(
                keys[0] == "t-0" && keys[1].starts_with("t-0-object"),
                "{keys:?}"
            );
            assert_eq!(bench.server.objects()["t-0"].body, b"{\"n\":7}\n");
            assert_eq!(bench.server.replaced(), 0);
        });
    }
}

#[test]
fn two_objects_of_one_second_do_not_replace_each_other() {
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG/%S")]).await;
        let mut run = bench.run();
        for number in 0..22 {
            run.send("t", &large(number)).await;
        }
        run.close().await;
        each_once(&bench.server, 0..22);
        let keys = bench.server.keys();
        assert!(keys.len() == 2 && keys[0] == "t/20" && keys[1].starts_with("t/20-object"));
        assert_eq!(
            (bench.server.replaced(), bench.server.open_uploads()),
            (0, 0)
        );
    });
}

#[test]
fn a_store_without_conditions_gets_plain_requests() {
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "1M")]).await;
        bench.server.knows_no_conditions();
        bench.server.then("PUT /fluent", Fault::Good);
        bench.server.then("PUT /fluent", Fault::ErrorAfter);
        let mut run = bench.run();
        run.send("t", &large(0)).await;
        run.send("t", &large(1)).await;
        run.close().await;
        each_once(&bench.server, 0..2);
        assert_eq!(
            bench.server.replaced(),
            0,
            "a repetition puts the same bytes"
        );
        assert_eq!(
            bench.server.seen("PUT /fluent"),
            5,
            "the header is given up after a success without it"
        );
    });
}

#[test]
fn an_upload_in_parts_survives_everything() {
    let faults = [
        ("POST /t?uploads", Fault::Refused(503, "SlowDown")),
        ("POST /t?uploads", Fault::CutAfter),
        ("PUT /t?partNumber", Fault::Good),
        ("PUT /t?partNumber", Fault::CutAfter),
        ("PUT /t?partNumber", Fault::Refused(500, "InternalError")),
        ("POST /t?uploadId", Fault::Refused(400, "InvalidPart")),
        ("POST /t?uploads", Fault::Good),
        ("POST /t?uploadId", Fault::Refused(200, "InternalError")),
        ("POST /t?uploadId", Fault::ErrorAfter),
    ];
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG")]).await;
        for (request, fault) in faults {
            bench.server.then(request, fault);
        }
        let mut run = bench.run();
        for number in 0..11 {
            run.send("t", &large(number)).await;
        }
        run.close().await;
        each_once(&bench.server, 0..11);
        assert_eq!(bench.server.keys(), ["t"]);
        // One was begun without an answer; the bucket's rule for incomplete uploads removes it.
        assert_eq!(bench.server.open_uploads(), 1);
    });
}

#[test]
fn an_expired_upload_is_begun_anew() {
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG")]).await;
        bench
            .server
            .then("POST /t?uploadId", Fault::Refused(404, "NoSuchUpload"));
        let mut run = bench.run();
        for number in 0..11 {
            run.send("t", &large(number)).await;
        }
        run.close().await;
        each_once(&bench.server, 0..11);
        assert_eq!(bench.server.seen("POST /t?uploads"), 2);
    });
}

#[test]
fn objects_of_a_tag_arrive_in_order() {
    on_a_shard(async {
        let bench =
            Bench::new(&[("total_file_size", "1M"), ("s3_key_format", "/$TAG-$INDEX")]).await;
        for _ in 0..3 {
            bench.server.then("PUT /a", Fault::Refused(503, "SlowDown"));
        }
        let mut run = bench.run();
        for number in 0..4 {
            run.send("a", &large(number)).await;
        }
        run.close().await;
        each_once(&bench.server, 0..4);
        let seen: Vec<usize> = (0..4)
            .map(|number| bench.server.seen(&format!("PUT /a-{number}?")))
            .collect();
        assert_eq!(seen, [4, 1, 1, 1], "the later ones waited for the first");
    });
}

#[test]
fn a_part_that_is_refused_is_repeated_while_the_others_go_on() {
    on_a_shard(async {
        let bench = Bench::new(&[("total_file_size", "21M"), ("s3_key_format", "/$TAG")]).await;
        let refused = Fault::Refused(503, "SlowDown");
        for request in [
            "HEAD /t",
            "POST /t?uploads",
            "PUT /t",
            "PUT /t",
            "PUT /t",
            "POST /t",
        ] {
            bench.server.then(request, refused);
        }
        let mut run = bench.run();
        for number in 0..21 {
            run.send("t", &large(number)).await;
        }
        run.until("uploads_total", 1).await;
        each_once(&bench.server, 0..21);
        assert_eq!(run.number("upload_failures_total"), 0, "the upload went on");
        assert_eq!(run.number("upload_requests_repeated_total"), 6);
        assert_eq!(bench.server.seen("POST /t?uploads"), 2);
        assert_eq!(bench.server.seen("PUT /t?partNumber"), 5 + 3);
        run.close().await;
    });
}
