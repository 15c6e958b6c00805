//! JSON and msgpack as senders write them, changed anywhere: whatever is read is read again as the same.

use bytes::Bytes;
use record::json::{self, write::Writer};
use record::msgpack::{self, Reader};
use record::{Batch, Tag, Value};

fn batch(bytes: &[u8]) -> Batch {
    Batch::new(Tag::from("t"), Bytes::copy_from_slice(bytes))
}

fn json_value(text: &[u8]) -> Result<(Vec<u8>, usize), json::read::Error> {
    let mut batch = batch(text);
    let span = batch.span(0..text.len());
    let (value, used) = json::read::value(&mut batch, span)?;
    let mut out = Vec::new();
    Writer::default().value(&batch, value, &mut out);
    Ok((out, used))
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(text).is_ok()
}

/// What the other reader does not read because it is nested more deeply than that goes.
fn is_too_deep(text: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde_json::Value>(text);
    read.is_err_and(|error| error.to_string().contains("recursion limit"))
}

/// Fluent Bit writes extension types as `\xNN`, and what is no number as `nan` or `inf`, which is no JSON.
fn is_no_json(text: &[u8]) -> bool {
    let has = |word: &[u8]| text.windows(word.len()).any(|found| found == word);
    has(b"\\x") || has(b"nan") || has(b"inf")
}

#[test]
fn fuzz_json() {
    fuzz::Target::new("json")
        .files("../../tests/samples", &["json-file.log", "partial.json"])
        .lines()
        .seeds([r#"{"a":{"b":[1,-2.5e-3,18446744073709551615,true,null,"\ud83d\ude00\u00e9\\"]}}"#])
        .words([
            "{\"a\":", "[[", "]]", "\\u", "\\ud83d", "\\", "\"", "-0", "1E+", "true", "nul",
        ])
        .run(|text| {
            let skipped = json::read::skip(text);
            match json_value(text) {
                Ok((written, used)) => {
                    assert_eq!(skipped, Ok(used));
                    assert!(used <= text.len());
                    assert!(
                        is_json(&written) || is_too_deep(&written),
                        "what is written is JSON"
                    );
                    // Escapes of U+E000 and above, which stand for bytes that are no text, come back as characters.
                    let (again, end) = json_value(&written).expect("readable");
                    assert_eq!(end, written.len());
                    let (settled, end) = json_value(&again).expect("readable");
                    assert_eq!((&settled, end), (&again, again.len()));
                }
                Err(error) => {
                    assert_eq!(skipped, Err(error));
                    assert!(error.offset <= text.len());
                    let too_deep = error.reason == json::read::Reason::Depth;
                    assert!(too_deep || !is_json(text), "others read it: {error}");
                }
            }
        });
}

/// Reads the events that follow each other in `bytes`; where they end.
fn events(batch: &mut Batch) -> usize {
    let end = batch.source().len();
    let mut at = 0;
    while at < end {
        let span = batch.span(at..end);
        let Ok((record, used)) = msgpack::read::event(batch, span) else {
            break;
        };
        assert!(used > 0);
        batch.push_record(record);
        at += used;
    }
    at
}

fn written(batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    for record in batch.records() {
        msgpack::write::event_v2(batch, record, &mut out);
    }
    out
}

#[test]
fn fuzz_events() {
    let v2 = b"\x92\x92\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01\x80\x83\xa3log\xa1x\xa1k\x93\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcb\x3f\xf0\0\0\0\0\0\0\xa1b\xc4\x02\0\x01";
    fuzz::Target::new("events")
        .files("../../tests/samples", &[".bin"])
        .seeds([
            v2.as_slice(),
            b"\x92\xce\x65\x00\x00\x00\x81\xa1a\xc0",
            b"\x92\x92\xff\x80\x80",
        ])
        .words([
            b"\xdd\xff\xff\xff\xff".as_slice(),
            b"\xdf\x00\x00\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc7\x08\x00",
            b"\x92\x92",
            b"\x81\xa1a",
            b"\x91",
            b"\xca\x7f\xc0\x00\x00",
        ])
        .run(|bytes| {
            let mut first = batch(bytes);
            let end = events(&mut first);
            assert!(end <= bytes.len());
            let once = written(&first);
            let mut second = batch(&once);
            assert_eq!(
                events(&mut second),
                once.len(),
                "what is written is readable"
            );
            assert_eq!(second.len(), first.len());
            // Other times are written as floats of seconds, which are exact to some microseconds.
            let is_exact = |record: &record::Record| u32::try_from(record.time.seconds()).is_ok();
            if first.records().iter().all(is_exact) {
                assert_eq!(written(&second), once);
            }
            // One writer that knows the keys of the records before, and one for each record.
            let mut learned = Writer::default();
            for record in first.records() {
                let (mut out, mut fresh) = (Vec::new(), Vec::new());
                learned.event(&first, record, None, None, &mut out);
                Writer::default().event(&first, record, None, None, &mut fresh);
                assert_eq!(out, fresh);
                assert!(
                    is_json(&out) || is_too_deep(&out) || is_no_json(&out),
                    "{}",
                    out.escape_ascii()
                );
            }
        });
}

#[test]
fn fuzz_msgpack() {
    fuzz::Target::new("msgpack")
        .files("../../tests/samples", &[".bin"])
        .seeds([b"\x95\xd4\x05\x01\xd8\x05aaaaaaaaaaaaaaaa\xc9\0\0\0\x01\x01z\xda\0\x01a\xd3\x80\0\0\0\0\0\0\0"])
        .words([b"\xdc\xff\xff".as_slice(), b"\xc6\xff\xff\xff\xff", b"\xc1", b"\x91", b"\x81\xc0"])
        .run(|bytes| {
            let mut batch = batch(bytes);
            let span = batch.span(0..bytes.len());
            let Ok((value, used)) = msgpack::read::value(&mut batch, span) else {
                return;
            };
            assert_eq!(Reader::new(bytes).skip(used), Ok(&bytes[..used]));
            let mut out = Vec::new();
            msgpack::write::value(&batch, value, &mut out);
            if let Value::Map(_) = value {
                assert!(!out.is_empty());
            }
            let mut json = Vec::new();
            Writer::default().value(&batch, value, &mut json);
            assert!(
                is_json(&json) || is_too_deep(&json) || is_no_json(&json),
                "{}",
                json.escape_ascii()
            );
        });
}
