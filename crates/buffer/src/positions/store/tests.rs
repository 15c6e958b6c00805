use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::*;
use crate::positions::{Facts, Fingerprint};

mod fuzz;

fn location(directory: &TempDir) -> Location {
    Location {
        path: directory.path().join("flb.db"),
        synchronous: Synchronous::Normal,
        journal_mode: JournalMode::Wal,
        exclusive: false,
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn position(name: &str, offset: u64) -> Position {
    Position {
        name: PathBuf::from(name),
        inode: 77,
        offset,
        rotated: false,
        marker: Fingerprint::of(b"before the offset"),
        facts: Some(Facts {
            origin: PathBuf::from("/links").join(name),
            path: PathBuf::from("/real").join(name),
            device: 1 << 40,
            birth: Some(1_700_000_000_123_456_789),
            head: Fingerprint::of(b"the first line"),
            tail: Fingerprint::of(b"much before the offset"),
            generation: 3,
            source: Some([7; 16]),
            delivered: vec![offset + 10..offset + 20, offset + 30..offset + 31],
        }),
    }
}

fn one(key: RowKey, row: Option<Position>) -> Changes {
    Changes {
        rows: [(key, row)].into(),
        scan: None,
    }
}

/// What another program sees.
fn sqlite(location: &Location) -> Connection {
    let connection = Connection::open(&location.path).expect("the database exists");
    connection
        .busy_timeout(Duration::ZERO)
        .expect("a valid timeout");
    connection
}

fn query<T: rusqlite::types::FromSql>(location: &Location, sql: &str) -> Vec<T> {
    let connection = sqlite(location);
    let mut statement = connection.prepare(sql).expect("valid SQL");
    let rows = statement
        .query_map([], |row| row.get(0))
        .expect("readable rows");
    rows.collect::<rusqlite::Result<_>>().expect("a column")
}

#[test]
fn the_table_is_fluent_bits() {
    let directory = directory();
    let location = location(&directory);
    Store::open(location.clone()).expect("a new database");
    let columns: Vec<String> = query(
        &location,
        "SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || COALESCE(dflt_value, '-') || ' ' || pk
         FROM pragma_table_info('in_tail_files')",
    );
    assert_eq!(
        columns,
        [
            "id INTEGER 0 - 1",
            "name TEXT 1 - 0",
            "offset INTEGER 0 - 0",
            "inode INTEGER 0 - 0",
            "created INTEGER 0 - 0",
            "rotated INTEGER 0 0 0",
            "offset_marker INTEGER 0 0 0",
            "offset_marker_size INTEGER 0 0 0",
        ]
    );
    assert_eq!(query::<String>(&location, "PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn what_was_written_is_loaded() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    assert_eq!(store.last_write(), None, "the first start");
    let scanned = UNIX_EPOCH + Duration::new(1_800_000_000, 5);
    let mut changes = one(RowKey(1), Some(position("a.log", 100)));
    changes.merge(one(RowKey(2), Some(position("b.log", 0))));
    changes.scan = Some(("/var/log/*.log".to_owned(), scanned));
    store.apply(&changes).expect("room on the disk");
    drop(store);

    let mut store = Store::open(location).expect("a good database");
    assert!(store.last_write().is_some());
    assert_eq!(store.scanned("/var/log/*.log"), Some(scanned));
    assert_eq!(store.scanned("other"), None);
    let mut rows = store.load().expect("readable rows");
    rows.sort_by_key(|(_, position)| position.name.clone());
    let positions: Vec<Position> = rows.into_iter().map(|(_, position)| position).collect();
    assert_eq!(positions, [position("a.log", 100), position("b.log", 0)]);
}

#[test]
fn rows_are_updated_restored_and_removed() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    let key = RowKey(1);
    let offsets = "SELECT offset FROM in_tail_files";
    for offset in [1, 2] {
        store
            .apply(&one(key, Some(position("a.log", offset))))
            .expect("room");
        assert_eq!(query::<i64>(&location, offsets), [offset as i64]);
    }
    sqlite(&location)
        .execute("DELETE FROM in_tail_files", [])
        .expect("another writer");
    store
        .apply(&one(key, Some(position("a.log", 3))))
        .expect("room");
    assert_eq!(query::<i64>(&location, offsets), [3]);
    store.apply(&one(key, None)).expect("room");
    assert_eq!(query::<i64>(&location, offsets), [0i64; 0]);
    assert_eq!(
        query::<i64>(&location, "SELECT id FROM flumen_tail_files"),
        [0i64; 0]
    );
}

#[test]
fn facts_about_an_older_state_are_ignored() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    store
        .apply(&one(RowKey(1), Some(position("a.log", 100))))
        .expect("room");
    drop(store);
    sqlite(&location)
        .execute(
            "UPDATE in_tail_files SET offset = 300, offset_marker = 5, offset_marker_size = 32",
            [],
        )
        .expect("Fluent Bit writes");
    let mut store = Store::open(location).expect("a good database");
    let (_, row) = &store.load().expect("readable rows")[0];
    assert_eq!((row.offset, row.marker.hash), (300, 5));
    assert_eq!(row.facts, None);
}

#[test]
fn a_database_of_an_older_fluent_bit_gets_the_new_columns() {
    let directory = directory();
    let location = location(&directory);
    sqlite(&location)
        .execute_batch(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER,
             created INTEGER, rotated INTEGER DEFAULT 0);
             INSERT INTO in_tail_files (name, offset, inode, created) VALUES ('/var/log/a.log', 12, 34, 56);
             INSERT INTO in_tail_files (name, offset, inode, created) VALUES ('/var/log/b.log', NULL, 35, NULL);",
        )
        .expect("an older database");
    let mut store = Store::open(location).expect("it can be brought up to date");
    assert!(store.last_write().is_some(), "not a first start");
    let mut rows = store.load().expect("readable rows");
    let (key, mut row) = rows.pop().expect("two rows");
    assert_eq!(
        (row.name.as_path(), row.offset, row.inode),
        (Path::new("/var/log/a.log"), 12, 34)
    );
    assert_eq!((row.marker, row.facts.clone()), (Fingerprint::NONE, None));
    assert_eq!(rows[0].1.offset, 0);
    row.offset = 13;
    store.apply(&one(key, Some(row))).expect("room");
    assert_eq!(store.load().expect("readable rows").len(), 2);
}

#[test]
fn names_need_not_be_utf8() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    let mut odd = position("x", 1);
    odd.name = PathBuf::from(OsStr::from_bytes(b"/var/log/\xff\xfe.log"));
    store
        .apply(&one(RowKey(1), Some(odd.clone())))
        .expect("room");
    drop(store);
    let mut store = Store::open(location).expect("a good database");
    assert_eq!(store.load().expect("readable rows")[0].1, odd);
}

#[track_caller]
fn refused(location: Location) -> String {
    let mut opened = match Store::open(location) {
        Ok(store) => store,
        Err(error) => return error.to_string(),
    };
    opened.load().expect_err("an unusable database").to_string()
}

#[test]
fn unusable_databases_are_refused_with_the_reason() {
    let directory = directory();
    let mut missing = location(&directory);
    missing.path = directory.path().join("no/such/directory/flb.db");
    let message = refused(missing);
    assert!(
        message.contains("no/such/directory/flb.db") && message.contains("must be writable"),
        "{message}"
    );

    let text = location(&directory);
    std::fs::write(
        &text.path,
        "this is a log file, not a database. ".repeat(50),
    )
    .expect("room");
    let message = refused(text);
    assert!(
        message.contains("is damaged: file is not a database"),
        "{message}"
    );
    assert!(message.contains("move it away"), "{message}");
}

#[test]
fn a_database_with_broken_pages_is_refused() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    for key in 1..200 {
        store
            .apply(&one(RowKey(key), Some(position("a.log", key))))
            .expect("room");
    }
    drop(store);
    let mut bytes = std::fs::read(&location.path).expect("readable");
    for byte in &mut bytes[5000..] {
        *byte ^= 0x5a;
    }
    std::fs::write(&location.path, bytes).expect("writable");
    let message = refused(location);
    assert!(message.contains("is damaged"), "{message}");
}

#[test]
fn a_foreign_table_of_the_same_name_is_refused() {
    let directory = directory();
    let location = location(&directory);
    sqlite(&location)
        .execute_batch("CREATE TABLE in_tail_files (a INTEGER)")
        .expect("a foreign table");
    let message = refused(location);
    assert!(message.contains("no such column"), "{message}");
}

#[test]
fn an_exclusive_database_admits_nobody_else() {
    let directory = directory();
    let mut location = location(&directory);
    location.exclusive = true;
    let _store = Store::open(location.clone()).expect("a new database");
    let connection = sqlite(&location);
    let result = connection.query_row("SELECT count(*) FROM in_tail_files", [], |row| {
        row.get::<_, i64>(0)
    });
    assert!(
        open_error(&location.path, &result.expect_err("locked"))
            .to_string()
            .ends_with("another process uses it")
    );
}

#[test]
fn a_failed_write_changes_nothing() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    store
        .apply(&one(RowKey(1), Some(position("a.log", 1))))
        .expect("room");
    fill(&store);
    let mut many = Changes::default();
    for key in 1..500 {
        many.rows
            .insert(RowKey(key), Some(position("a.log", 1000 + key)));
    }
    let error = store.apply(&many).expect_err("no room").to_string();
    assert!(error.contains("full"), "{error}");
    assert_eq!(
        query::<i64>(&location, "SELECT offset FROM in_tail_files"),
        [1]
    );
    make_room(&store);
    store.apply(&many).expect("room again");
    assert_eq!(
        query::<i64>(&location, "SELECT count(*) FROM in_tail_files"),
        [499]
    );
}

/// Lets SQLite behave as on a full disk.
pub(in crate::positions) fn fill(store: &Store) {
    let pages: i64 = store
        .connection
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .expect("a number");
    limit_pages(store, pages);
}

/// Ends [`fill`].
fn make_room(store: &Store) {
    limit_pages(store, 1 << 30);
}

fn limit_pages(store: &Store, pages: i64) {
    let sql = format!("PRAGMA max_page_count = {pages}");
    store
        .connection
        .query_row(&sql, [], |row| row.get::<_, i64>(0))
        .expect("a number");
}

#[test]
fn any_number_of_delivered_ranges_is_kept() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    let mut position = position("a.log", 0);
    let ranges: Vec<_> = (1..5_000).map(|n| n * 10..n * 10 + 5).collect();
    position.facts.as_mut().expect("facts").delivered = ranges.clone();
    store
        .apply(&one(RowKey(1), Some(position)))
        .expect("room on the disk");
    let mut store = Store::open(location).expect("a good database");
    let rows = store.load().expect("readable rows");
    assert_eq!(rows[0].1.facts.as_ref().expect("facts").delivered, ranges);
}

#[test]
fn what_others_wrote_is_noticed() {
    let directory = directory();
    let location = location(&directory);
    let open = || Store::open(location.clone()).expect("a good database");
    let mut changes = one(RowKey(1), Some(position("a.log", 100)));
    changes.merge(one(RowKey(2), Some(position("b.log", 0))));
    open().apply(&changes).expect("room on the disk");
    assert!(!open().written_by_others());
    for (sql, noticed) in [
        ("UPDATE in_tail_files SET rotated = 1", false),
        (
            "UPDATE in_tail_files SET offset = 120 WHERE name = 'a.log'",
            true,
        ),
        ("DELETE FROM in_tail_files WHERE name = 'a.log'", true),
    ] {
        sqlite(&location).execute(sql, []).expect(sql);
        assert_eq!(open().written_by_others(), noticed, "{sql}");
    }
    assert!(!open().written_by_others(), "the leftovers were removed");
}

#[test]
fn a_damaged_database_is_moved_aside() {
    for (content, name, moved) in [
        (&[0_u8; 8192][..], "flb.db", true),
        (
            b"SQLite format 3\0and then nothing of the kind",
            "positions",
            true,
        ),
        (
            b"garbage that is long enough to be looked at",
            "flb.db",
            true,
        ),
        (
            b"2026-11-28 a line of somebody's log file\n",
            "app.log",
            false,
        ),
    ] {
        let directory = directory();
        let mut location = location(&directory);
        location.path = directory.path().join(name);
        std::fs::write(&location.path, content).expect("room");
        match Store::open_or_replace(location.clone()) {
            Ok((mut store, Some(aside))) => {
                assert!(moved, "{name}");
                assert_eq!(std::fs::read(aside).expect("it was kept"), content);
                assert_eq!(store.load().expect("an empty table"), []);
            }
            Ok((_, None)) => panic!("{name} is no database"),
            Err(error) => {
                assert!(
                    !moved && matches!(error, Error::Damaged { .. }),
                    "{name}: {error}"
                );
                assert_eq!(std::fs::read(&location.path).expect("left alone"), content);
            }
        }
    }
}

#[test]
fn tables_of_an_older_version_get_what_they_lack() {
    let directory = directory();
    let location = location(&directory);
    let mut store = Store::open(location.clone()).expect("a new database");
    store
        .apply(&one(RowKey(1), Some(position("a.log", 100))))
        .expect("room on the disk");
    drop(store);
    for column in ["tail", "tail_size", "generation", "source"] {
        let sql = format!("ALTER TABLE flumen_tail_files DROP COLUMN {column}");
        sqlite(&location).execute(&sql, []).expect(column);
    }
    let mut store = Store::open(location).expect("a good database");
    let rows = store.load().expect("readable rows");
    let facts = rows[0].1.facts.as_ref().expect("facts");
    assert_eq!((facts.tail, facts.source), (Fingerprint::NONE, None));
    assert_eq!(facts.head, Fingerprint::of(b"the first line"));
}
