//! A group without the wire: segments that come and go, and reading across them.

use proptest::prelude::*;

use super::*;
use crate::durability::SyncMode;

const END: i64 = 1_000;

struct TestGroup {
    folder: tempfile::TempDir,
    group: Arc<Group>,
    runtime: tokio::runtime::Runtime,
    /// How much one reading reads.
    scan_bytes: u64,
}

impl TestGroup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Definition::new("g".to_owned(), 0)
            .store(folder.path())
            .unwrap();
        let group = Self::open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Self {
            folder,
            group,
            runtime,
            scan_bytes: u64::MAX,
        }
    }

    fn open(folder: &Path) -> Arc<Group> {
        Arc::new(recovery::open(folder, Logger::silent(), Arc::default(), SyncMode::Full).unwrap())
    }

    /// Takes the group up anew, as after a crash.
    fn reopen(&mut self) {
        self.group = Self::open(self.folder.path());
    }

    fn put(&self, stream: &str, list: &[(i64, &str)]) {
        let mut events = Events::default();
        for (timestamp, message) in list {
            events.set_message(message);
            events.push(*timestamp);
        }
        let range = 0..events.len();
        let round = self
            .group
            .append(stream, (&events, range), END, None)
            .unwrap();
        self.runtime.block_on(self.group.commit(&round)).unwrap();
    }

    /// Ends the segment that takes events.
    fn seal(&self) {
        let mut state = self.group.state();
        let open = state.open.take();
        state.closing.extend(open);
        drop(state);
        self.group.sync();
    }

    fn query(&self, query: &Query<'_>) -> (Vec<(i64, String)>, Option<Position>) {
        let page = self.group.read(query, END).unwrap();
        let events = page.events.into_iter();
        let events = events.map(|event| (event.position.timestamp, event.message));
        (events.collect(), page.resume)
    }

    /// All events in a direction, by pages of `limit`.
    fn all(&self, direction: Direction, limit: usize, stream: Option<&str>) -> Vec<(i64, String)> {
        let number = |name| {
            self.group
                .with_streams(|streams| streams.find(name).unwrap().number)
        };
        let mut query = Query {
            streams: stream.map(|name| vec![number(name)]),
            after: Position::before_all_of(0),
            before: Position::behind_all_of(END),
            direction,
            limit,
            scan_bytes: self.scan_bytes,
            filter: None,
        };
        let mut found = Vec::new();
        loop {
            let (events, resume) = self.query(&query);
            found.extend(events);
            match (resume, direction) {
                (None, _) => return found,
                (Some(place), Direction::Forward) => query.after = place,
                (Some(place), Direction::Backward) => query.before = place,
            }
        }
    }

    fn segments(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with('0')).collect();
        names.sort();
        names
    }

    fn segment_bytes(&self) -> u64 {
        let names = self.segments().into_iter();
        names
            .filter(|name| name.ends_with(".events"))
            .map(|name| fs::metadata(self.folder.path().join(name)).unwrap().len())
            .sum()
    }
}

#[test]
fn a_full_segment_gets_an_index_and_another_one_begins() {
    let mut test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    test.put("a", &[(1, "one")]);
    test.seal();
    test.put("a", &[(2, "two")]);
    let names = [
        "000000000001.events",
        "000000000001.index",
        "000000000002.events",
    ];
    assert_eq!(test.segments(), names);
    let expected = [(1, "one".to_owned()), (2, "two".to_owned())];
    assert_eq!(test.all(Direction::Forward, 10, None), expected);
    // Without its index a segment is read from its beginning, and gets one again.
    fs::remove_file(test.folder.path().join(names[1])).unwrap();
    test.reopen();
    assert_eq!(test.segments(), names);
    assert_eq!(test.all(Direction::Forward, 10, None), expected);
}

#[test]
fn the_room_of_deleted_streams_is_given_back() {
    let mut test = TestGroup::new();
    let text = "x".repeat(1000);
    for name in ["a", "b", "c"] {
        test.group.create_stream(name, 0).unwrap();
        for time in 0..3 {
            test.put(name, &[(time, &text)]);
        }
    }
    test.seal();
    let whole = test.segment_bytes();
    test.group.delete_stream("a").unwrap();
    test.group.look_after(END);
    assert_eq!(test.segment_bytes(), whole, "most of it is still needed");
    test.group.delete_stream("b").unwrap();
    test.group.look_after(END);
    assert_eq!(
        test.segments(),
        ["000000000002.events", "000000000002.index"]
    );
    assert_eq!(test.segment_bytes(), whole / 3);
    let left = test.all(Direction::Forward, 2, None);
    assert_eq!(left.len(), 3);
    test.reopen();
    assert_eq!(test.all(Direction::Forward, 2, None), left);
    test.group.delete_stream("c").unwrap();
    test.group.look_after(END);
    assert_eq!(test.segments(), [""; 0]);
    assert_eq!(test.group.billed_bytes(), 0);
}

/// A crash between writing a segment anew and removing the old one.
#[test]
fn a_segment_that_was_written_anew_is_not_there_twice() {
    let mut test = TestGroup::new();
    for name in ["a", "b"] {
        test.group.create_stream(name, 0).unwrap();
        test.put(name, &[(1, name)]);
    }
    test.seal();
    let old: Vec<(PathBuf, Vec<u8>)> = test
        .segments()
        .iter()
        .map(|name| {
            let path = test.folder.path().join(name);
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    test.group.delete_stream("a").unwrap();
    test.group.look_after(END);
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    fs::write(test.folder.path().join("000000000009.rewritten"), "x").unwrap();
    fs::write(test.folder.path().join("000000000009.index"), "x").unwrap();
    test.reopen();
    assert_eq!(
        test.all(Direction::Forward, 10, None),
        [(1, "b".to_owned())]
    );
    assert_eq!(
        test.segments(),
        ["000000000002.events", "000000000002.index"]
    );
}

#[test]
fn segments_expire_one_by_one() {
    let mut test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    let day = 24 * 60 * 60 * 1000;
    for time in [day, 3 * day, 5 * day] {
        let mut events = Events::default();
        events.set_message("x");
        events.push(time);
        let round = test.group.append("a", (&events, 0..1), time, None).unwrap();
        test.runtime.block_on(test.group.commit(&round)).unwrap();
        test.seal();
    }
    test.group
        .redefine::<GroupError>(|definition| {
            definition.retention_days = Some(1);
            Ok(())
        })
        .unwrap();
    for (now, left) in [
        (2 * day, 3),
        (2 * day + 1, 2),
        (4 * day + 1, 1),
        (9 * day, 0),
    ] {
        test.group.look_after(now);
        assert_eq!(test.group.billed_bytes(), left * 27, "{now}");
        test.reopen();
        assert_eq!(test.group.billed_bytes(), left * 27, "{now}");
        let indexes = test
            .segments()
            .iter()
            .filter(|name| name.ends_with(".index"))
            .count();
        assert_eq!(indexes as u64, left);
    }
}

#[test]
fn what_could_not_be_synced_is_taken_back() {
    let mut test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    test.put("a", &[(1, "kept")]);
    let mut events = Events::default();
    events.set_message("lost");
    events.push(2);
    drop(test.group.append("a", (&events, 0..1), END, None).unwrap());
    let kept = [(1, "kept".to_owned())];
    assert_eq!(test.all(Direction::Forward, 10, None).len(), 2);
    test.group.state().roll_back();
    assert_eq!(test.all(Direction::Forward, 10, None), kept);
    assert_eq!(test.group.billed_bytes(), 30);
    // What comes next goes elsewhere.
    test.put("a", &[(3, "next")]);
    let names = [
        "000000000001.events",
        "000000000001.index",
        "000000000002.events",
    ];
    assert_eq!(test.segments(), names);
    let left = [kept[0].clone(), (3, "next".to_owned())];
    assert_eq!(test.all(Direction::Forward, 10, None), left);
    test.reopen();
    assert_eq!(test.all(Direction::Forward, 10, None), left);
}

/// However much of the last write reached the disk: what was whole is there, and the group goes on.
#[test]
fn a_write_may_be_cut_off_anywhere() {
    let mut test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    test.put("a", &[(1, "one")]);
    let path = test.folder.path().join("000000000001.events");
    let whole = fs::metadata(&path).unwrap().len();
    test.put("a", &[(2, "two"), (3, "three")]);
    let bytes = fs::read(&path).unwrap();
    for end in whole as usize..bytes.len() {
        fs::write(&path, &bytes[..end]).unwrap();
        test.reopen();
        assert_eq!(fs::metadata(&path).unwrap().len(), whole, "cut at {end}");
        let found = test.all(Direction::Forward, 10, None);
        assert_eq!(found, [(1, "one".to_owned())], "cut at {end}");
    }
    test.put("a", &[(4, "four")]);
    test.reopen();
    assert_eq!(test.all(Direction::Forward, 10, None).len(), 2);
}

/// What cannot be read is not served, but nothing is written over it.
#[test]
fn a_segment_that_cannot_be_read_keeps_its_place() {
    let mut test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    test.put("a", &[(1, "one")]);
    test.seal();
    // Reading a folder as a file fails.
    let unreadable = test.folder.path().join("000000000002.events");
    fs::create_dir(&unreadable).unwrap();
    test.reopen();
    test.put("a", &[(2, "two")]);
    let expected = [(1, "one".to_owned()), (2, "two".to_owned())];
    assert_eq!(test.all(Direction::Forward, 10, None), expected);
    assert!(unreadable.is_dir());
    assert!(test.folder.path().join("000000000003.events").is_file());
}

#[test]
fn damage_that_is_found_when_room_is_given_back_is_kept() {
    let test = TestGroup::new();
    for name in ["a", "b"] {
        test.group.create_stream(name, 0).unwrap();
        for message in ["one", "two"] {
            test.put(name, &[(1, &format!("{message} of {name}"))]);
        }
    }
    test.seal();
    let path = test.folder.path().join("000000000001.events");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"two of b");
    bytes[at.unwrap()] ^= 1;
    fs::write(path, bytes).unwrap();
    test.group.delete_stream("a").unwrap();
    test.group.look_after(END);
    assert_eq!(
        test.all(Direction::Forward, 10, None),
        [(1, "one of b".to_owned())]
    );
    assert_eq!(test.group.billed_bytes(), 34);
    let mut quarantine = fs::read_dir(test.folder.path().join("quarantine")).unwrap();
    let kept = fs::read(quarantine.next().unwrap().unwrap().path()).unwrap();
    assert!(kept.ends_with(b"wo of b"));
}

/// A damaged frame in a sealed segment is passed over when it is read.
#[test]
fn damage_after_sealing_costs_its_frame() {
    let test = TestGroup::new();
    test.group.create_stream("a", 0).unwrap();
    for message in ["one", "two", "three"] {
        test.put("a", &[(1, message)]);
    }
    test.seal();
    let path = test.folder.path().join("000000000001.events");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(3)
        .position(|window| window == b"two")
        .unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
    let expected = [(1, "one".to_owned()), (1, "three".to_owned())];
    assert_eq!(test.all(Direction::Forward, 10, None), expected);
}

/// What is done to a group in the property test.
#[derive(Debug, Clone)]
enum Step {
    Put(&'static str, Vec<i64>),
    Seal,
    Reopen,
    Delete(&'static str),
    LookAfter,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || proptest::sample::select(vec!["a", "b", "c"]);
    let times = proptest::collection::vec(0..50_i64, 1..6);
    let step = prop_oneof![
        12 => (name(), times).prop_map(|(name, mut times)| { times.sort_unstable(); Step::Put(name, times) }),
        2 => Just(Step::Seal),
        1 => Just(Step::Reopen),
        1 => name().prop_map(Step::Delete),
        1 => Just(Step::LookAfter),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens in between: every event of a stream that is there is read, once, in order.
    #[test]
    fn reading_finds_everything_in_order(steps in steps(), limit in 1..12_usize, scan_bytes in prop_oneof![Just(u64::MAX), 0..2_000_u64]) {
        let mut test = TestGroup::new();
        test.scan_bytes = scan_bytes;
        let mut expected: Vec<(&str, i64, String)> = Vec::new();
        for name in ["a", "b", "c"] {
            test.group.create_stream(name, 0).unwrap();
        }
        let mut count = 0;
        for step in steps {
            match step {
                Step::Put(name, times) => {
                    let list: Vec<(i64, String)> = times.into_iter().map(|time| { count += 1; (time, count.to_string()) }).collect();
                    let texts: Vec<(i64, &str)> = list.iter().map(|(time, text)| (*time, text.as_str())).collect();
                    test.put(name, &texts);
                    expected.extend(list.into_iter().map(|(time, text)| (name, time, text)));
                }
                Step::Seal => test.seal(),
                Step::Reopen => test.reopen(),
                Step::Delete(name) => {
                    test.group.delete_stream(name).unwrap();
                    test.group.create_stream(name, 0).unwrap();
                    expected.retain(|(other, ..)| *other != name);
                }
                Step::LookAfter => test.group.look_after(END),
            }
        }
        // Put calls are counted up, so a stable sort by time is the order.
        expected.sort_by_key(|(_, time, _)| *time);
        for stream in [None, Some("b")] {
            let mut wanted: Vec<(i64, String)> = expected.iter().filter(|(name, ..)| stream.is_none_or(|stream| stream == *name)).map(|(_, time, text)| (*time, text.clone())).collect();
            prop_assert_eq!(&test.all(Direction::Forward, limit, stream), &wanted);
            wanted.reverse();
            prop_assert_eq!(&test.all(Direction::Backward, limit, stream), &wanted);
        }
        let bytes: usize = expected.iter().map(|(_, _, text)| text.len() + 26).sum();
        prop_assert_eq!(test.group.billed_bytes(), bytes as u64);
    }
}
