//! Files as they are, changed anywhere: there is a log after it, which takes records and gives them back.

use super::*;

/// The files of a log that has been used: its first segment, and the newest of its cursors.
fn used() -> (Vec<u8>, Vec<u8>) {
    let fs = Memory::default();
    let (mut log, _) = open(&fs);
    for n in 0..3_u8 {
        let mut next = Frame::clone(&frame(u64::from(n) * 2, 2, &["a", "b"], &[n; 40]));
        next.chunks = vec![[n; 16]];
        log.append(&Arc::new(next)).unwrap();
        log.sync().unwrap();
    }
    let beyond = Progress {
        prefix: 2,
        beyond: vec![4..6],
    };
    log.advance(&Arc::from("a"), beyond).unwrap();
    log.chunks().keep(&[[1; 16]]);
    log.close().unwrap();
    let names = fs.names();
    let newest = names.iter().rfind(|name| name.starts_with("cursors"));
    (
        fs.content("0000000000000000.wal"),
        fs.content(newest.expect("cursors")),
    )
}

/// Opens a log on files with this content, unless it says to be newer, and uses it.
fn check(files: &[(&str, &[u8])]) {
    let fs = Memory::default();
    for (name, content) in files {
        fs.put(name, content);
    }
    let mut log = match Log::open(Arc::new(fs.clone()), settings()) {
        Ok((log, _)) => log,
        Err(OpenError::Newer(_)) => {
            files
                .iter()
                .for_each(|(name, content)| assert_eq!(fs.content(name), *content));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    for route in ["a", "b"] {
        let (mut at, end) = (0, log.next());
        while at < end {
            let read = log.read(route, at..u64::MAX, 1000).expect("readable");
            assert!(read.next > at, "reading goes on");
            at = read.next;
        }
    }
    let first = log.next();
    if first > u64::MAX - 8 {
        return;
    }
    log.append(&frame(first, 1, &["a"], b"more")).unwrap();
    log.sync().unwrap();
    drop(log);
    let (log, recovered) = open(&fs);
    assert!(
        recovered.gaps.is_empty(),
        "damage is told once: {:?}",
        recovered.gaps
    );
    let read = log.read("a", first..u64::MAX, 1000).expect("readable");
    let more = read
        .frames
        .iter()
        .find(|stored| stored.frame.first == first);
    assert_eq!(more.expect("it was synced").frame.body, b"more");
}

/// Puts the checksums right that changes have broken, so that what stands behind them is reached.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 76 {
        let sum = crc32c::crc32c(&bytes[..72]);
        bytes[72..76].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

/// A segment whose summary is `content`, with good checksums.
fn summed_up(content: &[u8]) -> Vec<u8> {
    let mut segment = include_bytes!("../golden/v1.wal").to_vec();
    let uuid: [u8; 16] = segment[16..32].try_into().expect("a header");
    let len = (content.len() + 4) as u32;
    let stored = (len + format::FRAME_HEADER as u32).to_le_bytes();
    let head = format::Head::seal(46, len);
    head.write(&uuid, &[content, &stored], &mut segment);
    segment
}

#[test]
fn fuzz_log() {
    let (segment, _) = used();
    let golden = include_bytes!("../golden/v1-closed.wal");
    let seal = include_bytes!("../golden/v1.wal").len();
    let summary = &golden[seal + format::FRAME_HEADER..golden.len() - 4];
    assert_eq!(summed_up(summary), golden);
    ::fuzz::Target::new("log")
        .seeds([
            &segment[..],
            include_bytes!("../golden/v1.wal"),
            golden,
            summary,
        ])
        .run(|bytes| {
            check(&[("0000000000000000.wal", bytes)]);
            check(&[("0000000000000000.wal", &summed_up(bytes))]);
            check(&[
                ("0000000000000000.wal", &segment),
                ("0000000000000001.wal", &repaired(bytes)),
            ]);
        });
}

#[test]
fn fuzz_cursors() {
    let (segment, cursors) = used();
    ::fuzz::Target::new("cursors")
        .seeds([&cursors])
        .run(|bytes| {
            let name = "cursors.0000000000000009";
            check(&[("0000000000000000.wal", &segment), (name, bytes)]);
            check(&[("0000000000000000.wal", &segment), (name, &repaired(bytes))]);
        });
}
