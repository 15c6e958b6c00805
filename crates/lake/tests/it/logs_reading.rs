//! GetLogEvents and FilterLogEvents: order, pages, patterns.

use serde_json::{Value, json};

use crate::client::TestLake;
use crate::logs::{DAY, HOUR, create_stream, lake_with_stream, now, ok, put, refused};

fn texts(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap();
    let message = |event: &Value| event["message"].as_str().unwrap().to_owned();
    events.iter().map(message).collect()
}

async fn get(lake: &TestLake, more: Value) -> Value {
    let mut input = json!({ "logGroupName": "g", "logStreamName": "s" });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    ok(lake, "GetLogEvents", input).await
}

async fn filter(lake: &TestLake, more: Value) -> Value {
    let mut input = json!({ "logGroupName": "g" });
    input
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    ok(lake, "FilterLogEvents", input).await
}

#[tokio::test]
async fn a_stream_is_read_from_either_end() {
    let lake = lake_with_stream().await;
    let time = now() - HOUR;
    // Calls do not have to come in the order of their events.
    put(&lake, "s", &[(time + 4, "e4"), (time + 5, "e5")]).await;
    put(&lake, "s", &[(time, "e0"), (time + 1, "e1")]).await;
    put(&lake, "s", &[(time + 2, "e2"), (time + 2, "e3")]).await;
    let all = ["e0", "e1", "e2", "e3", "e4", "e5"];

    let latest = get(&lake, json!({ "limit": 2 })).await;
    assert_eq!(texts(&latest), ["e4", "e5"]);
    let event = latest["events"][0].as_object().unwrap();
    assert_eq!(
        event.keys().collect::<Vec<_>>(),
        ["timestamp", "message", "ingestionTime"]
    );
    assert_eq!(texts(&get(&lake, json!({})).await), all);

    for limit in 1..8 {
        let mut found: Vec<String> = Vec::new();
        let mut input = json!({ "limit": limit, "startFromHead": true });
        loop {
            let page = get(&lake, input.clone()).await;
            let token = page["nextForwardToken"].clone();
            found.extend(texts(&page));
            // The end is where the same token comes back.
            if token == input["nextToken"] {
                assert!(texts(&page).is_empty());
                break;
            }
            input["nextToken"] = token;
        }
        assert_eq!(found, all, "{limit}");

        let mut found: Vec<String> = Vec::new();
        let mut input = json!({ "limit": limit });
        loop {
            let page = get(&lake, input.clone()).await;
            let token = page["nextBackwardToken"].clone();
            let mut texts = texts(&page);
            texts.extend(found);
            found = texts;
            if token == input["nextToken"] {
                break;
            }
            input["nextToken"] = token;
        }
        assert_eq!(found, all, "{limit}");
    }
}

#[tokio::test]
async fn who_waits_at_the_end_gets_what_comes() {
    let lake = lake_with_stream().await;
    let page = get(&lake, json!({ "startFromHead": true })).await;
    assert_eq!(texts(&page), [""; 0]);
    let time = now();
    put(&lake, "s", &[(time, "first")]).await;
    let page = get(&lake, json!({ "nextToken": page["nextForwardToken"] })).await;
    assert_eq!(texts(&page), ["first"]);
    put(&lake, "s", &[(time, "same time"), (time + 1, "later")]).await;
    let next = get(&lake, json!({ "nextToken": page["nextForwardToken"] })).await;
    assert_eq!(texts(&next), ["same time", "later"]);
    let back = get(&lake, json!({ "nextToken": next["nextBackwardToken"] })).await;
    assert_eq!(texts(&back), ["first"]);
    let forth = get(&lake, json!({ "nextToken": back["nextForwardToken"] })).await;
    assert_eq!(texts(&forth), ["same time", "later"]);
    let lake = lake.restart().await;
    let forth = get(&lake, json!({ "nextToken": back["nextForwardToken"] })).await;
    assert_eq!(texts(&forth), ["same time", "later"]);
}

#[tokio::test]
async fn times_bound_both_operations_each_in_its_way() {
    let lake = lake_with_stream().await;
    let time = now() - HOUR;
    put(&lake, "s", &[(time, "a"), (time + 1, "b"), (time + 2, "c")]).await;
    let range = json!({ "startTime": time + 1, "endTime": time + 2 });
    assert_eq!(texts(&get(&lake, range.clone()).await), ["b"]);
    assert_eq!(texts(&filter(&lake, range).await), ["b", "c"]);
    let range = json!({ "startTime": time + 2, "endTime": time });
    assert_eq!(texts(&get(&lake, range.clone()).await), [""; 0]);
    assert_eq!(texts(&filter(&lake, range).await), [""; 0]);
}

#[tokio::test]
async fn streams_are_searched_together_in_order_of_time() {
    let lake = lake_with_stream().await;
    let time = now() - HOUR;
    for (stream, offset) in [("web/1", 1), ("web/2", 0)] {
        create_stream(&lake, stream).await;
        for step in 0..3 {
            let at = time + step * 2 + offset;
            put(
                &lake,
                stream,
                &[(at, &format!("{stream} at {}", at - time))],
            )
            .await;
        }
    }
    put(&lake, "s", &[(time, "of s")]).await;
    let all = [
        "web/2 at 0",
        "of s",
        "web/1 at 1",
        "web/2 at 2",
        "web/1 at 3",
        "web/2 at 4",
        "web/1 at 5",
    ];
    let whole = filter(&lake, json!({})).await;
    assert_eq!(texts(&whole), all);
    assert_eq!(
        (&whole["searchedLogStreams"], &whole["nextToken"]),
        (&json!([]), &Value::Null)
    );
    let event = whole["events"][2].as_object().unwrap();
    assert_eq!(event["logStreamName"], "web/1");
    assert_eq!(event["eventId"].as_str().unwrap().len(), 56);
    let web: Vec<&str> = all
        .iter()
        .copied()
        .filter(|text| text.starts_with("web"))
        .collect();
    assert_eq!(
        texts(&filter(&lake, json!({ "logStreamNamePrefix": "web/" })).await),
        web
    );
    let named = filter(
        &lake,
        json!({ "logStreamNames": ["web/1", "s"], "interleaved": true }),
    )
    .await;
    assert_eq!(
        texts(&named),
        ["of s", "web/1 at 1", "web/1 at 3", "web/1 at 5"]
    );
    let newest = filter(&lake, json!({ "startFromHead": false, "limit": 2 })).await;
    assert_eq!(texts(&newest), ["web/1 at 5", "web/2 at 4"]);
    for limit in 1..8 {
        let mut found = Vec::new();
        let mut input = json!({ "limit": limit });
        loop {
            let page = filter(&lake, input.clone()).await;
            found.extend(texts(&page));
            match page["nextToken"].as_str() {
                Some(token) => input["nextToken"] = token.into(),
                None => break,
            }
        }
        assert_eq!(found, all, "{limit}");
    }
}

#[tokio::test]
async fn patterns_choose_events() {
    let lake = lake_with_stream().await;
    let time = now();
    let list = [
        (time, "ERROR not found"),
        (time, "INFO fine"),
        (time, r#"{"level":"ERROR","status":503,"user":null}"#),
        (time, r#"{"level":"INFO","status":200}"#),
        (
            time,
            "127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] \"GET / HTTP/1.0\" 404 1534",
        ),
    ];
    put(&lake, "s", &list).await;
    for (pattern, expected) in [
        ("ERROR", &[0, 2][..]),
        ("ERROR -level", &[0]),
        ("?fine ?503", &[1, 2]),
        ("%4[0-9]{2}%", &[4]),
        ("{ $.level = \"ERR*\" && $.status > 500 }", &[2]),
        ("{ $.user IS NULL || $.status = 200 }", &[2, 3]),
        ("[ip, id, user, time, request, status = 4*, size]", &[4]),
        ("", &[0, 1, 2, 3, 4]),
    ] {
        let found = filter(&lake, json!({ "filterPattern": pattern })).await;
        let expected: Vec<&str> = expected
            .iter()
            .map(|index: &usize| list[*index].1)
            .collect();
        assert_eq!(texts(&found), expected, "{pattern}");
        let page = filter(&lake, json!({ "filterPattern": pattern, "limit": 1 })).await;
        assert_eq!(texts(&page), expected[..1], "{pattern}");
        assert_eq!(
            page["nextToken"].is_string(),
            expected.len() > 1,
            "{pattern}"
        );
    }
}

#[tokio::test]
async fn pages_hold_a_megabyte() {
    let lake = lake_with_stream().await;
    let time = now();
    let text = "x".repeat(300_000);
    for index in 0..5 {
        put(&lake, "s", &[(time + index, &format!("{index}{text}"))]).await;
    }
    let starts = |answer: &Value| -> Vec<String> {
        texts(answer)
            .iter()
            .map(|text| text[..1].to_owned())
            .collect()
    };
    let first = filter(&lake, json!({})).await;
    assert_eq!(starts(&first), ["0", "1", "2"]);
    let second = filter(&lake, json!({ "nextToken": first["nextToken"] })).await;
    assert_eq!(
        (starts(&second), &second["nextToken"]),
        (vec!["3".to_owned(), "4".to_owned()], &Value::Null)
    );
    let latest = get(&lake, json!({})).await;
    assert_eq!(starts(&latest), ["2", "3", "4"]);
    let before = get(&lake, json!({ "nextToken": latest["nextBackwardToken"] })).await;
    assert_eq!(starts(&before), ["0", "1"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_question_is_said() {
    let lake = lake_with_stream().await;
    put(&lake, "s", &[(now() - DAY, "x")]).await;
    let none: Vec<String> = Vec::new();
    let many: Vec<String> = (0..101).map(|index| index.to_string()).collect();
    for (operation, more, told) in [
        (
            "GetLogEvents",
            json!({ "logStreamName": "s", "limit": 10_001 }),
            "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
        ),
        (
            "GetLogEvents",
            json!({ "logStreamName": "s", "nextToken": "f/1/s" }),
            "The specified nextToken is invalid.",
        ),
        (
            "GetLogEvents",
            json!({ "logStreamName": "s", "nextToken": "" }),
            "The specified nextToken is invalid.",
        ),
        (
            "GetLogEvents",
            json!({ "logStreamName": "s", "startTime": -1 }),
            "at 'startTime'",
        ),
        ("GetLogEvents", json!({}), "Value null at 'logStreamName'"),
        ("FilterLogEvents", json!({ "limit": 0 }), "at 'limit'"),
        (
            "FilterLogEvents",
            json!({ "nextToken": "abc" }),
            "The specified nextToken is invalid.",
        ),
        (
            "FilterLogEvents",
            json!({ "filterPattern": "{ $.a" }),
            "Invalid filter pattern: ",
        ),
        (
            "FilterLogEvents",
            json!({ "filterPattern": "x".repeat(1025) }),
            "at 'filterPattern'",
        ),
        (
            "FilterLogEvents",
            json!({ "logStreamNames": none }),
            "at 'logStreamNames'",
        ),
        (
            "FilterLogEvents",
            json!({ "logStreamNames": many }),
            "at 'logStreamNames'",
        ),
        (
            "FilterLogEvents",
            json!({ "logStreamNames": ["s"], "logStreamNamePrefix": "s" }),
            "mutually exclusive",
        ),
    ] {
        let mut input = json!({ "logGroupName": "g" });
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let (code, message) = refused(&lake, operation, input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(told), "{message}");
    }
    for input in [
        json!({ "logGroupName": "g", "logStreamNames": ["s", "none"] }),
        json!({ "logGroupName": "none" }),
    ] {
        let (code, _) = refused(&lake, "FilterLogEvents", input).await;
        assert_eq!(code, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn patterns_are_tried_out() {
    let lake = TestLake::start().await;
    let input = json!({ "filterPattern": "[level = ERROR, ..., code]", "logEventMessages": ["INFO 1", "ERROR a 2"] });
    assert_eq!(
        ok(&lake, "TestMetricFilter", input).await,
        json!({ "matches": [{
            "eventNumber": 2,
            "eventMessage": "ERROR a 2",
            "extractedValues": { "$level": "ERROR", "$2": "a", "$code": "2" },
        }] })
    );
    for (input, told) in [
        (
            json!({ "filterPattern": "" }),
            "Value null at 'logEventMessages'",
        ),
        (
            json!({ "logEventMessages": ["x"] }),
            "Value null at 'filterPattern'",
        ),
        (
            json!({ "filterPattern": "", "logEventMessages": vec!["x"; 51] }),
            "less than or equal to 50",
        ),
        (
            json!({ "filterPattern": "[a, a]", "logEventMessages": ["x"] }),
            "Duplicate field 'a'",
        ),
    ] {
        let (code, message) = refused(&lake, "TestMetricFilter", input).await;
        assert_eq!(code, "InvalidParameterException");
        assert!(message.contains(told), "{message}");
    }
}
