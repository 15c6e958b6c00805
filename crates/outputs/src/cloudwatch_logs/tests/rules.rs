//! The rules of `PutLogEvents`, for any events.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::names::SEPARATOR;
use super::super::open_stream::{EVENT_BYTES, EVENTS_MAX, Event, REQUEST_BYTES_MAX, SPAN_MAX};
use super::super::streams::Streams;
use super::super::text::service_length;
use super::*;
use crate::cloudwatch_logs::message::Said;

/// Checks every rule for a request, and returns its records.
fn check(request: &plugin::Request) -> Vec<(DeliveryId, u32)> {
    let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    let events = json["logEvents"].as_array().expect("events");
    assert!((1..=EVENTS_MAX).contains(&events.len()));
    assert_eq!(events.len() as u32, request.parts.len());
    let times: Vec<i64> = events
        .iter()
        .map(|event| event["timestamp"].as_i64().expect("a time"))
        .collect();
    assert!(times.is_sorted());
    assert!(times[times.len() - 1] - times[0] < SPAN_MAX);
    let bytes: usize = events
        .iter()
        .map(|event| event["message"].as_str().expect("text").len() + EVENT_BYTES)
        .sum();
    assert!(bytes <= REQUEST_BYTES_MAX);
    let ranges = request.parts.ranges().iter();
    ranges
        .flat_map(|(id, range)| range.clone().map(|record| (*id, record)))
        .collect()
}

#[test]
fn requests_end_after_ten_thousand_events() {
    let lines = vec![(0, r#"{"a":1}"#); EVENTS_MAX + 1];
    let mut half = formatting(&[]);
    let mut outbox = Outbox::default();
    let batch = batch_at("t", &lines);
    half.format(DeliveryId(0), &batch, 0..batch.len() as u32, &mut outbox);
    assert_eq!(outbox.requests.len(), 1, "the full one goes at once");
    half.seal(&mut outbox);
    let sizes: Vec<_> = outbox
        .requests
        .iter()
        .map(|request| check(request).len())
        .collect();
    assert_eq!(sizes, [EVENTS_MAX, 1]);
}

#[test]
fn requests_end_at_a_mebibyte_as_the_service_counts() {
    // Escapes do not count: a newline is one byte.
    let text = "\\n".repeat(REQUEST_BYTES_MAX / 4 - EVENT_BYTES);
    let line = format!(r#"{{"a":"{text}"}}"#);
    let longer = format!(r#"{{"a":"{text}x"}}"#);
    let options = [("log_key", "a")];
    let lines = [line.as_str(); 5];
    let outbox = format(&mut *formatting(&options), &batch("t", &lines));
    let sizes: Vec<_> = outbox
        .requests
        .iter()
        .map(|request| check(request).len())
        .collect();
    assert_eq!(sizes, [4, 1]);
    let lines = [line.as_str(), &line, &line, &longer];
    let outbox = format(&mut *formatting(&options), &batch("t", &lines));
    let sizes: Vec<_> = outbox
        .requests
        .iter()
        .map(|request| check(request).len())
        .collect();
    assert_eq!(sizes, [3, 1]);
}

#[test]
fn requests_span_less_than_a_day() {
    let line = r#"{"a":1}"#;
    let cases = [
        (vec![0, SPAN_MAX - 1], vec![2]),
        (vec![0, SPAN_MAX], vec![1, 1]),
        (vec![SPAN_MAX, 0, 1], vec![2, 1]),
        (vec![10, SPAN_MAX + 5, 0], vec![2, 1]),
        (vec![3 * SPAN_MAX, 0, 3 * SPAN_MAX + 1, 1], vec![2, 2]),
    ];
    for (times, expected) in cases {
        let lines: Vec<_> = times.iter().map(|time| (*time, line)).collect();
        let outbox = format(&mut *formatting(&[]), &batch_at("t", &lines));
        let sizes: Vec<_> = outbox
            .requests
            .iter()
            .map(|request| check(request).len())
            .collect();
        assert_eq!(sizes, expected, "{times:?}");
    }
}

/// So many streams with an event of so many bytes each, in so many rounds: the most memory that they held.
fn held_by(count: u32, bytes: usize, rounds: i64) -> usize {
    let mut streams = Streams::default();
    let mut outbox = Outbox::default();
    let text = vec![b'x'; bytes];
    let mut record = 0;
    let mut most = 0;
    for round in 0..rounds {
        for number in 0..count {
            let name = format!("g{}s{number}", char::from(SEPARATOR));
            let slot = streams.slot(name.as_bytes(), &mut outbox);
            let event = Event {
                delivery: DeliveryId(0),
                record,
                millis: round,
            };
            let said = Said {
                text: &text,
                bytes,
                entity: b"",
            };
            streams.add(slot, event, &said, &mut outbox);
            most = most.max(streams.held());
            record += 1;
        }
    }
    streams.seal(&mut outbox);
    assert_eq!(streams.held(), 0);
    let mut seen: Vec<u32> = outbox
        .requests
        .iter()
        .flat_map(check)
        .map(|(_, record)| record)
        .collect();
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(0..record));
    most
}

#[test]
fn many_streams_take_bounded_memory() {
    let many = held_by(6000, 10, 2);
    assert!(many < 1 << 20, "{many}");
    let large = held_by(200, 20_000, 4);
    assert!((7 << 20..9 << 20).contains(&large), "{large}");
}

#[test]
fn memory_is_lent_and_given_back() {
    let mut half = formatting(&[]);
    let lines = batch("t", &[r#"{"a":1}"#]);
    let mut outbox = format(&mut *half, &lines);
    let request = outbox.requests.pop().expect("one");
    let memory = request.body.as_ptr();
    half.recycle(request);
    let outbox = format(&mut *half, &lines);
    assert_eq!(outbox.requests[0].body.as_ptr(), memory);
    half.trim();
    assert_eq!(format(&mut *half, &lines).requests.len(), 1);
}

/// Stream, time, length of the text, and whether it holds bytes that are no UTF-8.
fn event() -> impl Strategy<Value = (u8, i64, usize, bool)> {
    let time = prop_oneof![
        4 => 0i64..1000,
        1 => 0..3 * SPAN_MAX,
    ];
    let length = prop_oneof![
        30 => 1usize..200,
        1 => 300_000usize..1_100_000,
    ];
    (0u8..5, time, length, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_record_stands_in_one_request_that_keeps_the_rules(
        events in prop::collection::vec(event(), 1..60),
        seals in prop::collection::vec(any::<bool>(), 60),
        whole in any::<bool>(),
    ) {
        let stream = ("log_stream_template", "$s");
        let mut half = match whole {
            true => formatting(&[stream]),
            false => formatting(&[("log_key", "a"), stream]),
        };
        let mut outbox = Outbox::default();
        let mut expected = HashMap::new();
        for (number, ((stream, time, length, broken), seal)) in events.iter().zip(&seals).enumerate() {
            let character = match (whole, broken) {
                (true, _) => &b"ee"[..],
                (false, true) => b"\xff",
                (false, false) => "é".as_bytes(),
            };
            let text = character.repeat(*length / 2 + 1);
            let mut source = format!(r#"{{"s":"s{stream}","a":""#).into_bytes();
            source.extend_from_slice(&text);
            source.extend_from_slice(b"\"}");
            let mut batch = Batch::new(Tag::from("t"), source.into());
            let all = batch.span(0..batch.source().len());
            let (body, _) = json::read::object(&mut batch, all).expect("JSON");
            batch.push_record(Record { time: Time::from_nanos(time * 1_000_000), body, ..Record::default() });
            let id = DeliveryId(number as u32);
            half.format(id, &batch, 0..1, &mut outbox);
            if *seal {
                half.seal(&mut outbox);
            }
            let around = if whole { r#"{"s":"s0","a":""}"#.len() } else { 0 };
            let length = around + service_length(&text);
            expected.insert((id, 0), (format!("s{stream}"), *time, length));
        }
        half.seal(&mut outbox);
        prop_assert!(outbox.filtered.is_empty() && outbox.rejected.is_empty());
        for request in &outbox.requests {
            let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            for (record, event) in check(request).into_iter().zip(json["logEvents"].as_array().expect("events")) {
                let (stream, time, length) = expected.remove(&record).expect("once");
                prop_assert_eq!(json["logStreamName"].as_str(), Some(stream.as_str()));
                prop_assert_eq!(event["timestamp"].as_i64(), Some(time));
                let message = event["message"].as_str().expect("text");
                prop_assert!(message.len() == length || (length > 1_000_000 && message.ends_with("[Truncated...]")));
            }
        }
        prop_assert!(expected.is_empty());
    }
}
