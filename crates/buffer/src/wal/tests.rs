//! The log against damage, a full disk, a disk that cannot sync, and a model.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

mod disk_errors;
mod fuzz;
mod leftovers;
mod memory;
mod summaries;
mod writer;

use memory::Memory;

fn counted_uuid() -> [u8; 16] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut uuid = [7; 16];
    uuid[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    uuid
}

pub(super) fn settings() -> Settings {
    Settings {
        segment_bytes: 1024,
        chunks_max: 8,
        new_uuid: counted_uuid,
        ..Settings::new(PathBuf::from("/log"), Durability::Durable)
    }
}

fn open(fs: &Memory) -> (Log, Recovered) {
    Log::open(Arc::new(fs.clone()), settings()).expect("a log, whatever is there")
}

fn frame(first: u64, records: u32, routes: &[&str], body: &[u8]) -> Arc<Frame> {
    Arc::new(Frame {
        first,
        records,
        routes: routes.iter().map(|name| Arc::from(*name)).collect(),
        chunks: Vec::new(),
        body: body.to_vec(),
    })
}

fn bodies(log: &Log, route: &str, from: u64) -> Vec<(u64, Vec<u8>)> {
    let (mut found, mut at) = (Vec::new(), from);
    loop {
        let read = log.read(route, at..u64::MAX, 1).expect("readable");
        found.extend(
            read.frames
                .into_iter()
                .map(|stored| (stored.frame.first, stored.frame.body)),
        );
        if read.next >= log.next() {
            return found;
        }
        assert!(read.next > at, "reading goes on");
        at = read.next;
    }
}

/// Three frames in one segment; returns its name and where each frame ends.
fn three_frames(fs: &Memory) -> (String, Vec<usize>) {
    let (mut log, _) = open(fs);
    let mut ends = Vec::new();
    for n in 0..3 {
        log.append(&frame(n * 2, 2, &["a"], format!("body {n}").as_bytes()))
            .unwrap();
        log.sync().unwrap();
        ends.push(fs.content("0000000000000000.wal").len());
    }
    ("0000000000000000.wal".to_owned(), ends)
}

#[test]
fn what_was_synced_is_read_again_wherever_the_file_is_cut() {
    let whole = Memory::default();
    let (name, ends) = three_frames(&whole);
    let content = whole.content(&name);
    for cut in 0..=content.len() {
        let fs = Memory::default();
        fs.put(&name, &content[..cut]);
        let (mut log, recovered) = open(&fs);
        let kept = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(bodies(&log, "a", 0).len(), kept, "cut at {cut}");
        assert!(
            recovered.gaps.is_empty(),
            "a cut is what an unacknowledged write leaves: {:?}",
            recovered.gaps
        );
        // And it goes on as if nothing had happened.
        let next = log.next();
        log.append(&frame(next, 1, &["a"], b"more")).unwrap();
        log.sync().unwrap();
        drop(log);
        let (log, _) = open(&fs);
        assert_eq!(bodies(&log, "a", 0).len(), kept + 1, "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_costs_one_frame_and_is_told() {
    let whole = Memory::default();
    let (name, ends) = three_frames(&whole);
    let content = whole.content(&name);
    for at in 0..content.len() {
        for bit in [0, 7] {
            let fs = Memory::default();
            let mut damaged = content.clone();
            damaged[at] ^= 1 << bit;
            fs.put(&name, &damaged);
            if let Err(error) = Log::open(Arc::new(fs.clone()), settings()) {
                assert!(
                    matches!(error, OpenError::Newer(_)) && (8..10).contains(&at),
                    "{at}: {error}"
                );
                assert_eq!(fs.content(&name), damaged, "nothing was touched");
                continue;
            }
            let (log, recovered) = open(&fs);
            let read = bodies(&log, "a", 0);
            if at < 76 {
                assert!(read.is_empty(), "the header at {at}");
                assert_eq!(recovered.gaps.len(), 0, "the first start has told it");
                assert!(
                    fs.names().iter().any(|name| name.ends_with("damaged")),
                    "{at}: {:?}",
                    fs.names()
                );
                continue;
            }
            let hit = ends.iter().position(|end| at < *end).unwrap_or(usize::MAX);
            let expected: Vec<u64> = (0..3)
                .filter(|n| at < 80 || *n != hit)
                .map(|n| n as u64 * 2)
                .collect();
            let firsts: Vec<u64> = read.iter().map(|(first, _)| *first).collect();
            assert_eq!(firsts, expected, "flip at {at}");
        }
    }
}

#[test]
fn damage_is_kept_beside_and_told_with_its_numbers() {
    let fs = Memory::default();
    let (name, ends) = three_frames(&fs);
    let mut content = fs.content(&name);
    content[ends[0] + 40] ^= 1;
    fs.put(&name, &content);
    let (_, recovered) = open(&fs);
    let [gap] = &recovered.gaps[..] else {
        panic!("{:?}", recovered.gaps)
    };
    assert_eq!(gap.numbers, Some(2..4));
    let beside = gap.kept_in.clone().expect("room");
    let kept = fs.content(beside.file_name().unwrap().to_str().unwrap());
    assert_eq!(kept, &content[ends[0]..ends[1]]);
    let (_, again) = open(&fs);
    assert!(again.gaps.is_empty(), "it is told once");
}

#[test]
fn a_newer_version_stops_the_start_and_loses_nothing() {
    let fs = Memory::default();
    let (name, _) = three_frames(&fs);
    let mut content = fs.content(&name);
    content[8] = 2;
    let sum = crc32c::crc32c(&content[..72]);
    content[72..76].copy_from_slice(&sum.to_le_bytes());
    fs.put("0000000000000001.wal", &content);
    let before = fs.names();
    let error = Log::open(Arc::new(fs.clone()), settings()).err();
    let Some(OpenError::Newer(newer)) = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (newer.version, newer.path.ends_with("0000000000000001.wal")),
        (2, true)
    );
    assert_eq!(fs.names(), before);
}

#[test]
fn segments_go_when_all_their_outputs_are_past_them() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    let body = [b'x'; 600];
    for n in 0..6 {
        let routes: &[&str] = if n == 0 { &["a", "dead"] } else { &["a"] };
        log.append(&frame(n, 1, routes, &body)).unwrap();
    }
    log.sync().unwrap();
    let a: Arc<str> = Arc::from("a");
    let all = Progress {
        prefix: 6,
        beyond: Vec::new(),
    };
    log.advance(&a, all).unwrap();
    assert!(log.release());
    let wals = |fs: &Memory| {
        fs.names()
            .iter()
            .filter(|name| name.ends_with("wal"))
            .count()
    };
    assert_eq!(
        wals(&fs),
        2,
        "what the dead output needs, and what is being written"
    );
    drop(log);
    let (mut log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty(), "{:?}", recovered.gaps);
    assert_eq!(bodies(&log, "dead", 0).len(), 1);
    let dead: Arc<str> = Arc::from("dead");
    let past = Progress {
        prefix: 6,
        beyond: Vec::new(),
    };
    log.advance(&dead, past).unwrap();
    log.release();
    assert_eq!(wals(&fs), 0);
    assert_eq!(log.next(), 6, "numbers are never used again");
}

#[test]
fn chunks_are_known_after_their_segment_is_gone() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    let name: Arc<str> = Arc::from("a");
    for n in 0..12_u8 {
        let mut next = Frame::clone(&frame(u64::from(n), 1, &["a"], &[0; 300]));
        next.chunks = vec![[n; 16]];
        log.append(&Arc::new(next)).unwrap();
        log.sync().unwrap();
        log.chunks().keep(&[[n; 16]]);
    }
    let all = Progress {
        prefix: 12,
        beyond: Vec::new(),
    };
    log.advance(&name, all).unwrap();
    log.close().unwrap();
    drop(log);
    let (log, _) = open(&fs);
    let chunks = log.chunks();
    assert_eq!(chunks.state(&[11; 16]), ChunkState::Kept);
    assert_eq!(chunks.state(&[4; 16]), ChunkState::Kept);
    assert_eq!(
        chunks.state(&[3; 16]),
        ChunkState::New,
        "eight are remembered"
    );
}

#[test]
fn cursors_survive_the_loss_of_their_newest_file() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    log.append(&frame(0, 9, &["a"], b"body")).unwrap();
    log.sync().unwrap();
    let name: Arc<str> = Arc::from("a");
    let progress = Progress {
        prefix: 2,
        beyond: vec![4..6],
    };
    log.advance(&name, progress.clone()).unwrap();
    drop(log);
    let (mut log, _) = open(&fs);
    assert_eq!(log.progress("a"), Some(&progress));
    let further = Progress {
        prefix: 3,
        beyond: vec![4..6],
    };
    log.advance(&name, further.clone()).unwrap();
    drop(log);
    let newest = fs
        .names()
        .into_iter()
        .rfind(|name| name.starts_with("cursors"))
        .unwrap();
    let content = fs.content(&newest);
    for cut in 0..content.len() {
        let copy = Memory::default();
        for other in fs.names() {
            copy.put(&other, &fs.content(&other));
        }
        copy.put(&newest, &content[..cut]);
        let (log, _) = open(&copy);
        let known = log.progress("a").cloned();
        assert!(
            known == Some(progress.clone()) || known == Some(further.clone()),
            "cut at {cut}: {known:?}"
        );
    }
}

/// What a user of version 1 has on the disk must be readable for ever.
#[test]
fn version_1_is_read() {
    let mut bytes = format::Header {
        kind: format::Kind::Records,
        uuid: *b"uuid of segment!",
        origin: *b"origin of a run!",
        first: 40,
        created: 1_700_000_000_000_000_000,
    }
    .write()
    .to_vec();
    let mut first = Frame::clone(&frame(40, 2, &["firehose.0", "s3"], b"two records"));
    first.chunks = vec![*b"a chunk's number"];
    first.write(b"uuid of segment!", &mut bytes);
    format::Head::void(42, 3).write(b"uuid of segment!", &[], &mut bytes);
    frame(45, 1, &["s3"], b"one record").write(b"uuid of segment!", &mut bytes);
    let golden = include_bytes!("golden/v1.wal");
    assert_eq!(
        bytes, golden,
        "version 1 must not change: a change is a new version"
    );
    let fs = Memory::default();
    fs.put("0000000000000003.wal", golden);
    let (log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty() && log.next() == 46);
    assert_eq!(
        bodies(&log, "firehose.0", 0),
        [(40, b"two records".to_vec())]
    );
    let read = log.read("s3", 0..u64::MAX, 1 << 20).unwrap();
    assert_eq!(read.frames.len(), 2);
    assert_eq!(read.frames[0].origin, *b"origin of a run!");
    assert_eq!(log.chunks().state(b"a chunk's number"), ChunkState::Kept);
}

#[derive(Clone, Debug)]
enum Step {
    Append(u32, u8, u16),
    Sync,
    Deliver(u8, u64, u64),
    Release,
    /// The process ends; what was not synced may be there or not.
    Restart,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..5, 1u8..8, 0u16..700).prop_map(|(n, routes, len)| Step::Append(n, routes, len)),
        3 => Just(Step::Sync),
        4 => (0u8..3, 0u64..40, 1u64..30).prop_map(|(route, at, len)| Step::Deliver(route, at, len)),
        1 => Just(Step::Release),
        1 => Just(Step::Restart),
        1 => Just(Step::Close),
    ]
}

const NAMES: [&str; 3] = ["a", "b", "c"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// The model is a map from numbers to bodies, and what each output has.
    #[test]
    fn it_is_a_map_that_outputs_take_from(steps in prop::collection::vec(step(), 1..60)) {
        let fs = Memory::default();
        let (mut log, _) = open(&fs);
        let mut model: BTreeMap<u64, Arc<Frame>> = BTreeMap::new();
        let mut done: [Progress; 3] = Default::default();
        for step in steps {
            match step {
                Step::Append(records, routes, len) => {
                    let names: Vec<&str> = (0..3).filter(|n| routes & (1 << n) != 0).map(|n| NAMES[n]).collect();
                    let first = log.next();
                    let new = frame(first, records, &names, &vec![first as u8; usize::from(len)]);
                    log.append(&new).unwrap();
                    for (n, name) in NAMES.iter().enumerate() {
                        if !names.contains(name) {
                            done[n].add(first..new.end());
                        }
                    }
                    model.insert(first, new);
                }
                Step::Sync => log.sync().unwrap(),
                Step::Deliver(route, at, len) => {
                    let route = usize::from(route);
                    let start = done[route].prefix + at % 7;
                    done[route].add(start.min(log.next())..(start + len).min(log.next()));
                    log.advance(&Arc::from(NAMES[route]), done[route].clone()).unwrap();
                }
                Step::Release => {
                    log.release();
                }
                Step::Restart | Step::Close => {
                    if matches!(step, Step::Close) {
                        log.close().unwrap();
                    }
                    let next = log.next();
                    drop(log);
                    let (new, recovered) = open(&fs);
                    log = new;
                    prop_assert!(recovered.gaps.is_empty(), "{:?}", recovered.gaps);
                    prop_assert!(log.next() == next, "{} {}", log.next(), next);
                }
            }
            for (n, name) in NAMES.iter().enumerate() {
                let found: BTreeMap<u64, Vec<u8>> = bodies(&log, name, 0).into_iter().collect();
                for (first, frame) in &model {
                    let wanted = frame.routes.iter().any(|route| **route == **name);
                    if wanted && !done[n].covers(&(*first..frame.end())) {
                        prop_assert_eq!(found.get(first), Some(&frame.body));
                    }
                }
            }
        }
    }
}
