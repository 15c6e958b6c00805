//! What is taken, as what, and what is answered.

use std::io::Write;

use plugin::Handover;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, build_error, on_shard, parts, post, post_with, soon};
use crate::test_tls::{Authority, pairs};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const UNPROCESSABLE: (u16, &str) = (400, "error: unable to process records\n");

/// What becomes of requests, one after the other: the answers, and the records.
fn exchanged(
    options: &[(&str, &str)],
    tag: Option<&str>,
    requests: &[Vec<u8>],
) -> (Vec<String>, Vec<String>) {
    on_shard(async {
        let rig = Rig::build(options, tag, 0, Handover::default());
        rig.road.deliver(true);
        let mut answers = Vec::new();
        for request in requests {
            answers.push(rig.exchange(request).await);
        }
        let lines = rig.lines();
        rig.end().await;
        (answers, lines)
    })
}

/// The records of requests that all succeed.
fn taken(options: &[(&str, &str)], tag: Option<&str>, requests: &[Vec<u8>]) -> Vec<String> {
    let (answers, lines) = exchanged(options, tag, requests);
    assert!(
        answers.iter().all(|answer| parts(answer) == (201, "")),
        "{answers:?}"
    );
    lines
}

#[test]
fn objects_arrays_and_what_follows_each_other_are_records() {
    let requests = [
        post("/", r#"{"a":1}"#),
        post("/", r#"[{"a":1},{"b":{"c":[1.5]}}]"#),
        post("/", "{\"a\":1}\n{\"b\":2}\n"),
        post("/", r#"{"a":1}[{"b":1}]{"c":"\u00e9\/"}"#),
        post("/", r#"[{"a":1},{"b":2},]"#),
        post("/", "[]"),
        post_with(
            "/",
            "Content-Type: APPLICATION/JSON ; charset=utf-8\r\n",
            r#"{"a":2}"#,
        ),
    ];
    assert_eq!(
        taken(&[], None, &requests),
        [
            r#"dummy.0 {"a":1}"#,
            r#"dummy.0 {"a":1}"#,
            r#"dummy.0 {"b":{"c":[1.5]}}"#,
            r#"dummy.0 {"a":1}"#,
            r#"dummy.0 {"b":2}"#,
            r#"dummy.0 {"a":1}"#,
            r#"dummy.0 {"b":1}"#,
            r#"dummy.0 {"c":"\u00e9/"}"#,
            r#"dummy.0 {"a":1}"#,
            r#"dummy.0 {"b":2}"#,
            r#"dummy.0 {"a":2}"#,
        ]
    );
}

#[test]
fn forms_are_records_of_text() {
    let requests = [
        post_with("/f", FORM, "a=1&b=x%20y+z&c="),
        post_with(
            "/f",
            "Content-Type: application/x-www-form-urlencoded; x=y\r\n",
            "k%20y=1",
        ),
    ];
    assert_eq!(
        taken(&[], None, &requests),
        [r#"f {"a":"1","b":"x y z","c":""}"#, r#"f {"k%20y":"1"}"#]
    );
}

#[test]
fn the_tag_comes_from_a_field_or_the_path_or_the_configuration() {
    let body = r#"[{"k":{"t":"q/é b"}},{"k":{"t":5}},{"k":1},{"k":{"t":""}},{"k":{"t":"q/é b"}}]"#;
    let by_key = taken(
        &[("tag_key", "$k['t']")],
        Some("cfg"),
        &[post("/uri", body)],
    );
    let tags = |lines: &[String]| -> Vec<String> {
        let tag = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
        let mut tags: Vec<String> = lines.iter().map(tag).collect();
        tags.sort();
        tags
    };
    assert_eq!(tags(&by_key), ["q____b", "q____b", "uri", "uri", "uri"]);
    let form = post_with("/uri", FORM, "k=x");
    assert_eq!(
        taken(&[("tag_key", "k")], None, &[form]),
        [r#"x {"k":"x"}"#]
    );
    let paths = [
        "/",
        "/app.log",
        "/a/b-c?x=1",
        "/form%20x/y",
        "//x//y",
        "/%2e%2e/x",
        "/../x",
        "/..",
    ];
    let requests: Vec<_> = paths.iter().map(|path| post(path, "{}")).collect();
    assert_eq!(
        taken(&[], Some("cfg"), &requests),
        [
            "cfg {}",
            "app.log {}",
            "a_b_c {}",
            "form_20x_y {}",
            "_x__y {}",
            "_2e_2e_x {}",
            ".._x {}",
            "__ {}"
        ]
    );
}

#[test]
fn addresses_are_those_that_proxies_name() {
    let options = [("add_remote_addr", "on"), ("remote_addr_key", "ip")];
    let json = |header: &str, body: &str| {
        post_with(
            "/x",
            &format!("Content-Type: application/json\r\n{header}"),
            body,
        )
    };
    let requests = [
        json("", r#"{"a":1}"#),
        json(
            "X-Forwarded-For:  1.2.3.4 , 5.6.7.8\r\n",
            r#"[{"a":1},{"ip":"x"}]"#,
        ),
        json("X-Forwarded-For: ,x\r\n", r#"{"a":2}"#),
        post_with("/x", &format!("{FORM}x-forwarded-for: ::1\r\n"), "a=3"),
    ];
    assert_eq!(
        taken(&options, None, &requests),
        [
            r#"x {"a":1}"#,
            r#"x {"a":1,"ip":"1.2.3.4"}"#,
            r#"x {"ip":"x"}"#,
            r#"x {"a":2}"#,
            r#"x {"a":"3","ip":"::1"}"#,
        ]
    );
}

#[test]
fn compressed_bodies_are_unpacked() {
    let body = br#"{"a":1}"#;
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(body).expect("memory takes everything");
    let cases = [
        ("gzip", crate::forward::gunzip::tests::pack(body)),
        (
            "zstd",
            zstd::encode_all(&body[..], 0).expect("memory takes everything"),
        ),
        (
            "snappy",
            snappy.into_inner().expect("memory takes everything"),
        ),
        ("identity", body.to_vec()),
    ];
    let requests = cases.map(|(name, body)| {
        let headers = format!("Content-Type: application/json\r\nContent-Encoding: {name}\r\n");
        post_with("/c", &headers, body)
    });
    assert_eq!(taken(&[], None, &requests), [r#"c {"a":1}"#; 4]);
}

#[test]
fn what_is_wrong_is_said_and_nothing_of_it_is_kept() {
    let json = "Content-Type: application/json\r\n";
    let large = format!("[{}{{\"a\":]", r#"{"a":1},"#.repeat(50_000));
    let cases: Vec<(Vec<u8>, (u16, &str))> = vec![
        (
            post_with("/", "", "{}"),
            (400, "error: header 'Content-Type' is not set\n"),
        ),
        (
            post_with("/", "Content-Type: text/plain\r\n", "{}"),
            (400, "error: invalid 'Content-Type'\n"),
        ),
        (post("/", ""), (400, "error: no payload found\n")),
        (post("/", "   "), UNPROCESSABLE),
        (post("/", r#"{"a":1} garbage"#), UNPROCESSABLE),
        (post("/", r#"[{"a":1},{"b":]"#), UNPROCESSABLE),
        (post("/", large), UNPROCESSABLE),
        (post("/", r#"{"a":1} 5"#), UNPROCESSABLE),
        (post("/", "5"), UNPROCESSABLE),
        (
            post(
                "/",
                format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
            ),
            UNPROCESSABLE,
        ),
        (
            post(
                "/",
                format!("{}1{}", r#"{"a":"#.repeat(1000), "}".repeat(1000)),
            ),
            UNPROCESSABLE,
        ),
        (post("/", "\u{feff}{}"), UNPROCESSABLE),
        (post_with("/", FORM, "&&"), UNPROCESSABLE),
        (
            post_with("/", &format!("{json}Content-Encoding: gzip\r\n"), "{}"),
            (
                400,
                "error: the body is not what 'Content-Encoding' says, or is damaged\n",
            ),
        ),
        (
            [b"GET", &post("/", "{}")[4..]].concat(),
            (400, "error: invalid HTTP method\n"),
        ),
        (
            [b"PUT", &post("/", "{}")[4..]].concat(),
            (400, "error: invalid HTTP method\n"),
        ),
        (
            [b"GET", &post("/health", "")[4..]].concat(),
            (400, "error: invalid HTTP method\n"),
        ),
    ];
    let (requests, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let (answers, lines) = exchanged(&[], None, &requests);
    let got: Vec<_> = answers.iter().map(|answer| parts(answer)).collect();
    assert_eq!(got, expected);
    assert_eq!(lines, [""; 0]);
}

#[test]
fn elements_that_are_no_objects_are_counted_and_take_nothing_along() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let answer = rig
            .exchange(&post("/", r#"[1,{"a":1},"x",[2],null]"#))
            .await;
        assert_eq!(parts(&answer), (201, ""));
        assert_eq!(rig.lines(), [r#"dummy.0 {"a":1}"#]);
        assert_eq!(rig.counter("dropped_total", Some("not_an_object")), 4);
    });
}

#[test]
fn success_is_answered_as_configured() {
    let headers = [
        ("success_header", "X-A one two"),
        ("success_header", "X-B b"),
    ];
    let (answers, _) = exchanged(
        &[&headers[..], &[("successful_response_code", "204")]].concat(),
        None,
        &[post("/", "{}"), post("/", "5")],
    );
    assert!(
        answers[0].starts_with("HTTP/1.1 204 No Content\r\n"),
        "{answers:?}"
    );
    assert!(
        answers[0].contains("x-a: one two\r\n") && answers[0].contains("x-b: b\r\n"),
        "{answers:?}"
    );
    assert!(!answers[1].contains("x-a:"), "{answers:?}");
    let (answers, _) = exchanged(
        &[("successful_response_code", "202")],
        None,
        &[post("/", "{}")],
    );
    assert_eq!(parts(&answers[0]), (201, ""));
    let health = [b"GET", &post("/health", "")[4..]].concat();
    let on = [("enable_health_endpoint", "on")];
    let (answers, lines) = exchanged(&on, None, &[health, post("/health", "{}")]);
    let (status, body) = parts(&answers[0]);
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((status, body["status"].as_str()), (200, Some("ok")));
    assert_eq!(lines, ["health {}"]);
}

#[test]
fn options_that_would_let_others_in_are_refused() {
    for (pairs, expected) in [
        (
            ("oauth2.validate", "true"),
            "'oauth2.validate' is not supported",
        ),
        (("tls", "on"), "'tls on' needs tls.crt_file"),
        (("tag_key", "$k["), "tag_key: record accessor"),
        (("success_header", "bad(name x"), "success_header bad(name"),
    ] {
        let message = build_error(&[pairs]);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn chunked_bodies_and_requests_behind_each_other_are_taken() {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let mut stream = rig.connect().await;
        let first = "POST /c HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                     4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
        let second = post("/d", "{}");
        stream
            .write_all(&[first.as_bytes(), &second].concat())
            .await
            .expect("sent");
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer))
            .await
            .expect("closed");
        assert_eq!(
            answer.matches("HTTP/1.1 201 Created").count(),
            2,
            "{answer}"
        );
        assert_eq!(rig.lines(), [r#"c {"a":1}"#, "d {}"]);
    });
}

#[test]
fn http2_is_understood_with_and_without_tls() {
    on_shard(async {
        let authority = Authority::new();
        let tls = authority.options();
        let rig = Rig::start(&pairs(&tls));
        rig.road.deliver(true);
        let stream = authority
            .connect(rig.address, None)
            .await
            .expect("encrypted");
        assert_eq!(post_over_http2(stream, 3).await, [201; 3]);
        let plain = Rig::start(&[]);
        plain.road.deliver(true);
        assert_eq!(post_over_http2(plain.connect().await, 2).await, [201; 2]);
        assert_eq!((rig.lines().len(), plain.lines().len()), (3, 2));
        let without = Rig::start(&[("http2", "off")]);
        let mut stream = without.connect().await;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(
            !answer.starts_with(b"\x00\x00"),
            "no HTTP/2 frame: {answer:?}"
        );
    });
}

/// The statuses of so many requests over one connection.
async fn post_over_http2<S>(stream: S, count: usize) -> Vec<u16>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + 'static,
{
    use hyper_util::rt::TokioIo;
    let io = TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake::<_, _, http_body_util::Full<bytes::Bytes>>(
            LocalTasks, io,
        )
        .await
        .expect("HTTP/2");
    let running = tokio::task::spawn_local(connection);
    let mut statuses = Vec::new();
    for _ in 0..count {
        let request = http::Request::post("http://localhost/two")
            .header("content-type", "application/json")
            .body(http_body_util::Full::from("{\"a\":1}"))
            .expect("a request");
        let answer = soon(client.send_request(request)).await.expect("answered");
        statuses.push(answer.status().as_u16());
    }
    drop(client);
    running.abort();
    statuses
}

#[derive(Clone)]
struct LocalTasks;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async {
            future.await;
        });
    }
}
