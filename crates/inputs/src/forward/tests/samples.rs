//! Frames that were recorded from real senders, cut in every way.

use proptest::prelude::*;
use record::{Batch, Fields, Value};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Rig, on_shard, soon};

const SAMPLES: [&str; 5] = [
    "docker-fluentd",
    "docker-fluentd-ack",
    "docker-fluentd-subsecond",
    "docker-fluentd-partial",
    "python-fluent-logger",
];

fn sample(name: &str, ending: &str) -> Vec<u8> {
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs tests");
    let path = std::path::Path::new(&folder)
        .join("../../tests/samples")
        .join(format!("{name}.{ending}"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What msgpack itself reads: tag, nanoseconds and body of every message.
fn expected(name: &str) -> Vec<(String, i64, Json)> {
    let text = String::from_utf8(sample(name, "json")).expect("text");
    text.lines()
        .map(|line| {
            let message: Json = serde_json::from_str(line).expect("JSON");
            let time = match &message[1] {
                Json::Number(seconds) => seconds.as_i64().expect("an integer") * 1_000_000_000,
                extension => {
                    let hex = u64::from_str_radix(extension["hex"].as_str().expect("text"), 16)
                        .expect("hex");
                    (hex >> 32) as i64 * 1_000_000_000 + (hex & 0xffff_ffff) as i64
                }
            };
            (
                message[0].as_str().expect("a tag").to_owned(),
                time,
                message[2].clone(),
            )
        })
        .collect()
}

fn chunks(name: &str) -> Vec<u8> {
    let text = String::from_utf8(sample(name, "json")).expect("text");
    let mut acks = Vec::new();
    for line in text.lines() {
        let message: Json = serde_json::from_str(line).expect("JSON");
        if let Some(chunk) = message[3]["chunk"].as_str() {
            acks.extend_from_slice(b"\x81\xa3ack");
            record::msgpack::write::str(chunk.as_bytes(), &mut acks);
        }
    }
    acks
}

fn text(bytes: &[u8]) -> String {
    bytes
        .utf8_chunks()
        .map(|chunk| {
            let invalid: String = chunk
                .invalid()
                .iter()
                .map(|byte| format!("\\x{byte:02x}"))
                .collect();
            format!("{}{invalid}", chunk.valid())
        })
        .collect()
}

fn map(batch: &Batch, fields: Fields) -> Json {
    let pairs = batch.fields(fields).iter();
    Json::Object(
        pairs
            .map(|field| {
                (
                    text(batch.bytes(field.key.span())),
                    value(batch, field.value),
                )
            })
            .collect(),
    )
}

fn value(batch: &Batch, of: Value) -> Json {
    match of {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Uint(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Str(span) => json!(text(batch.bytes(span))),
        Value::Bin(span) => json!({ "base64": base64(batch.bytes(span)) }),
        Value::Ext(kind, _) => panic!("no sample has an extension {kind} in a record"),
        Value::Array(items) => batch
            .fields(items)
            .iter()
            .map(|item| value(batch, item.value))
            .collect(),
        Value::Map(fields) => map(batch, fields),
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0, |bits, &byte| bits << 8 | u32::from(byte))
            << (8 * (3 - group.len()));
        for index in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * index)) as usize & 63];
            out.push(if index <= group.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out
}

/// Sends `name` in pieces of these lengths, in turn.
fn send(name: &str, pieces: &[usize]) {
    on_shard(async {
        let rig = Rig::start(&[]);
        rig.road.deliver(true);
        let bytes = sample(name, "bin");
        let (mut reader, mut writer) = rig.connect().await.into_split();
        let mut rest = &bytes[..];
        for length in pieces.iter().cycle() {
            let (piece, after) = rest.split_at((*length).min(rest.len()));
            writer.write_all(piece).await.expect("sent");
            rest = after;
            if rest.is_empty() {
                break;
            }
            // Lets the input read.
            tokio::task::yield_now().await;
        }
        drop(writer);
        let mut acks = Vec::new();
        soon(reader.read_to_end(&mut acks)).await.expect("closed");
        assert_eq!(acks, chunks(name), "{name}");
        let mut got = Vec::new();
        for batch in rig.road.batches() {
            for record in batch.records() {
                got.push((
                    batch.tag().to_string(),
                    record.time.nanos(),
                    map(&batch, record.body),
                ));
            }
        }
        // Tags may overtake each other in one read.
        let by_tag = |mut all: Vec<(String, i64, Json)>| {
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        assert_eq!(by_tag(got), by_tag(expected(name)), "{name}");
        assert_eq!(rig.counter("malformed_frames_total", None), 0);
        assert_eq!(rig.counter("cut_off_frames_total", None), 0);
    });
}

#[test]
fn all_at_once() {
    SAMPLES.iter().for_each(|name| send(name, &[usize::MAX]));
}

#[test]
fn byte_by_byte() {
    SAMPLES.iter().for_each(|name| send(name, &[1]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn in_any_pieces(name in prop::sample::select(&SAMPLES[..]), pieces in prop::collection::vec(1usize..700, 1..30)) {
        send(name, &pieces);
    }
}
