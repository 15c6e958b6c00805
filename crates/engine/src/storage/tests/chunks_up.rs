//! What of the log is in memory besides, and inputs that wait at that limit.

use super::super::chunks_up::bytes_of_chunks;
use super::*;

/// What each of two outputs may hold.
const SHARE: usize = 300 << 10;
/// No batch of twenty records is larger.
const BATCH: usize = 64 << 10;

fn rig(folder: &Path) -> Rig {
    let settings = StorageSettings {
        chunks_up_bytes: 2 * SHARE,
        ..settings(folder)
    };
    let rig = Rig::with(settings, &["live", "dead"], None);
    rig.storage.start(&rig.road);
    rig
}

/// An input that waits at the limit.
struct Waiting {
    counters: InputCounters,
    room: Arc<Budget>,
}

impl Waiting {
    fn new(rig: &Rig) -> Waiting {
        Waiting {
            counters: InputCounters::new("waiting.0".into(), Metrics::default()),
            room: rig.memory.child(0),
        }
    }

    fn source(&self) -> Source<'_> {
        Source {
            is_stored: true,
            pauses: Some(&self.counters),
            room: Some(&self.room),
        }
    }

    fn waits(&self) -> bool {
        assert_eq!(
            self.room.is_closed(),
            self.counters.waits_for_storage.get() > 0
        );
        self.room.is_closed()
    }
}

#[test]
fn chunks_have_upstreams_size_and_numbers_that_are_none_mean_what_they_mean_there() {
    let chunk = bytes_of_chunks(1);
    assert_eq!(chunk, 2_048_000);
    for (count, chunks) in [(128, 128), (0, 128), (-1, 64), (3, 3)] {
        assert_eq!(bytes_of_chunks(count), chunks * chunk);
    }
    assert_eq!(bytes_of_chunks(i64::MAX), usize::MAX);
}

#[tokio::test]
async fn beyond_the_limit_records_are_only_in_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = rig(folder.path());
        let dead = rig.storage.way(1);
        let mut live = Vec::new();
        for _ in 0..40 {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0, 1], STORED);
            live.extend(rig.answer(0).await);
            assert!(dead.up.bytes() <= SHARE + BATCH, "{}", dead.up.bytes());
        }
        assert_eq!(live, all(0..800), "the dead output stops no live one");
        let full = rig.storage.share_of(&dead);
        assert!(full > SHARE + BATCH, "the memory would have taken more");
        assert!(rig.waits_on_disk(1) && !rig.waits_on_disk(0));
        let mut late = Vec::new();
        while late.len() < 800 {
            late.extend(rig.answer(1).await);
            assert!(dead.up.bytes() <= SHARE + (256 << 10) + BATCH);
        }
        assert_eq!(late, all(0..800), "all, once, and in order");
        until("it has caught up", || !rig.waits_on_disk(1)).await;
        assert_eq!(dead.up.bytes(), 0);
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn records_of_inputs_in_memory_do_not_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = rig(folder.path());
        let way = rig.storage.way(0);
        while way.held.bytes() < SHARE + BATCH {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0], Source::NONE);
        }
        assert_eq!(way.up.bytes(), 0);
        let batch = rig.batch(20);
        rig.storage.route(batch, &[0], STORED);
        assert!(!rig.waits_on_disk(0));
        assert!(way.up.bytes() > 0);
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn an_input_that_is_to_wait_waits_until_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = rig(folder.path());
        let (input, other) = (Waiting::new(&rig), rig.memory.child(0));
        let mut live = Vec::new();
        while !input.waits() {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0, 1], input.source());
            live.extend(rig.answer(0).await);
        }
        let first = rig.next;
        assert!(!rig.waits_on_disk(1), "nothing is in the log alone");
        assert!(other.try_take(1).is_some(), "other inputs go on");
        // One answer is not enough: it would wait again after each batch.
        let mut late = rig.answer(1).await;
        assert!(input.waits());
        while late.len() < first as usize {
            late.extend(rig.answer(1).await);
        }
        until("the input goes on", || !input.waits()).await;
        for _ in 0..20 {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[0, 1], input.source());
            live.extend(rig.answer(0).await);
            late.extend(rig.answer(1).await);
            assert!(!input.waits());
        }
        assert_eq!((live, late), (all(0..rig.next), all(0..rig.next)));
        rig.storage.stop();
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn an_input_that_is_to_wait_waits_for_what_is_read_from_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = rig(folder.path());
        while !rig.waits_on_disk(1) {
            let batch = rig.batch(20);
            rig.storage.route(batch, &[1], STORED);
        }
        let input = Waiting::new(&rig);
        let batch = rig.batch(20);
        rig.storage.route(batch, &[0], input.source());
        assert!(!input.waits(), "its records are for another output");
        let batch = rig.batch(20);
        rig.storage.route(batch, &[1], input.source());
        assert!(input.waits());
        let mut late = Vec::new();
        while late.len() < rig.next as usize - 20 {
            assert!(input.waits() || !rig.waits_on_disk(1));
            late.extend(rig.answer(1).await);
        }
        until("the input goes on", || !input.waits()).await;
    };
    LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn nobody_is_left_waiting_at_a_stop_or_when_outputs_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async {
        let mut rig = rig(folder.path());
        let input = Waiting::new(&rig);
        let fill = |rig: &mut Rig| {
            while !input.waits() {
                let batch = rig.batch(20);
                rig.storage.route(batch, &[1], input.source());
            }
        };
        fill(&mut rig);
        // It waits for two things, of which one is over.
        rig.storage.hold_back(&input.room);
        rig.storage.let_held_back_on();
        assert!(input.waits());
        rig.storage.hold_back(&input.room);
        rig.storage.resume_all();
        assert!(input.room.is_closed());
        rig.storage.let_inputs_on();
        assert!(!input.waits());
        fill(&mut rig);
        rig.storage.stop();
        assert!(!input.waits());
        let batch = rig.batch(20);
        rig.storage.route(batch, &[1], input.source());
        assert!(!input.waits(), "nobody would look after it any more");
    };
    LocalSet::new().run_until(run).await;
}
