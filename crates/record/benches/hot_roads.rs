//! What the steps between a log line and a request body cost: nanoseconds per line, the best of many rounds.
//!
//! `cargo bench -p record`, or with the name of one step to repeat only that (for a profiler).

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use record::accessor::Accessor;
use record::{Batch, Field, Fields, Record, Span, Tag, Time, Value, json, msgpack};

/// A Docker json-file line of 300 bytes around an NGINX access line, as the containers of the tests write it.
const DOCKER: &str = concat!(
    r#"{"log":"172.17.0.1 - - [22/Nov/2026:13:05:59 +0000] \"GET /assets/app.9f31c2.js?page=3 HTTP/1.1\" 200 612 "#,
    r#"\"https://shop.example.com/cart\" \"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\" "#,
    r#"\"-\"\n","stream":"stdout","time":"2026-11-22T13:05:59.123456789Z"}"#,
    "\n"
);

const LINES: usize = 256;

/// Does its work for all lines once and tells how long that took, preparations apart.
type Step = fn() -> Duration;

fn main() {
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let steps: [(&str, Step); 6] = [
        ("docker_read", docker_read),
        ("docker_write", docker_write),
        ("nginx_write", nginx_write),
        ("nginx_msgpack_write", nginx_msgpack_write),
        ("nginx_msgpack_read", nginx_msgpack_read),
        ("nginx_accessor", nginx_accessor),
    ];
    for (name, step) in steps {
        match &wanted {
            None => report(name, 200, step),
            Some(wanted) if wanted == name => report(name, 5_000, step),
            Some(_) => {}
        }
    }
}

fn report(name: &str, rounds: usize, step: Step) {
    let best = (0..rounds)
        .map(|_| step())
        .min()
        .expect("at least one round");
    println!(
        "{name:24} {:7.1} ns per line",
        best.as_nanos() as f64 / LINES as f64
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn docker_read() -> Duration {
    let source = Bytes::from(DOCKER.repeat(LINES));
    let mut batch = Batch::new(Tag::from("kube.a"), source);
    timed(|| {
        for line in 0..LINES {
            let span = batch.span(line * DOCKER.len()..(line + 1) * DOCKER.len());
            black_box(json::read::object(&mut batch, span).expect("valid JSON"));
        }
    })
}

/// What the NGINX parser makes of the line above, without the time.
const NGINX: [(&str, &str); 9] = [
    ("remote", "172.17.0.1"),
    ("host", "-"),
    ("user", "-"),
    ("method", "GET"),
    (
        "path",
        "/assets/app.9f31c2.js?page=3&session=5f0c6a1e9b7d4c2f8a3b",
    ),
    ("code", "200"),
    ("size", "612"),
    ("referer", "https://shop.example.com/cart/checkout"),
    (
        "agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0",
    ),
];

fn nginx() -> (Batch, Vec<Fields>) {
    let values: String = NGINX.iter().map(|(_, value)| *value).collect();
    let mut batch = Batch::new(Tag::from("kube.a"), Bytes::from(values.repeat(LINES)));
    let keys: Vec<Span> = NGINX
        .iter()
        .map(|(key, _)| batch.put(key.as_bytes()))
        .collect();
    let mut at = 0;
    let records = (0..LINES)
        .map(|_| {
            let mark = batch.mark();
            for (key, (_, value)) in keys.iter().zip(&NGINX) {
                let span = batch.span(at..at + value.len());
                at += value.len();
                batch.push(Field::new(*key, Value::Str(span)));
            }
            batch.close(mark)
        })
        .collect();
    (batch, records)
}

fn nginx_write() -> Duration {
    let (batch, records) = nginx();
    write_all(&batch, &records)
}

fn nginx_events(out: &mut Vec<u8>) -> Duration {
    let (batch, records) = nginx();
    timed(|| {
        for &body in &records {
            let record = Record {
                time: Time::new(1_700_000_000, 5),
                body,
                ..Record::default()
            };
            msgpack::write::event_v2(&batch, &record, out);
            black_box(&mut *out);
        }
    })
}

fn nginx_msgpack_write() -> Duration {
    nginx_events(&mut Vec::with_capacity(LINES * 512))
}

fn nginx_msgpack_read() -> Duration {
    let mut events = Vec::new();
    nginx_events(&mut events);
    let mut batch = Batch::new(Tag::from("kube.a"), Bytes::from(events));
    timed(|| {
        let mut at = 0;
        while at < batch.source().len() {
            let span = batch.span(at..batch.source().len());
            at += black_box(msgpack::read::event(&mut batch, span).expect("an event")).1;
        }
    })
}

fn nginx_accessor() -> Duration {
    let (batch, records) = nginx();
    let accessor = Accessor::new("$code").expect("well formed");
    timed(|| {
        for fields in records {
            black_box(accessor.value(&batch, black_box(fields)));
        }
    })
}

fn docker_write() -> Duration {
    let mut batch = Batch::new(Tag::from("kube.a"), Bytes::from(DOCKER.repeat(LINES)));
    let records: Vec<Fields> = (0..LINES)
        .map(|line| {
            let span = batch.span(line * DOCKER.len()..(line + 1) * DOCKER.len());
            json::read::object(&mut batch, span).expect("valid JSON").0
        })
        .collect();
    write_all(&batch, &records)
}

fn write_all(batch: &Batch, records: &[Fields]) -> Duration {
    let mut writer = json::write::Writer::default();
    let mut out = Vec::with_capacity(LINES * 512);
    timed(|| {
        for fields in records {
            writer.object(batch, *fields, &mut out);
            black_box(&mut out);
        }
    })
}
