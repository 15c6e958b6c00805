//! Databases of positions, changed anywhere: such a file is read, moved aside, or refused.

use super::*;

/// A database as Fluent Bit leaves it, and one as we do.
fn databases() -> Vec<Vec<u8>> {
    let directory = directory();
    let ours = Location {
        journal_mode: JournalMode::Delete,
        ..location(&directory)
    };
    let mut store = Store::open(ours.clone()).expect("a new database");
    let row = one(RowKey(1), Some(position("/var/log/a.log", 100)));
    store.apply(&row).expect("written");
    drop(store);
    let theirs = directory.path().join("theirs.db");
    let connection = Connection::open(&theirs).expect("a new database");
    connection
        .execute_batch(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, \
             inode INTEGER, created INTEGER, rotated INTEGER DEFAULT 0); \
             INSERT INTO in_tail_files VALUES (1, '/var/log/a.log', 100, 77, 1700000000, 0); \
             INSERT INTO in_tail_files VALUES (2, '/var/log/b.log', -5, 78, 1700000000, 1);",
        )
        .expect("valid");
    drop(connection);
    [ours.path, theirs]
        .map(|path| std::fs::read(path).expect("a file"))
        .to_vec()
}

#[test]
fn fuzz_database() {
    let directory = directory();
    ::fuzz::Target::new("database")
        .seeds(databases())
        .words([
            "in_tail_files",
            "INTEGER",
            "TEXT",
            "CREATE TABLE",
            "offset",
            "name",
        ])
        .longest(64 << 10)
        .run(|bytes| {
            for entry in std::fs::read_dir(directory.path())
                .expect("a folder")
                .flatten()
            {
                let _ = std::fs::remove_file(entry.path());
            }
            let location = Location {
                synchronous: Synchronous::Off,
                ..location(&directory)
            };
            std::fs::write(&location.path, bytes).expect("room");
            let opened = Store::open_or_replace(location.clone());
            let Ok((mut store, moved)) = opened else {
                return;
            };
            // Not as it was: SQLite turns a database into one with a write-ahead file before it finds the damage.
            if let Some(moved) = moved {
                assert!(moved.exists(), "kept beside");
            }
            let Ok(rows) = store.load() else { return };
            for (key, row) in rows {
                let _ = store.apply(&one(key, Some(row)));
            }
            let _ = store.apply(&one(RowKey(u64::MAX), Some(position("x", u64::MAX / 2))));
        });
}
