//! Who answers for what when records part ways.

use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use record::{Batch, Ledger};

use super::PLUGIN;
use crate::test_road::{Road, batch, build, json, pass, settle, settle_only, told, try_build};

const RULES: [(&str, &str); 3] = [
    ("rule", "$to ^(move\\d?)$ $1 false"),
    ("rule", "$to ^(copy\\d?)$ $1 true"),
    ("rule", "$to ^bad$ $missing false"),
];

fn records(to: &[&str]) -> Vec<String> {
    let records = to.iter().enumerate();
    records
        .map(|(number, to)| format!("{{\"to\":\"{to}\",\"n\":{number}}}"))
        .collect()
}

#[test]
fn records_part_ways() {
    let ledger = Ledger::new(0);
    let road = Road::default();
    let mut filter = build(&PLUGIN, &RULES);
    let all = records(&["stay", "move1", "copy1", "move2", "move1", "bad"]);
    let rest = pass(
        &mut filter,
        batch("t", &ledger, 0, &all),
        &road,
        Instant::now(),
    );
    let emitted = road.take();
    let list = |numbers: &[usize]| numbers.iter().map(|n| all[*n].clone()).collect::<Vec<_>>();
    assert_eq!(
        told(&emitted),
        [
            ("copy1".to_owned(), list(&[2])),
            ("move1".to_owned(), list(&[1, 4])),
            ("move2".to_owned(), list(&[3])),
        ]
    );
    assert_eq!(json(&rest), list(&[0, 2, 5]), "an empty tag is none");
    let [copy, first, second]: [Batch; 3] = emitted.try_into().expect("three batches");
    settle(rest);
    settle(first);
    assert_eq!(ledger.discharged(), 20, "the copy is not delivered");
    settle(copy);
    assert_eq!(ledger.discharged(), 30);
    drop(second);
    assert_eq!((ledger.discharged(), ledger.refused()), (30, vec![30..40]));
}

#[test]
fn a_whole_batch_moves_as_it_is() {
    let ledger = Ledger::new(0);
    let road = Road::default();
    let mut filter = build(&PLUGIN, &RULES);
    let all = records(&["move", "move"]);
    let whole = batch("t", &ledger, 0, &all).with_awaited(true);
    let id = whole.id();
    let rest = pass(&mut filter, whole, &road, Instant::now());
    assert!(rest.is_empty());
    let emitted = road.take();
    assert_eq!((emitted[0].id(), emitted[0].is_awaited()), (id, true));
    settle(rest);
    assert_eq!(ledger.discharged(), 0);
    emitted.into_iter().for_each(settle);
    assert_eq!(ledger.discharged(), 20);
}

#[test]
fn nothing_goes_round() {
    let road = Road::default();
    let ledger = Ledger::new(0);
    let mut one = build(&PLUGIN, &[("rule", "$to . $to true")]);
    let mut other = build(&PLUGIN, &[("rule", "$to . $to false")]);
    let mut travelling = vec![batch("t", &ledger, 0, &records(&["x"]))];
    let mut arrived = 0;
    while let Some(next) = travelling.pop() {
        let next = pass(&mut one, next, &road, Instant::now());
        let next = pass(&mut other, next, &road, Instant::now());
        arrived += next.len();
        settle(next);
        travelling.extend(road.take());
        assert!(arrived < 1000, "it goes round");
    }
    assert!(arrived > 0);
    assert!(ledger.is_settled(), "each copy was answered for");
}

#[test]
fn tags_that_are_none_are_refused() {
    let ledger = Ledger::new(0);
    let road = Road::default();
    let mut filter = build(&PLUGIN, &[("rule", "$to (?m)^(.*)$ $1 false")]);
    let long = "x".repeat(70_000);
    let all: Vec<String> = ["a\\nb", "a\\u0000", "", &long, "../../etc/passwd"]
        .iter()
        .map(|to| format!("{{\"to\":\"{to}\"}}"))
        .collect();
    let rest = pass(
        &mut filter,
        batch("t", &ledger, 0, &all),
        &road,
        Instant::now(),
    );
    assert_eq!(rest.len(), 4);
    assert_eq!(
        told(&road.take())[0].0,
        "../../etc/passwd",
        "outputs confine it"
    );
}

#[test]
fn mistakes_are_reported_at_start() {
    for (rule, why) in [
        ("$a b c", "expects 4 values, only 3 found"),
        ("$a ( t false", "this group is not closed"),
        ("$a['b t x false", "record accessor"),
    ] {
        let built = try_build(&PLUGIN, &[("rule", rule)], "", 0);
        let error = built.err().map(|error| error.to_string());
        assert!(error.is_some_and(|error| error.contains(why)), "{rule}");
    }
}

proptest! {
    /// Whatever is refused is what was not delivered, and nothing else.
    #[test]
    fn every_record_is_answered_for_where_it_went(
        to in prop::collection::vec(prop::sample::select(vec!["stay", "move1", "move2", "copy1", "copy2", "bad"]), 1..30),
        failing in any::<prop::sample::Index>(),
    ) {
        let ledger = Ledger::new(0);
        let road = Road::default();
        let mut filter = build(&PLUGIN, &RULES);
        let all = records(&to);
        let rest = pass(&mut filter, batch("t", &ledger, 0, &all), &road, Instant::now());
        let mut batches = vec![rest];
        batches.extend(road.take());
        let copies = to.iter().filter(|to| to.starts_with("copy")).count();
        prop_assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), to.len() + copies);
        batches.retain(|batch| !batch.is_empty());
        let failing = failing.index(batches.len());
        let failed = batches.swap_remove(failing);
        let mut lost: Vec<u64> = failed.records().iter().map(|record| record.position.offset).collect();
        batches.into_iter().for_each(settle);
        let only_first = lost.len() > 1;
        if only_first {
            settle_only(failed, 0);
            lost.remove(0);
        } else {
            drop(failed);
        }
        let refused: Vec<u64> = ledger.refused().into_iter().flatten().filter(|position| position % 10 == 0).collect();
        prop_assert_eq!(refused, lost);
    }
}

#[test]
fn memory_is_accounted_for_where_records_go() {
    let budget = record::Budget::new(0);
    let permit = budget.try_take(10).expect("room");
    let ledger: Arc<Ledger> = Ledger::new(0);
    let road = Road::default();
    let mut filter = build(&PLUGIN, &RULES);
    let whole = batch("t", &ledger, 0, &records(&["stay", "move1", "copy1"])).with_permit(permit);
    let rest = pass(&mut filter, whole, &road, Instant::now());
    let mut frozen: Vec<_> = road.take().into_iter().map(Batch::freeze).collect();
    frozen.push(rest.freeze());
    let held: usize = frozen.iter().map(|(batch, _)| batch.footprint()).sum();
    assert_eq!(budget.used(), held);
    frozen
        .into_iter()
        .for_each(|(_, receipt)| receipt.settle_all());
    assert_eq!(budget.used(), 0);
}
