//! Inputs that are held back while no output gets on.

use super::*;

impl Rig {
    /// Hands over batches as an input does that takes what it reads from `room`, until it is held back. Returns how many.
    async fn fill(&mut self, room: &Arc<Budget>) -> usize {
        for count in 0..1000 {
            if room.is_closed() {
                return count;
            }
            // What is on its way to a slow disk takes room of the router's memory for a while.
            let permit = tokio::time::timeout(PATIENCE, room.take(0)).await;
            let batch = self.batch(20).with_permit(permit.expect("in time"));
            let source = Source {
                room: Some(room),
                ..Source::NONE
            };
            self.storage.route(batch, &[0, 1], source);
        }
        panic!("it is never held back");
    }
}

#[tokio::test]
async fn an_input_waits_while_no_output_gets_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "dead"], None);
        rig.storage.start(&rig.road);
        let (room, other) = (rig.memory.child(0), rig.memory.child(0));
        let first = rig.fill(&room).await;
        assert!(first > 1 && room.is_closed());
        assert!(!rig.waits_on_disk(0) && !rig.waits_on_disk(1));
        assert!(other.try_take(1).is_some(), "other inputs go on");
        // One gets on: the input may, too, and the other output no longer stops it.
        let mut live = Vec::new();
        for _ in 0..first {
            live.extend(rig.answer(0).await);
        }
        until("the input goes on", || !room.is_closed()).await;
        for _ in 0..20 {
            let batch = rig.batch(20);
            let source = Source {
                room: Some(&room),
                ..Source::NONE
            };
            rig.storage.route(batch, &[0, 1], source);
            live.extend(rig.answer(0).await);
            until("the dead output stops nobody", || !room.is_closed()).await;
        }
        assert!(rig.waits_on_disk(1) && !rig.waits_on_disk(0));
        // And while the only one that is left does not get on either, the input waits again.
        let more = rig.fill(&room).await;
        assert!(more > 1, "{more}");
        assert!(room.is_closed());
        assert!(!rig.waits_on_disk(0));
        let all_records = rig.next;
        let mut late = Vec::new();
        while late.len() < all_records as usize {
            late.extend(rig.answer(1).await);
        }
        assert_eq!(late, all(0..all_records), "all, once, and in order");
        until("the dead output is back", || !room.is_closed()).await;
        assert!(!rig.waits_on_disk(1), "and gets everything directly");
        rig.fill(&room).await;
        while live.len() < all_records as usize {
            live.extend(rig.answer(0).await);
        }
        assert_eq!(live, all(0..all_records));
    };
    LocalSet::new().run_until(run).await;
}

/// Hands over a batch of an input and answers for it at the first output.
async fn route_and_answer(rig: &mut Rig, room: &Arc<Budget>, routes: &[usize]) {
    let batch = rig.batch(20);
    let permit = tokio::time::timeout(PATIENCE, room.take(batch.footprint()));
    let batch = batch.with_permit(permit.await.expect("the live output is stopped"));
    let source = Source {
        room: Some(room),
        ..Source::NONE
    };
    rig.storage.route(batch, routes, source);
    rig.answer(0).await;
}

#[tokio::test]
async fn one_output_may_hold_more_than_its_share_while_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "slow"], None);
        rig.storage.start(&rig.road);
        let room = rig.memory.child(0);
        let slow = rig.storage.way(1);
        let (share, half) = (rig.storage.share_of(&slow), rig.memory.limit() / 2);
        assert!(share < half - (128 << 10));
        while rig.memory.used() <= half - (64 << 10) {
            assert!(!room.is_closed());
            route_and_answer(&mut rig, &room, &[0, 1]).await;
        }
        assert!(slow.held.bytes() > share && !room.is_closed());
        assert!(!rig.waits_on_disk(1));
        let held = rig.next;
        let mut late = Vec::new();
        while late.len() < held as usize {
            late.extend(rig.answer(1).await);
        }
        assert_eq!(late, all(0..held));
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn an_input_waits_for_an_output_that_answers_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "slow"], None);
        rig.storage.start(&rig.road);
        let room = rig.memory.child(0);
        let mut late = Vec::new();
        for _ in 0..20 {
            while !room.is_closed() {
                route_and_answer(&mut rig, &room, &[0, 1]).await;
            }
            // Before anything else runs: no timer ends the wait.
            while rig.storage.is_full(&rig.storage.way(1)) {
                late.extend(rig.answer(1).await);
            }
            until("the input goes on", || !room.is_closed()).await;
            assert!(!rig.waits_on_disk(1));
        }
        while late.len() < rig.next as usize {
            late.extend(rig.answer(1).await);
        }
        assert_eq!(late, all(0..rig.next));
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn outputs_that_die_one_after_the_other_leave_room_for_the_last_one() {
    for limit in [0, MIB] {
        let folder = tempfile::tempdir().expect("a folder");
        let run = async {
            let mut rig = Rig::new(folder.path(), &["live", "dead", "dying"], None);
            rig.storage.start(&rig.road);
            let room = rig.memory.child(limit);
            rig.storage.note_input(&room);
            for _ in 0..200 {
                route_and_answer(&mut rig, &room, &[0, 1, 2]).await;
                rig.answer(2).await;
            }
            assert!(rig.waits_on_disk(1) && !rig.waits_on_disk(2));
            // What the first one does not hold is less than it may hold.
            for _ in 0..200 {
                route_and_answer(&mut rig, &room, &[0, 1, 2]).await;
            }
            assert!(rig.waits_on_disk(1) && rig.waits_on_disk(2) && !rig.waits_on_disk(0));
            let (used, most) = (room.used(), room.tightest());
            assert!(used < most / 8 * 7, "{used} of {most}");
        };
        LocalSet::new().run_until(run).await;
    }
}

#[tokio::test]
async fn an_input_that_does_not_wait_fills_the_disk_and_not_the_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["dead", "too"], None);
        rig.storage.start(&rig.road);
        let room = rig.memory.child(0);
        let source = Source {
            room: Some(&room),
            ..Source::NONE
        };
        for _ in 0..400 {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0, 1], source);
        }
        assert!(rig.waits_on_disk(0) && rig.waits_on_disk(1));
        let way = rig.storage.way(0);
        let held = way.held.bytes();
        assert!(held < 2 * rig.storage.share_of(&way) + (64 << 10), "{held}");
        rig.storage.stop();
        assert!(!room.is_closed(), "at a stop nobody is left waiting");
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_change_of_outputs_lets_inputs_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["dead", "too"], None);
        rig.storage.start(&rig.road);
        let room = rig.memory.child(0);
        rig.fill(&room).await;
        rig.storage.attach(&[]);
        assert!(!room.is_closed());
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn an_output_with_more_on_the_disk_hears_that_it_holds_too_much() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = Rig::new(folder.path(), &["live", "slow"], None);
        rig.storage.start(&rig.road);
        let held = Arc::clone(&rig.storage.way(1).held);
        let wanted_within = |patience| tokio::time::timeout(patience, held.room_is_wanted());
        assert!(wanted_within(Duration::ZERO).await.is_err());
        for _ in 0..100 {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0, 1], Source::NONE);
            rig.answer(0).await;
        }
        assert!(rig.waits_on_disk(1));
        let wanted = wanted_within(PATIENCE).await;
        wanted.expect("it holds all that it may");
        while rig.waits_on_disk(1) {
            rig.answer(1).await;
        }
        assert!(wanted_within(Duration::ZERO).await.is_err());
    };
    LocalSet::new().run_until(run).await;
}
