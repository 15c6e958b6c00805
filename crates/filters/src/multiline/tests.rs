//! What is joined over batches, who answers for it, and when it is let go.

use std::time::{Duration, Instant};

use plugin::{FilterCall, RunFilter};
use proptest::prelude::*;
use record::{Batch, Ledger};

use super::PLUGIN;
use crate::test_road::{Road, batch, build, json, pass, settle, told, try_build};

const JAVA: [(&str, &str); 2] = [
    ("multiline.key_content", "log"),
    ("multiline.parser", "java"),
];
const PARTIAL: [(&str, &str); 2] = [
    ("mode", "partial_message"),
    ("multiline.key_content", "log"),
];

fn lines(texts: &[&str]) -> Vec<String> {
    let texts = texts.iter().enumerate();
    texts
        .map(|(number, text)| format!("{{\"log\":\"{text}\",\"n\":{number}}}"))
        .collect()
}

fn expire(filter: &mut Box<dyn RunFilter>, road: &Road, now: Instant, all: bool) {
    filter.expire(&FilterCall { emit: road, now }, all);
}

#[test]
fn a_group_waits_for_the_next_batch() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = build(&PLUGIN, &JAVA);
    let first = lines(&["x", "a.MyError: no", "\\tat a.b"]);
    let rest = pass(&mut filter, batch("t", &ledger, 0, &first), &road, now);
    assert!(rest.is_empty(), "everything is put on the road anew");
    settle(rest);
    let emitted = road.take();
    assert_eq!(
        told(&emitted),
        [("t".to_owned(), vec!["{\"log\":\"x\",\"n\":0}".to_owned()])]
    );
    emitted.into_iter().for_each(settle);
    assert_eq!(ledger.discharged(), 10, "the group is not answered for");

    let other = lines(&["\\tat other"]);
    pass(&mut filter, batch("u", &ledger, 30, &other), &road, now);
    let own = road.take();
    assert_eq!(told(&own)[0].0, "u", "another tag is another stream");
    own.into_iter().for_each(settle);

    let second = lines(&["\\tat c.d", "y"]);
    pass(&mut filter, batch("t", &ledger, 40, &second), &road, now);
    let mut emitted = road.take();
    let own = filter_again(&mut filter, &road, emitted.remove(0), now);
    assert_eq!(
        json(&own),
        [
            "{\"log\":\"a.MyError: no\\n\\tat a.b\\n\\tat c.d\",\"n\":1}",
            "{\"log\":\"y\",\"n\":1}"
        ]
    );
    assert_eq!(
        own.records()[0].time.seconds(),
        10,
        "the time of its first line"
    );
    let (frozen, mut receipt) = own.freeze();
    receipt.settle(&frozen, 1..2);
    assert_eq!(ledger.discharged(), 10);
    receipt.settle(&frozen, 0..1);
    assert_eq!(ledger.discharged(), 60);
}

/// What a filter has emitted passes it untouched.
fn filter_again(
    filter: &mut Box<dyn RunFilter>,
    road: &Road,
    emitted: Batch,
    now: Instant,
) -> Batch {
    let before = emitted.len();
    let after = pass(filter, emitted, road, now);
    assert_eq!((after.len(), road.take().len()), (before, 0));
    after
}

#[test]
fn what_waits_long_enough_is_let_go() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = build(&PLUGIN, &JAVA);
    assert_eq!(filter.deadline(), None);
    pass(
        &mut filter,
        batch("t", &ledger, 0, &lines(&["a.MyError: no"])),
        &road,
        now,
    );
    let later = now + Duration::from_secs(2);
    assert_eq!(filter.deadline(), Some(later));
    expire(&mut filter, &road, later - Duration::from_millis(1), false);
    assert!(road.take().is_empty());
    expire(&mut filter, &road, later, false);
    let emitted = road.take();
    assert_eq!(json(&emitted[0]), ["{\"log\":\"a.MyError: no\",\"n\":0}"]);
    assert_eq!(filter.deadline(), None);
    emitted.into_iter().for_each(settle);
    assert!(ledger.is_settled());

    pass(
        &mut filter,
        batch("t", &ledger, 10, &lines(&["a.MyError: no"])),
        &road,
        now,
    );
    expire(&mut filter, &road, now, true);
    assert_eq!(road.take().len(), 1, "a stop lets everything go");
}

#[test]
fn a_filter_that_ends_refuses_what_waits() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = build(&PLUGIN, &JAVA);
    pass(
        &mut filter,
        batch("t", &ledger, 0, &lines(&["a.MyError: no", "\\tat a.b"])),
        &road,
        now,
    );
    assert!(ledger.refused().is_empty());
    drop(filter);
    assert_eq!(
        (ledger.discharged(), ledger.refused()),
        (0, vec![0..20]),
        "it comes again as a whole"
    );
}

fn part(text: &str, id: &str, last: bool) -> String {
    format!(
        "{{\"a\":1,\"log\":\"{text}\",\"partial_message\":\"true\",\"partial_id\":\"{id}\",\"partial_last\":\"{last}\"}}"
    )
}

#[test]
fn parts_are_joined_over_batches() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = build(&PLUGIN, &PARTIAL);
    let first = [
        part("one ", "x", false),
        "{\"log\":\"whole\"}".to_owned(),
        part("a ", "y", false),
    ];
    let rest = pass(&mut filter, batch("t", &ledger, 0, &first), &road, now);
    assert_eq!(json(&rest), ["{\"log\":\"whole\"}"]);
    settle(rest);
    assert_eq!(
        (ledger.discharged(), ledger.discharged_beyond()),
        (0, vec![10..20])
    );

    let second = [part("two", "x", true), part("other", "x", true)];
    let rest = pass(&mut filter, batch("u", &ledger, 30, &second), &road, now);
    assert_eq!(
        json(&rest),
        ["{\"a\":1,\"log\":\"two\"}", "{\"a\":1,\"log\":\"other\"}"],
        "another tag has other messages"
    );
    settle(rest);
    let third = [part("two", "x", true)];
    let rest = pass(&mut filter, batch("t", &ledger, 50, &third), &road, now);
    assert_eq!(json(&rest), ["{\"a\":1,\"log\":\"one two\"}"]);
    assert_eq!(
        rest.records()[0].time.seconds(),
        0,
        "the time of its first part"
    );
    settle(rest);
    assert_eq!(ledger.discharged(), 20, "one message still waits");

    let deadline = filter.deadline().expect("a message waits");
    expire(&mut filter, &road, deadline, false);
    let emitted = road.take();
    assert_eq!(
        told(&emitted),
        [("t".to_owned(), vec!["{\"a\":1,\"log\":\"a \"}".to_owned()])]
    );
    emitted.into_iter().for_each(settle);
    assert!(ledger.is_settled());
}

#[test]
fn a_message_without_end_takes_no_more_than_the_limit() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = try_build(&PLUGIN, &PARTIAL, "", 10).unwrap_or_else(|error| panic!("{error}"));
    let parts: Vec<String> = (0..5).map(|_| part("1234", "x", false)).collect();
    let rest = pass(&mut filter, batch("t", &ledger, 0, &parts), &road, now);
    let cut = "{\"a\":1,\"log\":\"12341234\"}{\"multiline_truncated\":true}";
    assert_eq!(json(&rest), [cut, cut]);
    settle(rest);
    assert_eq!(ledger.discharged(), 40);
    expire(&mut filter, &road, now, true);
    road.take().into_iter().for_each(settle);
    assert!(ledger.is_settled());
}

#[test]
fn options_that_cannot_work_are_refused() {
    for (options, why) in [
        (&[][..], "names no parser"),
        (&[("multiline.parser", "jav")], "did you mean 'java'"),
        (
            &[("mode", "partial_message")],
            "needs 'multiline.key_content'",
        ),
        (
            &[PARTIAL[0], PARTIAL[1], ("buffer", "off")],
            "needs 'buffer on'",
        ),
        (&[JAVA[1], ("flush_ms", "100")], "too low"),
    ] {
        let built = try_build(&PLUGIN, options, "", 0);
        let error = built
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(why), "{options:?}: {error}");
    }
}

#[test]
fn ever_new_tags_take_no_more_memory() {
    let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
    let mut filter = build(&PLUGIN, &JAVA);
    for number in 0..5000_u64 {
        let tag = format!("t{number}");
        pass(
            &mut filter,
            batch(&tag, &ledger, number * 10, &lines(&["x"])),
            &road,
            now,
        );
        road.take().into_iter().for_each(settle);
    }
    assert!(ledger.is_settled());
}

proptest! {
    /// However records are divided into batches, the same comes of them, and all is answered for.
    #[test]
    fn batches_change_nothing(
        texts in prop::collection::vec(prop::sample::select(vec!["x", "a.MyError: no", "\\tat a.b", "Caused by: y", ""]), 1..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        buffered in any::<bool>(),
    ) {
        let all = lines(&texts);
        let run = |cuts: &[usize]| {
            let (ledger, road, now) = (Ledger::new(0), Road::default(), Instant::now());
            let buffer = if buffered { "on" } else { "off" };
            let mut filter = build(&PLUGIN, &[JAVA[0], JAVA[1], ("buffer", buffer)]);
            let (mut start, mut records) = (0, Vec::new());
            for end in cuts {
                let own = batch("t", &ledger, start as u64 * 10, &all[start..*end]);
                let rest = pass(&mut filter, own, &road, now);
                for batch in std::iter::once(rest).chain(road.take()) {
                    records.extend(json(&batch));
                    settle(batch);
                }
                start = *end;
            }
            expire(&mut filter, &road, now, true);
            for batch in road.take() {
                records.extend(json(&batch));
                settle(batch);
            }
            assert!(ledger.is_settled());
            assert_eq!(ledger.discharged(), all.len() as u64 * 10);
            records
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
        cuts.push(all.len());
        cuts.sort_unstable();
        let whole = run(&[all.len()]);
        let parts = run(&cuts);
        if buffered {
            prop_assert_eq!(whole, parts);
        } else {
            prop_assert!(parts.len() >= whole.len());
        }
    }
}
