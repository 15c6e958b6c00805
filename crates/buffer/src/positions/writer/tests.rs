use super::*;
use crate::positions::store::tests::fill;
use crate::positions::{Fingerprint, JournalMode, Location, Position, Synchronous};
use std::path::Path;
use std::sync::mpsc;

fn open(path: &Path) -> Store {
    Store::open(Location {
        path: path.to_owned(),
        synchronous: Synchronous::Off,
        journal_mode: JournalMode::Wal,
        exclusive: false,
    })
    .expect("a database can be made")
}

fn at(key: RowKey, offset: u64) -> Changes {
    let position = Position {
        name: "a.log".into(),
        inode: 7,
        offset,
        rotated: false,
        marker: Fingerprint::NONE,
        facts: None,
    };
    Changes {
        rows: [(key, Some(position))].into(),
        scan: None,
    }
}

fn offsets(path: &Path) -> Vec<u64> {
    let rows = open(path).load().expect("readable rows");
    rows.into_iter().map(|(_, row)| row.offset).collect()
}

#[tokio::test]
async fn the_newest_state_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flb.db");
    let writer = Writer::start(open(&path), |_| ()).expect("a thread");
    let key = writer.new_key();
    for offset in 0..1000 {
        writer.write(at(key, offset));
    }
    assert!(writer.flush().await);
    assert_eq!(offsets(&path), [999]);
    assert!(!writer.wants_all());
}

#[test]
fn dropping_writes_what_is_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flb.db");
    let writer = Writer::start(open(&path), |_| ()).expect("a thread");
    writer.write(at(writer.new_key(), 5));
    drop(writer);
    assert_eq!(offsets(&path), [5]);
}

#[tokio::test]
async fn a_full_disk_is_reported_once_and_nothing_is_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flb.db");
    let (sender, reports) = mpsc::channel();
    let store = open(&path);
    // No page may be added, so the tables' first rows fit but many do not.
    fill(&store);
    let writer = Writer::start(store, move |report| {
        let _ = sender.send(match report {
            Report::Failed(error) => error.to_string(),
            Report::Recovered => "recovered".to_owned(),
            Report::Replaced => "replaced".to_owned(),
        });
    })
    .expect("a thread");
    let mut many = Changes::default();
    for _ in 0..500 {
        many.merge(at(writer.new_key(), 1));
    }
    writer.write(many);
    assert!(!writer.flush().await);
    assert!(!writer.flush().await);
    let report = reports.recv().expect("a report");
    assert!(report.contains("full"), "{report}");
    assert!(reports.try_recv().is_err(), "said once");
    drop(writer);
    // The last attempt failed as well; the database is whole.
    assert_eq!(offsets(&path), [0u64; 0]);
}

#[tokio::test]
async fn writing_recovers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flb.db");
    let (sender, reports) = mpsc::channel();
    let writer = Writer::start(open(&path), move |report| {
        let _ = sender.send(matches!(report, Report::Recovered));
    })
    .expect("a thread");
    let other = rusqlite::Connection::open(&path).expect("the same database");
    let sql = |text: &str| other.execute_batch(text).expect("valid SQL");
    sql("ALTER TABLE in_tail_files RENAME TO hidden");
    let key = writer.new_key();
    writer.write(at(key, 1));
    assert!(!writer.flush().await);
    writer.write(at(key, 2));
    sql("ALTER TABLE hidden RENAME TO in_tail_files");
    assert_eq!(reports.recv(), Ok(false));
    assert_eq!(reports.recv(), Ok(true), "tried again by itself");
    assert_eq!(offsets(&path), [2]);
}

#[tokio::test]
async fn a_database_that_is_taken_away_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("flb.db");
    let writer = Writer::start(open(&path), |_| ()).expect("a thread");
    let key = writer.new_key();
    writer.write(at(key, 1));
    assert!(writer.flush().await);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.path().join(format!("flb.db{suffix}")));
    }
    writer.write(at(key, 2));
    assert!(writer.flush().await);
    assert!(writer.wants_all(), "other rows have to be written again");
    assert_eq!(offsets(&path), [2]);
}
