//! The log on a disk that is full, cannot sync, or cannot be read.

use std::io::ErrorKind;
use std::sync::Arc;

use super::super::*;
use super::{Memory, bodies, frame, open, settings, three_frames};

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    log.sync().unwrap();
    for room in 0..49 {
        fs.set_room(Some(room));
        let error = log.append(&frame(1, 1, &["a"], b"second")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(bodies(&log, "a", 0).len(), 1);
    }
    fs.set_room(None);
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    log.sync().unwrap();
    drop(log);
    assert_eq!(
        bodies(&open(&fs).0, "a", 0),
        [(0, b"first".to_vec()), (1, b"second".to_vec())]
    );
}

#[test]
fn a_failed_sync_is_not_believed_later() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    fs.fail_syncs(1);
    log.sync()
        .expect("written to another file, which was synced");
    assert_eq!(
        fs.names()
            .iter()
            .filter(|name| name.ends_with("wal"))
            .count(),
        2
    );
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    fs.fail_syncs(2);
    assert!(log.sync().is_err() && log.is_unsynced());
    log.sync().expect("the disk is well again");
    assert!(!log.is_unsynced());
    let expected = [(0, b"first".to_vec()), (1, b"second".to_vec())];
    assert_eq!(bodies(&log, "a", 0), expected);
    drop(log);
    assert_eq!(bodies(&open(&fs).0, "a", 0), expected, "each once");
}

#[test]
fn what_cannot_be_read_at_start_is_not_damaged() {
    let fs = Memory::default();
    let (name, _) = three_frames(&fs);
    let names = fs.names();
    fs.fail_reads(1000);
    let error = Log::open(Arc::new(fs.clone()), settings()).err();
    let Some(OpenError::Unreadable { path, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(path.ends_with(&name), "{}", path.display());
    assert_eq!(fs.names(), names, "nothing was changed");
    fs.fail_reads(3);
    let (log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty());
    assert_eq!(bodies(&log, "a", 0).len(), 3, "it was read with patience");
}

#[test]
fn cursors_that_cannot_be_read_repeat_nothing() {
    let fs = Memory::default();
    three_frames(&fs);
    let (mut log, _) = open(&fs);
    let done = Progress {
        prefix: 2,
        ..Progress::default()
    };
    log.advance(&Arc::from("a"), done.clone()).unwrap();
    log.close().unwrap();
    drop(log);
    // Every single read fails in turn: the log is as it was, or does not start.
    for readable in 0..20 {
        fs.fail_reads_after(readable);
        let opened = Log::open(Arc::new(fs.clone()), settings());
        fs.fail_reads(0);
        match opened {
            Ok((log, _)) => assert_eq!(log.progress("a"), Some(&done)),
            Err(error) => assert!(matches!(error, OpenError::Unreadable { .. }), "{error}"),
        }
    }
}

#[test]
fn a_failed_sync_and_a_failed_read_lose_nothing_that_the_system_has() {
    let process = Settings {
        durability: Durability::Process,
        ..settings()
    };
    let fs = Memory::default();
    let (mut log, _) = Log::open(Arc::new(fs.clone()), process).unwrap();
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    fs.fail_syncs(1);
    fs.fail_reads(10);
    assert!(log.sync().is_err(), "what may be lost is not known yet");
    assert!(log.append(&frame(1, 1, &["a"], b"second")).is_err());
    assert!(log.is_unsynced());
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    log.sync().unwrap();
    let expected = [(0, b"first".to_vec()), (1, b"second".to_vec())];
    assert_eq!(bodies(&log, "a", 0), expected);
    assert_eq!(bodies(&open(&fs).0, "a", 0), expected, "each once");
}

#[test]
fn a_disk_that_never_reads_again_keeps_what_it_has() {
    let process = Settings {
        durability: Durability::Process,
        ..settings()
    };
    let fs = Memory::default();
    let (mut log, _) = Log::open(Arc::new(fs.clone()), process).unwrap();
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    fs.fail_syncs(1);
    fs.fail_reads(usize::MAX);
    let tries = (0..100).take_while(|_| log.sync().is_err()).count();
    assert!((1..100).contains(&tries), "{tries}");
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    log.sync().unwrap();
    fs.fail_reads(0);
    let expected = [(0, b"first".to_vec()), (1, b"second".to_vec())];
    assert_eq!(bodies(&log, "a", 0), expected);
}

fn open_with(fs: &Memory, durability: Durability) -> Log {
    let settings = Settings {
        durability,
        ..settings()
    };
    Log::open(Arc::new(fs.clone()), settings).expect("a log").0
}

/// What a failed sync lost is written again, and that fails in every possible place: nothing of it may be forgotten, and
/// nothing may count as safe before a file that was synced has it.
#[test]
fn what_was_lost_is_not_lost_again_wherever_writing_it_again_fails() {
    let mut partly = 0;
    for durability in [Durability::Durable, Durability::Process] {
        for (room, failing) in (0..700).step_by(7).flat_map(|room| [(room, 0), (room, 1)]) {
            let fs = Memory::default();
            let mut log = open_with(&fs, durability);
            let all: Vec<(u64, Vec<u8>)> = (0..6).map(|n| (n, vec![b'x'; 20])).collect();
            for (n, body) in &all {
                log.append(&frame(*n, 1, &["a"], body)).unwrap();
            }
            fs.set_room(Some(room));
            fs.fail_truncates(true);
            fs.fail_syncs(1);
            partly += usize::from(log.sync().is_err());
            fs.set_room(None);
            // The file that took a part of it fails too.
            fs.fail_syncs(failing);
            let _ = log.sync();
            fs.fail_truncates(false);
            let tries = (0..9).take_while(|_| log.sync().is_err()).count();
            assert!(tries < 9 && log.is_held() && !log.is_unsynced());
            assert_eq!(bodies(&log, "a", 0), all, "{durability:?}, {room} bytes");
            drop(log);
            fs.lose_power();
            let log = open_with(&fs, durability);
            assert_eq!(bodies(&log, "a", 0), all, "{durability:?}, {room} bytes");
        }
    }
    assert!(partly > 100, "{partly}");
}

#[test]
fn a_file_stays_as_long_as_what_it_could_not_sync_stands_nowhere_else() {
    let fs = Memory::default();
    let mut log = open_with(&fs, Durability::Process);
    log.advance(&Arc::from("a"), Progress::default()).unwrap();
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    assert!(log.is_held());
    fs.fail_syncs(1);
    fs.set_room(Some(0));
    assert!(log.sync().is_err());
    assert!(!log.is_held(), "no more is acknowledged now");
    log.release();
    let expected = [(0, b"first".to_vec())];
    assert_eq!(bodies(&log, "a", 0), expected);
    drop(log);
    fs.set_room(None);
    let mut log = open_with(&fs, Durability::Process);
    assert_eq!(bodies(&log, "a", 0), expected, "the process was killed");
    let done = Progress {
        prefix: 1,
        ..Progress::default()
    };
    log.advance(&Arc::from("a"), done).unwrap();
    log.release();
    assert!(!fs.names().iter().any(|name| name.ends_with("wal")));
}

#[test]
fn what_the_system_lost_is_told_where_it_counted_as_safe() {
    for durability in [Durability::Durable, Durability::Process] {
        let fs = Memory::default();
        let (name, ends) = three_frames(&fs);
        let mut bytes = fs.content(&name);
        bytes[ends[1]..].fill(0);
        fs.put(&name, &bytes);
        let settings = Settings {
            durability,
            ..settings()
        };
        let (log, recovered) = Log::open(Arc::new(fs.clone()), settings).unwrap();
        assert_eq!(bodies(&log, "a", 0).len(), 2);
        let told: Vec<u64> = recovered.gaps.iter().map(|gap| gap.bytes).collect();
        let lost = (ends[2] - ends[1]) as u64;
        match durability {
            Durability::Durable => assert_eq!(told, [], "it was never acknowledged"),
            Durability::Process => assert_eq!(told, [lost]),
        }
    }
}

#[test]
fn a_chunk_that_was_written_and_not_synced_is_safe_before_it_is_known() {
    for failing in [0, 1] {
        let fs = Memory::default();
        let (mut log, _) = open(&fs);
        let chunk = [3; 16];
        let mut with_chunk = Frame::clone(&frame(0, 1, &["a"], b"first"));
        with_chunk.chunks.push(chunk);
        log.append(&Arc::new(with_chunk)).unwrap();
        drop(log);
        // The process was killed before it could sync.
        fs.fail_syncs(failing);
        let (log, _) = open(&fs);
        let is_known = log.chunks().state(&chunk) == ChunkState::Kept;
        assert_eq!(is_known, failing == 0);
        drop(log);
        fs.lose_power();
        let left = bodies(&open(&fs).0, "a", 0).len();
        assert_eq!(left, usize::from(is_known), "what is known is there");
    }
}

#[test]
fn a_chunk_that_a_killed_process_failed_to_sync_is_safe_before_it_is_known() {
    let (fs, chunk) = (Memory::default(), [3; 16]);
    // What it failed to sync is there to read, and would never get to the disk.
    with_unsynced_chunk(&fs, chunk);
    let (log, _) = open(&fs);
    assert_eq!(log.chunks().state(&chunk), ChunkState::Kept);
    drop(log);
    fs.lose_power();
    assert_eq!(bodies(&open(&fs).0, "a", 0), [(0, b"first".to_vec())]);
}

/// A log with the chunk of its only frame, which the process failed to sync before it was killed.
pub fn with_unsynced_chunk(fs: &Memory, chunk: [u8; 16]) {
    let (mut log, _) = open(fs);
    let mut with_chunk = Frame::clone(&frame(0, 1, &["a"], b"first"));
    with_chunk.chunks.push(chunk);
    log.append(&Arc::new(with_chunk)).unwrap();
    fs.fail_syncs(2);
    assert!(log.sync().is_err());
}

#[test]
fn a_chunk_that_is_nowhere_on_the_disk_is_not_known_because_the_file_that_lost_it_went() {
    let (fs, chunk) = (Memory::default(), [3; 16]);
    let (mut log, _) = open(&fs);
    log.append(&frame(0, 1, &["a"], b"first")).unwrap();
    log.sync().expect("the disk is well");
    let mut with_chunk = Frame::clone(&frame(1, 1, &["a"], b"second"));
    with_chunk.chunks.push(chunk);
    log.append(&Arc::new(with_chunk)).unwrap();
    // Neither its file can be synced, nor another one be made.
    fs.fail_syncs(2);
    assert!(log.sync().is_err());
    // Now there is another one, which is not synced yet; the first record is delivered, and its file goes.
    log.append(&frame(2, 1, &["a"], b"third")).unwrap();
    let progress = Progress {
        prefix: 1,
        ..Progress::default()
    };
    log.advance(&Arc::from("a"), progress).unwrap();
    assert!(log.release());
    drop(log);
    fs.lose_power();
    let (log, _) = open(&fs);
    assert_eq!(bodies(&log, "a", 1), []);
    assert_eq!(
        log.chunks().state(&chunk),
        ChunkState::New,
        "its sender has it"
    );
}

#[test]
fn a_file_that_could_not_be_written_anew_is_not_taken_for_synced_by_the_run_after() {
    let (fs, chunk) = (Memory::default(), [3; 16]);
    with_unsynced_chunk(&fs, chunk);
    // The second run cannot write it anew, goes on behind it, and is killed.
    fs.fail_syncs(1);
    let (mut log, _) = open(&fs);
    assert_eq!(log.chunks().state(&chunk), ChunkState::New);
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    log.sync().expect("the disk is well again");
    drop(log);
    let (log, _) = open(&fs);
    assert_eq!(log.chunks().state(&chunk), ChunkState::Kept);
    drop(log);
    fs.lose_power();
    let expected = [(0, b"first".to_vec()), (1, b"second".to_vec())];
    assert_eq!(
        bodies(&open(&fs).0, "a", 0),
        expected,
        "what is known is there"
    );
}

#[test]
fn a_file_is_written_anew_once() {
    let (fs, chunk) = (Memory::default(), [3; 16]);
    with_unsynced_chunk(&fs, chunk);
    let (mut log, _) = open(&fs);
    let first = "0000000000000000.wal";
    let sealed = fs.content(first);
    log.append(&frame(1, 1, &["a"], b"second")).unwrap();
    log.sync().unwrap();
    drop(log);
    // Whatever fails now, the disk has it.
    for _ in 0..2 {
        fs.fail_syncs(1);
        let (log, recovered) = open(&fs);
        assert_eq!(log.chunks().state(&chunk), ChunkState::Kept);
        assert_eq!(recovered.gaps, []);
        let expected = [(0, b"first".to_vec()), (1, b"second".to_vec())];
        assert_eq!(bodies(&log, "a", 0), expected, "each once");
        assert_eq!(fs.content(first), sealed);
    }
}

#[test]
fn files_that_were_synced_are_not_written_anew() {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    for number in 0..9 {
        let mut with_chunk = Frame::clone(&frame(number, 1, &["a"], &[b'x'; 300]));
        with_chunk.chunks.push([number as u8; 16]);
        log.append(&Arc::new(with_chunk)).unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let files = fs.names();
    let files = files.iter().filter(|name| name.ends_with("wal")).count();
    assert!(files > 2, "{files} files");
    // One copy for the last file, whose end nobody has vouched for.
    fs.fail_syncs(1);
    let (log, _) = open(&fs);
    let known = (0..9).filter(|number| log.chunks().state(&[*number; 16]) == ChunkState::Kept);
    let last = known.count();
    assert!(
        (1..9).contains(&last),
        "{last} of 9 in files that were synced"
    );
}
