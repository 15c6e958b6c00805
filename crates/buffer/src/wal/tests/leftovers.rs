//! What a start leaves that was killed in the middle.

use super::super::*;
use super::{Memory, bodies, frame, open, three_frames};

const COPY: &str = "0000000000000000.anew";

#[test]
fn a_copy_that_was_not_put_in_the_place_of_its_file_goes_at_the_next_start() {
    let fs = Memory::default();
    let (name, _) = three_frames(&fs);
    assert_eq!(name, "0000000000000000.wal");
    let whole = fs.content(&name);
    // Killed before the copy had anything, in the middle, and before it was renamed.
    for length in [0, whole.len() / 2, whole.len()] {
        fs.put(COPY, &whole[..length]);
        let (log, recovered) = open(&fs);
        assert_eq!(bodies(&log, "a", 0).len(), 3, "the file counts");
        assert_eq!(recovered.gaps, []);
        assert!(!fs.names().iter().any(|name| name == COPY));
    }
}

#[test]
fn the_copy_of_a_file_that_is_not_there_goes_too() {
    let fs = Memory::default();
    three_frames(&fs);
    fs.put("0000000000000007.anew", b"delivered long ago");
    drop(open(&fs));
    assert!(!fs.names().iter().any(|name| name.ends_with("anew")));
}

#[test]
fn the_copy_of_a_damaged_file_stays() {
    let fs = Memory::default();
    let (name, _) = three_frames(&fs);
    let whole = fs.content(&name);
    for damaged_at in [0, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[damaged_at] ^= 1;
        fs.put(&name, &damaged);
        fs.put(COPY, &whole);
        for start in 0..2 {
            let (_, recovered) = open(&fs);
            assert_eq!(recovered.gaps.is_empty(), start > 0, "told once");
            assert_eq!(fs.content(COPY), whole);
        }
    }
}

#[test]
fn other_files_stay() {
    let fs = Memory::default();
    three_frames(&fs);
    let others = [
        "notes.anew",
        "anew",
        "000000000000000g.anew",
        "00000000000000000.anew",
        "0000000000000000.anew.old",
    ];
    for name in others {
        fs.put(name, b"not ours");
    }
    drop(open(&fs));
    let names = fs.names();
    for name in others {
        assert!(names.iter().any(|there| there == name), "{name}");
    }
}

#[test]
fn a_start_that_has_no_room_for_a_copy_leaves_nothing_behind() {
    let fs = Memory::default();
    super::disk_errors::with_unsynced_chunk(&fs, [3; 16]);
    fs.set_room(Some(20));
    let (log, _) = open(&fs);
    assert_eq!(log.chunks().state(&[3; 16]), ChunkState::New);
    assert!(
        !fs.names().iter().any(|name| name == COPY),
        "no room is lost"
    );
}

/// What programs before summaries do with what they do not know: a void frame is passed over with all that follows it.
#[test]
fn a_void_frame_may_be_followed_by_something() {
    let fs = Memory::default();
    let (name, _) = three_frames(&fs);
    let mut content = fs.content(&name);
    let uuid: [u8; 16] = content[16..32].try_into().expect("a header");
    let more = [7; 5000];
    let mut head = format::Head::void(6, 0);
    head.len = more.len() as u32;
    head.write(&uuid, &[&more], &mut content);
    frame(6, 1, &["a"], b"behind it").write(&uuid, &mut content);
    fs.put(&name, &content);
    let (log, recovered) = open(&fs);
    assert!(recovered.gaps.is_empty() && log.next() == 7);
    let numbers: Vec<u64> = bodies(&log, "a", 0).iter().map(|(n, _)| *n).collect();
    assert_eq!(numbers, [0, 2, 4, 6]);
}
