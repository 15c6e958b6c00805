//! Letters come back as they were given, are bounded, and are answered for only when they are safe.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::fs::Disk;

fn letter(reason: &str, body: &[u8]) -> Letter {
    Letter {
        output: Arc::from("firehose.0"),
        reason: reason.to_owned(),
        given_up: 1_700_000_000_123_456_789,
        records: 3,
        body: body.to_vec(),
    }
}

fn store(folder: &Path, bytes_max: u64) -> Store {
    Store::new(Arc::new(Disk), folder.join("rejected"), bytes_max)
}

#[test]
fn letters_come_back_as_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path(), 1 << 20);
    assert!(store.files().expect("nothing").is_empty());
    let letters = [letter("too_large", b"one"), letter("retry_limit", b"")];
    assert!(store.put(&letters).expect("room"));
    assert!(store.put(&letters[..1]).expect("room"));
    let files = store.files().expect("a folder");
    assert_eq!(files.len(), 2);
    let mut read: Vec<_> = files
        .iter()
        .map(|file| store.read(file).expect("readable"))
        .collect();
    read.sort_by_key(|(letters, _)| letters.len());
    assert_eq!(read[1], (letters.to_vec(), 0));
    store.remove(&files[0]).expect("there");
    store.remove(&files[1]).expect("there");
    assert_eq!(store.size().expect("a folder"), 0);
}

#[test]
fn damage_costs_the_letter_that_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path(), 1 << 20);
    let letters = [letter("a", &[1; 100]), letter("b", &[2; 100])];
    store.put(&letters).expect("room");
    let path = store.files().expect("one").remove(0);
    let mut bytes = std::fs::read(&path).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let (read, damaged) = store.read(&path).expect("readable");
    assert_eq!((&read[..], damaged > 100), (&letters[..1], true));
    bytes[3] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    assert!(store.read(&path).is_err());
}

fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_letter_is_answered_for_when_it_is_safe_or_cannot_be_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("rejected");
    std::fs::write(&file, "in the way").expect("written");
    let (done, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, failed) = (Arc::clone(&lost), Arc::new(AtomicUsize::new(0)));
    let failures = Arc::clone(&failed);
    let report = move |report: Report<'_>| match report {
        Report::NotKept(letter) => {
            counted.fetch_add(letter.records as usize, Ordering::SeqCst);
        }
        Report::Failed(_) => {
            failures.fetch_add(1, Ordering::SeqCst);
        }
        Report::Recovered => {}
    };
    let store = store(folder.path(), 1000);
    let writer = Writer::start(store.clone(), report).expect("a thread");
    let put = |body: &[u8]| {
        let done = Arc::clone(&done);
        writer.put(letter("x", body), move |_| {
            done.fetch_add(1, Ordering::SeqCst);
        });
    };
    put(b"first");
    until("it cannot be written", || {
        failed.load(Ordering::SeqCst) == 1
    });
    assert_eq!(done.load(Ordering::SeqCst), 0, "it is not safe");
    std::fs::remove_file(&file).expect("there");
    until("it can be written", || done.load(Ordering::SeqCst) == 1);
    assert_eq!(store.files().expect("a folder").len(), 1);
    put(&[0; 2000]);
    until("too much", || done.load(Ordering::SeqCst) == 2);
    assert_eq!(lost.load(Ordering::SeqCst), 3);
    put(b"last");
    drop(writer);
    assert_eq!(
        (
            done.load(Ordering::SeqCst),
            store.files().expect("a folder").len()
        ),
        (3, 2),
        "the end waits for what is left"
    );
}
