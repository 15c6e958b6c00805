//! Golden bytes, names and messages.

use plugin::Reason;

use super::super::message::MESSAGE_BYTES_MAX;
use super::*;

/// Streams, each with the messages of its events.
type Sent = Vec<(String, Vec<String>)>;

fn sent(outbox: &Outbox) -> Sent {
    let requests = outbox.requests.iter().map(|request| {
        let json: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let events = json["logEvents"].as_array().expect("events");
        assert_eq!(events.len() as u32, request.parts.len());
        let name = format!(
            "{}|{}",
            text(&json["logGroupName"]),
            text(&json["logStreamName"])
        );
        (
            name,
            events.iter().map(|event| text(&event["message"])).collect(),
        )
    });
    requests.collect()
}

fn messages(more: &[(&str, &str)], lines: &[&str]) -> Vec<String> {
    let outbox = format(&mut *formatting(more), &batch("t", lines));
    sent(&outbox)
        .into_iter()
        .flat_map(|(_, messages)| messages)
        .collect()
}

fn body(more: &[(&str, &str)], batch: &Batch) -> String {
    let outbox = format(&mut *formatting(more), batch);
    assert_eq!(outbox.requests.len(), 1);
    String::from_utf8(outbox.requests[0].body.to_vec()).expect("text")
}

#[test]
fn a_request_reads_as_upstream() {
    let lines = [r#"{"k":"v \"q\" é","n":null}"#, r#"{"log":"line\n"}"#];
    let expected = concat!(
        r#"{"logGroupName":"g","logStreamName":"p.t.x","logEvents":["#,
        r#"{"timestamp":1700000000123,"message":"{\"k\":\"v \\\"q\\\" \\u00e9\",\"n\":null}"},"#,
        r#"{"timestamp":1700000000124,"message":"{\"log\":\"line\\n\"}"}]}"#
    );
    assert_eq!(body(&[], &batch("t.x", &lines)), expected);
}

#[test]
fn characters_stay_where_the_service_section_says_so() {
    let raw = OutputContext {
        escape_unicode: false,
        ..context()
    };
    let mut format_half = formatting_in(&[], &raw);
    let outbox = format(&mut *format_half, &batch("é", &[r#"{"k":"é"}"#]));
    let expected = r#"{"logGroupName":"g","logStreamName":"p.é","logEvents":[{"timestamp":1700000000123,"message":"{\"k\":\"é\"}"}]}"#;
    assert_eq!(*outbox.requests[0].body, *expected.as_bytes());
}

#[test]
fn log_key_sends_one_value() {
    let lines = [
        r#"{"log":"he\"llo\n"}"#,
        r#"{"log":123,"lo":"x"}"#,
        r#"{"log":{"a":1}}"#,
        r#"{"log":""}"#,
        r#"{"log_":"x"}"#,
        r#"{"log":"1"}"#,
    ];
    let outbox = format(&mut *formatting(&[("log_key", "log")]), &batch("t", &lines));
    let expected = ["he\"llo\n", "123", "{\"a\":1}", "1"];
    assert_eq!(
        sent(&outbox),
        [("g|p.t".to_owned(), expected.map(str::to_owned).to_vec())]
    );
    assert_eq!(outbox.filtered, [(DeliveryId(7), 3)]);
    assert_eq!(
        outbox.rejected,
        [(DeliveryId(7), 4, Reason("log_key_missing"))]
    );
}

#[test]
fn what_says_nothing_is_filtered() {
    let outbox = format(&mut *formatting(&[]), &batch("t", &["{}", r#"{"a":1}"#]));
    assert_eq!(outbox.filtered, [(DeliveryId(7), 0)]);
    assert_eq!(outbox.requests[0].parts.ranges(), [(DeliveryId(7), 1..2)]);
}

#[test]
fn a_time_before_1970_is_too_old() {
    let old = batch_at(
        "t",
        &[(-1_700_000_000_124, r#"{"a":1}"#), (0, r#"{"a":1}"#)],
    );
    let outbox = format(&mut *formatting(&[]), &old);
    assert_eq!(
        outbox.rejected,
        [(DeliveryId(7), 0, Reason("log_event_too_old"))]
    );
    assert_eq!(outbox.requests.len(), 1);
}

#[test]
fn templates_choose_group_and_stream() {
    let lines = [
        r#"{"a":1,"k":{"ns":"x","pod":"p*1"}}"#,
        r#"{"a":2,"k":{"ns":"y","pod":"q"}}"#,
        r#"{"a":3,"k":{"ns":"x","pod":"p*1"}}"#,
        r#"{"a":4,"k":{"ns":"z"}}"#,
        r#"{"a":5}"#,
    ];
    let options = [
        ("log_group_template", "/app/$k['ns']"),
        ("log_stream_template", "$TAG[1].$k['pod']"),
        ("log_key", "a"),
    ];
    let outbox = format(&mut *formatting(&options), &batch("one.two", &lines));
    let expected = [
        ("/app/x|two.p.1", vec!["1", "3"]),
        ("/app/y|two.q", vec!["2"]),
        // What lacks a key goes by the fixed names.
        ("/app/z|p.one.two", vec!["4"]),
        ("g|p.one.two", vec!["5"]),
    ];
    let expected = expected.map(|(name, messages)| {
        (
            name.to_owned(),
            messages.into_iter().map(str::to_owned).collect(),
        )
    });
    assert_eq!(sent(&outbox), expected);
    let lanes: Vec<_> = outbox.requests.iter().map(|request| request.lane).collect();
    for (index, lane) in lanes.iter().enumerate() {
        assert!(lane.is_some() && !lanes[..index].contains(lane));
    }
}

#[test]
fn the_go_plugin_fills_in_names_and_trims_texts() {
    let entries = [
        ("region", "us-west-2"),
        ("log_group_name", "/eks/$(k['ns'])"),
        ("log_stream_name", "$(tag[1])-$(k['ns'])"),
        ("log_key", "log"),
    ];
    let output = build::<Cloudwatch>(&entries, &context());
    let mut output = output.unwrap_or_else(|error| panic!("{error}"));
    let lines = [
        r#"{"log":" a \n","k":{"ns":"x:y"}}"#,
        r#"{"log":"b"}"#,
        r#"{"log":" \n","k":{"ns":"x:y"}}"#,
    ];
    let outbox = format(&mut *output.format, &batch("t.u", &lines));
    let expected = [
        ("/eks/x.y|u-x.y".to_owned(), vec!["a".to_owned()]),
        (
            "fluentbit-default|/fluentbit-default".to_owned(),
            vec!["b".to_owned()],
        ),
    ];
    assert_eq!(sent(&outbox), expected);
    assert_eq!(outbox.filtered, [(DeliveryId(7), 2)]);
}

#[test]
fn events_are_sorted_by_time_and_keep_their_order_within_it() {
    let lines = [
        (5, r#"{"a":"0"}"#),
        (3, r#"{"a":"1"}"#),
        (5, r#"{"a":"2"}"#),
        (4, r#"{"a":"3"}"#),
        (3, r#"{"a":"4"}"#),
    ];
    let options = [("log_key", "a")];
    let mut half = formatting(&options);
    let outbox = format(&mut *half, &batch_at("t", &lines));
    let request = &outbox.requests[0];
    let expected = concat!(
        r#"{"logGroupName":"g","logStreamName":"p.t","logEvents":["#,
        r#"{"timestamp":1700000000126,"message":"1"},{"timestamp":1700000000126,"message":"4"},"#,
        r#"{"timestamp":1700000000127,"message":"3"},"#,
        r#"{"timestamp":1700000000128,"message":"0"},{"timestamp":1700000000128,"message":"2"}]}"#
    );
    assert_eq!(*request.body, *expected.as_bytes());
    let records: Vec<u32> = request
        .parts
        .ranges()
        .iter()
        .flat_map(|(_, range)| range.clone())
        .collect();
    assert_eq!(records, [1, 4, 3, 0, 2]);
    // The next request starts from nothing.
    let outbox = format(&mut *half, &batch_at("t", &lines[..1]));
    assert_eq!(outbox.requests[0].parts.len(), 1);
}

#[test]
fn an_event_over_the_limit_ends_with_a_mark_and_is_counted() {
    let context = context();
    let at_limit = format!(r#"{{"log":"{}"}}"#, "x".repeat(MESSAGE_BYTES_MAX));
    let above = format!(r#"{{"log":"{}é"}}"#, "x".repeat(MESSAGE_BYTES_MAX - 15));
    let mut half = formatting_in(&[("log_key", "log")], &context);
    let outbox = format(&mut *half, &batch("t", &[&at_limit]));
    assert_eq!(sent(&outbox)[0].1[0].len(), MESSAGE_BYTES_MAX);
    let truncated = || {
        let all = context.metrics.all();
        let metric = all.iter().find(|metric| metric.name == "truncated_total");
        metric.expect("registered").number.get()
    };
    assert_eq!(truncated(), 0);
    let longer = above.replace('é', &"é".repeat(9));
    let outbox = format(&mut *half, &batch("t", &[&longer]));
    let message = &sent(&outbox)[0].1[0];
    assert!(message.ends_with("xx[Truncated...]"), "{}", message.len());
    assert_eq!(message.len(), MESSAGE_BYTES_MAX - 1, "no half character");
    assert_eq!(truncated(), 1);
}

#[test]
fn entities_are_sent_apart_and_never_mixed() {
    let with = |account: &str| {
        format!(
            r#"{{"a":1,"aws_entity_account_id":"{account}","kubernetes":{{"aws_entity_service_name":"s"}}}}"#
        )
    };
    let lines = [with("1"), with("1"), with("2")];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let outbox = format(
        &mut *formatting(&[("add_entity", "true")]),
        &batch("t", &lines),
    );
    let bodies: Vec<_> = outbox
        .requests
        .iter()
        .map(|request| std::str::from_utf8(&request.body).expect("text"))
        .collect();
    assert_eq!(bodies.len(), 2);
    let expected = concat!(
        r#"{"logGroupName":"g","logStreamName":"p.t","entity":{"keyAttributes":{"Type":"Service","Name":"s","AwsAccountId":"1"},"#,
        r#""attributes":{"PlatformType":"Generic"}},"logEvents":[{"timestamp":1700000000123,"message":"{\"a\":1,\"kubernetes\":{}}"},"#
    );
    assert!(bodies[0].starts_with(expected), "{}", bodies[0]);
    assert!(bodies[1].contains(r#""AwsAccountId":"2""#));
    assert_eq!(outbox.requests[0].lane, outbox.requests[1].lane);
}

#[test]
fn metrics_are_embedded_where_the_options_ask_for_them() {
    let cpu = r#"{"cpu_p":1,"user_p":1,"system_p":0}"#;
    assert_eq!(messages(&[], &[cpu]), [cpu]);
    let embedded = messages(&[("metric_namespace", "ns")], &[cpu, r#"{"a":1}"#]);
    assert!(
        embedded[0].starts_with(r#"{"_aws":{"Timestamp":"#),
        "{}",
        embedded[0]
    );
    assert_eq!(embedded[1], r#"{"a":1}"#);
}
