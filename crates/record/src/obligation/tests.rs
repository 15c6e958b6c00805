//! What is owed and answered, position by position.

use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn the_prefix_follows_what_is_contiguous() {
    let ledger = Ledger::new(10);
    let mut read = ledger.open(10..40);
    read.settle(20..30);
    assert_eq!(
        (ledger.discharged(), ledger.discharged_beyond()),
        (10, vec![20..30])
    );
    read.settle(10..20);
    assert_eq!(ledger.discharged(), 30);
    read.settle_all();
    assert_eq!(ledger.discharged(), 40);
    assert!(ledger.is_settled());
}

#[test]
fn every_fork_must_answer() {
    let ledger = Ledger::new(0);
    let one = ledger.open(0..100);
    let mut two = one.fork();
    one.settle_all();
    two.settle(0..60);
    assert_eq!(ledger.discharged(), 60);
    two.settle(60..100);
    assert_eq!(ledger.discharged(), 100);
}

#[test]
fn what_is_dropped_is_refused_and_can_be_opened_again() {
    let notices = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&notices);
    let ledger = Ledger::with_notice(0, move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut read = ledger.open(0..30);
    let held = read.carve(10..20);
    read.settle_all();
    assert_eq!(
        (ledger.discharged(), ledger.refused()),
        (10, vec![]),
        "still held"
    );
    drop(held);
    assert_eq!((ledger.discharged(), ledger.refused()), (10, vec![10..20]));
    ledger.open(10..20).settle_all();
    assert_eq!((ledger.discharged(), ledger.refused()), (30, vec![]));
    assert_eq!(notices.load(Ordering::Relaxed), 3);
}

#[test]
fn one_refusing_fork_refuses_for_all() {
    let ledger = Ledger::new(0);
    let one = ledger.open(0..10);
    let two = one.fork();
    drop(one);
    assert_eq!(ledger.refused(), vec![], "the other fork still holds it");
    two.settle_all();
    assert_eq!(ledger.refused(), vec![0..10]);
}

#[test]
fn what_is_joined_is_answered_for_together() {
    let ledger = Ledger::new(0);
    let mut one = ledger.open(0..10);
    let mut whole = ledger.open(10..40);
    let (third, second) = (whole.carve(20..30), whole.carve(10..20));
    one.join(third).expect("the same source");
    one.join(second).expect("the same source");
    assert_eq!(one.ranges.as_slice(), [0..30]);
    let twice = one.fork();
    let twice = one.join(twice).expect_err("both must answer");
    let elsewhere = one
        .join(Ledger::new(0).open(50..60))
        .expect_err("another source");
    elsewhere.settle_all();
    one.settle_all();
    assert_eq!(ledger.discharged(), 0);
    twice.settle_all();
    assert_eq!(ledger.discharged(), 30);
    whole.settle_all();
    assert!(ledger.is_settled());
}

#[test]
#[should_panic(expected = "owed already")]
fn positions_are_not_handed_over_twice() {
    let ledger = Ledger::new(0);
    let _first = ledger.open(0..10);
    let _second = ledger.open(5..15);
}

#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Fork(usize),
    Carve(usize, u64, u64),
    Settle(usize, u64, u64),
    Drop(usize),
    Join(usize, usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u64..20).prop_map(Step::Open),
        (0usize..8).prop_map(Step::Fork),
        (0usize..8, 0u64..100, 1u64..30).prop_map(|(i, at, len)| Step::Carve(i, at, len)),
        (0usize..8, 0u64..100, 1u64..30).prop_map(|(i, at, len)| Step::Settle(i, at, len)),
        (0usize..8).prop_map(Step::Drop),
        (0usize..8, 0usize..8).prop_map(|(one, other)| Step::Join(one, other)),
        Just(Step::Reopen),
    ]
}

/// The model: for each position how many forks are owed and whether one was refused.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Cell {
    owed: u32,
    refused: bool,
}

fn model_answer(cells: &mut [Cell], obligation: &Obligation, range: Range<u64>, refused: bool) {
    for own in &obligation.ranges {
        for position in own.start.max(range.start)..own.end.min(range.end) {
            let cell = &mut cells[position as usize];
            cell.owed -= 1;
            cell.refused |= refused;
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_counting_every_position(steps in prop::collection::vec(step(), 1..60)) {
        let ledger = Ledger::new(0);
        let mut cells: Vec<Cell> = Vec::new();
        let mut held: Vec<Obligation> = Vec::new();
        let everything = 0..u64::MAX;
        for step in steps {
            match step {
                Step::Open(len) => {
                    let start = cells.len() as u64;
                    cells.extend(std::iter::repeat_n(Cell { owed: 1, refused: false }, len as usize));
                    held.push(ledger.open(start..start + len));
                }
                Step::Fork(i) if i < held.len() => {
                    let fork = held[i].fork();
                    for own in &fork.ranges {
                        own.clone().for_each(|position| cells[position as usize].owed += 1);
                    }
                    held.push(fork);
                }
                Step::Carve(i, at, len) if i < held.len() => {
                    let carved = held[i].carve(at..at + len);
                    held.push(carved);
                }
                Step::Settle(i, at, len) if i < held.len() => {
                    model_answer(&mut cells, &held[i], at..at + len, false);
                    held[i].settle(at..at + len);
                }
                Step::Drop(i) if i < held.len() => {
                    let dropped = held.swap_remove(i);
                    model_answer(&mut cells, &dropped, everything.clone(), true);
                }
                Step::Join(one, other) if one < held.len() && other < held.len() && one != other => {
                    let joined = held.swap_remove(other);
                    // What stood last is now where the other was.
                    let one = if one == held.len() { other } else { one };
                    if let Err(refused) = held[one].join(joined) {
                        held.push(refused);
                    }
                    let ranges = &held[one].ranges;
                    prop_assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
                }
                Step::Reopen => {
                    for range in ledger.refused() {
                        range.clone().for_each(|p| cells[p as usize] = Cell { owed: 1, refused: false });
                        held.push(ledger.open(range));
                    }
                }
                _ => {}
            }
            let prefix = cells.iter().take_while(|cell| **cell == Cell::default()).count() as u64;
            prop_assert_eq!(ledger.discharged(), prefix);
            let refused: Vec<u64> = ledger.refused().into_iter().flatten().collect();
            let expected: Vec<u64> = (0..cells.len() as u64)
                .filter(|&p| cells[p as usize] == Cell { owed: 0, refused: true })
                .collect();
            prop_assert_eq!(refused, expected);
            let beyond: Vec<u64> = ledger.discharged_beyond().into_iter().flatten().collect();
            let expected: Vec<u64> =
                (prefix..cells.len() as u64).filter(|&p| cells[p as usize] == Cell::default()).collect();
            prop_assert_eq!(beyond, expected);
        }
    }
}
