//! Requests and bodies, changed anywhere: they are taken whole or refused whole, and nothing is kept back.

use std::io::Write;

use plugin::Handover;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, parts, post_with, soon};
use crate::forward::gunzip::tests::pack;

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Runs one input, to which the request that `request` makes of each test input is sent; with `ends`, and no more.
fn fuzz(target: ::fuzz::Target, ends: bool, request: impl Fn(&[u8]) -> Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let options = [
        ("buffer_max_size", "64k"),
        ("tag_key", "tag"),
        ("add_remote_addr", "on"),
    ];
    let rig = local.block_on(&runtime, async {
        Rig::build(&options, None, 32 << 20, Handover::default())
    });
    rig.road.deliver(true);
    target.run(|bytes| {
        let request = request(bytes);
        local.block_on(&runtime, async {
            let answer = match ends {
                true => last_words(&rig, &request).await,
                false => rig.exchange(&request).await,
            };
            let (status, _) = parts(&answer);
            // What does not begin so is HTTP/2.
            if answer.starts_with("HTTP/1.") {
                assert!((100..500).contains(&status), "{answer}");
            }
            let records = rig.road.records();
            assert!(
                records == 0 || status < 300 || !answer.starts_with("HTTP/1."),
                "refused whole: {records} {answer}"
            );
            drop(rig.road.take());
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            assert_eq!(rig.budget.used(), 0, "everything is given back");
        });
    });
    local.block_on(&runtime, async { drop(rig.end().await) });
}

/// Sends `request` and no more: for what it lacks, the server would wait for a minute.
async fn last_words(rig: &Rig, request: &[u8]) -> String {
    let mut stream = rig.connect().await;
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn fuzz_bodies() {
    let target = ::fuzz::Target::new("bodies")
        .seeds([
            r#"j[{"a":1,"tag":"x.y"},{"b":{"c":[1.5,"\u00e9"]}}]"#,
            "j{\"a\":1}\n{\"b\":2}\n",
            "fa=1&b=x%20y+z&c=&tag=t",
        ])
        .words([
            "}{",
            "}\n{",
            "[[",
            "]",
            ",",
            "\"tag\":\"",
            "%2",
            "&",
            "=",
            "\\u00",
            "\\",
        ]);
    fuzz(target, false, |bytes| match bytes.split_first() {
        Some((b'f', body)) => post_with("/", FORM, body),
        Some((_, body)) => post_with("/a/b.c", JSON, body),
        None => post_with("/", JSON, b""),
    });
}

#[test]
fn fuzz_packed_bodies() {
    let text = br#"[{"a":1},{"b":"text that is packed, text that is packed"}]"#;
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(text).expect("memory takes everything");
    let seeds = [
        [b"g".to_vec(), pack(text)].concat(),
        [
            b"z".to_vec(),
            zstd::encode_all(&text[..], 3).expect("memory takes everything"),
        ]
        .concat(),
        [
            b"s".to_vec(),
            snappy.into_inner().expect("memory takes everything"),
        ]
        .concat(),
    ];
    let target = ::fuzz::Target::new("packed_bodies").seeds(seeds).words([
        b"\x1f\x8b\x08".as_slice(),
        b"\x28\xb5\x2f\xfd",
        b"\xff\x06\0\0sNaPpY",
        b"\x50\x2a\x4d\x18\xff\xff\xff\xff",
    ]);
    fuzz(target, false, |bytes| {
        let (packing, body) = match bytes.split_first() {
            Some((b'g', body)) => ("gzip", body),
            Some((b'z', body)) => ("zstd", body),
            Some((_, body)) => ("snappy", body),
            None => ("gzip", &[][..]),
        };
        post_with("/", &format!("{JSON}Content-Encoding: {packing}\r\n"), body)
    });
}

#[test]
fn fuzz_http_requests() {
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n7\r\n{\"a\":1}\r\n0\r\n\r\n";
    let target = ::fuzz::Target::new("http_requests")
        .seeds([
            chunked.as_bytes(),
            &post_with("/a.b", JSON, "{\"a\":1}"),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        ])
        .words([
            "Content-Length: 0\r\n",
            "Expect: 100-continue\r\n",
            "X-Forwarded-For: 1.2.3.4\r\n",
            "\r\n\r\n",
            "GET /health",
        ]);
    fuzz(target, true, <[u8]>::to_vec);
}
