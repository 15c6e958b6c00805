//! What closed segments say of themselves: it is believed only where it is true, and a start finds the same by it as by
//! reading everything.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::super::segment::{Opened, Segment};
use super::*;
use crate::fs::Fs as _;

const FIRST: &str = "0000000000000000.wal";

fn path(name: &str) -> PathBuf {
    Path::new("/log").join(name)
}

fn by_summary(fs: &Memory, name: &str) -> Option<Segment> {
    Segment::open_closed(fs, &path(name)).expect("readable")
}

fn by_reading(fs: &Memory, name: &str) -> Opened {
    let opened = Segment::open_whole(fs, &path(name), &mut Vec::new());
    opened.expect("readable").expect("a header")
}

fn wals(fs: &Memory) -> Vec<String> {
    let mut names = fs.names();
    names.retain(|name| name.ends_with(".wal"));
    names
}

/// The same files without their summaries, as programs left them that knew none.
fn without_summaries(fs: &Memory) -> Memory {
    let copy = copy_of(fs);
    for name in wals(fs) {
        let mut content = fs.content(&name);
        if by_summary(fs, &name).is_some() {
            content.truncate(before_summary(&content));
            copy.put(&name, &content);
        }
    }
    copy
}

fn copy_of(fs: &Memory) -> Memory {
    let copy = Memory::default();
    for name in fs.names() {
        copy.put(&name, &fs.content(&name));
    }
    copy
}

/// Where the summary starts in a file that has one.
fn before_summary(content: &[u8]) -> usize {
    let len = content.last_chunk().map(|len| u32::from_le_bytes(*len));
    content.len() - len.expect("a summary") as usize
}

/// Four frames in one segment, which was closed; and where each of them lies.
fn closed() -> (Memory, Vec<Range<usize>>) {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    let (mut frames, mut at) = (Vec::new(), format::HEADER);
    for n in 0..4_u8 {
        let routes: &[&str] = if n == 2 { &["b"] } else { &["a", "b"] };
        let mut next = Frame::clone(&frame(u64::from(n) * 2, 2, routes, &[b'x'; 20]));
        next.chunks = vec![[n; 16]];
        log.append(&Arc::new(next)).unwrap();
        log.sync().unwrap();
        let end = fs.content(FIRST).len();
        frames.push(at..end);
        at = end;
    }
    log.close().unwrap();
    (fs, frames)
}

fn firsts(log: &Log, route: &str) -> Vec<u64> {
    let found = bodies(log, route, 0);
    found.iter().map(|(first, _)| *first).collect()
}

/// Everything that a log hands out, and all gaps that it tells of on the way.
fn everything(log: &Log, route: &str) -> (Vec<(u64, Vec<u8>)>, Vec<Gap>) {
    let (mut found, mut gaps, mut at) = (Vec::new(), Vec::new(), 0);
    while at < log.next() {
        let read = log.read(route, at..u64::MAX, 1).expect("readable");
        found.extend(
            read.frames
                .into_iter()
                .map(|stored| (stored.frame.first, stored.frame.body)),
        );
        gaps.extend(read.gaps);
        assert!(read.next > at, "reading goes on");
        at = read.next;
    }
    (found, gaps)
}

#[test]
fn a_start_reads_no_more_than_the_ends_of_closed_files() {
    let fs = Memory::default();
    let big = Settings {
        segment_bytes: 200_000,
        ..settings()
    };
    let (mut log, _) = Log::open(Arc::new(fs.clone()), big.clone()).unwrap();
    for n in 0..50 {
        log.append(&frame(n, 1, &["a"], &[b'x'; 20_000])).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let files = wals(&fs);
    let last = fs.content(files.last().unwrap()).len();
    assert!(files.len() == 5 && last > 80_000, "{files:?}, {last}");
    let before = fs.bytes_read();
    let (log, recovered) = Log::open(Arc::new(fs.clone()), big).unwrap();
    let read = fs.bytes_read() - before;
    assert!((last..last + 50_000).contains(&read), "{read} of {last}");
    assert_eq!(recovered.waiting["a"].records, 50);
    assert_eq!(everything(&log, "a").0.len(), 50);
}

#[test]
fn the_summary_of_version_1_is_read() {
    let mut bytes = include_bytes!("../golden/v1.wal").to_vec();
    let fs = Memory::default();
    fs.put(FIRST, &bytes);
    let read = by_reading(&fs, FIRST).segment;
    bytes.extend(read.seal().1);
    let golden = include_bytes!("../golden/v1-closed.wal");
    assert_eq!(bytes, golden, "a change is a new version of the summary");
    fs.put(FIRST, golden);
    assert_same(&fs, FIRST);
    let (log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty() && log.next() == 46);
    let waiting = &recovered.waiting;
    let both = (waiting["firehose.0"].records, waiting["s3"].records);
    assert_eq!(both, (2, 3));
    assert_eq!(firsts(&log, "s3"), [40, 45]);
    assert_eq!(log.chunks().state(b"a chunk's number"), ChunkState::Kept);
}

/// Panics unless a file's summary says what reading the file finds, and that is no damage but what an earlier start has
/// found: it may have written the file anew.
fn assert_same(fs: &Memory, name: &str) {
    let summed = by_summary(fs, name).expect("a summary");
    let read = by_reading(fs, name);
    for damage in read.damages {
        let beside = path(name).with_extension(format!("{:x}.damaged", damage.bytes.start));
        assert!(fs.open(&beside).is_ok(), "{name}: {damage:?}");
    }
    let read = read.segment;
    assert_eq!(summed.header, read.header);
    assert_eq!((summed.len, summed.end), (read.len, read.end));
    assert_eq!(summed.routes, read.routes);
    assert_eq!(summed.chunks, read.chunks);
    assert!(summed.is_sealed && read.is_sealed);
    assert!(!summed.is_unsynced() && !read.is_unsynced());
    for number in read.header.first..read.end + 2 {
        assert_eq!(summed.place_before(number), read.place_before(number));
    }
}

#[test]
fn a_summary_may_be_long() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    let mut with_chunks = Frame::clone(&frame(0, 1, &["a"], b"first"));
    with_chunks.chunks = (0..2_000_u32)
        .map(|n| std::array::from_fn(|at| n.to_le_bytes()[at % 4]))
        .collect();
    log.append(&Arc::new(with_chunks)).unwrap();
    log.close().unwrap();
    let content = fs.content(FIRST);
    assert!(content.len() - before_summary(&content) > 32_000);
    assert_same(&fs, FIRST);
}

#[test]
fn a_seal_without_a_summary_is_one() {
    let (fs, _) = closed();
    let mut content = fs.content(FIRST);
    content.truncate(before_summary(&content));
    let uuid: [u8; 16] = content[16..32].try_into().expect("a header");
    format::Head::seal(8, 0).write(&uuid, &[], &mut content);
    fs.put(FIRST, &content);
    assert!(by_summary(&fs, FIRST).is_none());
    assert!(by_reading(&fs, FIRST).segment.is_sealed);
    let (log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty());
    assert_eq!(fs.content(FIRST), content, "it is not written anew");
    assert_eq!(firsts(&log, "a"), [0, 2, 6]);
}

#[test]
fn a_cut_or_blank_summary_costs_nothing() {
    let (whole, frames) = closed();
    let content = whole.content(FIRST);
    let end = frames[3].end;
    for cut in end..content.len() {
        for is_blank in [false, true] {
            let fs = Memory::default();
            let mut bytes = content[..cut].to_vec();
            // Room that never came to the disk looks like this, from behind the frame's header on.
            let is_whole = cut == end || cut >= end + format::FRAME_HEADER;
            if is_blank && is_whole {
                bytes.resize(content.len(), 0);
            }
            if bytes == content {
                continue;
            }
            fs.put(FIRST, &bytes);
            assert!(by_summary(&fs, FIRST).is_none(), "{cut}");
            let (log, recovered) = open(&fs);
            assert_eq!(recovered.gaps, [], "{cut}");
            assert_eq!(firsts(&log, "b"), [0, 2, 4, 6], "{cut}");
            assert_eq!(log.chunks().state(&[3; 16]), ChunkState::Kept);
        }
    }
}

/// Wherever a bit is flipped, what is delivered is the same as if there were no summary, and so is what is put beside and
/// told, although it is found later.
#[test]
fn damage_has_the_same_outcome_as_when_everything_is_read() {
    let (whole, frames) = closed();
    let content = whole.content(FIRST);
    for at in format::HEADER..frames[3].end {
        let mut damaged = content.clone();
        damaged[at] ^= 4;
        let fs = Memory::default();
        fs.put(FIRST, &damaged);
        assert!(by_summary(&fs, FIRST).is_some());
        let hit = frames.iter().position(|frame| at < frame.end).unwrap();
        let (log, recovered) = open(&fs);
        assert_eq!(recovered.gaps, []);
        let (found, gaps) = everything(&log, "b");
        let expected: Vec<u64> = (0..4).filter(|n| *n != hit).map(|n| n as u64 * 2).collect();
        let numbers: Vec<u64> = found.iter().map(|(first, _)| *first).collect();
        assert_eq!(numbers, expected, "flip at {at}");
        let [gap] = &gaps[..] else {
            panic!("flip at {at}: {gaps:?}")
        };
        let first = hit as u64 * 2;
        assert_eq!(gap.numbers, Some(first..first + 2));
        let beside = gap.kept_in.as_ref().expect("room");
        let beside = beside.file_name().unwrap().to_str().unwrap();
        assert_eq!(fs.content(beside), &damaged[frames[hit].clone()]);
        // For no other output, and by no later start, is it told again.
        assert_eq!(everything(&log, "a").1, []);
        drop(log);
        let (log, recovered) = open(&fs);
        assert_eq!((recovered.gaps, everything(&log, "b").1), (vec![], vec![]));
        // The former way finds the same.
        let former = Memory::default();
        former.put(FIRST, &damaged[..frames[3].end]);
        let (log, recovered) = open(&former);
        assert_eq!(everything(&log, "b").0, found, "flip at {at}");
        let [told] = &recovered.gaps[..] else {
            panic!("flip at {at}: {:?}", recovered.gaps)
        };
        assert_eq!(told.bytes, gap.bytes);
        assert_eq!(former.content(beside), fs.content(beside));
    }
}

#[test]
fn damage_is_told_before_an_error_behind_it() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    for n in 0..4 {
        log.append(&frame(n, 1, &["a"], &[b'x'; 600])).unwrap();
    }
    log.close().unwrap();
    drop(log);
    let files = wals(&fs);
    assert_eq!(files.len(), 2);
    let mut content = fs.content(&files[0]);
    content[200] ^= 1;
    fs.put(&files[0], &content);
    let (log, _) = open(&fs);
    let mut told = 0;
    for readable in 0..40 {
        fs.fail_reads_after(readable);
        let read = log.read("a", 0..u64::MAX, 1 << 20);
        fs.fail_reads(0);
        let gaps = read.map_or(Vec::new(), |read| read.gaps);
        // What cannot be put beside now is told of once more when it can.
        told += gaps.iter().filter(|gap| gap.kept_in.is_some()).count();
        if fs.names().iter().any(|name| name.ends_with("damaged")) {
            assert_eq!(told, 1, "after {readable} reads");
        }
    }
    assert_eq!(told, 1);
    assert_eq!(firsts(&log, "a"), [1, 2, 3]);
}

#[test]
fn what_a_limit_drops_is_told_where_it_is_damaged() {
    let (fs, frames) = closed();
    let mut content = fs.content(FIRST);
    content[frames[1].end - 1] ^= 1;
    fs.put(FIRST, &content);
    let (log, _) = open(&fs);
    let mut gaps = Vec::new();
    let (records, bytes) = log.count("b", 0..8, &mut gaps).unwrap();
    assert_eq!((records, gaps.len()), (6, 1));
    assert_eq!(gaps[0].numbers, Some(2..4));
    let whole: usize = [0, 2, 3].map(|n: usize| frames[n].len()).iter().sum();
    assert_eq!(bytes, whole as u64);
}

/// A summary that the disk does not take, or has only for the time being, changes nothing.
#[test]
fn without_room_or_a_sync_for_it_there_is_no_summary_and_nothing_is_lost() {
    let mut believed = [0, 0];
    for (room, cannot_cut, cannot_sync) in (0..400).step_by(7).flat_map(|room| {
        [
            (room, false, false),
            (room, true, false),
            (room, false, true),
        ]
    }) {
        let fs = Memory::default();
        let (mut log, _) = open(&fs);
        for n in 0..3 {
            log.append(&frame(n, 1, &["a"], &[b'x'; 20])).unwrap();
        }
        log.sync().unwrap();
        fs.set_room(Some(room));
        fs.fail_truncates(cannot_cut);
        fs.fail_syncs(if cannot_sync { usize::MAX } else { 0 });
        // How far the outputs are may find no room either.
        let _ = log.close();
        assert!(!log.is_unsynced());
        fs.set_room(None);
        fs.fail_truncates(false);
        fs.fail_syncs(0);
        drop(log);
        believed[usize::from(cannot_sync)] += usize::from(by_summary(&fs, FIRST).is_some());
        for loses_power in [false, true] {
            if loses_power {
                fs.lose_power();
            }
            let (log, recovered) = open(&fs);
            assert_eq!(recovered.gaps, [], "{room} bytes");
            assert_eq!(firsts(&log, "a"), [0, 1, 2], "{room} bytes");
        }
    }
    assert!(believed[0] > 20 && believed[1] == 0, "{believed:?}");
}

/// The summary may be believed because it is written behind a sync that succeeded: never in a file that lost one, also not
/// when a later sync of the same file says that all is well.
#[test]
fn a_file_that_failed_to_sync_says_nothing_of_itself() {
    for durability in [Durability::Durable, Durability::Process] {
        let fs = Memory::default();
        let settings = Settings {
            durability,
            ..settings()
        };
        let (mut log, _) = Log::open(Arc::new(fs.clone()), settings).unwrap();
        log.append(&frame(0, 1, &["a"], &[b'x'; 1200])).unwrap();
        // It is full: this one has to wait for its sync.
        fs.fail_syncs(1);
        let refused = log.append(&frame(1, 1, &["a"], b"second")).is_err();
        assert!(refused, "{durability:?}");
        log.append(&frame(1, 1, &["a"], b"second")).unwrap();
        log.close().unwrap();
        assert!(by_summary(&fs, FIRST).is_none());
        drop(log);
        fs.lose_power();
        let last = wals(&fs).pop().unwrap();
        assert!(by_summary(&fs, &last).is_some());
        let (log, recovered) = open(&fs);
        assert_eq!(recovered.gaps, []);
        assert_eq!(firsts(&log, "a"), [0, 1]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32, u8, u16),
    Skip(u32),
    Sync,
    Deliver(u8, u64),
    Release,
    Room(Option<usize>),
    FailSyncs(usize),
    FailCuts(bool),
    Restart,
    LosePower,
    LosePowerOutOfOrder,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u32..5, 1u8..8, 0u16..700).prop_map(|(n, routes, len)| Step::Append(n, routes, len)),
        1 => (1u32..5).prop_map(Step::Skip),
        3 => Just(Step::Sync),
        2 => (0u8..3, 1u64..30).prop_map(|(route, len)| Step::Deliver(route, len)),
        1 => Just(Step::Release),
        2 => prop::option::of(0usize..900).prop_map(Step::Room),
        1 => (1usize..4).prop_map(Step::FailSyncs),
        1 => any::<bool>().prop_map(Step::FailCuts),
        1 => Just(Step::Restart),
        1 => Just(Step::LosePower),
        1 => Just(Step::LosePowerOutOfOrder),
        2 => Just(Step::Close),
    ]
}

/// What a start finds.
#[derive(Debug, PartialEq)]
struct State {
    next: u64,
    waiting: BTreeMap<Arc<str>, Waiting>,
    gaps: Vec<Gap>,
    chunks: Vec<ChunkState>,
    bodies: Vec<Vec<(u64, Vec<u8>)>>,
}

fn state(fs: &Memory, durability: Durability) -> State {
    let settings = Settings {
        durability,
        ..settings()
    };
    let (log, recovered) = Log::open(Arc::new(fs.clone()), settings).expect("a log");
    let chunks = (0..=255).map(|n| log.chunks().state(&[n; 16]));
    State {
        next: log.next(),
        waiting: recovered.waiting,
        gaps: recovered.gaps,
        chunks: chunks.collect(),
        bodies: NAMES.iter().map(|name| bodies(&log, name, 0)).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever happened to the disk: a summary that is believed says what reading the file finds, and a start by summaries
    /// finds what a start finds that reads everything.
    #[test]
    fn a_start_finds_the_same_by_summaries(
        steps in prop::collection::vec(step(), 1..80),
        is_process in any::<bool>(),
    ) {
        let durability = if is_process { Durability::Process } else { Durability::Durable };
        let with = || Settings { durability, ..settings() };
        let fs = Memory::default();
        let mut log = Log::open(Arc::new(fs.clone()), with()).expect("a log").0;
        let mut chunk = 0_u8;
        for step in steps {
            match step {
                Step::Append(records, routes, len) => {
                    let names: Vec<&str> = (0..3).filter(|n| routes & (1 << n) != 0).map(|n| NAMES[n]).collect();
                    let mut new = Frame::clone(&frame(log.next(), records, &names, &vec![chunk; usize::from(len)]));
                    new.chunks.push([chunk; 16]);
                    chunk = chunk.wrapping_add(1);
                    let _ = log.append(&Arc::new(new));
                }
                Step::Skip(records) => {
                    let _ = log.skip(&frame(log.next(), records, &[], &[]));
                }
                Step::Sync => {
                    let _ = log.sync();
                }
                Step::Deliver(route, len) => {
                    let name: Arc<str> = Arc::from(NAMES[usize::from(route)]);
                    let mut done = log.progress(&name).cloned().unwrap_or_default();
                    done.add(done.prefix..(done.prefix + len).min(log.next()));
                    let _ = log.advance(&name, done);
                }
                Step::Release => {
                    log.release();
                }
                Step::Room(room) => fs.set_room(room),
                Step::FailSyncs(count) => fs.fail_syncs(count),
                Step::FailCuts(fail) => fs.fail_truncates(fail),
                Step::Restart | Step::LosePower | Step::LosePowerOutOfOrder | Step::Close => {
                    if matches!(step, Step::Close) {
                        let _ = log.close();
                    }
                    drop(log);
                    match step {
                        Step::LosePower => fs.lose_power(),
                        Step::LosePowerOutOfOrder => fs.lose_power_out_of_order(),
                        _ => {}
                    }
                    fs.set_room(None);
                    fs.fail_syncs(0);
                    fs.fail_truncates(false);
                    for name in wals(&fs) {
                        if by_summary(&fs, &name).is_some() {
                            assert_same(&fs, &name);
                        }
                    }
                    let by_summaries = state(&copy_of(&fs), durability);
                    let by_reading = state(&without_summaries(&fs), durability);
                    prop_assert_eq!(by_summaries, by_reading);
                    log = Log::open(Arc::new(fs.clone()), with()).expect("a log").0;
                }
            }
        }
    }
}
