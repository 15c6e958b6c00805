//! No acknowledged event is lost, and what is to go goes.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::client::{TestLake, send};
use crate::durability::{CHILD, address_of, serve_until_killed};
use crate::logs::{
    DAY, HOUR, create_stream, events, lake_with_stream, messages, now, ok, put, request,
};

/// The one group's folder.
fn group_folder(lake: &TestLake) -> PathBuf {
    let folders: Vec<PathBuf> = std::fs::read_dir(lake.path("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].clone()
}

/// Waits until something has come true.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "{what}");
}

/// Runs twice: as the test, and, started by it, as the process that gets killed.
#[tokio::test]
async fn acknowledged_events_survive_kill_9() {
    if let Some(data) = std::env::var_os(CHILD) {
        return serve_until_killed(data.into()).await;
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut child = child(
        "logs_durability::acknowledged_events_survive_kill_9",
        &folder,
    );
    let address = address_of(&mut child, folder.path().join("address")).await;
    let call = async |operation: &str, input: Value| {
        let request = request(operation, input.to_string()).signed(address, SystemTime::now());
        let answer = send(address, request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    call("CreateLogGroup", json!({ "logGroupName": "g" })).await;
    let time = now();
    let mut expected = Vec::new();
    for index in 0..30 {
        let stream = format!("s{}", index % 3);
        if index < 3 {
            call(
                "CreateLogStream",
                json!({ "logGroupName": "g", "logStreamName": stream }),
            )
            .await;
        }
        let message = format!("event {index}");
        call("PutLogEvents", events(&stream, &[(time, &message)])).await;
        expected.push(message);
    }
    call(
        "PutRetentionPolicy",
        json!({ "logGroupName": "g", "retentionInDays": 7 }),
    )
    .await;
    child.kill().unwrap();
    child.wait().unwrap();

    let lake = TestLake::start_in(folder).await;
    assert_eq!(messages(&lake).await, expected);
    let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"][0]["retentionInDays"], 7);
    put(&lake, "s0", &[(time, "more")]).await;
    expected.push("more".to_owned());
    assert_eq!(messages(&lake).await, expected);
}

/// The same, in the middle of many calls at once.
#[tokio::test]
async fn a_kill_among_many_puts_loses_and_doubles_nothing() {
    if let Some(data) = std::env::var_os(CHILD) {
        return serve_until_killed(data.into()).await;
    }
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut child = child(
        "logs_durability::a_kill_among_many_puts_loses_and_doubles_nothing",
        &folder,
    );
    let address = address_of(&mut child, folder.path().join("address")).await;
    let call = async move |operation: &str, input: Value| {
        let request = request(operation, input.to_string()).signed(address, SystemTime::now());
        send(address, request).await
    };
    let group = json!({ "logGroupName": "g", "logStreamName": "s" });
    for operation in ["CreateLogGroup", "CreateLogStream"] {
        assert_eq!(call(operation, group.clone()).await.status, 200);
    }
    let time = now();
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut puts = Vec::new();
    for sender in 0..6 {
        let acknowledged = Arc::clone(&acknowledged);
        puts.push(tokio::spawn(async move {
            // Ends in a panic when the lake is gone.
            for index in 0.. {
                let message = format!("{sender}-{index}");
                let answer = call("PutLogEvents", events("s", &[(time, &message)])).await;
                assert_eq!(answer.status, 200);
                acknowledged.lock().unwrap().push(message);
            }
        }));
    }
    until("puts are under way", || {
        acknowledged.lock().unwrap().len() >= 60
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    for put in puts {
        assert!(put.await.is_err());
    }
    let lake = TestLake::start_in(folder).await;
    let mut found = messages(&lake).await;
    let all = found.len();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), all, "something is there twice");
    for message in acknowledged.lock().unwrap().iter() {
        assert!(found.binary_search(message).is_ok(), "{message} is lost");
    }
}

/// Starts this test program as the lake that will be killed, by way of the test of that name.
fn child(test: &str, folder: &tempfile::TempDir) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let lake = lake_with_stream().await;
    let time = now();
    put(&lake, "s", &[(time, "one"), (time + 1, "two")]).await;
    create_stream(&lake, "empty").await;
    create_stream(&lake, "gone").await;
    put(&lake, "gone", &[(time, "gone")]).await;
    ok(
        &lake,
        "DeleteLogStream",
        json!({ "logGroupName": "g", "logStreamName": "gone" }),
    )
    .await;
    let described = async |lake: &TestLake| {
        let groups = ok(lake, "DescribeLogGroups", json!({})).await;
        let streams = ok(lake, "DescribeLogStreams", json!({ "logGroupName": "g" })).await;
        let found = ok(lake, "FilterLogEvents", json!({ "logGroupName": "g" })).await;
        (groups, streams, found)
    };
    let before = described(&lake).await;
    assert_eq!(before.2["events"].as_array().unwrap().len(), 2);
    let lake = lake.restart().await;
    assert_eq!(described(&lake).await, before);
    // A number is not used twice: events of a deleted stream do not come back under a new one.
    create_stream(&lake, "gone").await;
    assert_eq!(messages(&lake).await, ["one", "two"]);
    let lake = TestLake::start_in(lake.abandon().await).await;
    assert_eq!(messages(&lake).await, ["one", "two"]);
}

#[tokio::test]
async fn many_connections_share_their_syncs() {
    let lake = Arc::new(lake_with_stream().await);
    let time = now();
    let mut tasks = Vec::new();
    for connection in 0..16 {
        let lake = Arc::clone(&lake);
        tasks.push(tokio::spawn(async move {
            for index in 0..10 {
                put(&lake, "s", &[(time, &format!("{connection}-{index}"))]).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut found = messages(&lake).await;
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 160);
}

#[tokio::test]
async fn a_damaged_segment_costs_its_damage_only() {
    let lake = lake_with_stream().await;
    let time = now();
    for message in ["first", "other", "third"] {
        put(&lake, "s", &[(time, message)]).await;
    }
    let folder = group_folder(&lake);
    let segment = folder.join("000000000001.events");
    let data = lake.abandon().await;
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes
        .windows(5)
        .position(|window| window == b"other")
        .unwrap();
    bytes[at] ^= 1;
    bytes.extend(b"FL\x01\x02");
    std::fs::write(&segment, bytes).unwrap();

    let lake = TestLake::start_in(data).await;
    assert!(lake.logged("4 bytes of an unfinished write were cut off"));
    assert!(lake.logged("damaged bytes are not served and are kept in"));
    assert_eq!(messages(&lake).await, ["first", "third"]);
    let quarantine = std::fs::read_dir(folder.join("quarantine")).unwrap();
    let kept: Vec<Vec<u8>> = quarantine
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].ends_with(b"ther"));
    put(&lake, "s", &[(time, "fourth")]).await;
    let lake = lake.restart().await;
    assert!(!lake.logged("damaged"));
    assert_eq!(messages(&lake).await, ["first", "third", "fourth"]);
}

#[tokio::test]
async fn a_lost_list_of_streams_is_made_of_their_events() {
    let lake = lake_with_stream().await;
    create_stream(&lake, "web/1").await;
    let time = now();
    put(&lake, "s", &[(time, "of s")]).await;
    put(&lake, "web/1", &[(time, "of web")]).await;
    let folder = group_folder(&lake);
    let data = lake.abandon().await;
    std::fs::write(folder.join("streams.log"), b"garbage").unwrap();
    let lake = TestLake::start_in(data).await;
    assert!(lake.logged("the log stream web/1 was taken from its events"));
    assert_eq!(messages(&lake).await, ["of s", "of web"]);
    put(&lake, "web/1", &[(time, "more")]).await;
    let lake = lake.restart().await;
    assert!(!lake.logged("taken from its events"));
    assert_eq!(messages(&lake).await, ["of s", "of web", "more"]);
}

#[tokio::test]
async fn a_group_that_cannot_be_read_does_not_stop_the_lake() {
    let lake = lake_with_stream().await;
    let folder = group_folder(&lake);
    ok(&lake, "CreateLogGroup", json!({ "logGroupName": "whole" })).await;
    let data = lake.abandon().await;
    std::fs::write(folder.join("group.json"), "{").unwrap();
    std::fs::create_dir(data.path().join("logs/.unfinished-x")).unwrap();
    let lake = TestLake::start_in(data).await;
    assert!(lake.logged("Error: the log group in"));
    let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"].as_array().unwrap().len(), 1);
    assert!(!lake.path("logs/.unfinished-x").exists());
    ok(&lake, "CreateLogGroup", json!({ "logGroupName": "g" })).await;
}

#[tokio::test]
async fn of_two_folders_with_one_group_one_is_set_aside() {
    let lake = lake_with_stream().await;
    let folder = group_folder(&lake);
    let data = lake.abandon().await;
    let copy = folder.with_file_name("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(folder.join("group.json"), copy.join("group.json")).unwrap();
    let lake = TestLake::start_in(data).await;
    assert!(lake.logged("there is another group named g"));
    let groups = ok(&lake, "DescribeLogGroups", json!({})).await;
    assert_eq!(groups["logGroups"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn events_that_cannot_be_kept_are_refused() {
    let lake = lake_with_stream().await;
    let folder = group_folder(&lake);
    let aside = folder.with_extension("aside");
    std::fs::rename(&folder, &aside).unwrap();
    let answer = crate::logs::call(&lake, "PutLogEvents", events("s", &[(now(), "x")])).await;
    assert_eq!(
        answer.error(),
        (503, "ServiceUnavailableException".to_owned())
    );
    std::fs::rename(&aside, &folder).unwrap();
    assert_eq!(messages(&lake).await, [""; 0]);
    put(&lake, "s", &[(now(), "x")]).await;
    assert_eq!(messages(&lake).await, ["x"]);
    lake.lake.close().await;
    let answer = crate::logs::call(&lake, "PutLogEvents", events("s", &[(now(), "x")])).await;
    assert_eq!(
        answer.error(),
        (503, "ServiceUnavailableException".to_owned())
    );
}

#[tokio::test]
async fn expired_events_leave_the_disk() {
    let lake = lake_with_stream().await;
    let time = now();
    put(
        &lake,
        "s",
        &[(time - 2 * DAY, "old"), (time - DAY - HOUR, "old")],
    )
    .await;
    let segment = group_folder(&lake).join("000000000001.events");
    assert!(segment.exists());
    ok(
        &lake,
        "PutRetentionPolicy",
        json!({ "logGroupName": "g", "retentionInDays": 1 }),
    )
    .await;
    until("the segment is removed", || !segment.exists()).await;
    let stored = async |lake: &TestLake| {
        ok(lake, "DescribeLogGroups", json!({})).await["logGroups"][0]["storedBytes"].clone()
    };
    // The file goes first, what is known of it right after.
    let forgotten = async {
        while stored(&lake).await != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), forgotten).await;
    assert!(waited.is_ok(), "the segment's bytes are counted still");
    ok(
        &lake,
        "DeleteRetentionPolicy",
        json!({ "logGroupName": "g" }),
    )
    .await;
    assert!(messages(&lake).await.is_empty());
    put(&lake, "s", &[(time, "new")]).await;
    let lake = lake.restart().await;
    assert_eq!(messages(&lake).await, ["new"]);
    assert_eq!(stored(&lake).await, 29);
}
