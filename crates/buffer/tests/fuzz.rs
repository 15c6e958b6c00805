//! What others left on the disk, changed anywhere: Fluent Bit's chunks, and dead letters.

use std::sync::Arc;

use buffer::chunks::Chunk;
use buffer::dead_letters::{Letter, Store};
use buffer::fs::Disk;

/// A chunk as chunkio writes it, without a checksum.
fn chunk(tag: &[u8], events: &[u8]) -> Vec<u8> {
    let metadata = [b"\xf1\x77\x00\x00".as_slice(), tag].concat();
    let mut file = vec![0; 24];
    file[..2].copy_from_slice(&[0xc1, 0]);
    file[10..14].copy_from_slice(&(events.len() as u32).to_be_bytes());
    file[22..24].copy_from_slice(&(metadata.len() as u16).to_be_bytes());
    [file, metadata, events.to_vec(), vec![0; 16]].concat()
}

#[test]
fn fuzz_chunks() {
    let events = b"\x92\x92\xd7\x00\x65\x00\x00\x00\x00\x00\x00\x01\x80\x81\xa3log\xa1x";
    let seed = chunk(b"kube.a", events);
    assert!(Chunk::read(&seed).is_ok(), "the seed is one");
    fuzz::Target::new("chunks").seeds([seed]).run(|file| {
        if let Ok(chunk) = Chunk::read(file) {
            assert!(chunk.tag.start <= chunk.tag.end && chunk.tag.end <= chunk.events.start);
            assert!(!file[chunk.events].is_empty());
        }
    });
}

#[test]
fn fuzz_letters() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::new(Arc::new(Disk), folder.path().join("rejected"), 1 << 20);
    let letter = |reason: &str, body: &[u8]| Letter {
        output: Arc::from("firehose.0"),
        reason: reason.to_owned(),
        given_up: 1_700_000_000_123_456_789,
        records: 3,
        body: body.to_vec(),
    };
    let letters = [letter("too_large", &[1; 50]), letter("retry_limit", b"")];
    assert!(store.put(&letters).expect("room"));
    let path = store.files().expect("a folder").remove(0);
    let seed = std::fs::read(&path).expect("a file");
    let changed = folder.path().join("changed");
    fuzz::Target::new("letters").seeds([seed]).run(|bytes| {
        std::fs::write(&changed, bytes).expect("room");
        if let Ok((letters, damaged)) = store.read(&changed) {
            assert!(damaged <= bytes.len() as u64 && letters.len() <= bytes.len());
        }
    });
}
